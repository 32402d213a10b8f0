"""Bayesian posteriors at order 1/n: typed formulas, the exact posterior, sampled modes, refusals and warnings.

Witnesses: the formulas for mean, covariance and evidence with V as an array of four indices; importance averages over
sampled kernels (:mod:`oracles.exact_posterior`), which know no expansion; differences of kernels; a known number.
"""

import warnings
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose
from oracles.exact_posterior import Problem, exact_posterior

import rgflow as rg
from rgflow.errors import DomainWarning, InputError
from rgflow.predict.bayes.kernel_map import _by_quadrature, kernel_map
from rgflow.predict.bayes.metric import Metric, exact_metric
from rgflow.predict.bayes.neurons import correction, neurons
from rgflow.predict.bayes.posterior import posterior
from rgflow.predict.bayes.regression import regression, respond

# One formula ----------------------------------------------------------------------------------------------------------


def random_metric(rng, size, fluctuations=4):
    A = rng.standard_normal((size, size + 2))
    G = rng.standard_normal((fluctuations, size, size))
    G = G + G.transpose(0, 2, 1)
    V = np.einsum("k,kab,kcd->abcd", [0.3, 0.2, -0.1, 0.05], G, G)  # of any sign
    return Metric(A @ A.T / size, G[0] / 7, V)


def typed(metric, y, noise, without=()):
    """Mean, covariance and log evidence as typed formulas (Yaida, arXiv:1910.00019), with V of four indices."""
    N, o = y.shape
    K, S, V = metric.kernel, metric.change, metric.vertex
    k = np.linalg.inv(K[:N, :N] + noise * np.eye(N))
    M = K[N:, :N] @ k
    a = k @ y
    P = np.concatenate([-M, np.eye(len(K) - N)], axis=1)  # subtracts the regression of a test index
    Sr, Srr = P @ S[:, :N], P @ S @ P.T
    Vr = np.einsum("Bm,mbcd->Bbcd", P, V)[:, :N, :N, :N]
    Vrr_together = np.einsum("Bm,Cp,mpcd->BCcd", P, P, V)[:, :, :N, :N]
    Vrr_apart = np.einsum("Bm,Cp,mapc->BaCc", P, P, V)[:, :N, :, :N]
    label = a @ a.T - o * k
    mean = Sr @ a
    if "pull" not in without:
        mean += np.einsum("Babc,ai,bc->Bi", Vr, a, label) / 2
    if "bend" not in without:
        mean -= np.einsum("Babc,ab,ci->Bi", Vr, k, a)
    delta = np.eye(o)
    alone = Srr + np.einsum("BCab,ab->BC", Vrr_together, label) / 2 - np.einsum("BaCc,ac->BC", Vrr_apart, k)
    covariance = alone[:, :, None, None] * delta + np.einsum("BaCc,ai,cj->BCij", Vrr_apart, a, a)
    evidence = np.einsum("ab,ab->", S[:N, :N], label) / 2
    V = V[:N, :N, :N, :N]
    aa = np.einsum("ai,bi->ab", a, a)
    he4 = np.einsum("abcd,ab,cd->", V, aa, aa) - 2 * o * np.einsum("abcd,ab,cd->", V, k, aa)
    he4 += o**2 * np.einsum("abcd,ab,cd->", V, k, k)
    he4 += -4 * np.einsum("abcd,ac,bd->", V, k, aa) + 2 * o * np.einsum("abcd,ac,bd->", V, k, k)
    return mean, covariance, evidence + he4 / 8


def found(metric, y, noise, joint=True):
    problem = regression(metric.kernel, y, noise, joint)
    return problem.shift(metric.change, respond(problem, *metric.modes()))


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_typed_formulas(seed):
    """Both are sums of some N^4 products of inverses: equal to rounding times the condition number (< 1e3 here)."""
    rng = np.random.default_rng(seed)
    metric = random_metric(rng, 5)
    y = rng.standard_normal((3, 2))
    shift = found(metric, y, 0.2)
    for here, there in zip(shift, typed(metric, y, 0.2), strict=True):
        assert_allclose(here, there, rtol=0, atol=1e-10 * np.abs(there).max())
    alone = found(metric, y, 0.2, joint=False)
    assert_allclose(alone.covariance, np.einsum("mmij->mij", shift.covariance), rtol=0, atol=1e-11)


