"""``--check``: theory and sampled networks side by side, with the distance between them in standard errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.algebra import Tensor
from rgflow.cli.screen import note, results
from rgflow.cli.tables import number, show
from rgflow.components import number_of_samples, picked, representatives, subscript

if TYPE_CHECKING:
    import xarray

FAR = 3.0  # standard errors: among the few dozen comparisons of one table chance alone rarely goes further


@dataclass(frozen=True)
class Comparison:
    """One number of theory beside its sampled value."""

    name: str
    component: tuple[int, ...]
    layer: int
    theory: float
    theory_error: float
    sampled: float
    standard_error: float

    @property
    def apart(self) -> float:
        """Sampled minus theory in standard errors."""
        return (self.sampled - self.theory) / self.standard_error

    @property
    def unexplained(self) -> bool:
        """Further apart than chance and the theory's own estimate of what it leaves out allow together."""
        return not abs(self.sampled - self.theory) <= FAR * self.standard_error + self.theory_error


def sampled_names(ds: xarray.Dataset) -> list[str]:
    """The letters of a flow that can be sampled.

    Raises InputError if none can.
    """
    from rgflow.errors import InputError
    from rgflow.sampling.plan import SAMPLE_ARGUMENTS

    letters = list(dict.fromkeys(Tensor.named(str(name)).letter for name in ds["coefficient"].values))
    left_out = [letter for letter in letters if letter not in SAMPLE_ARGUMENTS]
    if left_out:
        note(f"not sampled, for want of an estimator: {', '.join(left_out)}")
    names = [letter for letter in letters if letter in SAMPLE_ARGUMENTS]
    if not names:
        raise InputError(f"none of {', '.join(letters)} can be sampled; ask for some of {', '.join(SAMPLE_ARGUMENTS)}")
    return names


def comparisons(ds: xarray.Dataset, mc: xarray.Dataset) -> list[Comparison]:
    """Representative components of every sampled tensor at a middle and at the last layer."""
    from rgflow.flow import total

    theory = total(ds)
    depth = ds.sizes["layer"]
    found = []
    for name in (str(name) for name in mc.data_vars):
        if name not in theory:
            continue
        for component in representatives(Tensor.named(name), number_of_samples(ds)):
            for layer in sorted({(depth + 1) // 2, depth}):
                at = [float(picked(*source, component)[layer - 1]) for source in _four(theory, mc, name)]
                if at[3] > 0:  # the first layer, and tensors that vanish identically, are exact in both
                    found.append(Comparison(name, component, layer, *at))
    return found


def _four(theory: xarray.Dataset, mc: xarray.Dataset, name: str) -> list[tuple[xarray.Dataset, str]]:
    return [(theory, name), (theory, f"{name}_error"), (mc, name), (mc, f"{name}_se")]


def print_check(ds: xarray.Dataset, mc: xarray.Dataset) -> None:
    """The table, and its reading in a sentence."""
    console = results()
    rows = comparisons(ds, mc)
    console.print()
    console.print(f"{mc.attrs['networks']} sampled networks, seed {mc.attrs['seed']}", style="bold")
    if not rows:
        console.print("nothing fluctuates here: theory and sampled networks are both exact")
        return
    console.print()
    show(console, check_table(rows))
    for line, style in verdict(rows, int(ds.attrs["order"])):
        console.print(line, style=style)


def check_table(rows: list[Comparison]) -> Any:
    """Theory and its error, sampled and its standard error, and how far apart they are."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    table.add_column("tensor", no_wrap=True)
    for title in ("layer", "theory", "± left out", "sampled", "± s.e.", "s.e. apart"):
        table.add_column(title, justify="right", no_wrap=True)
    before = rows[0].name
    for row in rows:
        if row.name != before:
            table.add_section()
            before = row.name
        style = "red" if row.unexplained else "yellow" if abs(row.apart) > FAR else ""
        table.add_row(
            f"{row.name}{subscript(row.component)}",
            str(row.layer),
            number(row.theory),
            f"{row.theory_error:.2g}" if np.isfinite(row.theory_error) else "unknown",
            number(row.sampled),
            f"{row.standard_error:.2g}",
            f"{row.apart:+.1f}",
            style=style,
        )
    return table


def verdict(rows: list[Comparison], order: int) -> list[tuple[str, str]]:
    """How many agree, and why the others may not."""
    near = sum(abs(row.apart) <= FAR for row in rows)
    unexplained = [row for row in rows if row.unexplained]
    lines = [(f"{near} of {len(rows)} within {FAR:g} standard errors", "green" if near == len(rows) else "")]
    explained = len(rows) - near - len(unexplained)
    if explained:
        text = f"{explained} further apart, but within what orders beyond 1/n^{order} are estimated to add"
        lines.append((f"{text}; --order {order + 1} shows them" if order < 2 else text, "yellow"))
    if unexplained:
        lines.append((f"{len(unexplained)} apart by more than chance and the estimated remainder explain", "red"))
    return lines
