r"""Partial Jacobians of transformers (arXiv:2604.11890): factors of the branches of a block for tokens that are alike.

Assumptions: widths n -> infinity, the number of tokens N stays; every token has kernel q, every pair p; norms divide by
what makes q into q_hat q, so that a derivative behind a norm is multiplied by q_hat, 1/q for LayerNorm; one derivative
reaches one token at a time; softmax of the logits by *annealed* averages, of its numerator and of its denominator each;
derivatives of the softmax itself are left out.

MLP branch of relu. Theta' = Theta + C_X <s's'> C_W Theta_s, Theta_s = N Theta, so that chi_J = 1 + C_X C_W/2 q_hat,
sigma_21^2 = C_X C_W.

Attention branch. Values reach the output through sum_u Omega_tu Omega_tu: chi_J = 1 + sigma_OV^2 q_hat E sum_u
Omega_tu^2. The logits of one row are Gaussian, of variance sigma_QK^2 q~ q~ and covariance sigma_QK^2 q~ p~ for two
keys. Annealed, E sum_u e^{2 l_u} over E sum_uv e^{l_u + l_v} is

    N e^{2 q^2} / (N e^{2 q^2} + N (N - 1) e^{q^2 + q p}) = 1/(1 + (N - 1) e^{-q (q - p)}),       sigma_QK = 1,

exact where keys are all alike or logits vanish, and for N -> infinity.

What norms do. On a stream whose kernel grows as l, q_hat = 1/q makes chi_J - 1 fall as 1/l: a power law. Norms that
saturate as erf does have q_hat ~ q^{-1/2}: chi_J - 1 falls as l^{-1/2}, and ln J grows as l^{1/2}.

Engine: rg.transformer_chain, rg.closed_form, rg.jacobian_law; the annealed average is derived here.

Sources: arXiv:2604.11890; equation numbers not seen.
"""

from functools import cache

import sympy as sp
from rows import check_rows, row

import rgflow as rg

l = sp.Symbol("l", positive=True)
q_hat, sigma_21, sigma_OV, sigma_QK = sp.symbols("qhat sigma_21 sigma_OV sigma_QK", positive=True)
q, p, N = sp.symbols("qtilde ptilde N", positive=True)


@cache
def factor(kind: str, left_out: str = "") -> sp.Expr:
    """What multiplies Theta of the stream in one block, as the engine composes it; its averages are symbols."""
    net = rg.Transformer(width=8, heads=2, blocks=1, n_in=3, positions=4)
    total = sp.Integer(0)
    for share in rg.transformer_chain(net, kind).composed("Theta"):
        names = [f.what for f in share.factors]
        if "Theta" in names and not (left_out and left_out in names):
            behind = any(f.what == "Theta" and f.stage == "s" for f in share.factors)
            averages = [sp.Symbol(name) for name in names if name != "Theta"]
            total += sp.prod([*map(sp.Symbol, share.symbols), *averages, q_hat if behind else sp.Integer(1)])
    return total


def relu_slopes() -> sp.Expr:
    """<s's'> of relu, at every kernel."""
    return sp.diff(
        rg.closed_form(rg.derive("J"), "relu"), sp.Symbol("C_W", nonnegative=True), sp.Symbol("J", real=True)
    )


def generating(variance: sp.Expr, covariance: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """E e^{2 l_u} and E e^{l_u + l_v} of Gaussian logits, by their generating function e^{t.Sigma t/2}."""
    Sigma = sp.Matrix([[variance, covariance], [covariance, variance]])
    return tuple(sp.exp((t.T * Sigma * t)[0] / 2) for t in (sp.Matrix([2, 0]), sp.Matrix([1, 1])))


@row("partial_jacobians/token_mlp_chi", witness="tests/transformer/test_torch_transformers.py: real transformers")
def token_mlp_chi() -> sp.Expr:
    typed = 1 + sigma_21**2 * q_hat / 2
    weights = {sp.Symbol("C_X"): sigma_21**2, sp.Symbol("C_W"): 1, sp.Symbol("<σ'σ'>"): relu_slopes()}
    found = factor("mlp").subs(weights)
    assert sp.simplify(found - typed) == 0
    return found


@row("partial_jacobians/token_attention_chi", witness="tests/transformer/test_torch_transformers.py: real transformers")
def token_attention_chi() -> sp.Expr:
    """The engine's factor of the values, with the annealed average of squared attention."""
    typed = 1 + sigma_OV**2 * q_hat / (1 + (N - 1) * sp.exp(sigma_QK**2 * q * (p - q)))
    same, different = generating(sigma_QK**2 * q**2, sigma_QK**2 * q * p)
    annealed = N * same / (N * same + N * (N - 1) * different)
    weights = {sp.Symbol("C_U"): sigma_OV**2, sp.Symbol("C_V"): 1, sp.Symbol("<ΩΩ>"): annealed}
    found = factor("attention", left_out="<∂Ω∂Ω>").subs(weights)
    assert sp.simplify(found - typed) == 0
    assert sp.simplify(annealed.subs(sigma_QK, 0)) == 1 / N
    return found


@row("partial_jacobians/token_norm_laws", witness="tests/scaling/test_jacobian_law.py: flows to great depth")
def token_norm_laws() -> dict[str, object]:
    """Of plain layers with a full skip: LayerNorm before relu, and erf, whose slopes fall as q^{-1/2}."""
    typed = {"1/q": "power", "q^(-1/2)": "stretched exponential"}
    typed_inside = sp.Rational(1, 2)  # ln J ~ l^{1/2}
    laws = {
        "1/q": rg.jacobian_law("relu", rg.LayerNorm(skip=1.0)),
        "q^(-1/2)": rg.jacobian_law("erf", rg.Residual(skip=1.0)),
    }
    assert {name: law.regime for name, law in laws.items()} == typed
    assert laws["q^(-1/2)"].power == typed_inside
    return laws


if __name__ == "__main__":
    check_rows(globals())
