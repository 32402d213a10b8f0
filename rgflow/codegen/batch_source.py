"""The text of a module that runs a System at many points at once: loops over lanes of points, which become SIMD code.

A block is LANES points; every quantity of a block is a row of so many numbers in one array ``work``, at a place that
the text holds as a number, so that the compiler sees that rows do not overlap. One evaluation of sigma and its
derivatives at a node serves all averages: what is summed are products of derivatives, of which brackets are linear
combinations.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rgflow.activations.taylor import program
from rgflow.brackets.emit_quadrature import bracket_name, breaks_at_zero
from rgflow.brackets.jumps import jump
from rgflow.brackets.kernel_forms import Closed, Straight
from rgflow.brackets.smooth import Entry
from rgflow.codegen.batch_layout import LANES, Layout, at
from rgflow.codegen.batch_rules import cuts, moves, scale_free
from rgflow.codegen.vector_math import VectorMath
from rgflow.codegen.vector_program import derivatives

_DENSITY = "0.3989422804014327"
_FUNCTION = re.compile(r"(\w+) = math\.(exp|expm1|atan)\((.*)\)")


def _lanes(lines: Sequence[str], indent: int = 4) -> list[str]:
    """A loop over lanes."""
    return [" " * indent + f"for p in range({LANES}):", *(" " * (indent + 4) + line for line in lines)]


# Sums over nodes ------------------------------------------------------------------------------------------------------


def sums_source(layout: Layout, piece: int, sized: bool) -> list[str]:
    """``sums_p{i}(work, u, w, first, last)``: what the nodes of a piece add to the sums."""
    code = VectorMath()
    order = max((k for product in layout.products for k in product), default=0)
    if moves(layout.activation):
        t = code.put(f"{at(2)} + {at(3)}*place")
        node = code.put(f"{at(1)}*{code.sinh(t)}")
        bell = code.gauss(code.put(f"0.7071067811865476*{node}"))
        weight = code.put(f"{_DENSITY}*weight*{at(3)}*{at(1)}*{code.cosh(t)}*{bell}")
    else:
        node, weight = "place", "weight"
    z = code.put(f"{at(0)}*{node}")
    d = derivatives(code, program(layout.activation.pieces[piece], order), z)
    values = [_product(code, d, product) for product in layout.products]
    lines = list(code.lines)
    for i, (product, value) in enumerate(zip(layout.products, values, strict=True)):
        if value == "0.0":
            continue
        lines.append(f"{at(layout.sums + i)} += {weight}*{value}")
        if sized and not _positive(product):
            lines.append(f"{at(layout.sizes + i)} += {weight}*abs({value})")
    return [
        f"def {_sums_name(piece, sized)}(work, u, w, first, last):",
        "    for i in range(first, last):",
        "        place, weight = u[i], w[i]",
        *_lanes(lines, 8),
    ]


def _sums_name(piece: int, sized: bool) -> str:
    return f"sums_p{piece}" + ("_sized" if sized else "")


def _positive(product: tuple[int, ...]) -> bool:
    return all(product.count(k) % 2 == 0 for k in product)


def _product(code: VectorMath, d: Sequence[str], orders: tuple[int, ...]) -> str:
    """A product of derivatives, by halves that others share."""
    if not orders:
        return "1.0"
    if len(orders) == 1:
        return d[orders[0]]
    half = (len(orders) + 1) // 2
    left, right = _product(code, d, orders[:half]), _product(code, d, orders[half:])
    return "0.0" if "0.0" in (left, right) else code.put(f"{left}*{right}")


# Brackets -------------------------------------------------------------------------------------------------------------


def averages_source(layout: Layout, sized: bool) -> list[str]:
    """``averages(work, tops, starts, u, w, band)``: all brackets of a block.

    Takes the band to begin the search with; returns that which was used, or -1 if no rule covers all kernels.
    """
    n = LANES
    lines = [
        f"def averages{'_sized' if sized else ''}(work, tops, starts, u, w, band):",
        *_lanes([f"work[p] = math.sqrt({at(layout.kernel)})"]),
    ]
    if layout.summed:
        lines += [
            "    while band < tops.size and above(work, tops[band]) > 0:",
            "        band += 1",
            "    if band == tops.size:",
            "        return -1",
            "    while band > 0 and above(work, tops[band - 1]) == 0:",
            "        band -= 1",
            f"    for i in range({layout.sums * n}, {(layout.brackets if sized else layout.sizes) * n}):",
            "        work[i] = 0.0",
        ]
        for piece in range(len(layout.activation.pieces)):
            if moves(layout.activation):
                lines += _lanes(_span_lines(layout, piece))
            call = _sums_name(piece, sized)
            lines.append(f"    {call}(work, u, w, starts[band, {piece}], starts[band, {piece + 1}])")
        lines += _lanes(_combined(layout, sized))
    lines += _lanes(_closed(layout, sized))
    return [*lines, "    return band"]


def above_source(layout: Layout) -> list[str]:
    """``above(work, top)``: how many kernels are larger (those that are not numbers are not)."""
    return [
        "def above(work, top):",
        "    count = 0",
        *_lanes([f"count += 1 if {at(layout.kernel)} > top else 0"]),
        "    return count",
    ]


def _span_lines(layout: Layout, piece: int) -> list[str]:
    """c, and begin and length of a piece in t."""
    code, kinks = VectorMath("f"), layout.activation.kinks
    cut, growth, far = cuts(layout.activation, layout.summed)
    code.lines.append("s = max(work[p], 1e-100)")
    end = code.put(f"{cut!r} + {growth!r}*s")
    wide = code.put(f"min({far!r}/s + min(9.0, {40.0 / far!r}*s), 38.0)")
    end = code.choose(f"{end} < {wide}", wide, end)
    c = "1.0" if scale_free(layout.activation) else code.put("1.0/max(1.0, s)")
    low = f"-{end}" if piece == 0 else f"min(max({kinks[piece - 1]!r}/s, -{end}), {end})"
    high = end if piece == len(kinks) else f"min(max({kinks[piece]!r}/s, -{end}), {end})"
    begin, finish = (code.asinh(code.put(f"({edge})/{c}")) for edge in (low, high))
    return [*code.lines, f"{at(1)} = {c}", f"{at(2)} = {begin}", f"{at(3)} = {finish} - {begin}"]


def _combined(layout: Layout, sized: bool) -> list[str]:
    """Brackets from sums of products and from the jumps at kinks."""
    lines, activation = [], layout.activation
    places = {product: i for i, product in enumerate(layout.products)}
    used = sorted({places[m] for e in layout.summed for _, m in layout.polynomial(e)})
    lines += [f"m{i} = {at(layout.sums + i)}" for i in used]
    if sized:
        same = [i for i in used if _positive(layout.products[i])]
        lines += [f"a{i} = m{i}" if i in same else f"a{i} = {at(layout.sizes + i)}" for i in used]
    jumps, names = _jumps(layout)
    lines += jumps
    for i, entry in enumerate(layout.entries):
        if entry in layout.forms:
            continue
        lines.append(f"# {bracket_name(entry)}" + ("" if entry in layout.summed else ": odd, exactly zero"))
        terms = layout.polynomial(entry) if entry in layout.summed else ()
        value = _added([_times(c, f"m{places[m]}") for c, m in terms] + names.get(entry, []))
        size = _added([_times(abs(c), f"a{places[m]}") for c, m in terms] + [f"abs({x})" for x in names.get(entry, [])])
        guard = " if work[p] > 0.0 else math.nan" if breaks_at_zero(activation, entry) else ""
        lines.append(f"x = {value}")
        lines.append(f"{at(layout.brackets + i)} = x{guard}")
        if sized:
            lines.append(f"{at(layout.bracket_sizes + i)} = {size}")
    return lines


def _times(coefficient: float, name: str) -> str:
    return name if coefficient == 1 else f"{float(coefficient)!r}*{name}"


def _added(terms: Sequence[str]) -> str:
    return " + ".join(terms).replace("+ -", "- ") or "0.0"


def _jumps(layout: Layout) -> tuple[list[str], dict[Entry, list[str]]]:
    """<delta^{(i)}(z - c)> = He_i(c/s) p(c)/s^i, times the jump of the (m-1-i)-th derivative."""
    code = VectorMath("j")
    found: dict[Entry, list[str]] = {}
    for place, kink in enumerate(layout.activation.kinks):
        terms = [
            (entry, entry[1] - 1 - j, size)
            for entry in layout.summed
            for j in range(entry[1])
            if (size := jump(layout.activation, entry[0], j, place)) != 0.0
        ]
        if not terms:
            continue
        s = code.put("max(work[p], 1e-30)")
        x = code.put(f"{kink!r}/{s}")
        bell = code.gauss(code.put(f"{x}*0.7071067811865476"))
        hermite = [code.choose(f"abs({x}) < 37.0", f"{_DENSITY}*{bell}/{s}", "0.0")]
        hermite.append(code.put(f"{hermite[0]}*{x}/{s}"))
        for k in range(2, 1 + max(index for _, index, _ in terms)):
            hermite.append(code.put(f"({x}*{hermite[-1]} - {k - 1}.0*{hermite[-2]}/{s})/{s}"))
        for entry, index, size in terms:
            found.setdefault(entry, []).append(code.put(f"{size!r}*{hermite[index]}"))
    return code.lines, found


def _closed(layout: Layout, sized: bool) -> list[str]:
    """Closed forms: the lines of the scalar kernel, its functions replaced by vector ones."""
    straight, functions, lines = Straight(), VectorMath("f"), [f"K = {at(layout.kernel)}"]
    for i, entry in enumerate(layout.entries):
        if entry in layout.forms:
            form: Closed = layout.forms[entry]
            straight.bracket(i, form, bracket_name(entry), breaks_at_zero(layout.activation, entry))
    for line in (line[4:] for line in straight.lines):
        stored = re.fullmatch(r"(out|scale)\[(\d+)(?:, (\d))?\] = (.*)", line)
        called = _FUNCTION.fullmatch(line)
        if stored:
            array, place, rule, value = stored.groups()
            if array == "out" and rule == "0":
                lines.append(f"{at(layout.brackets + int(place))} = {value}")
            elif array == "scale" and sized:
                lines.append(f"{at(layout.bracket_sizes + int(place))} = {value}")
        elif called:
            before = len(functions.lines)
            found = getattr(functions, called[2])(functions.put(called[3]))
            lines += [*functions.lines[before:], f"{called[1]} = {found}"]
        else:
            lines.append(line)
    return lines
