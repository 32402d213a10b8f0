"""Seeds of what is drawn, as ``rgflow.sample`` takes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from rgflow.checks import whole
from rgflow.errors import InputError


def seed_sequence(seed: Any) -> np.random.SeedSequence:
    """A fresh SeedSequence of a seed: None (fresh entropy), an int, a SeedSequence, or a Generator (which advances).

    A given SeedSequence is copied, so that it says the same however often it is used. InputError for anything else.
    """
    if seed is None:
        return np.random.SeedSequence()
    if isinstance(seed, np.random.SeedSequence):
        return np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key, pool_size=seed.pool_size)
    if isinstance(seed, np.random.Generator):
        return np.random.SeedSequence([int(word) for word in seed.integers(0, 2**32, size=4, dtype=np.uint64)])
    try:
        return np.random.SeedSequence(whole("seed", seed, 0))
    except InputError as error:
        raise InputError(f"{error}, a numpy SeedSequence or a numpy Generator") from None


def seed_text(sequence: np.random.SeedSequence) -> str:
    """The seed as text from which the same SeedSequence can be made again.

    >>> seed_text(seed_sequence(7))
    '7'
    """
    if sequence.spawn_key:
        return f"SeedSequence({sequence.entropy}, spawn_key={tuple(map(int, sequence.spawn_key))})"
    return str(sequence.entropy)
