"""``rgflow solve``: the library's formula, broken where it can be read, with its own check."""

from __future__ import annotations

import re

import pytest

import rgflow as rg
from rgflow.cli.formulas import broken, equation, terms
from rgflow.cli.numbers import exact
from rgflow.errors import InputError
from rgflow.universality import check


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["V", "relu"], "V(l) = 5 k^2 (l - 1)"),
        (["V", "linear"], "V(l) = 2 k^2 (l - 1)"),
        (["Theta", "gelu"], "Theta(l) = l (lambda_W <σσ> + lambda_b)"),
        (["V", "tanh"], "V(l) ~ 1/(6 l)"),
        (["K", "linear", "--C-W", "1/2", "--first-kernel", "symbolic"], "K(l) = 2^(-l + 1) k"),
    ],
)
def test_formulas(rgflow, arguments, expected):
    done = rgflow("solve", *arguments)
    assert (done.code, done.err) == (0, "")
    assert expected in [line.strip() for line in done.out.splitlines()] or squeezed(expected) in squeezed(done.out)


@pytest.mark.parametrize(
    "arguments",
    [["Q", "gelu"], ["V", "linear", "--C-b", "symbolic", "--C-W", "symbolic"], ["A", "relu"], ["Q", "tanh"]],
)
def test_long_formulas_fit_and_lose_nothing(rgflow, arguments):
    done = rgflow("solve", *arguments)
    assert max(len(line.rstrip()) for line in done.out.splitlines()) <= 80
    options = {"C_b": "symbolic", "C_W": "symbolic"} if "--C-b" in arguments else {}
    formula = str(rg.solve(*arguments[:2], **options)).split("   ")[0].split(" ", 2)[2]
    shown = squeezed(done.out)
    for term in terms(formula):
        assert squeezed(term).lstrip("+") in shown


def test_what_it_rests_on(rgflow):
    out = squeezed(rgflow("solve", "V", "gelu").out)
    for text in ("C_b=0.1729223908", "K*=3/2+sqrt(17)/2", "<σσ>=1.708790152", "neglectednothing", "=62.2084l-62.2084"):
        assert text in out, text
    found = rg.solve("V", "gelu")
    assert all(squeezed(text) in out for text in found.assumptions)


def test_asymptotic_says_what_is_neglected(rgflow):
    found = rg.solve("V", "tanh")
    out = rgflow("solve", "V", "tanh").out
    assert found.neglected in out
    assert "lambda_b / l, lambda_W at layer l" in out
    assert "at layer l" not in rgflow("solve", "V", "tanh", "--constant-rates").out.split("·")[0]


def test_check_compares_with_a_flow(rgflow):
    done = rgflow("solve", "A", "relu", "--check", "8")
    assert done.code == 0
    assert "Compared with a flow of 8 layers at k = 1, lambda_b = 1, lambda_W = 1" in done.out
    expected = rg.solve("A", "relu").at(8, k=1, lambda_b=1, lambda_W=1)
    last = next(line.split() for line in done.out.splitlines() if line.split()[:1] == ["8"])
    assert float(last[2]) == pytest.approx(expected, rel=1e-9)
    assert "agree at every layer" in done.out


def test_check_that_fails_is_exit_code_1(rgflow):
    """Four layers are not far from the input: the table is shown, and the program says that it does not hold there."""
    done = rgflow("solve", "A", "tanh", "--check", "4")
    assert done.code == 1
    assert "Compared with a flow of 4 layers" in done.out
    assert done.err.startswith("error: A of tanh")
    assert done.err.count("\n") == 1


def test_control_a_flow_that_differs_is_exit_code_1(rgflow, monkeypatch):
    """Negative control: an exact formula beside a flow that is off by a billionth."""
    honest = check.Setting.run

    def wrong(setting, *given):
        values, errors = honest(setting, *given)
        return {name: (1 + 1e-9) * x for name, x in values.items()}, errors

    monkeypatch.setattr(check.Setting, "run", wrong)
    done = rgflow("solve", "A", "relu", "--check", "8")
    assert done.code == 1
    assert "they do not agree" in done.out
    assert done.err.startswith("error: A of relu: formula and flow are further apart")


