r"""Doshi, He, Gromov, "Critical initialization of wide and deep neural networks using partial Jacobians"
(arXiv:2111.12143): networks without LayerNorm.

Assumptions: widths n -> infinity in turn; z' = b + W sigma(z) + mu z, sigma_w^2 = C_W, sigma_b^2 = C_b, mu = skip.

The object. J^{l0,l} = E (1/n_l) sum_ij (dz^l_j/dz^{l0}_i)^2. Let one Gaussian direction e of unit covariance move z^l0
alone: J is the average of z_{j,e} z_{j,e}, the tangent kernel of a network whose only trained parameter is a bias of
layer l0. So J' is Theta' without its rates,

    J' = (mu^2 + C_W <sigma'sigma'>) J = chi_J J,        Theta^L = sum_l J^{l,L} (lambda_b + lambda_W g^{l-1}),

g^{l-1} = <sigma sigma>; and its next order in 1/n is Theta_1 of that network, its variance over networks the letter A.

Critical points. chi_J = 1 at a fixed point K* of K' = C_b + C_W <sigma sigma> + mu^2 K. Exponents, J ~ l^-zeta (growth
is a negative zeta): where K* = 0, <sigma sigma>/sigma'(0)^2 = K + a K^2 and <sigma'sigma'>/sigma'(0)^2 = 1 + b K for
odd sigma with s3 = sigma'''(0)/sigma'(0): a = b = s3 (of K' = K + s3 K^2 and chi_J = 1 + s3 K), K = -1/(s3 l) and
chi_J = 1 - 1/l: zeta = 1 for tanh and erf, whatever s3 is. relu: chi_J = C_W/2 = 1 at every K, zeta = 0. gelu: K* is
fixed with chi_J = 1, zeta = 0 there.

mu = 1. K = (C_b + C_W) l for erf, whose square tends to 1; <sigma'sigma'> = 4/(pi sqrt(1 + 4K)), so that

    ln J = sum_k C_W (2/pi) ((C_b + C_W) k)^{-1/2} = sqrt(l/lambda),        lambda = pi^2 (C_W + C_b)/(16 C_W^2).

relu: chi_J = 1 + C_W/2 at every K: exponential. mu < 1: relu is critical at C_W = 2 (1 - mu^2), C_b = 0.

Off criticality xi = 1/|ln chi_J| grows as the inverse distance of sigma_w wherever chi_J crosses 1 with a slope. It
does not at one place: erf and tanh at C_b = 0 from above. There K* = -delta/s3 makes up for C_W = 1 + delta in chi_J =
(1 + delta)(1 + s3 K*), since a = b, and xi grows as the inverse square. From below, where K* = 0, all is as said.

Fluctuations (not in the paper). One input of relu without biases: signs of neurons are fair coins, V_J' = C_W^2 J^2/4 +
r C_W^2 V_J/4, and n Var J = l - l0 at criticality, in networks of equal widths.

Engine: rg.derive("J"), partial_jacobian, jacobian_law, rg.criticality.
"""

import math

import numpy as np
import sympy as sp
from rows import check_rows, row

import rgflow as rg
from rgflow.flow.jacobian import partial_jacobian
from rgflow.scaling.jacobian_law import JacobianLaw, jacobian_law

C_W, C_b = sp.symbols("C_W C_b", nonnegative=True)
skip, J, V_J = sp.symbols("skip J V_J", real=True)
r, K = sp.symbols("r K", positive=True)
BRACKET = sp.Function("Bracket")
SLOPES = BRACKET(sp.Tuple(1, 1), 0)

# The recursion of every kind of one weight matrix, typed.
LINES = {
    rg.Dense(): C_W * SLOPES * J,
    rg.Residual(): (skip**2 + C_W * SLOPES) * J,
    rg.Linear(): C_W * J,
    rg.Orthogonal(): C_W * SLOPES * J,
}
# Of several: the lines, typed.
SEVERAL = {
    rg.Branch(): ("J_h' = C_W J", "J' = J + C_V J_h <σ'σ'>_h"),
    rg.Projection(): ("J_h' = C_W J", "J' = C_V J_h <σ'σ'>_h + C_P J"),
}
# <sigma'sigma'>, section 2: chi_J - mu^2 over C_W.
SLOPE = {"relu": sp.Rational(1, 2), "erf": 4 / (sp.pi * sp.sqrt(1 + 4 * K))}
# The table: C_W, C_b, K* (None: any), zeta.
TABLE = {
    "relu": (2.0, 0.0, None, 0),
    "erf": (math.pi / 4, 0.0, 0.0, 1),
    "gelu": (1.4082110**2, 0.4158394**2, 3.5615528, 0),
    "tanh": (1.0, 0.0, 0.0, 1),
}


