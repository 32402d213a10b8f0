"""``rgflow critical``: the library's points and laws as a person reads them, in 80 columns."""

from __future__ import annotations

import re
import sys

import pytest

import rgflow as rg
from rgflow.cli.critical import rates_text
from rgflow.cli.power_law_table import correction_text


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize(
    ("activation", "shown"),
    [
        ("tanh", ["C_b=0,C_W=1,K*=0", "p_0=1", "p_perp=1", "nu=2/3", "lambda_b/latlayerl,lambda_Wthesameineverylayer"]),
        ("relu", ["C_W=2,everyKisfixed", "nu=5", "lambda_b/Landlambda_W/Lineverylayer"]),
        ("gelu", ["C_b=0.1729223908,C_W=1.983058257,K*=3.561552813", "exactlyK*=3/2+sqrt(17)/2", "half-stable"]),
        ("erf", ["C_W=0.7853981634", "exactlyC_W=pi/4"]),
        ("z - z^3*exp(-z^2)/2", ["C_b=0,C_W=1,K*=0", "stable:smallkernelsdecayto0"]),
    ],
)
def test_points_exponents_and_what_to_do(rgflow, activation, shown):
    done = rgflow("critical", activation)
    assert (done.code, done.err) == (0, "")
    for text in shown:
        assert text in squeezed(done.out), text
    assert max(map(len, done.out.splitlines())) <= 80


def test_the_call_that_it_prints_builds_the_critical_network(rgflow):
    call = re.search(r"rgflow\.(MLP\.uniform\(n_in.*?\))", " ".join(rgflow("critical", "gelu").out.split()))
    assert call is not None
    built = eval(call[1], {"MLP": rg.MLP, "n_in": 4, "width": 8, "depth": 3})
    point = rg.criticality("gelu").point
    assert built.hyperparameter("C_W") == (point.C_W,) * 3
    assert built.hyperparameter("C_b") == (point.C_b,) * 3


def test_all_points_the_recommended_one_first(rgflow):
    """z + z^3 exp(-z^2) grows from K = 0, where z - z^3 exp(-z^2)/2 decays."""
    out = rgflow("critical", "z + z^3*exp(-z^2)").out
    labels = [line.split()[0] for line in out.splitlines() if re.match(r"  (recommended|also|unstable) ", line)]
    assert labels == ["recommended", "unstable"]
    assert "small kernels grow" in out
    assert out.index("half-stable") < out.index("small kernels grow")


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_table_has_every_letter(rgflow, activation):
    done = rgflow("critical", activation, "--table")
    rows = {line.split()[0]: line.split() for line in done.out.splitlines() if line and line[0] != " "}
    for name, law in rg.criticality(activation).laws.items():
        assert rows[name][1] == ("-" if law.vanishes else str(law.exponent)), name
    assert max(len(line.rstrip()) for line in done.out.splitlines()) <= 80


def test_amplitudes_of_the_table(rgflow):
    """pdlt.md's K* = 0 class with a = 2: V -> (2/3) l K^2, D -> -(2/9) lambda_b/a, A -> (4/27) lambda_b^2 l."""
    out = rgflow("critical", "tanh", "--table").out
    for name, law in (("K", "1/(2 l)"), ("V", "1/(6 l)"), ("D", "-lambda_b/9"), ("A", "4 l lambda_b^2/27")):
        assert re.search(rf"^{name} +\S+ +{re.escape(law)} ", out, re.MULTILINE), name


def test_a_law_that_never_sets_in_says_so(rgflow, monkeypatch):
    laws = rg.criticality("tanh").laws
    monkeypatch.setattr(rg.universality.Criticality, "onset", lambda *given: dict.fromkeys(laws))
    assert rgflow("critical", "tanh", "--table").out.count("beyond 1e9") >= 10


def test_latex_alone(rgflow):
    lines = rgflow("critical", "relu", "--latex").out.splitlines()
    assert lines[0] == r"\begin{aligned}"
    assert r"V^{(\ell)} &\simeq 5 k^{2} \ell \\" in lines
    assert r"U^{(\ell)} &= 0 \\" in lines
    assert len(lines) == 2 + len(rg.criticality("relu").laws)


def test_corrections_as_text():
    import sympy as sp

    from rgflow.universality.exponentials import l

    rate = sp.Symbol("lambda_b", nonnegative=True)
    assert correction_text(-1 / l**2, {}) == "-1/l^2"
    assert correction_text((rate * sp.log(l) ** 2 - 3) / l, {"lambda_b": 2.0}) == "(2 ln^2 l - 3)/l"
    assert correction_text(sp.log(l) / sp.sqrt(l) + 1 / l, {}) == "1 ln l/l^(1/2) + 1/l"
    assert correction_text(sp.Integer(0), {}) == "0"
    assert correction_text(sp.log(l) / l + (sp.pi * rate - 1) * sp.log(l) / l, {"lambda_b": 1.0}) == "3.142 ln l/l"


