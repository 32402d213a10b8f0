"""The estimator of ||J||_F^2: its mean, its variance, the gradient of the penalty, and where it may be used."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
import sympy as sp
import torch
from oracles.cyclopropagation import penalty_and_gradients

import rgflow as rg
from rgflow.errors import InputError, UnknownName
from rgflow.nn.models.build import build
from rgflow.nn.smoothness.directions import KINDS, draw, generator
from rgflow.nn.smoothness.jacobian_norm import jacobian_norm
from rgflow.nn.smoothness.jacobian_penalty import JacobianPenalty, estimator_variance
from rgflow.nn.training.fit import fit

DOUBLE = torch.float64
ALL = ("sphere", "rademacher", "gaussian", "orthonormal")
C = 10


def fixed_jacobian():
    """Rows of very different length, so that directions matter."""
    rng = np.random.default_rng(20261123)
    return torch.from_numpy(rng.normal(size=(C, 40)) * np.linspace(0.2, 2.0, C)[:, None])


def estimates(kind, projections, draws):
    J = fixed_jacobian()
    v = draw(kind, projections, draws, C, generator(1))
    return (v @ J).square().sum(-1).mean(0)


def linear(J):
    model = torch.nn.Linear(J.shape[1], J.shape[0], bias=False, dtype=DOUBLE)
    model.weight.data.copy_(J)
    return model


# Mean and variance ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("projections", [1, 3])
def test_unbiased_with_the_variance_of_its_formula(kind, projections):
    """4e5 draws: the variance within 1 % (its own error is 0.5 % at most)."""
    draws = 400_000 if projections == 1 else 100_000
    found = estimates(kind, projections, draws)
    exact = fixed_jacobian().square().sum()
    predicted = estimator_variance(fixed_jacobian(), projections, kind)
    assert abs(found.mean() - exact) < 4 * (predicted / draws) ** 0.5
    centred = (found - found.mean()) ** 2
    error = centred.std() / draws**0.5  # of a measured variance
    assert abs(found.var() - predicted) < 4 * error
    assert abs(found.var() / predicted - 1) < 0.01


def test_the_variance_of_the_paper():
    """2C/(C+2) Tr A^2 - 2/(C+2) (Tr A)^2, typed."""
    J = fixed_jacobian()
    A = J @ J.T
    typed = 2 * C / (C + 2) * (A @ A).trace() - 2 / (C + 2) * A.trace() ** 2
    torch.testing.assert_close(estimator_variance(J), typed, rtol=1e-13, atol=0)
    assert float(estimator_variance(J) / A.trace() ** 2) <= 2 * (C - 1) / (C + 2)


def test_fourth_moments_are_those_of_the_distributions():
    """a = E v_1^2 v_2^2 and 3 a + b = E v_1^4, by integration: spheres of 2 and 3 dimensions, normal numbers, signs."""
    t, p, g = sp.symbols("t p g", real=True)
    circle = [sp.sqrt(2) * sp.cos(t), sp.sqrt(2) * sp.sin(t)]
    ball = [sp.sqrt(3) * sp.sin(p) * sp.cos(t), sp.sqrt(3) * sp.sin(p) * sp.sin(t)]
    over = {
        2: (circle, lambda f: sp.integrate(f, (t, 0, 2 * sp.pi)) / (2 * sp.pi)),
        3: (ball, lambda f: sp.integrate(f * sp.sin(p), (t, 0, 2 * sp.pi), (p, 0, sp.pi)) / (4 * sp.pi)),
    }
    for size, ((v, w), mean) in over.items():
        a, b = KINDS["sphere"].moments(size)
        assert float(mean(v**2 * w**2)) == pytest.approx(a, rel=1e-14)
        assert float(mean(v**4)) == pytest.approx(3 * a + b, rel=1e-14)
    normal = [sp.integrate(g**k * sp.exp(-(g**2) / 2), (g, -sp.oo, sp.oo)) / sp.sqrt(2 * sp.pi) for k in (2, 4)]
    a, b = KINDS["gaussian"].moments(5)
    assert [float(x) for x in (normal[0] ** 2, normal[1])] == [a, 3 * a + b]
    a, b = KINDS["rademacher"].moments(5)
    assert (a, 3 * a + b) == (1, 1)


def test_orthonormal_directions_end_in_the_exact_value():
    J = fixed_jacobian()
    assert float(estimator_variance(J, C, "orthonormal")) == 0.0
    found = estimates("orthonormal", C, 50)
    torch.testing.assert_close(found, torch.full_like(found, J.square().sum()), rtol=1e-13, atol=0)
    # never worse than independent ones
    for n in range(1, C + 1):
        assert estimator_variance(J, n, "orthonormal") <= estimator_variance(J, n) * (1 + 1e-12)


def test_control_without_the_factor_C():
    """Unit vectors without the factor C, as the paper's running text has it, estimate a C-th."""
    found = estimates("sphere", 1, 100_000) / C
    error = (estimator_variance(fixed_jacobian()) / 100_000) ** 0.5
    assert abs(found.mean() - fixed_jacobian().square().sum()) > 100 * error


