"""``build_transformer``: the PyTorch model of a transformer's description, its parameters drawn as described."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rgflow.errors import InputError
from rgflow.network.transformer import BLOCKS as PARTS
from rgflow.network.transformer import Transformer
from rgflow.nn.models.layers import Affine
from rgflow.nn.transformer.blocks import BLOCKS, Norm, Stem
from rgflow.sampling.draw import Purpose, Streams
from rgflow.seeds import seed_sequence
from rgflow.transformer import TransformerScaling, transformer_scaling


class TransformerModel(nn.Module):
    """A transformer: stem, then z + block(LayerNorm(z)) for every block, then the head of LayerNorm(z).

    Attributes
    ----------
    scaling : TransformerScaling
        What its parameters were drawn by; ``scaling.net`` is the description.
    stem, blocks, norm, head : modules
        ``blocks`` is a ModuleList of what the blocks add to the stream; ``head`` is None if tied.
    """

    def __init__(self, scaling: TransformerScaling, draw: _Draw):
        super().__init__()
        net = scaling.net
        self.scaling = scaling
        self.stem = Stem(net, lambda group: draw.tensor(group, 0), lambda group: draw.matrix(group, 0))
        self.blocks = nn.ModuleList(_block(net, kind, draw, place) for place, kind in enumerate(net.blocks, 1))
        self.norm = Norm(net)
        self.head = None if net.tied else draw.matrix("head", len(net.blocks) + 1)
        self.rescale, self.pooled = scaling.rescale, net.pooling == "mean"

    def streams(self, x: Tensor) -> list[Tensor]:
        """The stream behind the stem and behind each block, (..., T, n), and the output of the head, (..., T, n_out).

        As the dim ``block`` of :func:`rgflow.transformer_flow` counts them; the last is not pooled.

        >>> import rgflow as rg
        >>> net = rg.Transformer(width=8, heads=2, blocks=1, n_in=3, positions=4, n_out=5)
        >>> [tuple(z.shape) for z in build_transformer(net, seed=0).streams(torch.ones(2, 4, 3))]
        [(2, 4, 8), (2, 4, 8), (2, 4, 8), (2, 4, 5)]
        """
        z = self.stem(x)
        found = [z]
        for block in self.blocks:
            z = z + block(self.norm(z))
            found.append(z)
        return [*found, self._read(z)]

    def forward(self, x: Tensor) -> Tensor:
        """The head's output (..., T, n_out) of patches (..., T, n_in) or words (..., T); (..., n_out) with pooling."""
        z = self.stem(x)
        for block in self.blocks:
            z = z + block(self.norm(z))
        out = self._read(z)
        return out.mean(-2) if self.pooled else out

    def grouped(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of every group of the description ("patch", "PE", "Q", ...), frozen ones included."""
        found: dict[str, list[nn.Parameter]] = {group: [] for group in self.scaling.net.groups}
        for name, parameter in self.named_parameters():
            found[_group(name)].append(parameter)
        return found

    def _read(self, z: Tensor) -> Tensor:
        s = self.norm(z)
        if self.head is None:
            out: Tensor = self.rescale * (s @ self.stem.WE.weight.T)
            return out
        return torch.as_tensor(self.head(s))


def build_transformer(
    net: Transformer | TransformerScaling, *, seed: Any = None, dtype: torch.dtype | None = None, device: Any = None
) -> TransformerModel:
    """The PyTorch model of a transformer: weights N(0, C_G / fan-in) in each group G, or as its scaling says.

    ``rg.nn.build`` calls this for transformers.

    Parameters
    ----------
    net : Transformer or TransformerScaling
        A scaling of :func:`rgflow.transformer_scaling` also holds the family's s (the variance of the head, or the
        factor of a tied one) and, if asked for, the scaling with the number of blocks.
    seed : int, SeedSequence or Generator, optional
        The same seed gives the same numbers in every dtype (up to its rounding) and on every device.
    dtype, device : optional
        torch's defaults if not given.

    Returns
    -------
    TransformerModel
        Parameters whose learning-rate tensor Lambda_G is 0 are frozen.

    Raises
    ------
    InputError
        For anything else, and a dtype that is not floating.

    Source: Dinan, Yaida and Zhang, arXiv:2304.02034, section 1.

    >>> import rgflow as rg
    >>> net = rg.Transformer(width=8, heads=2, blocks=1, n_in=3, positions=4, n_out=5, pooling="mean")
    >>> tuple(rg.nn.build(net, seed=0)(torch.ones(2, 4, 3)).shape)
    (2, 5)
    """
    if not isinstance(net, (Transformer, TransformerScaling)):
        raise InputError(f"{net!r} is no transformer; give rgflow.Transformer(...) or a scaling of it")
    scaling = net if isinstance(net, TransformerScaling) else transformer_scaling(net)
    kind = torch.get_default_dtype() if dtype is None else dtype
    if not isinstance(kind, torch.dtype) or not kind.is_floating_point:
        raise InputError(f"dtype is {kind!r}; give a real floating dtype such as torch.float64")
    where = torch.get_default_device() if device is None else torch.device(device)
    return TransformerModel(scaling, _Draw(scaling, Streams(seed_sequence(seed), batch=0), kind, where))


class _Draw:
    """Draws tensors by group and place: 0 the stem, 1, 2, ... blocks, and the head."""

    def __init__(self, scaling: TransformerScaling, streams: Streams, dtype: torch.dtype, device: torch.device):
        self.scaling, self.streams, self.dtype, self.device = scaling, streams, dtype, device

    def tensor(self, group: str, place: int) -> Tensor:
        """The tensor of a group, outputs first."""
        net = self.scaling.net
        generator = self.streams(Purpose.WEIGHTS, place, net.groups.index(group))
        drawn = self.scaling[group].std * generator.standard_normal(net.shape(group))
        # Drawn in double precision and then rounded: the same numbers on every device and in every dtype.
        return torch.from_numpy(np.asarray(drawn)).to(dtype=self.dtype, device=self.device)

    def matrix(self, group: str, place: int) -> Affine:
        """W x, and of the head b + W x, with variances and learning rates of the scaling."""
        weight = self.tensor(group, place)
        bias = self.tensor("bhead", place) if group == "head" else None
        own, fan_in = self.scaling[group], weight.shape[1]
        C_b = lambda_b = 0.0
        if bias is not None:
            C_b, lambda_b = self.scaling["bhead"].std ** 2, self.scaling["bhead"].sgd
        return Affine(weight, bias, own.std**2 * fan_in, C_b, own.sgd * fan_in, lambda_b)


def _block(net: Transformer, kind: str, draw: _Draw, place: int) -> nn.Module:
    found = BLOCKS[kind](net, lambda group: draw.matrix(group, place))
    assert {name for name, part in found.named_children() if isinstance(part, Affine)} == set(PARTS[kind])
    return found


def _group(name: str) -> str:
    """The group of a parameter by its name in the module: "blocks.0.Q.weight" is of Q."""
    if name.startswith("head"):
        return "bhead" if name.endswith("bias") else "head"
    return next(part for part in reversed(name.split(".")) if part not in ("weight", "bias"))
