"""Recursions in closed form: against PDLT typed by hand, against quadrature, and one input against many."""

from __future__ import annotations

import importlib
import random
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import sympy as sp
from oracles.exact_brackets import PolynomialBrackets
from sources.pdlt import LETTERS, TENSORS, ManyInputs, Parameters, step

from rgflow.activations import activation
from rgflow.algebra import Tensor
from rgflow.brackets import gaussian_moments
from rgflow.brackets.closed import closed_form
from rgflow.derive import closure, derive
from rgflow.errors import InputError, KinkError, NoClosedForm, UnknownName

K = sp.Symbol("K", positive=True)
HYPER = {"C_b": Fraction(2, 7), "C_W": Fraction(5, 3), "lambda_b": Fraction(3, 4), "lambda_W": Fraction(1, 6)}
RATIO = Fraction(3, 2)
CUBIC = (Fraction(1, 3), Fraction(1), Fraction(-1, 2), Fraction(1, 5))
CUBIC_TEXT = "1/3 + z - z^2/2 + z^3/5"


def exact(value: sp.Expr) -> Fraction:
    return Fraction(int(value.p), int(value.q))


def rational(value: Fraction) -> sp.Rational:
    return sp.Rational(value.numerator, value.denominator)


def at_hyper() -> dict[sp.Symbol, sp.Rational]:
    """Values of the symbols that all recursions share."""
    named = {sp.Symbol(name, nonnegative=True): rational(value) for name, value in HYPER.items()}
    return named | {sp.Symbol("r", positive=True): rational(RATIO)}


def test_one_input_is_the_book() -> None:
    """All letters, Theta, K_1, Theta_1 of a cubic sigma at a random rational state, exactly."""
    source = random.Random(3)
    state = {name: Fraction(source.randint(1, 20), source.randint(1, 9)) for name in TENSORS}
    brackets = PolynomialBrackets.single(CUBIC, state["K"])
    expected = step(brackets.one, state, Parameters(*HYPER.values(), r=RATIO))
    at = at_hyper() | {sp.Symbol(name, real=True): rational(value) for name, value in state.items()}
    at[K] = rational(state["K"])
    found = {name: exact(closed_form(derive(name), CUBIC_TEXT).subs(at)) for name in TENSORS}
    assert found == expected


def test_many_inputs_are_the_book() -> None:
    """All letters at four different inputs, sigma = z + z^2/2, exactly; every component by its canonical name."""
    source = random.Random(4)
    samples = (1, 2, 3, 4)

    def value(name: str, indices: tuple[int, ...]) -> Fraction:
        tensor = Tensor.named(name)
        first = min(tuple(indices[i] for i in s) for s in tensor.symmetries)
        seed = random.Random(f"{name} {first}")
        return Fraction(seed.randint(-20, 20), seed.randint(1, 9))

    kernel = {}
    for a, b in product(samples, repeat=2):
        kernel[a, b] = kernel.get((b, a)) or Fraction(
            source.randint(1, 20) * (5 if a == b else 1), source.randint(1, 9)
        )
    state = {n: (lambda *indices, n=n: value(n, indices)) for n in TENSORS if n != "K"}
    state["K"] = lambda *indices: kernel[indices]
    sigma = (0, 1, Fraction(1, 2))
    brackets = PolynomialBrackets(sigma, kernel).many
    sources = ManyInputs(brackets, state, Parameters(*HYPER.values(), r=RATIO))
    for name in TENSORS:
        recursion = derive(name, samples="many")
        form = closed_form(recursion, "z + z^2/2")
        entries = {entry: rational(value(str(entry.base), tuple(map(int, entry.indices))))
                   for entry in form.atoms(sp.Indexed)}  # fmt: skip
        kernels = {symbol: rational(kernel[int(symbol.name[1]), int(symbol.name[2])])
                   for symbol in form.free_symbols if str(symbol)[0] == "K" and str(symbol)[1:].isdigit()}  # fmt: skip
        arguments = samples[: 2 * recursion.tensor.level]
        assert exact(form.xreplace(entries).subs(at_hyper() | kernels)) == getattr(sources, name)(*arguments), name


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("erf", "z + z^3*exp(-z^2)")]


@pytest.mark.parametrize("name", ["gelu", "relu", *SLOW])
def test_one_input_is_quadrature(name: str) -> None:
    """All letters, K_1, Theta_1, V_1, K_2, V6 with brackets as closed forms or as numbers."""
    sigma, kernel = activation(name), 0.7
    system = closure(["K_2", "V_1", "Theta_1", "V6", *LETTERS])
    moments = [((b.orders, b.pending),) for b in system.brackets]
    values, _ = gaussian_moments(sigma, [[[kernel]]], moments, kinks="almost_everywhere")
    unevaluated = (sp.Function("Bracket")(sp.Tuple(*b.orders), b.pending) for b in system.brackets)
    brackets = dict(zip(unevaluated, map(float, values[0]), strict=True))
    for recursion in system:
        at = at_hyper() | {sp.Symbol(t.name, real=True): 1 + sp.Rational(i, 7)
                           for i, t in enumerate(sorted(recursion.tensors, key=str)) if t.name != "K"}  # fmt: skip
        at[K] = sp.Rational(kernel)
        form = closed_form(recursion, sigma, kinks="almost_everywhere")
        found = sp.lambdify(list(at), form, "numpy")(*map(float, at.values()))
        numbers = float(recursion.to_sympy().xreplace(brackets).subs(at))
        assert found == pytest.approx(numbers, rel=1e-10), recursion.name


