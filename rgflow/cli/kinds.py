"""The kind of a layer as a person types it: ``--layer residual --skip 0.9``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rgflow.cli.completion import kinds
from rgflow.errors import InputError, UnknownName

if TYPE_CHECKING:
    from rgflow.network import Layer

KindOption = Annotated[
    str | None,
    typer.Option(
        "--layer", metavar="KIND", help="dense (default), residual, orthogonal, linear, ...", autocompletion=kinds
    ),
]


def layer_of(kind: str | None, skip: float | None, needed: bool = True) -> Layer | None:
    """The description of a layer of that kind, in small letters; None for none.

    needed : whether a kind with a skip must be given its strength.

    >>> layer_of("residual", 0.5).skip
    0.5
    """
    from rgflow.network import Network  # noqa: F401  (every kind is known by its name)
    from rgflow.network.layer import KINDS

    if kind is None:
        if skip is not None:
            raise InputError(f"--skip is {skip:g}, but a dense layer has none; give --layer residual")
        return None
    by_name = {name.lower(): found for name, found in KINDS.items()}
    if kind.lower() not in by_name:
        raise UnknownName("kind of layer", kind, tuple(sorted(by_name)))
    found = by_name[kind.lower()]
    has_skip = "skip" in found.hyperparameters()
    if skip is None:
        if has_skip and needed:
            raise InputError(f"--layer {kind} has a skip strength; give --skip, as --skip 0.9")
        return found()
    if not has_skip:
        raise InputError(f"--skip is {skip:g}, but --layer {kind} has none")
    return found(skip=skip)
