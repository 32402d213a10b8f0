r"""PDLT appendix B: residual networks z' = b + W sigma(z) + gamma z: criticality, and how fluctuations grow with depth.

Assumptions: one input, equal widths n, leading order in 1/n; first layer dense and Gaussian, then k residual layers.

The way. The skip adds gamma^2 K to the kernel and gamma^2 to both susceptibilities, so that what is critical is C_W
times the part 1 - gamma^2 that sigma is to renew:

    chi = gamma^2 + chi_dense = 1:  C_W A_2 = 1 - gamma^2 (scale-invariant),  C_W sigma'(0)^2 = 1 - gamma^2 (K* = 0).

*As published* V' follows from V alone, the neuron's z_i being Gaussian but for V:

    V' = (gamma^2 + chi_parallel)^2 V + 2 gamma^2 C_W (<z^2 s^2> - K <s^2>) + C_W^2 (<s^4> - <s^2>^2),

and <z^2 s^2> - K <s^2> = K^2 <d^2[s^2]> by parts. So V = nu k K^2 where sigma is scale-invariant, with
nu = (1 - gamma^2)[(1 - gamma^2)(3 A_4/A_2^2 - 1) + 4 gamma^2], and nu = (2/3)(1 - gamma^4) where the kernel vanishes.

*With memory.* A neuron remembers all its past: z of two layers, d apart, are correlated by gamma^d. What n neurons
leave in the kernel, C_W times the average of s^2 - <s^2>, is therefore correlated between layers, not only through V.
With s^2 = A_2 z^2 + Abar z|z|, Abar = (a_+^2 - a_-^2)/2, its part in z^2 is what the published recursion follows; the
odd part travels along the skip, and with g(c) = <z|z| z'|z'|> of unit variances at correlation c,

    V/K^2 = 2 (1 - gamma^4) k + (1 - gamma^2)^2 (Abar/A_2)^2 sum_{l, m <= k} g(gamma^|l - m|),
    g(c) = (2/pi) [(1 + 2 c^2) asin c + 3 c sqrt(1 - c^2)].

Equal to the published one for linear and for even sigma (Abar = 0), and without a skip; for relu larger by far.

Engine: rg.derive(..., layer=rg.Residual()), closure="book" and "full"; rg.criticality, rg.solve, rg.flow.

Sources: PDLT appendix B as its public code has it (equation numbers not seen). The formula with memory was derived and
sampled apart from this package: networks of width n = 256, whose own corrections are of order k/n.
"""

import math
from functools import cache

import sympy as sp
from rows import row

import rgflow as rg

gamma, K, V, Theta, r = (sp.Symbol(name, real=True) for name in ("gamma", "K", "V", "Theta", "r"))
C_b, C_W, lambda_b, lambda_W = sp.symbols("C_b C_W lambda_b lambda_W", nonnegative=True)
s2, s4, ss2, dd = sp.symbols("s2 s4 s_s_ dd")  # <s^2>, <s^4>, <s's'>, <d^2[s^2]>

# gamma, k: V/K^2 sampled at n = 256 with its standard error
SAMPLED = {(0.5, 4): (21.1, 0.3), (0.8, 12): (42.4, 0.7), (0.95, 20): (16.1, 0.3)}


def plain(expression: sp.Expr) -> sp.Expr:
    """With the symbols of this page."""
    bracket = sp.Function("Bracket")
    names = {"skip": gamma, "K": K, "V": V, "Theta": Theta, "C_b": C_b, "C_W": C_W, "r": sp.Integer(1)}
    names |= {"lambda_b": lambda_b, "lambda_W": lambda_W}
    averages = {((0, 0), 0): s2, ((0,) * 4, 0): s4, ((1, 1), 0): ss2, ((0, 0), 2): dd}
    put = {bracket(sp.Tuple(*orders), sp.Integer(m)): symbol for (orders, m), symbol in averages.items()}
    put |= {x: names[x.name] for x in expression.free_symbols if x.name in names}
    return expression.xreplace(put)


def recursions() -> None:
    """The typed recursions are the derived ones; K' and Theta' with memory and without."""
    layer = rg.Residual()
    chi_parallel, chi_perp = C_W * dd / 2, C_W * ss2
    typed = {
        "K": C_b + gamma**2 * K + C_W * s2,
        "Theta": lambda_b + lambda_W * s2 + (gamma**2 + chi_perp) * Theta,
        "V": (gamma**2 + chi_parallel) ** 2 * V + 2 * gamma**2 * C_W * K**2 * dd + C_W**2 * (s4 - s2**2),
    }
    for name, right in typed.items():
        found = rg.derive(name, layer=layer, closure="book")
        assert sp.expand(plain(found.to_sympy()) - right) == 0, name
        print(f"{found}\n    equal to PDLT appendix B\n")
    assert rg.derive("K", layer=layer) == rg.derive("K", layer=layer, closure="book")


