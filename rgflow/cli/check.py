"""``--check``: theory and sampled networks side by side, with the distance between them in standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.algebra import LETTERS, Tensor
from rgflow.cli.screen import results, rule_below_titles, warn
from rgflow.cli.tables import number, show
from rgflow.components import families, number_of_samples, picked, representatives, subscript
from rgflow.sampling.plan import check_networks

if TYPE_CHECKING:
    import xarray

# How often a right theory is marked anywhere in a table, by chance.
LEVEL = 0.01


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

    def by_chance(self, limit: float) -> bool:
        """No further apart than chance allows: ``limit`` standard errors."""
        return abs(self.apart) <= limit

    def explained(self, limit: float) -> bool:
        """No further apart than chance and the theory's own estimate of what it leaves out allow together."""
        return abs(self.sampled - self.theory) <= limit * self.standard_error + self.theory_error


def chance(rows: int, batches: int) -> float:
    """The distance, in standard errors, that any of ``rows`` passes by chance in a share LEVEL of tables at most.

    A standard error that is itself measured, from the spread of ``batches`` estimates, makes the distance Student's t
    with batches - 1 degrees of freedom; Bonferroni's share LEVEL / rows holds however the rows depend on each other.

    >>> round(chance(1, 10**6), 3), round(chance(18, 50), 3)
    (2.576, 3.694)
    """
    from scipy.special import stdtrit

    return float(-stdtrit(batches - 1, LEVEL / (2 * rows)))


def sampled_names(tensors: Sequence[str], networks: int) -> list[str]:
    """The letters of a request that can be sampled, those with a name of their own; it says which cannot.

    Raises InputError if they need more networks.
    """
    letters = list(dict.fromkeys(Tensor.named(name).letter for name in tensors))
    names = [letter for letter in letters if letter in LETTERS]
    check_networks(networks, names)
    left_out = [letter for letter in letters if letter not in LETTERS]
    if left_out:
        warn(f"not sampled, for want of an estimator: {', '.join(left_out)}")
    return names


def comparisons(ds: xarray.Dataset, mc: xarray.Dataset) -> list[Comparison]:
    """Representative components of every sampled tensor at a middle and at the last layer."""
    from rgflow.flow import total

    theory = total(ds)
    depth = ds.sizes["layer"]
    found = []
    for name, (tensor,) in families(mc).items():
        if name not in theory:
            continue
        sources = ((theory, name), (theory, f"{name}_error"), (mc, name), (mc, f"{name}_se"))
        for component in representatives(tensor, number_of_samples(ds)):
            for layer in sorted({(depth + 1) // 2, depth}):
                row = Comparison(name, component, layer, *(float(picked(*s, component)[layer - 1]) for s in sources))
                if row.standard_error > 0:  # layer 1, and tensors that vanish identically, are exact in both
                    found.append(row)
    return found


def print_check(ds: xarray.Dataset, mc: xarray.Dataset) -> None:
    """The table, and its reading in a sentence."""
    console = results()
    rows = comparisons(ds, mc)
    console.print()
    console.print(f"{mc.attrs['networks']} sampled networks, seed {mc.attrs['seed']}", style="bold")
    if not rows:
        console.print("nothing fluctuates here: theory and sampled networks are both exact")
        return
    limit = chance(len(rows), int(mc.attrs["batches"]))
    console.print()
    show(console, check_table(rows, limit))
    for line, style in verdict(rows, limit, int(ds.attrs["order"])):
        console.print(line, style=style)


def check_table(rows: Sequence[Comparison], limit: float) -> Any:
    """Theory and its error, sampled and its standard error, and how far apart: beyond chance *, beyond both **."""
    from rich.table import Table

    table = Table(box=rule_below_titles(), padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    table.add_column("tensor", no_wrap=True)
    for title in ("layer", "theory", "± left out", "sampled", "± s.e.", "s.e. apart"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    before = rows[0].name
    for row in rows:
        if row.name != before:
            table.add_section()
            before = row.name
        mark, style = ("", "") if row.by_chance(limit) else ("*", "yellow") if row.explained(limit) else ("**", "red")
        table.add_row(
            f"{row.name}{subscript(row.component)}",
            str(row.layer),
            number(row.theory),
            f"{row.theory_error:.2g}" if np.isfinite(row.theory_error) else "unknown",
            number(row.sampled),
            f"{row.standard_error:.2g}",
            f"{round(row.apart, 1) + 0.0:+.1f}",
            mark,
            style=style,
        )
    return table


def verdict(rows: Sequence[Comparison], limit: float, order: int) -> list[tuple[str, str]]:
    """How many agree, and why the others may not."""
    near = sum(row.by_chance(limit) for row in rows)
    unexplained = sum(not row.explained(limit) for row in rows)
    explained = len(rows) - near - unexplained
    how_many = f"all {near}" if near == len(rows) else f"{near} of {len(rows)}"
    allowed = f"what chance allows at {100 * LEVEL:g} % for the family: {limit:.2g} standard errors"
    lines = [(f"{how_many} within {allowed}", "green" if near == len(rows) else "")]
    if explained:
        text = f"* {explained} further apart, but within what orders beyond 1/n^{order} are estimated to add"
        lines.append((f"{text}; --order {order + 1} shows them" if order < 2 else text, "yellow"))
    if unexplained:
        lines.append((f"** {unexplained} apart by more than chance and the estimated remainder explain", "red"))
    return lines
