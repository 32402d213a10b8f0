"""One layer as a map of kernels: against the derived recursions of K and K_1, closed forms, and its own differences."""

from itertools import product
from math import prod

import numpy as np
import pytest
from numpy.testing import assert_allclose

import rgflow as rg
from rgflow.brackets.closed import closed_bracket_two
from rgflow.gram.derivatives import pair_averages
from rgflow.predict.bayes.kernel_map import by_averages, kernel_map, two_slopes

SYMBOLS = {"C_b": 0.1, "C_W": 1.3}
ORDERS = {"value": (0, 0), "cross": (1, 1), "square": (2, 0)}
SECOND = {"cross": (2, 2), "square": (4, 0), "mixed": (3, 1), "squares": (2, 2)}


def some_kernel(seed, size=3):
    x = np.random.default_rng(seed).standard_normal((size, 6))
    return x @ x.T / 6 + 0.2


# The derived lines, evaluated here ------------------------------------------------------------------------------------


def tanh_derivative(polynomial, order):
    """Coefficients in t = tanh z of a derivative of a polynomial in t: d/dz = (1 - t^2) d/dt."""
    found = np.polynomial.Polynomial(polynomial)
    for _ in range(order):
        found = found.deriv() * np.polynomial.Polynomial([1, 0, -1])
    return found


def average(K, factors):
    """The mean of a product of f(z_a) over z ~ N(0, K) by the trapezoid rule: errors e^(-2 pi (pi/2)/(h sqrt K))."""
    samples = sorted(factors)
    root = np.linalg.cholesky(K[np.ix_(samples, samples)])
    line = np.arange(-9.0, 9.01, 0.2)
    grid = np.stack(np.meshgrid(*[line] * len(samples), indexing="ij"), axis=-1).reshape(-1, len(samples))
    weight = np.exp(-(grid**2).sum(axis=1) / 2) * (0.2 / np.sqrt(2 * np.pi)) ** len(samples)
    z = grid @ root.T
    return float(weight @ prod(factors[sample](np.tanh(z[:, i])) for i, sample in enumerate(samples)))


def evaluated(name, inputs, K, tensors):
    """The derived line of ``name`` for tanh at the given inputs (a, b); sums over indices as the line says."""
    total = 0.0
    for term in rg.derive(name, "many").terms:
        scale = float(term.coefficient) * prod(SYMBOLS[symbol] ** power for symbol, power in term.symbols)
        if not term.brackets:
            total += scale
            continue
        (bracket,) = term.brackets
        samples = [inputs[sample - 1] for sample, _ in bracket.factors]
        powers = {sample: [0] * samples.count(sample) + [1] for sample in samples}
        for places in product(sorted(powers), repeat=bracket.pending):
            means = {s: tanh_derivative(powers[s], places.count(s)) for s in powers}
            used = iter(places)
            value = prod(tensors[v.tensor.name][tuple(next(used) for _ in v.indices)] for v in term.tensors)
            total += scale * value * average(K, means)
    return total


def from_map(here, name, tensors):
    """The same from the kernel map, all inputs."""
    if name == "K":
        return SYMBOLS["C_b"] + SYMBOLS["C_W"] * here.value
    V, second = tensors["V"], here.second
    own, twice = np.einsum("abab->ab", V), np.einsum("aaaa->a", V)
    half = second.square * twice[:, None] / 2 + second.mixed * np.einsum("abaa->ab", V)
    curved = second.cross * own / 2 + second.squares * np.einsum("aabb->ab", V) + half + half.T
    return SYMBOLS["C_W"] * (here.push(tensors["K_1"]) + curved)


@pytest.mark.parametrize("name", ["K", "K_1"])
def test_it_is_the_derived_recursion(name):
    """For any K_1 and any V; the package's averages are good to 1e-9."""
    rng, K = np.random.default_rng(1), some_kernel(0)
    G = rng.standard_normal((4, 3, 3))
    G = G + G.transpose(0, 2, 1)
    tensors = {"K_1": G[0], "V": np.einsum("k,kab,kcd->abcd", [0.3, 0.2, -0.1, 0.05], G, G)}
    here = kernel_map(rg.activation("tanh"), K, 2)
    derived = np.array([[evaluated(name, (a, b), K, tensors) for b in range(3)] for a in range(3)])
    size = np.abs(derived).max()
    assert_allclose(from_map(here, name, tensors), derived, rtol=0, atol=1e-8 * size)
    if name == "K_1":  # control: every second derivative is needed
        for part in SECOND:
            broken = kernel_map(rg.activation("tanh"), K, 2)
            getattr(broken.second, part)[:] = 0
            assert np.abs(from_map(broken, name, tensors) - derived).max() > 1e-3 * size


