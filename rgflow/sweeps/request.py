"""What a sweep is asked to compute: a frozen description that travels to other processes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor
from rgflow.network import Network
from rgflow.sampling.names import SAMPLE_ARGUMENTS
from rgflow.sweeps.axes import FIRST_KERNEL, Axis, applied
from rgflow.sweeps.networks import with_depth
from rgflow.version import __version__


@dataclass(frozen=True, eq=False)
class Request:
    """A grid and what is wanted at each of its points.

    Attributes
    ----------
    net : Network
        With every single value applied; the deepest one if ``by_layers``.
    axes : tuple of Axis
        In the order given.
    inputs, first_kernel : arrays or None
        What every network is shown; both None if the first kernel is an axis.
    wanted : tuple of Tensor
        Coefficients of a flow; of samples the letters.
    layers : tuple of int, or None
        Layers kept of every network, ascending; None: the last.
    layer_dim : bool
        Whether results have a dimension ``layer``.
    by_layers : bool
        Whether the axis ``depth`` is read off the layers of the deepest network, which networks of less depth begin.
    networks, entropy, key : of samples
        How many, and the seed as the parts of a SeedSequence.
    """

    net: Network
    axes: tuple[Axis, ...]
    inputs: NDArray[np.float64] | None
    first_kernel: NDArray[np.float64] | None
    wanted: tuple[Tensor, ...]
    order: int
    kinks: str
    closure: str
    layers: tuple[int, ...] | None
    layer_dim: bool
    by_layers: bool
    method: str
    errors: str
    networks: int | None = None
    entropy: Any = None
    key: tuple[int, ...] = ()

    # The grid -----------------------------------------------------------------------------------------------------

    @cached_property
    def grid(self) -> tuple[Axis, ...]:
        """The axes along which there is something to compute: all but a depth that is read off layers."""
        return tuple(axis for axis in self.axes if not (self.by_layers and axis.name == "depth"))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the grid."""
        return tuple(len(axis.values) for axis in self.grid)

    @property
    def points(self) -> int:
        """Of the grid, in rows of its last axis."""
        return prod(self.shape)

    def at(self, point: int) -> dict[str, float]:
        """The values of a point by the names of its axes."""
        places = np.unravel_index(point, self.shape) if self.shape else ()
        return {axis.name: axis.values[place] for axis, place in zip(self.grid, places, strict=True)}

    def network(self, values: Mapping[str, float], depth: int | None = None) -> Network:
        """The network at some values; of another depth, if asked."""
        net = self.net if depth is None or depth == self.net.depth else with_depth(self.net, depth)
        for name in sorted(values, key=lambda name: name not in ("depth", "width")):
            net = applied(net, name, values[name])
        return net

    def kept(self, net: Network) -> tuple[int, ...]:
        """The layers to keep of a network."""
        return (net.depth,) if self.layers is None else self.layers

    @property
    def kept_count(self) -> int:
        """How many these are."""
        return 1 if self.layers is None else len(self.layers)

    @property
    def every_layer(self) -> bool:
        """Whether all layers are kept, so that it is known up to which the expansion can be trusted."""
        return self.layers == tuple(range(1, self.net.depth + 1)) and not self.by_layers

    # What comes out -----------------------------------------------------------------------------------------------

    @property
    def sampled(self) -> bool:
        """Whether networks are drawn."""
        return self.networks is not None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the tensors."""
        return tuple(tensor.name for tensor in self.wanted)

    @property
    def letters(self) -> tuple[str, ...]:
        """Letters with an expansion ratio: none at order 0, which knows nothing of its own error."""
        return tuple(dict.fromkeys(tensor.letter for tensor in self.wanted)) if self.order and not self.sampled else ()

    @property
    def samples(self) -> int:
        """How many inputs results have dimensions for; 0 for one."""
        shown = self.inputs if self.inputs is not None else self.first_kernel
        count = 1 if shown is None or shown.ndim < (2 if shown is self.inputs else 1) else len(shown)
        return count if count > 1 else 0

    def arguments(self, tensor: Tensor) -> int:
        """Sample dimensions of a tensor."""
        if not self.samples:
            return 0
        return SAMPLE_ARGUMENTS[tensor.name] if self.sampled else 2 * tensor.level

    def seed(self, point: int) -> np.random.SeedSequence:
        """The seed of a point: the child of that number, whoever computes it and when."""
        return np.random.SeedSequence(self.entropy, spawn_key=(*self.key, point))

    def seeded(self, entropy: Any, key: Any) -> Request:
        """The same with another seed."""
        return replace(self, entropy=entropy, key=tuple(key))

    # Told from others ---------------------------------------------------------------------------------------------

    def told(self) -> dict[str, Any]:
        """Everything that decides the numbers, for people and for comparison; arrays by their size and checksum."""
        axes = {axis.name: _summary(np.array(axis.values)) for axis in self.axes}
        shown = {"inputs": self.inputs, FIRST_KERNEL: self.first_kernel}
        found: dict[str, Any] = {
            "network": self.net.to_json(),
            "axes": ", ".join(axes),
            **axes,
            **{name: _summary(array) for name, array in shown.items() if array is not None},
            "tensors": ", ".join(self.names),
            "layers": "all" if self.every_layer else list(self.layers or ()),
            "kinks": self.kinks,
        }
        if self.sampled:
            found |= {"networks": self.networks, "seed": {"entropy": self.entropy, "key": list(self.key)}}
        else:
            found |= {"order": self.order, "closure": self.closure, "method": self.method, "errors": self.errors}
        plain: dict[str, Any] = json.loads(json.dumps({**found, "rgflow": __version__}))
        return plain


def _summary(array: NDArray[Any]) -> str:
    """Size, ends and checksum of an array.

    >>> _summary(np.array([0.5, 1.0, 3.0]))
    '3 values, 0.5 .. 3, d09fadcd500e'
    """
    text = np.ascontiguousarray(array, np.float64)
    checksum = hashlib.sha256(repr(text.shape).encode() + text.astype("<f8").tobytes()).hexdigest()[:12]
    shape = " x ".join(map(str, text.shape)) or "1"
    ends = f"{text.flat[0]:.6g} .. {text.flat[-1]:.6g}"
    return f"{shape} value{'s' * (text.size != 1)}, {ends}, {checksum}"
