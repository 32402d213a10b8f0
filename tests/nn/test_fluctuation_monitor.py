"""The monitor step by step: against SGD written in NumPy, an identity without noise, refusals, memory, checkpoints."""

import gc

import numpy as np
import pytest
import torch

from rgflow.errors import InputError
from rgflow.nn.fluctuation import monitor as monitor_file
from rgflow.nn.fluctuation.full import Full
from rgflow.nn.fluctuation.monitor import FluctuationMonitor
from rgflow.nn.fluctuation.observables import Motion
from rgflow.nn.training.checkpoint import load_checkpoint, save_checkpoint
from rgflow.nn.training.data import Data
from rgflow.nn.training.losses import loss_function


class Oracle:
    """SGD of one group as torch's documentation writes it, in NumPy, with every number kept in lists."""

    def __init__(self, theta, eta, mu=0.0, nu=0.0, decay=0.0):
        self.theta, self.eta, self.mu, self.nu, self.decay = theta.copy(), eta, mu, nu, decay
        self.b = None
        self.left, self.right, self.drag = [], [], []

    def step(self, gradient):
        g = gradient + self.decay * self.theta
        self.left.append(self.theta @ g)
        old = np.zeros_like(g) if self.b is None else self.b
        self.drag.append(self.mu * (old @ g))
        if self.mu:
            self.b = g if self.b is None else self.mu * self.b + (1 - self.nu) * g
        v = -self.b if self.mu else -g
        nu = self.nu if self.mu else 0.0
        self.right.append(self.eta / 2 * (1 + self.mu) / (1 - nu) * (v @ v))
        self.theta = self.theta + self.eta * v


def groups():
    """Two groups that move differently, and their oracles."""
    random = np.random.default_rng(0)
    starts = [random.standard_normal(5), random.standard_normal(3)]
    moves = [{"lr": 0.1, "momentum": 0.9, "weight_decay": 0.2}, {"lr": 0.02, "momentum": 0.5, "dampening": 0.3}]
    names = {"lr": "eta", "momentum": "mu", "dampening": "nu", "weight_decay": "decay"}
    oracles = [
        Oracle(start, **{names[key]: value for key, value in how.items()})
        for start, how in zip(starts, moves, strict=True)
    ]
    parameters = [torch.tensor(start, requires_grad=True) for start in starts]
    optimizer = torch.optim.SGD([{"params": [p], **how} for p, how in zip(parameters, moves, strict=True)], lr=1.0)
    return optimizer, parameters, oracles


def take(optimizer, parameters, oracles, steps, seed=1):
    random = np.random.default_rng(seed)
    for _ in range(steps):
        for parameter, oracle in zip(parameters, oracles, strict=True):
            slope = random.standard_normal(len(parameter)) + parameter.detach().numpy() ** 3
            parameter.grad = torch.tensor(slope)
            oracle.step(slope)
        optimizer.step()


