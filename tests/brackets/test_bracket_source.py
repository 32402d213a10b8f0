"""The emitted source of single-input brackets by quadrature equals the front, jitted and not, and is stable text."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rgflow.activations import activation
from rgflow.brackets import gaussian_moments, single_input_source
from rgflow.brackets.emit_quadrature import bracket_name, derivative_order, growth_rate

PLAIN = [((0, 0), 0), ((0, 0, 0, 0), 0), ((1, 1), 0)]
ENTRIES = [*PLAIN, ((0, 1), 3), ((0, 0), 4), ((0, 0), 8), ((0, 0, 1, 1), 2), ((0,), 1)]


def functions(name: str, entries: list) -> dict:
    sigma = activation(name)
    text = sigma.source(derivative_order(sigma, entries)) + "\n\n\n" + single_input_source(entries, sigma, forms={})
    space: dict = {"math": math, "np": np}
    exec(compile(text, name, "exec"), space)  # our own emitted text, never a user's
    return space


def run(function: object, name: str, K: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    out, scale = np.zeros((len(ENTRIES), 2)), np.zeros(len(ENTRIES))
    function(K, n, growth_rate(activation(name), ENTRIES), out, scale)  # type: ignore[operator]
    return out, scale


@pytest.mark.parametrize(
    ("name", "n"),
    [("tanh", 48), ("gelu", 64), ("softplus", 64), ("sin", 700), ("exp", 48), ("z^3 - z", 64), ("gaussian", 64)],
)
def test_smooth_source_equals_the_front(name: str, n: int) -> None:
    function = functions(name, ENTRIES)["brackets"]
    for K in (0.0, 1e-6, 0.3, 4.0, 1e2 if name != "exp" else 9.0):
        out, scale = run(function, name, K, n)
        values, errors = gaussian_moments(activation(name), [[[K]]], [(entry,) for entry in ENTRIES])
        assert (np.abs(out[:, 0] - values[0]) <= 1e-12 * scale + errors[0]).all()
        assert (np.abs(out[:, 0] - out[:, 1]) <= 1e-10 * scale).all()


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "Max(z, -1/2)", "Max(0, tanh(z))"])
def test_kinked_source_equals_the_front(name: str) -> None:
    function = functions(name, ENTRIES)["brackets"]
    for K in (1e-6, 0.3, 4.0, 1e2):
        out, scale = run(function, name, K, 6)
        values, errors = gaussian_moments(activation(name), [[[K]]], [(entry,) for entry in ENTRIES])
        assert (np.abs(out[:, 0] - values[0]) <= 1e-12 * scale + errors[0]).all()
        assert (np.abs(out[:, 0] - out[:, 1]) <= 1e-10 * scale).all()


def test_kinked_source_at_a_vanishing_kernel() -> None:
    out, _ = run(functions("relu", ENTRIES)["brackets"], "relu", 0.0, 4)
    broken = [pending >= len(orders) - sum(orders) for orders, pending in ENTRIES]  # z_+^p jumps at its p-th derivative
    np.testing.assert_array_equal(np.isnan(out[:, 0]), broken)
    assert out[0, 0] == 0.0


@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_jitted_equals_plain(name: str) -> None:
    numba = pytest.importorskip("numba")
    space = functions(name, ENTRIES)
    plain, _ = run(space["brackets"], name, 0.8, 20)
    for key in [key for key in space if key.startswith("derivatives_p")]:
        space[key] = numba.njit(space[key])
    jitted, _ = run(numba.njit(space["brackets"]), name, 0.8, 20)
    np.testing.assert_allclose(jitted, plain, rtol=1e-12, atol=1e-14)


def test_the_text_says_what_it_computes() -> None:
    text = single_input_source([((1, 1), 2), ((0, 1), 0)], activation("tanh"), forms={})
    assert text == single_input_source([((1, 1), 2), ((0, 1), 0)], activation("tanh"), forms={})
    assert bracket_name(((1, 1), 2)) == "<s' s' ; d^2>"
    assert "# <s' s' ; d^2>" in text
    assert "# <s s'>: odd, exactly zero" in text