@pytest.mark.parametrize("term", ["pull", "bend"])
def test_control_a_term_is_missing(term):
    metric = random_metric(np.random.default_rng(0), 5)
    y = np.random.default_rng(1).standard_normal((3, 2))
    shift, lacking = found(metric, y, 0.2).mean, typed(metric, y, 0.2, without=(term,))[0]
    assert np.abs(shift - lacking).max() > 0.1 * np.abs(shift).max()


def test_modes_are_the_vertex():
    metric = random_metric(np.random.default_rng(3), 4)
    weights, modes = metric.modes()
    assert_allclose(np.einsum("k,kab,kcd->abcd", weights, modes, modes), metric.vertex, rtol=0, atol=1e-12)
    assert (weights < -0.01).any()


# The exact posterior --------------------------------------------------------------------------------------------------

RELU = {"activation": "relu", "sigma": lambda z: np.maximum(z, 0.0), "C_b": 0.1, "C_W": 2.0, "noise": 0.05}
SCALE = np.sqrt(2.0)  # x.x/n_0 = |x|^2 as written
INPUTS = {
    "likely": SCALE * np.array([[1.0, 0.3], [-0.4, 0.9], [0.7, 0.8]]),
    "far": SCALE * np.array([[0.8, 0.8], [0.1, -1.4], [-0.1, -0.8]]),
}
TARGETS = {"likely": np.array([[0.8, -0.5], [-0.3, 0.9]]), "far": np.array([[-1.1, 0.2], [-0.5, -0.8]])}


@cache
def unit_metric(which):
    """With one hidden layer everything is exactly proportional to 1/n: found once, at n = 1."""
    return exact_metric(rg.MLP([2, 1, 2], "relu", C_b=RELU["C_b"], C_W=RELU["C_W"]), INPUTS[which])


def compared(which, widths, draws):
    """At each width the exact shifts, the predicted ones and the errors of the exact: mean, covariance, evidence."""
    x, y = INPUTS[which], TARGETS[which]
    C_b, C_W, noise = RELU["C_b"], RELU["C_W"], RELU["noise"]
    unit = unit_metric(which)
    problem = regression(unit.kernel, y, noise, True)
    shift = problem.shift(unit.change, respond(problem, *unit.modes()))
    sampled = Problem(C_b + C_W * x @ x.T / 2, y, noise, RELU["sigma"], C_b, C_W)
    rows = []
    for n in widths:
        exact = exact_posterior(sampled, unit.kernel, n, draws, seed=n)
        leading = problem.mean, problem.spread[..., None, None] * np.eye(2), problem.log_evidence
        whole = exact.mean, exact.covariance, exact.log_evidence
        here = [np.asarray(value - infinite) for value, infinite in zip(whole, leading, strict=True)]
        rows.append((here, [np.asarray(s / n) for s in shift], [np.asarray(e) for e in exact.errors]))
    return rows


def fall(rows, part, at=()):
    """Residual at a width over that at twice the width, and the error of the ratio, for each doubling."""
    residuals = np.array([(here[part] - there[part])[at] for here, there, _ in rows])
    errors = np.array([error[part][at] for *_, error in rows])
    ratio = residuals[:-1] / residuals[1:]
    return ratio, np.abs(ratio) * np.hypot(errors[:-1] / residuals[:-1], errors[1:] / residuals[1:])


@pytest.fixture(scope="module")
def likely():
    return compared("likely", (50, 100, 200), 40_000)


def test_shift_at_n_50(likely):
    """Mean, coupling of outputs and evidence within 15 % of the exact shift, its sampling error included."""
    (mean, covariance, evidence), predicted, errors = likely[0]
    assert np.linalg.norm(mean - predicted[0]) + 2 * np.linalg.norm(errors[0]) < 0.15 * np.linalg.norm(mean)
    coupling = covariance[0, 0, 0, 1]
    assert abs(coupling - predicted[1][0, 0, 0, 1]) + 2 * errors[1][0, 0, 0, 1] < 0.15 * abs(coupling)
    assert abs(evidence - predicted[2]) + 2 * errors[2] < 0.15 * abs(evidence)


def test_control_without_what_the_data_do_to_the_metric(likely):
    """Leave out the pull of the data on the metric, and the exact posterior says no."""
    unit = unit_metric("likely")
    lacking = typed(unit, TARGETS["likely"], 0.05, without=("pull",))[0] / 50
    (mean, *_), (_, *_), errors = likely[0]
    assert np.linalg.norm(mean - lacking) - 3 * np.linalg.norm(errors[0]) > 0.15 * np.linalg.norm(mean)


