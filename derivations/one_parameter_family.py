r"""Yaida, "Meta-principled family of hyperparameter scaling strategies" (arXiv:2210.04909), formula by formula.

Assumptions: width n with fixed numbers of inputs and outputs, depth L at criticality, gradient descent or AdamW, 0 <= s
<= 1; numbers of order one in front are 1.

The way. Two principles, signals of order one and equal shares of all groups in the tangent kernel, leave one exponent s
open: f_s = n^(-s/2) f_0 with all rates times n^s. So everything at s follows from s = 0: an output carries n^(-s/2), a
step along it n^s, and dNTK and ddNTK one and two factors n^(s/2) more than at s = 0, as scaling_families.py counts in
the derived recursions. Depth enters with one power of L per order, so that width and depth meet in gamma = L/n^(1-s).

Tables of variances and rates for every group of parameters are those of rg.transformer_scaling, whose groups patch, Q,
PE, head are input weights, hidden weights, biases and head; powers of n with s as a symbol are those of rg.family.

Training is compared step by step: n^(s/2) f_s trained on y is f_0 trained on n^(s/2) y. The mean prediction at order
1/n is a linear and a cubic polynomial in y, found with rg.trained at two scales of y.

Engine: rg.family, rg.transformer_scaling, rg.trained. The second table of the public code also divides attention logits
by C^((1+s)/2); neither the paper has that nor the engine.
"""

from fractions import Fraction
from functools import cache

import numpy as np
import sympy as sp
from rows import check_rows, row

import rgflow as rg
from rgflow.scaling.families.depth import depth_powers
from rgflow.scaling.families.family import Family
from rgflow.scaling.families.triple import ABC

s = sp.Symbol("s")
HALF = Fraction(1, 2)
GROUPS = ("input", "hidden", "output")
DRAWN = "tests/scaling/test_families_trained.py: explicit networks in NumPy"
COUNTED = "tests/scaling/test_families_flow.py: flows at widths 2^24 and 2^26"
MEASURED = "tests/transformer/test_transformer_scalings.py: sampled at widths 64 to 1024"
n, n_0, n_out, L = sp.symbols("n n_0 n_out L", positive=True)
SIZES = {"n": n, "M": sp.Symbol("M", positive=True), "n_patch": n_0, "n_out": n_out}


@cache
def meta(optimizer="sgd"):
    return rg.family("meta", s=s, optimizer=optimizer)


@cache
def counted(activation="relu"):
    return meta().exponents(activation=activation)


@cache
def scaling(at):
    net = rg.Transformer(width=64, heads=2, blocks=1, n_in=10, positions=5, n_out=7)
    return rg.transformer_scaling(net, at)


def monomial(power):
    return sp.prod(size ** sp.nsimplify(power.exponent(name)) for name, size in SIZES.items())


def equal(found, typed):
    return sp.expand(sp.nsimplify(found) - sp.nsimplify(typed)) == 0


def check_table(group, typed, family_group, bias=False):
    """Variance, SGD and AdamW factors: monomials at s = 0, 1/2, 1 and, with s as a symbol, powers of n."""
    for at in (Fraction(0), HALF, Fraction(1)):
        found = scaling(at)[group]
        laws = {"variance": monomial(found.std_law) ** 2, "SGD": monomial(found.sgd_law)}
        laws["AdamW"] = monomial(found.adamw_law)
        if not found.std:
            laws["variance"] = sp.Integer(0)
        for name, law in laws.items():
            value = sp.sympify(typed[name]).subs(s, sp.Rational(at.numerator, at.denominator))
            assert sp.simplify(value - law) == 0, (group, name, at, law)
    rates = {
        name: meta(optimizer).rate_power(family_group, bias=bias)
        for name, optimizer in (("SGD", "sgd"), ("AdamW", "adamw"))
    }
    for name, power in rates.items():
        assert equal(sp.simplify(n * sp.diff(sp.log(typed[name]), n)), power), (name, power)
    return {name: sp.powsimp(value) for name, value in laws_in_s(group, rates).items()}


