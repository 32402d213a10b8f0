"""Where the neurons of a diagram stand: discs in a row or on a circle, each with its brackets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import atan2, cos, hypot, pi, sin

from rgflow.derive.steps.names import Name

Point = tuple[float, float]

WIDE, SMALL, SPACE = 10.0, 7.0, 3.0  # widths of a letter, of one that stands below it, of a space there
PILL, GAP = 26.0, 8.0  # height of a bracket, space between brackets
BLOB, ROOM = 15.0, 44.0  # radius of a blob, space for it beside a disc


@dataclass(frozen=True)
class Pill:
    """A bracket in its disc: centre, width, names."""

    at: Point
    width: float
    names: tuple[Name, ...]
    vertex: int


@dataclass(frozen=True)
class Disc:
    """A neuron, a little wider than high: centre and half axes."""

    at: Point
    wide: float
    high: float

    def reach(self, towards: Point) -> float:
        """From the centre to the rim."""
        angle = atan2(towards[1] - self.at[1], towards[0] - self.at[0])
        return 1 / hypot(cos(angle) / self.wide, sin(angle) / self.high)


def placed(
    vertices: Sequence[Sequence[tuple[Name, ...]]], cumulants: bool, extra: float
) -> tuple[list[Disc], list[Pill]]:
    """Discs in a row or on a circle, with their brackets one below the other.

    On a circle the disc with most brackets is at the left, where legs from the middle reach each of them.
    ``extra`` room is left for what stands beside legs.
    """
    widths = [[_width(names, cumulants) for names in brackets] for brackets in vertices]
    axes = [_axes(each) for each in widths]
    count = len(vertices)
    if count <= 2:
        apart = sum(wide for wide, _ in axes) + 2 * (ROOM + extra)
        centres: list[Point] = [(0.0, 0.0)] if count == 1 else [(-apart / 2, 0.0), (apart / 2, 0.0)]
    else:
        around = (max(wide for wide, _ in axes) + ROOM + extra) / sin(pi / count)
        most = max(range(count), key=lambda v: len(vertices[v]))
        first = pi - 2 * pi * most / count
        if len(vertices[most]) == 1:
            first = -pi / 2 - (pi / count if count % 2 == 0 else 0)
        angles = [first + 2 * pi * i / count for i in range(count)]
        centres = [(around * cos(a), around * sin(a)) for a in angles]
    discs, pills = [], []
    for v, (centre, (wide, high)) in enumerate(zip(centres, axes, strict=True)):
        discs.append(Disc(centre, wide, high))
        for y, names, width in zip(_rows(len(widths[v])), vertices[v], widths[v], strict=True):
            pills.append(Pill((centre[0], centre[1] + y), width, names, v))
    return discs, pills


def _rows(count: int) -> list[float]:
    """Heights of brackets in a disc."""
    return [(i - (count - 1) / 2) * (PILL + GAP) for i in range(count)]


def _width(names: Sequence[Name], cumulants: bool) -> float:
    """Of a bracket, from its letters."""
    letters = 0.0
    for name in names:
        letters += WIDE + SMALL * len(name.below.replace(" ", ""))
        letters += 0 if plain(name) else SPACE * name.below.count(" ")
    return letters + (8 * (len(names) - 1) + 36 if cumulants else 28)


def plain(name: Name) -> bool:
    return name.below.replace(" ", "").isdigit() and all(len(word) == 1 for word in name.below.split())


def _axes(widths: Sequence[float]) -> tuple[float, float]:
    """Of the disc that holds brackets one below the other, each with round ends."""
    rows = _rows(len(widths))
    wide, high = max(widths) / 2 + 9, rows[-1] + PILL / 2 + 13
    high = max(high, 0.5 * wide)
    half, diagonal = PILL / 2, PILL / 2 / 2**0.5
    corners = [(w / 2 - half, abs(y) + half) for w, y in zip(widths, rows, strict=True)]
    corners += [(w / 2 - half + diagonal, abs(y) + diagonal) for w, y in zip(widths, rows, strict=True)]
    grow = max(1.0, *(hypot((x + 4) / wide, (y + 4) / high) for x, y in corners))
    return wide * grow, high * grow
