"""What stands beside the panels: the derived recursions as MathML, and the source of the kernel that runs them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from rgflow.activations import activation
from rgflow.derive import derive
from rgflow.errors import RgflowError
from rgflow.explorer.fields import order
from rgflow.explorer.state import State
from rgflow.flow import compiled
from rgflow.layers import forgets, laws
from rgflow.mathematics import mathml
from rgflow.network import Layer
from rgflow.network.layer import KINDS

SAYS = {
    "K": "the kernel: the variance of a neuron's preactivation",
    "Theta": "the neural tangent kernel: how fast gradient descent moves an output",
    "V": "the four-point vertex: how much the kernel of one network differs from the mean",
    "K_1": "the first correction to the kernel, a further factor 1/n",
    "Theta_1": "the first correction to the tangent kernel",
}
TITLES = {"K": "K", "Theta": "Θ", "V": "V", "K_1": "K₁", "Theta_1": "Θ₁"}
_ONE, _PRIME = r"(<mi>[^<]*</mi>|<mrow><mi>[^<]*</mi></mrow>)", r"(?:<mrow>)?<mi>&#x02032;</mi>(?:</mrow>)?"
_DASH = '<mo lspace="0" rspace="0">&#x02032;</mo>'
_PRIMES = (  # a prime stands high by itself: as an exponent it would stand twice as high
    (f"<msup>{_ONE}{_PRIME}</msup>", rf"<mrow>\1{_DASH}</mrow>"),
    (f"<msubsup>{_ONE}{_ONE}{_PRIME}</msubsup>", rf"<msub><mrow>\1{_DASH}</mrow>\2</msub>"),
)
LONGEST = 12_000  # characters of LaTeX: beyond, an equation is no longer read on a page


def reading(state: State) -> dict[str, Any]:
    """Recursions and source for the layers of a state.

    Returns ``recursions``, a list of {name, title, says, mathml, latex, text} or with ``note`` where an equation is too
    long to be read here, and ``source`` or ``source_note``.
    """
    place = state.place or None
    names = tuple(SAYS) if order(state.kind) else ("K", "Theta")
    return {
        "recursions": [dict(recursion(name, state.kind.__name__, place)) for name in names],
        **dict(source(state.activation, state.kind.__name__)),
    }


@lru_cache(maxsize=256)
def recursion(name: str, kind: str, place: str | None) -> dict[str, Any]:
    """One recursion of a kind of layer."""
    found = {"name": name, "title": TITLES[name], "says": SAYS[name]}
    try:
        rec = derive(name, layer=_bare(kind, place))
    except RgflowError as error:
        return {**found, "note": str(error)}
    latex = rec.latex()
    if len(latex) > LONGEST:
        return {**found, "note": f"{len(latex)} characters of LaTeX: {_call(name, kind, place)} prints it"}
    return {**found, "latex": latex, "mathml": [drawn(line) for line in _lines(latex)], "text": str(rec)}


@lru_cache(maxsize=64)
def source(sigma: str, kind: str) -> dict[str, str]:
    """The generated kernel, where one step from layer to layer is all."""
    layer = _bare(kind, None)
    rules = laws(layer)
    if len(rules) > 1 or not all(map(forgets, rules)):
        return {
            "source": "",
            "source_note": (
                f"{kind} layers have no kernel from one layer to the next: their neurons keep their past or are "
                "normalised, and rgflow.flow follows the lines above through all pairs of layers"
            ),
        }
    names = [name for name in ("K", "V", "Theta") if not order(type(layer)) < 1 or name != "V"]
    try:
        kernel = compiled(names, activation(sigma), layer=layer)
    except RgflowError as error:
        return {"source": "", "source_note": str(error)}
    return {"source": kernel.source, "source_note": ""}


def drawn(latex: str) -> str:
    """An equation as browsers draw it.

    >>> drawn("K")[:5]
    '<math'
    """
    # names are no products of letters
    found = mathml(re.sub(r"\\mathrm\{([a-z]+)\}", r"\\text{\1}", latex))
    for pattern, primed in _PRIMES:
        found = re.sub(pattern, primed, found)
    return found


def _lines(latex: str) -> list[str]:
    """The equations of an aligned group one by one."""
    inside = re.fullmatch(r"\\begin\{aligned\}\s*(.*?)\s*\\end\{aligned\}", latex, re.DOTALL)
    if inside is None:
        return [latex]
    return [line.replace("&", "").strip() for line in re.split(r"\\\\\s*\n", inside[1])]


def _bare(kind: str, place: str | None) -> Layer:
    described = KINDS[kind]
    return described(**({"place": place} if place else {}))


def _call(name: str, kind: str, place: str | None) -> str:
    inside = f"place={place!r}" if place else ""
    return f'rgflow.derive("{name}", layer=rgflow.{kind}({inside}))'
