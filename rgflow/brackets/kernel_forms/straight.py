"""Closed forms as straight-line source: every root and every arctangent is formed once."""

from __future__ import annotations

from rgflow.brackets.kernel_forms.summands import (
    UNIT,
    VARIABLE,
    Angle,
    Closed,
    ExponentialSum,
    HalfPowers,
    Polynomial,
    Summand,
)

INDENT = "    "
WIDTH = 112


class Straight:
    """Lines of one function of K, with the names of what it has formed.

    >>> code = Straight()
    >>> code.bracket(0, Closed("K/2", (Summand(0.5, powers=((VARIABLE, 2),)),)), "<s s>")
    >>> print("\\n".join(code.lines))
        # <s s>, closed form: K/2
        v = 0.5 * K
        out[0, 0] = v
        out[0, 1] = v
        scale[0] = abs(v)
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, str] = {}

    def bracket(self, place: int, closed: Closed, name: str, kink_at_zero: bool = False) -> None:
        """Lines that store a bracket, its equal under the other rule, and its size.

        ``kink_at_zero``: at K = 0 the bracket depends on how a kink is approached, and is no number.
        """
        self.lines += _comment(f"{name}, closed form: {closed.text}")
        parts, value, size = closed.parts, "v", "m"
        guard = " if K > 0.0 else math.nan" if kink_at_zero else ""
        if not parts:
            value, size = f"0.0{guard}", "0.0"
        elif len(parts) == 1 and isinstance(parts[0], Summand) and _plain(parts[0]):
            self._add(f"v = {self._product(parts[0], parts[0].numerator)}{guard}")
            size = "abs(v)"
        else:
            for number, part in enumerate(parts):
                count = len(parts)
                lines = self._term(part, count) if isinstance(part, Summand) else self._exponentials(part, count)
                for line in lines:
                    started = line if number else line.replace("v +=", "v =").replace("m +=", "m =")
                    self._add(started + guard if line.startswith("x =") else started)
        self.lines += [f"{INDENT}out[{place}, {rule}] = {value}" for rule in (0, 1)]
        self._add(f"scale[{place}] = {size}")

    def _add(self, line: str) -> None:
        self.lines.append(INDENT + line)

    def _name(self, letter: str, expression: str) -> str:
        """The name of an expression, formed once."""
        if expression not in self.names:
            number = sum(name.rstrip("0123456789") == letter for name in self.names.values())
            self.names[expression] = f"{letter}{number}"
            self._add(f"{self.names[expression]} = {expression}")
        return self.names[expression]

    def _term(self, term: Summand, parts: int) -> list[str]:
        """Lines that add a term to v and its size to m."""
        weight = term.weight(parts)
        shown = "" if weight == 1 else f"{weight!r} * "
        if term.rate:
            shown = f"({weight!r} + {abs(term.rate) / 8!r} * K) * "
        if not term.mixed:
            return [f"x = {self._product(term, term.numerator)}", "v += x", f"m += {shown}abs(x)"]
        return [
            f"x = {self._product(term, UNIT)}",
            f"v += x * ({_horner(term.numerator)})",
            f"m += {shown}abs(x) * ({_horner(tuple(map(abs, term.numerator)))})",
        ]

    def _product(self, term: Summand, numerator: Polynomial) -> str:
        above, below = self._powers(term.powers)
        if numerator != UNIT:
            above.append(f"({_horner(numerator)})")
        if term.angle is not None:
            above.append(self._angle(term.angle))
        if term.rate:
            above.append(self._name("exp", f"math.exp({term.rate!r} * K)"))
        if term.constant != 1 or not above:
            above.insert(0, repr(term.constant))
        text = " * ".join(above)
        if below:
            text += " / " + (below[0] if len(below) == 1 else f"({' * '.join(below)})")
        return text

    def _powers(self, powers: HalfPowers) -> tuple[list[str], list[str]]:
        above: list[str] = []
        below: list[str] = []
        for base, halves in powers:
            name = "K" if base == VARIABLE else self._name("p", _horner(base))
            row = above if halves > 0 else below
            row += [name] * (abs(halves) // 2)
            if halves % 2:
                row.append(self._name("r", f"math.sqrt({name})"))
        return above, below

    def _angle(self, angle: Angle) -> str:
        above, below = self._powers(angle.below)
        front = " * ".join(["K"] * angle.power) or "1.0"
        front = front if angle.scale == 1 else f"{angle.scale!r} * {front}"
        return self._name("arc", f"math.atan({front} / {' / '.join([*above, *below])})")

    def _exponentials(self, part: ExponentialSum, parts: int) -> list[str]:
        """By powers of expm1 or of exp, whichever cancels less."""
        y = self._name("expm", f"math.expm1({part.rate!r} * K)")
        e = self._name("exp", f"math.exp({part.rate!r} * K)")
        g = abs(part.rate) / 8
        plain = _in_powers(part.plain, e)
        sizes = " + ".join(
            f"{abs(c)!r}" if n == 0 else f"{abs(c)!r} * {_raised(e, n)} * (1.0 + {n * g!r} * K)" for n, c in part.plain
        )
        weight = "" if part.weight(parts) == 1 else f"{part.weight(parts)!r} * "
        positive = tuple(map(abs, part.shifted))
        steep = f" * (1.0 + {part.rate!r} * K)" if part.rate > 0 else ""
        within = _horner(positive, f"abs({y})")
        return [
            f"x = {_horner(part.shifted, y)}",
            f"w = {f'({within})' if steep else within}{steep}",
            f"u = {sizes}",
            "if u < w:",
            f"    x = {plain}",
            "    w = u",
            "v += x",
            f"m += {weight}w",
        ]


def _plain(term: Summand) -> bool:
    return not term.mixed and not term.rate and term.weight(1) == 1


def _horner(polynomial: Polynomial, variable: str = "K") -> str:
    """A polynomial in nested form.

    >>> _horner((1.0, 2.0)), _horner((0.0, 1.0, 3.0)), _horner((0.0, 0.0, 1.0))
    ('1.0 + 2.0 * K', 'K * (1.0 + 3.0 * K)', 'K * K')
    """
    first, rest = polynomial[0], polynomial[1:]
    if not any(rest):
        return repr(first)
    inner = _horner(rest, variable)
    if inner in ("1.0", "-1.0"):
        inner = inner.replace("1.0", variable)
    elif " + " in inner or " - " in inner:
        inner = f"{variable} * ({inner})"
    elif any(rest[1:]) and rest[0] == 0:
        inner = f"{variable} * {inner}"
    else:
        inner = f"{inner} * {variable}"
    return inner if first == 0 else _sum([repr(first), inner])


def _sum(terms: list[str]) -> str:
    return " + ".join(terms).replace("+ -", "- ")


def _in_powers(plain: tuple[tuple[int, float], ...], e: str) -> str:
    return _sum([repr(c) if n == 0 else f"{c!r} * {_raised(e, n)}" for n, c in plain])


def _raised(name: str, power: int) -> str:
    return name if power == 1 else f"{name}**{power}"


def _comment(text: str) -> list[str]:
    """A comment of several lines."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        if line and len(line) + len(word) > WIDTH:
            lines.append(line)
            line = "  " + word
        else:
            line = f"{line} {word}" if line else word
    return [f"{INDENT}# {one}" for one in [*lines, line]]
