"""Scaling families: the rows of the papers, typed; what is derived of them; gauges, printing, refusals."""

import pickle
import random
import runpy
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from math import inf
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

import rgflow as rg
from rgflow.errors import InputError, KinkError, NoClosedForm, UnknownName
from rgflow.scaling.families.depth import depth_powers
from rgflow.scaling.families.described import planned
from rgflow.scaling.families.family import Family
from rgflow.scaling.families.first_rates import first_rates
from rgflow.scaling.families.powers import NOTHING, Power, largest
from rgflow.scaling.families.regimes import regime_at
from rgflow.scaling.families.sizes import Sizes
from rgflow.scaling.families.training import trained
from rgflow.scaling.families.triple import ABC, GROUPS

HALF = Fraction(1, 2)
S = sp.Symbol("s")
NAMES = ("ntk", "standard", "mup", "ip", "hybrid")

# Hajjar, Chizat, Giraud, table of abc-parametrisations: a, b, c of input, hidden, output.
ROWS = {
    "ntk": ((0, HALF, HALF), (0, 0, 0), (0, 0, 0)),
    "mup": ((-HALF, 0, HALF), (HALF, HALF, HALF), (0, 0, 0)),
    "ip": ((0, 1, 1), (0, 0, 0), (-1, -2, -1)),
}
# Yaida's family in the gauge a = 0: powers of n of the initial variance, the SGD rate and the Adam rate, by group.
VARIANCE = {"input": 0, "hidden": -1, "output": -1 - S}
SGD = {"input": S, "hidden": S - 1, "output": -1}
ADAM = {"input": S / 2 - HALF, "hidden": S / 2 - Fraction(3, 2), "output": -1}
BIASES = {"input": S, "hidden": S, "output": 0}
ADAM_BIASES = {"input": S / 2 - HALF, "hidden": S / 2 - HALF, "output": 0}
# The s-table of observables at the start (powers of n; depth factors in DEPTH).
START = {"output": -S / 2, "NTK": 0, "NTK spread": -HALF, "dNTK output": -1, "dNTK": S / 2 - 1, "ddNTK": S - 1}
DEPTH = {"output": 0, "NTK": 0, "NTK spread": HALF, "dNTK output": 1, "dNTK": 1, "ddNTK": 1}


def same(a, b):
    return sp.expand(sp.nsimplify(a) - sp.nsimplify(b)) == 0


# Definitions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROWS)
def test_rows_of_the_table(name):
    family = rg.family(name)
    for place, letter in enumerate("abc"):
        assert tuple(getattr(family.weights[g], letter) for g in GROUPS) == ROWS[name][place]


def test_one_parameter_family():
    sgd, adam = rg.family("meta", s=S), rg.family("meta", s=S, optimizer="adamw")
    for group in GROUPS:
        assert same(2 * sgd.std_power(group), VARIANCE[group])
        assert same(sgd.rate_power(group), SGD[group])
        assert same(adam.rate_power(group), ADAM[group])
        assert same(sgd.rate_power(group, bias=True), BIASES[group])
        assert same(adam.rate_power(group, bias=True), ADAM_BIASES[group])
    assert rg.family("meta", s=0).weights == rg.family("ntk").weights
    assert rg.family("meta", s=1).weights == rg.family("mup").weights
    assert rg.family("meta", s=1).biases == rg.family("mup").biases


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("layers", [2, 3, 4, 5, 7])
def test_large_first_step(p, layers):
    """c of IP-LLR is solved for; the page's formula, whose L counts hidden layers, typed."""
    L = layers - 1
    c = -HALF * (1 + sum(Fraction(p) ** k for k in range(L)))
    found = rg.family("ip-llr", layers=layers, homogeneity=p)
    expected = {"input": c, "output": c} | ({"hidden": c - HALF} if layers > 2 else {})
    assert found.first == expected
    if p == 1:
        assert expected["input"] == Fraction(-(L + 1), 2)
        assert found.rate_power("input", first=True) == Fraction(L + 1, 2)
    assert found.weights == rg.family("ip").weights
    assert found.exponents(activation="relu" if p == 1 else f"relu(z)^{p}")["own_moved"] == (0,) * layers


def test_large_first_step_of_others():
    """leaky relu is as relu; signs average out in odd activations, and layers then need different rates."""
    weights = rg.family("ip").weights
    assert first_rates(weights, 5, rg.activation("leaky_relu")) == first_rates(weights, 5, rg.activation("relu"))
    odd = first_rates(weights, 5, rg.activation("tanh"))
    # relu's -(L + 1)/2 and -(L + 2)/2; where z_0 vanishes the average of sigma(z_0) sigma(z_1) is the fluctuation of n
    # signs, smaller by n^(1/2): from the third layer on
    assert odd == tuple(Fraction(c, 2) for c in (-5, -6, -7, -7, -6))
    assert odd == first_rates(weights, 5, rg.activation("linear"))