def laws_in_s(group, rates):
    """The engine's laws, the power of n with s as a symbol."""
    found = scaling(Fraction(0))[group]
    rest = {"SGD": monomial(found.sgd_law).subs(n, 1), "AdamW": monomial(found.adamw_law).subs(n, 1)}
    return {name: rest[name] * n ** sp.nsimplify(power) for name, power in rates.items()}


@row("meta_scaling/input_weights", witness=MEASURED)
def input_weights():
    typed = {"variance": 1 / n_0, "SGD": n**s / n_0, "AdamW": n ** (s / 2) / (n_0 * sp.sqrt(n))}
    return check_table("patch", typed, "input")


@row("meta_scaling/hidden_weights", witness=MEASURED)
def hidden_weights():
    typed = {"variance": 1 / n, "SGD": n**s / n, "AdamW": n ** (s / 2) * n ** sp.Rational(-3, 2)}
    return check_table("Q", typed, "hidden")


@row("meta_scaling/hidden_biases", witness=MEASURED)
def hidden_biases():
    typed = {"variance": sp.Integer(1), "SGD": n**s, "AdamW": n ** (s / 2) * n ** sp.Rational(-1, 2)}
    return check_table("PE", typed, "hidden", bias=True)


@row("meta_scaling/head_weights", witness=MEASURED)
def head_weights():
    """The table leaves out that AdamW's factor goes like 1/n with, at a fixed number of outputs."""
    typed = {"variance": 1 / n ** (1 + s), "SGD": 1 / n, "AdamW": 1 / (n * sp.sqrt(n_out))}
    return check_table("head", typed, "output")


@row("meta_scaling/head_bias", witness=MEASURED)
def head_bias():
    typed = {"variance": 0, "SGD": sp.Integer(1), "AdamW": 1 / sp.sqrt(n_out)}
    return check_table("bhead", typed, "output", bias=True)


@row("meta_scaling/laziness_gauge", witness=DRAWN)
def laziness_gauge():
    """The neural tangent family with a larger a of the last layer, and c of all layers: the family at s."""
    typed_output, typed_rates = -s / 2, s
    start = rg.family("ntk").weights
    weights = {
        group: ABC(abc.a - (typed_output if group == "output" else 0), abc.b, abc.c - typed_rates)
        for group, abc in start.items()
    }
    made = Family("multiplied", weights).effective.weights
    for group, abc in meta().effective.weights.items():
        assert all(equal(getattr(made[group], x), getattr(abc, x)) for x in "abc"), group
    powers = {group: (meta().std_power(group), meta().rate_power(group)) for group in GROUPS}
    return {f"{group}: powers of n": sp.Tuple(*map(sp.nsimplify, pair)) for group, pair in powers.items()}


def check_power(typed, name):
    """typed is a monomial in n and L: with the engine's powers, for relu and tanh."""
    for activation in ("relu", "tanh"):
        found = n ** sp.nsimplify(counted(activation)[name]) * L ** sp.nsimplify(depths(activation)[name])
        assert sp.simplify(found / typed) == 1, (name, found)
    return found


@cache
def depths(activation):
    return depth_powers(activation)


@row("meta_scaling/output_scale", witness=DRAWN)
def output_scale():
    typed = n ** (-s / 2)
    return check_power(typed, "output")


@row("meta_scaling/ntk_scale", witness=COUNTED)
def ntk_scale():
    typed_mean, typed_spread = sp.Integer(1), sp.sqrt(L / n)
    return {"mean": check_power(typed_mean, "NTK"), "relative fluctuation": check_power(typed_spread, "NTK spread")}


@row("meta_scaling/dntk_scale", witness=COUNTED)
def dntk_scale():
    typed_with_output, typed = L / n, L / n ** (1 - s / 2)
    return {"dNTK times f": check_power(typed_with_output, "dNTK output"), "dNTK": check_power(typed, "dNTK")}


