"""Readable source of single-input brackets by quadrature: scalar loops that Numba compiles and plain Python runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rgflow.activations import Activation
from rgflow.brackets.jumps import branch_function, jump
from rgflow.brackets.leibniz import Polynomial, leibniz
from rgflow.brackets.rules import gauss_legendre
from rgflow.brackets.smooth import Entry, is_odd
from rgflow.brackets.traits import traits

GAUSS_NODES = (24, 16)
Placed = Sequence[tuple[int, Entry]]
"""Brackets with their places in the output."""
Text = tuple[list[str], list[str]]
"""Lines above a function and lines of its body."""


def derivative_order(activation: Activation, brackets: Sequence[Entry]) -> int:
    """The order that ``Activation.source`` must reach for these brackets."""
    table = [_branch(activation, entry) for entry in brackets]
    return max((order for terms in table for _, product in terms for order in product), default=0)


def growth_rate(activation: Activation, brackets: Sequence[Entry]) -> float:
    """The argument ``growth_cut``: rate of exponential growth of the strongest integrand."""
    return float(activation.growth) * max((len(orders) for orders, _ in brackets), default=0)


def bracket_name(entry: Entry) -> str:
    """A bracket in plain text.

    >>> bracket_name(((0, 1), 2))
    "<s s' ; d^2>"
    """
    orders, pending = entry
    primes = {0: "s", 1: "s'", 2: "s''", 3: "s'''"}
    written = " ".join(primes.get(k, f"s^({k})") for k in orders)
    return f"<{written} ; d^{pending}>" if pending else f"<{written}>"


def _branch(activation: Activation, entry: Entry) -> Polynomial:
    return leibniz(tuple(sorted(entry[0])), entry[1])


def _cut(activation: Activation, entries: Sequence[Entry]) -> float:
    factors = max((len(orders) for orders, _ in entries), default=0)
    return math.sqrt(max(81.0, 69 + 4 * traits(activation).power * factors))


def least_nodes(activation: Activation, brackets: Sequence[Entry], kernel: float) -> float:
    """Nodes n on each side of zero with which two rules can see an oscillating sigma at all (0 for any other).

    The coarse rule has step h = cut/n and mistakes frequencies w for w - 2 pi/h. Its aliased frequency must pass the
    highest frequency of a bracket, that of sigma times sqrt(K) times the number of factors, by 9: exp(-9^2/2) < 1e-17.
    """
    frequency = traits(activation).frequency
    if frequency == 0 or not brackets:
        return 0.0
    factors = max((len(orders) for orders, _ in brackets), default=0)
    cut = _cut(activation, brackets) + growth_rate(activation, brackets) * math.sqrt(kernel)
    return cut * (factors * frequency * math.sqrt(kernel) + 9) / (2 * math.pi)


class _Body:
    """Straight-line products of d[0], d[1], ...; each product is formed once."""

    def __init__(self, indent: str):
        self.indent, self.lines = indent, list[str]()
        self.names: dict[tuple[int, ...], str] = {}

    def product(self, orders: tuple[int, ...]) -> str:
        if not orders:
            return "1.0"
        if len(orders) == 1:
            return f"d[{orders[0]}]"
        if orders not in self.names:
            left = self.product(orders[:-1])
            self.names[orders] = f"q{'_'.join(map(str, orders))}"
            self.lines.append(f"{self.indent}{self.names[orders]} = {left} * d[{orders[-1]}]")
        return self.names[orders]

    def value(self, polynomial: Polynomial) -> str:
        terms = [(coefficient, self.product(orders)) for coefficient, orders in polynomial]
        return " + ".join(text if c == 1 else f"{c}.0 * {text}" for c, text in terms) or "0.0"

    def size(self, polynomial: Polynomial) -> str:
        """The sum of the absolute values of the terms: what rounding is relative to, also where they cancel."""
        if len(polynomial) == 1:
            return "abs(x)"
        terms = [(abs(coefficient), self.product(orders)) for coefficient, orders in polynomial]
        return "w * (" + " + ".join(f"abs({text})" if c == 1 else f"{c}.0 * abs({text})" for c, text in terms) + ")"


def smooth_lines(placed: Placed, activation: Activation, name: str) -> Text:
    """The trapezoid rule in t for a smooth sigma; what is odd is exactly zero."""
    entries = [entry for _, entry in placed]
    order = derivative_order(activation, entries)
    even = activation.parity != 0
    live = {i: entry for i, entry in placed if not is_odd(activation, (entry,))}
    plain = activation.oscillating or activation.growth > 0 or activation.polynomial is not None
    body = _Body(" " * 8)
    for i, entry in live.items():
        value, size = body.value(leibniz(*entry)), body.size(leibniz(*entry))
        body.lines += [
            f"        x = w * ({value})  # {bracket_name(entry)}",
            f"        a{i} += x",
            f"        e{i} += even * x",
            f"        m{i} += {size}",
        ]
    lines = [
        f"    # trapezoid rule, z = sqrt(K) u, u = {'t' if plain else 'c sinh t'}",
        "    # even nodes: step h; all nodes: step h/2",
        "    s = math.sqrt(K)",
        f"    cut = {_cut(activation, entries)!r} + growth_cut * s",
    ]
    lines += ["    h = cut / n"] if plain else ["    c = 1.0 / max(1.0, s)", "    h = math.asinh(cut / c) / n"]
    lines += [f"    d = np.empty({order + 1})"]
    lines += [f"    {letter}{i} = 0.0" for i in live for letter in "aem"]
    lines += [f"    for i in range({'0' if even else '-2 * n'}, 2 * n + 1):", "        even = 1.0 - (i & 1)"]
    if plain:
        lines += ["        u = 0.5 * h * i", "        w = 0.3989422804014327 * 0.5 * h * math.exp(-0.5 * u * u)"]
    else:
        lines += [
            "        t = 0.5 * h * i",
            "        u = c * math.sinh(t)",
            "        w = 0.3989422804014327 * 0.5 * h * c * math.cosh(t) * math.exp(-0.5 * u * u)",
        ]
    if even:
        lines += ["        if i > 0:", "            w *= 2.0"]
    lines += ["        derivatives_p0(s * u, d)", *body.lines]
    for i, entry in placed:
        lines.append(f"    # {bracket_name(entry)}" + ("" if i in live else ": odd, exactly zero"))
        lines += [f"    out[{i}, 0] = {f'a{i}' if i in live else '0.0'}"]
        lines += [f"    out[{i}, 1] = {f'2.0 * e{i}' if i in live else '0.0'}"]
        lines += [f"    scale[{i}] = {f'm{i}' if i in live else '0.0'}"]
    return [], lines


def _constants(name: str) -> list[str]:
    lines = []
    for n in GAUSS_NODES:
        x, w = gauss_legendre(n)
        for letter, values in (("X", x), ("W", w)):
            rows = [", ".join(repr(float(v)) for v in values[i : i + 4]) for i in range(0, n, 4)]
            lines += [f"{name.upper()}_{letter}{n} = np.array([", *[f"    {row}," for row in rows], "])"]
    return lines


def kinked_lines(placed: Placed, activation: Activation, name: str) -> Text:
    """Gauss-Legendre between the kinks and the jumps at them."""
    lines = _kinked_head(placed, activation)
    for piece in range(len(activation.kinks) + 1):
        lines += _segment(piece, activation.kinks)
        for column, nodes in enumerate(GAUSS_NODES):
            lines += [
                f"            for i in range({nodes}):",
                f"                t = middle + half * {name.upper()}_X{nodes}[i]",
                "                u = c * math.sinh(t)",
                f"                w = 0.3989422804014327 * half * {name.upper()}_W{nodes}[i] * c * math.cosh(t)"
                " * math.exp(-0.5 * u * u)",
                f"                derivatives_p{piece}(s * u, d)",
                *_node_sums(placed, activation, column),
            ]
    return [*_constants(name), "", ""], lines + _jump_lines(placed, activation)


def _kinked_head(placed: Placed, activation: Activation) -> list[str]:
    """What comes before the pieces."""
    entries = [entry for _, entry in placed]
    farthest = max(abs(kink) for kink in activation.kinks)
    big, small = GAUSS_NODES
    # sigma varies on the scale 1 unless its pieces are polynomials, which know no scale
    scale_free = all(piece is not None for piece in activation.piece_polynomials)
    reach = (
        f"    cut = max(cut, min({farthest!r} / s + min(9.0, 40.0 * s / {farthest!r}), 38.0))  # see beyond the kinks"
    )
    return [
        f"    # Gauss-Legendre with {big} and {small} nodes on n panels between kinks, z = sqrt(K) c sinh t",
        "    # then the jumps",
        f"    for i in {_range([i for i, _ in placed])}:",
        "        out[i, 0] = 0.0",
        "        out[i, 1] = 0.0",
        "        scale[i] = 0.0",
        f"    d = np.empty({derivative_order(activation, entries) + 1})",
        "    s = math.sqrt(K)",
        "    if s == 0.0:",
        *_at_zero(placed, activation),
        "        return",
        f"    cut = {_cut(activation, entries)!r} + growth_cut * s",
        *([reach] if farthest else []),
        f"    c = {'1.0' if scale_free else '1.0 / max(1.0, s)'}",
    ]


def _segment(piece: int, kinks: Sequence[float]) -> list[str]:
    """The loop over the panels of a piece."""
    low = "-cut" if piece == 0 else f"min(max({kinks[piece - 1]!r} / s, -cut), cut)"
    high = "cut" if piece == len(kinks) else f"min(max({kinks[piece]!r} / s, -cut), cut)"
    return [
        f"    # piece {piece}",
        f"    low = math.asinh({low} / c)",
        f"    high = math.asinh({high} / c)",
        "    half = 0.5 * (high - low) / n",
        "    if half > 0.0:",
        "        for j in range(n):",
        "            middle = low + (2 * j + 1) * half",
    ]


def _node_sums(placed: Placed, activation: Activation, column: int) -> list[str]:
    """What a node adds to the brackets by one of the two rules; sizes are those of the finer."""
    body = _Body(" " * 16)
    for i, entry in placed:
        branch = branch_function(activation, *entry)
        value, size = body.value(branch), body.size(branch)
        if value != "0.0":
            body.lines += [
                f"                x = w * ({value})  # {bracket_name(entry)}",
                f"                out[{i}, {column}] += x",
                *([f"                scale[{i}] += {size}"] if column == 0 else []),
            ]
    return body.lines


def _range(places: list[int]) -> str:
    """Text of what runs over the places; a tuple is what Numba unrolls best."""
    return f"range({len(places)})" if places == list(range(len(places))) else f"({', '.join(map(str, places))},)"


def _jump_lines(placed: Placed, activation: Activation) -> list[str]:
    """<delta^{(i)}(z - c)> = He_i(c/s) p(c) / s^i, times the jump of the (m-1-i)-th derivative."""
    lines = []
    name_of = dict(placed)
    for place, kink in enumerate(activation.kinks):
        terms = [
            (i, m - 1 - j, size)
            for i, (orders, m) in placed
            for j in range(m)
            if (size := jump(activation, orders, j, place)) != 0.0
        ]
        if not terms:
            continue
        lines += [
            f"    # jumps at z = {kink!r}",
            f"    x = {kink!r} / s",
            "    he0 = 0.3989422804014327 * math.exp(-0.5 * x * x) / s",
            "    he1 = he0 * x / s",
        ]
        for k in range(2, 1 + max(index for _, index, _ in terms)):
            lines.append(f"    he{k} = (x * he{k - 1} - {k - 1}.0 * he{k - 2} / s) / s")
        for i, index, size in terms:
            lines += [
                f"    x = {size!r} * he{index}  # {bracket_name(name_of[i])}",
                f"    out[{i}, 0] += x",
                f"    out[{i}, 1] += x",
                f"    scale[{i}] += abs(x)",
            ]
    return lines


def breaks_at_zero(activation: Activation, entry: Entry) -> bool:
    """Whether a kink at 0 makes the limit K -> 0 depend on how it is taken."""
    if 0.0 not in activation.kinks:
        return False
    place = activation.kinks.index(0.0)
    return any(jump(activation, entry[0], j, place) != 0.0 for j in range(entry[1] + 1))


def _at_zero(placed: Placed, activation: Activation) -> list[str]:
    """K = 0: the value at z = 0, or NaN where a kink at 0 makes the limit depend on how it is taken."""
    place = activation.kinks.index(0.0) if 0.0 in activation.kinks else -1
    piece = place if place >= 0 else sum(kink < 0 for kink in activation.kinks)
    body = _Body(" " * 8)
    for i, entry in placed:
        value = "math.nan" if breaks_at_zero(activation, entry) else body.value(branch_function(activation, *entry))
        body.lines += [f"        out[{i}, 0] = {value}", f"        out[{i}, 1] = out[{i}, 0]"]
        body.lines += [f"        scale[{i}] = abs(out[{i}, 0])"]
    return [f"        derivatives_p{piece}(0.0, d)", *body.lines]
