"""The multilayer perceptron: a sequence of dense layers, described and validated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Self

from rgflow.checks import whole
from rgflow.errors import InputError, UnknownName
from rgflow.network.kinds.dense import Dense
from rgflow.network.network import HYPERPARAMETERS, Network, checked_widths

DEEPEST = 2**20  # layers: beyond, descriptions alone fill the memory


@dataclass(frozen=True, init=False)
class MLP(Network):
    r"""A multilayer perceptron: dense layers, the first of which reads the input.

    .. math:: z^{(1)} = b^{(1)} + W^{(1)} x, \qquad z^{(\ell+1)} = b^{(\ell+1)} + W^{(\ell+1)} \sigma(z^{(\ell)})

    Parameters
    ----------
    widths : sequence of int
        n_0 (dimension of the input), n_1, ..., n_L. The depth L is the number of weight layers.
    activation : str, sympy expression or Activation
        sigma, the same in every layer; see :func:`rgflow.activation`.
    C_b, C_W : float or sequence of L floats
        Variance of biases, and of weights times fan-in. Not negative.
    lambda_b, lambda_W : float or sequence of L floats
        Learning-rate tensor: lambda_b for biases, lambda_W / fan_in for weights. Not negative.

    Raises
    ------
    InputError
        For widths that are not positive integers, depth 0, or hyperparameters that are negative, not finite or of
        the wrong number.

    Source: PDLT (arXiv:2106.10165), section 2.2 and chapter 8.

    >>> MLP([784, 256, 10], "tanh").depth
    2
    """

    layers: tuple[Dense, ...]

    def __init__(
        self,
        widths: Iterable[int],
        activation: Any,
        C_b: float | Sequence[float] = Dense.C_b,
        C_W: float | Sequence[float] = Dense.C_W,
        lambda_b: float | Sequence[float] = Dense.lambda_b,
        lambda_W: float | Sequence[float] = Dense.lambda_W,
    ):
        sizes = checked_widths(widths)
        depth = len(sizes) - 1
        given = (C_b, C_W, lambda_b, lambda_W)
        columns = [_per_layer(name, value, depth) for name, value in zip(HYPERPARAMETERS, given, strict=True)]
        super().__init__([Dense(*row) for row in zip(*columns, strict=True)], sizes, activation)

    @classmethod
    def uniform(
        cls,
        n_in: int,
        width: int,
        depth: int,
        n_out: int | None = None,
        activation: Any = "tanh",
        **hyperparameters: Any,
    ) -> MLP:
        """A network of ``depth`` weight layers whose hidden layers all have the same width (n_out: also, by default).

        >>> MLP.uniform(n_in=64, width=128, depth=3, n_out=10, activation="gelu").widths
        (64, 128, 128, 10)

        Raises UnknownName for a keyword that is not a hyperparameter, InputError for values that MLP refuses.
        """
        for name in hyperparameters:
            _known(name)
        hidden = whole("depth", depth, 1) - 1
        if hidden >= DEEPEST:
            raise InputError(f"depth is {depth}; networks of at most {DEEPEST} layers are described")
        return cls([n_in, *[width] * hidden, width if n_out is None else n_out], activation, **hyperparameters)

    def to_json(self) -> str:
        """The description as JSON text: widths, the activation's formula and every hyperparameter of every layer."""
        return json.dumps({"kind": "MLP", **self._description()})

    def _description(self) -> dict[str, Any]:
        values = {name: list(self.hyperparameter(name)) for name in HYPERPARAMETERS}
        return {"widths": list(self.widths), "activation": self.activation.formula_text, **values}

    _described = frozenset({"widths", "activation", *HYPERPARAMETERS})

    @classmethod
    def _of(cls, found: dict[str, Any]) -> Self:
        values = dict(found)
        return cls(values.pop("widths"), values.pop("activation"), **values)

    def __repr__(self) -> str:
        parts = [f"{list(self.widths)}", repr(self.activation.formula_text)]
        for name in HYPERPARAMETERS:
            values = self.hyperparameter(name)
            if len(set(values)) > 1:
                parts.append(f"{name}={list(values)}")
            elif values[0] != getattr(Dense, name):
                parts.append(f"{name}={values[0]!r}")
        return f"MLP({', '.join(parts)})"


def _known(name: Any) -> None:
    if name not in HYPERPARAMETERS:
        raise UnknownName("hyperparameter", name, HYPERPARAMETERS)


def _per_layer(name: str, value: Any, depth: int) -> tuple[float, ...]:
    if isinstance(value, (str, bytes, bytearray, Mapping, AbstractSet)):
        raise InputError(f"{name} is {value!r}; give a number or one number per layer")
    try:
        values = tuple(value)
    except TypeError:
        return (value,) * depth
    if len(values) != depth:
        raise InputError(f"{name} has {len(values)} values for a network of {depth} layers; give one number or {depth}")
    return values
