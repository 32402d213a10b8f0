"""``rgflow variation``: signals and gradients of deep residual networks whose variances and widths vary with depth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rgflow.cli.answers.choices import variation_answer
from rgflow.cli.completion import activations, how_to_suggest
from rgflow.cli.machine import print_json
from rgflow.cli.options import JsonOption
from rgflow.cli.paths import PICTURES, RESULTS, writable
from rgflow.cli.screen import rule_below_titles

if TYPE_CHECKING:
    import xarray
    from rich.console import Console

    from rgflow.scaling import VariationPhases

ROWS = 9
COLUMNS = ("p", "q", "s", "e", "chi", "chi_W", "chi_V", "chi_b", "chi_a")


def variation(
    activation: Annotated[
        str,
        typer.Argument(
            help="A name (tanh, relu, ..), a formula in z, or a power as 'relu(z)^(3/4)'.",
            autocompletion=activations,
            show_default=False,
        ),
    ],
    depth: Annotated[int, typer.Option("--depth", metavar="L", help="Number of residual blocks.")] = 100,
    beta: Annotated[
        str | None, typer.Option("--beta", metavar="B", help="Power of the depth by which every variance falls.")
    ] = None,
    beta_W: Annotated[str | None, typer.Option("--beta-W", metavar="B", help="C_W l^-B at block l.")] = None,
    beta_V: Annotated[str | None, typer.Option("--beta-V", metavar="B", help="The same for C_V.")] = None,
    beta_a: Annotated[str | None, typer.Option("--beta-a", metavar="B", help="The same for C_a.")] = None,
    beta_b: Annotated[str | None, typer.Option("--beta-b", metavar="B", help="The same for C_b.")] = None,
    C_W: Annotated[float, typer.Option("--C-W", metavar="X", help="Variance of W, times the width.")] = 1.0,
    C_V: Annotated[float, typer.Option("--C-V", metavar="X", help="Variance of V, times the width.")] = 1.0,
    C_a: Annotated[float, typer.Option("--C-a", metavar="X", help="Variance of the biases a.")] = 1.0,
    C_b: Annotated[float, typer.Option("--C-b", metavar="X", help="Variance of the biases b.")] = 1.0,
    reduced: Annotated[bool, typer.Option("--reduced", help="Blocks x + sigma(W x + b), for an odd sigma.")] = False,
    p0: Annotated[float, typer.Option("--p0", metavar="X", help="Mean square of the input of the first block.")] = 1.0,
    gamma0: Annotated[
        float | None, typer.Option("--gamma0", metavar="X", help="Its covariance with a second input; adds e and s.")
    ] = None,
    widths: Annotated[
        str | None, typer.Option("--widths", metavar="N:L1,L2,..", help="Width N, halved at blocks L1, L2, ..")
    ] = None,
    suggest: Annotated[
        str | None,
        typer.Option(
            "--suggest",
            metavar="HOW",
            help="'variance' or 'width': tame the gradients.",
            autocompletion=how_to_suggest,
        ),
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option("--tolerance", metavar="X", help="With --suggest: the largest chi(0)/chi(L).")
    ] = None,
    latex: Annotated[
        bool, typer.Option("--latex", help="Print the growth with depth as LaTeX and nothing else.")
    ] = False,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw: .png, .svg or .pdf.")] = None,
    save: Annotated[Path | None, typer.Option(metavar="FILE", help="Save the numbers: .nc or .zarr.")] = None,
    json: JsonOption = False,
) -> None:
    """Follow signals and gradients through residual blocks whose variances fall as powers of the depth.

    \b
    Examples:
      rgflow variation tanh --depth 100
      rgflow variation relu --depth 1000 --beta-W 0.5 --beta-V 0.5 --gamma0 0.3
      rgflow variation tanh --widths 2048:16,25,36,49,64,81 --plot gradients.png
      rgflow variation tanh --suggest variance --tolerance 5
    """
    if latex and json:
        raise typer.BadParameter("give one of --latex and --json")
    from rgflow.cli.files import kept, picture
    from rgflow.cli.screen import results, working
    from rgflow.errors import InputError
    from rgflow.scaling import suggest_variation, variation_phases
    from rgflow.scaling import variation as follow

    for path, endings, option in ((plot, PICTURES, "--plot"), (save, RESULTS, "--save")):
        writable(path, endings, option)
    every = number("--beta", beta)
    powers = {n: every if x is None else number(f"--{n.replace('_', '-')}", x) for n, x in zip(
        ("beta_W", "beta_V", "beta_a", "beta_b"), (beta_W, beta_V, beta_a, beta_b), strict=True
    )}  # fmt: skip
    sizes: dict[str, Any] = {"C_W": C_W, "C_V": C_V, "C_a": C_a, "C_b": C_b}
    schedule = halved(widths, depth)
    found = None
    if suggest is not None:
        if any(powers.values()) or schedule is not None or reduced or latex:
            raise InputError(
                "--suggest chooses powers or widths itself; leave --beta, --widths, --reduced, --latex out"
            )
        with as_options(), working("looking for a variation"):
            found = suggest_variation(activation, depth, tolerance=tolerance, p0=p0, **{"how": suggest, **sizes})
        powers = dict.fromkeys(powers, found.beta)
        schedule = list(found.widths)
    elif tolerance is not None:
        raise InputError("--tolerance goes with --suggest")
    if latex:
        with as_options(), working("balancing terms"):
            typer.echo(variation_phases(activation, **sizes, **powers, reduced=reduced).latex())
        return
    with as_options(), working("following signals"):
        ds = follow(
            activation, depth, **sizes, **powers, widths=schedule, reduced=reduced, p0=p0, gamma0=gamma0
        )  # fmt: skip
    phases, reason = _phases(activation, sizes, powers, reduced)
    if json:
        print_json("variation", variation_answer(ds, found, phases, reason))
    else:
        console = results()
        _print(ds, console)
        if found is not None:
            _print_suggestion(found, console)
        _print_growth(phases, reason, console)
    if plot is not None:
        from rgflow.plots import plot_variation

        picture(lambda: plot_variation(ds), plot, quiet=json)
    if save is not None:
        kept(ds, save, "numbers", quiet=json)


OPTIONS = {
    "take full blocks (reduced=False)": "leave --reduced out",
    "reduced=False": "leave --reduced out",
    "how='variance'": "--suggest variance",
    "gamma0=None": "without --gamma0",
    "how is ": "--suggest is ",
    "tolerance is ": "--tolerance is ",
    "raise the tolerance": "raise --tolerance",
    "p0 is ": "--p0 is ",
    "gamma0 is ": "--gamma0 is ",
    "depth is ": "--depth is ",
    "depth ": "--depth ",
} | {f"{n} is ": f"--{n.replace('_', '-')} is " for n in ("C_W", "C_V", "C_a", "C_b")}
"""What the library's messages say, and what it is called here; what ends in a space only begins a message."""


