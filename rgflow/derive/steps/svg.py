"""Diagrams as SVG: neurons are discs with their brackets, cumulants of the metric are blobs, legs are double lines.

A leg has two strands, for it ends on two fields: 1/2 sum_ab d_a d_b. Places follow from the graph alone, numbers are
rounded to a tenth, so that equal diagrams are equal text. The pictures are light, with ink for a white page.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import hypot
from typing import NamedTuple

from rgflow.derive.steps.graphs import Edges
from rgflow.derive.steps.names import Name
from rgflow.derive.steps.places import BLOB, PILL, ROOM, WIDE, Disc, Pill, Point, placed, plain
from rgflow.derive.steps.routes import Leg, routed

INK, PALE, BLUE, ORANGE, LIGHT = "#1f2933", "#eaf3fa", "#0072B2", "#D55E00", "#fdf0e6"
FONT = "STIX Two Text, STIX Two Math, Cambria Math, Latin Modern Roman, Times New Roman, serif"
STRANDS, LETTER = 3.4, 6.2  # between the two lines of a leg; width of a letter beside it


def drawing(
    vertices: Sequence[Sequence[tuple[Name, ...]]],
    edges: Edges,
    caption: str,
    title: str,
    cumulants: bool = False,
    legs: Sequence[str] = (),
) -> str:
    """A whole SVG document.

    Parameters
    ----------
    vertices : for each vertex its brackets, each the names of what it averages.
    edges : legs end on brackets, numbered through all vertices.
    caption : weight and power of r, below the picture.
    title : what a reader without eyes is told.
    cumulants : the vertices are cumulants c(..) and not averages <..>.
    legs : what each leg takes, to be written beside it.
    """
    extra = max(1.0, *(LETTER * len(label) + BLOB + 8 - ROOM for label in legs)) if legs else 0.0
    discs, pills = placed(vertices, cumulants, extra)
    blobs, runs = routed(edges, discs, pills, extra)
    lines = [leg for run in runs for leg in run]
    tags = [
        _beside(leg, len(label), [*lines[:i], *lines[i + 1 :]])
        for i, (leg, label) in enumerate(zip(lines, legs, strict=False))
    ]
    corners = [p for leg in lines for p in leg] + [
        (x + dx, y + dy) for x, y in tags for dx in (-22, 22) for dy in (-9, 4)
    ]
    left, right, top, bottom = _box(discs, blobs, corners)
    width = max(right - left, WIDE * len(caption) + 16)
    middle = (left + right) / 2
    box = (middle - width / 2, top, width, bottom - top + (26 if caption else 0))
    shapes = [_disc(disc) for disc in discs]
    shapes += [_double(*leg) for leg in lines]
    shapes += [_pill(pill, cumulants) for pill in pills]
    shapes += [_blob(at, len(edge.legs), edge.order) for edge, at in zip(edges, blobs, strict=True)]
    shapes += [_tag(at, label) for at, label in zip(tags, legs, strict=False)]
    if caption:
        shapes.append(_text((middle, bottom + 16), [Run(caption)], 15))
    return _document(box, title, shapes)


def lettering(words: str, title: str) -> str:
    """A picture of words alone: of what has neither neurons nor legs."""
    width = WIDE * len(words) + 16
    return _document((0.0, 0.0, width, 26.0), title, [_text((width / 2, 18.0), [Run(words)], 15)])


def _document(box: tuple[float, float, float, float], title: str, shapes: Sequence[str]) -> str:
    size = f'viewBox="{" ".join(map(_number, box))}" width="{_number(box[2])}" height="{_number(box[3])}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{FONT}"><title>{escape(title)}</title>'
    )
    return "\n".join([head, *shapes, "</svg>"]) + "\n"


# Shapes ---------------------------------------------------------------------------------------------------------------


def _number(value: float) -> str:
    return f"{round(value, 1) + 0.0:g}"


def _box(discs: Sequence[Disc], blobs: Sequence[Point], corners: Sequence[Point]) -> tuple[float, float, float, float]:
    reach = [(d.at, d.wide, d.high) for d in discs] + [(at, BLOB + 2, BLOB + 2) for at in blobs]
    reach += [(at, 0.0, 0.0) for at in corners]
    margin = 5
    return (
        min(x - w for (x, _), w, _ in reach) - margin,
        max(x + w for (x, _), w, _ in reach) + margin,
        min(y - h for (_, y), _, h in reach) - margin,
        max(y + h for (_, y), _, h in reach) + margin,
    )


def _middle(leg: Leg) -> Point:
    (x0, y0), (x1, y1), (x2, y2) = leg
    return 0.25 * x0 + 0.5 * x1 + 0.25 * x2, 0.25 * y0 + 0.5 * y1 + 0.25 * y2


def _beside(leg: Leg, letters: int, others: Sequence[Leg]) -> Point:
    """Where the label of a leg stands: on the side that is farther from other legs, or above."""
    (x0, y0), _, (x2, y2) = leg
    x, y = _middle(leg)
    long = hypot(x2 - x0, y2 - y0)
    up = -1 if x2 > x0 else 1  # the side that is above
    across = (up * (y0 - y2) / long, up * (x2 - x0) / long)
    away = 10 + abs(across[0]) * 3.0 * letters
    sides = [(x + side * away * across[0], y + side * away * across[1] + 4) for side in (1, -1)]
    free = [min([60.0, *(hypot(u - v, w - z) for v, z in map(_middle, others))]) for u, w in sides]
    return sides[1] if free[1] > free[0] + 4 else sides[0]


def _tag(at: Point, label: str) -> str:
    return (
        f'<text x="{_number(at[0])}" y="{_number(at[1])}" font-size="11" fill="{ORANGE}" text-anchor="middle" '
        f'stroke="#ffffff" stroke-width="3" paint-order="stroke">{escape(label)}</text>'
    )


def _disc(disc: Disc) -> str:
    (x, y), wide, high = disc.at, disc.wide, disc.high
    return (
        f'<ellipse cx="{_number(x)}" cy="{_number(y)}" rx="{_number(wide)}" ry="{_number(high)}" fill="{PALE}" '
        f'stroke="{BLUE}" stroke-width="1.6"/>'
    )


def _double(start: Point, bend: Point, end: Point) -> str:
    """A leg: two strands, drawn as a wide line with a white one on top."""
    path = f"M{_xy(start)} Q{_xy(bend)} {_xy(end)}"
    return (
        f'<path d="{path}" fill="none" stroke="{ORANGE}" stroke-width="{STRANDS + 2.4:g}"/>'
        f'<path d="{path}" fill="none" stroke="#ffffff" stroke-width="{STRANDS:g}"/>'
    )


def _xy(point: Point) -> str:
    return f"{_number(point[0])},{_number(point[1])}"


def _pill(pill: Pill, cumulants: bool) -> str:
    (x, y), w = pill.at, pill.width
    runs = [Run("c(", italic=False)] if cumulants else [Run("⟨")]
    for i, name in enumerate(pill.names):
        runs += [Run(", ")] if i and cumulants else []
        runs.append(Run(name.letter, italic=True))
        if name.below:
            below = name.below.replace(" ", "" if plain(name) else "\u2009")
            runs.append(Run(below, size=11, down=4))
    runs.append(Run(")" if cumulants else "⟩"))
    box = (
        f'<rect x="{_number(x - w / 2)}" y="{_number(y - PILL / 2)}" width="{_number(w)}" height="{_number(PILL)}" '
        f'rx="{_number(PILL / 2)}" fill="#ffffff" stroke="{BLUE}" stroke-width="1"/>'
    )
    return box + _text((x, y + 5), runs, 16)


def _blob(at: Point, legs: int, order: int) -> str:
    x, y = at
    runs = [Run("κ", italic=True), Run(str(legs), size=10, down=4)]
    if order:
        runs.append(Run(f"{{{order}}}", size=9, down=-6, right=-7))
    radius = BLOB + 2 if order else BLOB
    return (
        f'<circle cx="{_number(x)}" cy="{_number(y)}" r="{radius:g}" fill="{LIGHT}" stroke="{ORANGE}" '
        f'stroke-width="1.6"/>' + _text((x, y + 4), runs, 15)
    )


class Run(NamedTuple):
    """Letters of one kind: their size, how far below the line they stand, and how far right of the last ones."""

    letters: str
    italic: bool = False
    size: int = 0
    down: int = 0
    right: int = 0


def _text(at: Point, runs: Sequence[Run], size: int) -> str:
    inner, level = "", 0
    for run in runs:
        style = (' font-style="italic"' if run.italic else "") + (f' font-size="{run.size}"' if run.size else "")
        style += (f' dy="{run.down - level}"' if run.down != level else "") + (
            f' dx="{run.right}"' if run.right else ""
        )
        inner += f"<tspan{style}>{escape(run.letters)}</tspan>" if style else escape(run.letters)
        level = run.down
    return (
        f'<text x="{_number(at[0])}" y="{_number(at[1])}" font-size="{size}" fill="{INK}" '
        f'text-anchor="middle">{inner}</text>'
    )
