"""``rgflow aspect``: how deep a network should be for its width, and why."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rgflow.checks import whole
from rgflow.cli.answers.choices import aspect_answer
from rgflow.cli.kinds import KindOption, layer_of
from rgflow.cli.machine import print_json
from rgflow.cli.options import ActivationArgument, JsonOption
from rgflow.cli.paths import PICTURES, writable
from rgflow.cli.screen import rule_below_titles

if TYPE_CHECKING:
    from rich.console import Console

    from rgflow.network import Layer
    from rgflow.predict.aspect.ratio import AspectRatio
    from rgflow.predict.aspect.recommendation import Recommendation

WIDTHS = 18  # columns of labels


def aspect(
    activation: ActivationArgument,
    width: Annotated[
        int | None, typer.Option("--width", metavar="N", help="Width of the hidden layers: a depth is recommended.")
    ] = None,
    n_out: Annotated[int, typer.Option("--n-out", metavar="M", help="Output neurons.")] = 1,
    layer: KindOption = None,
    skip: Annotated[
        float | None, typer.Option("--skip", metavar="X", help="Skip strength, of residual layers.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --width: draw against depth/width; .png, .svg or .pdf.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Recommend a depth for a width, from the scale L/n on which fluctuations of a critical network grow.

    \b
    Examples:
      rgflow aspect tanh --width 128 --n-out 10
      rgflow aspect gelu --width 512 --plot aspect.png
      rgflow aspect tanh --skip 0.7
    """
    writable(plot, PICTURES, "--plot")
    from rgflow.cli.files import picture
    from rgflow.cli.screen import results, warn, working
    from rgflow.errors import DomainWarning, InputError
    from rgflow.predict.aspect.ratio import aspect_ratio

    if plot is not None and width is None:
        raise InputError("--plot needs --width: what is drawn depends on it")
    if width is not None:
        whole("width", width, 1)
    with working("deriving nu"):
        found = aspect_ratio(activation, n_out, layer=_layer(layer, skip))
    recommended = None
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", DomainWarning)
        if width is not None:
            with working("following a network of this width"):
                recommended = found.recommend(width)
    if json:
        print_json("aspect", aspect_answer(found, recommended))
    else:
        console = results()
        _print(found, console)
        if recommended is not None:
            _print_recommendation(recommended, console)
    for each in said:
        warn(f"warning: {each.message}")
    if plot is not None and recommended is not None:
        from rgflow.plots.aspect import plot_aspect

        drawn = found, recommended
        picture(lambda: plot_aspect(*drawn), plot, quiet=json)


def _layer(kind: str | None, skip: float | None) -> Layer | None:
    """A skip alone means residual layers."""
    return layer_of("residual" if kind is None and skip is not None else kind, skip)


def _print(found: AspectRatio, console: Console) -> None:
    from rgflow.cli.formulas import hanging
    from rgflow.cli.screen import working
    from rgflow.universality.points import named

    with working("integrating the information of a scale mixture"):
        rows = found.told()
    console.print(named(found.criticality.activation, found.criticality.layer), style="bold", soft_wrap=True)
    for label, text in rows:
        shown = str(found.criticality.point) if label == "activation" else text
        title = "critical point" if label == "activation" else label
        style = "green" if label == "r*" else ""
        console.print(hanging(title, shown, console.width, WIDTHS), style=style, soft_wrap=True)


def _print_recommendation(recommended: Recommendation, console: Console) -> None:
    from rich.table import Table

    from rgflow.cli.formulas import hanging

    console.print()
    title = f"Width {recommended.width}: {recommended.depth} layers, depth/width = {recommended.ratio:.4g}"
    console.print(title, style="bold", soft_wrap=True)
    console.print()
    table = Table(box=rule_below_titles(), padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    table.add_column("bound", no_wrap=True)
    table.add_column("last layer within it", justify="right", no_wrap=True)
    table.add_column("depth/width", justify="right", no_wrap=True)
    for name, last in recommended.cutoffs.items():
        if last is None:
            table.add_row(name, f"beyond {recommended.flowed}", f"> {recommended.flowed / recommended.width:.4g}")
            continue
        style = "yellow" if last < recommended.depth else ""
        table.add_row(name, f"{last}", f"{last / recommended.width:.4g}", style=style)
    console.print(table)
    console.print()
    for text in recommended.reasons:
        console.print(hanging("·", text, console.width, 4), soft_wrap=True)
