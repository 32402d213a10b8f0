r"""PDLT chapter 5: criticality and universality: susceptibilities of one and of two inputs, critical points, exponents.

Assumptions: infinite width; K' = C_b + C_W <sigma_1 sigma_2>_K for two inputs; sigma smooth in the first part.

The way. Two inputs near each other have the kernels K_{++} = K + d/2, K_{--} = K - d/2, K_{+-} = K - e/2: d is a
parallel perturbation (the inputs differ in size), and e = K_{++} + K_{--} - 2 K_{+-} a perpendicular one (they differ
in direction), of the order d^2. Averages change by d<f>/dK_{11} = <f_11>/2 and d<f>/dK_{12} = <f_12>. So, leading,

    d' = chi_parallel d,        chi_parallel = C_W d<s s>/dK = (C_W/2) <d^2[s s]>,
    e' = chi_perp e + h d^2,    chi_perp = C_W <s's'>,      h = (1/2) d chi_perp/dK = (C_W/4) <d^2[s's']>,

h from (1/8)(<(d_1 + d_2)^4 s s> - <(d_1^2 - d_2^2)^2 s s>), where the difference of the operators is 4 d_1 d_2 (d_1 +
d_2)^2. Critical: chi_parallel(K*) = chi_perp(K*) = 1 at a fixed point K*.

*Vanishing.* <s s>/s_1^2 = K + a_1 K^2 + a_2 K^3 + ..., <s's'>/s_1^2 = 1 + b_1 K + ..., with s_p = sigma^{(p)}(0):
a_1 = s_3/s_1 + (3/4)(s_2/s_1)^2, b_1 = s_3/s_1 + (s_2/s_1)^2. If a_1 < 0, K -> 1/(a l), a = -a_1, and 1/K = a l +
((a^2 - a_2)/a) ln l + ...; chi_parallel = 1 - 2/l, chi_perp = 1 - p_perp/l with p_perp = b_1/a_1.

*Half-stable.* K* > 0 with <s s''> = 0, C_W = 1/<s's'>, C_b = K* - C_W <s s>.

*Scale-invariant.* Every K; but for relu a finite angle decays as a power of the depth: cos psi' = (sin psi + (pi -
psi) cos psi)/pi = 1 - psi^2/2 + psi^3/(3 pi) - ..., so psi' = psi - psi^2/(3 pi), psi -> 3 pi/l, and 1 - cos psi -> 9
pi^2/(2 l^2).

Engine: rg.closed_form(rg.derive("K", samples="many"), ...), rg.criticality, rg.solve; rg.flow for relu.

Sources: PDLT chapter 5 (equation numbers not seen); the table of a_1, a_2, b_1 and the half-stable numbers to twelve
digits were computed apart from this package.
"""

import math
from functools import cache
from typing import Any

import numpy as np
import sympy as sp
from compare import coefficient, equal
from compare import plain as by_name
from rows import check_rows, row

import rgflow as rg

K, K11, K12, K22 = sp.Symbol("K", positive=True), *(sp.Symbol(f"K{ij}", real=True) for ij in ("11", "12", "22"))
Theta = sp.Symbol("Theta", real=True)
C_b, C_W = sp.symbols("C_b C_W", nonnegative=True)
PERTURBED = sp.symbols("d_parallel d_perp", positive=True)  # d and e

# sigma: C_W, a_1, a_2; all odd, so that b_1 = a_1 and p_perp = 1
VANISHING = {
    "tanh": (1, -2, sp.Rational(17, 3)),
    "sin": (1, -1, sp.Rational(2, 3)),
    "erf": (sp.pi / 4, -2, sp.Rational(14, 3)),
}
# sigma: K*, C_W, C_b, nu = V/(n K^2 l), h(K*)
HALF_STABLE = {
    "swish": (14.3201736180, 1.98800467827, 0.555143170722, 4.923187, 8.66514e-4),
    "gelu": (3.56155281281, 1.98305825744, 0.172922390756, 4.904226, 4.66677e-3),
}
SCALE_INVARIANT = {"linear": (1, 2), "relu": (2, 5), "leaky_relu": (2 / (1 + sp.Rational(1, 100) ** 2), None)}
NONE = ("sigmoid", "softplus")


def plain(expression: sp.Expr) -> sp.Expr:
    """With the symbols of this page, by name."""
    mine = {s.name: s for s in (K, K11, K12, K22, Theta, C_b, C_W)}
    return expression.xreplace({s: mine[s.name] for s in expression.free_symbols if s.name in mine})


