"""What a transformer is shown: sequences of patches or of words, and what of them enters its first kernel.

The stem maps token a = (input, position) with weights shared by all tokens and an embedding of its position. The kernel
depends on inputs through two overlaps: x_a.x_b/n_patch of patches, or whether two words are the same, and whether two
positions are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError
from rgflow.network.inputs import finite
from rgflow.network.transformer import Transformer

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tokens:
    """Validated inputs: N sequences of T tokens each; A = N T tokens, those of one input after the other.

    Attributes
    ----------
    values : (N, T, n_patch) floats, or (N, T) words
    overlap : (A, A)
        x_a . x_b / n_patch, or 1 for equal words and 0 otherwise.
    position : (A, A)
        1 for tokens at the same position.
    single : bool
        One input, given without an axis for inputs.
    """

    values: NDArray[Any]
    overlap: Floats
    position: Floats
    single: bool

    @property
    def inputs(self) -> int:
        return int(self.values.shape[0])

    @property
    def length(self) -> int:
        return int(self.values.shape[1])

    def unfolded(self, array: NDArray[Any], front: list[str], pooled: bool) -> tuple[tuple[str, ...], NDArray[Any]]:
        """Dims and values of pairs of tokens (..., A, A), or of inputs (..., N, N) once tokens are pooled."""
        if pooled:
            return (tuple(front), array[..., 0, 0]) if self.single else ((*front, "sample0", "sample1"), array)
        if self.single:
            return (*front, "token0", "token1"), array
        split = array.reshape(*array.shape[:-2], self.inputs, self.length, self.inputs, self.length)
        return (*front, "sample0", "token0", "sample1", "token1"), split


def tokens(net: Any, inputs: Any) -> Tokens:
    """Validate the inputs of a transformer.

    Parameters
    ----------
    net : Transformer
    inputs : array
        Patches (T, n_in) or (N, T, n_in), finite; words (T,) or (N, T), integers 0..n_in - 1.

    Raises InputError for other shapes, no tokens, more tokens than positions, values that are not finite or overflow,
    and words outside of the vocabulary.
    """
    if not isinstance(net, Transformer):
        raise InputError(f"net is {net!r}; give a Transformer")
    found = _patches(net, inputs) if net.stem == "patch" else _words(net, inputs)
    single = found.ndim == (2 if net.stem == "patch" else 1)
    values = found[None] if single else found
    count, length = values.shape[:2]
    if length > net.positions:
        raise InputError(f"inputs have {length} tokens; this transformer has {net.positions} positions")
    if net.stem == "patch":
        flat = values.reshape(count * length, -1)
        with np.errstate(over="ignore", invalid="ignore"):
            overlap = flat @ flat.T / net.n_in
        if not np.isfinite(overlap).all():
            raise InputError("inputs hold values so large that x.x'/n_patch overflows; rescale them")
    else:
        words = values.reshape(-1)
        overlap = (words[:, None] == words).astype(np.float64)
    place = np.tile(np.arange(length), count)
    return Tokens(values, (overlap + overlap.T) / 2, (place[:, None] == place).astype(np.float64), single)


def _patches(net: Transformer, inputs: Any) -> Floats:
    x = finite("inputs", inputs)
    if x.ndim not in (2, 3) or x.shape[-1] != net.n_in:
        expected = f"(T, {net.n_in}) or (N, T, {net.n_in})"
        raise InputError(f"inputs has shape {x.shape}; this transformer takes patches {expected}")
    return x


def _words(net: Transformer, inputs: Any) -> NDArray[np.int64]:
    if np.ma.is_masked(inputs):
        raise InputError("inputs hold masked words, which have no value; leave them out or fill them (.filled)")
    try:
        words = np.asarray(inputs)
    except (TypeError, ValueError) as error:
        raise InputError(f"inputs is not an array of words ({error}); give sequences of one length") from None
    if words.size == 0:
        raise InputError(f"inputs is empty: its shape is {words.shape}; give at least one token")
    if words.dtype.kind not in "iu":
        raise InputError(f"inputs has the type {words.dtype}; words are integers 0..{net.n_in - 1}")
    if words.ndim not in (1, 2):
        raise InputError(f"inputs has shape {words.shape}; this transformer takes words (T,) or (N, T)")
    outside = words[(words < 0) | (words >= net.n_in)]
    if outside.size:
        raise InputError(
            f"inputs holds the word {outside.flat[0]}; the vocabulary has {net.n_in} words, 0..{net.n_in - 1}"
        )
    return words.astype(np.int64)
