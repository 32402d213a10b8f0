"""The large first step: equal to muP's with the same draw, and what integrable networks do with and without it."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import rgflow as rg

DOUBLE = torch.float64


def mlp(width, layers, n_in=5, n_out=2, act=nn.ReLU, dtype=DOUBLE):
    modules = []
    for i, (below, above) in enumerate(pairwise([n_in, *[width] * (layers - 1), n_out])):
        modules += [act()] * (i > 0) + [nn.Linear(below, above, bias=False, dtype=dtype)]
    return nn.Sequential(*modules)


def drawn(*shape, seed=0, dtype=DOUBLE):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


X, Y = drawn(7, 5), drawn(7, 2, seed=1)
OPTIONS = {"base_width": 1, "learning_rate": 0.3, "C_W": 2.0, "seed": 3}


def trained(name, layers, n, steps, optimizer=torch.optim.SGD, switch=True, **options):
    """Weights and outputs over steps; the derivative of the loss at the first step is given, then that of squares."""
    module = mlp(n, layers)
    done = rg.nn.parametrize(module, name, width=n, **OPTIONS | options)
    running = optimizer(done.groups)
    if done.switches and switch:
        done.first_step(running)
    weights, outputs = [[p.detach().clone() for p in module.parameters()]], []
    for t in range(steps):
        running.zero_grad()
        f = module(X)
        outputs.append(f.detach().clone())
        chi = -Y if t == 0 else (f - Y).detach()
        ((f * chi).sum() / len(X)).backward()
        running.step()
        weights.append([p.detach().clone() for p in module.parameters()])
    return weights, outputs


def apart(a, b):
    """Relative distance."""
    return float((a - b).norm() / a.norm())


@pytest.mark.parametrize(("layers", "n"), [(4, 64), (6, 256)])
def test_the_first_update_is_that_of_mup(layers, n):
    """No biases, relu, the same draw and the same derivative of the loss: equal effective updates."""
    mup, _ = trained("mup", layers, n, 1)
    large, _ = trained("ip-llr", layers, n, 1)
    for w0, w1, v0, v1 in zip(*mup, *large, strict=True):
        assert apart(w1 - w0, v1 - v0) < 1e-12


def test_control_other_first_exponents_are_seen():
    mup, _ = trained("mup", 4, 64, 1)
    naive, _ = trained("ip", 4, 64, 1)
    late, _ = trained("ip-llr", 4, 64, 1, switch=False)
    for other in (naive, late):
        assert max(apart(w1 - w0, v1 - v0) for w0, w1, v0, v1 in zip(*mup, *other, strict=True)) > 0.1


@pytest.mark.parametrize(("layers", "n"), [(4, 64), (6, 128)])
def test_the_hybrid_is_the_same_from_then_on(layers, n):
    hybrid, f = trained("hybrid", layers, n, 6)
    large, g = trained("ip-llr", layers, n, 6)
    for a, b in zip(f[1:], g[1:], strict=True):
        assert apart(a, b) < 1e-12
    for step in range(1, 7):
        assert max(apart(a, b) for a, b in zip(hybrid[step], large[step], strict=True)) < 1e-12
    _, plain = trained("mup", layers, n, 6)
    assert apart(plain[-1], g[-1]) > 0.5, "muP that forgets nothing goes another way"


def test_momentum_and_decay_know_the_switch():
    """Equal also with momentum; rate times weight decay is that of all other steps."""

    def momentum(groups):
        return torch.optim.SGD(groups, momentum=0.9)

    _, f = trained("hybrid", 4, 64, 5, momentum)
    _, g = trained("ip-llr", 4, 64, 5, momentum)
    # Momentum carries the gradient of the first step on at the later rate, which differs: equal only for two steps.
    assert apart(f[1], g[1]) < 1e-12
    done = rg.nn.parametrize(mlp(64, 4), "ip-llr", width=64, weight_decay=0.1, **OPTIONS)
    optimizer = torch.optim.SGD(done.groups)
    done.first_step(optimizer)
    for group in optimizer.param_groups:
        assert group["lr"] * group["weight_decay"] == pytest.approx(0.03, rel=1e-14)
    optimizer.step()
    for group, row in zip(optimizer.param_groups, done.rows, strict=True):
        assert group["lr"] == row.learning_rate
        assert group["weight_decay"] == row.weight_decay


# Powers of the width --------------------------------------------------------------------------------------------------


def own_contributions(layers, n, seed, name="ip"):
    """log of |Delta W^l x^{l-1}| / |z^l| after one naive step, and of |f|: only what each layer's own update does."""
    x, chi = (
        drawn(16, 16, seed=seed + 100, dtype=torch.float32) / 4,
        drawn(16, 16, seed=seed + 200, dtype=torch.float32),
    )
    module = mlp(n, layers, 16, 16, dtype=torch.float32)
    done = rg.nn.parametrize(module, name, base_width=1, width=n, learning_rate=1.0, C_W=2.0, seed=seed)
    signals = []
    for m in module[::2]:
        m.register_forward_hook(lambda _, i, z: signals.append((i[0].detach(), z.detach())))
    f = module(x)
    gradients = torch.autograd.grad((f * chi).mean(), list(module.parameters()))
    rows = zip(signals, gradients, done.rows, strict=True)
    own = [
        float(((below @ g.T) * row.learning_rate).double().norm() / z.double().norm()) for (below, z), g, row in rows
    ]
    return np.log([*own, float(f.detach().double().square().mean().sqrt())])


