"""What the steps of a derivation say, once for a terminal and once with formulas between dollars."""

from __future__ import annotations

from typing import NamedTuple

from rgflow.algebra.recursion import Recursion
from rgflow.algebra.tex import tensor_tex


class Words(NamedTuple):
    """The same sentences as plain text, and with LaTeX for Markdown and LaTeX documents."""

    text: str
    latex: str


CUMULANCE = Words(
    "Given layer l its n neurons are independent, so that only integrands over the same neuron correlate: one term for "
    "each set partition of the entries. c is the cumulant over one neuron at a fixed metric of layer l; <..> and κ are "
    "those over networks.",
    r"Given layer $\ell$ its $n_\ell$ neurons are independent, so that only integrands over the same neuron correlate: "
    r"one term for each set partition of the entries. $c$ is the cumulant over one neuron at a fixed metric of layer "
    r"$\ell$; $\langle\cdot\rangle$ and $\kappa$ are those over networks.",
)
BRACKETS = Words(
    "A cumulant over one neuron is a sum of products of averages, (-1)^(m-1) (m-1)! for m of them. A leg acts on one "
    "average, never across a product; each is taken at the leading kernel.",
    r"A cumulant over one neuron is a sum of products of averages, $(-1)^{m-1} (m-1)!$ for $m$ of them. A leg acts on "
    r"one average, never across a product; each is taken at the leading kernel.",
)
CONTRACTION = Words(
    "A leg D = 1/2 Σ_ab ∂_a ∂_b takes two jets of its average, or one and a pending ∂, or two pending ∂ (with 1/2). "
    "Jets that no leg takes contract in pairs to Θ and K, <z f> = K <∂ f>. A cumulant that holds a direction only once "
    "vanishes.",
    r"A leg $D = \tfrac12 \sum_{ab} \partial_a \partial_b$ takes two jets of its average, or one and a pending "
    r"$\partial$, or two pending $\partial$ (with $\tfrac12$). Jets that no leg takes contract in pairs to $\Theta$ "
    r"and $K$, $\langle z f \rangle = K \langle \partial f \rangle$. A cumulant that holds a direction only "
    r"once vanishes.",
)
COLLECTED = Words(
    "Like terms are added up; before each term stand the diagrams that feed it.",
    "Like terms are added up; beside each term stand the diagrams that feed it.",
)


def law_words(rec: Recursion, intrinsic: bool, past: bool) -> Words:
    """What the first step says.

    intrinsic : parameters that are not Gaussian add to the cumulant. past : neurons keep theirs, taken as Gaussian.
    """
    level = rec.tensor.level
    order = f", at relative order 1/n{f'^{rec.order}' if rec.order > 1 else ''}" if rec.order else ""
    order_tex = rf", at relative order $n_\ell^{{-{rec.order}}}$" if rec.order else ""
    what = what_tex = "the mean of this entry"
    if level > 1:
        power = "n" if level == 2 else f"n^{level - 1}"
        power_tex = r"n_\ell" if level == 2 else rf"n_\ell^{{{level - 1}}}"
        what = f"{power} times the joint cumulant of these entries"
        what_tex = f"${power_tex}$ times the joint cumulant of these entries"
    but = ", but for what weights that are not Gaussian add to its cumulant (s is {})" if intrinsic else ""
    kept = kept_tex = ""
    if past:
        kept = (
            " o is what neuron i of layer l+1 keeps of neuron i below, which is no average; h stands for g or o, and a "
            "neuron is the own one of one entry at most."
        )
        kept_tex = kept.replace("o is", "$o$ is").replace("i of layer l+1", r"$i$ of layer $\ell+1$")
        kept_tex = kept_tex.replace("neuron i below", "neuron $i$ below").replace(
            "h stands for g or o", "$h$ stands for $g$ or $o$"
        )
        if rec.tensor.cost:
            kept, kept_tex = (f"{each} Its past is taken as Gaussian." for each in (kept, kept_tex))
    but_tex = but.format(r"$\sigma(z)$")
    left = tensor_tex(rec.tensor, (), r"(\ell+1)")
    return Words(
        f"Given layer l, the neurons of layer l+1 are independent Gaussians with the metric G'{but.format('σ(z)')}. "
        f"{rec.name}' is {what}{order}; n = n_l is the width of layer l, r = n_l/n_(l-1), and every right-hand side "
        f"belongs to layer l.{kept}",
        rf"Given layer $\ell$, the neurons of layer $\ell+1$ are independent Gaussians with the metric $\widehat G$"
        rf"{but_tex}. ${left}$ is {what_tex}{order_tex}; $n_\ell$ is the width of layer $\ell$, "
        rf"$r = n_\ell/n_{{\ell-1}}$, and every right-hand side belongs to layer $\ell$.{kept_tex}",
    )


def graph_words(rec: Recursion) -> Words:
    """What the third step says."""
    q = rec.order
    cost = "the number of vertices minus one" if q == 0 else f"{q} more than the number of vertices minus one"
    return Words(
        "The metric of layer l fluctuates: G = K + δG, with cumulants κ_m = n_(l-1)^(1-m) Σ_q κ_m{q} n_(l-1)^(-q). The "
        "cumulant of functions of G is a sum over connected hypergraphs: at each of the m legs of a hyperedge κ_m a D "
        f"differentiates a vertex. The cost Σ (m - 1 + q) of the hyperedges is {cost}; equal legs and equal hyperedges "
        "divide by their symmetry.",
        r"The metric of layer $\ell$ fluctuates: $G = K + \delta G$, with cumulants $\kappa_m = n_{\ell-1}^{1-m} "
        r"\sum_q \kappa_m^{\{q\}} n_{\ell-1}^{-q}$. The cumulant of functions of $G$ is a sum over connected "
        r"hypergraphs: at each of the $m$ legs of a hyperedge $\kappa_m$ a $D$ differentiates a vertex. The cost "
        rf"$\sum (m - 1 + q)$ of the hyperedges is {cost}; equal legs and equal hyperedges divide by their symmetry.",
    )
