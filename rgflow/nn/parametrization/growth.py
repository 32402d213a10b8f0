"""Which sizes of a module grow with its width, from numbers or from the same module at base width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import nn

from rgflow.checks import whole
from rgflow.errors import InputError
from rgflow.nn.parametrization.axes import Used


@dataclass(frozen=True)
class Growth:
    """Which sizes grow with the width, and by how much.

    Attributes
    ----------
    factor : Fraction
        n / n_base.
    width : int
        n.
    base : dict of name to shape, or None
        Shapes of the parameters at base width, where the user gave a module of it.
    """

    factor: Fraction
    width: int
    base: Mapping[str, torch.Size] | None = None

    @property
    def told(self) -> bool:
        """Whether sizes tell what grows: beside a module of the same size nothing does."""
        return self.base is None or self.factor != 1

    def grows(self, size: int) -> bool:
        """Whether an axis of this size grows: a whole multiple of the width."""
        return size % self.width == 0


def growth_of(found: Mapping[nn.Parameter, list[Used]], base_width: Any, width: Any) -> Growth:
    """From numbers, or from the module at base width.

    Raises InputError where the width cannot be told, or shapes do not match.
    """
    if isinstance(base_width, nn.Module):
        if width is not None:
            raise InputError("give width= or the module at base width, whose shapes say it, not both")
        return _compared(found, base_width)
    base = whole("base_width", base_width, 1)
    n = whole("width", width, 1) if width is not None else _width(found)
    return Growth(Fraction(n, base), n)


def _compared(found: Mapping[nn.Parameter, list[Used]], base: nn.Module) -> Growth:
    shapes = {name: p.shape for name, p in base.named_parameters(remove_duplicate=False)}
    factors: dict[Fraction, tuple[str, int]] = {}
    for parameter, used in found.items():
        name = used[0].name
        if name not in shapes or len(shapes[name]) != parameter.ndim:
            raise InputError(f"the module at base width has no {name!r} of {parameter.ndim} axes; give the same module")
        for size, smaller in zip(parameter.shape, shapes[name], strict=True):
            if size != smaller:
                factors.setdefault(Fraction(size, smaller), (name, size))
    if len(factors) > 1:
        listed = ", ".join(f"{name!r} by {factor}" for factor, (name, _) in factors.items())
        raise InputError(f"widths grow by different factors ({listed}); scale all of them together, or give roles")
    for used in found.values():
        _same_heads(used[0], base)
    factor, (_, size) = next(iter(factors.items())) if factors else (Fraction(1), ("", 1))
    return Growth(factor, size, shapes)


def _same_heads(used: Used, base: nn.Module) -> None:
    """Attention divides by the root of the entries of a head, which is right only if they stay."""
    if isinstance(used.owner, nn.MultiheadAttention):
        other = base.get_submodule(used.name.rpartition(".")[0])
        if getattr(other, "head_dim", None) != used.owner.head_dim:
            raise InputError(
                f"{used.name.rpartition('.')[0]!r} has {used.owner.head_dim} entries a head, at base width "
                f"{getattr(other, 'head_dim', None)}; torch divides scores by their root, which is right for heads of "
                "one size: let the number of heads grow with the width"
            )


def _width(found: Mapping[nn.Parameter, list[Used]]) -> int:
    """The width, where one number alone can be it."""
    everything = [used.reading for listed in found.values() for used in listed if used.reading is not None]
    told = {r.out for r in everything if r.kind == "embedding" or r.attention}
    matrices = [r for r in everything if r.kind == "matrix"]
    inner = {r.out for r in matrices} & {r.into for r in matrices}
    candidates = told or inner
    if len(candidates) != 1:
        listed = ", ".join(map(str, sorted(candidates))) or "none that is both made by a layer and read by another"
        raise InputError(f"the width cannot be told from the module (candidates: {listed}); give width=")
    return candidates.pop()
