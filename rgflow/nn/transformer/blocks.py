"""The parts of a transformer as modules: stem, norm, attention, MLP; each reads and gives tokens (..., T, n)."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from rgflow.errors import InputError
from rgflow.network.transformer import Transformer
from rgflow.nn.models.activations import torch_activation
from rgflow.nn.models.layers import Affine

Draw = Callable[[str], Tensor]
"""The drawn tensor of a group, outputs first."""
Matrix = Callable[[str], Affine]
"""W x with the drawn weights of a group."""


class Stem(nn.Module):
    """z_t = W^patch x_t + b^PE_t of patches (..., T, n_in), or W^WE of word t + b^PE_t of words (..., T)."""

    def __init__(self, net: Transformer, draw: Draw, matrix: Matrix):
        super().__init__()
        self.words = net.stem == "words"
        self.n_in, self.positions = net.n_in, net.positions
        if self.words:
            # Given its numbers, an Embedding draws none from torch's global generator.
            self.WE = nn.Embedding(net.n_in, net.width, _weight=draw("WE").T.contiguous())
            self.WE.weight.requires_grad_(net.Lambda_WE > 0)
        else:
            self.patch = matrix("patch")
        self.PE = nn.Parameter(draw("PE").T.contiguous(), requires_grad=net.Lambda_PE > 0)

    def forward(self, x: Tensor) -> Tensor:
        self._check(x)
        tokens = x.shape[-1 if self.words else -2]
        try:
            z: Tensor = (self.WE if self.words else self.patch)(x)
        except IndexError:  # asked afterwards: a look at every word first would make a GPU wait
            outside = x[(x < 0) | (x >= self.n_in)]
            raise InputError(
                f"the transformer was shown the word {int(outside[0])}; its vocabulary has {self.n_in} words, 0 to "
                f"{self.n_in - 1}"
            ) from None
        return z + self.PE[:tokens]

    def _check(self, x: Tensor) -> None:
        if self.words:
            right, shape = x.ndim >= 1 and not x.is_floating_point(), "(..., T), integers"
        else:
            right, shape = x.ndim >= 2 and x.shape[-1] == self.n_in, f"(..., T, {self.n_in})"
        if not right:
            raise InputError(f"the transformer was shown {tuple(x.shape)} of {x.dtype}; it takes {shape}")
        tokens = x.shape[-1 if self.words else -2]
        if not 0 < tokens <= self.positions:
            raise InputError(f"the transformer was shown {tokens} tokens; it has {self.positions} positions")


class Norm(nn.Module):
    """s = (z - mean)/sqrt(variance + eps) over the n entries of a token, without parameters; or s = z."""

    def __init__(self, net: Transformer):
        super().__init__()
        self.layer, self.eps = net.norm == "layer", net.eps

    def forward(self, z: Tensor) -> Tensor:
        return functional.layer_norm(z, z.shape[-1:], eps=self.eps) if self.layer else z

    def extra_repr(self) -> str:
        return f"eps={self.eps}" if self.layer else "none"


class Attention(nn.Module):
    """U y_t, y_t = sum_u Omega_tu V s_u in each head, Omega_t = softmax_u(Q s_t . K s_u / sqrt(C)), C = n/H.

    Written out, not with torch's fused attention, whose gradients cannot be differentiated again.
    """

    def __init__(self, net: Transformer, matrix: Matrix):
        super().__init__()
        self.heads, self.causal, self.channels = net.heads, net.mask == "causal", net.channels
        self.Q, self.K, self.V, self.U = (matrix(group) for group in "QKVU")

    def forward(self, s: Tensor) -> Tensor:
        q, k, v = (part(s).unflatten(-1, (self.heads, -1)).transpose(-3, -2) for part in (self.Q, self.K, self.V))
        logits = q @ k.transpose(-1, -2) / sqrt(self.channels)
        if self.causal:
            later = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).triu(1)
            logits = logits.masked_fill(later, -torch.inf)
        out: Tensor = self.U((logits.softmax(-1) @ v).transpose(-3, -2).flatten(-2))
        return out

    def extra_repr(self) -> str:
        return f"heads={self.heads}, mask={'causal' if self.causal else 'full'}"


class Perceptron(nn.Module):
    """X sigma(W s), with M n hidden neurons."""

    def __init__(self, net: Transformer, matrix: Matrix):
        super().__init__()
        self.sigma = torch_activation(net.activation)
        self.W, self.X = matrix("W"), matrix("X")

    def forward(self, s: Tensor) -> Tensor:
        out: Tensor = self.X(self.sigma(self.W(s)))
        return out


BLOCKS: dict[str, type[Attention] | type[Perceptron]] = {"attention": Attention, "mlp": Perceptron}
