"""Hessian and anharmonicity from a sweep of rates, where they are known; pictures of fluctuations."""

import matplotlib
import numpy as np
import pytest
import torch

from rgflow.errors import InputError
from rgflow.files import load, save
from rgflow.nn.fluctuation.landscape import landscape, straight_line
from rgflow.nn.fluctuation.monitor import FluctuationMonitor
from rgflow.nn.training.data import Data
from rgflow.nn.training.fit import fit
from rgflow.plots.fluctuation import plot_fluctuations, plot_landscape

RATES = (0.4, 0.2, 0.1)
COPIES, EXAMPLES, BATCH = 200, 1000, 50


class Copies(torch.nn.Module):
    """Many parameters, each with a copy of f(theta) - theta y of its own, y noise."""

    def __init__(self, f, start):
        super().__init__()
        self.f = f
        self.theta = torch.nn.Parameter(start)

    def forward(self, x):
        return self.theta.expand(len(x), -1)

    def loss(self, output, y):
        return self.f(output[0]).sum() - (output[0] * y.mean(dim=0)).sum()


def noisy(copies=COPIES, examples=EXAMPLES, s=0.5):
    random = torch.Generator().manual_seed(4)
    y = s * torch.randn(examples, copies, generator=random, dtype=torch.float64)
    y = y - y.mean(dim=0)  # the full gradient is that of f
    return Data(torch.zeros(examples, 1, dtype=torch.float64), y, torch.zeros(1, 1), torch.zeros(1, copies)), y


@pytest.fixture(scope="module")
def harmonic():
    data, y = noisy()
    model = Copies(lambda t: 0.5 * 1.5 * t.square(), torch.zeros(COPIES, dtype=torch.float64))
    settings = {"epochs": 18, "batch": BATCH, "loss": model.loss, "progress": False}
    return landscape(model, data, RATES, **settings), y, model


def test_a_harmonic_surface(harmonic):
    """In one dimension G/O_R = h whatever the rate; 2G/eta = 2 h s^2/(2 - eta h) (page section 1), times the copies."""
    ds, y, model = harmonic
    s2 = float(y.square().mean(dim=0).sum()) / BATCH * (1 - BATCH / EXAMPLES)  # of batches without repetition
    eta, h = ds["rate"].values, 1.5
    assert ds["hessian"].values == pytest.approx(np.full(3, h), abs=3.5 * float(ds["hessian_se"].max()))
    assert float(ds["hessian_se"].max()) < 0.1
    assert np.all(np.abs(ds["TrHC"] - 2 * h * s2 / (2 - eta * h)) < 3.5 * ds["TrHC_se"])
    assert np.all(np.abs(ds["FDR1"]) < 0.03)
    line = 2 * h * s2 / (2 - eta * h)
    level, tilt, _ = straight_line(eta / 0.4, line, ds["TrHC_se"].values)
    assert float(ds["TrHC_0"]) == pytest.approx(level, abs=3.5 * float(ds["TrHC_0_se"]))
    assert float(ds["anharmonicity"]) == pytest.approx(tilt / level, abs=3.5 * float(ds["anharmonicity_se"]))
    assert float(model.theta.detach().abs().max()) == 0.0  # the model itself is not trained


def test_a_quartic_surface_is_seen():
    """f = h theta^2/2 + theta^4/4 is stiffer where fluctuations are larger: the Hessian grows with the rate."""
    data, _ = noisy(copies=600, s=5.5)
    model = Copies(lambda t: 0.75 * t.square() + 0.25 * t**4, torch.zeros(600, dtype=torch.float64))
    ds = landscape(model, data, (0.4, 0.1), epochs=20, batch=BATCH, loss=model.loss, progress=False)
    growth = float(ds["hessian"][0] / ds["hessian"][1]) - 1
    error = float(np.hypot(*(ds["hessian_se"] / ds["hessian"]).values)) * (1 + growth)
    assert growth > 4 * error


def test_momentum_leaves_the_surface():
    data, _ = noisy()
    model = Copies(lambda t: 0.75 * t.square(), torch.zeros(COPIES, dtype=torch.float64))
    settings = {"epochs": 20, "batch": BATCH, "momentum": 0.5, "dampening": 0.3, "loss": model.loss, "progress": False}
    ds = landscape(model, data, (0.2, 0.1), **settings)
    assert ds["hessian"].values == pytest.approx(np.full(2, 1.5), abs=3.5 * float(ds["hessian_se"].max()))


