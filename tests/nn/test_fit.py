"""The training loop: against one written by hand, its seeds, what it refuses, and going on to the same bits."""

import sys

import numpy as np
import pytest
import torch

from rgflow.errors import InputError, StoreError, UnknownName
from rgflow.nn.smoothness.jacobian_penalty import JacobianPenalty
from rgflow.nn.training.checkpoint import load_checkpoint, save_checkpoint
from rgflow.nn.training.data import Data
from rgflow.nn.training.fit import Interrupted, fit
from rgflow.nn.training.losses import loss_function


def data(examples=60, classes=3, dtype=torch.float32):
    random = torch.Generator().manual_seed(0)
    X = torch.randn(examples, 4, generator=random, dtype=dtype)
    y = (X @ torch.randn(4, classes, generator=random, dtype=dtype)).argmax(dim=1)
    return Data(X[:-10], y[:-10], X[-10:], y[-10:], classes)


def perceptron(dropout=0.3, dtype=torch.float32):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layers = [torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Tanh(), torch.nn.Dropout(dropout)]
        return torch.nn.Sequential(*layers, torch.nn.Linear(8, 3)).to(dtype)


def sgd(model, **more):
    return torch.optim.SGD(model.parameters(), lr=0.1, **more)


class Drawing:
    """A penalty with a random number in it, and its own generator."""

    def __init__(self):
        self.random = torch.Generator().manual_seed(5)

    def __call__(self, x, model):
        return torch.rand((), generator=self.random) * model(x).square().mean() / 10

    def state_dict(self):
        return {"random": self.random.get_state()}

    def load_state_dict(self, state):
        self.random.set_state(state["random"])


class Counting:
    """A monitor that remembers."""

    def __init__(self):
        self.seen = 0

    def __call__(self, epoch):
        self.seen += epoch.step
        return {"seen": self.seen}

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]


def test_as_a_loop_by_hand():
    """Without dropout: full batches, so that the order does not matter."""
    ours, theirs, examples = perceptron(0.0), perceptron(0.0), data()
    history = fit(ours, examples, optimizer=sgd(ours, momentum=0.9), epochs=5, batch=None, progress=False)
    optimizer, losses = sgd(theirs, momentum=0.9), []
    for _ in range(5):
        optimizer.zero_grad()
        output = theirs(examples.X)
        loss = torch.nn.functional.cross_entropy(output, examples.y)
        losses.append((loss.item(), (output.argmax(dim=1) == examples.y).double().mean().item()))
        loss.backward()
        optimizer.step()
    theirs.eval()
    judged = theirs(examples.X_test)
    # rows stand in another order, so that sums are rounded otherwise: 5 steps of single precision
    assert history["train_loss"].values == pytest.approx([a for a, _ in losses], rel=1e-4)
    assert history["train_accuracy"].values == pytest.approx([b for _, b in losses], abs=1e-12)
    test_loss = torch.nn.functional.cross_entropy(judged, examples.y_test).item()
    assert float(history["test_loss"][-1]) == pytest.approx(test_loss, rel=1e-4)
    assert history["step"].values.tolist() == [1, 2, 3, 4, 5]
    assert history.attrs["kind"] == "training"


def test_every_epoch_meets_every_example_once():
    examples = data()
    marked = Data(torch.arange(50.0)[:, None], torch.zeros(50, 1), torch.zeros(1, 1), torch.zeros(1, 1))
    met = []

    class Marking(torch.nn.Linear):
        def forward(self, x):
            met.append(x[:, 0].int().tolist())
            return super().forward(x)

    model = Marking(1, 1)
    fit(
        model,
        marked,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.0),
        loss="mse",
        epochs=2,
        batch=10,
        progress=False,
    )
    train = [rows for rows in met if len(rows) == 10]
    first, second = ([row for rows in part for row in rows] for part in (train[:5], train[5:]))
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    met.clear()
    settings = {"loss": "mse", "steps": 40, "batch": 10, "order": "independent", "progress": False}
    fit(model, marked, optimizer=torch.optim.SGD(model.parameters(), lr=0.0), **settings)
    train = [rows for rows in met if len(rows) == 10]
    assert all(len(set(rows)) == 10 for rows in train)
    assert len({row for rows in train[:5] for row in rows}) < 50
    assert len({row for rows in train for row in rows}) == 50
    assert examples.classes == 3


