"""Derivations run and end in equality; every coefficient, factor, order and index of a typed formula is needed."""

import doctest
import os
import random
import re
import runpy
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import pytest
import sympy as sp
from oracles.exact_brackets import PolynomialBrackets
from sources.pdlt import ManyInputs, Parameters, step

from rgflow import Tensor

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "derivations"
NOTATION = ("compare", "paper", "rows")  # what scripts are written with
SCRIPTS = {path.stem: path for path in sorted(FOLDER.glob("*.py")) if path.stem not in NOTATION}
WITH_FORMULAS = [name for name, path in SCRIPTS.items() if "\nMANY" in path.read_text(encoding="utf-8")]


@pytest.fixture
def paper(monkeypatch):
    """The scripts' notation, imported as they import it."""
    monkeypatch.syspath_prepend(FOLDER)
    import paper

    return paper


def equations(name):
    script = runpy.run_path(str(SCRIPTS[name]))
    return (*script["MANY"], *script["ONE"])


def rows_alone(path):
    """Whether a script checks its rows and does nothing else: the tests of the book do that, too."""
    return path.read_text(encoding="utf-8").endswith('if __name__ == "__main__":\n    check_rows(globals())\n')


@pytest.mark.usefixtures("paper")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if rows_alone(path) else ()) for name, path in SCRIPTS.items()]
)
def test_script_runs(name, capsys):
    runpy.run_path(str(SCRIPTS[name]), run_name="__main__")
    printed = capsys.readouterr().out
    assert "equal" in "".join(printed.splitlines()[-2:])


def test_script_stands_alone(tmp_path):
    """As a reader runs it, from another folder."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, str(SCRIPTS["chapter_04_kernel_and_four_point_vertex"])]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, check=True)
    assert done.stdout.decode().count("equal to PDLT chapter 4") == 6


@pytest.mark.usefixtures("paper")
def test_every_letter_is_derived():
    """All eleven letters, K, Theta, K_1, Theta_1, once for many inputs and once for one."""
    found = Counter((e.name, bool(e.samples)) for name in WITH_FORMULAS for e in equations(name))
    letters = ("K", "Theta", "K_1", "Theta_1", *"VADFBPQRSTU")
    assert found == Counter((letter, many) for letter in letters for many in (False, True))
    assert all(len(set(e.samples)) == len(e.samples) for name in WITH_FORMULAS for e in equations(name))


# The normal form -----------------------------------------------------------------------------------------------------


def test_normal_form_by_hand(paper):
    """Leibniz' rule, sums over the samples of a bracket, symmetries of tensors; what differs stays different."""
    E, s, ds, dds, V, F, b1, b2 = paper.E, paper.s, paper.ds, paper.dds, paper.V, paper.F, paper.b1, paper.b2
    normal = paper.normal
    assert normal(E(s**2, d=2)) == normal(2 * E(s * dds) + 2 * E(ds**2))
    summed = paper.K_1[b1, b2] * E(s(1) * s(2), d=(b1, b2))
    by_hand = (
        paper.K_1[1, 1] * E(dds(1) * s(2)) + paper.K_1[2, 2] * E(s(1) * dds(2)) + 2 * paper.K_1[1, 2] * E(ds(1) * ds(2))
    )
    assert normal(summed) == normal(by_hand)
    assert normal(V[1, 2, 3, 4]) == normal(V[4, 3, 2, 1]) != normal(V[1, 3, 2, 4])
    assert normal(F[1, 2, 3, 4]) == normal(F[3, 4, 1, 2]) != normal(F[2, 1, 3, 4])
    assert normal(E(s(1) * ds(2))) != normal(E(ds(1) * s(2)))
    assert normal(E(s) ** 2) != normal(E(s**2))
    assert normal(E(paper.Omega(1, 2), d=(b1,)) * E(s(3), d=(b2,)) * paper.K_1[b1, b2]) == normal(
        (paper.lambda_W * E(ds(1) * s(2)) + paper.C_W * paper.Theta[1, 2] * E(dds(1) * ds(2)))
        * E(ds(3))
        * paper.K_1[3, 1]
        + (paper.lambda_W * E(s(1) * ds(2)) + paper.C_W * paper.Theta[2, 1] * E(ds(1) * dds(2)))
        * E(ds(3))
        * paper.K_1[3, 2]
    )


def test_examples_of_the_notation(paper):
    import compare

    for module in (paper, compare):
        result = doctest.testmod(module)
        assert result.attempted > 0 == result.failed


@pytest.mark.usefixtures("paper")
def test_equal_as_functions_of_symbols_by_name():
    """Whatever symbols are known to be; in another form; and not if a part in 10^20 differs."""
    from compare import equal

    x, K, W = sp.Symbol("x", real=True), sp.Symbol("K", positive=True), sp.Symbol("C_W", nonnegative=True)
    equal(x + x**2, sp.Symbol("x") * (1 + sp.Symbol("x")), "a product")
    equal(sp.asin(K / (K + 1)), sp.atan(K / sp.sqrt(1 + 2 * K)), "an angle")
    equal(0, 0, "nothing")
    for wrong in (W * sp.exp(K) * (1 + sp.Rational(1, 10**20)), W * sp.exp(K) + sp.Rational(1, 10**20), 0, K):
        with pytest.raises(AssertionError, match="an exponential"):
            equal(W * sp.exp(K), wrong, "an exponential")