# The penalty ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu"])
def test_gradient_is_the_closed_form(name):
    """Cyclopropagation in NumPy, to 1e-12: value and gradient by weights and biases."""
    rng = np.random.default_rng(3)
    sizes = [7, 9, 8, 4]
    weights = [rng.normal(size=(m, n)) / n**0.5 for n, m in pairwise(sizes)]
    biases = [rng.normal(size=m) for m in sizes[1:]]
    acting = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "gelu": torch.nn.GELU}[name]
    parts = []
    for W, b in zip(weights, biases, strict=True):
        layer = torch.nn.Linear(*W.shape[::-1], dtype=DOUBLE)
        layer.weight.data, layer.bias.data = torch.from_numpy(W), torch.from_numpy(b)
        parts += [layer, acting()]
    model = torch.nn.Sequential(*parts[:-1])
    x = rng.normal(size=(3, 7))
    value = JacobianPenalty(1.0, projections="exact")(torch.from_numpy(x), model)
    found = torch.autograd.grad(value, list(model.parameters()), allow_unused=True)  # nothing of the last bias
    each = [penalty_and_gradients(weights, biases, row, name) for row in x]
    assert abs(value.item() - np.mean([R for R, _, _ in each])) < 1e-12
    typed = [np.mean(g, axis=0) for l in range(3) for g in ([e[1][l] for e in each], [e[2][l] for e in each])]
    for by_machine, by_hand in zip(found, typed, strict=True):
        by_machine = np.zeros_like(by_hand) if by_machine is None else by_machine.numpy()
        np.testing.assert_allclose(by_machine, by_hand, atol=1e-12, rtol=0)
    wrong = [penalty_and_gradients(weights, biases, row, name, second_sign=-1.0) for row in x]
    off = max(np.abs(np.mean([e[1][0] for e in wrong], axis=0) - typed[0]).max(), 0.0)
    assert (off > 1e-3) == (name != "relu"), "control: the sign of phi'' is seen, where there is one"


def test_a_linear_model_has_weight_decay():
    J = fixed_jacobian()
    model = linear(J)
    x = torch.ones(4, 40, dtype=DOUBLE, requires_grad=True)
    value = JacobianPenalty(0.3, projections="exact")(x, model(x))
    assert value.item() == pytest.approx(0.15 * float(J.square().sum()), rel=1e-13)
    (gradient,) = torch.autograd.grad(value, model.weight)
    torch.testing.assert_close(gradient, 0.3 * J, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", ALL)
def test_random_directions_agree_with_the_exact_norm(kind):
    """Mean over calls, of a nonlinear model, within 4 standard errors of ``jacobian_norm``."""
    model = build(rg.MLP([6, 12, 5], "tanh", C_W=2.0), seed=2, dtype=DOUBLE)
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(50, 6)))
    exact = jacobian_norm(model, x)["norm"].values
    penalty = JacobianPenalty(1.0, projections=2, directions=kind, seed=4)
    tracked = x.clone().requires_grad_()
    z = model(tracked)
    found = np.array([penalty.squared_norms(tracked, z, create_graph=False).numpy() for _ in range(200)])
    assert penalty.calls == 200
    scaled = (found.mean(0) - exact) / (found.std(0, ddof=1) / 200**0.5)
    assert np.abs(scaled).max() < 4.5  # of 50 samples
    assert abs(scaled.mean()) < 4 / 50**0.5