@pytest.mark.parametrize("order", ["shuffled", "independent"])
def test_seeds_say_everything(order):
    """Same seed, same bits, whatever the global random numbers are, which stay as they were."""

    def weights(seed):
        model = perceptron()
        fit(model, data(), optimizer=sgd(model), epochs=2, batch=10, seed=seed, order=order, progress=False)
        return model[0].weight.detach()

    first = weights(3)
    torch.randn(5)
    state = torch.get_rng_state()
    assert torch.equal(weights(3), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(weights(np.random.SeedSequence(3)), first)
    assert not torch.equal(weights(4), first)


def taken_up(folder, epochs, optimizer, scheduler, checkpoint=None, every=1, order="shuffled"):
    model = perceptron()
    made = optimizer(model)
    history = fit(
        model,
        data(),
        optimizer=made,
        epochs=epochs,
        batch=10,
        seed=7,
        order=order,
        penalty=Drawing(),
        monitors=[Counting()],
        schedulers=[scheduler(made)],
        checkpoint=checkpoint,
        every=every,
        progress=False,
    )
    return history.drop_vars("seconds"), model.state_dict(), made.state_dict()


class EveryStep(torch.optim.lr_scheduler.ExponentialLR):
    every_step = True


OPTIMIZERS = {
    "momentum": lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9),
    "adam": lambda m: torch.optim.Adam(m.parameters(), lr=0.01),
    "adamw": lambda m: torch.optim.AdamW(m.parameters(), lr=0.01, amsgrad=True),
}
SCHEDULERS = {
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 6),
    "plateau": lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=0.5),
    "every step": lambda o: EveryStep(o, 0.99),
}


@pytest.mark.parametrize(
    ("optimizer", "scheduler", "order"),
    [("momentum", "cosine", "shuffled"), ("adam", "plateau", "independent"), ("adamw", "every step", "shuffled")],
)
def test_a_training_that_was_interrupted_ends_with_the_same_bits(optimizer, scheduler, order, tmp_path):
    """Model, optimizer, scheduler, monitor, penalty, dropout and history, as if it had never stopped; twice."""
    how = (OPTIMIZERS[optimizer], SCHEDULERS[scheduler])
    history, model, state = taken_up(tmp_path, 6, *how, order=order)
    for epochs in (2, 3, 6):
        again = taken_up(tmp_path, epochs, *how, checkpoint=tmp_path / "run.h5", order=order)
    assert again[0].identical(history)
    assert all(torch.equal(a, b) for a, b in zip(model.values(), again[1].values(), strict=True))
    for one, other in zip(state["state"].values(), again[2]["state"].values(), strict=True):
        assert all(torch.equal(torch.as_tensor(one[key]), torch.as_tensor(other[key])) for key in one)
    assert state["param_groups"] == again[2]["param_groups"]


@pytest.mark.parametrize("forgotten", ["optimizer", "penalty"])
def test_control_a_forgotten_state_is_seen(forgotten, tmp_path, monkeypatch):
    """Negative control: going on with a fresh optimizer or penalty does not end with the same bits."""
    how = (OPTIMIZERS["momentum"], SCHEDULERS["cosine"])
    _, model, _ = taken_up(tmp_path, 4, *how)
    taken_up(tmp_path, 2, *how, checkpoint=tmp_path / "run.h5")
    if forgotten == "penalty":
        monkeypatch.setattr(Drawing, "load_state_dict", lambda self, state: None)
    else:
        monkeypatch.setattr(torch.optim.SGD, "load_state_dict", lambda self, state: None)
    _, again, _ = taken_up(tmp_path, 4, *how, checkpoint=tmp_path / "run.h5")
    assert not all(torch.equal(a, b) for a, b in zip(model.values(), again.values(), strict=True))