# Closed forms ---------------------------------------------------------------------------------------------------------


def test_two_slopes_are_the_closed_forms():
    """Against brackets by SymPy, for a leaky ReLU; derivatives by K_aa carry 1/2 each."""
    K, act = some_kernel(1), rg.activation("leaky_relu", slope=0.3)
    here = two_slopes(act, K, 2)
    wanted = {name: (getattr(here, name), ORDERS[name]) for name in ORDERS}
    wanted |= {f"second {name}": (getattr(here.second, name), SECOND[name]) for name in SECOND}
    halves = {"square": 2, "second square": 4, "second mixed": 2, "second squares": 4}
    for name, (found, (m, p)) in wanted.items():
        form = closed_bracket_two(act, ((0,), m), ((0,), p))
        for a, b in ((0, 1), (1, 0), (0, 2), (2, 1)):
            at = {"K11": K[a, a], "K12": K[a, b], "K22": K[b, b]}
            expected = float(form.subs({symbol: at[symbol.name] for symbol in form.free_symbols}))
            assert found[a, b] == pytest.approx(expected / halves.get(name, 1), rel=1e-10), name


def test_two_slopes_by_quadrature():
    """The other way of the package, whose aim is 1e-9, on the diagonal too."""
    K, act = some_kernel(1, 4), rg.activation("leaky_relu", slope=0.3)
    closed, quadrature = two_slopes(act, K, 2), by_averages(act, K, 2)
    for here, there in zip(
        (closed.value, closed.cross, closed.square, *closed.second),
        (quadrature.value, quadrature.cross, quadrature.square, *quadrature.second),
        strict=True,
    ):
        assert_allclose(here, there, rtol=1e-8, atol=1e-9)


def parts(found):
    return {"value": found.value, "cross": found.cross, "square": found.square, **found.second._asdict()}


@pytest.mark.parametrize("name", ["tanh", "gelu", "z^2/3 - z + sin(z)", "exp(z/2)"])
def test_series_are_the_quadrature(name):
    """All averages as series in the correlation, against two-dimensional quadrature, whose aim is 1e-9."""
    x = np.random.default_rng(2).standard_normal((7, 5))
    x[1], x[2], x[3] = -2 * x[0], x[0] + 1e-5 * x[4], 1e-3 * x[4]
    K, act = x @ x.T / 5, rg.activation(name)
    series, quadrature = (parts(by_averages(act, K, 2, series=way)) for way in (True, False))
    for part, found in quadrature.items():
        assert_allclose(series[part], found, rtol=0, atol=1e-9 * np.abs(found).max(), err_msg=part)
    K[4, 4] *= 1 + 1e-6  # control: with one input's variance wrong they differ
    assert np.abs(by_averages(act, K, 0).value / quadrature["value"] - 1).max() > 1e-8


def test_pairs_beyond_the_series():
    """At K = 400 the series of nearly parallel inputs is longer than 1024 terms: they are left to quadrature."""
    x = 20 * np.random.default_rng(3).standard_normal((4, 5))
    x[1] = x[0] + 1e-4 * x[2]
    K, act = x @ x.T / 5, rg.activation("tanh")
    found = pair_averages(act, K, [(0, 0), (1, 1)])
    assert found is not None
    assert np.argwhere(found.beyond).tolist() == [[0, 1], [1, 0]]
    for part, there in parts(by_averages(act, K, 1, series=False)).items():
        assert_allclose(parts(by_averages(act, K, 1))[part], there, rtol=0, atol=1e-9 * np.abs(there).max())
    broken = found.values[1, 1] - by_averages(act, K, 1, series=False).cross
    assert abs(broken[0, 1]) > 1e-6  # control: it would have been wrong


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_derivatives_by_differences(name):
    """First and second derivatives against differences of the value, whose error falls fourfold as the step halves."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 6))
    K, D = x @ x.T / 6 + 0.1, rng.standard_normal((4, 4)) / 5
    D, act = D + D.T, rg.activation(name)
    here = kernel_map(act, K, 2)
    d = np.diagonal(D)
    cross, square, mixed, squares = here.second
    half = square * d[:, None] ** 2 + 2 * mixed * D * d[:, None]
    second = cross * D**2 + half + half.T + 2 * squares * np.outer(d, d)
    np.fill_diagonal(second, np.diagonal(cross) * d**2)
    errors = []
    for step in (0.04, 0.02):
        up, down = (kernel_map(act, K + sign * step * D, 0).value for sign in (1, -1))
        errors.append([(up - down) / 2 / step - here.push(D), (up + down - 2 * here.value) / step**2 - second])
    for coarse, fine in zip(*errors, strict=True):
        assert 3.8 < np.linalg.norm(coarse) / np.linalg.norm(fine) < 4.2