def recursions() -> None:
    for layer, typed in LINES.items():
        found = rg.derive("J", layer=layer)
        assert sp.expand(found.to_sympy() - typed) == 0, layer
        print(f"{found.layer}: {found}   equal")
    for layer, lines in SEVERAL.items():
        found = rg.derive("J", layer=layer)
        assert str(found) == "\n".join(lines)
        print(f"{found.layer}: {'; '.join(lines)}   equal")
    for name, typed in SLOPE.items():
        assert sp.simplify(rg.closed_form(rg.derive("J"), name) - C_W * typed * J) == 0
    print("chi_J of relu and erf in closed form: equal\n")


def tangent_kernel() -> None:
    """Theta^L = sum_l J^{l,L} (lambda_b + lambda_W g^{l-1})."""
    lambda_b, lambda_W, depth = 0.7, 1.3, 6
    net = rg.MLP([3] + [10] * depth, "erf", C_W=1.2, C_b=0.1, lambda_b=lambda_b, lambda_W=lambda_W)
    flow = rg.flow(net, first_kernel=0.9, tensors=["K", "Theta"], order=0)
    kernel = flow["K"].values
    g = [(0.9 - 0.1) / 1.2, *(2 / math.pi * np.arcsin(2 * kernel / (1 + 2 * kernel)))]
    total = sum(
        float(partial_jacobian(net, first_kernel=0.9, start=l)["J"][-1]) * (lambda_b + lambda_W * g[l - 1])
        for l in range(1, depth + 1)
    )
    assert abs(total / float(flow["Theta"][-1]) - 1) < 1e-13
    print(f"sum_l J^(l,L) (lambda_b + lambda_W g) = {total:.12f}: equal to Theta\n")


def table() -> None:
    for name, (weight, bias, K_star, zeta) in TABLE.items():
        point = rg.criticality(name)
        assert abs(point.C_W - weight) + abs(point.C_b - bias) < 1e-6
        assert (K_star is None) == (point.K_star is None)
        assert K_star is None or abs(point.K_star - K_star) < 1e-7
        assert point.zeta == zeta
        net = rg.MLP.uniform(n_in=3, width=10, depth=1000, activation=name, C_W=point.C_W, C_b=point.C_b)
        jacobian = partial_jacobian(net, first_kernel=point.K_star or 1.0)["J"].values
        measured = -math.log(jacobian[999] / jacobian[499]) / math.log(2)
        # corrections to chi_J = 1 - zeta/l are of order ln(l)/l^2
        assert abs(measured - zeta) < 0.01
        print(
            f"{name}: C_W = {point.C_W:.7g}, C_b = {point.C_b:.7g}, zeta = {zeta}; layers 500 to 1000: {measured:.4f}"
        )
    print("equal to the table of critical points\n")


def residual() -> None:
    """mu = 1: stretched exponentials and exponentials; mu < 1: another critical C_W."""
    weight, bias = sp.Rational(3, 2), sp.Rational(1, 4)
    law = jacobian_law("erf", rg.Residual(skip=1.0, C_W=1.5, C_b=0.25))
    assert sp.simplify(law.length - sp.pi**2 * (weight + bias) / (16 * weight**2)) == 0
    kernel, logs = 1.0, [0.0]
    for _ in range(20_000):
        logs.append(logs[-1] + math.log(1 + 1.5 * 4 / (math.pi * math.sqrt(1 + 4 * kernel))))
        kernel += 0.25 + 1.5 * 2 / math.pi * math.asin(2 * kernel / (1 + 2 * kernel))
    slope = (logs[20_000] - logs[19_800]) / (math.sqrt(20_000) - math.sqrt(19_800))
    assert abs(slope / float(law.rate) - 1) < 0.01
    print(f"erf, mu = 1: {law}; d ln J/d sqrt(l) at 20000 layers: {slope:.4f}, of {float(law.rate):.4f}")
    assert jacobian_law("relu", rg.Residual(skip=1.0, C_W=1.5)).chi_J == 1 + weight / 2
    assert jacobian_law("gelu", rg.Residual(skip=1.0, C_W=1.5)).chi_J == 1 + weight / 2
    assert rg.criticality("relu", rg.Residual(skip=0.5)).C_W == 2 * (1 - 0.25)
    assert jacobian_law("relu", rg.Residual(skip=0.5, C_W=1.0)).chi_J == 0.25 + 0.5
    print("lambda, and the exponential growth of relu and gelu: equal\n")