def test_ctrl_c_keeps_what_was_finished(tmp_path):
    """In the third epoch: two rows of history, a checkpoint of two epochs, and the same bits in the end."""

    class Impatient(Counting):
        patience = 3

        def __call__(self, epoch):
            if epoch.number == self.patience:
                raise KeyboardInterrupt
            return super().__call__(epoch)

    def train(monitor, checkpoint=None):
        model = perceptron()
        settings = {"epochs": 4, "batch": 10, "monitors": [monitor], "checkpoint": checkpoint, "progress": False}
        return fit(model, data(), optimizer=sgd(model), **settings), model

    with pytest.raises(Interrupted) as caught:
        train(Impatient(), tmp_path / "run.h5")
    assert isinstance(caught.value, KeyboardInterrupt)
    assert caught.value.history.sizes["epoch"] == 2
    assert caught.value.history.attrs["stopped"] == "interrupted"
    history, model = train(Counting(), tmp_path / "run.h5")
    whole, same = train(Counting())
    assert history.drop_vars("seconds").identical(whole.drop_vars("seconds"))
    assert torch.equal(model[0].weight, same[0].weight)
    monitor = Impatient()
    monitor.patience = 1
    with pytest.raises(Interrupted) as caught:
        train(monitor)
    assert caught.value.history.sizes["epoch"] == 0


def test_modes_are_put_back():
    model = perceptron()
    model[3].eval()
    fit(model, data(), optimizer=sgd(model), epochs=1, batch=10, progress=False)
    assert model.training
    assert not model[3].training


def test_steps_rows_and_columns():
    model = perceptron()
    history = fit(model, data(), optimizer=sgd(model), steps=13, batch=10, every=2, progress=False)
    assert history["epoch"].values.tolist() == [2, 3]
    assert history["step"].values.tolist() == [10, 13]
    assert "penalty" not in history
    empty = fit(model, data(), optimizer=sgd(model), epochs=0, batch=10, progress=False)
    assert empty.sizes["epoch"] == 0


def test_no_test_set_targets_and_losses_of_ones_own():
    X = torch.randn(20, 4, dtype=torch.float64)
    own = Data(X, X[:, :2], X[:0], X[:0, :2])
    model = torch.nn.Linear(4, 2, dtype=torch.float64)
    history = fit(
        model, own, optimizer=sgd(model), loss=lambda out, y: (out - y).abs().mean(), epochs=2, batch=5, progress=False
    )
    assert np.isnan(history["test_loss"]).all()
    assert np.isnan(history["train_accuracy"]).all()
    assert history["train_loss"][1] < history["train_loss"][0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_data_follow_the_model(dtype):
    model = perceptron(dtype=dtype)
    history = fit(model, data(), optimizer=sgd(model), loss="mse", epochs=1, batch=10, progress=False)
    assert np.isfinite(history["train_loss"]).all()
    assert model[0].weight.dtype == dtype


def test_named_losses():
    output, y = torch.randn(6, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 2, 1, 0])
    by_hand = ((output - torch.eye(3, dtype=torch.float64)[y]) ** 2).sum(dim=1).mean() / 2
    assert torch.isclose(loss_function("mse")(output, y), by_hand, rtol=1e-14)
    with pytest.raises(UnknownName, match="cross_entropy"):
        loss_function("crossentropy")
    with pytest.raises(InputError, match="same"):
        loss_function("mse")(output, output[:, :2])