@row("meta_scaling/ddntk_scale", witness=COUNTED)
def ddntk_scale():
    typed = n**s * L / n
    assert sp.simplify(meta().gamma(n, L) / typed) == 1
    return {"ddNTK": check_power(typed, "ddNTK")}


@row("meta_scaling/ntk_change_scale", witness=DRAWN)
def ntk_change_scale():
    """Outputs move by order one. Then Delta NTK is ddNTK times two of them, and Delta f is ddNTK times three."""
    typed_kernel, typed_output = L / n ** (1 - s), L / n ** (1 - s)
    assert sp.simplify(meta().gamma(n, L) / typed_kernel) == 1
    return {"change of the NTK": check_power(typed_kernel, "ddNTK"), "of f": check_power(typed_output, "ddNTK")}


@row("meta_scaling/perturbation_parameter", witness=DRAWN)
def perturbation_parameter():
    typed = L / n ** (1 - s)
    found = meta().gamma(n, L)
    assert sp.simplify(found / typed) == 1
    assert sp.limit(found.subs(s, 0), n, sp.oo) == 0
    typed_at_one = L
    assert found.subs(s, 1) == typed_at_one
    return {"gamma": found, "at s = 1": found.subs(s, 1)}


@row("meta_scaling/depth_rule", witness=DRAWN)
def depth_rule():
    other = sp.Symbol("m", positive=True)
    typed = L * (other / n) ** (1 - s)
    found = meta().match_depth(n, other, L)
    assert sp.simplify(found / typed) == 1
    return found


@row("meta_scaling/corners", witness=DRAWN)
def corners():
    """L fixed; L = r n^(1-s); and the depth from which gamma is at least 1."""
    r = sp.Symbol("r", positive=True)
    gamma = meta().gamma(n, L)
    typed_kernel, typed_deep, typed_strong = 0, r, n ** (1 - s)
    assert sp.limit(gamma.subs(s, sp.Rational(1, 2)), n, sp.oo) == typed_kernel
    assert sp.simplify(gamma.subs(L, r * n ** (1 - s)) - typed_deep) == 0
    (depth,) = sp.solve(sp.Eq(gamma, 1), L)
    assert sp.simplify(depth / typed_strong) == 1
    assert counted().regime == "lazy for 0 <= s < 1, learns features for s = 1"
    return {"gamma": gamma, "gamma = 1 at L": sp.powsimp(depth), "infinite width": counted().regime}


@row("meta_scaling/encoder_code_scaling", witness=MEASURED)
def encoder_code_scaling():
    """All but the divisor of attention, C^((1+s)/2), which the paper does not have: there it is C^(1/2)."""
    M = SIZES["M"]
    fans = {"Q": n, "W": n, "X": M * n, "patch": n_0}
    typed_sgd = lambda fan: n**s / fan  # noqa: E731
    typed_adamw = lambda fan: n ** (s / 2 - sp.Rational(1, 2)) / fan  # noqa: E731
    typed_first, typed_embedding = M ** sp.Rational(-1, 2), n ** (s / 2 - sp.Rational(1, 2))
    typed_logits = n ** (-(1 + s) / 2)
    tied = rg.Transformer(width=64, heads=2, blocks=1, n_in=10, positions=5, stem="words", tied=True)
    for at in (Fraction(0), HALF, Fraction(1)):
        put = {s: sp.Rational(at.numerator, at.denominator)}
        for group, fan in fans.items():
            extra = typed_first if group == "W" else 1
            assert sp.simplify(typed_sgd(fan).subs(put) - monomial(scaling(at)[group].sgd_law)) == 0
            assert sp.simplify((typed_adamw(fan) * extra).subs(put) - monomial(scaling(at)[group].adamw_law)) == 0
        found = rg.transformer_scaling(tied, at)
        assert sp.simplify(typed_embedding.subs(put) - monomial(found["WE"].adamw_law)) == 0
        assert abs(float(typed_logits.subs(put).subs(n, 64)) / found.rescale - 1) < 1e-12
    return {f"{group}, s = 1/2, AdamW": monomial(scaling(HALF)[group].adamw_law) for group in fans}


