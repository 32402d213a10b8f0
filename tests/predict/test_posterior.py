"""Bayesian posteriors at order 1/n: typed formulas, the exact posterior, sampled modes, refusals and warnings.

Witnesses: the formulas for mean, covariance and evidence with V as an array of four indices; importance averages over
sampled kernels (:mod:`oracles.exact_posterior`), which know no expansion; the flow of V and K_1; a known number.
"""

import warnings
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose
from oracles.exact_posterior import Problem, exact_posterior

import rgflow as rg
from rgflow.errors import AccuracyError, DomainWarning, InputError
from rgflow.predict.bayes.metric import Metric, exact_metric
from rgflow.predict.bayes.neurons import correction, neurons
from rgflow.predict.bayes.posterior import posterior
from rgflow.predict.bayes.regression import nothing, regression, respond
from rgflow.predict.bayes.sampled_response import sampled_response

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
#
# Two sets of data, since no one set shows both: where the mean of "likely" goes wrong by 8 % there is too little left
# at n = 200 to be seen beyond sampling error; the mean of "far" is worse, and falls in plain sight.

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
    """Residual at a width over that at the next one, and the error of the ratio."""
    residuals = np.array([(here[part] - there[part])[at] for here, there, _ in rows])
    errors = np.array([error[part][at] for *_, error in rows])
    ratio = residuals[:-1] / residuals[1:]
    return ratio, np.abs(ratio) * np.hypot(errors[:-1] / residuals[:-1], errors[1:] / residuals[1:])


@pytest.fixture(scope="module")
def likely():
    return compared("likely", (50, 100, 200), 40_000)


@pytest.fixture(scope="module")
def far():
    return compared("far", (50, 200), 40_000)


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


def test_residual_of_the_mean_falls_fourfold(far):
    """From n = 50 to 200: by 16, the square of 4 +- 0.6, with an error (of the square root) below half of that."""
    ratio, error = fall(far, 0, (0, 0))
    assert abs(np.sqrt(ratio[0]) - 4) < 0.6
    assert error[0] / (2 * np.sqrt(ratio[0])) < 0.3


def test_far_is_worse(far):
    """At n = 50 the shift of its mean is wrong by a fifth, no longer at 200; the other numbers are within 15 %."""
    away = [np.linalg.norm(here[0] - there[0]) / np.linalg.norm(here[0]) for here, there, _ in far]
    assert 0.15 < away[0] < 0.25
    assert away[1] < 0.15 / 2
    (_, covariance, evidence), predicted, errors = far[0]
    coupling = covariance[0, 0, 0, 1]
    assert abs(coupling - predicted[1][0, 0, 0, 1]) + 2 * errors[1][0, 0, 0, 1] < 0.15 * abs(coupling)
    assert abs(evidence - predicted[2]) + 2 * errors[2] < 0.15 * abs(evidence)


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


SAMPLED = {
    "one layer": ([3, 50, 2], "relu", "joint"),
    "lean": ([3, 50, 2], "relu", "none"),
    "two layers": ([3, 50, 60, 2], "tanh", "joint"),
}


def by_modes(modes, widths, activation, covariance):
    """The posterior by exact or by sampled modes."""
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((4, 3)), rng.standard_normal((2, 2)) / 2
    net = rg.MLP(widths, activation, C_b=0.1, C_W=1.6)
    return posterior(net, (x[:2], y), x[2:], 0.1, modes=modes, draws=2**15, seed=0, covariance=covariance)


@cache
def exactly(*case):
    """By exact modes, which use no neurons: found once, also for the controls that break those."""
    return by_modes("exact", *case)


def both_ways(widths, *rest):
    """The same posterior by exact and by sampled modes."""
    return exactly(tuple(widths), *rest), by_modes("sampled", widths, *rest)


def distances(exact, sampled):
    """Of every shift in its own standard errors: of eight scrambles, hence Student's t, p = 0.003 beyond 4.5.

    A number with a small accidental spread is judged by the spread of its kind.
    """
    found = {}
    for name in ("mean", "log_evidence", "covariance"):
        if f"{name}_se" in sampled:
            error = sampled[f"{name}_se"].values
            error = np.maximum(error, np.sqrt(np.mean(error**2)) / 2)
            found[name] = np.abs(sampled[f"{name}_shift"] - exact[f"{name}_shift"]).values / error
    return found


@pytest.mark.parametrize(
    ("widths", "activation", "covariance"),
    [
        *SAMPLED.values(),
        ([3, 50, 2], "tanh", "each"),
        pytest.param([3, 90, 50, 70, 2], "relu", "each", marks=pytest.mark.slow),
    ],
)
def test_sampled_modes_agree_with_exact_ones(widths, activation, covariance):
    exact, sampled = both_ways(widths, activation, covariance)
    for name, away in distances(exact, sampled).items():
        assert_allclose(sampled[f"{name}_infinite"], exact[f"{name}_infinite"], rtol=1e-8, atol=1e-12)
        assert np.all(away < 4.5)
        assert np.all(sampled[f"{name}_se"] < 0.1 * np.abs(exact[f"{name}_shift"]).values.max())
    at = {"doubt": "fluctuation"}  # an average over one neuron by quadrature, its aim 1e-9
    assert float(sampled["measure"].sel(at)) == pytest.approx(float(exact["measure"].sel(at)), rel=1e-7)