def test_a_training_that_explodes_stops_and_says_so(tmp_path):
    model = torch.nn.Linear(4, 3)
    explosive = torch.optim.SGD(model.parameters(), lr=1e30)
    settings = {"loss": "mse", "epochs": 9, "batch": 10, "checkpoint": tmp_path / "run.h5", "progress": False}
    history = fit(model, data(), optimizer=explosive, **settings)
    assert history.sizes["epoch"] == 1
    assert "epoch 1" in history.attrs["stopped"]
    again = fit(model, data(), optimizer=explosive, **settings)
    assert again.attrs["stopped"] == history.attrs["stopped"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"epochs": None}, "one of the two"),
        ({"steps": 3}, "one of the two"),
        ({"epochs": -1}, "epochs"),
        ({"batch": 51}, "50 examples"),
        ({"batch": 0}, "batch"),
        ({"every": 0}, "every"),
        ({"order": "sorted"}, "sorted"),
        ({"seed": "x"}, "seed"),
        ({"loss": 3}, "loss is 3"),
        ({"loss": lambda output, y: output}, "scalar"),
        ({"optimizer": torch.optim.LBFGS(perceptron().parameters())}, "LBFGS"),
        ({"optimizer": torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)}, "no parameter of the model"),
        ({"optimizer": None}, "optimizer"),
        ({"data": [1, 2]}, "Data"),
        ({"model": "mlp"}, "Module"),
        ({"monitors": [lambda epoch: 3]}, "mapping"),
        ({"monitors": 3}, "monitors is 3"),
        ({"monitors": [3]}, "monitors holds 3"),
        ({"schedulers": [3]}, "schedulers holds 3"),
        ({"penalty": 3}, "penalty is 3"),
        ({"optimizer": "lr"}, "lr of group 0"),
        ({"model": "narrow"}, r"does not take inputs of shape \(4,\).*\(3, 3\)"),
        ({"model": "few"}, "y holds classes up to 2"),
        ({"monitors": [lambda epoch: {"test_loss": 3}]}, "test_loss"),
    ],
)
def test_what_is_refused(wrong, reason):
    model = perceptron()
    settings = {"model": model, "data": data(), "optimizer": sgd(model), "epochs": 1, "batch": 10, "progress": False}
    if wrong.get("model") in ("narrow", "few"):
        other = torch.nn.Linear(3, 3) if wrong["model"] == "narrow" else torch.nn.Linear(4, 2)
        wrong = {"model": other, "optimizer": sgd(other)}
    if wrong.get("optimizer") == "lr":
        wrong = {"optimizer": sgd(model)}
        wrong["optimizer"].param_groups[0]["lr"] = "a"
    with pytest.raises(InputError, match=reason):
        fit(**{**settings, **wrong})


def test_frozen_models_are_refused():
    model = perceptron().requires_grad_(False)
    with pytest.raises(InputError, match="nothing would learn"):
        fit(model, data(), optimizer=sgd(model), epochs=1, batch=10, progress=False)