def susceptibilities(activation: str) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """chi_parallel, chi_perp and h of one input, as functions of K."""
    one = plain(rg.closed_form(rg.derive("K"), activation))
    perpendicular = plain(rg.closed_form(rg.derive("Theta"), activation)).coeff(Theta)
    return sp.diff(one, K), perpendicular, sp.diff(perpendicular, K) / 2


@cache
def expanded(activation: str) -> tuple[sp.Expr, sp.Expr]:
    """d' and e' of two inputs near each other, leading, from the derived recursion of two inputs."""
    step = plain(rg.closed_form(rg.derive("K", samples="many"), activation))
    d, e, t = *PERTURBED, sp.Symbol("t", positive=True)
    at = {K11: K + d * t / 2, K22: K - d * t / 2, K12: K - e * t**2 / 2}  # e is of the second order in distances
    equal_inputs = [dict.fromkeys((K11, K12, K22), x) for x in (K11, K22)]
    plus, minus, across = (step.subs(to, simultaneous=True).subs(at) for to in (*equal_inputs, {}))
    return sp.diff(plus - minus, t).subs(t, 0), sp.diff(plus + minus - 2 * across, t, 2).subs(t, 0) / 2


def two_inputs(activation: str) -> None:
    """The perturbations d and e of the derived recursion of two inputs, to the orders of chapter 5."""
    d, e = PERTURBED
    parallel, perpendicular, h = susceptibilities(activation)
    for found, typed in zip(expanded(activation), (parallel * d, perpendicular * e + h * d**2), strict=True):
        assert sp.simplify(found - typed) == 0, activation
    print(f"{activation}, two inputs: equal to d' = chi_parallel d, e' = chi_perp e + h d^2")


def vanishing(activation: str) -> None:
    weight, a_1, a_2 = VANISHING[activation]
    found = rg.criticality(activation)
    assert found.universality_class == "K*=0"
    assert (found.C_b, sp.simplify(found.point.values["C_W"] - weight)) == (0, 0), activation
    assert (found.p_0, found.p_perpendicular, found.p_parallel) == (1, 1, 2), activation
    kernel = rg.solve("K", activation)
    l = next(s for s in kernel.expression.free_symbols if s.name == "l")
    a = -sp.Integer(a_1)
    assert kernel.expression == 1 / (a * l), activation
    log = sp.expand(kernel.correction * l).coeff(sp.log(l))
    assert sp.simplify(log + (a**2 - a_2) / a**2) == 0, f"ln l / l in K of {activation}: {log}"
    print(f"{activation}: K* = 0 at C_b = 0, C_W = {weight}; equal K -> {kernel.expression}, ln l/l times {log}")


def half_stable(activation: str) -> None:
    """Twelve digits are typed: the last one may be off by one half."""
    found = rg.criticality(activation)
    assert found.universality_class == "half-stable"
    typed = HALF_STABLE[activation]
    here = (found.K_star, found.C_W, found.C_b, float(found.vertex_growth))
    for name, number, value in zip(("K*", "C_W", "C_b", "nu"), typed, here, strict=False):
        digits = 6 if name == "nu" else 11
        assert abs(value / number - 1) < 10.0 ** (1 - digits), (activation, name, value)
    if activation == "gelu":
        assert sp.simplify(found.point.values["K_star"] - (3 + sp.sqrt(17)) / 2) == 0
        at = {K: found.point.values["K_star"], C_W: found.point.values["C_W"]}
        parallel, perpendicular, h = (x.subs(at).n(20) for x in susceptibilities(activation))
        assert abs(parallel - 1) < 1e-18 > abs(perpendicular - 1)
        assert abs(h / typed[4] - 1) < 1e-5
    print(f"{activation}: half-stable, equal to K* = {typed[0]}, C_W = {typed[1]}, C_b = {typed[2]}, nu = {typed[3]}")


def scale_invariant(activation: str) -> None:
    weight, growth = SCALE_INVARIANT[activation]
    found = rg.criticality(activation)
    assert found.universality_class == "scale-invariant"
    assert (found.C_b, found.K_star, found.p_0, found.p_perpendicular) == (0, None, 0, 0)
    assert found.point.values["C_W"] == weight, activation
    assert growth is None or found.vertex_growth == growth
    print(f"{activation}: scale-invariant at C_b = 0, equal C_W = {weight}; V/(n K^2) = {found.vertex_growth} l/n")


