"""Which models are measured: one, several, or as many as are drawn from a factory or a description."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from rgflow.checks import whole
from rgflow.errors import InputError
from rgflow.network import Network
from rgflow.nn.models.build import Model, build
from rgflow.seeds import seed_sequence, seed_text


@dataclass(frozen=True)
class Ensemble:
    """Models, drawn one after the other, and seeds of what is drawn to measure them.

    Attributes
    ----------
    source : sequence of modules, function of a seed, or Network
    networks : int
        How many there are.
    model_seeds, probe_seeds : tuple of int
        One of each for every network, independent of each other.
    seed : str
        What they were made from.
    """

    source: Any
    networks: int
    model_seeds: tuple[int, ...]
    probe_seeds: tuple[int, ...]
    seed: str

    def __iter__(self) -> Iterator[tuple[nn.Module, int]]:
        for i, (seed, probe) in enumerate(zip(self.model_seeds, self.probe_seeds, strict=True)):
            yield self._model(i, seed), probe

    def about(self) -> dict[str, Any]:
        """What a result says of them."""
        return {"networks": self.networks, "seed": self.seed}

    def _model(self, i: int, seed: int) -> nn.Module:
        if isinstance(self.source, Network):
            return build(self.source, seed=seed, dtype=torch.float64)
        if isinstance(self.source, Sequence):
            return self.source[i]  # type: ignore[no-any-return]
        model = self.source(seed)
        if not isinstance(model, nn.Module):
            raise InputError(f"the factory returned {model!r} for the seed {seed}; it should return a torch module")
        return model


def ensemble(models: Any, networks: int | None, seed: Any, default: int = 10) -> Ensemble:
    """The models of what a user gave.

    Parameters
    ----------
    models : Module, sequence of modules, function of an integer seed that returns a module, or Network
        A Network is built anew for every seed, in double precision.
    networks : int, optional
        How many to draw of a function or a Network (by default ``default``).
    seed : int, SeedSequence, Generator or None

    Raises InputError for anything else.
    """
    drawn = isinstance(models, Network) or (callable(models) and not isinstance(models, nn.Module))
    if drawn:
        count = whole("networks", default if networks is None else networks, 1)
    else:
        given = [models] if isinstance(models, nn.Module) else models
        if not isinstance(given, Sequence) or not given or not all(isinstance(m, nn.Module) for m in given):
            raise InputError(
                f"models is {models!r}; give a torch module, a list of them, a function of a seed that returns one, or "
                "a rgflow network"
            )
        count = len(given)
        if networks is not None and whole("networks", networks, 1) != count:
            raise InputError(
                f"networks is {networks}, and {count} are given; leave it out, or give a function of a seed"
            )
    sequence = seed_sequence(seed)
    drawn_by, probed_by = (
        tuple(int(word) for word in one.generate_state(count, np.uint32)) for one in sequence.spawn(2)
    )
    return Ensemble(given if not drawn else models, count, drawn_by, probed_by, seed_text(sequence))


def described_by(model: nn.Module, given: Any = None) -> Network | None:
    """The network that a model was drawn from: what the user says, or what it was built of; None if nobody knows."""
    if given is not None:
        if not isinstance(given, Network):
            raise InputError(f"description is {given!r}; give rgflow.MLP(...) or rgflow.Network(...)")
        return given
    return model.net if isinstance(model, Model) else None


def undescribed(model: nn.Module) -> str:
    """Why no theory stands beside a measurement of a model."""
    by = model.changed if isinstance(model, Model) else ""
    return f"none: changed by rgflow.nn.{by}, its description no longer holds" if by else "none: no description"