@pytest.mark.parametrize(("name", "expected"), [("relu", -1.0), ("tanh", -1.5)])
def test_average_over_a_vanishing_start(name, expected):
    """Numbers drawn: mean_j sigma(z_0) sigma(z_1) with z_0 of size 1/n and z_1 of order one, at n = 64, ..., 4096."""
    widths, sigma, rng = [64, 512, 4096], rg.activation(name), np.random.default_rng(0)
    found = []
    for n in widths:
        start, moved = rng.standard_normal((2, 400, n))
        found.append(np.sqrt(np.mean(np.mean(sigma(start / n) * sigma(start / n + moved), axis=1) ** 2)))
    slope = np.polyfit(np.log(widths), np.log(found), 1)[0]
    assert slope == pytest.approx(expected, abs=0.05)  # 400 draws: 4 % of each size, .02 of the slope


# What is derived ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "sigmoid"])
@pytest.mark.parametrize("layers", [3, 5])
def test_table_of_the_one_parameter_family(activation, layers):
    """The s-table, derived for every s at once, and the learning-rate equivalence: each layer's share is of order 1."""
    found = rg.family("meta", s=S).exponents(layers=layers, activation=activation)
    for name, power in START.items():
        assert same(found[name], power), name
    assert found["share"] == (0,) * layers
    assert all(same(power, (S - 1) / 2) for power in found["change"][:-1])
    assert found.regimes == (("0 <= s < 1", "lazy"), ("s = 1", "learns features"))
    assert found.stable
    assert not found.learns_features
    assert not found.lazy
    assert same(found.gamma, S - 1)


@pytest.mark.parametrize("activation", ["relu", "tanh", "linear", pytest.param("sin", marks=pytest.mark.slow)])
def test_depth_factors(activation):
    assert depth_powers(activation) == DEPTH


@pytest.mark.slow
def test_half_stable_class_grows_faster():
    """Nearby kernels drift apart there, so that the second differential grows with a higher power of the depth."""
    assert depth_powers("gelu")["ddNTK"] == 3
    assert rg.family("ntk").match_depth(64, 512, 10, "gelu") == pytest.approx(20)


def test_gamma_and_depth():
    n, L = sp.symbols("n L", positive=True)
    family = rg.family("meta", s=S)
    assert sp.simplify(family.gamma(n, L) / (L / n ** (1 - S))) == 1
    assert sp.simplify(family.match_depth(64, 256, L) / (L * 4 ** (1 - S))) == 1
    assert rg.family("meta", s=0.5).gamma(256, 8) == pytest.approx(0.5)
    assert rg.family("mup").match_depth(64, 512, 8) == 8
    assert rg.family("ntk").match_depth(64, 512, 8) == 64
    assert rg.family("mup").with_depth("tanh").depth_rate == 0
    assert rg.family("mup").with_depth("relu").depth_rate == -1


@pytest.mark.parametrize(
    ("layers", "regime"),
    [(2, "learns features"), (3, "learns features"), (4, "marginal"), (5, "frozen"), (6, "frozen"), (9, "frozen")],
)
def test_integrable_family_freezes_with_more_than_four_layers(layers, regime):
    """Scalings of the page, L hidden layers: z^l ~ m^{-(l-1)/2}, f ~ m^{-L/2}, own updates (3 - L)/2 and (2 - L)/2."""
    L, found = layers - 1, rg.family("ip").exponents(layers=layers)
    assert found["preactivation"] == (*(-Fraction(l - 1, 2) for l in range(1, layers)), -Fraction(L, 2))
    assert found["gradient"][:-1] == tuple(-1 - Fraction(L - l, 2) for l in range(1, layers))
    assert found["own_relative"][1:-1] == (Fraction(3 - L, 2),) * (layers - 2)
    assert found["own_relative"][-1] == Fraction(2 - L, 2)
    assert found["own_relative"][0] == -Fraction(L - 1, 2)
    assert found.regime == regime
    assert (found.frozen, found.marginal, found.learns_features) == tuple(
        regime == name for name in ("frozen", "marginal", "learns features")
    )
    assert rg.family("ip-llr", layers=layers).exponents().learns_features