def fitted(layers, widths, seeds, name="ip"):
    """Slopes over log n for each seed: mean and standard error."""
    values = np.array([[own_contributions(layers, n, seed, name) for n in widths] for seed in range(seeds)])
    t = np.log(widths) - np.mean(np.log(widths))
    slopes = np.einsum("w,swq->sq", t / (t @ t), values)
    return slopes.mean(0), slopes.std(0, ddof=1) / np.sqrt(seeds)


def compare(layers, widths, seeds):
    derived = rg.family("ip").exponents(layers=layers)
    expected = [*map(float, derived["own_relative"]), float(derived["preactivation"][-1])]
    slopes, errors = fitted(layers, widths, seeds)
    distance = np.abs(slopes - expected)
    assert (distance[:-2] < 0.1).all(), (slopes, errors)
    # The last two divide by, or are, the outputs of the start: 16 numbers of zero mean, 4 standard errors beside.
    assert distance[-2] < 0.1 + 4 * errors[-2], (slopes, errors)
    assert distance[-1] < 0.15 + 4 * errors[-1], (slopes, errors)
    return slopes, errors


@pytest.mark.parametrize("layers", [3, 4, 5])
def test_own_contributions_have_the_derived_powers(layers):
    slopes, _ = compare(layers, (64, 128, 256, 512), 6)
    # The page counts hidden layers: (3 - L)/2 with L one less than weight layers.
    assert slopes[1:-2] == pytest.approx([(3 - (layers - 1)) / 2] * (layers - 2), abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("layers", [3, 4, 5, 6])
def test_own_contributions_full_size(layers):
    compare(layers, (128, 256, 512, 1024, 2048), 8)


def test_control_mup_has_other_powers():
    slopes, _ = fitted(5, (64, 128, 256, 512), 2, "mup")
    assert np.abs(slopes[1:-2] - rg.family("ip").exponents(layers=5)["own_relative"][1]).min() > 0.3


# Calibration ----------------------------------------------------------------------------------------------------------


def digits():
    """Digits with a constant 1 beside them, of length about one."""
    data = rg.nn.digits()
    x = data.X.reshape(len(data.X), -1)
    return torch.cat([x, torch.ones(len(x), 1)], 1) / math.sqrt(x.shape[1] + 1), data.y


def integrable(n, layers=5, act=nn.ReLU, seed=0, name="ip-llr", rate=0.01):
    """A network for digits as the paper has them, its family in absolute powers of the width."""
    variance = {nn.ReLU: 2.0, nn.GELU: 4.0, nn.Tanh: 1.0}[act]
    module = mlp(n, layers, 65, 10, act, torch.float32)
    C_W = {"input": variance * 65, "hidden": variance, "output": 1.0}
    return rg.nn.parametrize(module, name, base_width=1, width=n, learning_rate=rate, C_W=C_W, seed=seed)


def batches():
    """Two batches of two classes: where all classes are as frequent the gradients of the first step cancel."""
    x, y = digits()
    few = (y < 2).nonzero()[:128, 0]
    return x[few[:64]], y[few[:64]], x[few[64:]]


def test_calibrated_updates_have_the_wanted_size():
    """Every layer's own update of the second batch, at the signals of the updated layers below: 1, at the end 0.1."""
    x, y, second = batches()
    done = integrable(64)
    done = rg.nn.calibrate(done, F.cross_entropy, x, y, second)
    start = [p.detach().clone() for p in done.module.parameters()]
    optimizer = torch.optim.SGD(done.groups)
    done.first_step(optimizer)
    F.cross_entropy(done.module(x), y).backward()
    optimizer.step()
    z, sizes = second, []
    with torch.no_grad():
        for l, (w, w0) in enumerate(zip(done.module.parameters(), start, strict=True)):
            z = torch.relu(z) if l else z
            sizes.append(float((z @ (w - w0).T).abs().mean()))
            z = z @ w.T
    # Differences of weights in single precision.
    assert sizes[1:] == pytest.approx([1.0, 1.0, 1.0, 0.1], rel=1e-3)


def rate_powers(widths, seeds, act=nn.ReLU):
    """Slopes of calibrated base rates of layers 2..L over log n, and their standard errors."""
    rates = []
    for seed in range(seeds):
        for n in widths:
            before = integrable(n, act=act, seed=seed)
            after = rg.nn.calibrate(before, F.cross_entropy, *batches(), most=1e9)
            rates.append(
                [np.log(a.first_rate / b.first_rate) for a, b in zip(after.rows, before.rows, strict=True)][1:]
            )
    values = np.array(rates).reshape(seeds, len(widths), -1)
    t = np.log(widths) - np.mean(np.log(widths))
    slopes = np.einsum("w,swq->sq", t / (t @ t), values)
    return slopes.mean(0), slopes.std(0, ddof=1) / np.sqrt(seeds)


def test_calibrated_rates_do_not_depend_on_the_width():
    slopes, errors = rate_powers((64, 128, 256), 16)
    assert (np.abs(slopes) < 0.15 + 2 * errors).all(), (slopes, errors)


@pytest.mark.slow
def test_calibrated_rates_full_size():
    slopes, errors = rate_powers((128, 256, 512, 1024, 2048), 8)
    assert (np.abs(slopes) < 0.15).all(), (slopes, errors)


def test_control_an_odd_activation_needs_other_exponents():
    """Averages of an odd function over signals that vanish are of the next order: rates from layer 3 on grow."""
    slopes, errors = rate_powers((32, 256), 16, nn.Tanh)
    assert (slopes[1:] > 0.15 + 2 * errors[1:]).all(), (slopes, errors)


def test_calibration_of_the_hybrid_is_the_same():
    """Base rates of the hybrid, which forgets its initial weights, are those of IP-LLR (relu, loss derivative at 0)."""

    def loss(f, y):
        return -f[range(len(y)), y].mean()

    x, y, second = batches()
    found = {}
    for name in ("ip-llr", "hybrid"):
        before = integrable(64, name=name)
        after = rg.nn.calibrate(before, loss, x, y, second)
        found[name] = [a.first_rate / b.first_rate for a, b in zip(after.rows, before.rows, strict=True)]
    # Single precision.
    assert found["hybrid"] == pytest.approx(found["ip-llr"], rel=1e-4)


def test_calibration_changes_nothing_but_rates():
    x, y, second = batches()
    before, fresh = integrable(32), integrable(32)
    after = rg.nn.calibrate(before, F.cross_entropy, x, y, second)
    same = zip(before.module.parameters(), fresh.module.parameters(), strict=True)
    assert all(torch.equal(p, q) for p, q in same)
    assert all(p.grad is None for p in before.module.parameters())
    assert after.rows[0].first_rate == before.rows[0].first_rate
    assert [row.learning_rate for row in after.rows] == [row.learning_rate for row in before.rows]
    capped = rg.nn.calibrate(before, F.cross_entropy, x, y, second, most=0.02)
    ratios = [c.first_rate / b.first_rate for c, b in zip(capped.rows, before.rows, strict=True)]
    assert ratios == pytest.approx([1, 2, 2, 2, 2])


# What is learned ------------------------------------------------------------------------------------------------------


def losses(name, layers, n, steps=300, act=nn.ReLU, rate=0.1):
    """Of full batches of 512 digits; the first step calibrated where the family has one."""
    x, y = (values[:512] for values in digits())
    done = integrable(n, layers, act, 0, name, rate)
    if done.switches:
        done = rg.nn.calibrate(done, F.cross_entropy, x, y, x)
    optimizer = torch.optim.SGD(done.groups)
    if done.switches:
        done.first_step(optimizer)
    found = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(done.module(x), y)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def test_naive_integrable_networks_learn_with_3_layers_are_late_with_4_and_frozen_with_5():
    drops = {(layers, n): math.log(10) - losses("ip", layers, n)[-1] for layers in (3, 4, 5) for n in (16, 64)}
    assert drops[3, 16] > 0.7
    assert drops[3, 64] > 0.7
    # With four layers the same steps do less at larger width, and with five nothing.
    assert 0.001 < drops[4, 64] < drops[4, 16] / 3
    assert abs(drops[5, 64]) < 1e-3 < 0.1 < drops[3, 64]
    regimes = [rg.family("ip").exponents(layers=layers).regime for layers in (3, 4, 5)]
    assert regimes == ["learns features", "marginal", "frozen"]


def test_with_a_large_first_step_five_layers_learn():
    assert losses("ip-llr", 5, 64, act=nn.GELU, rate=0.03)[-1] < 1.0
    assert losses("ip", 5, 64, 100, act=nn.GELU, rate=0.03)[-1] == pytest.approx(math.log(10), abs=1e-3)


# Manners of a scheduler -----------------------------------------------------------------------------------------------


def set_up(name="ip-llr", n=32):
    module = mlp(n, 4)
    done = rg.nn.parametrize(module, name, width=n, **OPTIONS)
    optimizer = torch.optim.SGD(done.groups)
    return module, done, optimizer, done.first_step(optimizer)


def step(module, optimizer):
    optimizer.zero_grad()
    ((module(X) - Y) ** 2).mean().backward()
    optimizer.step()


def test_it_switches_when_the_optimizer_steps():
    module, done, optimizer, scheduler = set_up()
    assert isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler)
    assert [g["lr"] for g in optimizer.param_groups] == [row.first_rate for row in done.rows] == scheduler.get_last_lr()
    step(module, optimizer)
    usual = [row.learning_rate for row in done.rows]
    assert [g["lr"] for g in optimizer.param_groups] == usual == scheduler.get_last_lr()
    scheduler.step()
    step(module, optimizer)
    scheduler.step()
    assert [g["lr"] for g in optimizer.param_groups] == usual
    assert scheduler.done


