r"""Dinan, Yaida and Zhang, "Effective Theory of Transformers at Initialization" (arXiv:2304.02034): kernels and tangent
kernels, formula by formula.

Assumptions: width n, heads H and channels C = n/H are large; pre-LayerNorm blocks; Gaussian weights, no biases but the
head's; tokens t, u of one or two inputs.

The way is that of transformers_at_initialization.py: a block is a chain of elementary maps with one rule each, and the
composed rules are sums of products. Here these sums are SymPy expressions. Kernels and averages do not commute in them:
behind <dOmega dOmega> stand the kernels of queries, keys and values, in this order, so that K_s Theta_s K_s is the term
in which keys move. K_s is F, the kernel behind LayerNorm, and Theta_s is N Theta.

What the composed rules leave open is derived from definitions: the excess kurtosis of a logit, a sum of C products; the
contact term of tied weights, by Wick's theorem for the entries of W; LayerNorm's own Jacobian, a projection of rank n -
2 times a scale, of which the leading order keeps the scale. The growth of K with depth is seen with one token, where
nothing is drawn: attention then has no choice.

Engine: transformer_chain, rg.transformer_flow. The table of tangent kernels for three tokens is left out, since neither
its inputs nor its hyperparameters are stated.
"""

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import sympy as sp
from rows import check_rows, row

import rgflow as rg
from rgflow.transformer import Chain, transformer_chain

ORACLE = "tests/oracles/paper_transformer.py: two tokens by Gauss-Hermite; tests/sampling/test_sampled_transformers.py"
DRAWN = "tests/sampling/test_sampled_transformers.py: drawn networks, with the whole of LayerNorm"
MEASURED = "tests/transformer/test_transformer_flow.py: limits, slopes, exponential growth"
C_patch, C_WE, C_PE, C_Q, C_K, C_V, C_U, C_W, C_X, C_head, C_bhead = sp.symbols(
    "C_patch C_WE C_PE C_Q C_K C_V C_U C_W C_X C_head C_bhead"
)
Lambda_patch, Lambda_PE, Lambda_Q, Lambda_K, Lambda_V, Lambda_U, Lambda_W, Lambda_X, Lambda_head, Lambda_bhead = (
    sp.symbols("Lambda_patch Lambda_PE Lambda_Q Lambda_K Lambda_V Lambda_U Lambda_W Lambda_X Lambda_head Lambda_bhead")
)
# Kernels and averages in the order in which they are contracted
K_z, K_s, K_r, K_input, K_position, Theta_z, Theta_s, Theta_r = sp.symbols(
    "K_z K_s K_r K_input K_position Theta_z Theta_s Theta_r", commutative=False
)
OO, DD, ss, dd = sp.symbols("<ΩΩ>_l <∂Ω∂Ω>_l <σσ>_w <σ'σ'>_w", commutative=False)


@cache
def chain(kind, words=False):
    more = {"stem": "words", "tied": True} if words else {}
    return transformer_chain(rg.Transformer(width=64, heads=4, blocks=1, n_in=3, positions=4, **more), kind)


def expression(shares):
    """A sum of products of the engine as a SymPy expression."""
    return sp.Add(
        *(
            sp.Mul(*map(sp.Symbol, share.symbols), *(sp.Symbol(str(f), commutative=False) for f in share.factors))
            for share in shares
        )
    )


@dataclass(frozen=True)
class Line:
    """One composed rule of a chain: K or Theta of its last stage."""

    chain: Chain
    tensor: str

    def latex(self) -> str:
        line = self.chain.latex().split(" \\\\\n")[self.tensor == "Theta"].replace("&=", "=")
        left, _, right = line.partition(" = ")
        terms = right.split(" + ")
        lines = [" + ".join(terms[i : i + 3]) for i in range(0, len(terms), 3)]
        if len(lines) == 1:
            return line
        return rf"\begin{{aligned}}{left} ={{}}& " + r" \\ &{}+ ".join(lines) + r"\end{aligned}"


def check_line(kind, tensor, typed, words=False, **without):
    """``without``: symbols that are 0 in the paper."""
    found = expression(chain(kind, words).composed(tensor))
    zero = {symbol: 0 for symbol in found.free_symbols if str(symbol) in without}
    difference = sp.expand(found.subs(zero) - typed)
    assert difference == 0, difference
    return Line(chain(kind, words), tensor)


@row("transformers/stem_kernel", witness=ORACLE)
def stem_kernel():
    typed = C_patch * K_input + C_PE * K_position
    return check_line("stem", "K", typed)