def by_parts() -> None:
    """<z^2 f> - K <f> = K^2 <f''>, for f = (z - z^3/3)^2."""
    z = sp.Symbol("z")
    f = sp.expand((z - z**3 / 3) ** 2)

    def average(g: sp.Expr) -> sp.Expr:
        terms = sp.Poly(g, z).terms()
        return sum(c * K ** sp.Rational(n, 2) * sp.factorial2(n - 1) for (n,), c in terms if n % 2 == 0)

    assert sp.expand(average(z**2 * f) - K * average(f) - K**2 * average(sp.diff(f, z, 2))) == 0


def critical_points() -> None:
    """C_b and C_W by class, typed: the dense ones times 1 - gamma^2."""
    dense = {"linear": 1, "relu": 2, "tanh": 1, "erf": sp.pi / 4}
    for strength in (sp.Rational(1, 2), sp.Rational(-9, 10)):
        layer = rg.Residual(skip=float(strength))
        for activation, weight in dense.items():
            values = rg.criticality(activation, layer).point.values
            assert values["C_b"] == 0
            assert sp.simplify(values["C_W"] - weight * (1 - strength**2)) == 0, activation
        K_star, C_W_dense, C_b_dense = 3.56155281281, 1.98305825744, 0.172922390756
        gelu = rg.criticality("gelu", layer)
        for value, number in ((gelu.K_star, K_star), (gelu.C_W, C_W_dense), (gelu.C_b, C_b_dense)):
            factor = 1 if number == K_star else float(1 - strength**2)
            assert abs(value / (number * factor) - 1) < 1e-10
            assert abs(gelu.chi_parallel - 1) < 1e-12 > abs(gelu.chi_perpendicular - 1)
    print("critical points: equal to the dense ones times 1 - gamma^2, at the same K*")


def published() -> None:
    """nu(gamma) as published, by the closure in one time."""
    l, k = sp.Symbol("l", integer=True, positive=True), sp.Symbol("k", positive=True)
    skip = sp.Symbol("skip", real=True)
    for activation, rho in (("linear", 1), ("relu", 2)):
        nu = (1 - skip**2) * ((1 - skip**2) * (3 * rho - 1) + 4 * skip**2)
        found = rg.solve("V", activation, layer=rg.Residual(), skip="symbolic", closure="book")
        assert sp.expand(found.expression - nu * k**2 * (l - 1)) == 0, activation
        print(f"{activation}: equal to nu = {sp.factor(nu)} as published (closure in one time)")
    kernel, vertex = (rg.solve(name, "tanh", layer=rg.Residual(), skip="symbolic").expression for name in ("K", "V"))
    assert sp.simplify(vertex / kernel**2 - sp.Rational(2, 3) * (1 - skip**4) * l) == 0
    print("tanh: equal to nu = 2 (1 - gamma^4)/3 as published, with memory too")


def with_memory(strength: float, k: int, slopes: tuple[float, float] = (0.0, 1.0)) -> float:
    """V/K^2 after k residual layers, typed; slopes (a_-, a_+)."""
    minus, plus = (a**2 for a in slopes)
    part = (plus - minus) / (plus + minus)

    def g(c: float) -> float:
        return 2 / math.pi * ((1 + 2 * c * c) * math.asin(c) + 3 * c * math.sqrt(1 - c * c))

    odd = sum(g(strength ** abs(i - j)) for i in range(k) for j in range(k))
    return 2 * (1 - strength**4) * k + (1 - strength**2) ** 2 * part**2 * odd


def relu() -> None:
    """The formula with memory is what the engine derives, and what sampled networks do; the published one is not."""
    for (strength, k), (sampled, error) in SAMPLED.items():
        typed = with_memory(strength, k)
        solved = rg.solve("V", "relu", layer=rg.Residual(skip=strength)).at(k + 1, k=1.0)
        assert abs(solved / typed - 1) < 1e-13, (strength, k, solved, typed)
        C_W = 2 * (1 - strength**2)
        layers = [rg.Dense(C_W=2.0)] + [rg.Residual(skip=strength, C_W=C_W)] * k + [rg.Dense(C_W=2.0)]
        net = rg.Network(layers, [256] * (k + 2) + [1], "relu")
        flowed = float(rg.flow(net, first_kernel=1.0, tensors=["V"])["V"][k])
        assert abs(flowed / typed - 1) < 1e-11, (strength, k, flowed, typed)
        # n = 256 is not infinite: relative corrections of order k/n are left, some per cent
        assert abs(sampled / typed - 1) < 0.1, (strength, k)
        nu = (1 - strength**2) * (5 * (1 - strength**2) + 4 * strength**2)
        assert abs(sampled - nu * k) > 10 * error, "the published growth is far from sampled networks"
        beside = f"sampled {sampled}({error}), published {nu * k:.2f}"
        print(f"relu, gamma = {strength}, k = {k}: V/K^2 = {typed:.2f}, {beside}")
    for activation, slopes in (("linear", (1.0, 1.0)), ("leaky_relu", (0.01, 1.0))):
        found = rg.solve("V", activation, layer=rg.Residual(skip=0.8)).at(9, k=1.0)
        assert abs(found / with_memory(0.8, 8, slopes) - 1) < 1e-13, activation
    rate = rg.criticality("relu", rg.Residual(skip=0.8)).vertex_growth
    assert abs(rate / (with_memory(0.8, 401) - with_memory(0.8, 400)) - 1) < 1e-12
    print("relu, leaky relu, linear: equal to 2 (1 - gamma^4) k + (1 - gamma^2)^2 (Abar/A_2)^2 sum g(gamma^|l - m|)")