@contextmanager
def as_options() -> Iterator[None]:
    """Errors in terms of the options: ``--reduced`` for ``reduced=False``."""
    from rgflow.errors import AccuracyError, InputError

    try:
        yield
    except (InputError, AccuracyError) as error:
        text = str(error)
        for ours, theirs in OPTIONS.items():
            if ours.endswith(" "):  # a name, at the beginning only
                text = theirs + text.removeprefix(ours) if text.startswith(ours) else text
            else:
                text = text.replace(ours, theirs)
        raise type(error)(text) from None


def number(option: str, text: str | None) -> float:
    """A power as a float; a decimal or a fraction, not negative.

    >>> number("--beta", "1/4"), number("--beta", None)
    (0.25, 0.0)
    """
    from rgflow.cli.numbers import exact
    from rgflow.errors import InputError

    found = exact(option, text)
    if found is None:
        return 0.0
    if found == "symbolic":
        raise InputError(f"{option} is 'symbolic'; the table needs numbers, rgflow.variation_phases takes symbols")
    return float(found)


def halved(text: str | None, depth: int) -> list[int] | None:
    """n_0, ..., n_L of ``2048:16,25``.

    >>> halved("8:2", 3)
    [8, 8, 4, 4]
    """
    from rgflow.errors import InputError

    if text is None:
        return None
    first, _, blocks = text.partition(":")
    try:
        width = int(first)
        places = sorted(int(x) for x in blocks.split(",")) if blocks else []
    except ValueError:
        raise InputError(f"--widths is {text!r}; give a width and blocks that halve it, as 2048:16,25,36") from None
    if width < 1 or any(not 1 <= x <= depth for x in places) or width >> len(places) < 1:
        raise InputError(f"--widths is {text!r}; blocks lie between 1 and {depth}, and a neuron must be left")
    return [width >> sum(place <= l for place in places) for l in range(depth + 1)]


