"""Recursions as text, LaTeX and SymPy: what is printed is what was derived, the same under every hash seed."""

import os
import random
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from exact_flow import evaluate
from oracles.exact_brackets import PolynomialBrackets

from rgflow import closure, derive

ROOT = Path(__file__).parents[2]
EVERY = [*"VADFBPQRSTU", "K", "Theta", "K_1", "Theta_1", "V6", "K_2", "V_1", "A_1", "1e 2|3e 4|5 6_1"]


def test_text_by_hand():
    assert str(derive("K")) == "K' = C_b + C_W <σσ>"
    assert str(derive("V")) == "V' = C_W^2 <σσσσ> - C_W^2 <σσ>^2 + 1/4 r C_W^2 V <∂^2[σσ]>^2"
    assert str(derive("K_1", samples="many")) == (
        "K_1'[1,2] = 1/2 r C_W K_1[β1,β2] <∂β1∂β2[σ1 σ2]> + 1/8 r C_W V[β1,β2,β3,β4] <∂β1∂β2∂β3∂β4[σ1 σ2]>"
    )
    assert str(derive("B", samples="many")) == (
        "B'[1,2,3,4] = C_W^2 Theta[1,3] Theta[2,4] <σ'1 σ'2 σ'3 σ'4> + r C_W^2 B[1,2,3,4] <σ'1 σ'2> <σ'3 σ'4>"
    )
    assert str(closure("V")) == f"{derive('K')}\n{derive('V')}"


def test_latex_by_hand():
    assert derive("K").latex() == r"K^{(\ell+1)} = C_b + C_W\,\langle \sigma\sigma \rangle_K"
    assert derive("F", samples="many").latex() == (
        r"F^{(\ell+1)}_{1234} = C_W^{2}\,\Theta^{(\ell)}_{24}\,"
        r"\langle \sigma_{1}\sigma^{\prime}_{2}\sigma_{3}\sigma^{\prime}_{4} \rangle_K"
        r" + \frac{n_\ell}{n_{\ell-1}}\,C_W^{2}\,\sum_{\beta}\,F^{(\ell)}_{\beta_{1}2\beta_{2}4}\,"
        r"\langle \partial_{\beta_{1}}(\sigma_{1}\sigma^{\prime}_{2}) \rangle_K\,"
        r"\langle \partial_{\beta_{2}}(\sigma_{3}\sigma^{\prime}_{4}) \rangle_K"
    )
    assert r"V^{(\ell+1)}_{(12)(34)}" in derive("V", samples="many").latex()
    assert derive("K_2").latex().startswith(r"K^{\{2\}(\ell+1)} = ")
    assert derive("K")._repr_latex_() == f"$\\displaystyle {derive('K').latex()}$"


@pytest.mark.parametrize("samples", ["one", "many"])
@pytest.mark.parametrize("name", EVERY)
def test_latex_renders(name, samples):
    """matplotlib's parser reads every term (eight of the long ones): braces balance, no superscript is doubled."""
    from matplotlib.mathtext import MathTextParser

    parser = MathTextParser("path")
    latex = derive(name, samples=samples).latex()
    assert latex.count("{") == latex.count("}")
    left, right = latex.split(" = ", 1)
    pieces = sorted(set(re.split(r" [+-] ", right)))
    for piece in [left, *random.Random(name).sample(pieces, min(len(pieces), 8))]:
        parser.parse(f"${piece}$")


def test_latex_of_a_system():
    latex = closure(["V", "K_1"]).latex()
    assert latex.startswith("\\begin{aligned}\n")
    assert latex.count("&=") == 3
    assert latex.count("\\\\\n") == 2


def test_as_many_terms_are_printed_as_there_are():
    for name in EVERY:
        for samples in ("one", "many"):
            rec = derive(name, samples=samples)
            assert len(re.split(r" [+-] ", str(rec).split(" = ")[1])) == len(rec.terms)
            assert len(re.split(r" [+-] ", rec.latex().split(" = ")[1])) == len(rec.terms)


@pytest.mark.parametrize("name", EVERY)
def test_sympy_is_the_recursion(name):
    """With exact numbers for brackets and tensors the SymPy expression has the value of the terms."""
    import sympy as sp

    rec = derive(name)
    brackets = PolynomialBrackets.single((1, 2, Fraction(1, 2), Fraction(1, 3)), Fraction(3, 2))
    state = {other: Fraction(i + 2, 2 * i + 3) for i, other in enumerate(sorted(rec.depends_on))}
    hyper = {"C_b": 2, "C_W": Fraction(2, 3), "lambda_b": 5, "lambda_W": Fraction(1, 7)}
    put = {sp.Symbol(key, nonnegative=True): value for key, value in hyper.items()} | {sp.Symbol("r", positive=True): 3}
    put |= {sp.Symbol(key, real=True): value for key, value in state.items()}

    def number(orders, pending):
        return sp.Rational(brackets.one(tuple(map(int, orders)), int(pending)))

    value = rec.to_sympy().replace(sp.Function("Bracket"), number).subs({k: sp.Rational(v) for k, v in put.items()})
    assert Fraction(int(value.p), int(value.q)) == evaluate(rec, brackets, state, hyper, 3)


def test_sympy_with_many_inputs_by_hand():
    import sympy as sp

    b = sp.symbols("beta_1:5", integer=True)
    C_W, r = sp.Symbol("C_W", nonnegative=True), sp.Symbol("r", positive=True)
    bracket, V = sp.Function("Bracket"), sp.IndexedBase("V")
    s = [sp.Tuple(i, 0) for i in range(5)]
    left, right = sp.Tuple(s[1], s[2]), sp.Tuple(s[3], s[4])
    none = sp.Tuple()
    by_hand = C_W**2 * (
        bracket(sp.Tuple(*s[1:]), none)
        - bracket(left, none) * bracket(right, none)
        + r * V[b] * bracket(left, sp.Tuple(*b[:2])) * bracket(right, sp.Tuple(*b[2:])) / 4
    )
    assert sp.expand(derive("V", samples="many").to_sympy() - by_hand) == 0


def test_same_text_under_every_hash_seed():
    """The text and the LaTeX of whole closures, derived in new processes with different hash seeds."""
    code = (
        "import rgflow as rg\n"
        "for samples in ('one', 'many'):\n"
        "    system = rg.closure(['A_1', 'T', 'R', 'K_2', 'Q_1'], samples=samples)\n"
        "    print(system, system.latex(), *(rec.to_sympy() for rec in list(system)[:8]), sep='\\n')\n"
    )
    printed = []
    for seed in ("0", "4242"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
        printed.append(done.stdout)
    assert len(printed[0]) > 10_000
    assert printed[0] == printed[1]