def test_another_scheduler_beside_it():
    module, done, optimizer, scheduler = set_up()
    halving = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    assert [g["lr"] for g in optimizer.param_groups] == [row.first_rate for row in done.rows]
    for k in range(1, 4):
        step(module, optimizer)
        scheduler.step()
        halving.step()
        assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([r.learning_rate * 0.5**k for r in done.rows])


@pytest.mark.parametrize("name", ["ip-llr", "hybrid"])
@pytest.mark.parametrize("order", ["optimizer first", "scheduler first"])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_run_goes_on_as_if_it_had_not_stopped(name, order, steps):
    module, _, optimizer, scheduler = set_up(name)
    for _ in range(steps):
        step(module, optimizer)
        scheduler.step()
    states = [{k: v.clone() for k, v in module.state_dict().items()}, optimizer.state_dict(), scheduler.state_dict()]
    states[1:] = [json.loads(json.dumps(state)) for state in states[1:]]
    again = set_up(name)
    again[0].load_state_dict(states[0])
    loading = [(again[2], states[1]), (again[3], states[2])]
    for what, state in loading if order == "optimizer first" else loading[::-1]:
        what.load_state_dict(state)
    for _ in range(3):
        step(module, optimizer)
        step(again[0], again[2])
    assert all(torch.equal(p, q) for p, q in zip(module.parameters(), again[0].parameters(), strict=True))
    assert again[3].state_dict()["done"]