@row("transformers/stem_kernel_language", witness=ORACLE)
def stem_kernel_language():
    """And in numbers, for the words 3, 3, 1: overlaps of words are 1 or 0."""
    typed = C_WE * K_input + C_PE * K_position
    net = rg.Transformer(width=8, heads=2, blocks=("mlp",), n_in=9, positions=4, stem="words", C_WE=0.7, C_PE=0.2)
    same = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    typed_numbers = 0.7 * same + 0.2 * np.eye(3)
    assert np.abs(rg.transformer_flow(net, [3, 3, 1])["K"].values[0] - typed_numbers).max() < 1e-14
    return check_line("stem", "K", typed, words=True)


@cache
def small(**changes):
    """Two tokens behind one MLP block, nothing drawn; eps is large enough to be seen."""
    given = {"width": 8, "heads": 2, "blocks": ("mlp",), "n_in": 3, "positions": 4, "eps": 0.1, "pooling": "mean"}
    x = np.array([[1.0, 0.5, -1.0], [0.3, 1.2, 0.4]])
    return rg.transformer_flow(rg.Transformer(**given | changes), x)


@row("transformers/normalised_kernel", witness=ORACLE)
def normalised_kernel():
    """A head of C_head = 1 without bias shows F."""
    G, F = small()["K"].values[-2:]
    typed = G[0, 1] / (np.sqrt(G[0, 0] + 0.1) * np.sqrt(G[1, 1] + 0.1))
    assert abs(F[0, 1] / typed - 1) < 1e-14
    return Line(chain("head"), "K"), {"F_12": F[0, 1], "G_12": G[0, 1]}


@row("transformers/attention_score_covariance", witness=ORACLE)
def attention_score_covariance():
    typed = C_Q * C_K * K_s * K_s
    found = expression(chain("attention").composed("K", "l"))
    assert sp.expand(found - typed) == 0
    return found


@row("transformers/attention_kernel", witness=ORACLE)
def attention_kernel():
    typed = K_z + C_U * C_V * OO * K_s
    return check_line("attention", "K", typed)


@row("transformers/mlp_kernel", witness=ORACLE)
def mlp_kernel():
    typed = K_z + C_X * ss
    assert expression(chain("mlp").composed("K", "w")) == C_W * K_s  # the kernel of the average
    return check_line("mlp", "K", typed)


@row("transformers/head_kernel", witness=ORACLE)
def head_kernel():
    """The head's bias starts at 0."""
    typed = C_head * K_s
    return check_line("head", "K", typed, C_bhead=0)


@row("transformers/tied_head_kernel", witness="tests/transformer/test_transformer_flow.py: words, tied")
def tied_head_kernel():
    typed = C_WE * K_s
    return check_line("head", "K", typed, words=True)


@row("transformers/mean_pool_kernel", witness="tests/transformer/test_transformer_flow.py: pooling")
def mean_pool_kernel():
    ds = small()
    tokens = 2
    typed = ds["K"].values[-1].sum() / tokens**2
    assert abs(float(ds["K_pooled"]) / typed - 1) < 1e-14
    return {"kernel of the mean over two tokens": float(ds["K_pooled"])}


@cache
def alone(norm, activation):
    """One token, six pairs of blocks: attention has no choice, S = F."""
    net = rg.Transformer(
        width=8, heads=2, blocks=6, n_in=3, positions=4, C_W=1.1, C_X=0.9, C_V=0.8, C_U=1.3, eps=0.0, norm=norm,
        activation=activation,
    )  # fmt: skip
    return net, rg.transformer_flow(net, np.array([[1.0, 0.5, -1.0]]))["K"].values[:-1:2, 0, 0]


@row("transformers/kernel_linear_growth", witness=MEASURED)
def kernel_linear_growth():
    """By pairs of blocks; F = S = 1 for one token, <tanh^2> at K = C_W F by quadrature."""
    net, G = alone("layer", "tanh")
    z, weight = np.polynomial.hermite_e.hermegauss(120)
    average, S = weight @ np.tanh(np.sqrt(net.C_W) * z) ** 2 / weight.sum(), 1.0
    typed = net.C_X * average + net.C_U * net.C_V * S
    assert np.abs(np.diff(G) / typed - 1).max() < 1e-8
    return {"K by pairs of blocks": G, "growth": float(np.diff(G).mean())}


@row("transformers/kernel_exponential_growth", witness=MEASURED)
def kernel_exponential_growth():
    """relu: every block multiplies K; const is the logarithm of the factors of a pair."""
    net, G = alone("none", "relu")
    typed = np.log((1 + net.C_U * net.C_V) * (1 + net.C_X * net.C_W / 2))
    assert np.abs(np.diff(np.log(G)) / typed - 1).max() < 1e-12
    return {"const by pair of blocks": float(np.diff(np.log(G)).mean())}


