r"""PDLT chapters 5, 8, 11 and the last one: every tensor far from the input, where the critical kernel decays (K* = 0).

Assumptions: C_b = 0, C_W = 1/sigma'(0)^2; sigma odd, smooth, <s s>/sigma'(0)^2 = K - a K^2 + ... with a > 0; equal
widths; learning rates lambda_b/l and lambda_W at layer l, so that every layer has the same share of Theta (chapter 9).

The way. K' = K - a K^2 + ..., so that K -> 1/(a l), and brackets are series in this K. A recursion X' = (1 - p/l +
...) X + s l^q + ... is solved by X -> s l^(q+1)/(q + 1 + p): source over what is left of the transport. chi_parallel
= 1 - 2/l, chi_perpendicular = 1 - 1/l (sigma is odd) are all the transport there is; sources follow from the letters
solved before. For V, say, the source is C_W^2 (<s^4> - <s s>^2) -> 2 K^2 = 2/(a l)^2 and the transport chi_parallel^2
= 1 - 4/l, hence V -> 2/(a^2 l (-1 + 4)) = (2/3) l K^2.

Engine: rg.criticality(sigma).laws, which does this with whole series, from the Taylor coefficients of sigma alone.

Typed below with a and Theta = lambda_b + lambda_W/a for sigma'(0) = 1; else lambda_W stands for lambda_W sigma'(0)^2,
since a weight's learning rate is measured in C_W. The book has the exponents and some amplitudes, the others were
derived by hand; all agree with flows of 3 10^4 layers to a part in a thousand. Equation numbers have not been seen.
"""

import sympy as sp

import rgflow as rg

l = sp.Symbol("l", integer=True, positive=True)
a = sp.Symbol("a", positive=True)
lambda_b, lambda_W = sp.symbols("lambda_b lambda_W", nonnegative=True)
K, Theta = 1 / (a * l), lambda_b + lambda_W / a
third, quarter = sp.Rational(1, 3), sp.Rational(1, 4)

LAWS = {
    "K": K,
    "Theta": Theta,
    "V": 2 * third * l * K**2,
    "B": third * l * Theta**2,
    "F": quarter * l * K * Theta,
    "D": -sp.Rational(2, 9) * lambda_b / a,
    "A": sp.Rational(4, 27) * lambda_b**2 * l,
    "P": -(Theta**2) * l / 12,
    "Q": -Theta * lambda_b * l / 16,
    "R": -(Theta**2) * l**2 / 48 * (lambda_W + 3 * a * Theta),
    "S": lambda_W * Theta**2 * l**2 / 12,
    "T": a * lambda_b**2 * Theta * l**2 / 32,
    "U": a * Theta**3 / 2,
    "K_1": -third / a,
}

# a and sigma'(0): -a = sigma'''(0)/sigma'(0) with sigma'(0) = 1; for any slope, K measured as the network has it
ACTIVATIONS = {
    "tanh": (2, 1),
    "sin": (1, 1),
    "erf": (2, 2 / sp.sqrt(sp.pi)),
}


def check(activation: str, typed: dict[str, sp.Expr]) -> None:
    """AssertionError unless rg.criticality finds these laws."""
    steepness, slope = ACTIVATIONS[activation]
    found = rg.criticality(activation)
    assert sp.simplify(found.point.values["C_W"] - 1 / sp.sympify(slope) ** 2) == 0, activation
    for name, law in typed.items():
        at = law.subs({a: steepness, lambda_W: lambda_W * slope**2}, simultaneous=True)
        difference = sp.simplify(found.laws[name].leading - at)
        assert difference == 0, f"{name} of {activation}: typed - derived = {-difference}"


if __name__ == "__main__":
    for name, typed in LAWS.items():
        print(f"{name} -> {typed}\n\n    {sp.latex(typed)}\n")
    for activation, (steepness, slope) in ACTIVATIONS.items():
        check(activation, LAWS)
        print(f"{activation}: a = {steepness}, sigma'(0) = {slope}: equal, all {len(LAWS)}")
