"""Equations on a page that browsers draw by themselves: LaTeX as MathML, and a font with mathematical metrics.

Nothing is fetched and no script runs: MathML is part of HTML, and STIX Two Math (SIL Open Font License) goes with the
page, since a machine without a mathematical font sets superscripts badly.
"""

from __future__ import annotations

import io
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from rgflow.errors import MissingExtra

# What formulas of this field are set in: letters, Greek, their italic and script forms, arrows, operators, brackets.
_CHARACTERS = (
    (0x20, 0x7F), (0xA0, 0x100), (0x300, 0x33C), (0x391, 0x3F6), (0x2010, 0x2038), (0x2061, 0x2064), (0x210E, 0x2120),
    (0x2190, 0x21D5), (0x2200, 0x2300), (0x27E6, 0x27EE), (0x1D434, 0x1D468), (0x1D49C, 0x1D4D0), (0x1D538, 0x1D56C),
    (0x1D6A4, 0x1D6A6), (0x1D6E2, 0x1D71C),
)  # fmt: skip

# What latex2mathml does not know by these names.
_BRACKETS = {r"\langle": "⟨", r"\rangle": "⟩", r"\|": "‖", r"\lbrace": "{", r"\rbrace": "}"}
_SIZED = re.compile(r"(\\[bB]igg?[lr]?)\s*(\\langle|\\rangle|\\\||\\lbrace|\\rbrace)")
_FONT = re.compile(r"\\(mathbb|mathcal|mathbf)\s+([A-Za-z])")
# As browsers space them: |x| is no relation, and the tilde of a distribution is one.
_SPACED = {
    '<mo stretchy="false">&#x0007C;</mo>': '<mo stretchy="false" lspace="0.1em" rspace="0.1em">|</mo>',
    "<mi>&#x0007E;</mi>": "<mo>∼</mo>",
}

# Equations over several lines are aligned at the sign of equality; browsers know columns by CSS only.
ALIGNED = "math mtd { text-align: left; padding-inline: 0; } math mtr > mtd:first-child { text-align: right; }"


@cache
def mathml(latex: str, display: str = "block") -> str:
    """LaTeX without delimiters as a <math> element; ``display`` is "block" or "inline".

    Raises
    ------
    MissingExtra
        latex2mathml is not installed.

    >>> mathml("x", "inline")
    '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow><mi>x</mi></mrow></math>'
    """
    try:
        from latex2mathml.converter import convert
    except ImportError:
        raise MissingExtra("equations on a page", "book") from None
    found = str(convert(_known(latex), display=display))
    if r"\begin{aligned}" in latex:
        found = found.replace("<mtable", '<mtable displaystyle="true"')
    for converted, drawn in _SPACED.items():
        found = found.replace(converted, drawn)
    return found


def _known(latex: str) -> str:
    """The same equation in the commands that latex2mathml knows: arrays, and brackets that have a size.

    >>> _known(r"\\mathbb E \\big\\langle x")
    '\\\\mathbb{E} \\\\big⟨ x'
    """
    latex = _SIZED.sub(lambda found: found[1] + _BRACKETS[found[2]], latex)
    latex = _FONT.sub(r"\\\1{\2}", latex)
    return latex.replace(r"\begin{aligned}", r"\begin{array}{rl}").replace(r"\end{aligned}", r"\end{array}")


@cache
def math_font() -> bytes:
    """STIX Two Math as a WOFF file, cut down to the characters of formulas.

    Raises
    ------
    MissingExtra
        ziamath, which carries the font, is not installed.
    """
    package = find_spec("ziamath")
    if package is None or package.origin is None:
        raise MissingExtra("the font of equations", "book")
    from fontTools import subset
    from fontTools.ttLib import TTFont

    font = TTFont(Path(package.origin).parent / "fonts" / "STIXTwoMath-Regular.ttf", recalcTimestamp=False)
    options = subset.Options(flavor="woff", layout_features=["*"], hinting=False, glyph_names=False)
    options.drop_tables += ["DSIG", "GPOS"]
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=[c for low, high in _CHARACTERS for c in range(low, high)])
    cutter.subset(font)
    font.flavor = "woff"
    out = io.BytesIO()
    font.save(out)
    return out.getvalue()


def font_face() -> str:
    """The CSS that gives a page this font, itself inside; ``math { font-family: "STIX Two Math", math }`` uses it."""
    from base64 import b64encode

    data = b64encode(math_font()).decode("ascii")
    source = f'url(data:font/woff;base64,{data}) format("woff")'
    return f'@font-face {{ font-family: "STIX Two Math"; src: {source}; }}\n{ALIGNED}'
