"""One state of the page: validated, hashable, written into the address, and a network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from rgflow.activations import Activation, activation
from rgflow.errors import InputError, UnknownName
from rgflow.explorer.fields import FIELDS, LONGEST_FORMULA, default, kinds, numbers, order, places, quick, reads_z
from rgflow.layers.laws import laws
from rgflow.network import MLP, Dense, Layer, Network
from rgflow.network.layer import KINDS

LONGEST_QUERY = 2000


class Refused(InputError):
    """What is no state at all: an unknown key, a number out of bounds, a text where a number stands."""


@dataclass(frozen=True)
class State:
    """What is chosen on the page.

    Attributes
    ----------
    activation : str
        A name of the catalogue, or a formula in z.
    layer : str
        The kind of the layers between the first and the last, in small letters.
    numbers : tuple of (name, float)
        Every field of that kind, in the order of the page.
    place : str
        Where a norm stands: "before" or "after"; empty for kinds without one.
    """

    activation: str
    layer: str
    numbers: tuple[tuple[str, float], ...]
    place: str = ""

    def __getitem__(self, name: str) -> float:
        return dict(self.numbers)[name]

    @property
    def kind(self) -> type[Layer]:
        """The description of its layers."""
        return kinds()[self.layer]

    @property
    def width(self) -> int:
        """Neurons of every layer."""
        return int(self["width"])

    @property
    def depth(self) -> int:
        """Weight layers."""
        return int(self["depth"])

    @property
    def quick(self) -> bool:
        """Whether the 1/n part is known at once."""
        return quick(self.kind)

    @property
    def order(self) -> int:
        """The order in 1/n that is shown."""
        return order(self.kind)

    @property
    def sigma(self) -> Activation:
        """Its activation; FormulaError or UnknownName for a text that is none."""
        return activation(self.activation)

    @property
    def inner(self) -> Layer:
        """A layer between the first and the last."""
        own: Any = {name: value for name, value in self.numbers if name in self.kind.hyperparameters()}
        return self.kind(**own, **({"place": self.place} if self.place else {}))

    @property
    def ends(self) -> Layer:
        """The first and the last layer: of the same numbers, as far as they have them."""
        if self.layer == "dense":
            return self.inner
        kind: type[Layer] = KINDS["Linear"] if reads_z(self.kind) else Dense
        own: Any = {name: value for name, value in self.numbers if name in kind.hyperparameters()}
        if "C_b" not in own:
            own["C_b"] = 0.0
        return kind(**own)

    def network(self) -> Network:
        """The network of this state.

        >>> state_of({"layer": "residual", "depth": 4, "width": 8}).network().kinds
        'dense, 2 residual, dense'
        """
        if self.layer == "dense":
            own: Any = {name: value for name, value in self.numbers if name in self.kind.hyperparameters()}
            return MLP.uniform(self.width, self.width, self.depth, activation=self.sigma, **own)
        end = self.ends
        layers = [end, *[self.inner] * (self.depth - 2), end]
        return Network(layers, [self.width] * (self.depth + 1), self.sigma)

    def query(self) -> str:
        """What stands behind the ? of the address.

        >>> state_of({}).query()[:44]
        'activation=tanh&layer=dense&C_W=1&C_b=0&widt'
        """
        pairs = [("activation", self.activation), ("layer", self.layer)]
        pairs += [("place", self.place)] if self.place else []
        return urlencode(pairs + [(name, _short(value)) for name, value in self.numbers])

    def as_dict(self) -> dict[str, Any]:
        """The same as one object of JSON."""
        found: dict[str, Any] = {"activation": self.activation, "layer": self.layer}
        if self.place:
            found["place"] = self.place
        return found | {name: int(value) if FIELDS[name].whole else value for name, value in self.numbers}


def state_of(given: Any) -> State:
    """A state from an object of JSON; what is not said has its default.

    Raises
    ------
    Refused
        For anything that is not such an object, an unknown kind of layer, a key that it has not, a
        number out of bounds.
    InputError
        For numbers that do not go together.
    UnknownName
        For an activation nobody knows.
    FormulaError
        For a text that is no formula in z.

    >>> state_of({"activation": "relu", "C_W": 2})["C_W"]
    2.0
    >>> state_of({"C_W": -1})
    Traceback (most recent call last):
    ...
    rgflow.explorer.state.Refused: C_W is -1; here it is between 0 and 100
    """
    if not isinstance(given, Mapping):
        raise Refused(f"the state is {_shown(given)}; it is an object with names and numbers")
    found = dict(given)
    text = _text("activation", found.pop("activation", "tanh"), LONGEST_FORMULA)
    layer = _text("layer", found.pop("layer", "dense"), 40)
    if layer not in kinds():
        raise Refused(str(UnknownName("kind of layer", layer, tuple(kinds()))))
    kind = kinds()[layer]
    place = _place(layer, kind, found)
    own = numbers(kind)
    for name in found:
        if name not in own:
            raise Refused(_not_here(name, layer, own))
    values = tuple((name, _number(name, found[name]) if name in found else default(kind, name)) for name in own)
    state = State(text, layer, values, place)
    _together(state)
    return state


def state_of_query(query: str) -> State:
    """A state from an address.

    Raises the same, and Refused for a key that stands there twice or an address that is too long.

    >>> state_of_query("?activation=relu&C_W=2").query() == state_of({"activation": "relu", "C_W": 2.0}).query()
    True
    """
    if len(query) > LONGEST_QUERY:
        raise Refused(f"the address has {len(query)} characters behind the ?; at most {LONGEST_QUERY} are read")
    try:
        pairs = parse_qsl(query.removeprefix("?"), keep_blank_values=True, strict_parsing=bool(query.strip("?")))
    except ValueError as error:
        raise Refused(f"the address cannot be read: {error}") from None
    found: dict[str, Any] = {}
    for name, text in pairs:
        if name in found:
            raise Refused(f"the address says {name[:40]!r} twice")
        found[name] = _read(name, text) if name in FIELDS else text
    return state_of(found)


def _read(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Refused(f"{name} is {_shown(text)} in the address; it is a number") from None


def _text(name: str, value: Any, longest: int) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Refused(f"{name} is {_shown(value)}; it is a text")
    if len(value) > longest:
        raise Refused(f"{name} has {len(value)} characters; at most {longest} are read here")
    return value.strip()


def _number(name: str, value: Any) -> float:
    field = FIELDS[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"{name} is {_shown(value)}; it is a number")
    if not field.least <= value <= field.most:  # NaN as well
        raise Refused(f"{name} is {_shown(value)}; here it is between {field.least:g} and {field.most:g}")
    if field.whole and value != math.floor(value):
        raise Refused(f"{name} is {_shown(value)}; it is a whole number")
    return float(value)


def _place(layer: str, kind: type[Layer], found: dict[str, Any]) -> str:
    known = places(kind)
    if not known:
        if "place" in found:
            raise Refused(f"place is {_shown(found['place'])}, but {layer} layers have no norm")
        return ""
    place = found.pop("place", known[0])
    if place not in known:
        raise Refused(f"place is {_shown(place)}; it is {' or '.join(map(repr, known))}")
    return str(place)


def _not_here(name: Any, layer: str, own: tuple[str, ...]) -> str:
    if name in FIELDS:
        return f"{name} is given, but {layer} layers have none; theirs are {', '.join(own)}"
    return f"unknown key {_shown(name)}; known: activation, layer, {', '.join(own)}"


def _together(state: State) -> None:
    """What single numbers do not tell: the activation is one, and the first kernel can be reached."""
    odd_only(state)
    first, end = state["first_kernel"], state.ends
    if first < end.value("C_b") or (end.value("C_W") == 0 and first != end.value("C_b")):
        raise InputError(
            f"first_kernel is {first:g} with C_b = {end.value('C_b'):g} and C_W = {end.value('C_W'):g}: "
            "K of layer 1 is C_b + C_W x·x/n_0; raise it, or lower C_b"
        )


def odd_only(state: State) -> None:
    """InputError if the layers hold for odd activations only and this one is not odd."""
    named = next((law.name for law in laws(state.kind()) if law.odd), "")
    if state.sigma.parity != -1 and named:
        raise InputError(
            f"the law of {state.layer} layers holds for odd activations, and {state.activation} is not; "
            "take branch layers, or an odd activation such as tanh"
        )


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _short(value: float) -> str:
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