def test_checkpoints_of_something_else_are_refused_and_kept(tmp_path):
    path = tmp_path / "run.h5"

    def train(model=None, examples=None, **changed):
        model = model or perceptron()
        settings = {"optimizer": sgd(model), "epochs": 2, "batch": 10, "checkpoint": path, "progress": False}
        return fit(model, examples or data(), **{**settings, **changed}), model

    train(steps=7, epochs=None)
    with pytest.raises(InputError, match="inside an epoch"):
        train()
    path.unlink()
    train()
    before = path.read_bytes()
    wide = torch.nn.Sequential(torch.nn.Linear(4, 9), torch.nn.Linear(9, 3))
    two, double = perceptron(), perceptron(dtype=torch.float64)
    swapped = torch.optim.SGD([*two.parameters()][::-1], lr=0.1)
    middle = data()
    middle.X[20] += 1
    halves = torch.optim.SGD([{"params": [p]} for p in two.parameters()], lr=0.1)
    for changed, reason in (
        ({"seed": 1}, "seed"),
        ({"batch": 5}, "batch"),
        ({"loss": "mse"}, "loss"),
        ({"order": "independent"}, "order"),
        ({"penalty": Drawing()}, "penalty"),
        ({"examples": data(70)}, "data"),
        ({"epochs": 1}, "more than"),
        ({"monitors": [Counting()]}, "monitor 0"),
        ({"model": wide, "optimizer": sgd(wide)}, "another model"),
        ({"model": double, "optimizer": sgd(double)}, "torch.float64"),
        ({"model": two, "optimizer": torch.optim.Adam(two.parameters())}, "optimizer = 'SGD', not 'Adam'"),
        ({"model": two, "optimizer": halves}, "groups"),
        ({"model": two, "optimizer": swapped}, r"group 0 has the parameters \['0.weight'"),
        ({"model": two, "optimizer": torch.optim.SGD(two.parameters(), lr=0.05)}, "began with lr = 0.1 in group 0"),
        ({"model": two, "optimizer": sgd(two, momentum=0.9)}, "began with momentum"),
        ({"model": two, "optimizer": sgd(two, weight_decay=0.1)}, "began with weight_decay"),
        ({"examples": middle}, "data"),
    ):
        model = changed.get("model")
        weights = None if model is None else [p.detach().clone() for p in model.parameters()]
        with pytest.raises(InputError, match=reason):
            train(**changed)
        assert path.read_bytes() == before
        if model is not None:
            assert all(torch.equal(p, w) for p, w in zip(model.parameters(), weights, strict=True))
    save_checkpoint({"model": load_checkpoint(path)["model"]}, path)
    with pytest.raises(InputError, match="not a training"):
        train()
    path.write_text("half a fi")
    with pytest.raises(StoreError):
        train()
    assert path.read_text() == "half a fi"


def test_a_bar_is_shown(monkeypatch):
    moved = []

    class Bar:
        def __init__(self, shown, what, total):
            moved.append((shown, total))

        def __enter__(self):
            return moved.append

        def __exit__(self, *problem):
            return None

    monkeypatch.setattr(sys.modules[fit.__module__], "progress_bar", Bar)
    model = perceptron()
    fit(model, data(), optimizer=sgd(model), epochs=2, batch=10)
    assert moved == [(True, 10), 0, *[1] * 10]


def test_another_loss_function_or_strength_is_refused(tmp_path):
    """Functions that differ in a number that they hold; the same functions made anew go on, as does a lowered rate."""

    def train(epochs, scale=1.0, strength=0.1):
        model = perceptron()
        made = {"loss": lambda output, y: scale * torch.nn.functional.cross_entropy(output, y)}
        made["penalty"] = JacobianPenalty(strength)
        settings = {"epochs": epochs, "batch": 10, "checkpoint": tmp_path / "run.h5", "progress": False}
        model[1] = torch.nn.Identity()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        schedulers = [torch.optim.lr_scheduler.LinearLR(optimizer, 0.5, total_iters=3)]
        return fit(model, data(), optimizer=optimizer, schedulers=schedulers, **made, **settings)

    train(1)
    with pytest.raises(InputError, match="loss"):
        train(2, scale=2.0)
    with pytest.raises(InputError, match="penalty"):
        train(2, strength=0.2)
    assert train(3).sizes["epoch"] == 3


def test_the_same_optimizer_goes_on_with_a_lowered_rate(tmp_path):
    """As after Ctrl-C in a notebook: a scheduler that keeps no initial rate has changed that of the group."""

    class Lowering:
        def step(self):
            optimizer.param_groups[0]["lr"] *= 0.5

    model = perceptron()
    optimizer = sgd(model)
    settings = {"optimizer": optimizer, "batch": 10, "schedulers": [Lowering()], "progress": False}
    for epochs in (1, 2, 3):
        history = fit(model, data(), epochs=epochs, checkpoint=tmp_path / "run.h5", **settings)
    assert history["learning_rate"].values.tolist() == [0.1, 0.05, 0.025]