def test_single_precision_has_the_same_step():
    """Rates of 2^40 and gradients of 1e-13 meet only as numbers of Python: single precision loses only its digits."""
    n, layers = 1024, 7
    found = {}
    for dtype in (DOUBLE, torch.float32):
        module = mlp(n, layers, act=nn.ReLU, dtype=dtype)
        done = rg.nn.parametrize(module, "ip-llr", base_width=1, width=n, learning_rate=0.01, C_W=2.0, seed=0)
        gradients = torch.autograd.grad((module(X.to(dtype)) * Y.to(dtype)).mean(), list(module.parameters()))
        found[dtype] = [g.double() * row.first_rate for g, row in zip(gradients, done.rows, strict=True)]
    for exact, single in zip(found[DOUBLE], found[torch.float32], strict=True):
        # Sums of n terms over seven layers, each rounded to 2^-24; the draw itself is rounded too.
        assert apart(exact, single) < 4 * layers * 2**-24 * math.sqrt(n)


def test_refusals():
    done = rg.nn.parametrize(mlp(32, 4), "mup", width=32, **OPTIONS)
    optimizer = torch.optim.SGD(done.groups)
    with pytest.raises(rg.InputError, match="no first step of its own"):
        done.first_step(optimizer)
    with pytest.raises(rg.InputError, match="nothing to calibrate"):
        rg.nn.calibrate(done, F.mse_loss, X, Y, X)
    done = rg.nn.parametrize(mlp(32, 4), "ip-llr", width=32, **OPTIONS)
    for wrong in (None, "sgd", done.groups):
        with pytest.raises(rg.InputError, match="not an optimizer"):
            done.first_step(wrong)
    with pytest.raises(rg.InputError, match=r"does not hold '0\.weight'"):
        done.first_step(optimizer)
    with pytest.raises(rg.InputError, match="mixes parameters"):
        done.first_step(torch.optim.SGD(done.module.parameters(), lr=0.1))
    module, done, optimizer, scheduler = set_up()
    momentum = torch.optim.SGD(done.groups, momentum=0.9)
    step(module, momentum)
    with pytest.raises(rg.InputError, match="already made steps"):
        done.first_step(momentum)
    fresh = scheduler.state_dict()
    step(module, optimizer)
    with pytest.raises(rg.InputError, match="cannot go back"):
        scheduler.load_state_dict(fresh)
    with pytest.raises(rg.InputError, match="no state of FirstStep"):
        scheduler.load_state_dict({"last_epoch": 3})


