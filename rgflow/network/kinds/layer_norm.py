"""Layers that normalise: every input's neurons are brought to mean zero and variance one, before or after sigma."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rgflow.network.layer import Layer, choice, real


@dataclass(frozen=True)
class LayerNorm(Layer):
    r"""A layer with LayerNorm, before or after the activation, beside a skip connection; it keeps the width.

    .. math::
        \text{before:} \quad z' &= b + W \sigma(\mathrm{norm}(z)) + \text{skip}\; z \\
        \text{after:} \quad z' &= b + W\, \mathrm{norm}(\sigma(z)) + \text{skip}\; z \\
        \mathrm{norm}(x)_i &= (x_i - m) / \sqrt{v + \epsilon}

    with m and v the mean and the variance over the n neurons of one input. b ~ N(0, C_b), W ~ N(0, C_W / n);
    learning-rate tensor lambda_b, lambda_W / n. The norm has no trained parameters.

    Parameters
    ----------
    skip : float
        Skip strength, any finite number; 0, the default, is a layer without memory.
    epsilon : float
        Added to the variance; not negative.
    place : "before" or "after"
        Where the norm stands beside the activation.
    C_b, C_W, lambda_b, lambda_W : float
        As for a dense layer; not negative. InputError otherwise.

    Source: Ba, Kiros, Hinton (arXiv:1607.06450); Doshi, He, Gromov (arXiv:2111.12143).

    >>> LayerNorm(place="after").hyperparameters()
    ('skip', 'C_b', 'C_W', 'lambda_b', 'lambda_W', 'epsilon')
    """

    keeps_width = True
    centred: ClassVar[bool] = True

    skip: float = real(0.0)
    C_b: float = 0.0
    C_W: float = 1.0
    lambda_b: float = 1.0
    lambda_W: float = 1.0
    epsilon: float = 0.0
    place: str = choice("before", "after")