def fluctuations() -> None:
    """relu: V_J' typed, and n Var J of the exact moments of fair coins, at n = 10^12."""
    line = rg.closed_form(rg.derive("V_J"), "relu")
    assert sp.expand(line - (C_W**2 * J**2 / 4 + r * C_W**2 * V_J / 4)) == 0
    net = rg.MLP([3] + [20] * 5, "relu", C_W=2.0)
    np.testing.assert_allclose(partial_jacobian(net, first_kernel=1.0, order=1)["V_J"], range(5), atol=1e-12)
    n = sp.Integer(10) ** 12
    a, b, c, d = n, n**2, n, n  # E tr M, E (tr M)^2, E tr M^2, E sum M_ii^2
    for layer in range(1, 5):
        square, both = (b + d) / 4, (c + d) / 4
        a, b = a, 4 * (square + 2 * both / n)
        c, d = 4 * (both + (square + both) / n), 4 * (square + 2 * both) / n
        assert abs((b - a**2) / n - layer) < 1e-9
    print("V_J of relu = l - l0: equal to the moments of exact networks")


# Rows of the book -----------------------------------------------------------------------------------------------------

SQUARES = BRACKET(sp.Tuple(0, 0), 0)
EXACT_JACOBIANS = "tests/oracles/relu_jacobians.py: exact moments of Jacobians of relu networks"
ITERATED = "tests/sources/partial_jacobians.py: the recursion typed in plain Python, iterated"
l = sp.Symbol("l", positive=True)


def plain(expression: sp.Expr) -> sp.Expr:
    """K as a symbol that nothing is assumed of."""
    return expression.xreplace({s: sp.Symbol("K") for s in expression.free_symbols if s.name == "K"})


def of_K(name: str) -> sp.Expr:
    """<sigma sigma> in closed form."""
    return sp.diff(rg.closed_form(rg.derive("K"), name), C_W)


def of_J(name: str) -> sp.Expr:
    """<sigma'sigma'> in closed form."""
    return sp.diff(rg.closed_form(rg.derive("J"), name), C_W, J)


@row("partial_jacobians/apjn", witness=EXACT_JACOBIANS)
def apjn() -> rg.Recursion:
    """J' is chi_J J, with no other term, for dense and for orthogonal weights."""
    typed = C_W * SLOPES * J
    for layer in (rg.Dense(), rg.Orthogonal()):
        assert sp.expand(rg.derive("J", layer=layer).to_sympy() - typed) == 0
    return rg.derive("J")


@row("partial_jacobians/vanilla_kernel", witness=ITERATED)
def vanilla_kernel() -> rg.Recursion:
    found = rg.derive("K", layer=rg.Residual())
    typed = C_W * SQUARES + C_b + skip**2 * K
    assert sp.expand(plain(found.to_sympy()) - plain(typed)) == 0
    return found


@row("partial_jacobians/vanilla_chi", witness=ITERATED)
def vanilla_chi() -> sp.Expr:
    found = sp.diff(rg.derive("J", layer=rg.Residual()).to_sympy(), J)
    typed = skip**2 + C_W * SLOPES
    assert sp.expand(found - typed) == 0
    return rg.derive("J", layer=rg.Residual())


@row("partial_jacobians/erf_square", witness="tests/brackets/test_closed_one.py: quadrature at 30 digits")
def erf_square() -> sp.Expr:
    typed = 2 / sp.pi * sp.asin(2 * K / (1 + 2 * K))
    found = of_K("erf")
    assert sp.simplify(plain(found) - plain(typed)) == 0
    return found