def test_several_groups_step_by_step():
    """theta before the step, the gradient with decay, b = -v, the first step without dampening: as the oracle."""
    optimizer, parameters, oracles = groups()
    monitor = FluctuationMonitor(optimizer)
    for steps in (1, 2, 7, 300):  # 300: beyond what waits before it is added up
        take(optimizer, parameters, oracles, steps, seed=steps)
        ds = monitor.averages()
        count = monitor.steps
        later = slice(count // 2, None)
        for number, oracle in enumerate(oracles):
            found = ds.sel(group=str(number))
            assert parameters[number].detach().numpy() == pytest.approx(oracle.theta, rel=1e-12)
            assert float(found["O_L"]) == pytest.approx(np.mean(oracle.left[later]), rel=1e-12)
            assert float(found["O_R"]) == pytest.approx(np.mean(oracle.right[later]), rel=1e-12)
        total = ds.sel(group="total")
        for name, kept in (("O_L", "left"), ("O_R", "right")):
            both = [np.mean(getattr(oracle, kept)[later]) for oracle in oracles]
            assert float(total[name]) == pytest.approx(sum(both), rel=1e-12)
    assert ds["learning_rate"].values.tolist() == [0.1, 0.1, 0.02]
    assert ds["window"].values.tolist() == [310, 310, 310]


@pytest.mark.parametrize(("mu", "nu"), [(0.0, 0.0), (0.9, 0.0), (0.5, 0.3)])
def test_what_is_averaged_is_the_change_of_a_function(mu, nu):
    """(1-nu) sum (O_L - O_R) = -(1-mu) (|theta'|^2 - |theta|^2)/(2 eta) - mu (theta'.v' - theta.v): no noise enters."""
    random = torch.Generator().manual_seed(0)
    theta = torch.randn(20, generator=random, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=0.1, momentum=mu, dampening=nu, weight_decay=0.05)
    monitor = FluctuationMonitor(optimizer)

    def level():
        buffer = optimizer.state[theta].get("momentum_buffer")
        x = theta.detach()
        cross = 0.0 if buffer is None else float(-(buffer * x).sum())
        return float((1 - mu) * x.square().sum() / 0.2 + mu * cross)

    levels = []
    for _ in range(64):
        theta.grad = torch.randn(20, generator=random, dtype=torch.float64) + theta.detach() ** 3
        optimizer.step()
        levels.append(level())
    found = monitor.averages().sel(group="total")
    drift = -(levels[63] - levels[31]) / 32
    assert (1 - nu) * float(found["O_L"] - found["O_R"]) == pytest.approx(drift, rel=1e-10)


def test_the_full_batch_side():
    """G and G_H of a small model against Hessians and gradients of torch.autograd.functional."""
    random = torch.Generator().manual_seed(2)
    kind = {"generator": random, "dtype": torch.float64}
    data = Data(
        torch.randn(30, 4, **kind), torch.randint(3, (30,), generator=random), torch.zeros(1, 4), torch.zeros(1)
    )
    model = torch.nn.Linear(4, 3, dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9, dampening=0.2, weight_decay=0.1)
    monitor = FluctuationMonitor(optimizer, curvature=1)
    rule = loss_function("cross_entropy")
    for _ in range(2):
        optimizer.zero_grad()
        rule(model(data.X), data.y).backward()
        optimizer.step()
    b = torch.cat([optimizer.state[p]["momentum_buffer"].reshape(-1) for p in model.parameters()])
    theta = torch.cat([p.detach().reshape(-1) for p in model.parameters()])

    def surface(flat):
        weight, bias = flat[:12].reshape(3, 4), flat[12:]
        return rule(data.X @ weight.T + bias, data.y) + 0.05 * flat.square().sum()

    slope = torch.autograd.functional.jacobian(surface, theta)
    hessian = torch.autograd.functional.hessian(surface, theta)
    monitor.measure(model, data, batch=30, rows=7)  # the batch is everything, in pieces of seven
    v = -0.9 * b - 0.8 * slope
    measured = monitor._measured["total"].mean()
    assert measured[0] == pytest.approx(0.8 * float(slope @ slope), rel=1e-10)
    assert measured[1] == pytest.approx(0.15 * float(v @ hessian @ v), rel=1e-10)
    assert all(p.grad is not None for p in model.parameters())


def test_measuring_changes_nothing():
    """Not the mode, not gradients, not what a penalty draws next, not global random numbers."""

    class Drawn:
        calls = 0

        def __call__(self, x, model):
            self.calls += 1
            return model(x).square().mean()

        def state_dict(self):
            return {"calls": self.calls}

        def load_state_dict(self, state):
            self.calls = state["calls"]

    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(3))
    data = Data(torch.randn(9, 4), torch.zeros(9, dtype=torch.int64), torch.zeros(1, 4), torch.zeros(1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monitor, penalty = FluctuationMonitor(optimizer, curvature=2), Drawn()
    model.train()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    state = torch.get_rng_state()
    monitor.measure(model, data, penalty=penalty, batch=4)
    assert model.training
    assert penalty.calls == 0
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert len(Full(model, data, loss_function("cross_entropy")).gradient(list(model.parameters()))) == 4


# Averages start anew --------------------------------------------------------------------------------------------------


def test_a_changed_rate_begins_a_new_window():
    optimizer, parameters, oracles = groups()
    monitor = FluctuationMonitor(optimizer)
    take(optimizer, parameters, oracles, 10)
    optimizer.param_groups[1]["lr"] = oracles[1].eta = 0.01
    take(optimizer, parameters, oracles, 4)
    assert [monitor.window(), monitor.window(0), monitor.window(1)] == [4, 14, 4]
    monitor.reset()
    assert [monitor.window(), monitor.window(0), monitor.window(1)] == [0, 0, 0]
    assert np.isnan(monitor.ratio()[0])
    monitor.detach()
    take(optimizer, parameters, oracles, 2)
    assert monitor.window() == 0


def test_groups_that_come_later_are_followed():
    optimizer, parameters, oracles = groups()
    monitor = FluctuationMonitor(optimizer)
    take(optimizer, parameters, oracles, 3)
    late = torch.ones(2, dtype=torch.float64, requires_grad=True)
    optimizer.add_param_group({"params": [late], "lr": 0.1, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0})
    take(optimizer, [*parameters, late], [*oracles, Oracle(np.ones(2), 0.1)], 3)
    assert [monitor.window(), monitor.window(0), monitor.window(2)] == [3, 6, 3]


# Refusals -------------------------------------------------------------------------------------------------------------


class OwnStep(torch.optim.SGD):
    def step(self, closure=None):
        return None


def one():
    return [torch.zeros(2, requires_grad=True)]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: torch.optim.Adam(one()), "divides each gradient by its own past"),
        (lambda: torch.optim.AdamW(one()), "AdamW"),
        (lambda: torch.optim.LBFGS(one()), "several times"),
        (lambda: torch.optim.SGD(one(), lr=0.1, momentum=0.9, nesterov=True), "Nesterov"),
        (lambda: torch.optim.SGD(one(), lr=0.1, maximize=True), "uphill"),
        (lambda: torch.optim.SGD(one(), lr=0.1, momentum=0.9, dampening=1.0), "dampening"),
        (lambda: OwnStep(one(), lr=0.1), "a step of its own"),
        (lambda: "SGD", "torch.optim.SGD"),
    ],
)
def test_what_is_not_covered_is_refused_with_the_reason(make, reason):
    with pytest.raises(InputError, match=reason):
        FluctuationMonitor(make())