# The table ------------------------------------------------------------------------------------------------------------


def _print(ds: xarray.Dataset, console: Console) -> None:
    from rgflow.cli.formulas import hanging
    from rgflow.cli.tables import show

    depth = ds.sizes["layer"] - 1
    console.print(f"{named(ds)}, {depth} blocks ({ds.attrs['layers']})", style="bold", soft_wrap=True)
    console.print()
    show(console, table(ds, console.width))
    console.print()
    error = float(ds["numerical_error"].max())
    note = (
        "gradients chi are mean squares at layer l as multiples of chi at layer L; infinite width; relative numerical "
        f"error at most {error:.0e}"
    )
    console.print(hanging("", note, console.width, 0), style="dim", soft_wrap=True)


def named(ds: xarray.Dataset) -> str:
    """Its activation, a power with its exponent."""
    power = ds.attrs.get("power")
    return f"{ds.attrs['activation']}(z)^({power})" if power else str(ds.attrs["activation"])


def table(ds: xarray.Dataset, width: int) -> Any:
    """Some layers, and as many quantities as fit."""
    import numpy as np
    from rich.table import Table

    depth = ds.sizes["layer"] - 1
    names = [n for n in COLUMNS if n in ds][: max(2, (width - 10) // 11)]
    rows = np.unique(np.round(np.linspace(0, depth, min(ROWS, depth + 1))).astype(int))
    found = Table(box=rule_below_titles(), padding=0, show_edge=False, pad_edge=False)
    found.add_column("  layer", no_wrap=True, min_width=9)
    for name in names:
        found.add_column(f"{name} ", justify="right", no_wrap=True, min_width=10)
    for l in rows:
        found.add_row(f"  {l}", *(cell(ds, name, int(l)) for name in names))
    return found


def cell(ds: xarray.Dataset, name: str, l: int) -> str:
    """Four digits; from the logarithm where a float does not hold it."""
    import math

    value = float(ds[name][l])
    if math.isnan(value):
        return "- "
    if f"log_{name}" in ds and (math.isinf(value) or value == 0):
        log = float(ds[f"log_{name}"][l]) / math.log(10)
        return f"1e{log:+.5g} " if math.isfinite(log) else "0 "
    return f"{value:.4g} "


def _print_suggestion(found: Any, console: Console) -> None:
    from rgflow.cli.formulas import hanging

    console.print()
    console.print("Suggestion", style="bold")
    console.print(hanging("", str(found), console.width, 2), soft_wrap=True)


def _phases(activation: str, sizes: Any, powers: Any, reduced: bool) -> tuple[VariationPhases | None, str]:
    """How everything grows, or why that is not known: the numbers stand all the same."""
    from rgflow.cli.screen import working
    from rgflow.errors import NoClosedForm
    from rgflow.scaling import variation_phases

    try:
        with working("balancing terms"):
            return variation_phases(activation, **sizes, **powers, reduced=reduced), ""
    except NoClosedForm as error:
        return None, str(error)


def _print_growth(phases: VariationPhases | None, reason: str, console: Console) -> None:
    from rgflow.cli.formulas import hanging

    console.print()
    console.print("Growth with depth, variances as here and equal widths", style="bold")
    if phases is None:
        console.print(hanging("", f"not known: {reason}", console.width, 2), style="yellow", soft_wrap=True)
        return
    for label, text in growth_lines(phases):
        console.print(hanging(label, text, console.width, 10), soft_wrap=True)


def growth_lines(found: VariationPhases) -> list[tuple[str, str]]:
    """A label and a line for every quantity."""
    from rgflow.cli.formulas import DIGITS
    from rgflow.scaling.growth.cases import expressivity_text
    from rgflow.scaling.growth.printing import text_of

    (case,) = found.cases
    lines = [(name, f"{law.regime}: {text_of(law.expression, DIGITS)}{law.factor}") for name, law in case.laws.items()]
    return [*lines, ("e", expressivity_text(case.e))]