# Rows of the book ----------------------------------------------------------------------------------------------------

SAMPLES = "tests/test_real_layers.py: sampled networks of residual relu layers, beside both closures"
BOOK = "tests/oracles/residual_networks.py: exact moments, beside both closures in tests/flow/test_flow_residual.py"
POINTS = "tests/universality/test_critical_layers.py: kernels and perturbations that stay in a flow; flows in depth"
SKIP = sp.Symbol("skip", real=True)


@row("pdlt/residual_susceptibility", witness=BOOK)
def susceptibility():
    """gamma^2 stands beside chi_perp in Theta'/Theta, and beside chi_parallel, squared, in V'/V."""
    chi_parallel, chi_perp = C_W * dd / 2, C_W * ss2
    typed = gamma**2 + chi_perp
    typed_parallel = gamma**2 + chi_parallel
    layer = rg.Residual()
    theta = sp.expand(plain(rg.derive("Theta", layer=layer, closure="book").to_sympy()))
    vertex = sp.expand(plain(rg.derive("V", layer=layer, closure="book").to_sympy()))
    assert sp.expand(theta.coeff(Theta, 1) - typed) == 0
    assert sp.expand(vertex.coeff(V, 1) - typed_parallel**2) == 0
    return rg.derive("Theta", layer=layer, closure="book")


@row("pdlt/residual_four_point_vertex", witness=BOOK)
def four_point_vertex():
    """<z^2 s^2> - K <s^2> = K^2 <d^2[s^2]> by parts."""
    by_parts()
    source = K**2 * dd
    typed = (gamma**2 + C_W * dd / 2) ** 2 * V + 2 * gamma**2 * C_W * source + C_W**2 * s4 - C_W**2 * s2**2
    found = rg.derive("V", layer=rg.Residual(), closure="book")
    assert sp.expand(plain(found.to_sympy()) - typed) == 0
    return found


@row("pdlt/residual_critical_scale_invariant", witness=POINTS)
def critical_scale_invariant():
    for strength in (sp.Rational(1, 2), sp.Rational(-9, 10)):
        typed = 1 - strength**2
        for activation, A_2 in (("linear", 1), ("relu", sp.Rational(1, 2))):
            found = rg.criticality(activation, rg.Residual(skip=float(strength))).point.values
            assert sp.simplify(found["C_W"] * A_2 - typed) == 0
            assert found["C_b"] == 0
    return {"relu, skip -0.9": found["C_W"]}


@row("pdlt/residual_critical_k_star_zero", witness=POINTS)
def critical_k_star_zero():
    for strength in (sp.Rational(1, 2), sp.Rational(-9, 10)):
        typed = 1 - strength**2
        typed_C_b = 0
        for activation, slope in (("tanh", 1), ("erf", 2 / sp.sqrt(sp.pi))):
            found = rg.criticality(activation, rg.Residual(skip=float(strength))).point.values
            assert sp.simplify(found["C_W"] * slope**2 - typed) == 0
            assert found["C_b"] == typed_C_b
    return {"erf, skip -0.9": found["C_W"]}


@row("pdlt/residual_nu_scale_invariant", witness="tests/universality/test_critical_layers.py: the flow in one time")
def nu_scale_invariant():
    """As published, in one time; with its memory relu grows faster (residual_full_closure)."""
    l, k = sp.Symbol("l", integer=True, positive=True), sp.Symbol("k", positive=True)
    for activation, rho in (("linear", 1), ("relu", 2)):
        typed = (1 - SKIP**2) ** 2 * (3 * rho - 1) + 4 * SKIP**2 * (1 - SKIP**2)
        found = rg.solve("V", activation, layer=rg.Residual(), skip="symbolic", closure="book")
        assert sp.expand(found.expression - typed * k**2 * (l - 1)) == 0, activation
    return {"V of relu": sp.factor(found.expression)}