def test_residual_of_covariance_and_evidence_falls_fourfold(likely):
    """The next order is 1/n^2: from n = 100 to 200 at least by 3.2, and by 4 within what 1/n^3 and sampling leave."""
    for part, at in ((1, (0, 0, 0, 0)), (1, (0, 0, 1, 1)), (2, ())):
        ratio, error = fall(likely, part, at)
        assert ratio[-1] - error[-1] > 3.2
        assert abs(ratio[-1] - 4) < 0.6 + 2 * error[-1]


def test_residual_of_the_mean_falls_fourfold():
    ratio, error = fall(compared("far", (50, 100, 200), 40_000), 0, (0, 0))
    assert np.all(np.abs(ratio - 4) < 0.6 + error)
    assert np.all(error < 0.5)


@pytest.mark.slow
def test_residuals_at_full_size():
    """4 +- 0.6 for the mean, above 3.2 for what else, with errors that can tell."""
    far, likely = compared("far", (25, 50, 100, 200), 1_000_000), compared("likely", (50, 100, 200), 400_000)
    ratio, error = fall(far, 0, (0, 0))
    assert np.all(np.abs(ratio - 4) < 0.6)
    assert np.all(error < 0.15)
    for rows, part, at in ((far, 1, (0, 0, 0, 1)), (likely, 1, (0, 0, 0, 0)), (likely, 2, ())):
        ratio, error = fall(rows, part, at)
        assert ratio[-1] - 2 * error[-1] > 3.2


def test_control_the_leading_order_alone_falls_twofold(likely):
    alone = [(here, [0 * p for p in there], error) for here, there, error in likely]
    ratio, _ = fall(alone, 2)
    assert np.all(np.abs(ratio - 2) < 0.2)


def test_a_number_known_from_elsewhere():
    """One training and one test input, two hidden layers of tanh: m = 1.394690 + 0.02709/n."""
    net = rg.MLP([2, 1, 1, 1], "tanh", C_b=0.3, C_W=1.4)
    with pytest.warns(DomainWarning):
        ds = posterior(net, ([[1.0, 0.4]], [2.0]), [[-0.3, 1.7]])
    assert float(ds["mean_infinite"][0, 0]) == pytest.approx(1.394690, abs=5e-7)
    assert float(ds["mean_shift"][0, 0]) == pytest.approx(0.02709, abs=5e-6)


# Sampled modes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("widths", "activation", "covariance"),
    [
        ([3, 50, 2], "relu", "joint"),
        ([3, 50, 2], "tanh", "each"),
        ([3, 50, 2], "relu", "none"),
        ([3, 50, 60, 2], "tanh", "joint"),
        pytest.param([3, 90, 50, 70, 2], "relu", "each", marks=pytest.mark.slow),
    ],
)
def test_sampled_modes_agree_with_exact_ones(widths, activation, covariance):
    """Within 4.5 of their own standard errors: of eight scrambles, hence Student's t, p = 0.003 for one number.

    A number with a small accidental spread is judged by the spread of its kind.
    """
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((4, 3)), rng.standard_normal((2, 2)) / 2
    net = rg.MLP(widths, activation, C_b=0.1, C_W=1.6)
    exact = posterior(net, (x[:2], y), x[2:], 0.1, modes="exact", covariance=covariance)
    sampled = posterior(net, (x[:2], y), x[2:], 0.1, modes="sampled", draws=2**15, covariance=covariance)
    for name in ("mean", "log_evidence", *(("covariance",) if covariance != "none" else ())):
        assert_allclose(sampled[f"{name}_infinite"], exact[f"{name}_infinite"], rtol=1e-8, atol=1e-12)
        error = sampled[f"{name}_se"].values
        error = np.maximum(error, np.sqrt(np.mean(error**2)) / 2)
        away = np.abs(sampled[f"{name}_shift"] - exact[f"{name}_shift"]).values
        assert np.all(away < 4.5 * error)
        assert np.all(error < 0.1 * np.abs(exact[f"{name}_shift"]).values.max())
    for name in ("strain", "fluctuation"):
        assert_allclose(sampled["measure"].sel(doubt=name), exact["measure"].sel(doubt=name), rtol=0.05)