@pytest.mark.parametrize(("name", "tensors"), [
    ("sin", ("K", "Theta", "V", "D", "K_1")),
    ("gelu", ("K", "Theta", "K_1")),
    ("erf", ("K_1", "K_2")),
    ("z^3 - z/2", ("V", "F", "B", "K_1")),
])  # fmt: skip
def test_equal_inputs_are_one_input(name: str, tensors: tuple[str, ...]) -> None:
    """The many-input form with all samples equal is the one-input form."""
    for tensor in tensors:
        one, many = (closed_form(derive(tensor, samples=s), name) for s in ("one", "many"))
        entries = {entry: sp.Symbol(str(entry.base), real=True) for entry in many.atoms(sp.Indexed)}
        merged = many.xreplace(entries)
        kernels = {s: K for s in merged.free_symbols if str(s)[0] == "K" and str(s)[1:].isdigit()}
        difference = one - merged.xreplace(kernels)
        at = {symbol: sp.Rational(7 + i, 10) for i, symbol in enumerate(sorted(difference.free_symbols, key=str))}
        assert abs(difference.subs(at).evalf(25)) < 1e-20, tensor


def test_readable_forms() -> None:
    assert str(closed_form(derive("V"), "relu")) == "5*C_W**2*K**2/4 + C_W**2*V*r/4"
    assert str(closed_form(derive("V", samples="many"), "linear")) == (
        "C_W**2*K13*K24 + C_W**2*K14*K23 + C_W**2*r*V[1, 2, 3, 4]"
    )
    assert closed_form(derive("V"), "gelu") == closed_form(derive("V"), activation("gelu"))


def test_control_a_lost_sum_over_samples_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with the first sample instead of the sum over samples the comparison with the book fails."""
    module = importlib.import_module("rgflow.brackets.closed.closed_form")
    monkeypatch.setattr(module, "product", lambda *runs: [tuple(run[0] for run in runs)])
    with pytest.raises(AssertionError, match=r"== Fraction"):
        test_many_inputs_are_the_book()


def test_kinks_follow_the_rule_of_flows() -> None:
    """R of relu needs the word; P and Q at one input do not, at many they do."""
    with pytest.raises(KinkError, match="almost_everywhere"):
        closed_form(derive("R"), "relu")
    assert closed_form(derive("R"), "relu", kinks="almost_everywhere") != 0
    assert closed_form(derive("P"), "relu") == closed_form(derive("P"), "relu", kinks="almost_everywhere")
    with pytest.raises(KinkError):
        closed_form(derive("P", samples="many"), "relu")
    with pytest.raises(KinkError):
        closed_form(derive("Theta"), "Heaviside(z)")
    assert closed_form(derive("K"), "Heaviside(z)") != 0


def test_refusals() -> None:
    """No closed form: the activation, the bracket and the remedy are named."""
    with pytest.raises(NoClosedForm, match=r"<s\(z\) s\(z\)> of tanh .*tanh\(z\).*gaussian_moments"):
        closed_form(derive("K"), "tanh")
    with pytest.raises(NoClosedForm, match="4 error functions"):
        closed_form(derive("V", samples="many"), "erf")
    with pytest.raises(NoClosedForm, match="kinks with 4 inputs"):
        closed_form(derive("V", samples="many"), "relu")
    with pytest.raises(InputError, match="derive"):
        closed_form("V", "relu")  # type: ignore[arg-type]
    with pytest.raises((UnknownName, InputError)):
        closed_form(derive("V"), "nonsense")
    with pytest.raises(InputError, match="kinks"):
        closed_form(derive("V"), "relu", kinks="perhaps")


def test_a_step_of_numbers() -> None:
    """The form as a NumPy function of K: one step of K and V for gelu at many kernels."""
    form = closed_form(derive("V"), "gelu")
    symbols = [K, sp.Symbol("V", real=True), sp.Symbol("C_W", nonnegative=True), sp.Symbol("r", positive=True)]
    kernels = np.geomspace(0.01, 30, 9)
    found = sp.lambdify(symbols, form, "numpy")(kernels, 0.3, 1.5, 1.0)
    sigma = activation("gelu")
    values, _ = gaussian_moments(sigma, kernels[:, None, None], [(((0,) * 4, 0),), (((0, 0), 0),), (((0, 0), 2),)])
    expected = 1.5**2 * (values[:, 0] - values[:, 1] ** 2) + 0.25 * 1.5**2 * 0.3 * values[:, 2] ** 2
    np.testing.assert_allclose(found, expected, rtol=1e-11)
