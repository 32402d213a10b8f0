"""Sampled networks of every kind of layer against theory: the fits of real_networks, for other ensembles.

K and Theta through their first correction, four-point letters at leading order: that is the order to which the laws of
these layers hold. Numbers of networks are such that what the fit neglects, of relative size (V/(n K^2))^2, stays within
a standard error or two at the smallest width; for ReLU, whose V grows fastest, widths are larger instead.

Plan, seeds and numbers of networks are fixed before looking, but for layers with a norm after sigma: their variances,
and the widths of RMSNorm after relu, were chosen after a first run in which some of them failed (``normalised`` says
which). ``python tests/real_layers.py results.json`` runs the full plan (about half an hour on one core) and keeps its
numbers; names of ensembles after it run only those.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from real_networks import WIDTHS, Comparison, Group, at_width, compare_networks, family_p_value, theory_orders

import rgflow as rg

SEED = 20261122
NTK = ("Theta", "A", "B", "D", "F")


@dataclass(frozen=True)
class Ensemble:
    """Networks of width n, where they are measured, and on how many of them."""

    name: str
    build: Callable[[int], rg.Network]
    plan: tuple[Group, ...]
    layer: int = -1
    widths: tuple[int, ...] = WIDTHS
    first_kernel: float = 0.8

    def theory(self, net: rg.Network, tensors, closure: str = "full") -> dict[str, list]:
        """Every letter at the measured layer, through order 1."""
        return theory_orders(net, self.first_kernel, tensors, 1, layer=self.layer, closure=closure)

    def compare(self, report=lambda text: None, theory=None) -> list[Comparison]:
        """Sampled networks against theory (or another one)."""
        name = zlib.crc32(self.name.encode())
        return compare_networks(
            self.name,
            self.build,
            self.first_kernel,
            self.plan,
            entropy=lambda width, i: np.random.SeedSequence([SEED, name, width, i]),
            theory=theory or self.theory,
            layer=self.layer,
            widths=self.widths,
            report=report,
        )

    def against(self, rows: list[Comparison], closure: str) -> list[Comparison]:
        """The same samples against another closure."""
        found = []
        first = self.theory(self.build(self.widths[0]), {row.tensor for row in rows}, closure)
        orders = [at_width(first, n / self.widths[0]) for n in self.widths]
        for row in rows:
            terms = [[float(x) for x in at[row.tensor][: row.q + 1]] for at in orders]
            other = replace(row, theory=[sum(x) for x in terms], without_last=[sum(x[:-1]) for x in terms])
            other.slope = other.slope_error = None
            other.fit()
            found.append(other)
        return found


def residual(n: int) -> rg.Network:
    """Four residual layers after a dense one."""
    values = {"C_W": 1.5, "C_b": 0.05}
    inner = [rg.Residual(skip=0.9, **values)] * 4
    return rg.Network([rg.Dense(**values), *inner, rg.Dense(**values)], [2, *[n] * 5, 2], "tanh")


def residual_relu(skip: float, layers: int) -> Callable[[int], rg.Network]:
    """Critical residual layers: C_W <s s> = (1 - skip^2) K."""

    def build(n: int) -> rg.Network:
        inner = [rg.Residual(skip=skip, C_W=2 * (1 - skip**2))] * layers
        return rg.Network([rg.Dense(), *inner, rg.Dense(C_W=2.0)], [2, *[n] * (layers + 1), 2], "relu")

    return build


def orthogonal(n: int) -> rg.Network:
    """A Gaussian first layer, equal widths."""
    return rg.Network([rg.Dense(C_W=1.5), *[rg.Orthogonal(C_W=1.5)] * 4], [2, *[n] * 5], "tanh")


def orthogonal_first(n: int) -> rg.Network:
    """A Haar first layer, unequal widths."""
    return rg.Network([rg.Orthogonal(C_W=1.5)] * 5, [2 * n, n, 2 * n, n, 2 * n, 2], "tanh")


def orthogonal_deep(n: int) -> rg.Network:
    """Critical, fifteen orthogonal layers."""
    return rg.Network([rg.Dense(), *[rg.Orthogonal()] * 15, rg.Dense()], [2, *[n] * 16, 2], "tanh")


def branch(n: int) -> rg.Network:
    """Branches, one of them beside a projection that doubles the width."""
    values = {"C_V": 0.5, "C_a": 0.1, "C_b": 0.1, "C_W": 1.5, "hidden": 2 * n}
    middle = [rg.Branch(**values), rg.Projection(C_P=1.0, **values), rg.Branch(**values)]
    return rg.Network([rg.Linear(), *middle, rg.Linear()], [2, n, n, 2 * n, 2 * n, 2], "tanh")


def gated(n: int) -> rg.Network:
    """Branches behind a gate, fewer hidden neurons than others."""
    block = rg.Gated(gate=0.7, C_V=1.0, C_b=0.1, C_W=1.5, hidden=n // 2)
    return rg.Network([rg.Linear(), *[block] * 3, rg.Linear()], [2, *[n] * 4, 2], "tanh")


def mixed(n: int) -> rg.Network:
    """One of each."""
    dense = {"C_W": 1.5, "C_b": 0.05}
    wide = rg.Branch(C_V=0.5, C_a=0.1, C_b=0.1, C_W=1.5, hidden=2 * n)
    layers = [rg.Dense(**dense), rg.Residual(skip=0.9, **dense), rg.Orthogonal(C_W=1.5), wide, rg.Dense(**dense)]
    return rg.Network(layers, [2, n, n, 2 * n, 2 * n, 2], "tanh")


def normalised(kind: type, place: str, activation: str, skip: float) -> Callable[[int], rg.Network]:
    """Two layers with a norm between dense ones.

    A first run had C_W = 1.2, C_b = 0.1 after sigma too, where slopes of order one are divided by small variances and
    cumulants grow fast: of LayerNorm after gelu, without a skip, A, B and F had p = 3e-3 and below 5e-4 twice at widths
    32 to 128, B falling as n^-1.43. With the variances below B of RMSNorm after relu still had p = 1e-3, falling as
    n^-1.48 (n times the distance 89, 61, 52): a next power of 1/n, which widths 64 to 256 leave behind (p = .27).
    """

    def build(n: int) -> rg.Network:
        inner = kind(
            place=place, skip=skip, **({"C_W": 1.2, "C_b": 0.1} if place == "before" else {"C_W": 0.6, "C_b": 0.6})
        )
        return rg.Network([rg.Dense(), inner, inner, rg.Dense()], [2, n, n, n, 2], activation)

    return build


NORMS = tuple(
    (f"{kind.__name__} {place} {activation}, skip {skip}", normalised(kind, place, activation, skip))
    for kind, place, activation, skip in (
        (rg.LayerNorm, "before", "tanh", 0.8),
        (rg.LayerNorm, "before", "relu", 0.8),
        (rg.LayerNorm, "before", "gelu", 0.8),
        (rg.LayerNorm, "after", "tanh", 0.8),
        (rg.LayerNorm, "after", "relu", 0.8),
        (rg.LayerNorm, "after", "gelu", 0.0),
        (rg.RMSNorm, "before", "gelu", 0.8),
        (rg.RMSNorm, "after", "relu", 0.0),
    )
)


def _beside(name: str) -> tuple[int, ...]:
    """The widths: larger where only the norm, without a skip, is left of a relu."""
    return (64, 128, 256) if name == "RMSNorm after relu, skip 0.0" else (32, 64, 128)


# Growth of V after k layers with this skip, PDLT's appendix B, and what its closure in one time says.
RELU_POINTS = {(0.5, 4): 14.25, (0.8, 12): 18.8, (0.95, 20): 8.0}

FULL = (
    Ensemble(
        "residual tanh",
        residual,
        (Group(("K",), 2_000_000), Group(("V",), 400_000), Group(NTK, 8_000, 1), Group(("P", "Q"), 6_000, 1)),
        layer=-2,
    ),
    Ensemble("residual tanh, read out", residual, (Group(("K", "V"), 200_000),)),
    Ensemble("residual relu", residual_relu(0.8, 4), (Group(("K", "V"), 200_000),), layer=-2, widths=(64, 128, 256)),
    *(
        Ensemble(
            f"residual relu, skip {skip}, {layers} layers",
            residual_relu(skip, layers),
            (Group(("V",), 10_000),),
            layer=-2,
            widths=(256, 512, 1024),
        )
        for skip, layers in RELU_POINTS
    ),
    *(
        Ensemble(f"orthogonal tanh, layer {layer}", orthogonal, (Group(("V",), 10_000),), layer=layer - 1)
        for layer in (2, 3, 4)
    ),
    Ensemble(
        "orthogonal tanh",
        orthogonal,
        (
            Group(("K",), 200_000),
            Group(("V",), 10_000),
            Group(("Theta", "A", "D"), 8_000, 1),
            Group(("B", "F"), 600, 1),
            Group(("P", "Q"), 1_500, 1),
        ),
    ),
    Ensemble(
        "orthogonal tanh, first layer too",
        orthogonal_first,
        (
            Group(("K",), 200_000),
            Group(("V",), 20_000),
            Group(("Theta", "A", "D"), 8_000, 1),
            Group(("B", "F"), 1_000, 1),
            Group(("P", "Q"), 1_500, 1),
        ),
    ),
    Ensemble(
        "orthogonal tanh, deep",
        orthogonal_deep,
        (Group(("K",), 20_000), Group(("V",), 2_000)),
        layer=-2,
        widths=(32, 64, 128),
    ),
    Ensemble("branch tanh", branch, (Group(("K", "V"), 100_000), Group(NTK, 4_000, 1))),
    Ensemble("mixed tanh", mixed, (Group(("K", "V"), 100_000), Group(NTK, 4_000, 1))),
    Ensemble("gated tanh", gated, (Group(("K", "V"), 100_000), Group(NTK, 4_000, 1))),
    *(
        Ensemble(name, build, (Group(("K", "V"), 100_000), Group(NTK, 4_000, 1)), widths=_beside(name))
        for name, build in NORMS
    ),
)

_FEW, _SLOPES = Group(("K", "V"), 4_000), Group(("B", "F"), 400, 1)
SMALL = (
    Ensemble("residual tanh", residual, (Group(("K", "V"), 20_000), _SLOPES)),
    Ensemble("residual relu", residual_relu(0.8, 4), (_FEW,), layer=-2, widths=(64, 128, 256)),
    Ensemble("orthogonal tanh", orthogonal, (Group(("K",), 4_000), Group(("V",), 1_000))),
    Ensemble("orthogonal tanh, first layer too", orthogonal_first, (_FEW,)),
    Ensemble("branch tanh", branch, (_FEW,)),
    Ensemble("mixed tanh", mixed, (_FEW, _SLOPES)),
    Ensemble("gated tanh", gated, (_FEW,)),
    *(Ensemble(name, build, (_FEW, _SLOPES), widths=_beside(name)) for name, build in NORMS[::3]),
)


def main(path: str, *names: str) -> None:
    """Run the full plan, or these ensembles of it, and keep the numbers."""
    target = Path(path)
    rows = []
    for ensemble in FULL:
        if ensemble.name in names or not names:
            rows += ensemble.compare(report=lambda text: print(text, flush=True))
            kept = {"seed": SEED, "family_p_value": family_p_value(rows), "rows": [asdict(row) for row in rows]}
            target.write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
