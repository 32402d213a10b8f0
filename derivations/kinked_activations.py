r"""PDLT: what averages of an activation with a kink mean: first derivatives by the kernel, and second ones at the kink.

Assumptions: infinite width; sigma = relu, half of whose inputs are cut off.

The way. <s_1 s_2> of two inputs with angle phi between them, cos phi = K_12/sqrt(K_11 K_22), is the arc-cosine kernel

    <s_1 s_2> = sqrt(K_11 K_22) (sin phi + (pi - phi) cos phi)/(2 pi),      <s'_1 s'_2> = (pi - phi)/(2 pi),

and d<f_1 f_2>/dK_12 = <f'_1 f'_2> holds with the kink in place: s is continuous, and its derivative, a step, is square
integrable. A second derivative is a spike at the kink. Against sigma, which vanishes there, it gives nothing; against
another spike there is no number: smeared out over a width w, sigma'' is a Gaussian of that width, and <sigma''^2> =
1/(2 sqrt(pi) w) times the Gaussian density of K + w^2/2 at zero, which has no limit for w -> 0.

Engine: rg.closed_form for two inputs; for one, P, whose average <s s''> it takes, and S, whose <s''^2> it refuses.

Equation numbers: none of these has been seen.
"""

from typing import Any

import sympy as sp
from compare import coefficient, equal, plain
from rows import check_rows, row

import rgflow as rg

K, w = (sp.Symbol(name, positive=True) for name in ("K", "w"))
K11, K12, K22 = (sp.Symbol(name, positive=True) for name in ("K11", "K12", "K22"))
KINKED = "tests/brackets/test_bracket_kinked.py: half-line moments, arc-cosine kernels"


def average(name: str) -> sp.Expr:
    """<s_1 s_2> or <s'_1 s'_2>, out of the derived recursions of K and Theta."""
    given = {"C_b": 0, "C_W": 1, "lambda_b": 0, "lambda_W": 0}
    step = rg.closed_form(rg.derive(name, samples="many"), "relu")
    if name == "Theta":  # its tensor is an indexed one
        step = step.subs({x: 1 for x in step.atoms(sp.Indexed)})
    return plain(step).subs({sp.Symbol(x, positive=True): value for x, value in given.items()})


@row("pdlt/relu_kernel_slope", witness=KINKED)
def relu_kernel_slope() -> dict[str, sp.Expr]:
    """Compared at two points where the correlation is below one, K_12 standing for twice itself: thirty digits."""
    phi = sp.acos(K12 / sp.sqrt(K11 * K22))
    typed_kernel = sp.sqrt(K11 * K22) * sp.sin(phi) / (2 * sp.pi) + (sp.pi - phi) * K12 / (2 * sp.pi)
    typed = sp.diff(typed_kernel, K12)
    typed_slopes = sp.Rational(1, 2) - phi / (2 * sp.pi)
    kernel, slopes = average("K"), average("Theta")
    pairs = ((kernel, typed_kernel), (sp.diff(kernel, K12), typed_slopes), (slopes, typed))
    for found, wanted in pairs:
        equal(found.subs(K12, K12 / 2), wanted.subs(K12, K12 / 2), "<s s>, its slope, <s's'>")
    return {"<σσ>": kernel, "<σ'σ'>": slopes}


@row("pdlt/relu_second_derivative_brackets", witness=KINKED)
def relu_second_derivative_brackets() -> dict[str, Any]:
    """<s s''> from chi_parallel = C_W <s's' + s s''> and chi_perp = C_W <s's'>; then <s''^2> of a smeared kink."""
    typed = {"<s s''>": 0, "<s'' s''>": "infinite"}
    bend = coefficient("K_1", "K_1", "relu") - coefficient("Theta", "Theta", "relu")
    equal(bend, sp.Integer(0) + typed["<s s''>"], "<s s''>")
    assert coefficient("P", "B", "relu") == 0
    # a Gaussian of width w, squared, times that of variance K: the integral of exp(-a z^2)
    a = 1 / w**2 + 1 / (2 * K)
    smeared = sp.sqrt(sp.pi / a) / (2 * sp.pi * w**2 * sp.sqrt(2 * sp.pi * K))
    limit = sp.limit(smeared, w, 0, "+")
    assert typed["<s'' s''>"] == ("infinite" if limit == sp.oo else "finite"), smeared
    try:
        rg.closed_form(rg.derive("S"), "relu")
    except rg.KinkError as refused:
        return {"<σσ''>": bend, "<σ''σ''> of a kink of width w": sp.simplify(smeared), "": str(refused)}
    raise AssertionError("<s'' s''> of relu has a value")


if __name__ == "__main__":
    check_rows(globals())
