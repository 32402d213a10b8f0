r"""Yang and Schoenholz, "Mean Field Residual Networks: On the Edge of Chaos" (arXiv:1712.08969).

Assumptions: infinite width; x' = x + V sigma(W x + b) + a (full) or x + sigma(W x + b) with odd sigma (reduced);
sigma_w^2 = C_W, sigma_v^2 = C_V, sigma_a^2 = C_a, sigma_b^2 = C_b the same in every block; backward weights
independent of forward ones.

The recurrences. With q = C_W p + C_b, p' = p + C_V V(q) + C_a; for two inputs lambda = C_W gamma + C_b, gamma' =
gamma + C_V W(q, lambda) + C_a; V = <s s>, W = <s_1 s_2>. Gradients are derivatives of the tangent kernel: Theta' =
Theta + C_V <s's'> (C_W Theta + ..), so that chi = chi' (1 + C_V C_W <s's'>).

tanh. q grows, a Gaussian of width sqrt q sees a step: V = 1 - sqrt(2/(pi q)), from int (tanh^2 - 1) = -2, and <s's'>
= C q^{-1/2}, C = (4/3)/sqrt(2 pi), from int sech^4 = 4/3. So p = S l, S = C_V + C_a, and ln chi = C C_V sqrt(C_W/S)
sum l^{-1/2} = A sqrt l, A = 2 C C_V sqrt(C_W/S). The correlation: e' p' = e p + C_V (2/pi) asin e + C_a, so that e
tends to the zero of F(e) - e, F = (C_V (2/pi) asin e + C_a)/S, as l^{-delta}, delta = 1 - F'(e*).

But not alone. The next order of V makes p = S l (1 - kappa l^{-1/2}), kappa = 2 C_V sqrt(2/pi)/(S^{3/2} sqrt C_W).
With e = e* + eps: l eps' + delta eps = (e* kappa/2) l^{-1/2}, that is

    e - e* = a l^{-delta} + b l^{-1/2},        b = e* kappa/(2 delta - 1).

At C_V = C_a = 1, delta = .4810 is so near 1/2 that b = -11.73 and a = +11.46 nearly cancel: local slopes of e - e*
are -.26 at l = 1000, -.40 at 1e6, -.45 at 1e12 (a continuous flow in ln l), which looks like another exponent;
without b l^{-1/2} the slope is -.479 at 1e4 and -.4810 from 1e9 to 1e14, and a holds within two percent from l = 400
on. The same at C_a = 1/2: e* = .6138, delta = .4624, b = -7.09, a = 7.06; and at C_a = 1/4, e* = .4217, below.

relu. V = q/2, <s's'> = 1/2: p and chi grow by B = 1 + C_V C_W/2 from block to block. Near e = 1 the kink gives V - W
= (q/2)(d - (2 sqrt 2/(3 pi)) d^{3/2}), d = 1 - c, so that d' = d - ((B - 1)/B)(2 sqrt 2/(3 pi)) d^{3/2} and 1 - e =
(9 pi^2/2) (B/(B - 1))^2 l^{-2}. Powers relu(z)^alpha, 1/2 < alpha < 1: V = c_alpha q^alpha, p^{1 - alpha} grows
linearly.

Engine: rg.derive with layer=rg.Branch(), rg.variation_phases (symbolic), rg.variation (flows).
"""

import math

import numpy as np
import sympy as sp

import rgflow as rg

C_W, C_V, C_a, C_b = sp.symbols("C_W C_V C_a C_b", positive=True)
SYMBOLS = {"C_W": C_W, "C_V": C_V, "C_a": C_a, "C_b": C_b}
e = sp.Symbol("e", real=True)


def recurrences() -> None:
    """Section 2, typed with relu's closed forms and iterated, against the flow from the engine."""
    w, v, a, b, depth = 1.3, 0.8, 0.5, 0.2, 40
    p, gamma, chi = [1.0], [0.3], [1.0]
    for _ in range(depth):
        q, cross = w * p[-1] + b, w * gamma[-1] + b
        c = cross / q
        joint = (math.sqrt(1 - c * c) + (math.pi - math.acos(c)) * c) / math.pi
        p.append(p[-1] + v * q / 2 + a)
        gamma.append(gamma[-1] + v * q / 2 * joint + a)
        chi.append(chi[-1] * (1 + v * w / 2))
    ds = rg.variation("relu", depth, C_W=w, C_V=v, C_a=a, C_b=b, gamma0=0.3)
    np.testing.assert_allclose(ds["p"], p, rtol=1e-12)
    np.testing.assert_allclose(ds["gamma"], gamma, rtol=1e-12)
    np.testing.assert_allclose(ds["chi"], chi[::-1], rtol=1e-12)
    print(rg.derive("K", layer=rg.Branch()))
    print(f"p, gamma and chi of {depth} blocks of relu: equal to the recurrences typed by hand\n")


