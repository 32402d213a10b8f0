"""Stem, blocks and head of a transformer as chains of elementary maps, and the rules that follow, as one reads them.

A chain starts at its ``source`` stages, known from below, and ends in its last stage.
"""

from __future__ import annotations

from dataclasses import dataclass

from rgflow.errors import InputError, UnknownName
from rgflow.network.transformer import BLOCKS, Transformer
from rgflow.transformer.stages import NAMES, Argument, Factor, Product, Share, Stage, Sum, Weights

_TEX = {"<ΩΩ>": r"\langle\Omega\Omega\rangle", "<∂Ω∂Ω>": r"\langle\partial\Omega\,\partial\Omega\rangle"}
_TEX |= {"<σσ>": r"\langle\sigma\sigma\rangle", "<σ'σ'>": r"\langle\sigma'\sigma'\rangle", "Theta": r"\Theta"}


@dataclass(frozen=True)
class Chain:
    """Elementary maps, one after the other.

    Attributes
    ----------
    kind : "stem", "attention", "mlp" or "head"
    stages : tuple of Stage

    >>> print(transformer_chain(Transformer(width=8, heads=2, blocks=1, n_in=3, positions=4), "mlp"))
    s = LayerNorm(z)
        K_s = N_z K_z
        Theta_s = N_z Theta_z
    w = W s
        K_w = C_W K_s
        Theta_w = Lambda_W K_s + C_W Theta_s
    r = X σ(w)
        K_r = C_X <σσ>_w
        Theta_r = Lambda_X <σσ>_w + C_X <σ'σ'>_w Theta_w
    z' = z + r
        K_z' = K_z + K_r
        Theta_z' = Theta_z + Theta_r
    """

    kind: str
    stages: tuple[Stage, ...]

    @property
    def last(self) -> str:
        return self.stages[-1].name

    def composed(self, tensor: str, stage: str | None = None) -> tuple[Share, ...]:
        """K or Theta of a stage (the last) in terms of the normed stream s and the stream z, as a sum of products."""
        made = {each.name: each for each in self.stages if each.name != "s"}
        found = [Share(tensor, (), (Factor(tensor, stage or self.last),))]
        while True:
            opened = [(i, j) for i, share in enumerate(found) for j, f in enumerate(share.factors) if _opens(f, made)]
            if not opened:
                return tuple(found)
            i, j = opened[0]
            share, factor = found[i], found[i].factors[j]
            parts = [part for part in made[factor.stage].shares if part.tensor == factor.what]
            before, after = share.factors[:j], share.factors[j + 1 :]
            found[i : i + 1] = [
                Share(tensor, (*share.symbols, *part.symbols), (*before, *part.factors, *after)) for part in parts
            ]

    def lines(self) -> tuple[str, ...]:
        """The composed rules: K and Theta of the last stage."""
        return tuple(f"{name}_{self.last} = " + " + ".join(map(str, self.composed(name))) for name in NAMES)

    def latex(self) -> str:
        """The composed rules in LaTeX, as lines of an ``align`` environment, without delimiters."""
        rows = []
        for name in NAMES:
            left = _tex_factor(Factor(name, self.last))
            rows.append(f"{left} &= " + " + ".join(map(_tex_share, self.composed(name))))
        return " \\\\\n".join(rows)

    def __str__(self) -> str:
        found = []
        for stage in self.stages:
            found.append(stage.meaning)
            for name in NAMES:
                shares = [share for share in stage.shares if share.tensor == name]
                if shares:
                    found.append(f"    {name}_{stage.name} = " + " + ".join(map(str, shares)))
        return "\n".join(found)

    def _repr_latex_(self) -> str:
        return f"$$\\begin{{aligned}}{self.latex()}\\end{{aligned}}$$"


def transformer_chain(net: Transformer, kind: str) -> Chain:
    """The elementary maps of the "stem", of an "attention" or "mlp" block or of the "head", and the rules that follow.

    ``print`` shows them one by one, ``.lines()`` and ``.latex()`` composed: K and Theta of the block's output in terms
    of the stream z and of s = LayerNorm(z). Averages <ΩΩ> and <∂Ω∂Ω> are contracted with the kernels behind them, in
    the order queries (of both tokens), keys and values (summed over all tokens that they attend to).

    Raises InputError for what is no Transformer, UnknownName for another kind.
    """
    if not isinstance(net, Transformer):
        raise InputError(f"net is {net!r}; give a Transformer")
    if not isinstance(kind, str) or kind not in _CHAINS:
        raise UnknownName("part of a transformer", kind, _CHAINS)
    return Chain(kind, _CHAINS[kind](net))


def _norm(net: Transformer) -> Product:
    if net.norm == "layer":
        return Product("s", (Argument("z", "N"),), "s = LayerNorm(z)")
    return Product("s", (Argument("z"),), "s = z")


def _stem(net: Transformer) -> tuple[Stage, ...]:
    name = "patch" if net.stem == "patch" else "WE"
    return (
        Weights("x", "input", name, f"x = W^{name} input"),
        Weights("p", "position", "PE", "p = b^PE, the embedding of the position"),
        Sum("z", ("x", "p"), "z = x + p"),
    )


def _attention(net: Transformer) -> tuple[Stage, ...]:
    return (
        _norm(net),
        Weights("q", "s", "Q", "q = Q s"),
        Weights("k", "s", "K", "k = K s"),
        Weights("v", "s", "V", "v = V s"),
        Product("l", (Argument("q"), Argument("k")), "l_tu = q_t . k_u / √C, a sum over channels"),
        Product("y", (Argument("l", "Ω"), Argument("v")), "y_t = Σ_u Ω_tu v_u, Ω = softmax of the row l_t"),
        Weights("r", "y", "U", "r = U y, over the channels of all heads"),
        Sum("z'", ("z", "r"), "z' = z + r"),
    )


def _mlp(net: Transformer) -> tuple[Stage, ...]:
    return (
        _norm(net),
        Weights("w", "s", "W", "w = W s"),
        Weights("r", "w", "X", "r = X σ(w)", linear=False),
        Sum("z'", ("z", "r"), "z' = z + r"),
    )


def _head(net: Transformer) -> tuple[Stage, ...]:
    if net.tied:
        return _norm(net), Weights("out", "s", "WE", "out = n^(-1/2) (W^WE)^T s, of words that no token is")
    return _norm(net), Weights("out", "s", "head", "out = W^head s + b^head", bias="bhead")


_CHAINS = {"stem": _stem, "attention": _attention, "mlp": _mlp, "head": _head}
assert set(_CHAINS) == {"stem", "head", *BLOCKS}


def _opens(factor: Factor, made: dict[str, Stage]) -> bool:
    return factor.what in NAMES and factor.stage in made


def _tex_share(share: Share) -> str:
    symbols = [_subscript(*name.split("_")) for name in share.symbols]
    return r" \, ".join([*symbols, *map(_tex_factor, share.factors)]) or "1"


def _tex_factor(factor: Factor) -> str:
    what = _TEX.get(factor.what, factor.what)
    stage, prime = factor.stage.rstrip("'"), "'" if factor.stage.endswith("'") else ""
    return (
        f"{what}^{{{_upright(stage)}{prime}}}" if what[0] != "\\" or factor.what == "Theta" else f"{what}_{{{stage}}}"
    )


def _subscript(letter: str, group: str) -> str:
    return f"{chr(92) + letter if letter == 'Lambda' else letter}_{{{_upright(group)}}}"


def _upright(name: str) -> str:
    return rf"\mathrm{{{name}}}" if len(name) > 1 else name
