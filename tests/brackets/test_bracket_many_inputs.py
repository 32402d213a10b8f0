"""Brackets of two to four inputs: closed forms typed by hand, Wick's theorem, the Kibble-Slepian series."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
import pytest

from rgflow.activations import activation
from rgflow.brackets import gaussian_moments, reference
from rgflow.brackets.leibniz import leibniz
from rgflow.errors import AccuracyError

K4 = np.array([[1.0, 0.3, -0.2, 0.5], [0.3, 0.7, 0.1, 0.2], [-0.2, 0.1, 1.6, 0.4], [0.5, 0.2, 0.4, 0.9]])


def principal(size: int) -> np.ndarray:
    return K4[:size, :size]


def near(found: tuple[np.ndarray, np.ndarray], exact: list[float], relative: float = 1e-11) -> None:
    values, errors = found
    miss = np.abs(values[0] - exact)
    assert (miss <= errors[0]).all(), (values, errors, exact)
    assert (miss <= relative * np.maximum(np.abs(exact), 1e-3)).all(), (values, exact)


@cache
def wick(powers: tuple[int, ...], K: tuple[tuple[float, ...], ...]) -> float:
    """E[prod z_u^{p_u}] by pairing the first field with every other."""
    if not any(powers):
        return 1.0
    first = next(u for u, p in enumerate(powers) if p)
    rest = list(powers)
    rest[first] -= 1
    total = 0.0
    for u, p in enumerate(rest):
        if p:
            lower = rest.copy()
            lower[u] -= 1
            total += p * K[first][u] * wick(tuple(lower), K)
    return total


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_polynomials_obey_wick(size: int) -> None:
    sigma = np.polynomial.Polynomial([0.25, -0.5, 1.0, 2.0])
    spec = activation("1/4 - z/2 + z^2 + 2*z^3")
    moments = [tuple(((0, 1)[: 1 + (u + shift) % 2], (u * shift) % 3) for u in range(size)) for shift in range(3)]
    exact = []
    K = tuple(map(tuple, principal(size)))
    for moment in moments:
        factors = []
        for orders, pending in moment:
            f = math.prod((sigma.deriv(k) if k else sigma for k in orders), start=np.polynomial.Polynomial([1.0]))
            factors.append((f.deriv(pending) if pending else f).coef)
        exact.append(
            sum(
                math.prod(f[p] for f, p in zip(factors, powers, strict=True)) * wick(powers, K)
                for powers in itertools.product(*(range(len(f)) for f in factors))
            )
        )
    near(gaussian_moments(spec, [principal(size)], moments), exact, 1e-12)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_exponentials(size: int) -> None:
    """<prod d^{m_u} e^{a_u z_u}> = prod a_u^{m_u} exp(a K a / 2), a_u the number of factors."""
    moments = [tuple(((0,) * (1 + (u + s) % 2), (u + s) % 3) for u in range(size)) for s in range(2)]
    exact = []
    for moment in moments:
        a = np.array([len(orders) for orders, _ in moment], dtype=float)
        pending = np.array([m for _, m in moment])
        exact.append(float(np.prod(a**pending) * np.exp(a @ principal(size) @ a / 2)))
    near(gaussian_moments(activation("exp"), [principal(size)], moments), exact)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_gaussians(size: int) -> None:
    """<prod exp(-w_u z_u^2/2)> = det(1 + K W)^{-1/2}."""
    counts = [1, 2, 1, 3][:size]
    exact = 1 / math.sqrt(np.linalg.det(np.eye(size) + principal(size) @ np.diag(counts)))
    near(gaussian_moments(activation("gaussian"), [principal(size)], [tuple(((0,) * w, 0) for w in counts)]), [exact])


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("scale", [0.01, 1.0, 9.0])
def test_sines(size: int, scale: float) -> None:
    """E prod sin z_u from the characteristic function exp(-sKs/2) over all signs s."""
    K = scale * principal(size)
    exact = (
        sum(
            np.prod(s) * math.exp(-0.5 * np.array(s) @ K @ np.array(s)) for s in itertools.product((1, -1), repeat=size)
        )
        / (2j) ** size
    )
    values, errors = gaussian_moments(activation("sin"), [K], [(((0,), 0),) * size])
    assert abs(values[0, 0] - exact.real) <= errors[0, 0] + 4e-16  # the sum over signs cancels
    assert errors[0, 0] <= 1e-11


@pytest.mark.parametrize("rho", [-1.0, -0.999, -0.3, 0.0, 0.6, 0.99, 1 - 1e-9, 1.0])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 25.0, 900.0])
def test_arcsine_law(rho: float, scale: float) -> None:
    """<erf erf> and <erf' erf'> at every correlation, singular kernels included."""
    a, b = scale, 0.49 * scale
    c = rho * math.sqrt(a * b)
    moments = [(((0,), 0), ((0,), 0)), (((1,), 0), ((1,), 0)), (((0,), 1), ((0,), 1))]
    exact = [
        2 / math.pi * math.asin(2 * c / math.sqrt((1 + 2 * a) * (1 + 2 * b))),
        *[4 / math.pi / math.sqrt((1 + 2 * a) * (1 + 2 * b) - 4 * c * c)] * 2,
    ]
    values, errors = gaussian_moments(activation("erf"), [[[a, c], [c, b]]], moments)
    assert (np.abs(values[0] - exact) <= errors[0]).all(), (values, exact, errors)
    assert (errors[0] <= 2e-11 * np.abs(exact) + 1e-13).all()  # at rho = 0 the first is 0 by cancellation


@pytest.mark.parametrize("name", ["tanh", "gelu", "softplus"])
@pytest.mark.parametrize("rho", [-0.5, 0.3])
@pytest.mark.parametrize("scale", [1e-4, 0.6, 8.0])
def test_two_inputs_equal_the_series(name: str, rho: float, scale: float) -> None:
    K = scale * np.array([[1.0, rho * 0.8], [rho * 0.8, 0.64]])
    moments = [(((0, 0), 1), ((1,), 1)), (((0, 1), 2), ((0, 0), 1)), (((1, 1), 0), ((1, 1), 0)), (((0,), 3), ((2,), 1))]
    values, errors = gaussian_moments(activation(name), [K], moments)
    for value, error, moment in zip(values[0], errors[0], moments, strict=True):
        exact = float(reference(activation(name), K, moment, dps=18))
        assert abs(value - exact) <= error + 1e-18
        assert abs(value - exact) <= 1e-11 * abs(exact)


@pytest.mark.parametrize("size", [3, 4])
def test_three_and_four_inputs_equal_the_series(size: int) -> None:
    K = np.full((size, size), 0.02) + np.diag([0.6, 0.9, 1.1, 0.7][:size])
    K[0, 1] = K[1, 0] = -0.03
    moments = [(((0,), 1), ((1,), 2)) + (((0, 0), 0),) * (size - 2), (((0, 0), 0),) * size]
    values, errors = gaussian_moments(activation("tanh"), [K], moments)
    for value, error, moment in zip(values[0], errors[0], moments, strict=True):
        exact = float(reference(activation("tanh"), K, moment, dps=13 if size == 3 else 9))
        assert abs(value - exact) <= error + (1e-13 if size == 3 else 1e-9) * abs(exact)
        assert error <= 2e-11 * abs(value)


def merged(moment: tuple, signs: tuple[int, ...]) -> list[tuple[int, tuple]]:
    """A bracket of collinear inputs z_u = +-z as brackets of one input, for an odd sigma."""
    terms = [(1, ())]
    for (orders, pending), sign in zip(moment, signs, strict=True):
        expanded = [(c, o) for c, o in leibniz(tuple(orders), pending)]
        parity = sign ** (len(orders) + sum(orders) + pending)
        terms = [(c * d * parity, (*o, *p)) for c, o in terms for d, p in expanded]
    return [(c, ((tuple(sorted(o)), 0),)) for c, o in terms]


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (1, 1, -1), (-1, 1, 1, -1)])
def test_equal_and_opposite_inputs(signs: tuple[int, ...]) -> None:
    s = np.array(signs, dtype=float)
    for scale in (1e-6, 0.8, 20.0):
        moment = tuple(((0, 1), 1) if u == 0 else ((0, 0), u % 2 * 2) for u in range(len(signs)))
        values, errors = gaussian_moments(activation("tanh"), [scale * np.outer(s, s)], [moment])
        parts = merged(moment, signs)
        one, one_errors = gaussian_moments(activation("tanh"), [[[scale]]], [m for _, m in parts])
        exact = sum(c * v for (c, _), v in zip(parts, one[0], strict=True))
        slack = sum(abs(c) * e for (c, _), e in zip(parts, one_errors[0], strict=True))
        assert abs(values[0, 0] - exact) <= errors[0, 0] + slack


@pytest.mark.parametrize("size", [2, 3, 4])
def test_zero_inputs_factor_out(size: int) -> None:
    K = np.zeros((size, size))
    K[1, 1] = 0.7
    moment = tuple(((0, 0), u % 2 + 1) for u in range(size))
    sigma = activation("softplus")
    value, _ = gaussian_moments(sigma, [K], [moment])
    at_zero, _ = gaussian_moments(sigma, [[[0.0]]], [(entry,) for entry in moment])
    alone, _ = gaussian_moments(sigma, [[[0.7]]], [(moment[1],)])
    exact = math.prod(at_zero[0, u] for u in range(size) if u != 1) * alone[0, 0]
    np.testing.assert_allclose(value[0, 0], exact, rtol=1e-11)


def test_independent_blocks_factor() -> None:
    K = np.zeros((4, 4))
    K[:2, :2] = [[1.0, 0.6], [0.6, 0.8]]
    K[2:, 2:] = [[2.0, -0.9], [-0.9, 1.3]]
    sigma = activation("tanh")
    pair = (((0,), 1), ((0, 0, 1), 0))
    whole, error = gaussian_moments(sigma, [K], [pair + pair])
    halves, _ = gaussian_moments(sigma, [K[:2, :2], K[2:, 2:]], [pair])
    assert abs(whole[0, 0] - halves[0, 0] * halves[1, 0]) <= error[0, 0] + 1e-12


def test_order_of_inputs_does_not_matter() -> None:
    moment = (((0,), 1), ((1, 1), 0), ((0, 0), 2))
    turn = [2, 0, 1]
    a, ea = gaussian_moments(activation("gelu"), [principal(3)], [moment])
    b, eb = gaussian_moments(activation("gelu"), [principal(3)[np.ix_(turn, turn)]], [tuple(moment[u] for u in turn)])
    assert abs(a[0, 0] - b[0, 0]) <= ea[0, 0] + eb[0, 0]


def test_many_pairs_at_once() -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((400, 2, 3)) * rng.uniform(0.1, 4, (400, 1, 1))
    K = x @ x.transpose(0, 2, 1)
    values, errors = gaussian_moments(activation("erf"), K, [(((0,), 0), ((0,), 0))])
    norm = np.sqrt((1 + 2 * K[:, 0, 0]) * (1 + 2 * K[:, 1, 1]))
    exact = 2 / np.pi * np.arcsin(2 * K[:, 0, 1] / norm)
    assert (np.abs(values[:, 0] - exact) <= errors[:, 0]).all()
    assert errors.max() < 1e-11


def test_four_inputs_overflow() -> None:
    with pytest.raises(AccuracyError, match="exp"):
        gaussian_moments(activation("exp"), [800 * K4], [(((0,), 0),) * 4])