def test_what_is_switched_on_later_is_refused():
    (theta,) = one()
    optimizer = torch.optim.SGD([theta], lr=0.1, momentum=0.9)
    FluctuationMonitor(optimizer)
    theta.grad = torch.ones(2)
    with pytest.raises(InputError, match="closure"):
        optimizer.step(lambda: torch.zeros(()))
    optimizer.param_groups[0].update(nesterov=True, lr=0.2)
    with pytest.raises(InputError, match="Nesterov"):
        optimizer.step()


@pytest.mark.parametrize(
    "wrong", [{"shift": "median"}, {"error": "guess"}, {"pieces": 1}, {"curvature": -1}, {"blocks": 7}]
)
def test_settings_outside_their_domain(wrong):
    with pytest.raises(InputError, match=next(iter(wrong)) if "error" not in wrong else "guess"):
        FluctuationMonitor(torch.optim.SGD(one(), lr=0.1), **wrong)


def test_a_group_that_is_not_there():
    with pytest.raises(InputError, match="group is 1"):
        FluctuationMonitor(torch.optim.SGD(one(), lr=0.1)).ratio(1)


# Every kind of parameter ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.complex64])
def test_every_dtype(dtype):
    theta = torch.full((3,), 2.0, dtype=dtype, requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=0.5, momentum=0.5, weight_decay=0.25)
    monitor = FluctuationMonitor(optimizer, shift="mean")
    theta.grad = torch.full((3,), 1.0, dtype=dtype)
    optimizer.step()
    found = monitor.averages().sel(group="total")
    assert float(found["O_L"]) == 0.0  # counted from where it began
    assert float(found["O_R"]) == pytest.approx(0.25 * 1.5 * 3 * 1.5**2)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_gradients_that_are_not_finite(value):
    """The ratio is none, nothing is stationary, and nothing warns."""
    (theta,) = one()
    optimizer = torch.optim.SGD([theta], lr=0.1)
    monitor = FluctuationMonitor(optimizer, pieces=2)
    for _ in range(8):
        theta.grad = torch.full((2,), value)
        optimizer.step()
    assert not np.isfinite(monitor.ratio()[0])
    assert not np.isfinite(monitor.averages()["O_R"]).any()


