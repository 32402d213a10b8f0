"""The text that carries a block of points through all layers: rows of the System in lanes, and what stops a point."""

from __future__ import annotations

from collections.abc import Sequence

from rgflow.algebra import Term
from rgflow.codegen.batch_layout import LANES, Layout, at

MOST_UNROLLED = 24  # rows written out; more of them run from a table, since compiling takes its time for each
RAN_AWAY, OVERFLOWED, NOT_FINITE = 1, 2, 3
"""Why a point stopped: its kernel left the reach of all rules, another tensor overflowed, an average is not finite."""


def factors(layout: Layout, term: Term) -> list[int]:
    """The rows of ``work`` that a term multiplies."""
    table = layout.table
    symbols = [*table.symbols, "r"]
    tensors = {tensor: i for i, tensor in enumerate(table.tensors)}
    shapes = {(shape.orders, shape.pending): i for i, shape in enumerate(table.shapes)}
    powers = [*term.symbols, ("r", term.r)]
    found = [layout.hyper + symbols.index(name) for name, power in powers for _ in range(power)]
    found += [layout.state + tensors[value.tensor] for value in term.tensors]
    return found + [layout.brackets + shapes[b.orders, b.pending] for b in term.brackets]


def rows_source(layout: Layout) -> list[str]:
    """``rows(work)``: the new tensors of a block."""
    terms = [(i, term) for i, recursion in enumerate(layout.table.system) for term in recursion.terms]
    if len(terms) > MOST_UNROLLED:
        return _tabulated(layout, terms)
    lines = ["def rows(work):"]
    for i, recursion in enumerate(layout.table.system):
        lines.append(f"    for p in range({LANES}):  # {recursion.name}'")
        shown = []
        for term in recursion.terms:
            parts = [at(row) for row in factors(layout, term)]
            c = float(term.coefficient)
            shown.append("*".join(parts if c == 1 and parts else [repr(c), *parts]))
        lines.append(f"        {at(layout.new + i)} = ({' + '.join(shown) or '0.0'})")
    return lines


def _tabulated(layout: Layout, terms: Sequence[tuple[int, Term]]) -> list[str]:
    """Rows from a table, three factors at a time (a row of ones fills the last)."""
    n, count = LANES, len(layout.table.tensors)
    starts, places = [0], list[int]()
    for _, term in terms:
        rows = factors(layout, term)
        rows += [layout.one] * (-len(rows) % 3)
        places += [row * n for row in rows]
        starts.append(len(places))
    firsts = [sum(target < i for target, _ in terms) for i in range(count + 1)]
    return [
        *_array("FIRST", firsts),
        *_array("COEFFICIENT", [float(term.coefficient) for _, term in terms]),
        *_array("START", starts),
        *_array("FACTOR", places),
        "",
        "",
        "def rows(work):",
        f"    product, total = np.empty({n}), np.empty({n})",
        f"    for p in range({n}):",
        f"        {at(layout.one)} = 1.0",
        f"    for t in range({count}):",
        f"        for p in range({n}):",
        "            total[p] = 0.0",
        "        for row in range(FIRST[t], FIRST[t + 1]):",
        "            c = COEFFICIENT[row]",
        f"            for p in range({n}):",
        "                product[p] = c",
        "            for i in range(START[row], START[row + 1], 3):",
        *(f"                {x} = work[FACTOR[i + {j}] : FACTOR[i + {j}] + {n}]" for j, x in enumerate("xyz")),
        f"                for p in range({n}):",
        "                    product[p] *= x[p] * y[p] * z[p]",
        f"            for p in range({n}):",
        "                total[p] += product[p]",
        f"        new = work[({layout.new} + t) * {n} : ({layout.new} + t + 1) * {n}]",
        f"        for p in range({n}):",
        "            new[p] = total[p]",
    ]


def _array(name: str, values: Sequence[float]) -> list[str]:
    """A constant array in lines of readable length."""
    rows = [", ".join(map(repr, values[i : i + 16])) for i in range(0, len(values), 16)]
    return [f"{name} = np.array([", *(f"    {row}," for row in rows), "])"]


