r"""Doshi, He, Gromov, "Critical initialization of wide and deep neural networks using partial Jacobians"
(arXiv:2111.12143): skips without LayerNorm.

Assumptions: widths n -> infinity in turn; z' = b + W sigma(z) + mu z, sigma_w^2 = C_W = w, sigma_b^2 = C_b = b, mu =
skip; all layers above the first are alike.

mu < 1. The kernel ends where that of a dense layer with C_W/(1 - mu^2), C_b/(1 - mu^2) does, and chi_J - 1 is 1 - mu^2
times its own: critical is 1 - mu^2 times what is critical without a skip, for relu C_W = 2 (1 - mu^2), C_b = 0.

mu = 1. The kernel grows for ever. relu and gelu see a line on each side, <sigma'sigma'> = 1/2 at large kernels: chi_J =
1 + C_W/2 there (of relu at all kernels), and J grows as chi_J^l. erf tends to signs: K = (w + b) l, a Gaussian of width
sqrt K sees its slope as a delta function, <sigma'sigma'> = 4/(pi sqrt(1 + 4 K)) = 2/(pi sqrt K), so that

    ln J = sum_k w (2/pi) ((w + b) k)^{-1/2} = sqrt(l/lambda),        lambda = pi^2 (w + b)/(16 w^2),

with slope 1/sqrt(lambda) = 4 w/(pi sqrt(w + b)) in sqrt l.

Engine: rg.criticality and rg.jacobian_law with layer=rg.Residual, rg.derive("J"), rg.closed_form.

Sources: arXiv:2111.12143, its networks with skips; equation numbers not seen.
"""

import sympy as sp
from rows import check_rows, row

import rgflow as rg
from rgflow.scaling.jacobian_law import JacobianLaw

C_W = sp.Symbol("C_W", nonnegative=True)
skip, J = sp.symbols("skip J", real=True)
l = sp.Symbol("l", positive=True)
w, b = sp.symbols("w b", positive=True)  # sigma_w^2, sigma_b^2
ITERATED = "tests/sources/partial_jacobians.py: the recursion typed in plain Python, iterated"


def full_skip(name: str, weight: float = 1.5, bias: float = 0.25) -> JacobianLaw:
    return rg.jacobian_law(name, rg.Residual(skip=1.0, C_W=weight, C_b=bias))


@row("partial_jacobians/relu_skip_critical", witness="tests/universality/test_critical_layers.py")
def relu_skip_critical() -> dict[str, float]:
    found = {mu: rg.criticality("relu", rg.Residual(skip=mu)) for mu in (0.25, 0.5, 0.9)}
    for mu, point in found.items():
        typed = 2 * (1 - mu**2), 0
        assert abs(point.C_W - typed[0]) + abs(point.C_b - typed[1]) < 1e-15
    return {f"C_W at mu = {mu}": point.C_W for mu, point in found.items()}


@row("partial_jacobians/plain_skip_exponential", witness=ITERATED)
def plain_skip_exponential() -> dict[str, sp.Expr]:
    """relu for every C_W at once; gelu at three, in deep networks."""
    typed = 1 + C_W / 2
    chi = sp.diff(rg.closed_form(rg.derive("J", layer=rg.Residual()), "relu"), J).subs(skip, 1)
    assert sp.expand(chi - typed) == 0
    for weight in (0.5, 1.5, 2.0):
        expected = typed.subs(C_W, sp.Rational(weight))
        assert full_skip("gelu", weight).chi_J == full_skip("relu", weight).chi_J == expected
    return {"relu": chi, "gelu, C_W = 3/2": full_skip("gelu")}


@row("partial_jacobians/plain_skip_stretched", witness=ITERATED)
def plain_skip_stretched() -> dict[str, list[object]]:
    typed = sp.pi**2 * (w + b) / (16 * w**2)
    laws = [full_skip("erf", weight, bias) for weight, bias in ((1.5, 0.25), (1.0, 0.5))]
    for law in laws:
        put = {w: sp.Rational(law.layer.C_W), b: sp.Rational(law.layer.C_b)}
        assert sp.simplify(law.expression / sp.exp(sp.sqrt(l / typed.subs(put))) - 1) == 0
        assert sp.simplify(law.length - typed.subs(put)) == 0
    return {f"C_W = {x.layer.C_W:g}, C_b = {x.layer.C_b:g}": [x, sp.log(x.expression)] for x in laws}


@row("partial_jacobians/stretched_slope", witness=ITERATED)
def stretched_slope() -> dict[str, sp.Expr]:
    """The number is that of C_W = 1, C_b = 1/2, printed to five digits."""
    typed = 4 * w / (sp.pi * sp.sqrt(w + b))
    typed_number = 1.0396
    law = full_skip("erf", 1.0, 0.5)
    assert sp.simplify(law.rate - typed.subs({w: 1, b: sp.Rational(1, 2)})) == 0
    assert sp.simplify(full_skip("erf").rate - typed.subs({w: sp.Rational(3, 2), b: sp.Rational(1, 4)})) == 0
    assert abs(float(law.rate) - typed_number) < 5e-5
    return {"C_W = 1, C_b = 1/2": law.rate, "C_W = 3/2, C_b = 1/4": full_skip("erf").rate}


if __name__ == "__main__":
    check_rows(globals())
