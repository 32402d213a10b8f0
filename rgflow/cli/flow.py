"""``rgflow flow``: tensors through depth, checked against sampled networks, drawn and saved."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rgflow.cli.answers.flow import flow_answer
from rgflow.cli.completion import kinds, tensor_list
from rgflow.cli.kinds import layer_of
from rgflow.cli.machine import print_json
from rgflow.cli.options import ActivationArgument
from rgflow.cli.paths import PICTURES, RESULTS, writable
from rgflow.errors import InputError

if TYPE_CHECKING:
    import xarray

    from rgflow.cli.inputs import Given
    from rgflow.network import Network

NETWORK, INPUTS, THEORY, CHECK, RESULT = "Network", "Inputs", "Theory", "Check against sampled networks", "Results"


class Kinks(StrEnum):
    """What written second derivatives of a kinked activation mean."""

    error = "error"
    almost_everywhere = "almost_everywhere"


def flow(
    activation: ActivationArgument,
    width: Annotated[int, typer.Option(metavar="N", help="Neurons of a hidden layer.", rich_help_panel=NETWORK)] = 128,
    depth: Annotated[int, typer.Option(metavar="L", help="Weight layers.", rich_help_panel=NETWORK)] = 32,
    n_out: Annotated[
        int | None,
        typer.Option(
            "--n-out", metavar="N", help="Outputs; default: as many as hidden neurons.", rich_help_panel=NETWORK
        ),
    ] = None,
    C_W: Annotated[
        str,
        typer.Option(
            "--C-W",
            metavar="X",
            help="Variance of weights times fan-in; or one per layer: 1,2,2.",
            rich_help_panel=NETWORK,
        ),
    ] = "1",
    C_b: Annotated[
        str, typer.Option("--C-b", metavar="X", help="Variance of biases; or one per layer.", rich_help_panel=NETWORK)
    ] = "0",
    lambda_W: Annotated[
        str,
        typer.Option("--lambda-W", metavar="X", help="Learning rate of weights times fan-in.", rich_help_panel=NETWORK),
    ] = "1",
    lambda_b: Annotated[
        str, typer.Option("--lambda-b", metavar="X", help="Learning rate of biases.", rich_help_panel=NETWORK)
    ] = "1",
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Layers between the first and the last: dense (default), residual, orthogonal, ...",
            rich_help_panel=NETWORK,
            autocompletion=kinds,
        ),
    ] = None,
    skip: Annotated[
        float | None,
        typer.Option("--skip", metavar="X", help="Skip strength of residual layers.", rich_help_panel=NETWORK),
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help=".npy, .npz (FILE.npz:KEY) or .csv, one input a row; default: two digits.",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    first_kernel: Annotated[
        str | None,
        typer.Option(
            "--first-kernel",
            metavar="X",
            help="Instead: K of layer 1, a number or '1,0.5;0.5,1'.",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    tensors: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="Names, separated by commas.", rich_help_panel=THEORY, autocompletion=tensor_list
        ),
    ] = "K,V,Theta",
    order: Annotated[int, typer.Option(metavar="P", help="Power of 1/width: 0, 1 or 2.", rich_help_panel=THEORY)] = 1,
    kinks: Annotated[
        Kinks,
        typer.Option(
            metavar="RULE",
            help="sigma'' at a kink: 'error', or 'almost_everywhere' to take it branch by branch.",
            rich_help_panel=THEORY,
        ),
    ] = Kinks.error,
    book: Annotated[
        bool,
        typer.Option("--book", help="Layers with a skip: as if neurons did not remember.", rich_help_panel=THEORY),
    ] = False,
    check: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=100, help="Sample N networks and compare, in standard errors.", rich_help_panel=CHECK
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="S", min=0, help="Seed of the sampled networks.", rich_help_panel=CHECK)
    ] = 0,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Threads that sample; default: one per processor.", rich_help_panel=CHECK
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw: .png, .svg or .pdf.", rich_help_panel=RESULT)
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save the coefficients: .nc or .zarr.", rich_help_panel=RESULT)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.", rich_help_panel=RESULT)] = False,
) -> None:
    """Flow the tensors of a network through its layers, with their 1/width corrections.

    \b
    Examples:
      rgflow flow tanh --width 128 --depth 32
      rgflow flow relu --C-W 2 --first-kernel 1 --tensors K,V,Theta,A,B,D,F
      rgflow flow "z*tanh(z)" --depth 8 --inputs data.csv --order 2
      rgflow flow gelu --depth 8 --check 1000 --plot flow.png --save flow.nc
      rgflow flow tanh --layer residual --skip 0.9 --C-W 0.19 --tensors K,V
    """
    from rgflow.cli.check import sampled_names
    from rgflow.cli.inputs import given
    from rgflow.cli.networks import followed, network
    from rgflow.cli.screen import warn, working

    for path, endings, option in ((plot, PICTURES, "--plot"), (save, RESULTS, "--save")):
        writable(path, endings, option)
    kind = layer_of(layer, skip)
    shown = given(inputs, first_kernel, width)
    if inputs is None and order > 0 and not book:
        shown = followed(shown, kind)
    values = {"C_b": C_b, "C_W": C_W, "lambda_b": lambda_b, "lambda_W": lambda_W}
    net = network(activation, width, depth, n_out, shown.n_in, kind, values)
    names = _names(tensors)
    wanted = _with_scales(names)
    measured = sampled_names(wanted, check) if check is not None else []
    if order > 2:
        warn(f"--order {order}: numbers are promised to order 2; beyond, deriving them may take long")
    from rgflow.flow import flow as flowed
    from rgflow.flow import total

    with working("deriving and flowing (compiling, where this program is new)"), _in_terms_of_options(names, order):
        ds = flowed(
            net,
            shown.inputs,
            first_kernel=shown.first_kernel,
            tensors=wanted,
            order=order,
            kinks=kinks.value,
            closure="book" if book else "full",
        )
    if not json:
        _show(net, shown, ds)
    mc = None
    if check is not None:
        if not json:
            total(ds)  # the table compares totals: what has none is refused before the work
        mc = _sample(net, shown, measured, check, seed, threads, kinks.value)
        if not json:
            from rgflow.cli.check import print_check

            print_check(ds, mc)
    if json:
        print_json("flow", flow_answer(ds, mc))
    _write(ds, mc, plot, save, quiet=json)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError("--tensors is empty; name at least one, such as K")
    return names


def _with_scales(names: list[str]) -> list[str]:
    """The tensors asked for, with K, and Theta where directions occur: the table shows others relative to these."""
    from rgflow.algebra import Tensor

    dressed = any(edges for name in names for pair in Tensor.named(name).structure for edges in pair)
    scales = ["K"] + ["Theta"] * dressed
    return [name for name in scales if name not in names] + names


@contextmanager
def _in_terms_of_options(names: list[str], order: int) -> Iterator[None]:
    """A tensor that a flow of many inputs is refused for may be one that nobody asked for: say where it comes from."""
    try:
        yield
    except InputError as error:
        told = re.match(r"\d+ different inputs: ([^\s,]+)", str(error))
        if told is None:
            raise
        whence = "" if told[1] in names else f"; {told[1]} is needed by --tensors {','.join(names)} --order {order}"
        raise InputError(f"{error} (--tensors K,Theta --order 0){whence}") from None


def _show(net: Network, shown: Given, ds: xarray.Dataset) -> None:
    from rgflow.cli.tables import print_flow

    print_flow(net, shown.text, ds)


def _sample(
    net: Network,
    shown: Given,
    names: list[str],
    networks: int,
    seed: int,
    threads: int | None,
    kinks: str,
) -> xarray.Dataset:
    from rgflow.cli.screen import messages, note
    from rgflow.sampling import sample
    from rgflow.threads import cores, single_products

    note(f"sampling {networks} networks: {', '.join(names)} (seed {seed})")
    with single_products():  # our threads share the processors
        return sample(
            net,
            shown.inputs,
            first_kernel=shown.first_kernel,
            tensors=names,
            networks=networks,
            seed=seed,
            threads=threads or cores(),
            kinks=kinks,
            progress=messages().is_interactive,
        )


def _write(ds: xarray.Dataset, mc: xarray.Dataset | None, plot: Path | None, save: Path | None, quiet: bool) -> None:
    from rgflow.cli.files import kept, picture

    if plot is not None:
        from rgflow.plots import plot_flow

        picture(lambda: plot_flow(ds, mc), plot, quiet)
    if save is not None:
        kept(ds, save, "coefficients", quiet)
