"""Both relations where everything is known: closed forms in one dimension, least squares, a double well.

Many independent copies of a problem are the entries of one parameter, so that a run of some thousand steps is long.
"""

import numpy as np
import pytest
import torch

from rgflow.nn.fluctuation import monitor as monitor_file
from rgflow.nn.fluctuation.monitor import FluctuationMonitor
from rgflow.nn.training.data import Data

COPIES = 2000
MOVES = [(0.0, 0.0), (0.9, 0.0), (0.5, 0.3)]
moves = pytest.mark.parametrize(("mu", "nu"), MOVES)


class Harmonic(torch.nn.Module):
    """f = h |theta|^2 / 2, whatever x is."""

    def __init__(self, h, theta):
        super().__init__()
        self.h, self.theta = h, theta

    def forward(self, x):
        return 0.5 * self.h * self.theta.square().sum()


def nothing():
    one = torch.zeros(1, 1, dtype=torch.float64)
    return Data(one, one, one, one)


def linear(output, y):
    return output


def run(mu=0.0, nu=0.0, decay=0.0, eta=0.1, h=1.0, s=1.0, steps=960, warm=150, every=24, force=None, **more):
    """The averages, per copy, of theta' = theta + eta v' with gradient h theta + s xi, after a warm start."""
    random = torch.Generator().manual_seed(3)
    theta = torch.zeros(COPIES, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=eta, momentum=mu, dampening=nu, weight_decay=decay)
    found = FluctuationMonitor(optimizer, full_gradient=True, **more)
    model = Harmonic(h, theta)
    force = force or (lambda x: h * x)
    for step in range(warm + steps):
        if step == warm:
            found.reset()
        noise = torch.randn(COPIES, generator=random, dtype=torch.float64)
        theta.grad = force(theta.detach()) + s * noise
        optimizer.step()
        if step >= warm and step % every == 0:
            found.measure(model, nothing(), loss=linear)
    ds = found.averages().sel(group="total")
    return {name: float(ds[name]) / (1 if "FDR" in name else COPIES) for name in ds.data_vars}


def stationary(mu, nu, eta, h, s):
    """<theta^2>, <theta v>, <v^2> of the pair (theta, v), from the linear equation of its covariance. No torch."""
    step = np.array([[1 - eta * (1 - nu) * h, eta * mu], [-(1 - nu) * h, mu]])
    noise = s * (1 - nu) * np.array([eta, 1.0])
    answer = np.linalg.solve(np.eye(4) - np.kron(step, step), np.outer(noise, noise).reshape(-1))
    return answer[0], answer[1], answer[3]


@pytest.mark.parametrize(("eta", "h", "s"), [(0.1, 1.0, 1.0), (0.5, 1.5, 2.0)])
def test_closed_forms_in_one_dimension(eta, h, s):
    """Page section 1: O_L = O_R = eta s^2/(2 - eta h), G = eta h s^2/(2 - eta h), within 3 standard errors."""
    found = run(eta=eta, h=h, s=s)
    exact = eta * s**2 / (2 - eta * h)
    assert found["O_L"] == pytest.approx(exact, abs=3 * found["O_L_se"])
    assert found["O_R"] == pytest.approx(exact, abs=3 * found["O_R_se"])
    assert found["G"] == pytest.approx(h * exact, abs=3 * found["G_se"])
    assert found["G_se"] < 0.02 * found["G"]  # and that says something


def test_weight_decay_is_part_of_the_surface():
    """h becomes h + lambda."""
    found = run(decay=0.3)
    exact = 0.1 / (2 - 0.1 * 1.3)
    assert found["O_L"] == pytest.approx(exact, abs=3 * found["O_L_se"])
    assert found["O_R"] == pytest.approx(exact, abs=3 * found["O_R_se"])
    assert found["G"] == pytest.approx(1.3 * exact, abs=3 * found["G_se"])


@moves
def test_momentum_and_dampening(mu, nu):
    """FDR1' within its own standard error; O_R and G as the covariance of (theta, v) has them."""
    eta, h, s = 0.1, 1.0, 1.0
    found = run(mu=mu, nu=nu)
    square, cross, speed = stationary(mu, nu, eta, h, s)
    assert abs(found["FDR1"]) < found["FDR1_se"] < 0.01
    assert found["O_R"] == pytest.approx(eta / 2 * (1 + mu) / (1 - nu) * speed, abs=3 * found["O_R_se"])
    left = (1 - nu) * h**2 * square - mu * h * cross
    assert left == pytest.approx(eta / 2 * h * speed)  # FDR2', exact for a harmonic surface
    assert found["G"] == pytest.approx(left, abs=4 * found["G_se"])


def test_a_shift_leaves_averages_and_lowers_the_error():
    """A surface about theta = 50: fluctuations of O_L are those of 50 g, unless theta is counted from its mean."""
    far = {"force": lambda x: x - 50.0, "steps": 800, "warm": 300, "every": 5000}
    plain, start, mean = (run(shift=how, **far) for how in (None, "start", "mean"))
    exact = 0.1 / (2 - 0.1)
    for found in (plain, start, mean):
        assert found["O_R"] == plain["O_R"]
        assert found["O_L"] == pytest.approx(exact, abs=3 * found["O_L_se"])
    assert plain["O_L_se"] > 5 * max(start["O_L_se"], mean["O_L_se"])