def test_control_shuffled_noise_is_no_independent_noise(harmonic):
    """Negative control: batches that go through all examples cancel over an epoch, and G at its end is too small."""
    data, _ = noisy()
    model = Copies(lambda t: 0.5 * 1.5 * t.square(), torch.zeros(COPIES, dtype=torch.float64))
    settings = {"epochs": 18, "batch": BATCH, "loss": model.loss, "progress": False}
    shuffled = landscape(model, data, (0.02, 0.01), order="shuffled", **settings)
    assert np.all(shuffled["hessian"] + 5 * shuffled["hessian_se"] < 1.5)


def test_a_line_through_points_with_errors():
    random = np.random.default_rng(0)
    x, error = np.linspace(0.1, 1.0, 6), np.linspace(0.5, 2.0, 6)
    y = 3.0 + 2.0 * x + error * random.standard_normal((4000, 6))
    fits = np.array([straight_line(x, row, error)[:2] for row in y])
    covariance = straight_line(x, y[0], error)[2]
    assert fits.mean(axis=0) == pytest.approx([3.0, 2.0], abs=4 * float(np.sqrt(covariance.max() / 4000)))
    # a variance of 4000 numbers is known to 2.2 %
    assert np.cov(fits.T) == pytest.approx(covariance, rel=4 * 0.03)
    assert np.isnan(straight_line(x, y[0], np.full(6, np.nan))[2]).all()


@pytest.mark.parametrize(
    ("rates", "epochs", "reason"),
    [
        ([0.1], 2, "two"),
        ([0.1, 0.1], 2, "two"),
        ([0.1, -0.1], 2, "rate"),
        ([0.1, float("nan")], 2, "rate"),
        ([0.2, 0.1], 1, "epochs"),
        ([0.2, 0.1], [2, 2, 2], "one for each"),
    ],
)
def test_settings_outside_their_domain(rates, epochs, reason):
    data, _ = noisy(2, 10)
    model = Copies(torch.square, torch.zeros(2, dtype=torch.float64))
    with pytest.raises(InputError, match=reason):
        landscape(model, data, rates, epochs=epochs, batch=5, loss=model.loss)


def test_a_rate_at_which_training_explodes():
    data, _ = noisy(2, 100)
    model = Copies(torch.square, torch.ones(2, dtype=torch.float64))
    with pytest.raises(InputError, match="smaller rates"):
        landscape(model, data, (9.0, 0.1), epochs=60, batch=5, loss=model.loss, progress=False)


def test_results_are_saved_without_loss(harmonic, tmp_path):
    found = history()
    model = Copies(torch.square, torch.ones(4, dtype=torch.float64))
    averages = FluctuationMonitor(torch.optim.SGD(model.parameters(), lr=0.1)).averages()
    for number, ds in enumerate((harmonic[0], found, averages)):
        save(ds, tmp_path / f"{number}.nc")
        assert load(tmp_path / f"{number}.nc").identical(ds)


# Pictures -------------------------------------------------------------------------------------------------------------


def history():
    data, _ = noisy(4, 100)
    model = Copies(torch.square, torch.ones(4, dtype=torch.float64))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monitor = FluctuationMonitor(optimizer)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    settings = {"loss": model.loss, "epochs": 4, "batch": 10, "schedulers": [schedule], "progress": False}
    return fit(model, data, optimizer=optimizer, monitors=[monitor], **settings)


def test_pictures(harmonic):
    found = history()
    ax = plot_fluctuations(found)
    assert [line.get_linestyle() for line in ax.lines[:2]] == ["-", "--"]
    assert ax.lines[0].get_ydata().tolist() == found["O_L"].values.tolist()
    assert len(ax.lines) == 3  # one drop of the rate is marked
    assert plot_fluctuations({"a": found, "b": found}, ax=ax) is ax
    ax = plot_landscape(harmonic[0])
    assert ax.get_ylim()[0] == 0.0
    assert matplotlib.get_backend()


def test_pictures_refuse_other_datasets(harmonic):
    with pytest.raises(InputError, match="monitors"):
        plot_fluctuations(harmonic[0])
    with pytest.raises(InputError, match="landscape"):
        plot_landscape(history())
    with pytest.raises(InputError, match="7 histories"):
        plot_fluctuations({str(k): history() for k in range(7)})
