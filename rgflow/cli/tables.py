"""A flow as a table: quantities down, layers across, so that it stays readable in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.algebra import Tensor
from rgflow.cli.screen import results, rule_below_titles
from rgflow.components import Component, distinct, families, has_unit, picked, subscript, unit, unit_text

if TYPE_CHECKING:
    import xarray
    from rich.console import Console

    from rgflow.network import Network

COLUMN = 10  # columns of a number and the space beside it
LABEL = 20  # at least


def print_flow(net: Network, shown: str, ds: xarray.Dataset) -> None:
    """The network, its tensors at chosen layers, how far to trust them, and the numerical error."""
    console = results()
    for line in describe(net):
        console.print(line, style="bold")
    console.print(f"inputs: {shown}")
    console.print()
    show(console, flow_table(ds, console))
    for line, style in [*trust(ds), (numerical_error(ds), "")]:
        console.print(line, style=style)


def show(console: Console, table: Any) -> None:
    """A table in its own width: numbers are cut by no terminal, however narrow."""
    needed = console.measure(table, options=console.options.update(width=400)).maximum
    results(max(needed, console.width)).print(table, soft_wrap=True)


def describe(net: Network) -> list[str]:
    """The network in a line or two."""
    hidden = net.widths[1:-1]
    middle = f"{_many(len(hidden), 'hidden layer')} of {_many(hidden[0], 'neuron')}" if hidden else "no hidden layer"
    ends = _many(net.widths[0], "input"), _many(net.widths[-1], "output")
    values = []
    for name in net.hyperparameters:
        several = [layer.value(name) for layer in net.layers if name in layer.hyperparameters()]
        values += [f"{name} = {several[0]:g}" if len(set(several)) == 1 else f"{name} by layer"] if several else []
    return [
        f"{net.activation.name}: {ends[0]}, {middle}, {ends[1]}; {_many(net.depth, 'weight layer')}",
        *([net.kinds] if "," in net.kinds else []),
        ", ".join(values),
    ]


def _many(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def chosen_layers(depth: int, most: int) -> list[int]:
    """At most ``most`` layers to show: all of a shallow network, else 1, 2, 4, 8, .. and the last.

    >>> chosen_layers(32, 6), chosen_layers(5, 6), chosen_layers(100, 6)
    ([1, 2, 4, 8, 16, 32], [1, 2, 3, 4, 5], [1, 2, 8, 16, 64, 100])
    """
    most = max(most, 2)
    if depth <= most:
        return list(range(1, depth + 1))
    layers = [2**k for k in range(depth.bit_length()) if 2**k < depth] + [depth]
    if len(layers) <= most:
        return layers
    return [layers[i] for i in sorted({round(float(i)) for i in np.linspace(0, len(layers) - 1, most)})]


def flow_table(ds: xarray.Dataset, console: Console) -> Any:
    """Leading order of every tensor, corrections relative to it, and the expansion ratio."""
    from rich.table import Table

    sections = [_section(ds, family) for family in families(ds).values()]
    label = max(LABEL, 1 + max(len(row.label) for rows in sections for row in rows))
    layers = chosen_layers(ds.sizes["layer"], (console.width - label) // COLUMN)
    table = Table(box=rule_below_titles(), padding=0, show_edge=False, pad_edge=False)
    table.add_column("layer", no_wrap=True, min_width=label - 1)
    for layer in layers:
        table.add_column(str(layer), justify="right", no_wrap=True, min_width=COLUMN - 1)
    for rows in sections:
        for row in rows:
            table.add_row(row.label, *(row.values[layer - 1] for layer in layers), style=row.style)
        table.add_section()
    return table


@dataclass(frozen=True)
class Row:
    """One line of the table: a value for every layer, as text."""

    label: str
    values: tuple[str, ...]
    style: str


def _section(ds: xarray.Dataset, family: list[Tensor]) -> list[Row]:
    """The rows of one letter; components that look alike (inputs of the same norm, say) share theirs."""
    found = [row for components in distinct(ds, family) for row in _rows(ds, family, components)]
    letter = family[0].letter
    if "expansion_ratio" in ds and letter in ds["letter"].values:
        ratios = ds["expansion_ratio"].sel(letter=letter).values
        found.append(Row("  next order / last", tuple(f"{ratio:.2g}" for ratio in ratios), "cyan"))
    return found


def _rows(ds: xarray.Dataset, family: list[Tensor], components: Sequence[Component]) -> Iterator[Row]:
    lead, component = family[0], components[0]
    name = lead.name + "=".join(map(subscript, components))
    if has_unit(ds, lead):
        name += f" / {unit_text(lead)}"
    first = picked(ds, lead.name, component)
    n = ds["fan_in"].values.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        yield Row(name, tuple(map(number, first / unit(ds, lead, component))), "")
        for tensor in family[1:]:
            power = tensor.order - lead.order
            relative = picked(ds, tensor.name, component) / (first * n**power)
            yield Row(f"  + {tensor.name} / n{f'^{power}' * (power > 1)}", tuple(map(percent, relative)), "dim")


def number(x: float) -> str:
    """Four digits in at most nine columns.

    >>> number(0.016591), number(-1.23456e-7), number(float("nan")), number(0)
    ('0.01659', '-1.235e-7', '-', '0')
    """
    if not np.isfinite(x):
        return "-"
    mantissa, _, exponent = f"{x:.4g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def percent(x: float) -> str:
    """A relative correction.

    >>> percent(-0.0723), percent(float("nan"))
    ('-7.23 %', '-')
    """
    if not np.isfinite(x):
        return "-"
    if x == 0:
        return "0"
    size = abs(100 * x)
    mantissa, _, exponent = f"{100 * x:+.1e}".partition("e")
    return f"{mantissa}e{int(exponent)} %" if size < 1e-3 or size >= 1e4 else f"{100 * x:+.{3 if size >= 1 else 2}g} %"


def trust(ds: xarray.Dataset) -> list[tuple[str, str]]:
    """Up to which layer the next order is smaller than half of the last, letter by letter."""
    if "trusted_layers" not in ds:
        return [("order 0 knows nothing of its own error: ask --order 1 to see how far it can be trusted", "yellow")]
    depth = ds.sizes["layer"]
    by_layer: dict[int, list[str]] = {}
    for letter, layer in zip(ds["letter"].values, ds["trusted_layers"].values, strict=True):
        by_layer.setdefault(int(layer), []).append(str(letter))
    lines = []
    for layer, letters in sorted(by_layer.items(), reverse=True):
        start = f"trust {', '.join(letters)}"
        if layer >= depth:
            lines.append((f"{start}: the next order is smaller than half the last at every layer", "green"))
        elif layer:
            beyond = "beyond it the next order exceeds half the last"
            lines.append((f"{start} up to layer {layer} of {depth}: {beyond}", "yellow"))
        else:
            lines.append((f"do not {start}: the next order exceeds half the last from the first layer on", "red"))
    return lines


def numerical_error(ds: xarray.Dataset) -> str:
    """The worst numerical error, relative to the largest component of its tensor at its layer."""
    worst = 0.0
    for name in ds["coefficient"].values:
        size = np.abs(ds[str(name)].values).reshape(ds.sizes["layer"], -1).max(axis=1)
        error = ds["numerical_error"].sel(coefficient=name).values
        known = size > 0
        worst = max(worst, float((error[known] / size[known]).max(initial=0.0)))
    return f"numerical error (quadrature and rounding): at most {worst:.1e}, relative"
