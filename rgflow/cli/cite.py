"""``rgflow cite``: BibTeX for exactly what was used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rgflow.cli.completion import citable
from rgflow.cli.machine import print_json
from rgflow.cli.options import JsonOption
from rgflow.cli.paths import RESULTS


def cite(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names of rgflow (posterior, LayerNorm, mup, nn.JacobianPenalty, ..), or saved results: flow.nc.",
            autocompletion=citable,
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Print BibTeX of rgflow and of the papers behind what was used.

    \b
    Examples:
      rgflow cite                        rgflow alone
      rgflow cite LayerNorm mup          and the papers behind these
      rgflow cite flow.nc > used.bib     and those behind a saved result
    """
    from rgflow.citation import citation

    found = citation(*map(_thing, names or []))
    if json:
        print_json("cite", {"names": names or [], "bibtex": found, "entries": found.split("\n\n")})
        return
    typer.echo(found)


def _thing(name: str) -> Any:
    """A name as it is; a file as the Dataset that it holds."""
    if Path(name).suffix.lower() not in RESULTS:
        return name
    from rgflow.files import load

    return load(name)
