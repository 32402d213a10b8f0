"""Brackets of kinked activations: half-line moments, arc-cosine kernels and identities that need the delta terms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mpmath import mp

from rgflow.activations import activation
from rgflow.brackets import (
    derivative_order,
    gaussian_moments,
    growth_rate,
    kinked,
    reference,
    single_input_source,
)
from rgflow.errors import AccuracyError, KinkError

RELU = activation("relu")
HE_AT_0 = (1, 0, -1, 0, 3, 0, -15, 0, 105)


def half_line(power: int, pending: int, K: float) -> float:
    """<d^m relu^p>: p!/(p-m)! E[z_+^{p-m}], or p! <delta^{(m-p-1)}> = p! He(0) / (sqrt(2 pi) K^{(m-p)/2})."""
    if pending <= power:
        q = power - pending
        moment = 0.5 * 2 ** (q / 2) * math.gamma((q + 1) / 2) / math.sqrt(math.pi) * K ** (q / 2)
        return math.perm(power, pending) * moment
    i = pending - power - 1
    return math.factorial(power) * HE_AT_0[i] / math.sqrt(2 * math.pi) / K ** ((i + 1) / 2)


@pytest.mark.parametrize("K", [1e-8, 1e-3, 1.0, 1e3])
def test_one_input(K: float) -> None:
    moments = [(((0,) * p, m),) for p in range(1, 7) for m in range(9)]
    values, errors = gaussian_moments(RELU, [[[K]]], moments)
    exact = np.array([half_line(len(k), m, K) for ((k, m),) in moments])
    assert (np.abs(values[0] - exact) <= errors[0] + 4e-16 * np.abs(exact)).all()
    assert (np.abs(values[0] - exact) <= 1e-13 * np.abs(exact)).all()
    assert (errors[0] <= 1e-11 * np.abs(exact)).all()


@pytest.mark.parametrize("name", ["Max(z, -1)", "Max(0, tanh(z))", "Min(Max(z, -1/2), 1)", "Abs(z)*exp(-z^2/2)"])
@pytest.mark.parametrize("K", [1e-2, 0.7, 50.0])
def test_other_kinks_equal_the_reference(name: str, K: float) -> None:
    sigma = activation(name)
    moments = [(entry,) for entry in [((0, 0), 0), ((0, 1), 0), ((0, 0), 4), ((1, 1), 2), ((0, 0, 0, 0), 3), ((0,), 5)]]
    values, errors = gaussian_moments(sigma, [[[K]]], moments)
    absolute = kinked.kinked_averages(sigma, np.array([[[K]]]), moments, 1e-11)[2]
    assert (errors <= 2e-11 * absolute).all()
    for value, error, moment in zip(values[0], errors[0], moments, strict=True):
        exact = reference(sigma, [[K]], moment, dps=20)
        assert abs(float(exact - value)) <= error + 1e-18 * K ** (-moment[0][1] / 2)


# by hand <d^2 s^2> = 2 (P(z > c) + c p(c)) and <s' s'> = P(z > 1)
TAILS = [("Max(z, 1/4)", 1e-3, ((0, 0), 2), 1.71777648e-13), ("Max(z-1, 0)", 0.01, ((1, 1), 0), 7.61985302e-24)]


@pytest.mark.parametrize(("name", "K", "entry", "exact"), TAILS)
def test_the_tail_beyond_a_distant_kink(name: str, K: float, entry: tuple, exact: float) -> None:
    """Eight and ten standard deviations away stands all of the bracket: by quadrature, and as a kernel emits it."""
    sigma = activation(name)
    assert float(reference(sigma, [[K]], (entry,), dps=20)) == pytest.approx(exact, rel=1e-8, abs=0)
    values, errors = gaussian_moments(sigma, [[[K]]], [(entry,)])
    assert values[0, 0] == pytest.approx(exact, rel=1e-8, abs=0)
    assert errors[0, 0] <= 1e-10 * exact
    text = sigma.source(derivative_order(sigma, [entry])) + "\n\n\n" + single_input_source([entry], sigma, forms={})
    assert emitted(text, K, growth_rate(sigma, [entry])) == pytest.approx([exact, exact], rel=1e-8, abs=0)
    # negative control: without the reach to the kink
    short = "\n".join(line for line in text.split("\n") if "see beyond the kinks" not in line)
    assert short != text
    assert emitted(short, K, growth_rate(sigma, [entry])) != pytest.approx([exact, exact], rel=1e-8, abs=0)


def emitted(text: str, K: float, growth_cut: float) -> list[float]:
    """The two rules of one bracket as its source computes them."""
    space: dict = {"math": math, "np": np}
    exec(compile(text, "brackets", "exec"), space)  # our own emitted text, never a user's
    out = np.zeros((1, 2))
    space["brackets"](K, 6, growth_cut, out, np.zeros(1))
    return out[0].tolist()


def arc_cosine(a: int, b: int, K: np.ndarray) -> float:
    """<d1^a relu d2^b relu>, a + b even, by differentiating the arc-cosine kernel in the entries of K.

    d/dK12 raises both pending orders by one, 2 d/dK11 the first by two (Price's theorem).
    """
    both = min(a, b)
    with mp.workdps(40):

        def J(x, y, c):
            r = mp.sqrt(x * y)
            theta = mp.acos(c / r)
            return r / (2 * mp.pi) * (mp.sin(theta) + (mp.pi - theta) * mp.cos(theta))

        point = tuple(mp.mpf(float(v)) for v in (K[0, 0], K[1, 1], K[0, 1]))
        n = ((a - both) // 2, (b - both) // 2, both)
        return float(2 ** (n[0] + n[1]) * (mp.diff(J, point, n) if any(n) else J(*point)))


PAIRS = [(0, 0), (1, 1), (2, 0), (0, 2), (2, 2), (3, 1), (1, 3), (4, 0), (3, 3), (4, 2)]


@pytest.mark.parametrize("rho", [-0.999, -0.6, 0.0, 0.3, 0.9, 0.9999])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 100.0])
def test_two_inputs_are_derivatives_of_the_arc_cosine_kernel(rho: float, scale: float) -> None:
    K = scale * np.array([[1.0, 1.5 * rho], [1.5 * rho, 2.25]])
    values, errors = gaussian_moments(RELU, [K], [(((0,), a), ((0,), b)) for a, b in PAIRS])
    exact = np.array([arc_cosine(a, b, K) for a, b in PAIRS])
    floor = scale ** np.array([1 - (a + b) / 2 for a, b in PAIRS])
    miss = np.abs(values[0] - exact)
    assert (miss <= errors[0] + 1e-17 * floor).all(), (miss, errors)
    assert (errors[0] <= 1e-11 / (1 - rho**2) ** 3 * np.maximum(np.abs(exact), floor * 1e-3)).all()


def test_two_inputs_of_a_shifted_kink_equal_the_series() -> None:
    """Kinks away from zero: conditional means, odd totals."""
    sigma = activation("Max(z, 1/2) + Abs(z + 1)")
    K = np.array([[0.9, 0.25], [0.25, 0.6]])
    moments = [(((0,), a), ((0, 0), b)) for a, b in [(0, 0), (1, 0), (2, 1), (0, 3), (3, 2), (2, 4)]]
    values, errors = gaussian_moments(sigma, [K], moments)
    for value, error, moment in zip(values[0], errors[0], moments, strict=True):
        exact = float(reference(sigma, K, moment, dps=16))
        assert abs(value - exact) <= error + 1e-14
        assert error < 1e-9


@pytest.mark.parametrize("r", [(0.5, 0.5, 0.5), (0.9, -0.2, 0.1), (0.0, 0.0, 0.0)])
def test_orthant_of_three(r: tuple[float, float, float]) -> None:
    """P(all positive) = 1/8 + (sum of arcsines)/(4 pi)."""
    a, b, c = r
    values, errors = gaussian_moments(RELU, [[[1, a, b], [a, 1, c], [b, c, 1]]], [(((1,), 0),) * 3, (((0,), 1),) * 3])
    exact = 1 / 8 + sum(map(math.asin, r)) / (4 * math.pi)
    assert (np.abs(values[0] - exact) <= errors[0]).all()
    assert (errors[0] < 1e-11).all()


def test_orthant_of_four_equal_correlations() -> None:
    values, errors = gaussian_moments(RELU, [0.5 * np.eye(4) + 0.5], [(((1,), 0),) * 4])
    assert abs(values[0, 0] - 1 / 5) <= errors[0, 0] <= 1e-11


@pytest.mark.parametrize("size", [2, 3, 4])
def test_euler_identity(size: int) -> None:
    """relu is homogeneous: d <prod> = sum_uv K_uv <d_u d_v prod>; the diagonal terms are delta functions."""
    rows = [[1.0, 0.3, -0.2, 0.4], [0.3, 0.7, 0.1, 0.2], [-0.2, 0.1, 1.6, 0.4], [0.4, 0.2, 0.4, 0.9]]
    K = np.array(rows)[:size, :size]
    moments, weights = [(((0,), 0),) * size], [-float(size)]
    for u in range(size):
        for v in range(u + 1):
            pending = [0] * size
            pending[u] += 1
            pending[v] += 1
            moments.append(tuple(((0,), m) for m in pending))
            weights.append(K[u, v] * (1 if u == v else 2))
    values, errors = gaussian_moments(RELU, [K], moments)
    assert abs(values[0] @ weights) <= errors[0] @ np.abs(weights)
    assert errors[0] @ np.abs(weights) < 1e-10


def test_three_inputs_equal_the_series() -> None:
    K = np.array([[1.0, 0.1, -0.05], [0.1, 0.8, 0.12], [-0.05, 0.12, 0.9]])
    moments = [(((0,), a), ((0, 0), b), ((0,), c)) for a, b, c in [(0, 0, 0), (2, 0, 0), (1, 3, 2), (2, 2, 2)]]
    values, errors = gaussian_moments(RELU, [K], moments)
    for value, error, moment in zip(values[0], errors[0], moments, strict=True):
        exact = float(reference(RELU, K, moment, dps=13))
        assert abs(value - exact) <= error + 1e-12 * abs(exact)
        assert error <= 1e-10 * abs(exact)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_collinear_inputs_without_pending_derivatives(sign: float) -> None:
    """z2 = +-2 z1: finite as long as nothing is differentiated."""
    values, errors = gaussian_moments(
        RELU, [[[0.7, 1.4 * sign], [1.4 * sign, 2.8]]], [(((0,), 0), ((0,), 0)), (((1,), 0), ((1,), 0))]
    )
    exact = [0.7, 0.5] if sign > 0 else [0.0, 0.0]
    assert (np.abs(values[0] - exact) <= errors[0] + 1e-300).all()


def test_collinear_inputs_diverge_with_pending_derivatives() -> None:
    with pytest.raises(AccuracyError, match="merge equal inputs"):
        gaussian_moments(RELU, [[[1.0, 2.0], [2.0, 4.0]]], [(((0,), 2), ((0,), 2))])


def test_nearly_equal_inputs_carry_their_loss() -> None:
    gaps = [1e-2, 1e-5, 1e-8]
    kernels = [[[1.0, 1 - gap], [1 - gap, 1.0]] for gap in gaps]
    values, errors = gaussian_moments(RELU, kernels, [(((0,), 2), ((0,), 2))])
    exact = [1 / (2 * math.pi * math.sqrt((1 - k[0][1]) * (1 + k[0][1]))) for k in kernels]
    assert (np.abs(values[:, 0] - exact) <= errors[:, 0]).all()
    relative = errors[:, 0] / exact
    assert relative[0] < 1e-12
    assert relative[2] > 1e-9
    with pytest.raises(AccuracyError, match="nearly equal"):
        gaussian_moments(RELU, [[[1.0, 1 - 1e-14], [1 - 1e-14, 1.0]]], [(((0,), 2), ((0,), 2))])


@pytest.mark.parametrize("entry", [((1,), 0), ((0,), 1), ((0, 0), 2)])
def test_a_vanishing_kernel_on_a_kink_is_refused(entry: tuple) -> None:
    with pytest.raises(AccuracyError, match="kink"):
        gaussian_moments(RELU, [[[0.0]]], [(entry,)])
    with pytest.raises(AccuracyError, match="kink"):
        gaussian_moments(RELU, [[[1.0, 0.0], [0.0, 0.0]]], [(((0,), 0), entry)])


def test_a_vanishing_kernel_where_the_integrand_is_continuous() -> None:
    values, _ = gaussian_moments(RELU, [[[0.0]]], [(((0, 0), 0),), (((0, 0), 1),)])
    assert not values.any()


def test_written_derivatives() -> None:
    with pytest.raises(KinkError, match="almost_everywhere"):
        gaussian_moments(RELU, [[[1.0]]], [(((1, 2), 0),)])
    with pytest.raises(KinkError):
        gaussian_moments(activation("Heaviside(z)"), [[[1.0]]], [(((1,), 0),)])
    for options in ({"kinks": "almost_everywhere"}, {"allow": True}):
        values, errors = gaussian_moments(RELU, [[[1.0]]], [(((1, 2), 0),), (((0, 2), 3),)], **options)
        assert not values.any()
        assert not errors.any()


def test_control_a_dropped_delta_term_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the jump of sigma' the brackets with pending derivatives miss their closed forms by far."""
    true_jump = kinked.jump
    monkeypatch.setattr(kinked, "jump", lambda s, k, level, c: 0.0 if level == 1 else true_jump(s, k, level, c))
    K = np.array([[1.0, 0.45], [0.45, 2.25]])
    values, errors = gaussian_moments(RELU, [K], [(((0,), 2), ((0,), 2)), (((0,), 2), ((0,), 0))])
    exact = [arc_cosine(2, 2, K), arc_cosine(2, 0, K)]
    assert (np.abs(values[0] - exact) > 1e6 * errors[0] + 1e-2).all()