def run_source(layout: Layout) -> list[str]:
    """``run(...)``: a list of blocks through all layers; see :meth:`BatchKernel.run` for the arrays."""
    n, count, symbols = LANES, len(layout.table.tensors), len(layout.table.symbols) + 1
    return [
        "def run(first, by_layer, which, by_point, kept, tops, starts, u, w, limit, blocks, out, brackets, code,"
        " stopped, wanted):",
        f"    work = np.zeros({layout.rows * n})",
        "    for block in range(blocks.size):",
        f"        base = blocks[block] * {n}",
        f"        for t in range({count}):",
        f"            for p in range({n}):",
        f"                work[({layout.state} + t) * {n} + p] = first[t, base + p]",
        f"        for h in range({symbols}):",
        "            if which[h] >= 0:",
        f"                for p in range({n}):",
        f"                    work[({layout.hyper} + h) * {n} + p] = by_point[which[h], base + p]",
        "        band = 0",
        "        for layer in range(kept.size):",
        f"            for h in range({symbols}):",
        "                if which[h] < 0:",
        f"                    for p in range({n}):",
        f"                        work[({layout.hyper} + h) * {n} + p] = by_layer[h, layer]",
        "            band = averages(work, tops, starts, u, w, band)",
        "            if band < 0:",
        f"                for p in range({n}):",
        f"                    if {at(layout.kernel)} > wanted[block]:",
        f"                        wanted[block] = {at(layout.kernel)}",
        "                break",
        "            rows(work)",
        f"            for p in range({n}):",
        f"                {at(1)} = 0.0",
        f"            for t in range({count}):",
        f"                for p in range({n}):",
        f"                    {at(1)} += work[({layout.new} + t) * {n} + p] * 0.0",
        "            bad = 0",
        f"            for p in range({n}):",
        f"                K = {at(layout.kernel + count)}",
        f"                bad += 0 if ({at(1)} == 0.0) & (K >= 0.0) & (K <= limit) else 1",
        f"            for i in range({count * n}):",
        f"                work[{layout.state * n} + i] = work[{layout.new * n} + i]",
        "            if bad > 0:",
        f"                for p in range({n}):",
        "                    stop(work, p, limit, layer, base, code, stopped)",
        "            if kept[layer] >= 0:",
        f"                for t in range({count}):",
        f"                    for p in range({n}):",
        f"                        out[t, kept[layer], base + p] = work[({layout.state} + t) * {n} + p]",
        "                for m in range(brackets.shape[0]):",
        f"                    for p in range({n}):",
        f"                        brackets[m, kept[layer], base + p] = work[({layout.brackets} + m) * {n} + p]",
    ]


def stop_source(layout: Layout) -> list[str]:
    """``stop(...)``: record why a point cannot go on, and make all that follows NaN."""
    n, count = LANES, len(layout.table.tensors)
    return [
        "def stop(work, p, limit, layer, base, code, stopped):",
        "    finite, average = 0.0, 0.0",
        f"    for t in range({count}):",
        f"        finite += work[({layout.state} + t) * {n} + p] * 0.0",
        f"    for m in range({len(layout.entries)}):",
        f"        average += work[({layout.brackets} + m) * {n} + p] * 0.0",
        f"    K = {at(layout.kernel)}",
        "    if finite == 0.0 and K >= 0.0 and K <= limit:",
        "        return",
        "    if code[base + p] == 0:",
        "        stopped[base + p] = layer + 2",
        "        inside = K >= 0.0 and K <= limit",
        f"        code[base + p] = {NOT_FINITE} if average != 0.0 else {OVERFLOWED} if inside else {RAN_AWAY}",
        f"    for t in range({count}):",
        f"        work[({layout.state} + t) * {n} + p] = math.nan",
    ]


def at_source(layout: Layout) -> list[str]:
    """``brackets_at(...)``: values and sizes of all brackets at given kernels."""
    n, count = LANES, len(layout.entries)
    return [
        "def brackets_at(kernels, tops, starts, u, w, values, sizes):",
        f"    work = np.zeros({layout.rows * n})",
        f"    for base in range(0, kernels.size, {n}):",
        f"        for p in range({n}):",
        f"            {at(layout.kernel)} = kernels[base + p]",
        "        averages_sized(work, tops, starts, u, w, 0)",
        f"        for m in range({count}):",
        f"            for p in range({n}):",
        f"                values[m, base + p] = work[({layout.brackets} + m) * {n} + p]",
        f"                sizes[m, base + p] = work[({layout.bracket_sizes} + m) * {n} + p]",
    ]
