"""A network: a sequence of layers of any kind, described and validated."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, ClassVar, Self

import rgflow.network.kinds  # noqa: F401  (every kind is known by its name)
from rgflow.activations import Activation
from rgflow.activations import activation as find_activation
from rgflow.checks import whole
from rgflow.errors import InputError, UnknownName
from rgflow.network.kinds.dense import Dense
from rgflow.network.layer import KINDS, Layer

HYPERPARAMETERS = Dense.hyperparameters()
WIDEST = 2**53  # beyond, widths are not numbers that a flow can tell apart


@dataclass(frozen=True, init=False)
class Network:
    """A network of any layers: the first takes the input x, each further one the layer below.

    Parameters
    ----------
    layers : sequence of layer descriptions
        :class:`Dense`, :class:`Residual`, :class:`Orthogonal`, ..., each with its own hyperparameters.
    widths : sequence of int
        n_0 (dimension of the input), n_1, ..., n_L: one more than there are layers.
    activation : str, sympy expression or Activation
        sigma, the same in every layer; see :func:`rgflow.activation`.

    Raises
    ------
    InputError
        For widths that are not positive integers or of the wrong number; for a first or last layer that cannot be one;
        for a layer that keeps the width between different widths.

    >>> net = Network([Dense(), KINDS["Residual"](skip=0.9), Dense()], [3, 8, 8, 1], "tanh")
    >>> net.depth, net.hyperparameter("skip")
    (3, (0.0, 0.9, 0.0))
    """

    widths: tuple[int, ...]
    activation: Activation
    layers: tuple[Layer, ...]

    def __init__(self, layers: Iterable[Layer], widths: Iterable[int], activation: Any):
        object.__setattr__(self, "widths", checked_widths(widths))
        object.__setattr__(self, "activation", find_activation(activation))
        object.__setattr__(self, "layers", _layers(layers, self.widths))

    @property
    def depth(self) -> int:
        """L, the number of layers."""
        return len(self.layers)

    @property
    def fan_in(self) -> tuple[int, ...]:
        """n_{l-1} for l = 1..L."""
        return self.widths[:-1]

    @cached_property
    def hyperparameters(self) -> tuple[str, ...]:
        """The names of all hyperparameters: those of a dense layer first, then those of the other kinds."""
        return tuple(dict.fromkeys([*HYPERPARAMETERS, *(name for x in self.layers for name in x.hyperparameters())]))

    def hyperparameter(self, name: str) -> tuple[float, ...]:
        """A hyperparameter of every layer, 0 where a layer has none of that name; UnknownName if no layer has it."""
        if name not in self.hyperparameters:
            raise UnknownName("hyperparameter", name, self.hyperparameters)
        return tuple(layer.value(name) for layer in self.layers)

    @property
    def kinds(self) -> str:
        """Its layers in words, equal neighbours counted: "dense, 6 residual, dense"."""
        runs = [(kind, len(list(same))) for kind, same in groupby(type(x).__name__.lower() for x in self.layers)]
        return ", ".join(kind if count == 1 else f"{count} {kind}" for kind, count in runs)

    def to_json(self) -> str:
        """The description as JSON text: widths, the activation's formula and every layer with its hyperparameters."""
        layers = [{"kind": type(layer).__name__, **asdict(layer)} for layer in self.layers]
        described = {"widths": list(self.widths), "activation": self.activation.formula_text, "layers": layers}
        return json.dumps({"kind": "Network", **described})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The network of :meth:`to_json`, an MLP if it was one; the formula is parsed, never evaluated.

        >>> net = Network([Dense(C_W=2.0)], [3, 1], "gelu")
        >>> Network.from_json(net.to_json()) == net
        True
        """
        try:
            found = json.loads(text)
        except (TypeError, ValueError, RecursionError):
            raise InputError(f"{text!r} is not the JSON description of a network") from None
        kind = found.pop("kind", None) if isinstance(found, dict) else None
        described = _NETWORKS.get(kind) if isinstance(kind, str) else None
        if described is None or not issubclass(described, cls):
            raise InputError(f"{text!r} does not describe {_named(cls.__name__)}")
        expected = described._described
        if set(found) != expected or not isinstance(found["activation"], str):
            what = _named(described.__name__)
            raise InputError(f"the description of {what} holds {sorted(expected)}; this one has {sorted(found)}")
        return described._of(found)

    _described: ClassVar[frozenset[str]] = frozenset({"widths", "activation", "layers"})

    @classmethod
    def _of(cls, found: dict[str, Any]) -> Self:
        if not isinstance(found["layers"], list):
            raise InputError(f"layers is {found['layers']!r}; it must be a list of layers")
        return cls([_layer(each) for each in found["layers"]], found["widths"], found["activation"])

    def __init_subclass__(cls) -> None:
        _NETWORKS[cls.__name__] = cls

    def __repr__(self) -> str:
        runs = [(layer, len(list(same))) for layer, same in groupby(self.layers)]
        listed = " + ".join(f"[{layer!r}]" + (f" * {count}" if count > 1 else "") for layer, count in runs)
        return f"Network({listed}, {list(self.widths)}, {self.activation.formula_text!r})"


_NETWORKS: dict[str, type[Network]] = {"Network": Network}


def _named(kind: str) -> str:
    return f"an {kind}" if kind == "MLP" else f"a {kind}"


def checked_widths(widths: Iterable[int]) -> tuple[int, ...]:
    """n_0, ..., n_L as positive integers, at least two."""
    try:
        sizes = tuple(widths)
    except TypeError:
        raise InputError(f"widths is {widths!r}; give n_0, n_1, ..., n_L as a sequence of integers") from None
    if len(sizes) < 2:
        raise InputError(f"widths is {sizes!r}; a network needs at least n_0 and n_1 (depth 1)")
    found = tuple(whole(f"widths[{i}]", n, 1) for i, n in enumerate(sizes))
    for i, n in enumerate(found):
        if n > WIDEST:
            raise InputError(f"widths[{i}] has {len(str(n)) if n < 10**4000 else 'thousands of'} digits; at most 2^53")
    return found


def _layers(layers: Iterable[Layer], widths: tuple[int, ...]) -> tuple[Layer, ...]:
    try:
        listed = tuple(layers)
    except TypeError:
        raise InputError(f"layers is {layers!r}; give a sequence of layers such as rgflow.Dense()") from None
    for i, layer in enumerate(listed, start=1):
        if not isinstance(layer, Layer):
            raise InputError(f"layer {i} is {layer!r}; give a description such as rgflow.Dense()")
    if len(listed) != len(widths) - 1:
        raise InputError(f"{len(listed)} layers with {len(widths)} widths; give n_0 and one width per layer")
    for place, i in (("first", 1), ("last", len(listed))):
        if not listed[i - 1].ends:
            allowed = ", ".join(sorted(name for name, kind in KINDS.items() if kind.ends))
            raise InputError(
                f"the {place} layer is {listed[i - 1]!r}, which cannot be one; let it be one of: {allowed}"
            )
    lacking = [name for name in ("C_W", "lambda_W") if name not in listed[0].hyperparameters()]
    if lacking:
        raise InputError(f"the first layer is {listed[0]!r}: it takes x by weights C_W, and it has no {lacking[0]}")
    for i, layer in enumerate(listed, start=1):
        if layer.keeps_width and widths[i - 1] != widths[i]:
            raise InputError(
                f"layer {i} is {layer!r}, which keeps the width, between widths {widths[i - 1]} and {widths[i]}; "
                "make them equal, or put a layer that changes the width there"
            )
    return listed


def _layer(described: Any) -> Layer:
    if not isinstance(described, dict) or not isinstance(described.get("kind"), str):
        raise InputError(f"{described!r} does not describe a layer: it has no kind")
    values = dict(described)
    name = values.pop("kind")
    if name not in KINDS:
        raise UnknownName("kind of layer", name, tuple(sorted(KINDS)))
    return KINDS[name](**values)