def test_other_regimes():
    regimes = {"ntk": "lazy", "mup": "learns features", "hybrid": "learns features", "standard": "unstable"}
    for name, regime in regimes.items():
        for activation in ("relu", "tanh"):
            assert rg.family(name).exponents(activation=activation).regime == regime
    slower = rg.family("standard")
    slower = replace(slower, weights={g: ABC(abc.a, abc.b, 1) for g, abc in slower.weights.items()})
    assert slower.exponents().regime == "lazy"  # the standard parametrisation with a rate 1/n
    adam = rg.family("mup", optimizer="adam").exponents(activation="tanh")
    assert adam.learns_features
    assert adam["own"] == (0, 0, 0, 0)
    assert rg.family("ntk", optimizer="adam").exponents(activation="tanh").lazy
    assert rg.family("standard", optimizer="adam").exponents(activation="tanh").regime == "unstable"


def test_first_step_of_ip_llr_is_that_of_mup():
    """Powers of the updates of the effective weights: rate times backward signal times input."""

    def update(name, layers):
        family = rg.family(name, layers=layers)
        found = family.exponents(layers=layers)
        inputs = [0, *found["preactivation"][:-1]]
        groups = ["input", *["hidden"] * (layers - 2), "output"]
        return [
            family.rate_power(g, first=True) + d + x for g, d, x in zip(groups, found["gradient"], inputs, strict=True)
        ]

    for layers in (3, 4, 6):
        assert update("ip-llr", layers) == update("mup", layers)
    assert update("ip", 4) != update("mup", 4)


def test_biases_change_nothing_where_kernels_stay():
    for name in ("ntk", "mup", "standard"):
        family = rg.family(name)
        with_biases, without = family.exponents(biases=True), family.exponents()
        assert all(with_biases[key] == without[key] for key in without)


# Gauges ---------------------------------------------------------------------------------------------------------------


GAUGED = [(name, "sgd") for name in ("ntk", "mup", "ip", "meta", "ip-llr")] + [(n, "adam") for n in ("mup", "meta")]


@pytest.mark.parametrize(("name", "optimizer"), GAUGED)
def test_gauge_leaves_every_exponent(name, optimizer):
    """(a, b, c) -> (a + t, b - t, c - 2t), for Adam c - t, by group."""
    family = rg.family(name, s=S if name == "meta" else None, layers=4, optimizer=optimizer)
    other = family.gauge("1/3", hidden="-2/5", output=2)
    assert other.weights["hidden"].a == family.weights["hidden"].a - Fraction(2, 5)
    times = 2 if optimizer == "sgd" else 1
    assert same(other.weights["input"].c, family.weights["input"].c - Fraction(times, 3))
    here, there = family.exponents(), other.exponents()
    assert all(here[key] == there[key] for key in here)
    assert here.history == there.history
    assert all(abc.a == 0 for abc in family.effective.weights.values())
    assert all(family.effective.std_power(g) == family.std_power(g) for g in GROUPS)
    assert all(family.effective.rate_power(g, True) == family.rate_power(g, True) for g in GROUPS)


@pytest.mark.parametrize("group", GROUPS)
def test_control_a_wrong_exponent_in_one_group_is_noticed(group):
    """Negative control: c of one group, or the sign of the gauge, off by a little: not the same exponents."""
    family = rg.family("mup")
    right = family.exponents(activation="tanh")
    for wrong in (replace(family.weights[group], c=-HALF), replace(family.weights[group], b=Fraction(0))):
        found = replace(family, weights={**family.weights, group: wrong}).exponents(activation="relu")
        assert any(found[key] != right[key] for key in right), group
        assert found.regime == "unstable"


@pytest.mark.parametrize(("table", "key", "wrong"), [("WIDTH", "ddNTK", S / 2 - 1), ("TABLE", "hidden", (-1, S))])
def test_control_a_wrong_row_of_the_derivation_is_noticed(table, key, wrong, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "derivations")
    script = runpy.run_path(str(Path(__file__).parents[2] / "derivations" / "scaling_families.py"))
    script["one_parameter_family"]()
    script[table][key] = wrong
    with pytest.raises(AssertionError):
        script["one_parameter_family"]()


# Powers ---------------------------------------------------------------------------------------------------------------