def test_a_surface_that_is_not_harmonic():
    """Double well theta^4/4 - theta^2/2: FDR1 holds; G is far from (eta/2) h <v^2> with a mean h."""
    random = torch.Generator().manual_seed(5)
    theta = torch.ones(COPIES, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=0.1)
    found = FluctuationMonitor(optimizer)
    for step in range(1500):
        if step == 500:
            found.reset()
        x = theta.detach()
        theta.grad = x**3 - x + torch.randn(COPIES, generator=random, dtype=torch.float64)
        optimizer.step()
    ratio, error = found.ratio()
    assert abs(ratio) < error < 0.01


class Lines(torch.nn.Module):
    """Copies of a linear model: x -> one output for each."""

    def __init__(self, theta):
        super().__init__()
        self.theta = theta

    def forward(self, x):
        return x @ self.theta.T


def half_squares(output, y):
    """Summed over copies, half the mean over examples."""
    return 0.5 * (output - y).square().mean(dim=0).sum()


def least_squares(mu, eta, copies, steps, every, warm=400):
    """Averages of the monitor, and (eta/2) v'.H v' of the steps themselves over the same later half."""
    random = torch.Generator().manual_seed(7)
    kind = {"generator": random, "dtype": torch.float64}
    scales = torch.linspace(0.6, 1.6, 6, dtype=torch.float64)
    X = torch.randn(300, 6, **kind) * scales
    y = X @ torch.randn(6, 1, **kind) + torch.randn(300, 1, **kind)
    theta = torch.zeros(copies, 6, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=eta, momentum=mu)
    found = FluctuationMonitor(optimizer, full_gradient=True, curvature=4, shift="start")
    model, data = Lines(theta), Data(X, y, X[:1], y[:1])
    hessian = X.T @ X / 300
    bent = []
    for step in range(warm + steps):
        if step == warm:
            found.reset()
        rows = torch.randint(300, (copies, 20), generator=random)
        x = X[rows]
        residual = (x @ theta.detach()[:, :, None])[:, :, 0] - y[rows, 0]
        theta.grad = (residual[:, None, :] @ x)[:, 0, :] / 20
        optimizer.step()
        v = -optimizer.state[theta]["momentum_buffer"] if mu else -theta.grad
        bent.append(eta / 2 * float(((v @ hessian) * v).sum()))
        if step >= warm and step % every == 0:
            found.measure(model, data, loss=half_squares, batch=20)
    ds = found.averages().sel(group="total")
    return {str(name): float(ds[name]) for name in ds.data_vars}, np.mean(bent[warm + steps // 2 :])


@pytest.mark.parametrize(("mu", "eta"), [(0.0, 0.05), (0.9, 0.02)])
def test_least_squares(mu, eta):
    """Noise that is neither white nor independent of theta: |O_L/O_R - 1| < 1 %, FDR2' within 3 standard errors."""
    found, witness = least_squares(mu, eta, copies=150, steps=1000, every=20)
    assert abs(found["FDR1"]) < 0.01
    assert found["G"] == pytest.approx(witness, abs=3 * found["G_se"])
    assert found["G_se"] < 0.06 * witness
    # all copies meet the same mini-batches here, drawn without repetition: one part in 15 of their noise is missing
    assert found["G_H"] == pytest.approx(witness, abs=3 * found["G_H_se"] + witness / 15)


@pytest.mark.slow
@pytest.mark.parametrize(("mu", "eta"), [(0.0, 0.05), (0.9, 0.02)])
def test_least_squares_within_two_percent(mu, eta):
    found, witness = least_squares(mu, eta, copies=1500, steps=4000, every=10)
    assert abs(found["FDR1"]) < 0.01
    assert found["G_se"] < 0.01 * witness
    assert found["G"] == pytest.approx(witness, rel=0.02)


# Negative controls: what is left out is seen by the tests above.


def test_control_a_gradient_without_weight_decay(monkeypatch):
    monkeypatch.setattr(monitor_file, "gradient", lambda parameter, decay: parameter.grad)
    with pytest.raises(AssertionError):
        test_weight_decay_is_part_of_the_surface()


def test_control_theta_after_the_step(monkeypatch):
    """O_L becomes <theta' . g> = O_L - eta <g^2> = -O_L."""
    plain = monitor_file.Centre.from_it

    def after(self, parameter):
        return plain(self, parameter) - 0.1 * parameter.grad

    monkeypatch.setattr(monitor_file.Centre, "from_it", after)
    with pytest.raises(AssertionError):
        test_closed_forms_in_one_dimension(0.1, 1.0, 1.0)


@pytest.mark.parametrize(("mu", "nu"), MOVES[1:])
def test_control_without_the_factor_of_momentum(monkeypatch, mu, nu):
    monkeypatch.setattr(monitor_file.Motion, "left", property(lambda self: self.rate / 2))
    with pytest.raises(AssertionError):
        test_momentum_and_dampening(mu, nu)