def test_frozen_unused_sparse_and_shared_parameters():
    table = torch.nn.Embedding(4, 2, sparse=True)
    frozen, unused = torch.zeros(2), torch.ones(2, requires_grad=True)
    optimizer = torch.optim.SGD([table.weight, frozen, unused], lr=0.1)
    monitor = FluctuationMonitor(optimizer)
    before = table.weight.detach().clone()
    table(torch.tensor([1, 1, 3])).sum().backward()
    optimizer.step()
    found = monitor.averages().sel(group="total")
    assert float(found["O_L"]) == pytest.approx(float(2 * before[1].sum() + before[3].sum()), rel=1e-5)
    assert float(found["O_R"]) == pytest.approx(0.05 * (2 * 4 + 2))


def alive(like):
    """How many tensors of this shape there are."""
    gc.collect()
    return sum(issubclass(type(t), torch.Tensor) and t.shape == like.shape for t in gc.get_objects())


def test_memory_does_not_grow():
    """Copies of the parameters: none, one or two by ``shift``; averages of so many blocks, whatever the steps."""
    big = torch.zeros(20_000, requires_grad=True)
    for shift, copies in ((None, 0), ("mean", 2)):
        optimizer = torch.optim.SGD([big], lr=0.1)
        monitor = FluctuationMonitor(optimizer, shift=shift, blocks=64)
        for step in range(1, 514):
            big.grad = torch.zeros_like(big)
            optimizer.step()
            if step in (257, 513):
                big.grad = None
                assert alive(big) == 1 + copies
                assert len(monitor._pending) == 1
                assert sum(found.sums.nbytes for found in monitor._averages.values()) == 2 * 64 * 3 * 8
        monitor.detach()


# Checkpoints ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [None, "start", "mean"])
def test_a_monitor_goes_on_from_a_checkpoint(shift, tmp_path):
    whole, theirs, oracles = groups()
    first = FluctuationMonitor(whole, shift=shift, blocks=16)
    take(whole, theirs, oracles, 21)
    save_checkpoint({"optimizer": whole.state_dict(), "monitor": first.state_dict()}, tmp_path / "run.h5")
    values = [p.detach().clone() for p in theirs]

    other, ours, _ = groups()
    second = FluctuationMonitor(other, shift=shift, blocks=16)
    kept = load_checkpoint(tmp_path / "run.h5")
    other.load_state_dict(kept["optimizer"])
    second.load_state_dict(kept["monitor"])
    with torch.no_grad():
        for parameter, value in zip(ours, values, strict=True):
            parameter.copy_(value)
    take(whole, theirs, oracles, 30, seed=9)
    take(other, ours, oracles, 30, seed=9)
    assert second.averages().identical(first.averages())
    assert second.window() == 51


def test_a_state_of_another_monitor_is_refused():
    optimizer, _, _ = groups()
    state = FluctuationMonitor(optimizer).state_dict()
    with pytest.raises(InputError, match="shift"):
        FluctuationMonitor(optimizer, shift="mean").load_state_dict(state)
    with pytest.raises(InputError, match="blocks"):
        FluctuationMonitor(optimizer, blocks=8).load_state_dict(state)


# Negative controls ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gradient", "left", "velocity"])
def test_control_what_is_left_out_is_seen(monkeypatch, name):
    wrong = {
        "gradient": (monitor_file, lambda parameter, decay: parameter.grad),
        "left": (Motion, property(lambda self: self.rate * (1 + self.momentum) / 2)),
        "velocity": (monitor_file, lambda optimizer, parameter: None),
    }
    monkeypatch.setattr(wrong[name][0], name, wrong[name][1])
    with pytest.raises(AssertionError):
        test_several_groups_step_by_step()


def test_another_rule_of_errors_is_refused_by_the_name_of_the_argument():
    with pytest.raises(InputError, match="error is 'x'"):
        FluctuationMonitor(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1), error="x")
