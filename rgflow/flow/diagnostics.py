"""Where the expansion in 1/n stops being trustworthy."""

from __future__ import annotations

from typing import Any

import numpy as np

from rgflow.algebra import Tensor

BOUND = 0.5  # beyond this ratio of successive orders the next order is no longer small
_K, _V, _THETA, _A, _B = (Tensor.named(letter) for letter in ("K", "V", "Theta", "A", "B"))


def expansion_ratios(values: dict[Tensor, Any], fan_in: Any) -> dict[str, Any]:
    """For each letter a measure, layer by layer, of the size of the next order relative to the last.

    It is the largest of what is known:
      - the ratio of successive orders, max |X_q / n| / max |X_{q-1}| over the samples;
      - the relative fluctuation of the metric, V / (n K^2), which multiplies every expansion;
      - for tensors with directions also those of the neural tangent kernel, A / (n Theta^2) and B / (n Theta^2).

    Returns {letter: array (L,)}; a letter with nothing known (order 0) is left out.
    """
    size = {tensor: _size(array) for tensor, array in values.items()}
    common = _fluctuation(size, _V, _K, fan_in)
    tangent = [_fluctuation(size, second, _THETA, fan_in) for second in (_A, _B)]
    ratios: dict[str, Any] = {}
    for tensor in values:
        known = []
        before = Tensor(tensor.structure, tensor.order - 1) if tensor.order else None
        if before in size:
            known.append(_ratio(size[tensor], size[before] * fan_in))
        known += [common] if common is not None else []
        if any(edges for pair in tensor.structure for edges in pair):
            known += [ratio for ratio in tangent if ratio is not None]
        if tensor.letter in ratios:
            known.append(ratios[tensor.letter])
        if known:
            ratios[tensor.letter] = np.max(known, axis=0)
    return ratios


def trusted_layers(ratio: Any) -> int:
    """The last layer up to which the ratio stays below the bound (0 if none)."""
    beyond = np.flatnonzero(~(ratio <= BOUND))
    return int(beyond[0]) if beyond.size else len(ratio)


def _size(array: Any) -> Any:
    return np.abs(array).reshape(len(array), -1).max(axis=1)


def _fluctuation(size: dict[Tensor, Any], two: Tensor, one: Tensor, fan_in: Any) -> Any:
    if two not in size or one not in size:
        return None
    # one factor after the other: a square would overflow, and call a network that runs away quiet
    return _ratio(_ratio(size[two], size[one]), size[one] * fan_in)


def _ratio(above: Any, below: Any) -> Any:
    """above / below; 0 / 0 is 0 (nothing fluctuates), anything else over 0 is infinite."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(above == 0, 0.0, above / below)
