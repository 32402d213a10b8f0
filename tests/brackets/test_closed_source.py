"""Closed forms as source: equal to quadrature and to 30 digits within what they state; which brackets have them."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sympy as sp

from rgflow.activations import Activation, activation
from rgflow.activations.catalogue import CATALOGUE
from rgflow.brackets import closed_choice, derivative_order, growth_rate, least_nodes, single_input_source
from rgflow.brackets.closed import closed_bracket, read
from rgflow.brackets.kernel_forms import Closed, ExponentialSum, Straight, Summand, choice
from rgflow.brackets.kernel_forms.piecewise import is_piecewise_polynomial, piecewise_average
from rgflow.brackets.kernel_forms.translate import from_laurent
from rgflow.brackets.smooth import Entry

EPSILON = float(np.finfo(float).eps)
KERNELS = (1e-8, 1e-4, 1e-2, 0.3, 1.0, 7.0, 100.0, 1e3)
# those of all letters with K_1, Theta_1, V_1, K_2
ENTRIES: list[Entry] = [
    ((0, 0), 0), ((0, 0), 2), ((0, 0), 4), ((0, 0), 6), ((0, 0), 8), ((0, 0, 0, 0), 0), ((0, 0, 0, 0), 2),
    ((0, 0, 0, 0), 4), ((0,) * 6, 0), ((0, 0, 1, 1), 0), ((0, 1), 1), ((0, 1, 1, 2), 0), ((0, 2), 0), ((1, 1), 0),
    ((1, 1), 2), ((1, 1), 4), ((1, 1, 1, 1), 0), ((1, 1, 1, 3), 0), ((1, 1, 2, 2), 0), ((1, 2), 1), ((1, 3), 0),
    ((2, 2), 0),
]  # fmt: skip
OPEN = {"tanh", "sigmoid", "gelu_tanh", "silu", "swish", "softplus", "mish"}
NAMES = [name for name in CATALOGUE if name not in OPEN]
MORE = ["abs(z)", "z^3 - z/2", "erf(z) + z/10", "z - z^3*exp(-z^2)/2", "sinh(z)/3", "1 + cos(3*z)/2"]


def program(sigma: Activation, entries: list[Entry], forms: Mapping[Entry, Closed] | None = None) -> Any:
    """The emitted function, as plain Python: of closed forms, or with ``forms={}`` by quadrature."""
    text = sigma.source(derivative_order(sigma, entries)) + "\n\n\n" + single_input_source(entries, sigma, forms=forms)
    space: dict[str, Any] = {"math": math, "np": np}
    exec(compile(text, "brackets", "exec"), space)  # our own emitted text, never a user's
    return space["brackets"]


def run(function: Any, sigma: Activation, entries: list[Entry], kernel: float) -> tuple[Any, Any]:
    out, scale = np.zeros((len(entries), 2)), np.zeros(len(entries))
    nodes = 6 if sigma.kinks else max(96, math.ceil(least_nodes(sigma, entries, kernel)))
    function(kernel, nodes, growth_rate(sigma, entries), out, scale)
    return out, scale


def compare_with_quadrature(name: str, forms: dict[Entry, Closed] | None = None) -> int:
    """Both programs differ by no more than the errors that a flow attaches to them; returns the comparisons."""
    sigma = activation(name)
    known = closed_choice(sigma, ENTRIES) if forms is None else forms
    entries = list(known)
    closed, plain = program(sigma, entries, known), program(sigma, entries, {})
    compared = 0
    for kernel in KERNELS:
        if kernel * (6 * sigma.growth) ** 2 > 300:
            continue  # exponentials overflow at the nodes of quadrature
        found, size = run(closed, sigma, entries, kernel)
        expected, scale = run(plain, sigma, entries, kernel)
        np.testing.assert_array_equal(found[:, 0], found[:, 1])
        stated = np.abs(expected[:, 0] - expected[:, 1]) + 8 * EPSILON * (scale + size)
        miss = np.abs(found[:, 0] - expected[:, 0])
        assert (miss <= stated).all(), (name, kernel, [e for e, bad in zip(entries, miss > stated, strict=True) if bad])
        compared += len(entries)
    return compared


@pytest.mark.parametrize("name", NAMES + MORE)
def test_equals_quadrature(name: str) -> None:
    assert compare_with_quadrature(name) >= 50


@pytest.mark.parametrize("name", NAMES + MORE)
def test_stated_rounding_holds(name: str) -> None:
    """Against the expression at 40 digits: the error is at most 8 epsilon of the stated size, at every kernel."""
    sigma = activation(name)
    known = closed_choice(sigma, ENTRIES)
    entries = list(known)
    function = program(sigma, entries, known)
    K = sp.Symbol("K", positive=True)
    for kernel in (1e-8, 0.3, 7.0, 1e3):
        if kernel * (6 * sigma.growth) ** 2 > 600:
            continue
        out, scale = run(function, sigma, entries, kernel)
        for i, entry in enumerate(entries):
            exact = closed_bracket(sigma, *entry).evalf(40, subs={K: sp.Rational(kernel)})
            assert abs(sp.Float(float(out[i, 0]), 40) - exact) <= 8 * EPSILON * scale[i] + 1e-300, (entry, kernel)


def test_control_a_perturbed_form_fails() -> None:
    """Negative control: a constant wrong in its tenth digit fails the comparison, and the kernel would refuse it."""
    for name, entry in (("gelu", (((0, 0), 0))), ("relu", ((0, 0), 0)), ("sin", ((0, 0, 0, 0), 0))):
        sigma = activation(name)
        right = closed_choice(sigma, [entry])[entry]
        assert compare_with_quadrature(name, {entry: right})
        part = right.parts[-1]
        if isinstance(part, Summand):
            wrong: Any = replace(part, constant=part.constant * (1 + 1e-10))
        else:
            wrong = replace(part, plain=tuple((n, c * (1 + 1e-10)) for n, c in part.plain),
                            shifted=tuple(c * (1 + 1e-10) for c in part.shifted))  # fmt: skip
        perturbed = replace(right, parts=(*right.parts[:-1], wrong))
        with pytest.raises(AssertionError):
            compare_with_quadrature(name, {entry: perturbed})
        assert choice._inaccurate(sigma, [(entry, right), (entry, right)]) == set()
        assert choice._inaccurate(sigma, [(entry, perturbed)]) == {entry}


# Which brackets have a closed form ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["linear", "relu", "leaky_relu", "abs(z)", "monomial", "cos", "gaussian", "zgaussian"])
def test_all_in_closed_form(name: str) -> None:
    assert len(closed_choice(activation(name), ENTRIES)) == len(ENTRIES)


@pytest.mark.parametrize("name", sorted(OPEN))
def test_none_in_closed_form(name: str) -> None:
    assert not closed_choice(activation(name), ENTRIES)


@pytest.mark.parametrize(
    ("name", "others"),
    [
        # W_4 and W_6 are integrals themselves
        ("erf", {((0, 0, 0, 0), 0), ((0,) * 6, 0)}),
        ("gelu", {((0, 0, 0, 0), m) for m in (0, 2, 4)} | {((0,) * 6, 0), ((0, 0, 1, 1), 0), ((1, 1, 1, 1), 0)}),
        # (5 z^3 - z)^4 at K = 0.1 is the difference of terms forty times as large
        ("z^3 - z/2", {((0, 0, 0, 0), 0), ((0,) * 6, 0)}),
    ],
)
def test_the_others_are_left_to_quadrature(name: str, others: set[Entry]) -> None:
    assert others <= set(ENTRIES) - set(closed_choice(activation(name), ENTRIES))


def test_sums_that_cancel_are_refused() -> None:
    """Without powers of expm1 <sin^2> loses its digits at small K, and the choice sees it."""
    entry = ((0, 0), 0)
    plain = Closed("1/2 - exp(-2*K)/2", (Summand(0.5), Summand(-0.5, rate=-2.0)))
    assert choice._inaccurate(activation("sin"), [(entry, plain)]) == {entry}
    (kept,) = closed_choice(activation("sin"), [entry])[entry].parts
    assert isinstance(kept, ExponentialSum)


def test_rules_and_trees_name_the_same_functions() -> None:
    assert set(read._CALLS) == choice.READABLE


@pytest.mark.parametrize("name", ["linear", "relu", "leaky_relu", "abs(z)", "z^3 - z/2", "Max(z, 0)^2 - z", "sign(z)"])
def test_piecewise_polynomials_are_the_same_without_sympy(name: str) -> None:
    """Two routes: exact half moments, and the rules."""
    sigma = activation(name)
    assert is_piecewise_polynomial(sigma)
    K = sp.Symbol("K", positive=True)
    for entry in [*ENTRIES, ((0,), 0), ((0,), 1), ((0, 1), 0), ((0, 1), 2), ((1,), 3), ((0,), 5)]:
        ours = from_laurent(*piecewise_average(sigma, *entry)).text
        assert sp.expand(sp.sympify(ours, {"K": K}) - closed_bracket(sigma, *entry)) == 0, entry


def test_sympy_is_loaded_where_it_is_needed_only() -> None:
    code = (
        "import sys\nfrom rgflow.activations import activation\nfrom rgflow.brackets import closed_choice\n"
        "for name in ('tanh', 'swish', 'relu', 'z^2', 'gelu'):\n"
        "    closed_choice(activation(name), [((0, 0), 0), ((0, 1), 1)])\n"
        "    print(name, 'sympy' in sys.modules)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found[1::2] == ["False"] * 4 + ["True"]


# Text -----------------------------------------------------------------------------------------------------------------


def test_the_text_reads_like_the_formula() -> None:
    text = single_input_source([((0, 0), 0), ((0, 0, 0, 0), 0)], activation("gelu"))
    assert "# <s s>, closed form: K**2/(pi*(K + 1)*sqrt(2*K + 1)) + K*asin(K/(K + 1))/(2*pi) + K/4" in text
    assert text.count("math.sqrt(1.0 + 2.0 * K)") + text.count("= math.sqrt(p0)") == 1
    assert "q0_0_0_0" in text
    assert "q0_0 =" in text
    assert "derivatives_p0" not in single_input_source([((0, 0), 0), ((0, 0), 4)], activation("relu"))


def test_long_formulas_are_comments_of_several_lines() -> None:
    code = Straight()
    code.bracket(0, Closed(" + ".join(f"{i}*K**{i}" for i in range(60)), (Summand(1.0),)), "<s>")
    lines = [line for line in code.lines if line.lstrip().startswith("#")]
    assert len(lines) > 3
    assert all(len(line) <= 120 for line in code.lines)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "Max(z, 0)^2", "sign(z) + z"])
def test_at_a_vanishing_kernel_a_kink_has_no_number(name: str) -> None:
    """The same places as by quadrature."""
    sigma = activation(name)
    closed, _ = run(program(sigma, ENTRIES), sigma, ENTRIES, 0.0)
    plain, _ = run(program(sigma, ENTRIES, {}), sigma, ENTRIES, 0.0)
    np.testing.assert_array_equal(closed[:, 0], plain[:, 0])
    assert np.isnan(closed).any()


@pytest.mark.parametrize("name", ["erf", "gelu", "sin", "exp", "gaussian", "z^3 - z/2", "sinh(z)/3"])
def test_at_a_vanishing_kernel_a_smooth_bracket_is_its_value_at_zero(name: str) -> None:
    sigma = activation(name)
    known = closed_choice(sigma, ENTRIES)
    entries = list(known)
    closed, scale = run(program(sigma, entries, known), sigma, entries, 0.0)
    plain, _ = run(program(sigma, entries, {}), sigma, entries, 0.0)
    assert (np.abs(closed[:, 0] - plain[:, 0]) <= 64 * EPSILON * (scale + np.abs(plain[:, 0]))).all()