def angle() -> None:
    """relu: the angle of two inputs, from the derived recursion; then layer by layer, short by ln l/l."""
    psi = sp.Symbol("psi", positive=True)
    step = plain(rg.closed_form(rg.derive("K", samples="many"), "relu")).subs({C_b: 0, C_W: 2})
    cosine = step.subs({K11: 1, K22: 1, K12: sp.cos(psi)})
    typed = (sp.sin(psi) + (sp.pi - psi) * sp.cos(psi)) / sp.pi
    for value in (sp.Rational(1, 7), sp.Rational(1, 2), sp.Integer(1), sp.Integer(2)):
        assert abs((cosine - typed).subs(psi, value).n(30)) < 1e-25
    expected = 1 - psi**2 / 2 + psi**3 / (3 * sp.pi)
    assert sp.simplify(sp.series(typed, psi, 0, 4).removeO() - expected) == 0

    depth, together = 4096, sp.lambdify(psi, cosine, "math")
    angles = [math.pi / 3]
    for _ in range(depth - 1):
        angles.append(math.acos(together(angles[-1])))
    net = rg.MLP.uniform(n_in=2, width=1, depth=8, activation="relu", C_W=2.0)
    ds = rg.flow(net, first_kernel=[[1.0, 0.5], [0.5, 1.0]], tensors="K", order=0)
    correlation = ds["K"].values[:, 0, 1] / ds["K"].values[:, 0, 0]
    np.testing.assert_allclose(correlation, np.cos(angles[:8]), rtol=1e-12)

    layers = np.array([depth // 16, depth // 4, depth])
    found = 2 * np.sin(np.array(angles)[layers - 1] / 2) ** 2 * 2 * layers**2 / (9 * np.pi**2)
    away = np.abs(found - 1) * layers / np.log(layers)
    assert abs(found[-1] - 1) < 0.02
    assert away.max() < 2 * away.min()
    print(f"relu: (1 - cos psi) 2 l^2/(9 pi^2) = {found[-1]:.4f} at layer {depth}: equal to 1 but for ln l/l")


def none(activation: str) -> None:
    try:
        rg.criticality(activation)
    except rg.NoCriticalPoint as error:
        print(f"{error}: equal to what the book says")
    else:
        raise AssertionError(f"{activation} has a critical point")


# Rows of the book -----------------------------------------------------------------------------------------------------

POINTS = "tests/universality/test_points.py: critical points, from averages taken there"
SLOPES = {"linear": (1, 1), "relu": (1, 0), "Max(z/4, z)": (1, sp.Rational(1, 4))}


@row("pdlt/criticality", witness=POINTS)
def conditions() -> dict[str, Any]:
    """At the point that the engine finds for gelu, in closed form: K' and the two susceptibilities."""
    found = rg.criticality("gelu").point.values
    at = {K: found["K_star"], C_W: found["C_W"], C_b: found["C_b"]}
    g = rg.closed_form(rg.derive("K"), "gelu").subs({C_b: 0, C_W: 1})
    parallel, perpendicular, _ = susceptibilities("gelu")
    typed = {"chi_parallel": 1, "chi_perpendicular": 1, "K_star": C_b + C_W * g}
    derived = {"chi_parallel": parallel, "chi_perpendicular": perpendicular, "K_star": K}
    for name, value in typed.items():
        equal(derived[name].subs(at).n(30), (sp.Integer(0) + value).subs(at).n(30), f"{name} of gelu")
    return {name: sp.N(value, 12) for name, value in found.items()}


@row("pdlt/parallel_perturbation", witness="tests/universality/test_fixed_points.py: correlation lengths of flows")
def parallel_perturbation() -> dict[str, sp.Expr]:
    d, _ = PERTURBED
    shown = {}
    for activation in ("sin", "exp(z)"):
        chi_parallel, found = coefficient("K_1", "K_1", activation), expanded(activation)[0]
        typed = chi_parallel * d
        equal(found, typed, f"d' of {activation}")
        shown[f"d', {activation}"] = sp.expand(found)
    return shown


@row("pdlt/perpendicular_perturbation", witness="tests/universality/test_fixed_points.py: correlation lengths of flows")
def perpendicular_perturbation() -> dict[str, sp.Expr]:
    d, e = PERTURBED
    shown = {}
    for activation in ("sin", "exp(z)"):
        chi_perpendicular, h = coefficient("Theta", "Theta", activation), coefficient("Theta_1", "D", activation) / 2
        found = expanded(activation)[1]
        typed = chi_perpendicular * e + h * d**2
        equal(found, typed, f"e' of {activation}")
        shown[f"e', {activation}"] = sp.expand(found)
    return shown


@row("pdlt/scale_invariant_criticality", witness=POINTS)
def scale_invariant_criticality() -> dict[str, Any]:
    """Everywhere in K."""
    for activation, (plus, minus) in SLOPES.items():
        A_2 = (plus**2 + minus**2) / sp.Integer(2)
        typed = {"C_b": 0, "C_W": 1 / A_2, "chi_parallel": 1, "chi_perpendicular": 1, "h": 0, "K'": K}
        found = rg.criticality(activation).point.values
        at = {C_b: found["C_b"], C_W: found["C_W"]}
        derived = dict(zip(("chi_parallel", "chi_perpendicular", "h"), susceptibilities(activation), strict=True))
        derived |= {"C_b": found["C_b"], "C_W": found["C_W"], "K'": plain(rg.closed_form(rg.derive("K"), activation))}
        for name, value in typed.items():
            equal((sp.Integer(0) + derived[name]).subs(at), value, f"{name} of {activation}")
    return {activation: rg.criticality(activation).point.values["C_W"] for activation in SLOPES}


@row("pdlt/scale_invariant_exponents", witness="tests/sources/pdlt_depth.py: solutions typed by another hand")
def scale_invariant_exponents() -> dict[str, Any]:
    typed = {"p_0": 0, "p_perp": 0}
    for activation in SLOPES:
        found = rg.criticality(activation)
        assert {"p_0": found.p_0, "p_perp": found.p_perpendicular} == typed, activation
        # K stays, and Theta, which chi_perp carries, grows by the same amount in every layer
        l = sp.Symbol("l", positive=True)
        for name, powers in (("K", 0), ("Theta", 1)):
            assert sp.degree(by_name(rg.solve(name, activation).expression), l) == powers
    return {"p_0": found.p_0, "p_perp": found.p_perpendicular}


@row("pdlt/scale_invariant_tunings", witness=POINTS)
def scale_invariant_tunings() -> dict[str, Any]:
    a = sp.Rational(1, 4)
    typed = {"relu": 2, "linear": 1, "Max(z/4, z)": 2 / (1 + a**2)}
    found = {activation: rg.criticality(activation).point.values["C_W"] for activation in typed}
    assert found == typed, found
    return found


@row(
    "pdlt/relu_angle_decay",
    witness="tests/brackets/test_bracket_kinked.py: arc-cosine kernels; the flow to layer 4096 of this script",
)
def relu_angle_decay() -> dict[str, Any]:
    """psi' = psi - c psi^2 + O(psi^3) makes psi -> 1/(c l): c from the derived map at a very small angle."""
    typed = {"(1 - cos psi) l^2": 9 * sp.pi**2 / 2, "psi l": 3 * sp.pi}
    step = plain(rg.closed_form(rg.derive("K", samples="many"), "relu")).subs({C_b: 0, C_W: 2})
    psi = sp.Rational(1, 10**12)
    after = sp.acos(step.subs({K11: 1, K22: 1, K12: sp.cos(psi)})).evalf(60)
    amplitude = psi**2 / (psi - after)
    found = {"(1 - cos psi) l^2": amplitude**2 / 2, "psi l": amplitude}
    for name, value in typed.items():
        assert abs(found[name] / value.n(30) - 1) < 1e-10, (name, found[name])  # psi times a number of order one
    return {name: sp.N(value, 10) for name, value in found.items()}


@row("pdlt/no_critical_point", witness=POINTS)
def no_critical_point() -> dict[str, str]:
    """Of these activations the ones that the engine finds no critical point for, and its reasons."""
    tried = ("tanh", "sigmoid", "relu", "softplus", "sin", "Heaviside(z)", "gelu", "z^2", "swish", "z^3", "z^4")
    typed = ["sigmoid", "softplus", "Heaviside(z)", "z^2", "z^3", "z^4"]
    reasons = {}
    for activation in tried:
        try:
            rg.criticality(activation)
        except rg.NoCriticalPoint as error:
            reasons[activation] = str(error).partition(": ")[2]
    assert list(reasons) == typed, reasons
    return reasons


if __name__ == "__main__":
    for activation in ("sin", "erf", "exp(z)"):
        two_inputs(activation)
    for activation in VANISHING:
        vanishing(activation)
    for activation in HALF_STABLE:
        half_stable(activation)
    for activation in SCALE_INVARIANT:
        scale_invariant(activation)
    angle()
    for activation in NONE:
        none(activation)
    check_rows(globals())