def saturating() -> None:
    found = rg.variation_phases("tanh", **SYMBOLS)
    S = C_V + C_a
    A = sp.Rational(4, 3) * sp.sqrt(2 / sp.pi) * C_V * sp.sqrt(C_W) / sp.sqrt(S)
    assert sp.simplify(found["p"].coefficient - S) == 0
    assert sp.simplify(found["chi"].coefficient / A) == 1
    assert found["chi"].exponent == sp.Rational(1, 2)
    F = (C_V * 2 / sp.pi * sp.asin(e) + C_a) / S
    assert sp.simplify(found.e.equation - (F - e)) == 0
    print(f"tanh: {found['p']}, {found['chi']}: equal to S l, exp(A sqrt l)")
    print(f"   e to the zero of {found.e.equation}")
    reduced = rg.variation_phases("tanh", C_W=C_W, C_b=C_b, reduced=True)
    assert sp.simplify(reduced["chi"].coefficient / (sp.Rational(4, 3) * sp.sqrt(2 / sp.pi) * sp.sqrt(C_W))) == 1
    assert reduced.e.limit == 0
    assert sp.simplify(reduced.e.approach.power + 1 - 2 / sp.pi) == 0
    print(f"tanh, reduced: {reduced['chi']}: equal; e falls as l^(2/pi - 1)\n")


def two_powers(size: float) -> None:
    """e - e* = a l^{-delta} + b l^{-1/2}: a is constant, as nothing else is."""
    found = rg.variation_phases("tanh", C_a=size)
    limit, delta = float(found.e.limit), -float(found.e.approach.power)
    kappa = 2 * math.sqrt(2 / math.pi) / (1 + size) ** 1.5
    b = limit * kappa / (2 * delta - 1)
    depth = 25_600
    distance = rg.variation("tanh", depth, C_a=size, gamma0=0.0)["e"].values - limit
    l = np.array([400, 1600, 6400, depth])
    alone = distance[l] * l**delta
    a = (distance[l] - b * (l + 0.5) ** -0.5) * l**delta
    assert np.ptp(a) / a[-1] < 0.03, a
    assert alone[-1] / alone[0] > 1.4
    print(f"tanh, C_a = {size}: e* = {limit:.4f}, delta = {delta:.4f}, b = {b:.3f}; a = {np.round(a, 3)} at l = {l}")
    print(f"   equal within three percent; (e - e*) l^delta alone would be {np.round(alone, 3)}")


def lines() -> None:
    found = rg.variation_phases("relu", **SYMBOLS)
    B = 1 + C_V * C_W / 2
    l = next(s for s in found["p"].expression.free_symbols if s.name == "l")
    assert sp.simplify(found["p"].expression / B**l) == sp.simplify(found["chi"].expression / B**l) == 1
    assert found.regime["chi_W"] == found.regime["chi_V"] == "constant"
    assert sp.simplify(found.e.approach.amplitude - sp.Rational(9, 2) * sp.pi**2 * (B / (B - 1)) ** 2) == 0
    assert found.e.approach.power == -2
    ds = rg.variation("relu", 20_000, gamma0=0.0)
    measured = math.exp(float(ds["log_gap"][-1])) * 20_000**2
    predicted = 81 * math.pi**2 / 2
    assert abs(measured / predicted - 1) < 0.01
    print(f"\nrelu: {found['p']}: equal to B^l; (1 - e) l^2 = {measured:.2f}, equal to {predicted:.2f} at 1 %")


def powers() -> None:
    for alpha in (sp.Rational(2, 3), sp.Rational(3, 4)):
        found = rg.variation_phases(f"relu(z)^({alpha})", **SYMBOLS)
        c = 2 ** (alpha - 1) * sp.gamma(alpha + sp.Rational(1, 2)) / sp.sqrt(sp.pi)
        K = (C_V * C_W**alpha * c * (1 - alpha)) ** (1 / (1 - alpha))
        R = alpha**2 / ((1 - alpha) * (2 * alpha - 1))
        values = {C_V: 1.7, C_W: 0.6}
        assert abs(float((found["p"].coefficient / K).subs(values)) - 1) < 1e-12
        assert (found["p"].exponent, sp.simplify(found["chi"].exponent - R)) == (1 / (1 - alpha), 0)
        print(f"relu^{alpha}: {found['p']}, {found['chi']}: equal to K l^(1/(1-alpha)), l^R")


if __name__ == "__main__":
    recurrences()
    saturating()
    two_powers(1.0)
    two_powers(0.25)
    lines()
    powers()