@row(
    "transformers/tied_contact_term",
    witness="docs/transformers.md: a signal of order sqrt n",
)
def tied_contact_term():
    """Outputs i_1, i_2 of n^(-1/2) W^T (W x): by Wick's theorem over entries of W, at several n; what grows with n."""
    C, x = sp.Rational(3, 4), (sp.Rational(1, 2), sp.Rational(-2, 3))
    first, second = 0, 1

    def average(n):
        total = 0
        for k, l, a, b in product(range(n), range(n), range(2), range(2)):
            entries = ((k, first), (k, a), (l, second), (l, b))
            pairings = (((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2)))
            ways = sum(all(entries[i] == entries[j] for i, j in pairs) for pairs in pairings)
            total += ways * C**2 * x[a] * x[b]
        return total / n

    typed = lambda n: n * C**2 * x[first] * x[second]  # noqa: E731
    for n in (2, 3, 6):
        assert average(n + 1) - average(n) == typed(n + 1) - typed(n)
    return {"contact term, n = 6": average(6), "of which grows with n": average(7) - average(6)}


@row("transformers/score_corrections", witness="tests/sampling/test_sampled_transformers.py: logits of drawn networks")
def score_corrections():
    """A logit is a sum of C = n/H products q k over sqrt C; moments of independent normal numbers."""
    C, H, n = sp.symbols("C H n", positive=True)
    second, fourth = 1, 3 * 3
    excess = sp.expand((C * fourth + 3 * C * (C - 1) * second**2) / C**2) - 3
    typed = 6 * H / n
    assert sp.simplify(excess.subs(C, n / H) - typed) == 0
    return sp.simplify(excess.subs(C, n / H))


@row("transformers/stem_ntk", witness=ORACLE)
def stem_ntk():
    """The inputs are not trained."""
    typed = Lambda_patch * K_input + Lambda_PE * K_position
    return check_line("stem", "Theta", typed, Theta_input=0, Theta_position=0)


@row("transformers/attention_ntk", witness=ORACLE)
def attention_ntk():
    typed = (
        Theta_z
        + (Lambda_U * C_V + Lambda_V * C_U) * OO * K_s
        + (Lambda_K * C_Q + Lambda_Q * C_K) * C_U * C_V * DD * K_s * K_s * K_s
        + C_U * C_V * OO * Theta_s
        + C_U * C_V * C_Q * C_K * DD * Theta_s * K_s * K_s
        + C_U * C_V * C_Q * C_K * DD * K_s * Theta_s * K_s
    )
    return check_line("attention", "Theta", typed)


@row("transformers/mlp_ntk", witness=ORACLE)
def mlp_ntk():
    typed = Theta_z + Lambda_X * ss + C_X * dd * (Lambda_W * K_s + C_W * Theta_s)
    return check_line("mlp", "Theta", typed)


@row("transformers/head_ntk", witness=ORACLE)
def head_ntk():
    typed = Lambda_head * K_s + Lambda_bhead + C_head * Theta_s
    return check_line("head", "Theta", typed)


@row("transformers/cross_terms_vanish", witness=ORACLE)
def cross_terms_vanish():
    """A block adds what its branch has; products with the skip path are odd in the branch's last weights."""
    typed_K, typed_Theta = K_z + K_r, Theta_z + Theta_r
    for kind in ("attention", "mlp"):
        found = chain(kind).stages[-1].shares
        for tensor, typed in (("K", typed_K), ("Theta", typed_Theta)):
            assert expression(share for share in found if share.tensor == tensor) == typed
    return tuple(expression(share for share in found if share.tensor == tensor) for tensor in ("K", "Theta"))


@row(
    "transformers/layer_norm_tangential",
    witness=DRAWN,
)
def layer_norm_tangential():
    """ds/dz of LayerNorm times its scale projects the mean and s out: 1 - Tr J J^T/n of the unit matrix is missing."""
    missing = {}
    for n in (16, 64):
        z = np.random.default_rng(n).standard_normal(n)
        scale = np.sqrt(((z - z.mean()) ** 2).mean())
        s = (z - z.mean()) / scale
        J = np.eye(n) - 1 / n - np.outer(s, s) / n  # times 1/scale
        step = 1e-6 * np.eye(n)
        moved = (z + step - (z + step).mean(1, keepdims=True)) / np.sqrt((z + step).var(axis=1, keepdims=True))
        assert np.abs((moved - s) / 1e-6 - J / scale).max() < 1e-4
        missing[n] = 1 - np.trace(J @ J.T) / n
    typed = -1
    found = np.log(missing[64] / missing[16]) / np.log(4)
    assert abs(found - typed) < 1e-12
    return {"power of n": float(found), "missing at n = 64": missing[64]}


if __name__ == "__main__":
    check_rows(globals())
