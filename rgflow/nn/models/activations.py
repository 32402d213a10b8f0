"""Activations as functions of tensors: any rgflow Activation, differentiable as often as autograd is asked to."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rgflow.activations import Activation
from rgflow.activations import activation as find_activation
from rgflow.activations.formula import Add, Call, Mul, Node, Pow, Z, has_z
from rgflow.activations.values import value_at

Function = Callable[[Tensor], Tensor]


def torch_activation(activation: Any) -> Pointwise:
    """sigma as a module that acts entry by entry, on any device and in any floating dtype.

    Parameters
    ----------
    activation : str, sympy expression or Activation
        As :func:`rgflow.activation` takes it. Functions that torch has too are torch's own (tanh, relu, leaky_relu,
        gelu, silu, sigmoid, erf, mish, ...); others are evaluated term by term.

    Returns
    -------
    Pointwise
        ``y = sigma(z)`` of the shape, dtype and device of z. Kinked functions are evaluated piece by piece, each piece
        only where it holds, so that first and higher derivatives are those of the pieces; at a kink itself they are
        torch's where the function is torch's own (relu: 0, leaky relu: its slope), else those from the right.

    Raises
    ------
    FormulaError, UnknownName
        As :func:`rgflow.activation`.

    >>> torch_activation("relu")(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return Pointwise(find_activation(activation))


class Pointwise(nn.Module):
    """sigma, entry by entry, with the description it was made of in ``activation``."""

    def __init__(self, activation: Activation):
        super().__init__()
        self.activation = activation

    def forward(self, z: Tensor) -> Tensor:
        return function(self.activation)(z)

    def extra_repr(self) -> str:
        return self.activation.name


@lru_cache(maxsize=256)
def function(activation: Activation) -> Function:
    """The function of tensors: torch's own where there is one, else the formula of every piece."""
    known = _torch_functions().get(activation)
    if known is not None:
        return known
    slopes = activation.slopes
    if slopes is not None and slopes[1] == 1.0:
        return lambda z: F.leaky_relu(z, slopes[0])
    return _by_pieces(activation)


@lru_cache(maxsize=1)
def _torch_functions() -> dict[Activation, Function]:
    """Those that torch has to rounding. Not gelu by tanh: its third derivative is NaN in the tails."""
    named: dict[str, Function] = {
        "linear": lambda z: z,
        "relu": torch.relu,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "erf": torch.erf,
        "sin": torch.sin,
        "cos": torch.cos,
        "exp": torch.exp,
        "gelu": F.gelu,
        "silu": F.silu,
        "softplus": _softplus,
        "mish": F.mish,
    }
    return {find_activation(name): found for name, found in named.items()}


def _by_pieces(activation: Activation) -> Function:
    """Each piece is evaluated on z where it holds and on a point inside its interval elsewhere.

    The unused branch of torch.where is multiplied by zero in derivatives, and zero times an infinite slope would be
    NaN: a piece never sees a point at which it is not smooth.
    """
    kinks = activation.kinks
    pieces = [(piece, has_z(piece)) for piece in activation.pieces]
    lows, highs = (-math.inf, *kinks), (*kinks, math.inf)
    inside = [_inside(low, high) for low, high in zip(lows, highs, strict=True)]

    def run(z: Tensor) -> Tensor:
        out: Tensor | None = None
        for i, (piece, varies) in enumerate(pieces):
            # NaN is in the last piece: it is not below any kink.
            here = torch.ones_like(z, dtype=torch.bool) if i == 0 else ~(z < kinks[i - 1])
            only = here if i == len(kinks) else here & (z < kinks[i])
            if not varies:
                value = torch.full_like(z, value_at(piece, 0.0))
            else:
                value = _value(piece, z if not kinks else torch.where(only, z, inside[i]), {})
            out = value if out is None else torch.where(here, value, out)
        assert out is not None
        # A function made of steps has derivative zero, not none.
        return out if any(varies for _, varies in pieces) else out + 0.0 * z

    return run


def _inside(low: float, high: float) -> float:
    if math.isinf(low):
        return high - 1.0
    return low + 1.0 if math.isinf(high) else (low + high) / 2


# Formulas -------------------------------------------------------------------------------------------------------------


def _value(node: Node, z: Tensor, done: dict[Node, Tensor]) -> Tensor:
    """A part of a formula that depends on z; equal parts are computed once."""
    if node not in done:
        done[node] = _evaluated(node, z, done)
    return done[node]


def _evaluated(node: Node, z: Tensor, done: dict[Node, Tensor]) -> Tensor:
    match node:
        case Z():
            return z
        case Add(args):
            moving = [_value(arg, z, done) for arg in args if has_z(arg)]
            constant = sum(value_at(arg, 0.0) for arg in args if not has_z(arg))
            out = sum(moving[1:], start=moving[0])
            return out + constant if constant else out
        case Mul(args):
            factors = [_value(arg, z, done) for arg in args if has_z(arg)]
            constant = math.prod(value_at(arg, 0.0) for arg in args if not has_z(arg))
            return math.prod(factors[1:], start=constant * factors[0] if constant != 1.0 else factors[0])
        case Pow(base, exponent):
            inner = _value(base, z, done)
            return inner ** (int(exponent) if exponent.denominator == 1 else float(exponent))
        case Call(name, (arg,)):
            return FUNCTIONS[name](_value(arg, z, done))
    raise AssertionError(node)


def _softplus(z: Tensor) -> Tensor:
    """log(1 + e^z) in both tails; F.softplus drops e^-20."""
    return -F.logsigmoid(-z)


def _sech(z: Tensor) -> Tensor:
    """1/cosh by way of its logarithm, which neither overflows nor has a kink at 0 as exp(-|z|) has."""
    return 2.0 * torch.exp(0.5 * (F.logsigmoid(2.0 * z) + F.logsigmoid(-2.0 * z)))


FUNCTIONS: dict[str, Function] = {
    "exp": torch.exp,
    "log": torch.log,
    "log1p": torch.log1p,
    "expm1": torch.expm1,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": _softplus,
    "erf": torch.erf,
    "erfc": torch.erfc,
    "sin": torch.sin,
    "cos": torch.cos,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "sech": _sech,
    "atan": torch.atan,
    "asinh": torch.asinh,
}
"""Functions of a formula in normal form, smooth ones only."""
