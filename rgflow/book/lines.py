"""Long equations broken into lines, at sums that stand in no parenthesis."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|.", re.DOTALL)
_OPEN = ("{", "(", "[", r"\left", r"\langle", r"\{", r"\begin")
_CLOSE = ("}", ")", "]", r"\right", r"\rangle", r"\}", r"\end")


def broken(latex: str, width: int = 150) -> str:
    """The equation as it is if it is short; else aligned, with as many terms to a line as fit.

    ``width`` is counted in characters of what is seen, roughly: commands count as one.

    >>> broken("a = b + c")
    'a = b + c'
    >>> print(broken("a = b + c - d", width=3))
    \\begin{aligned}a ={}& b \\\\ &{}+ c \\\\ &{}- d\\end{aligned}
    """
    if seen(latex) <= width or r"\begin" in latex:
        return latex
    left, equals, right = latex.partition(" = ")
    if not equals:
        return latex
    lines: list[str] = []
    for term in terms(right):
        if lines and seen(lines[-1]) + seen(term) <= width - seen(left):
            lines[-1] += term
        else:
            lines.append(term)
    first, *others = (line.strip() for line in lines)
    return rf"\begin{{aligned}}{left} ={{}}& {first}" + "".join(rf" \\ &{{}}{o}" for o in others) + r"\end{aligned}"


def seen(latex: str) -> int:
    """About how wide it is: characters that are drawn."""
    return len(re.sub(r"\\[a-zA-Z]+|\\.", "x", latex.replace(r"\,", "")).translate(str.maketrans("", "", "{}^_ &")))


def terms(latex: str) -> list[str]:
    """The summands, each with its sign in front.

    >>> terms("a + (b - c)\\\\frac{1 + 2}{3} - d")
    ['a ', '+ (b - c)\\\\frac{1 + 2}{3} ', '- d']
    """
    found, depth, sized = [""], 0, False
    for token in _TOKEN.findall(latex):
        if sized:  # the parenthesis after \left or \right is counted with it
            sized = False
        elif token in _OPEN:
            depth += 1
            sized = token == r"\left"
        elif token in _CLOSE:
            depth -= 1
            sized = token == r"\right"
        elif token in "+-" and depth == 0 and found[-1].strip():
            found.append("")
        found[-1] += token
    return found