@row("partial_jacobians/erf_slope_square", witness="tests/brackets/test_closed_one.py: quadrature at 30 digits")
def erf_slope_square() -> sp.Expr:
    typed = 4 / sp.pi / sp.sqrt(1 + 4 * K)
    found = of_J("erf")
    assert sp.simplify(plain(found) - plain(typed)) == 0
    return found


@row("partial_jacobians/ntk_from_jacobians", witness="tests/flow/test_partial_jacobians.py: networks with one rate")
def ntk_from_jacobians() -> dict[str, float]:
    """Six layers of erf; J and g from the engine's flows of J and K, Theta from its own."""
    lambda_b, lambda_W, depth, kernel = 0.7, 1.3, 6, 0.9
    net = rg.MLP([3] + [10] * depth, "erf", C_W=1.2, C_b=0.1, lambda_b=lambda_b, lambda_W=lambda_W)
    flow = rg.flow(net, first_kernel=kernel, tensors=["K", "Theta"], order=0)
    g = (np.array([kernel, *flow["K"].values[1:]]) - 0.1) / 1.2
    jacobian = [float(partial_jacobian(net, first_kernel=kernel, start=i)["J"][-1]) for i in range(1, depth + 1)]
    typed = sum(jacobian[i] * lambda_b + jacobian[i] * lambda_W * g[i] for i in range(depth))
    assert abs(typed / float(flow["Theta"][-1]) - 1) < 1e-13
    return {"Theta of layer 6": float(flow["Theta"][-1])} | {f"J from layer {i + 1}": x for i, x in enumerate(jacobian)}


@row("partial_jacobians/correlation_length", witness="tests/scaling/test_jacobian_law.py: iteration to layer 100")
def correlation_length() -> dict[str, float]:
    """Both sides of criticality: the slope of ln J from layer 99 to 100, where the kernel has long arrived."""
    lengths = {}
    for weight, sign in ((1.5, 1), (0.5, -1)):
        law = jacobian_law("erf", rg.Dense(C_W=weight, C_b=0.0))
        net = rg.MLP.uniform(n_in=3, width=10, depth=300, activation="erf", C_W=weight)
        jacobian = partial_jacobian(net, first_kernel=1.0)["J"].values
        typed = abs(math.log(float(law.chi_J)))
        assert abs(1 / law.xi_J - typed) < 1e-12
        assert abs(math.log(jacobian[-1] / jacobian[-2]) - sign * typed) < 1e-9
        lengths[f"xi of erf, C_W = {weight}"] = law.xi_J
    return lengths


@row("partial_jacobians/correlation_length_exponent", witness="tests/scaling/test_jacobian_law.py: relu")
def correlation_length_exponent() -> dict[str, sp.Expr]:
    """relu for all sigma_w; erf from below. See above for erf from above, where the power is -2."""
    sigma_w, away = sp.symbols("sigma_w delta", positive=True)
    chi = (C_W * of_J("relu")).subs(C_W, sigma_w**2)
    typed = -1
    xi = 1 / sp.log(chi.subs(sigma_w, sp.sqrt(2) + away))
    assert sp.limit(away * sp.diff(xi, away) / xi, away, 0) == typed
    near, nearer = (jacobian_law("erf", rg.Dense(C_W=math.pi / 4 * (1 - x) ** 2)).xi_J for x in (2e-5, 1e-5))
    assert abs(math.log(near / nearer) / math.log(2) - typed) < 1e-4  # relative corrections are of order 2e-5
    return {"xi of relu": xi}


@row("partial_jacobians/critical_power_law", witness=ITERATED)
def critical_power_law() -> dict[str, JacobianLaw]:
    typed = {"relu": l**0, "erf": l**-1, "tanh": l**-1, "gelu": l**0}
    laws = {name: jacobian_law(name) for name in typed}
    for name, law in laws.items():
        assert law.chi_J == 1
        assert sp.simplify(law.expression - typed[name]) == 0
    return laws


if __name__ == "__main__":
    recursions()
    tangent_kernel()
    table()
    residual()
    fluctuations()
    check_rows(globals())
