"""``rgflow phase``: where an activation is ordered and where chaotic, and over how many layers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rgflow.cli.answers.formulas import points_answer
from rgflow.cli.machine import dataset, print_json
from rgflow.cli.options import ActivationArgument, JsonOption
from rgflow.cli.paths import PICTURES, RESULTS, writable
from rgflow.cli.screen import rule_below_titles

if TYPE_CHECKING:
    import xarray
    from rich.console import Console

    from rgflow.universality import Criticality

COLUMN = 10  # columns of a number and the space beside it
MOST_COLUMNS, MOST_ROWS = 12, 6
MARKS = {-1: "o", 0: "=", 1: "c"}
STYLES = {-1: "magenta", 0: "bold", 1: "yellow"}


def phase(
    activation: ActivationArgument,
    C_W: Annotated[
        str | None, typer.Option("--C-W", metavar="A:B:N", help="N values from A to B; default: around criticality.")
    ] = None,
    C_b: Annotated[str | None, typer.Option("--C-b", metavar="A:B:N", help="The same.")] = None,
    first_kernel: Annotated[
        float, typer.Option("--first-kernel", metavar="K", help="Kernel of layer 1; decides between fixed points.")
    ] = 1.0,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw: .png, .svg or .pdf.")] = None,
    save: Annotated[Path | None, typer.Option(metavar="FILE", help="Save the diagram: .nc or .zarr.")] = None,
    json: JsonOption = False,
) -> None:
    """Show the phases of infinitely wide networks over C_W and C_b, with their depth scales.

    \b
    Examples:
      rgflow phase tanh --plot phase.png
      rgflow phase gelu --C-W 0.5:3:200 --C-b 0:0.3:100 --save phase.nc
      rgflow phase "erf(z) + z/10" --first-kernel 4
    """
    from rgflow.cli.files import kept, picture
    from rgflow.cli.numbers import grid
    from rgflow.cli.screen import results, working
    from rgflow.universality import phase_diagram

    for path, endings, option in ((plot, PICTURES, "--plot"), (save, RESULTS, "--save")):
        writable(path, endings, option)
    w, b = grid("--C-W", C_W), grid("--C-b", C_b)
    found, reason = _critical(activation)
    with working("finding fixed points"):
        ds = phase_diagram(activation, C_W=w, C_b=b, first_kernel=first_kernel)
    if json:
        print_json("phase", {"points": points_answer(found), "why_none": reason or None, "dataset": dataset(ds)})
    else:
        console = results()
        _print_diagram(ds, console)
        _print_points(found, reason, console)
    if plot is not None:
        from rgflow.plots import plot_phase

        picture(lambda: plot_phase(ds, _marks(found)), plot, quiet=json)
    if save is not None:
        kept(ds, save, "diagram", quiet=json)


def _critical(activation: str) -> tuple[Criticality | None, str]:
    """The critical points, or why there are none: a diagram is drawn all the same."""
    from rgflow.errors import NoCriticalPoint
    from rgflow.universality import criticality

    try:
        return criticality(activation), ""
    except NoCriticalPoint as error:
        return None, str(error)


def _marks(found: Criticality | None) -> list[tuple[float, float, str]]:
    """The points of a picture: unstable ones say so."""
    if found is None:
        return []
    return [(p.C_W, p.C_b, "critical point" if p.stable else "unstable") for p in found.points]


def _print_points(found: Criticality | None, reason: str, console: Console) -> None:
    from rgflow.cli.critical import point_text
    from rgflow.cli.formulas import hanging

    console.print()
    if found is None:
        console.print(hanging("", reason, console.width, 0), style="yellow", soft_wrap=True)
        return
    for point in found.points:
        label = "critical point" if point == found.point else "also critical" if point.stable else "unstable"
        console.print(point_text(point, label, console.width), soft_wrap=True)


# The table ------------------------------------------------------------------------------------------------------------


def _print_diagram(ds: xarray.Dataset, console: Console) -> None:
    from rgflow.cli.formulas import hanging
    from rgflow.cli.tables import show

    size = f"{ds.sizes['C_W']} values of C_W, {ds.sizes['C_b']} of C_b"
    title = f"{ds.attrs['activation']}: {size}, first kernel {ds.attrs['first_kernel']:g}"
    console.print(title, style="bold", soft_wrap=True)
    for name, what in (("xi_perpendicular", "direction"), ("xi_parallel", "norm")):
        console.print()
        console.print(f"{name}: depth scale of differences in {what}, in layers", soft_wrap=True)
        show(console, table(ds, name, console.width))
    console.print()
    for line in ("o ordered: nearby inputs come together; c chaotic: they part; = critical", shares(ds)):
        console.print(hanging("", line, console.width, 0), style="dim", soft_wrap=True)


def table(ds: xarray.Dataset, name: str, width: int) -> Any:
    """A depth scale on a few rows and columns of the grid, each number with the mark of its phase."""
    from rich.table import Table

    columns = spread(ds.sizes["C_W"], min(MOST_COLUMNS, max(2, (width - 12) // COLUMN)))
    rows = spread(ds.sizes["C_b"], MOST_ROWS)
    found = Table(box=rule_below_titles(), padding=0, show_edge=False, pad_edge=False)
    found.add_column("  C_b \\ C_W", no_wrap=True, min_width=12)
    for j in columns:
        found.add_column(f"{float(ds['C_W'][j]):.4g}  ", justify="right", no_wrap=True, min_width=COLUMN - 1)
    lengths, phases = ds[name].values, ds["phase"].values
    for i in reversed(rows):  # C_b grows upwards, as in the picture
        cells = (cell(float(lengths[i, j]), int(phases[i, j])) for j in columns)
        found.add_row(f"  {float(ds['C_b'][i]):.4g}", *cells)
    return found


def cell(length: float, phase: int) -> Any:
    """A depth in layers and its phase.

    >>> str(cell(12.345, -1)), str(cell(float("inf"), 0))
    ('12.3 o', 'inf =')
    """
    import numpy as np
    from rich.text import Text

    number = "-" if np.isnan(length) else f"{length:.3g}"
    return Text(f"{number} {MARKS[phase]}", style=STYLES[phase])


def spread(size: int, most: int) -> list[int]:
    """At most ``most`` of ``size`` places, evenly, both ends included.

    >>> spread(121, 5), spread(3, 5)
    ([0, 30, 60, 90, 120], [0, 1, 2])
    """
    import numpy as np

    return sorted({round(float(i)) for i in np.linspace(0, size - 1, min(most, size))})


def shares(ds: xarray.Dataset) -> str:
    """How much of the grid each phase takes."""
    import numpy as np

    phases = ds["phase"].values
    parts = [(name, np.mean(phases == value)) for value, name in ((-1, "ordered"), (1, "chaotic"), (0, "critical"))]
    return "of the grid: " + ", ".join(f"{100 * share:.3g} % {name}" for name, share in parts if share)
