"""The schedule: when it lowers which rate, in a loop of one's own and in that of fit, and where it goes on."""

import pytest
import torch

from rgflow.errors import InputError
from rgflow.nn.fluctuation.monitor import FluctuationMonitor
from rgflow.nn.fluctuation.scheduler import FluctuationScheduler
from rgflow.nn.training.checkpoint import load_checkpoint, save_checkpoint
from rgflow.nn.training.data import Data
from rgflow.nn.training.fit import fit


class Told:
    """A monitor that is told what the ratios are."""

    def __new__(cls, ratios, groups=1):
        parameters = [{"params": [torch.zeros(1, requires_grad=True)]} for _ in range(groups)]
        monitor = FluctuationMonitor(torch.optim.SGD(parameters, lr=1.0))
        monitor.ratio = lambda group=None: ratios[group]
        return monitor


def steps(monitor, count=1):
    for _ in range(count):
        for group in monitor.optimizer.param_groups:
            group["params"][0].grad = torch.ones(1)
        monitor.optimizer.step()


def rates(monitor):
    return [group["lr"] for group in monitor.optimizer.param_groups]


def test_lowers_within_X_and_begins_anew():
    ratios = {None: (0.02, 0.1)}
    monitor = Told(ratios)
    scheduler = FluctuationScheduler(monitor, X=0.01, Y=0.1)
    steps(monitor, 3)
    scheduler.step()
    assert rates(monitor) == [1.0]
    ratios[None] = (-0.009, 0.1)
    scheduler.step()
    assert rates(monitor) == [pytest.approx(0.9)]
    assert monitor.window() == 0
    assert scheduler.drops == [{"step": 3, "group": -1, "FDR1": -0.009, "window": 3, "rate": pytest.approx(0.9)}]
    scheduler.step()  # nothing has been seen at this rate
    assert rates(monitor) == [pytest.approx(0.9)]


@pytest.mark.parametrize("ratio", [float("nan"), float("inf"), -1.0])
def test_a_run_that_diverged_is_not_stationary(ratio):
    monitor = Told({None: (ratio, 0.0)})
    steps(monitor)
    FluctuationScheduler(monitor, X=0.5).step()
    assert rates(monitor) == [1.0]


def test_a_minimum_window_and_an_error_bar():
    ratios = {None: (0.001, 0.02)}
    monitor = Told(ratios)
    shy = FluctuationScheduler(monitor, min_window=5)
    sure = FluctuationScheduler(monitor, error_bar=2.0)
    steps(monitor, 4)
    shy.step()
    sure.step()
    assert rates(monitor) == [1.0]
    steps(monitor)
    shy.step()
    assert rates(monitor) == [pytest.approx(0.9)]
    steps(monitor)
    ratios[None] = (0.001, 0.004)
    sure.step()
    assert rates(monitor) == [pytest.approx(0.81)]


def test_looks_every_so_many_steps():
    monitor = Told({None: (0.0, 0.0)})
    scheduler = FluctuationScheduler(monitor, Y=0.5, check_every=4)
    assert scheduler.every_step
    seen = []
    for _ in range(9):
        steps(monitor)
        scheduler.step()
        seen += rates(monitor)
    assert seen == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_each_group_by_itself():
    monitor = Told({None: (0.0, 0.0), 0: (0.5, 0.0), 1: (0.0, 0.0)}, groups=2)
    scheduler = FluctuationScheduler(monitor, Y=0.5, per_group=True)
    steps(monitor, 2)
    scheduler.step()
    assert rates(monitor) == [1.0, 0.5]
    assert [monitor.window(0), monitor.window(1)] == [2, 0]


def test_not_below_the_least_and_tensors_stay():
    monitor = Told({None: (0.0, 0.0)})
    rate = torch.tensor(1.0)
    monitor.optimizer.param_groups[0]["lr"] = rate
    scheduler = FluctuationScheduler(monitor, Y=0.9, least=0.05)
    for _ in range(4):
        steps(monitor)
        scheduler.step()
    assert rate.item() == pytest.approx(0.05)
    assert len(scheduler.drops) == 2


@pytest.mark.parametrize("wrong", [{"X": 0.0}, {"Y": 1.0}, {"Y": -0.1}, {"check_every": 0}, {"min_window": -1}])
def test_settings_outside_their_domain(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        FluctuationScheduler(Told({}), **wrong)
    with pytest.raises(InputError, match="FluctuationMonitor"):
        FluctuationScheduler("monitor")


def problem():
    """A small regression that becomes stationary within some epochs."""
    random = torch.Generator().manual_seed(0)
    X = torch.randn(200, 4, generator=random)
    y = X @ torch.ones(4, 1) + torch.randn(200, 1, generator=random)
    return Data(X, y, X, y)


def pieces(**schedule):
    random = torch.Generator().manual_seed(1)
    model = torch.nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.randn(1, 4, generator=random))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    monitor = FluctuationMonitor(optimizer, shift="mean")
    return model, optimizer, monitor, FluctuationScheduler(monitor, **schedule)


@pytest.mark.parametrize("every", [None, 7])
def test_in_fit_and_taken_up_to_the_same_bits(tmp_path, every):
    settings = {"X": 0.3, "Y": 0.3, "check_every": every}

    def train(epochs, checkpoint=None):
        model, optimizer, monitor, scheduler = pieces(**settings)
        history = fit(
            model,
            problem(),
            optimizer=optimizer,
            loss="mse",
            epochs=epochs,
            batch=10,
            monitors=[monitor],
            schedulers=[scheduler],
            checkpoint=checkpoint,
            progress=False,
        )
        return history.drop_vars("seconds"), model.weight.detach(), scheduler.drops

    history, weight, drops = train(12)
    assert len(drops) >= 2
    assert float(history["learning_rate"][-1]) < 0.2
    train(5, tmp_path / "run.h5")
    again, same, dropped = train(12, tmp_path / "run.h5")
    assert again.identical(history)
    assert torch.equal(same, weight)
    assert dropped == drops


def test_state_through_a_file(tmp_path):
    monitor = Told({None: (0.0, 0.0)})
    scheduler = FluctuationScheduler(monitor, check_every=2)
    steps(monitor, 3)
    scheduler.step()
    save_checkpoint({"scheduler": scheduler.state_dict()}, tmp_path / "s.h5")
    other = FluctuationScheduler(monitor, check_every=2)
    other.load_state_dict(load_checkpoint(tmp_path / "s.h5")["scheduler"])
    assert other.state_dict() == scheduler.state_dict()


def test_control_averages_that_go_on_lower_at_once():
    """Negative control: without a new window after a drop, the next look would lower the rate again."""
    monitor = Told({None: (0.0, 0.0)})
    monitor.reset = lambda *groups: None
    monitor._follow = lambda: None
    scheduler = FluctuationScheduler(monitor, Y=0.5)
    steps(monitor, 3)
    scheduler.step()
    scheduler.step()
    assert rates(monitor) == [0.25]
