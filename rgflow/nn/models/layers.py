"""What the PyTorch module of a layer is made of: drawn affine maps that know their variances and learning rates.

A kind of layer is one file in :mod:`rgflow.nn.kinds`. It registers with :func:`module_of` a function of its description
and the :class:`Place` at which it stands, which returns a module from z^{l-1} (x at the first layer) to z^l. Its
parameters stand in :class:`Affine` maps, made by ``place.affine``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import singledispatch

import numpy as np
import torch
from torch import Tensor, nn

from rgflow.errors import InputError
from rgflow.network import Layer
from rgflow.nn.models.activations import Pointwise
from rgflow.sampling import haar
from rgflow.sampling.draw import Purpose, Streams, biases, weights


class Affine(nn.Linear):
    """b + W x with the hyperparameters that it was drawn by.

    Attributes
    ----------
    C_b, C_W : float
        Variance of a bias, and of a weight times fan-in.
    rates : dict
        Parameter name ("weight", "bias") to its entry of the learning-rate tensor, lambda_W / fan-in and lambda_b.
    changed : str
        What gave it other scales since: "tune", "parametrize"; empty if nothing did.
    """

    changed: str = ""

    def __init__(self, weight: Tensor, bias: Tensor | None, C_W: float, C_b: float, lambda_W: float, lambda_b: float):
        width, fan_in = weight.shape
        super().__init__(fan_in, width, bias is not None, device=weight.device, dtype=weight.dtype)
        self.C_b, self.C_W = C_b, C_W
        self.rates = {"weight": lambda_W / fan_in, "bias": lambda_b}
        with torch.no_grad():
            self.weight.copy_(weight)
            if bias is not None:
                self.bias.copy_(bias)
        for name, parameter in self.named_parameters(recurse=False):
            parameter.requires_grad_(self.rates[name] > 0)

    def reset_parameters(self) -> None:
        """Drawn by the caller: torch's own start would take numbers from the global generator."""


def mark_changed(module: nn.Module, by: str) -> None:
    """From now on no description says how the maps within a module were drawn."""
    for one in module.modules():
        # new learning rates outlast new scales
        if isinstance(one, Affine) and one.changed != "parametrize":
            one.changed = by


def changed_by(module: nn.Module) -> str:
    """What changed maps within a module, the first that was; empty if all are as they were drawn."""
    return next((one.changed for one in module.modules() if isinstance(one, Affine) and one.changed), "")


@dataclass
class Place:
    """Where a layer stands, and what draws its parameters: streams of their own for every weight matrix of a layer.

    Attributes
    ----------
    number : int
        l = 1..L; ``first`` says whether it takes the input x itself.
    fan_in, width : int
        n_{l-1} and n_l.
    sigma : Pointwise
    """

    number: int
    fan_in: int
    width: int
    sigma: Pointwise
    streams: Streams
    dtype: torch.dtype
    device: torch.device
    made: int = field(default=0, init=False)

    @property
    def first(self) -> bool:
        """Whether below is the input."""
        return self.number == 1

    def affine(
        self, fan_in: int, width: int, *, C_W: float, lambda_W: float, C_b: float = 0.0, lambda_b: float = 0.0,
        orthogonal: bool = False,
    ) -> Affine:  # fmt: skip
        """b + W x, W_ij ~ N(0, C_W/fan_in) or orthogonal, b_i ~ N(0, C_b); no bias if it is zero and not trained."""
        generator = self.streams(Purpose.WEIGHTS, self.number, self.made)
        drawn = (haar.weights if orthogonal else weights)(generator, 1, fan_in, width, C_W)[0].T
        bias = None
        if C_b or lambda_b:
            bias = self._tensor(biases(self.streams(Purpose.BIASES, self.number, self.made), 1, width, C_b)[0, 0])
        self.made += 1
        return Affine(self._tensor(drawn), bias, C_W, C_b, lambda_W, lambda_b)

    def _tensor(self, values: np.ndarray) -> Tensor:
        # Drawn in double precision and then rounded: the same numbers on every device and in every dtype.
        return torch.from_numpy(np.array(values)).to(self.dtype).to(self.device)


@singledispatch
def module_of(layer: Layer, place: Place) -> nn.Module:
    """The module of a layer of this description, parameters drawn.

    Raises InputError for a kind of layer that no file of :mod:`rgflow.nn.kinds` builds.
    """
    raise InputError(f"{layer!r} is not built; teach a file of rgflow/nn/models/kinds/ to build it")