def test_slips_of_the_pen_are_refused(paper):
    E, s, V, b1, b2 = paper.E, paper.s, paper.V, paper.b1, paper.b2
    for wrong in (E(s(1), d=(b1,)), V[b1, b1, 1, 2] * E(s(1), d=(b1,)), paper.K_1[b1, b2] * E(s(1), d=(b1,)), s(1)):
        with pytest.raises(ValueError, match=r"indices|outside"):
            paper.normal(wrong)
    with pytest.raises(ValueError, match="4 samples"):
        V[1, 2]


def value(polynomial, brackets, state, symbols):
    """A polynomial in normal form as a number."""
    total = Fraction(0)
    for monomial, c in polynomial.items():
        for (kind, name, places), power in monomial:
            if kind == "symbol":
                c *= symbols[name] ** power
            elif kind == "tensor":
                c *= state(name, places) ** power
            else:
                c *= brackets(name) ** power
        total += c
    return total


@pytest.mark.parametrize("name", WITH_FORMULAS)
def test_typed_formulas_are_those_of_the_sources(name, paper):
    """The formulas as typed in the scripts and, by another hand and in another notation, in sources/: equal numbers."""
    source = random.Random(4)

    def rational():
        return Fraction(source.randint(1, 30), source.randint(1, 9))

    symbols = {key: rational() for key in ("C_b", "C_W", "lambda_b", "lambda_W", "r")}
    p = Parameters(**symbols)
    sigma = (Fraction(1, 3), 1, Fraction(-1, 2), Fraction(1, 5))
    kernel = {(a, b): Fraction(7 if a == b else 2, 4 + a + b) for a in range(5) for b in range(5)}
    components = {}

    def component(letter, samples):
        alike = min(tuple(samples[i] for i in s) for s in Tensor.named(letter).symmetries) if samples else ()
        return components.setdefault((letter, alike), rational())

    many = PolynomialBrackets(sigma, kernel).many
    tensors = {
        key: lambda *samples, key=key: component(key, samples) for key in ("Theta", "K_1", "Theta_1", *"VADFBPQRSTU")
    }
    single = PolynomialBrackets.single(sigma, Fraction(5, 4))
    one_state = {"K": Fraction(5, 4)} | {key: component(key, ()) for key in tensors}
    for equation in equations(name):
        typed = paper.normal(equation.right)
        if equation.samples:
            expected = getattr(ManyInputs(many, tensors, p), equation.name)(*equation.samples)
            found = value(typed, many, component, symbols)
        else:
            expected = step(single.one, one_state, p)[equation.name]
            found = value(typed, lambda f: single.many(f), component, symbols)
        assert found == expected, (equation.name, equation.samples)


# Negative controls: every piece of a typed formula -------------------------------------------------------------------


def slips(paper, equation):
    """What one slip of the pen adds to a typed formula, described."""
    for monomial, c in equation.right.terms.items():
        term = paper.Expression({monomial: c})
        for factor in (0, -1, 2, Fraction(1, 2)):
            yield f"{monomial} times {factor}", (factor - 1) * term
        for i, (atom, power) in enumerate(monomial):
            fewer = (*monomial[:i], *([(atom, power - 1)] if power != 1 else []), *monomial[i + 1 :])
            yield f"{monomial} with one {atom} less", paper.Expression({fewer: c}) - term
            for new in other_atoms(atom, equation.samples, monomial):
                put = normalised((*monomial, (atom, -1), (new, 1)))
                yield f"{monomial}: {new} for one {atom}", paper.Expression({put: c}) - term


def normalised(monomial):
    powers = Counter()
    for atom, power in monomial:
        powers[atom] += power
    return tuple(sorted(((a, p) for a, p in powers.items() if p), key=repr))


def other_atoms(atom, external, monomial):
    kind, name, places = atom
    if kind == "symbol":
        yield from ((kind, other, places) for other in ("C_b", "C_W", "lambda_b", "lambda_W", "r") if other != name)
    elif kind == "tensor":
        yield (kind, {"K": "Theta", "Theta": "K", "K_1": "Theta_1", "Theta_1": "K_1", "V": "A"}.get(name, "V"), places)
        yield (kind, name + "_1" if "_" not in name else name[:-1] + "2", places)
        yield from ((kind, name, new) for new in other_indices(name, places, external, monomial))
    else:
        for i, (sample, order) in enumerate(name):
            yield (kind, tuple(sorted((*name[:i], (sample, order + 1), *name[i + 1 :]))), places)
            if order:
                yield (kind, tuple(sorted((*name[:i], (sample, order - 1), *name[i + 1 :]))), places)
            for other in external:
                if other != sample:
                    yield (kind, tuple(sorted((*name[:i], (other, order), *name[i + 1 :]))), places)
        if not external and places:
            yield (kind, name, places[1:])