@pytest.mark.parametrize("kind", ["sphere", "rademacher", "orthonormal"])
def test_one_output_needs_no_luck(kind):
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).double()
    x = torch.ones(3, 5, dtype=DOUBLE)
    exact = JacobianPenalty(1.0, projections="exact")(x, model)
    assert JacobianPenalty(1.0, directions=kind)(x, model).item() == pytest.approx(exact.item(), rel=1e-14)


def test_directions_depend_on_seed_and_call_only():
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    before = torch.random.get_rng_state()
    first, again, other = JacobianPenalty(seed=1), JacobianPenalty(seed=1), JacobianPenalty(seed=2)
    one, two = first(x, model).item(), first(x, model).item()
    assert one != two
    assert other(x, model).item() not in (one, two)
    again.load_state_dict({"seed": "1", "calls": 1})
    assert again(x, model).item() == two
    assert first.state_dict() == again.state_dict() == {"seed": "1", "calls": 2}
    assert torch.equal(before, torch.random.get_rng_state())
    in_double = JacobianPenalty(seed=1)(x.double(), model.double()).item()
    assert in_double == pytest.approx(one, rel=1e-5), "the same directions in another precision"
    with pytest.raises(InputError, match="another seed"):
        other.load_state_dict(first.state_dict())


def test_half_precision_adds_up_in_single():
    model = torch.nn.Linear(4000, 3, bias=False, dtype=torch.bfloat16)
    model.weight.data.fill_(0.5)
    x = torch.ones(2, 4000, dtype=torch.bfloat16)
    value = JacobianPenalty(2.0, projections="exact")(x, model)
    assert value.dtype == torch.float32
    assert value.item() == 3000.0  # in bfloat16 the sum stops growing at 256