def test_powers_are_envelopes():
    """Max-plus arithmetic beside plain maxima on a grid of s, for random lines."""
    source = np.random.default_rng(0)
    grid = [Fraction(i, 16) for i in range(17)]
    for _ in range(200):
        lines = [tuple(Fraction(int(v), 4) for v in source.integers(-8, 9, 2)) for _ in range(5)]
        powers = [Power.of(*line) for line in lines]
        total, product = largest(powers), powers[0] + (powers[1] | powers[2])
        for s in grid:
            values = [x + y * s for x, y in lines]
            assert total.at(s) == max(values)
            assert product.at(s) == values[0] + max(values[1:3])
        assert total == largest(reversed(powers))
        shared = Power.of(*lines[0]) | Power.of(lines[0][0] - 1, lines[0][1])
        assert shared == Power.of(*lines[0])
        assert total.at_most(2) == all(total.at(s) <= 2 for s in (0, 1))
    assert (NOTHING | Power.of(1)) == Power.of(1)
    assert (NOTHING + 1).zero
    assert NOTHING.at_most(-100)
    with pytest.raises(InputError, match="no power"):
        NOTHING.at(0)


def test_a_power_that_depends_on_s():
    """A rate between two: the largest of two powers, as SymPy's Max."""
    family = rg.family("meta", s=S)
    weights = {**family.weights, "hidden": replace(family.weights["hidden"], c=S - Fraction(1, 2))}
    found = replace(family, weights=weights).exponents()
    assert found["NTK"] == sp.Max(0, HALF - S)
    assert found.regime.count("for") >= 2
    assert not found.stable


# Presentation ---------------------------------------------------------------------------------------------------------


def test_it_prints():
    found = rg.family("ip").exponents(layers=5)
    text = str(found)
    assert text.startswith("ip, relu, 5 weight layers: frozen")
    assert all(name in text for name in ("own_relative", "ddNTK", "-3/2"))
    latex = found.latex()
    assert latex.count(r"\\") == 6
    assert "$-3/2$" in latex
    assert "<td>-3/2</td>" in found._repr_html_()
    shown = str(rg.family("ip-llr", layers=4))
    assert "first step -5/2" in shown
    assert "n^(-1/2)" in str(rg.family("hybrid"))
    assert "L^(-1)" in str(rg.family("mup").with_depth())


def test_dataset():
    ds = rg.family("meta", s=S).exponents(layers=3).to_dataset(s=[0, 0.5, 1])
    assert dict(ds.sizes) == {"s": 3, "observable": 6, "layer": 3, "step": 3}
    assert ds["gamma"].values.tolist() == [-1, -0.5, 0]
    assert ds["exponent"].sel(observable="output").values.tolist() == [0, -0.25, -0.5]
    assert ds["change_after"].values[0].max() == -inf
    assert ds.attrs["activation"] == "relu"
    fixed = rg.family("ip").exponents(layers=5).to_dataset()
    assert "s" not in fixed.dims
    assert fixed["own_relative"].values.tolist() == [-1.5, -0.5, -0.5, -0.5, -1]
    assert "gamma" not in rg.family("mup", optimizer="adam").exponents(activation="tanh").to_dataset()


def test_families_are_values():
    family = rg.family("meta", s=S)
    assert hash(family) == hash(rg.family("meta", s=S))
    assert family == pickle.loads(pickle.dumps(family))
    assert rg.family(family) is family
    with pytest.raises(TypeError, match="replace"):
        family.weights["input"] = ABC()


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: rg.family("mp"), "did you mean"),
        (lambda: rg.family(["mup"]), "unknown scaling family"),
        (lambda: rg.family("mup", optimizer="lion"), "unknown optimizer"),
        (lambda: rg.family("meta"), "needs s"),
        (lambda: rg.family("meta", s=1.5), "from 0"),
        (lambda: rg.family("meta", s=float("nan")), "s is nan"),
        (lambda: rg.family("meta", s=S**2), "affine"),
        (lambda: rg.family("meta", s=1 - S), "symbol"),
        (lambda: rg.family("mup", s=0.5), "has no s"),
        (lambda: rg.family("ip-llr"), "needs layers"),
        (lambda: rg.family("ip-llr", layers=1), "at least 2"),
        (lambda: rg.family("ip-llr", layers=4, homogeneity=0), "homogeneity"),
        (lambda: rg.family("ip", optimizer="adam"), "gradient descent"),
        (lambda: rg.family("ip-llr", layers=4).exponents(layers=5), "made for 4"),
        (lambda: rg.family("mup").exponents(layers=1), "at least 2"),
        (lambda: rg.family("mup").exponents(layers=0), "at least 2"),
        (lambda: rg.family("mup").std_power("middle"), "group of layers"),
        (lambda: rg.family("mup").gauge(middle=1), "group of layers"),
        (lambda: rg.family("mup").exponents()["chi"], "observable"),
        (lambda: rg.family("mup").exponents().step(-1), "step is -1"),
        (lambda: rg.family("mup").exponents().step(1, "speed"), "signal"),
        (lambda: rg.family("ip").gamma(64, 4), "stay of order one"),
        (lambda: rg.family("mup", optimizer="adam").gamma(64, 4), "Adam"),
        (lambda: rg.family("mup", optimizer="adam").with_depth("tanh"), "Adam with depth"),
        (lambda: rg.family("mup").gamma(-64, 4), "n is -64"),
        (lambda: rg.family("mup").match_depth(64, 0, 4), "new_n"),
        (lambda: rg.family("mup").web(n=[64]), "two or more"),
        (lambda: rg.family("mup").web(s=[0.5]), "no symbol"),
        (lambda: rg.family("meta", s=S).web(s=[]), "from 0 to 1"),
        (lambda: rg.family("meta", s=S).exponents().to_dataset(s=[float("nan")]), "from 0 to 1"),
        (lambda: ABC(a=True), "a is True"),
        (lambda: ABC(a="half"), "a is 'half'"),
        (lambda: ABC(a=sp.sqrt(2)), "rational"),
        (lambda: Family("mine", {"input": ABC()}), "give an ABC for each"),
        (lambda: Family("mine", dict.fromkeys(GROUPS, (0, 0, 0))), r"ABC\(a, b, c\)"),
        (lambda: replace(rg.family("mup"), first={"middle": 1}), "first is"),
        (lambda: rg.family("mup").gamma("n", 4), "n is 'n'"),
        (lambda: rg.family("meta", s=S).match_depth(64, float("inf"), 4), "new_n is inf"),
    ],
)
def test_refusals(call, said):
    with pytest.raises((InputError, UnknownName), match=said):
        call()


