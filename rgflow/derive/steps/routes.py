"""Where the hyperedges of a diagram stand and how their legs run: between the discs they tie, and clear of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import atan2, cos, hypot, pi, sin

from rgflow.derive.steps.graphs import Edges
from rgflow.derive.steps.places import BLOB, PILL, ROOM, Disc, Pill, Point

Leg = tuple[Point, Point, Point]  # from, bend, to
CLEAR = BLOB + 5.0  # from the centre of a blob to what is not its own


def routed(
    edges: Edges, discs: Sequence[Disc], pills: Sequence[Pill], extra: float
) -> tuple[list[Point], list[list[Leg]]]:
    """The blob of each hyperedge and its legs; where the nearest place is taken, the next one that is free."""
    blobs: list[Point] = []
    legs: list[list[Leg]] = []
    for edge, wanted in zip(edges, _wanted(edges, discs, pills, extra), strict=True):
        best: tuple[int, Point, list[Leg]] | None = None
        for at in _around(wanted):
            run = _legs(edge.legs, at, pills)
            crowded = _crowded(at, run, edge.legs, blobs, legs, discs, pills)
            if best is None or crowded < best[0]:
                best = (crowded, at, run)
            if not crowded:
                break
        assert best is not None
        blobs.append(best[1])
        legs.append(best[2])
    return blobs, legs


def _around(at: Point) -> Iterator[Point]:
    """The place itself, then places on growing rings."""
    yield at
    for ring in range(1, 7):
        for k in range(12):
            angle = pi / 12 * (2 * k + ring % 2)
            yield at[0] + 16.0 * ring * cos(angle), at[1] + 16.0 * ring * sin(angle)


def _crowded(
    at: Point,
    run: Sequence[Leg],
    ends: Sequence[int],
    blobs: Sequence[Point],
    legs: Sequence[Sequence[Leg]],
    discs: Sequence[Disc],
    pills: Sequence[Pill],
) -> int:
    """How many things a blob here and its legs would lie on."""
    faults = sum(hypot(at[0] - x, at[1] - y) < 2 * CLEAR for x, y in blobs)
    for disc in discs:
        away = ((at[0] - disc.at[0]) / (disc.wide + BLOB + 3), (at[1] - disc.at[1]) / (disc.high + BLOB + 3))
        faults += hypot(*away) < 1
    faults += sum(_near(leg, at) for others in legs for leg in others)
    faults += sum(_near(leg, blob) for leg in run for blob in blobs)
    for leg in run:
        faults += sum(_through(leg, pill) for i, pill in enumerate(pills) if i not in ends)
    return faults


def _points(leg: Leg) -> Iterator[Point]:
    (x0, y0), (x1, y1), (x2, y2) = leg
    for i in range(1, 20):
        t = i / 20
        u = 1 - t
        yield u * u * x0 + 2 * u * t * x1 + t * t * x2, u * u * y0 + 2 * u * t * y1 + t * t * y2


def _near(leg: Leg, blob: Point) -> bool:
    return any(hypot(x - blob[0], y - blob[1]) < CLEAR for x, y in _points(leg))


def _through(leg: Leg, pill: Pill) -> bool:
    half, tall = pill.width / 2 + 2, PILL / 2 + 2
    return any(abs(x - pill.at[0]) < half and abs(y - pill.at[1]) < tall for x, y in _points(leg))


def _wanted(edges: Edges, discs: Sequence[Disc], pills: Sequence[Pill], extra: float) -> list[Point]:
    """Between the discs that a hyperedge ties; beside the disc if it ties only one."""
    inside: dict[tuple[int, ...], list[int]] = {}
    for i, edge in enumerate(edges):
        inside.setdefault(tuple(sorted({pills[end].vertex for end in edge.legs})), []).append(i)
    found: dict[int, Point] = {}
    for held, members in inside.items():
        if len(held) == 1:
            spots = _beside(discs, held[0], [edges[i].legs for i in members], extra)
        else:
            spots = _between([discs[v] for v in held], len(members))
        found.update(zip(members, spots, strict=True))
    return [found[i] for i in range(len(edges))]


def _beside(discs: Sequence[Disc], vertex: int, legs: Sequence[tuple[int, ...]], extra: float) -> list[Point]:
    """Outside a disc, away from the others; a lone disc has both sides."""
    disc = discs[vertex]
    room = (
        ROOM - BLOB + (1.8 * extra + 8 if extra else 0) + (8 if any(len(set(ends)) < len(ends) for ends in legs) else 0)
    )
    far = disc.wide + room
    if len(discs) == 1:
        sides = [i % 2 for i in range(len(legs))]
        rows: list[list[int]] = [[i for i in range(len(legs)) if sides[i] == side] for side in (0, 1)]
        spots: dict[int, Point] = {}
        for side, row in enumerate(rows):
            for k, i in enumerate(row):
                up = (k - (len(row) - 1) / 2) * 3 * BLOB
                spots[i] = (disc.at[0] + (far if side == 0 else -far), disc.at[1] + up)
        return [spots[i] for i in range(len(legs))]
    middle = (sum(d.at[0] for d in discs) / len(discs), sum(d.at[1] for d in discs) / len(discs))
    outward = atan2(disc.at[1] - middle[1], disc.at[0] - middle[0])
    step = 3.2 * BLOB / far
    spots_around = []
    for k in range(len(legs)):
        angle = outward + (k - (len(legs) - 1) / 2) * step
        there = (disc.at[0] + cos(angle), disc.at[1] + sin(angle))
        away = disc.reach(there) + room
        spots_around.append((disc.at[0] + away * cos(angle), disc.at[1] + away * sin(angle)))
    return spots_around


def _between(discs: Sequence[Disc], count: int) -> list[Point]:
    """In the middle of the discs, several across the line that joins them."""
    if len(discs) == 2:
        (x1, y1), (x2, y2) = discs[0].at, discs[1].at
        long = hypot(x2 - x1, y2 - y1)
        along = ((x2 - x1) / long, (y2 - y1) / long)
        near, far = discs[0].reach(discs[1].at), discs[1].reach(discs[0].at)
        share = near + (long - near - far) / 2
        middle = (x1 + along[0] * share, y1 + along[1] * share)
        across = (-along[1], along[0])
    else:
        middle = (sum(d.at[0] for d in discs) / len(discs), sum(d.at[1] for d in discs) / len(discs))
        across = (0.0, 1.0)
    offsets = [(k - (count - 1) / 2) * 3.4 * BLOB for k in range(count)]
    return [(middle[0] + across[0] * o, middle[1] + across[1] * o) for o in offsets]


def _legs(ends: Sequence[int], at: Point, pills: Sequence[Pill]) -> list[Leg]:
    """From a blob to the rim of each bracket; equal legs fan out."""
    found = []
    for end in sorted(set(ends)):
        pill = pills[end]
        count = ends.count(end)
        target = _rim(pill, at)
        dx, dy = target[0] - at[0], target[1] - at[1]
        long = hypot(dx, dy)
        across = (-dy / long, dx / long)
        for k in range(count):
            bend = (k - (count - 1) / 2) * 26.0
            end_at = (k - (count - 1) / 2) * 9.0
            middle = (at[0] + dx * 0.55 + across[0] * bend, at[1] + dy * 0.55 + across[1] * bend)
            found.append((at, middle, (target[0] + across[0] * end_at, target[1] + across[1] * end_at)))
    return found


def _rim(pill: Pill, seen_from: Point) -> Point:
    """Where a line towards the middle of a pill meets its edge."""
    (x, y), (u, v) = pill.at, seen_from
    half, tall = pill.width / 2, PILL / 2
    dx, dy = u - x, v - y
    if abs(dx) * tall >= abs(dy) * (half - tall):  # the round ends
        side = 1 if dx > 0 else -1
        cx = x + side * (half - tall)
        long = hypot(u - cx, dy)
        return cx + (u - cx) / long * tall, y + dy / long * tall
    scale = tall / abs(dy)
    return x + dx * scale, y + dy * scale