def test_inputs_of_any_shape():
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.ReLU())
    x = torch.randn(4, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    value = JacobianPenalty(2.0, projections="exact")(x, model)
    jacobian = torch.autograd.functional.jacobian(lambda each: model(each[None])[0], x[1])
    total = jacobian_norm(model, x)["norm"].values
    assert total[1] == pytest.approx(float(jacobian.square().sum()), rel=1e-5)
    assert value.item() == pytest.approx(total.mean(), rel=1e-5)


def small_fit(strength, epochs, checkpoint=None):
    model = build(rg.MLP([64, 30, 10], "relu", C_W=2.0), seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    penalty = JacobianPenalty(strength, seed=0)
    about = {"batch": 100, "seed": 0, "progress": False, "checkpoint": checkpoint}
    history = fit(model, rg.nn.digits(), optimizer=optimizer, epochs=epochs, penalty=penalty, **about)
    return model, history, penalty


def test_in_fit_it_makes_the_norm_small():
    """On the digits: a third of the norm or less, for less than four points of accuracy."""
    data = rg.nn.digits()
    (plain, before, _), (smooth, after, penalty) = small_fit(0.0, 6), small_fit(0.1, 6)
    norms = [float(jacobian_norm(model, data.X_test)["mean"]) for model in (plain, smooth)]
    assert norms[1] < norms[0] / 3
    assert float(before["test_accuracy"][-1]) - float(after["test_accuracy"][-1]) < 0.04
    assert penalty.calls == 6 * (len(data.X) // 100)


def test_fit_goes_on_with_the_same_directions(tmp_path):
    whole = small_fit(0.1, 2)
    small_fit(0.1, 1, tmp_path / "half.h5")
    resumed = small_fit(0.1, 2, tmp_path / "half.h5")
    for one, other in zip(whole[0].parameters(), resumed[0].parameters(), strict=True):
        assert torch.equal(one, other)
    assert resumed[2].calls == whole[2].calls


# Refusals -------------------------------------------------------------------------------------------------------------


def mixing_model(where):
    norm = {"batch norm": torch.nn.BatchNorm1d(6), "batch mean": BatchMean()}[where]
    return torch.nn.Sequential(torch.nn.Linear(5, 6), norm, torch.nn.Tanh(), torch.nn.Linear(6, 3)).double()


class BatchMean(torch.nn.Module):
    """Mixes samples, and no list of module types knows it."""

    def forward(self, z):
        return z - z.mean(0)


@pytest.mark.parametrize("where", ["batch norm", "batch mean"])
def test_samples_that_see_one_another_are_refused(where):
    model, x = mixing_model(where), torch.randn(4, 5, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    with pytest.raises(InputError, match="samples"):
        JacobianPenalty()(x, model)
    tracked = x.clone().requires_grad_()
    with pytest.raises(InputError, match="samples"):
        JacobianPenalty()(tracked, model(tracked))
    with pytest.raises(InputError, match="samples"):
        jacobian_norm(model, x)
    if where == "batch norm":
        model.eval()
        assert JacobianPenalty()(x, model).item() > 0


def test_control_sums_over_a_batch_norm_are_not_the_jacobians():
    """What would come out: the sum over the batch is not the norm of single Jacobians."""
    model, x = mixing_model("batch norm"), torch.randn(4, 5, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    penalty = JacobianPenalty(2.0, projections="exact")
    penalty._apart = True  # as if it had been looked at
    tracked = x.clone().requires_grad_()
    summed = penalty(tracked, model(tracked)).item()
    full = torch.autograd.functional.jacobian(model, x)
    single = sum(full[b, :, b].square().sum().item() for b in range(4)) / 4
    assert abs(summed / single - 1) > 0.05


def test_what_cannot_be_differentiated_is_refused():
    model = torch.nn.Linear(3, 2)
    x = torch.ones(2, 3)
    penalty = JacobianPenalty()
    with pytest.raises(InputError, match="requires_grad_"):
        penalty(x, model(x))
    tracked = x.clone().requires_grad_()
    with torch.no_grad(), pytest.raises(InputError, match="no graph"):
        penalty(tracked, model(tracked))
    with pytest.raises(InputError, match="no graph"):
        penalty(tracked, model(tracked).detach())
    with pytest.raises(InputError, match="does not depend on x"):
        JacobianPenalty()(x[:1].clone().requires_grad_(), model(tracked)[:1])
    with pytest.raises(InputError, match="int64"):
        penalty(torch.ones(2, 3, dtype=torch.int64), model)
    with pytest.raises(InputError, match="shape"):
        penalty(tracked, model(tracked)[:1])
    with pytest.raises(InputError, match="tensors"):
        penalty(tracked, "z")


def test_settings_are_checked():
    for wrong in (-0.1, float("nan"), "much", True):
        with pytest.raises(InputError, match="strength"):
            JacobianPenalty(wrong)
    for wrong in (0, 1.5, "all", True):
        with pytest.raises(InputError, match="projections"):
            JacobianPenalty(projections=wrong)
    with pytest.raises(UnknownName, match="sphere"):
        JacobianPenalty(directions="sphre")
    with pytest.raises(InputError, match="orthonormal"):
        JacobianPenalty(projections=3, directions="orthonormal")(torch.ones(2, 3), torch.nn.Linear(3, 2))
    with pytest.raises(InputError, match="shape"):
        estimator_variance(np.ones(3))
    with pytest.raises(InputError, match="J is a str"):
        estimator_variance("J")
    assert "0.01" in repr(JacobianPenalty())


def test_frozen_and_shared_parameters():
    shared = torch.nn.Linear(4, 4)
    model = torch.nn.Sequential(shared, torch.nn.Tanh(), shared)
    shared.bias.requires_grad_(False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        JacobianPenalty(1.0)(torch.ones(3, 4), model).backward()
    assert shared.weight.grad is not None
    assert shared.bias.grad is None


def test_a_softmax_does_not_hide_what_it_does():
    """The sum of its outputs is 1 whatever the other samples do."""
    model = torch.nn.Sequential(mixing_model("batch mean"), torch.nn.Softmax(1))
    with pytest.raises(InputError, match="samples"):
        JacobianPenalty()(torch.randn(4, 5, dtype=DOUBLE, generator=torch.Generator().manual_seed(1)), model)


class Exp(torch.nn.Module):
    def forward(self, z):
        return z.exp()


def test_numbers_that_overflow_are_not_taken_for_mixing():
    """Backwards, 0 times infinity is not a number in the rows of the other samples: no sign that they mix."""
    model = torch.nn.Sequential(Exp(), torch.nn.Linear(2, 2))
    assert not torch.isfinite(JacobianPenalty()(torch.full((3, 2), 1e30), model))


def test_the_variance_of_what_is_not_finite_is_refused():
    with pytest.raises(InputError, match="J holds NaN"):
        estimator_variance(torch.tensor([[1.0, torch.nan]]))