@pytest.mark.parametrize(
    ("case", "broken"),
    [
        ("one layer", lambda layer: replace(layer, mean=0 * layer.mean)),
        ("lean", lambda layer: replace(layer, mean=0 * layer.mean)),
        ("two layers", lambda layer: replace(layer, mean=0 * layer.mean)),
        ("two layers", lambda layer: replace(layer, Q=0 * layer.Q)),
        ("two layers", lambda layer: replace(layer, P=layer.P if layer.last else 0 * layer.P)),
    ],
    ids=["one layer, mean", "lean, mean", "mean", "Q", "P"],
)
def test_control_a_part_of_a_neuron_is_missing(case, broken, monkeypatch):
    """What a neuron does to the metric is P ss^T + Q d1^T + transpose - mean: each is seen, beyond 10 errors."""

    def built(*arguments):
        found = neurons(*arguments)
        return replace(found, layers=tuple(tuple(map(broken, layers)) for layers in found.layers))

    monkeypatch.setattr("rgflow.predict.bayes.posterior.neurons", built)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DomainWarning)
        away = distances(*both_ways(*SAMPLED[case]))
    assert max(values.max() for values in away.values()) > 10


def scrambles(found, count=2**11):
    """Independent estimates of something from a seed: their mean and its standard error."""
    values = np.array([found(seed, count) for seed in np.random.SeedSequence(0).spawn(16)])
    return values.mean(axis=0), values.std(axis=0, ddof=1) / 4


X = np.random.default_rng(2).standard_normal((3, 4))
THREE = rg.MLP([4, 30, 40, 50, 1], "tanh", C_b=0.1, C_W=1.5)


def test_neurons_have_the_kernel_and_the_vertex_of_the_flow():
    """V/n as the mean of D D over neurons of every hidden layer, at three inputs."""
    found, flowed = neurons(THREE, X), exact_metric(THREE, X)

    def vertex(seed, count):
        total = 0.0
        for layer, child in zip(found.top, seed.spawn(len(found.top)), strict=True):
            (s,) = found.draw(layer, count, child)
            mixed = layer.Q * (s * s)[:, :, None]
            D = layer.P * s[:, :, None] * s[:, None, :] + mixed + mixed.transpose(0, 2, 1) - layer.mean
            total = total + np.einsum("sab,scd->abcd", D, D) / count
        return total

    assert_allclose(found.kernel, flowed.kernel, rtol=1e-8)
    mean, error = scrambles(vertex)
    assert np.all(np.abs(mean - flowed.vertex) < 4.5 * error)
    assert error.max() < 0.005 * np.abs(flowed.vertex).max()


def test_sampled_correction_of_the_kernel():
    """K_1/n against the flow at three inputs, 4.5 standard errors of 16 scrambles."""
    found, exact = neurons(THREE, X), exact_metric(THREE, X).change
    mean, error = scrambles(lambda seed, count: correction(found, count, seed))
    assert np.all(np.abs(mean - exact) < 4.5 * error)
    assert error.max() < 0.01 * np.abs(exact).max()
    bare = tuple(tuple(replace(layer, Q=0 * layer.Q) for layer in layers) for layers in found.layers)
    lacking, _ = scrambles(lambda seed, count: correction(replace(found, layers=bare), count, seed))
    assert np.abs(lacking - exact).max() > 20 * error.max()  # control


def test_sampled_strain():
    """From the sampled metric as from the exact one."""
    y, metric, found = np.array([[0.5], [-1.0]]), exact_metric(THREE, X), neurons(THREE, X)
    problem = regression(metric.kernel, y, 0.1, True)
    exact = problem.strain(metric.change, respond(problem, *metric.modes()))

    def strain(seed, count):
        above, inside = seed.spawn(2)
        response = sampled_response(problem, found, count, inside, lambda done: None)
        return problem.strain(correction(found, count, above), response)

    mean, error = scrambles(strain)
    assert abs(mean - exact) < 4.5 * error
    assert error < 0.01 * exact
    pulled = problem.strain(metric.change, nothing(problem))
    assert abs(pulled - exact) > 20 * error  # control: without the pull of the data


def test_inputs_that_repeat():
    """With noise an input may be measured twice, and asked for again."""
    net = rg.MLP([2, 60, 1], "relu", C_W=2.0)
    x, y = np.array([[1.0, 0.5], [1.0, 0.5], [0.2, 1.0]]), np.array([0.5, 0.7, 0.1])
    exact = posterior(net, (x, y), x[:1], 0.2, modes="exact")
    sampled = posterior(net, (x, y), x[:1], 0.2, modes="sampled", draws=2**15)
    assert_allclose(sampled["mean"], exact["mean"], rtol=0, atol=5 * float(sampled["mean_se"].max()))
    merged = posterior(net, ([x[0], x[2]], [0.6, 0.1]), x[:1], 0.2)
    assert abs(float(merged["mean"][0, 0] - exact["mean"][0, 0])) > 1e-3  # twice is surer than once