@row("pdlt/residual_nu_k_star_zero", witness=POINTS)
def nu_k_star_zero():
    l = sp.Symbol("l", integer=True, positive=True)
    typed = sp.Rational(2, 3) - sp.Rational(2, 3) * SKIP**4
    kernel, vertex = (rg.solve(name, "tanh", layer=rg.Residual(), skip="symbolic").expression for name in ("K", "V"))
    assert sp.simplify(vertex / kernel**2 - typed * l) == 0
    return {"V/K^2": sp.factor(sp.simplify(vertex / kernel**2))}


@row("pdlt/residual_optimal_aspect_ratio", witness="tests/predict/test_aspect.py: nu of flows")
def optimal_aspect_ratio():
    found = []
    for strength in (0.0, 0.9, 0.999):
        found.append(rg.aspect_ratio("tanh", 2, layer=rg.Residual(skip=strength)).best_ratio)
        nu = 2 / 3 * (1 - strength**4)
        typed = 4 / (20 + 3 * 2) / nu
        assert abs(found[-1] / typed - 1) < 1e-9
    assert found[0] < found[1] < found[2] / 20
    return {"skip 0, 0.9, 0.999": tuple(found)}


@cache
def vertex_of(activation: str, strength: float, k: int, closure: str = "full") -> float:
    """V/K^2 after k residual layers."""
    how = {"closure": "book"} if closure == "book" else {}
    return float(rg.solve("V", activation, layer=rg.Residual(skip=strength), **how).at(k + 1, k=1.0))


@row("pdlt/residual_full_closure", witness=SAMPLES)
def full_closure():
    def g(c):
        return 2 / math.pi * ((1 + 2 * c * c) * math.asin(c) + 3 * c * math.sqrt(1 - c * c))

    for activation, slopes in (("relu", (0, 1)), ("leaky_relu", (0.01, 1)), ("linear", (1, 1))):
        for gamma, k in ((0.5, 4), (0.8, 12)):
            share = (slopes[1] ** 2 - slopes[0] ** 2) / (slopes[1] ** 2 + slopes[0] ** 2)
            odd = sum(g(gamma ** abs(i - j)) for i in range(k) for j in range(k))
            typed = 2 * (1 - gamma**4) * k + (1 - gamma**2) ** 2 * share**2 * odd
            assert abs(vertex_of(activation, gamma, k) / typed - 1) < 1e-12
    return {"relu, skip 0.8, 12 layers": vertex_of("relu", 0.8, 12)}


@row("pdlt/residual_odd_correlator", witness=SAMPLES)
def odd_correlator():
    """Read off V after two layers, where a pair of layers is one apart; and the average itself by integration."""

    def typed(c):
        return 2 / math.pi * (1 + 2 * c * c) * math.asin(c) + 6 / math.pi * c * math.sqrt(1 - c * c)

    typed_at_one = 3
    assert abs(typed(1.0) - typed_at_one) < 1e-12
    for gamma in (0.3, 0.8):
        two, one = vertex_of("relu", gamma, 2), vertex_of("relu", gamma, 1)
        even = 2 * (1 - gamma**4)
        alone = (one - even) / (1 - gamma**2) ** 2
        apart = ((two - 2 * even) / (1 - gamma**2) ** 2 - 2 * alone) / 2
        assert abs(alone - typed(1.0)) < 1e-11
        assert abs(apart - typed(gamma)) < 1e-11
    return {"g(0.8)": apart}


def both(activation: str, strength: float, k: int) -> dict[str, float]:
    return {closure: vertex_of(activation, strength, k, closure) for closure in ("book", "full")}


def near(found: dict[str, float], typed: dict[str, float], digits: dict[str, float]) -> dict[str, float]:
    for closure, value in typed.items():
        assert abs(found[closure] - value) <= digits[closure], (closure, found)
    return found


@row("pdlt/residual_value_half", witness=SAMPLES)
def value_half():
    typed = {"book": 14.25, "full": 20.5}
    return near(both("relu", 0.5, 4), typed, {"book": 0.005, "full": 0.05})


@row("pdlt/residual_value_eight_tenths", witness=SAMPLES)
def value_eight_tenths():
    typed = {"book": 18.8, "full": 39.4}
    return near(both("relu", 0.8, 12), typed, {"book": 0.05, "full": 0.05})


@row("pdlt/residual_value_near_one", witness=SAMPLES)
def value_near_one():
    typed = {"book": 8.0, "full": 15.3}
    return near(both("relu", 0.95, 20), typed, {"book": 0.05, "full": 0.05})


@row("pdlt/residual_value_odd", witness=BOOK)
def value_odd():
    typed = {"book": 14.2, "full": 14.2}
    return near(both("linear", 0.8, 12), typed, {"book": 0.05, "full": 0.05})


if __name__ == "__main__":
    recursions()
    by_parts()
    critical_points()
    published()
    relu()