def other_indices(name, places, external, monomial):
    """Two indices exchanged, or one replaced by another sample; not what is equal by symmetry or by renaming sums."""
    bracket_of = {b: -i - 1 for i, ((kind, _, d), _) in enumerate(monomial) if kind == "E" for b in d}
    symmetries = Tensor.named(name).symmetries

    def alike(indices):
        tokens = [bracket_of.get(index, index) for index in indices]
        return min(tuple(tokens[i] for i in s) for s in symmetries)

    for i, j in combinations(range(len(places)), 2):
        exchanged = list(places)
        exchanged[i], exchanged[j] = places[j], places[i]
        if alike(exchanged) != alike(places):
            yield tuple(exchanged)
    for i, index in enumerate(places):
        yield from ((*places[:i], other, *places[i + 1 :]) for other in external if other != index)


def noticed(paper, change):
    try:
        return paper.normal(change) != {}
    except ValueError:  # a summed index that stands alone
        return True


@pytest.mark.parametrize("name", WITH_FORMULAS)
def test_control_every_slip_is_noticed(name, paper):
    """Each coefficient, factor, written derivative, letter and index of each formula, changed one at a time.

    The normal form is linear: a slip makes the difference that its own normal form is. Every fiftieth goes the whole
    way, through ``Equation.check``.
    """
    count = 0
    for equation in equations(name):
        assert equation.difference() == {}
        left = paper.Letter(equation.name)
        left = left[equation.samples] if equation.samples else left
        for description, change in slips(paper, equation):
            count += 1
            assert noticed(paper, change), description
            if count % 50 == 1:
                with pytest.raises((AssertionError, ValueError), match=r"typed - derived|indices"):
                    paper.Equation(left, equation.right + change, "a slip of the pen").check()
    assert count > 100


@pytest.mark.usefixtures("paper")
def test_control_a_wrong_solution_in_depth_is_noticed():
    """A solution that starts right and grows by one more power of the layer is refused, and so is another start."""
    script = runpy.run_path(str(SCRIPTS["scale_invariant_solutions"]))
    solutions, l = script["SOLUTIONS"], script["l"]
    for name, solution in list(solutions.items()):
        solutions[name] = solution + l * (l - 1)
        with pytest.raises(AssertionError, match="from layer l"):
            script["check"](name, solutions[name])
        solutions[name] = solution
        with pytest.raises(AssertionError, match="at layer 1"):
            script["check"](name, solution + 1)


@pytest.mark.usefixtures("paper")
@pytest.mark.parametrize("name", ["K", "V", "D", "Q", "U"])
def test_control_a_wrong_amplitude_is_noticed(name):
    script = runpy.run_path(str(SCRIPTS["vanishing_kernel_amplitudes"]))
    script["check"]("sin", {name: script["LAWS"][name]})
    for wrong in (2 * script["LAWS"][name], script["l"] * script["LAWS"][name]):
        with pytest.raises(AssertionError, match=f"{name} of sin"):
            script["check"]("sin", {name: wrong})


@pytest.mark.usefixtures("paper")
def test_control_wrong_numbers_of_chapter_5_are_noticed():
    """The factor-ten typo of C_b that two public repositories have, and another logarithm."""
    script = runpy.run_path(str(SCRIPTS["chapter_05_criticality"]))
    K_star, C_W, C_b, *rest = script["HALF_STABLE"]["swish"]
    script["HALF_STABLE"]["swish"] = (K_star, C_W, C_b / 10, *rest)
    with pytest.raises(AssertionError, match="C_b"):
        script["half_stable"]("swish")
    script["VANISHING"]["sin"] = (1, -1, 1)
    with pytest.raises(AssertionError, match="ln l"):
        script["vanishing"]("sin")


@pytest.mark.usefixtures("paper")
def test_control_rates_with_another_exponent_share_unequally():
    script = runpy.run_path(str(SCRIPTS["chapter_09_learning_rates"]))
    bias, weight, _ = script["shares"]("tanh", 128)
    layers = range(1, 129)
    assert script["spread"](bias[20:]) < 1.1 < script["spread"]((bias * layers)[20:])
    assert script["spread"](weight[20:]) < 1.1 < script["spread"]((weight / layers)[20:])


@pytest.mark.usefixtures("paper")
def test_control_training_another_layer_is_not_bayesian():
    script = runpy.run_path(str(SCRIPTS["chapter_10_kernel_learning"]))
    K, theta = script["kernels"]([0, 0.2, 0.2], [0, 1.2, 1.2])
    assert abs(theta / K - 1).max() > 0.01


def test_control_wrong_moments_of_orthogonal_matrices_are_noticed(paper):
    """Each of the four moments, and every slip in the formulas of the layer."""
    script = runpy.run_path(str(SCRIPTS["orthogonal_weights"]))
    moments = script["MOMENTS"]
    for name, right in list(moments.items()):
        moments[name] = 2 * right
        for check in ("moments", "drawn"):
            with pytest.raises(AssertionError, match=re.escape(name)):
                script[check]()
        moments[name] = right
    for equation in script["LAYER"]:
        assert equation.difference() == {}
        for description, change in slips(paper, equation):
            assert noticed(paper, change), description