# Training with s is training at s = 0 on larger labels ---------------------------------------------------------------


def outputs(at, targets, width=12, steps=8):
    """f over steps of gradient descent on (f - y)^2/2; tanh, three layers of the family at s, drawn with one seed."""
    family, source = rg.family("meta", s=at), np.random.default_rng(1)
    x = np.array([[1.0, -0.3], [0.2, 1.1]])
    shapes = ((width, 2), (width, width), (1, width))
    powers = [(float(family.std_power(g)), float(family.rate_power(g))) for g in GROUPS]
    W = [width**a * source.standard_normal(shape) for (a, _), shape in zip(powers, shapes, strict=True)]
    found = []
    for _ in range(steps):
        z1 = W[0] @ x
        z2 = W[1] @ np.tanh(z1)
        f = W[2] @ np.tanh(z2)
        found.append(f)
        d3 = f - targets
        d2 = (W[2].T @ d3) / np.cosh(z2) ** 2
        d1 = (W[1].T @ d2) / np.cosh(z1) ** 2
        steps_of = (d1 @ x.T, d2 @ np.tanh(z1).T, d3 @ np.tanh(z2).T)
        W = [w - 0.05 * width**rate * d for w, (_, rate), d in zip(W, powers, steps_of, strict=True)]
    return np.array(found)


@row("meta_scaling/rescaled_trajectory", witness=DRAWN)
def rescaled_trajectory():
    """To rounding, over eight steps of gradient descent: the labels' factor, and the rates' n^s that the family has."""
    y = np.array([[1.0, -1.0]])
    width = 12
    found = {}
    for at in (0.3, 0.5, 1):
        typed_labels, typed_outputs = width ** (at / 2), width ** (at / 2)
        still = outputs(0, typed_labels * y)
        moved = typed_outputs * outputs(at, y)
        assert np.abs(moved - still).max() < 1e-12 * np.abs(still).max()
        assert np.abs(still[-1] - still[0]).max() > 0.1
        found[f"s = {at}: largest difference, relative"] = float(np.abs(moved - still).max() / np.abs(still).max())
    return meta().effective.weights["output"].b, {name: f"{value:.0e}" for name, value in found.items()}


@cache
def shift(times):
    """The term of order 1/n of the mean prediction at s = 0, for labels times so much; rg.trained."""
    inputs = np.array([[1.0, 0.5], [0.9, -0.8]])
    net = rg.MLP([2, 1000, 1], "sin", C_b=0.2, C_W=1.2, lambda_b=0.3, lambda_W=0.5)
    train = (inputs[:1], [0.12 * times])
    return float(rg.trained(net, train, inputs[1:], learning_rate=0.28)["mean_shift"].item())


@row("meta_scaling/finite_width_any_s", witness="tests/predict/test_trained.py: trained ensembles at four widths")
def finite_width_any_s():
    """f_s(y) = n^(-s/2) f_0(n^(s/2) y): of the term of order 1/n, linear and cubic in y, the cubic part times n^s."""
    cubic = (shift(2.0) - 2 * shift(1.0)) / 6  # a t + b t^3
    linear = shift(1.0) - cubic
    assert abs(cubic) > 1e-3 * abs(linear) > 0
    width, at = 4.0, 1
    found = width ** (-at / 2) * shift(width**0.5 * 1.5)
    typed = linear * 1.5 + cubic * 1.5**3 * width**at
    assert abs(found - typed) < 1e-6 * abs(cubic)
    return {"linear part": linear, "cubic part": cubic, "shift at s = 1, n = 4, labels times 1.5": found}


if __name__ == "__main__":
    check_rows(globals())