def test_rates_of_any_exponent():
    """p_perp = 14/15 for tanh(z) + z^2/3: shares stay equal, and L keeps the sum of order one."""
    text = rates_text(rg.criticality("tanh(z) + z^2/3"))
    assert text.startswith("lambda_b l^(-14/15) L^(-1/15) at layer l, lambda_W l^(1/15) L^(-1/15)")


@pytest.mark.parametrize("activation", ["sigmoid", "softplus", "exp(z) - 1"])
def test_none_is_one_line_and_exit_code_1(rgflow, activation):
    done = rgflow("critical", activation)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert "critical point" in done.err
    assert done.err.count("\n") == 1


def test_picture(rgflow, tmp_path):
    file = tmp_path / "laws.png"
    done = rgflow("critical", "relu", "--plot", str(file))
    assert done.code == 0
    assert file.read_bytes().startswith(b"\x89PNG")
    assert f"picture: {file}" in done.out


@pytest.mark.parametrize("name", ["laws.txt", "nowhere/laws.png"])
def test_a_picture_that_cannot_be_written_is_refused_before_the_work(rgflow, tmp_path, name, monkeypatch):
    monkeypatch.setitem(sys.modules, "rgflow.universality.criticality", None)  # importing it would raise
    done = rgflow("critical", "tanh", "--plot", str(tmp_path / name))
    assert done.code == 1
    assert done.err.startswith("error: --plot")


@pytest.mark.parametrize("columns", ["40", "120"])
def test_narrow_and_wide_terminals(rgflow, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    done = rgflow("critical", "relu")
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= int(columns) + 20  # a long word of a call is not torn apart


@pytest.mark.parametrize("command", ["critical", "solve", "phase"])
def test_help_shows_examples_and_fits(rgflow, command):
    done = rgflow(command, "--help")
    assert done.code == 0
    assert f"rgflow {command} " in done.out.split("Examples:")[1]
    assert max(map(len, done.out.splitlines())) <= 80
    assert f"rgflow {command} " in rgflow().out


def test_a_critical_point_without_power_laws(rgflow):
    """A clipped line is flat beyond every power of K: its point is known, its decay is not a power of the depth."""
    done = rgflow("critical", "Min(Max(z, -1), 1)")
    assert done.code == 0
    assert "C_b = 0, C_W = 1, K* = 0" in done.out
    assert "no power laws" in done.out
    assert "the kernel decays to 0" in done.out
    assert "as a power" not in done.out.split("no power laws")[0]
    assert "by choice of C_W" in " ".join(done.out.split())
    table = rgflow("critical", "Min(Max(z, -1), 1)", "--table")
    assert table.code == 1
    assert table.err.count("\n") == 1


# Layers ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (
            ("tanh", "--layer", "residual", "--skip", "0.5"),
            [
                "tanhinaresiduallayer,skip=0.5",
                "exactlyC_W=3/4",
                "skip^2+C_Wsigma'(0)^2",
                "nu=5/8",
                "rgflow.Residual(skip=0.5,C_b=0.0,C_W=0.75)",
            ],
        ),
        (("relu", "--layer", "Residual", "--skip", "-0.8"), ["skip=-0.8", "C_W=0.72", "lambda_b/Landlambda_W/L"]),
        (
            ("tanh", "--layer", "orthogonal"),
            ["tanhinanorthogonallayer", "V/(nK^2)->-2/n", "rgflow.Orthogonal(C_W=1.0)"],
        ),
        (("sigmoid", "--layer", "linear"), ["C_b=0,C_W=1,everyKisfixed", "nu=2", "rgflow.Linear(C_b=0.0,C_W=1.0)"]),
    ],
)
def test_other_layers(rgflow, options, shown):
    done = rgflow("critical", *options)
    assert (done.code, done.err) == (0, "")
    for text in shown:
        assert text in squeezed(done.out), text
    assert max(map(len, done.out.splitlines())) <= 80


def test_the_table_says_what_it_leaves_out(rgflow):
    out = rgflow("critical", "relu", "--layer", "residual", "--skip", "0.5", "--table").out
    assert re.search(r"^V +1 +6.4963\d* k\^2 l ", out, re.MULTILINE)
    assert "neuronsrememberingtheirpast" not in squeezed(out)
    assert "notknownwithallofit:A,B,D,F,P,Q,R,S,T,U,K_1,Theta_1" in squeezed(out)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--layer", "residual"), "give --skip"),
        (("--skip", "0.5"), "give --layer residual"),
        (("--layer", "orthogonal", "--skip", "0.5"), "has none"),
        (("--layer", "nothing"), "unknown kind of layer"),
        (("--layer", "branch"), "are not solved"),
        (("--layer", "gated"), "are not solved"),
        (("--layer", "residual", "--skip", "1"), "grows in every layer"),
        (("--layer", "residual", "--skip", "nan"), "skip is nan"),
    ],
)
def test_layers_that_are_refused(rgflow, options, reason):
    done = rgflow("critical", "tanh", *options)
    assert done.code != 0
    assert squeezed(reason) in squeezed(done.err)
    assert "Traceback" not in done.err