def test_sampled_correction_of_the_kernel():
    x = np.random.default_rng(2).standard_normal((3, 4))
    net = rg.MLP([4, 30, 40, 50, 1], "tanh", C_b=0.1, C_W=1.5)
    K_1 = correction(neurons(net, x), 2**14, np.random.SeedSequence(0))
    exact = exact_metric(net, x).change
    assert np.abs(K_1 - exact).max() < 0.01 * np.abs(exact).max()


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_kernel_maps_by_differences(name):
    """First and second derivatives against differences of the value, whose error falls fourfold as the step halves."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 6))
    K, D = x @ x.T / 6 + 0.1, rng.standard_normal((4, 4)) / 5
    D, act = D + D.T, rg.activation(name)
    here = kernel_map(act, K, 2)
    d = np.diagonal(D)
    both, twice, mixed, apart = here.second
    half = twice * d[:, None] ** 2 + 2 * mixed * D * d[:, None]
    second = both * D**2 + half + half.T + 2 * apart * np.outer(d, d)
    np.fill_diagonal(second, np.diagonal(both) * d**2)
    errors = []
    for step in (0.04, 0.02):
        up, down = (kernel_map(act, K + sign * step * D, 0).value for sign in (1, -1))
        errors.append([(up - down) / 2 / step - here.push(D), (up + down - 2 * here.value) / step**2 - second])
    for coarse, fine in zip(*errors, strict=True):
        assert 3.8 < np.linalg.norm(coarse) / np.linalg.norm(fine) < 4.2


def test_two_slopes_by_quadrature():
    x = np.random.default_rng(1).standard_normal((4, 3))
    K, act = x @ x.T / 3 + 0.2, rg.activation("leaky_relu", slope=0.3)
    closed, quadrature = kernel_map(act, K, 2), _by_quadrature(act, K, 2, lambda count: None)
    for here, there in zip(
        (closed.value, closed.cross, closed.square, *closed.second),
        (quadrature.value, quadrature.cross, quadrature.square, *quadrature.second),
        strict=True,
    ):
        assert_allclose(here, there, rtol=1e-8, atol=1e-9)


def test_inputs_that_repeat():
    """With noise an input may be measured twice, and asked for again."""
    net = rg.MLP([2, 60, 1], "relu", C_W=2.0)
    x, y = np.array([[1.0, 0.5], [1.0, 0.5], [0.2, 1.0]]), np.array([0.5, 0.7, 0.1])
    exact = posterior(net, (x, y), x[:1], 0.2, modes="exact")
    sampled = posterior(net, (x, y), x[:1], 0.2, modes="sampled", draws=2**15)
    assert_allclose(sampled["mean"], exact["mean"], rtol=0, atol=5 * float(sampled["mean_se"].max()))
    merged = posterior(net, ([x[0], x[2]], [0.6, 0.1]), x[:1], 0.2)
    assert abs(float(merged["mean"][0, 0] - exact["mean"][0, 0])) > 1e-3  # twice is surer than once


# What a person gets ---------------------------------------------------------------------------------------------------

NET = rg.MLP([2, 100, 2], "relu", C_b=0.1, C_W=2.0)
TRAIN = INPUTS["likely"][:2], TARGETS["likely"]


def test_outputs_are_no_longer_independent():
    ds = posterior(NET, TRAIN, INPUTS["likely"][2:], 0.05)
    assert float(ds["covariance_infinite"][0, 0, 0, 1]) == 0
    assert float(ds["covariance_shift"][0, 0, 0, 1]) < -1e-3
    for name in ("mean", "covariance", "log_evidence"):
        assert_allclose(ds[name], ds[f"{name}_infinite"] + ds[f"{name}_shift"])


def test_result_round_trips(tmp_path):
    ds = posterior(NET, TRAIN, (INPUTS["likely"][2:], [[0.1, 0.2]]), 0.05)
    rg.save(ds, tmp_path / "posterior.nc")
    back = rg.load(tmp_path / "posterior.nc")
    assert back.attrs == ds.attrs
    assert bool(back["trusted"])
    assert set(back) == set(ds)
    for name in ds:
        assert_allclose(back[name].astype(float), ds[name].astype(float))
    assert rg.Network.from_json(back.attrs["network"]) == NET


def test_one_layer_is_gaussian():
    """No hidden neurons, no shift."""
    x = np.random.default_rng(0).standard_normal((8, 3))
    ds = posterior(rg.MLP([3, 1], "relu"), (x[:5], x[:5, 0]), x[5:], 0.1, draws=64)
    assert not ds["mean_shift"].any()
    assert not ds["covariance_shift"].any()
    assert bool(ds["trusted"])


def test_the_same_seed_is_the_same_result():
    first, again, other = (
        posterior(NET, TRAIN, INPUTS["likely"][2:], 0.05, modes="sampled", draws=512, seed=seed) for seed in (1, 1, 2)
    )
    assert first.identical(again)
    assert not first.identical(other)


def test_unlikely_data_are_not_trusted():
    """Targets twenty standard deviations of the prior out: a warning, and the reason in the result."""
    with pytest.warns(DomainWarning, match="change of the metric"):
        ds = posterior(NET, (TRAIN[0], 20 * TRAIN[1]), INPUTS["likely"][2:], 0.05)
    assert not bool(ds["trusted"])
    assert "beyond 0.5" in ds.attrs["doubts"]


def test_the_flag_rises_before_the_breakdown():
    """Ever larger targets: while trusted, the shift of the mean is known to half of itself; then the flag is down."""
    x, n = INPUTS["likely"], 25
    net = rg.MLP([2, n, 2], "relu", C_b=RELU["C_b"], C_W=RELU["C_W"])
    first_kernel = RELU["C_b"] + RELU["C_W"] * x @ x.T / 2
    found_errors, trusted = [], []
    for factor in (1.0, 2.0, 4.0):
        y = factor * TARGETS["likely"]
        exact = exact_posterior(
            Problem(first_kernel, y, 0.05, RELU["sigma"], RELU["C_b"], RELU["C_W"]),
            unit_metric("likely").kernel,
            n,
            8000,
            seed=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DomainWarning)
            ds = posterior(net, (x[:2], y), x[2:], 0.05)
        size = np.linalg.norm(exact.mean - ds["mean_infinite"])
        found_errors.append(float(np.linalg.norm(exact.mean - ds["mean"]) / size))
        trusted.append(bool(ds["trusted"]))
    assert (trusted[0], trusted[-1]) == (True, False)
    assert max(error for error, sure in zip(found_errors, trusted, strict=True) if sure) < 0.5 < found_errors[-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": -1.0}, "noise is -1.0"),
        ({"noise": "0.1"}, "variance of label noise"),
        ({"modes": "many"}, "'exact', 'sampled' or 'auto'"),
        ({"draws": 0}, "draws is 0"),
        ({"covariance": True}, "'joint', 'each' or 'none'"),
        ({"train": (TRAIN[0], [[1.0], [2.0]])}, "train targets have shape"),
        ({"train": (np.ones((2, 2)), TRAIN[1]), "noise": 0.0}, "cannot be inverted"),
        ({"test": np.ones((1, 3))}, "the network takes"),
    ],
)
def test_refused(change, message):
    arguments = {"net": NET, "train": TRAIN, "test": INPUTS["likely"][2:], "noise": 0.05} | change
    with pytest.raises(InputError, match=message):
        posterior(**arguments)


def test_refused_kinds():
    residual = rg.Network([rg.Dense(), rg.Residual(), rg.Dense()], [2, 8, 8, 1], "tanh")
    with pytest.raises(InputError, match="take modes='exact'"):
        posterior(residual, ([[1.0, 0.0]], [1.0]), [[0.0, 1.0]], modes="sampled")
    many = np.random.default_rng(0).standard_normal((3000, 2))
    with pytest.raises(InputError, match="covariance='each'"):
        posterior(rg.MLP([2, 50, 10], "relu"), (many[:5], np.ones((5, 10))), many, 0.1)


def test_a_residual_network():
    """Any layers of which the flow knows V: exact modes; the limit of no skip is the MLP without it."""
    x, y = [[1.0, 0.3], [-0.4, 0.9]], [[0.8], [-0.3]]
    layers = [rg.Dense(C_W=1.2), rg.Residual(C_W=1.5, skip=0.0), rg.Dense(C_W=1.1)]
    plain = rg.MLP([2, 60, 60, 1], "tanh", C_W=[1.2, 1.5, 1.1])
    here = posterior(rg.Network(layers, plain.widths, "tanh"), (x, y), [[0.5, 0.5]], 0.1)
    there = posterior(plain, (x, y), [[0.5, 0.5]], 0.1)
    assert float(here["mean_shift"][0, 0]) == pytest.approx(float(there["mean_shift"][0, 0]), rel=1e-6)