def test_growing_kernels_need_a_homogeneous_activation():
    wide = Family("wide", {"input": ABC(), "hidden": ABC(), "output": ABC(1, 0, 0)})
    assert wide.exponents()["preactivation"][:3] == (0, HALF, 1)
    with pytest.raises(InputError, match="not homogeneous"):
        wide.exponents(activation="tanh")
    assert rg.family("mup").exponents(activation="Max(z - 1, 0)").learns_features
    with pytest.raises(NoClosedForm, match="vanish at the origin"):
        rg.family("ip").exponents(activation="Max(z - 1, 0)")
    with pytest.raises(KinkError, match="jumps"):
        rg.family("mup").exponents(activation="Heaviside(z)")
    mixed = Family("mixed", {**rg.family("meta", s=S).weights, "hidden": ABC(0, HALF, sp.Symbol("t"))})
    with pytest.raises(InputError, match="several symbols"):
        mixed.exponents()


# Yang and Hu's dichotomy ----------------------------------------------------------------------------------------------


def dichotomy(a, b, c):
    """The theorem of arXiv:2011.14522 on stable abc-parametrisations of tanh networks, typed; input, hidden, output.

    r = min(a_out + b_out, 2 a_out + c) + c - 1 + min(2 a_in + 1, 2 a_hidden): hidden signals move by n^-r.
    """
    r = min(a[2] + b[2], 2 * a[2] + c) + c - 1 + min(2 * a[0] + 1, 2 * a[1])
    stable = r >= 0 and 2 * a[2] + c >= 1 and a[2] + b[2] + r >= 1
    trivial = a[2] + b[2] + r > 1 and 2 * a[2] + c > 1
    return r, stable, trivial


def test_the_dichotomy_of_abc_parametrisations():
    """Random exponents whose hidden kernels start at order one: what is stable, learns features, is lazy or trivial."""
    source, sigma, seen = random.Random(0), Sizes(rg.activation("tanh")), Counter()
    for _ in range(200):
        a = [Fraction(source.randint(-2, 4), 2) for _ in GROUPS]
        b = [-a[0], HALF - a[1], HALF + Fraction(source.randint(0, 3), 4) - a[2]]
        c = Fraction(source.randint(-4, 6), 2)
        weights = {g: ABC(x, y, c) for g, x, y in zip(GROUPS, a, b, strict=True)}
        history = trained(planned(weights, None, 4), sigma)
        regime = regime_at(history, Fraction(0))
        r, stable, trivial = dichotomy(a, b, c)
        if not stable:
            expected = {"unstable"}
        elif trivial:
            expected = {"marginal"} if r == 0 else {"frozen"}
        else:
            expected = {"learns features"} if r == 0 else {"lazy"}
        assert {regime} == expected, (a, b, c, r)
        if stable:
            assert max(power.at(0) for power in history[-1].change[:-1]) == -r
        seen[regime] += 1
    assert min(seen[name] for name in ("unstable", "learns features", "lazy", "frozen")) > 2, seen