def test_refusals_of_the_calibration():
    done = rg.nn.parametrize(mlp(32, 4), "ip-llr", width=32, **OPTIONS)
    with pytest.raises(rg.InputError, match="finite"):
        rg.nn.calibrate(done, F.mse_loss, X * math.nan, Y, X)
    with pytest.raises(rg.InputError, match="finite"):
        rg.nn.calibrate(done, lambda f, y: f - y, X, Y, X)
    for name in ("target", "output_target", "most"):
        with pytest.raises(rg.InputError, match=name):
            rg.nn.calibrate(done, F.mse_loss, X, Y, X, **{name: 0.0})
    before = [p.detach().clone() for p in done.module.parameters()]
    with pytest.raises(RuntimeError):
        rg.nn.calibrate(done, F.mse_loss, X, Y, X[:, :3])
    assert all(torch.equal(p, q) for p, q in zip(done.module.parameters(), before, strict=True))
    with pytest.raises(rg.UnknownName, match="parameter"):
        done.with_first_rates({"9.weight": 1.0})
    layer = nn.Linear(32, 32, dtype=DOUBLE)
    twice = nn.Sequential(nn.Linear(5, 32, dtype=DOUBLE), layer, nn.ReLU(), layer, nn.Linear(32, 2, dtype=DOUBLE))
    shared = rg.nn.parametrize(twice, "ip-llr", width=32, **OPTIONS)
    with pytest.raises(rg.InputError, match="run once"):
        rg.nn.calibrate(shared, F.mse_loss, X, Y, X)
    done = rg.nn.parametrize(mlp(32, 4), "ip-llr", width=32, **OPTIONS)
    for second in (X * math.nan, X[:0], X * 0):
        with pytest.raises(rg.InputError, match=r"update of '\d\.weight'.*x_second"):
            rg.nn.calibrate(done, F.mse_loss, X, Y, second)
    with pytest.raises(rg.InputError, match="gradient"):
        rg.nn.calibrate(done, lambda f, y: 0 * f.sum(), X, Y, X)


def test_calibration_counts_weights_alone():
    """Of what does not grow, weights, biases and gains all have the role "fixed"."""

    def net(n):
        small = [nn.Linear(5, 7), nn.LayerNorm(7), nn.ReLU()]
        return nn.Sequential(*small, nn.Linear(7, n), nn.ReLU(), nn.Linear(n, n), nn.ReLU(), nn.Linear(n, 2)).double()

    done = rg.nn.parametrize(net(32), "ip-llr", **OPTIONS | {"base_width": net(8)})
    after = rg.nn.calibrate(done, F.mse_loss, X, Y, X)
    assert after.rows[0].first_rate == done.rows[0].first_rate


def test_schedulers_that_set_rates_anew_are_refused():
    module, _, optimizer, _ = set_up()
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1.0)
    before = [p.detach().clone() for p in module.parameters()]
    with pytest.raises(rg.InputError, match="made after FirstStep"):
        step(module, optimizer)
    assert all(torch.equal(p, q) for p, q in zip(module.parameters(), before, strict=True))
    module = mlp(32, 4)
    done = rg.nn.parametrize(module, "ip-llr", width=32, **OPTIONS)
    optimizer = torch.optim.SGD(done.groups)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.5)
    with pytest.raises(rg.InputError, match="would be lost"):
        done.first_step(optimizer)
    optimizer = torch.optim.SGD(done.groups)
    halving = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.5**t)
    done.first_step(optimizer)
    step(module, optimizer)
    halving.step()
    assert [g["lr"] for g in optimizer.param_groups] == [row.learning_rate / 2 for row in done.rows]