BENT = rg.MLP([2, 60, 40, 1], "relu", C_W=2.0)
PAIR = np.array([[1.0, 0.5], [0.2, 1.0]]), np.array([0.5, 0.1])


@pytest.mark.parametrize("other", [[2.0, 1.0], [-1.0, -0.5], [0.0, 0.0], [1.0, 0.5 + 1e-7]])
def test_inputs_whose_vertex_has_no_number(other):
    """Dependent inputs of a ReLU without biases: exact modes say what helps, and "auto" does it.

    The output at 2x is twice that at x, and at 0 it is 0.
    """
    with pytest.raises(AccuracyError, match="or take modes='sampled'"):
        posterior(BENT, PAIR, [other], 0.1, modes="exact")
    ds = posterior(BENT, PAIR, [other, [1.0, 0.5]], 0.1, draws=2**10, seed=0)
    assert (ds.attrs["modes"], bool(ds["trusted"])) == ("sampled", True)
    scale = {2.0: 2.0, -1.0: None, 0.0: 0.0, 1.0: 1.0}[other[0]]
    if scale is not None:
        assert_allclose(ds["mean_shift"][0], scale * ds["mean_shift"][1], rtol=1e-5)
    assert np.isfinite(ds["measure"]).all()


@pytest.mark.parametrize("modes", ["exact", "sampled"])
@pytest.mark.parametrize("covariance", ["joint", "none"])
def test_numbers_out_of_range(modes, covariance):
    """Refused, where squares of squares are no numbers; and nothing but doubts where they still are."""
    net = rg.MLP([2, 60, 1], "relu", C_W=2.0)
    x, y = PAIR
    arguments = {"noise": 0.1, "modes": modes, "covariance": covariance, "draws": 64, "seed": 0}
    with pytest.raises(AccuracyError, match=r"targets are more than 1e\+10 standard deviations"):
        posterior(net, (x, 1e200 * y), [[0.5, 0.5]], **arguments)
    with pytest.raises(AccuracyError, match="beyond numbers; scale the inputs"):
        posterior(net, (1e-100 * x, y), [[0.5, 0.5]], **arguments)
    with pytest.warns(DomainWarning, match="change of the metric"):
        ds = posterior(net, (x, 3e9 * y), [[0.5, 0.5]], **arguments)
    assert np.isfinite(ds["mean"]).all()


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
    assert not first["mean"].identical(other["mean"])


def test_seeds_of_every_kind():
    """As ``rgflow.sample`` takes them; without one a result says which seed it drew."""

    def drawn(seed):
        return posterior(NET, TRAIN, INPUTS["likely"][2:], 0.05, modes="sampled", draws=64, seed=seed)

    sequence, generator = np.random.SeedSequence(7), np.random.default_rng(7)
    assert drawn(7).identical(drawn(sequence))
    assert drawn(7).identical(drawn(sequence))  # a sequence does not wear out
    assert not drawn(generator)["mean"].identical(drawn(generator)["mean"])
    fresh = drawn(None)
    assert fresh.identical(drawn(int(fresh.attrs["seed"])))
    assert "seed" not in posterior(NET, TRAIN, INPUTS["likely"][2:], 0.05).attrs


def test_unlikely_data_are_not_trusted():
    """Targets twenty standard deviations of the prior out: a warning, and the reason in the result."""
    with pytest.warns(
        DomainWarning, match=r"change of the metric by the data, relative to it, is .*, beyond 0.5: take wider"
    ):
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
        ({"noise": -1.0}, "noise is -1.0; it must be a finite number, 0 or above"),
        ({"noise": "0.1"}, "noise is '0.1'"),
        ({"modes": "many"}, "'exact', 'sampled' or 'auto'"),
        ({"draws": 0}, "draws is 0"),
        ({"seed": -1, "modes": "exact"}, "seed is -1"),
        ({"covariance": np.ones(2)}, "'joint', 'each' or 'none'"),
        ({"noise": 10**400}, "noise is 1000"),
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
        posterior(rg.MLP([2, 50, 10], "relu"), (many[:5], np.ones((5, 10))), many, noise=0.1)


def test_a_residual_network():
    """Any layers of which the flow knows V: exact modes; the limit of no skip is the MLP without it."""
    x, y = [[1.0, 0.3], [-0.4, 0.9]], [[0.8], [-0.3]]
    layers = [rg.Dense(C_W=1.2), rg.Residual(C_W=1.5, skip=0.0), rg.Dense(C_W=1.1)]
    plain = rg.MLP([2, 60, 60, 1], "tanh", C_W=[1.2, 1.5, 1.1])
    here = posterior(rg.Network(layers, plain.widths, "tanh"), (x, y), [[0.5, 0.5]], 0.1)
    there = posterior(plain, (x, y), [[0.5, 0.5]], 0.1)
    assert float(here["mean_shift"][0, 0]) == pytest.approx(float(there["mean_shift"][0, 0]), rel=1e-6)
