"""Blocks of drawn transformers, forward and in reverse, by hand: arrays of M networks, N inputs, T tokens.

Values of tokens are (M, N, T, n). Gradients of outputs have axes for where and what is differentiated in between,
(M, starts, neurons, N, T', T, n): output neuron of token T' by a value of token T of the same input. A weight matrix W
in y = W x of all tokens has the squared gradient

    sum_ij dz/dW_ij dz'/dW_ij = sum_uv (dz/dy_u . dz'/dy_v) (x_u . x_v),

for which only overlaps are needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import AccuracyError
from rgflow.network.transformer import Transformer

Array = NDArray[np.float64]
Weights = dict[str, Array]


def drawn(net: Transformer, group: str, generators: list[np.random.Generator]) -> Array:
    """One tensor of a group for every network, (M, outputs, inputs)."""
    scale = np.sqrt(net.value(f"C_{group}") / net.fan_in(group))
    return np.stack([scale * g.standard_normal(net.shape(group)) for g in generators])


@dataclass(eq=False)
class Normed:
    """s = LayerNorm(z), or z itself."""

    net: Transformer
    z: Array
    s: Array = field(init=False)
    scale: Array = field(init=False)

    def __post_init__(self) -> None:
        if self.net.norm == "none":
            self.s = self.z
            return
        centred = self.z - self.z.mean(axis=-1, keepdims=True)
        self.scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self.net.eps)
        if not self.scale.all():
            raise AccuracyError(
                "LayerNorm of a token whose neurons are all equal in a sampled transformer, 0/0; give eps > 0, a width "
                "above 1, C_PE > 0 or other inputs"
            )
        self.s = centred / self.scale

    def back(self, d: Array) -> Array:
        """dz of ds."""
        if self.net.norm == "none":
            return d
        s, scale = (x[:, None, None, :, None] for x in (self.s, self.scale))
        return np.asarray((d - d.mean(axis=-1, keepdims=True) - s * (d * s).mean(axis=-1, keepdims=True)) / scale)


@dataclass(eq=False)
class Attention:
    """r_t = U y_t, y_t = sum_u Omega_tu V s_u for every head."""

    net: Transformer
    normed: Normed
    weights: Weights

    def __post_init__(self) -> None:
        s = self.normed.s
        self.q, self.k, self.v = (self._heads(_times(s, self.weights[name])) for name in "QKV")
        logits = np.einsum("manth,manuh->mantu", self.q, self.k) / np.sqrt(self.net.channels)
        if self.net.mask == "causal":
            logits = np.where(np.tril(np.ones(logits.shape[-2:], bool)), logits, -np.inf)
        logits = np.exp(logits - logits.max(axis=-1, keepdims=True))
        self.omega = logits / logits.sum(axis=-1, keepdims=True)
        self.y = self._joined(self.omega @ self.v)

    def _heads(self, x: Array) -> Array:
        """(..., T, n) to (..., H, T, C)."""
        split = x.reshape(*x.shape[:-1], self.net.heads, self.net.channels)
        return np.moveaxis(split, -2, -3)

    def _joined(self, x: Array) -> Array:
        """(..., H, T, C) to (..., T, n)."""
        back = np.moveaxis(x, -3, -2)
        return back.reshape(*back.shape[:-2], self.net.width)

    def forward(self) -> Array:
        return self.normed.z + _times(self.y, self.weights["U"])

    def back(self, d: Array) -> tuple[Array, dict[str, tuple[Array, Array]]]:
        """Gradient by z, and for each group the gradient by what its weights gave, beside what they read."""
        q, k, v, omega = (x[:, None, None, :, None] for x in (self.q, self.k, self.v, self.omega))
        dy = self._heads(_times(d, self.weights["U"].swapaxes(-1, -2)))
        d_omega = dy @ v.swapaxes(-1, -2)
        d_logits = omega * (d_omega - (omega * d_omega).sum(axis=-1, keepdims=True)) / np.sqrt(self.net.channels)
        dq = self._joined(d_logits @ k)
        dk = self._joined(d_logits.swapaxes(-1, -2) @ q)
        dv = self._joined(omega.swapaxes(-1, -2) @ dy)
        parts = {"Q": dq, "K": dk, "V": dv}
        ds = sum((_times(x, self.weights[name].swapaxes(-1, -2)) for name, x in parts.items()), np.zeros(1))
        read = {name: (x, self.normed.s) for name, x in parts.items()} | {"U": (d, self.y)}
        return d + self.normed.back(ds), read


@dataclass(eq=False)
class Perceptron:
    """r = X sigma(W s)."""

    net: Transformer
    normed: Normed
    weights: Weights

    def __post_init__(self) -> None:
        w = _times(self.normed.s, self.weights["W"])
        self.hidden, self.slope = self.net.activation.derivatives(w, 1)

    def forward(self) -> Array:
        return self.normed.z + _times(self.hidden, self.weights["X"])

    def back(self, d: Array) -> tuple[Array, dict[str, tuple[Array, Array]]]:
        dw = _times(d, self.weights["X"].swapaxes(-1, -2)) * self.slope[:, None, None, :, None]
        ds = _times(dw, self.weights["W"].swapaxes(-1, -2))
        return d + self.normed.back(ds), {"W": (dw, self.normed.s), "X": (d, self.hidden)}


BLOCKS: dict[str, type[Attention] | type[Perceptron]] = {"attention": Attention, "mlp": Perceptron}


def _times(x: Array, weights: Array) -> Array:
    """W x for tokens with any axes in between: (M, ..., inputs), (M, outputs, inputs) -> (M, ..., outputs)."""
    flat = x.reshape(len(x), -1, x.shape[-1])
    return np.asarray((flat @ weights.swapaxes(-1, -2)).reshape(*x.shape[:-1], -1))


def overlaps(x: Array) -> Array:
    """x_u . x_v of all tokens, (M, N, T, n) -> (M, A, A)."""
    flat = x.reshape(len(x), -1, x.shape[-1])
    return np.asarray(flat @ flat.swapaxes(-1, -2))


def squared(d: Array, between: Array) -> Array:
    """sum_uv (dz_a/dy_u . dz_b/dy_v) X_uv, averaged over output neurons: (M, starts, A, A) over output tokens a, b.

    d : (M, starts, neurons, N, T', T, n), between : (M or 1, A, A)
    """
    count, starts, neurons, inputs, outer, inner, _ = d.shape
    flat = d.reshape(count, starts, neurons, inputs * outer * inner, -1)
    gram = (flat @ flat.swapaxes(-1, -2)).reshape(count, starts, neurons, *(inputs, outer, inner) * 2)
    mixed = np.broadcast_to(between, (count, *between.shape[1:])).reshape(count, inputs, inner, inputs, inner)
    found = np.einsum("msiapubqv,maubv->msapbq", gram, mixed, optimize=True) / neurons
    return np.asarray(found.reshape(count, starts, inputs * outer, inputs * outer))