def test_latex_alone(rgflow):
    assert rgflow("solve", "V", "relu", "--latex").out == rg.solve("V", "relu").latex() + "\n"


def test_kinks(rgflow):
    refused = rgflow("solve", "S", "relu")
    assert refused.code == 1
    assert "almost_everywhere" in refused.err
    done = rgflow("solve", "S", "relu", "--kinks", "almost_everywhere")
    assert done.code == 0
    assert "branches" in done.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["V", "tanh", "--C-W", "2"], "critical"),
        (["V", "relu", "--C-W", "x"], "--C-W is 'x'"),
        (["V", "relu", "--C-W", "-1"], "must not be negative"),
        (["V", "relu", "--C-b", "1/0"], "--C-b is '1/0'"),
        (["Vv", "relu"], "did you mean 'V'"),
        (["V", "sigmoid"], "no critical point"),
    ],
)
def test_errors_are_one_line(rgflow, arguments, told):
    done = rgflow("solve", *arguments)
    assert (done.code, done.out) == (1, "")
    assert told in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["V"], ["V", "relu", "--check", "1"], ["V", "relu", "--latex", "--check", "5"]])
def test_wrong_usage_is_exit_code_2(rgflow, arguments):
    done = rgflow("solve", *arguments)
    assert (done.code, done.out) == (2, "")


def test_numbers_stay_exact():
    from fractions import Fraction

    assert exact("--C-W", " 0.1 ") == Fraction(1, 10)
    assert exact("--C-W", None) is None
    with pytest.raises(InputError, match="symbolic"):
        exact("--C-W", "nan")


def test_terms_are_those_outside_of_brackets():
    assert terms("a - (b + c) + <x - y> d") == ["+ a", "- (b + c)", "+ <x - y> d"]
    assert terms("-a^(l - 2) b") == ["- a^(l - 2) b"]


@pytest.mark.parametrize("width", [24, 40, 80])
def test_rows_break_between_factors(width):
    term = "+ 2 C_W^(2 l - 2) (C_b^2 (C_W^2 l - l + 1) + <σσ - 1> k) (C_W - 1)^3/(C_W + 1)"
    rows = broken(term, width, "    ", "        ")
    assert squeezed("".join(rows)) == squeezed(term)
    assert " ".join(row.strip() for row in rows) == term
    assert all(row.count("<") == row.count(">") for row in rows)
    assert all(not row.rstrip().endswith((" +", " -")) for row in rows)
    assert equation("V(l)", "=", "k", width) == "  V(l) = k"


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (
            ("V", "linear", "--layer", "residual", "--skip", "1/2", "--check", "8"),
            ["V(l)=15k^2(l-1)/8", "skip=1/2", "linearinaresiduallayer", "theyagree"],
        ),
        (("V", "tanh", "--layer", "residual", "--skip", "symbolic"), ["skip^2+1", "-1<skip<1"]),
        (("V", "relu", "--layer", "residual", "--skip", "-1/2"), ["Sum", "rememberalltheirpast"]),
        (
            ("V", "relu", "--layer", "residual", "--skip", "-1/2", "--book"),
            ["57k^2(l-1)/16", "book'sclosure", "donotremember"],
        ),
        (("V", "relu", "--layer", "orthogonal"), ["3k^2(l-1)"]),
    ],
)
def test_other_layers(rgflow, options, shown):
    done = rgflow("solve", *options)
    assert (done.code, done.err) == (0, "")
    flat = "".join(done.out.split())
    for text in shown:
        assert text in flat, text


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("B", "relu", "--layer", "residual", "--skip", "0.5"), "neurons remember"),
        (("V", "relu", "--layer", "residual"), "give --skip"),
        (("V", "relu", "--skip", "0.5"), "dense layer has none"),
    ],
)
def test_other_layers_that_are_refused(rgflow, options, reason):
    done = rgflow("solve", *options)
    assert done.code != 0
    assert "".join(reason.split()) in "".join(done.err.split())
