"""``rgflow sweep``: flows, or samples, over a grid of hyperparameters, as tables, a picture and a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rgflow.cli.completion import kinds, tensor_list
from rgflow.cli.flow import Kinks
from rgflow.cli.machine import dataset, print_json
from rgflow.cli.options import ActivationArgument
from rgflow.cli.paths import PICTURES, RESULTS, writable
from rgflow.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import xarray
    from numpy.typing import NDArray

    from rgflow.network import Network

    Values = float | NDArray[np.float64]

AXES, INPUTS, THEORY, WORK, RESULT = "Axes: a number, 1,2,4 or start:stop:count", "Input", "Theory", "Work", "Results"
DEPTH, WIDTH = "32", "128"


def sweep(
    activation: ActivationArgument,
    C_W: Annotated[
        str | None,
        typer.Option("--C-W", metavar="X", help="Variance of weights times fan-in; default 1.", rich_help_panel=AXES),
    ] = None,
    C_b: Annotated[
        str | None, typer.Option("--C-b", metavar="X", help="Variance of biases; default 0.", rich_help_panel=AXES)
    ] = None,
    lambda_W: Annotated[
        str | None,
        typer.Option("--lambda-W", metavar="X", help="Learning rate of weights times fan-in.", rich_help_panel=AXES),
    ] = None,
    lambda_b: Annotated[
        str | None, typer.Option("--lambda-b", metavar="X", help="Learning rate of biases.", rich_help_panel=AXES)
    ] = None,
    depth: Annotated[str, typer.Option(metavar="L", help="Weight layers.", rich_help_panel=AXES)] = DEPTH,
    width: Annotated[
        str, typer.Option(metavar="N", help="Neurons of every hidden layer.", rich_help_panel=AXES)
    ] = WIDTH,
    skip: Annotated[
        str | None, typer.Option(metavar="X", help="Skip strength of residual layers.", rich_help_panel=AXES)
    ] = None,
    axis: Annotated[
        list[str] | None,
        typer.Option("--axis", metavar="NAME=X", help="Another: beta=0.5:2:10, slope=..", rich_help_panel=AXES),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Layers between the first and the last.",
            rich_help_panel=AXES,
            autocompletion=kinds,
        ),
    ] = None,
    first_kernel: Annotated[
        str | None,
        typer.Option(
            "--first-kernel",
            metavar="K",
            help="K of layer 1; default: an input with x·x/n_0 = 1.",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Instead: one input, .npy, .npz or .csv.", rich_help_panel=INPUTS),
    ] = None,
    tensors: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="Names, separated by commas.", rich_help_panel=THEORY, autocompletion=tensor_list
        ),
    ] = "K,V,Theta",
    order: Annotated[int, typer.Option(metavar="P", help="Power of 1/width: 0, 1 or 2.", rich_help_panel=THEORY)] = 1,
    kinks: Annotated[
        Kinks, typer.Option(metavar="RULE", help="sigma'' at a kink.", rich_help_panel=THEORY)
    ] = Kinks.error,
    layers: Annotated[
        str, typer.Option(metavar="WHICH", help="'last', 'all' or a list: what to keep.", rich_help_panel=THEORY)
    ] = "last",
    networks: Annotated[
        int | None,
        typer.Option(metavar="N", min=100, help="Sample N networks at every point instead.", rich_help_panel=WORK),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Seed of the samples.", rich_help_panel=WORK)] = 0,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Default: one per processor.", rich_help_panel=WORK)
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw: .png, .svg or .pdf.", rich_help_panel=RESULT)
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep: .nc, or .zarr, written as it is computed: the same command goes on after an interrupt.",
            rich_help_panel=RESULT,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.", rich_help_panel=RESULT)] = False,
) -> None:
    """Flow, or sample, networks over a grid of hyperparameters.

    \b
    Examples:
      rgflow sweep tanh --C-W 0.5:3:200 --C-b 0:0.3:100 --plot phase.png
      rgflow sweep swish --axis beta=0.5:5:50 --C-W 2 --save beta.zarr
      rgflow sweep relu --C-W 2 --depth 2,4,8,16,32 --width 64,128,256
      rgflow sweep tanh --C-W 1,1.5,2 --depth 4 --width 32 --networks 1000
    """
    from rgflow.cli.files import kept, picture
    from rgflow.cli.screen import results
    from rgflow.cli.sweep_tables import print_sweep

    for path, endings, option in ((plot, PICTURES, "--plot"), (save, RESULTS, "--save")):
        writable(path, endings, option)
    named = {"C_W": C_W, "C_b": C_b, "lambda_W": lambda_W, "lambda_b": lambda_b, "skip": skip}
    axes = _axes({**named, "depth": depth, "width": width}, axis or [])
    net, shown, told = _start(activation, layer, axes, first_kernel, inputs)
    ds = _swept(
        net,
        shown,
        axes,
        tensors=_names(tensors),
        order=order,
        kinks=kinks.value,
        layers=_layers(layers),
        networks=networks,
        seed=seed if networks else None,
        threads=threads,
        path=save if _grows(save) else None,
    )
    if json:
        print_json("sweep", {"shown": told, "dataset": dataset(ds)})
    else:
        print_sweep(ds, told, results())
    if plot is not None:
        from rgflow.plots import plot_sweep

        picture(lambda: plot_sweep(ds, points=_critical(activation, ds)), plot, quiet=json)
    if save is not None:
        kept(ds, save, "sweep", quiet=json, written=_grows(save))


def _grows(save: Path | None) -> bool:
    return save is not None and save.suffix == ".zarr"


def _axes(named: dict[str, str | None], more: list[str]) -> dict[str, Values]:
    """Every axis that was given, in the order of the options: the first is drawn across."""
    from rgflow.cli.numbers import values

    found = {
        name: values(f"--{name.replace('_', '-')}", text, signed=name == "skip")
        for name, text in named.items()
        if text is not None
    }
    for text in more:
        name, equals, numbers = text.partition("=")
        if not equals or name.strip() in found:
            raise InputError(f"--axis {text}: give NAME=VALUES of an axis that has no option, as beta=0.5:2:10")
        found[name.strip()] = values(f"--axis {name.strip()}", numbers, signed=True)
    return found


def _start(
    activation: str, layer: str | None, axes: dict[str, Values], first_kernel: str | None, inputs: str | None
) -> tuple[Network, dict[str, Any], str]:
    """The network that the axes change, what it is shown, and that in words."""
    import numpy as np

    from rgflow.cli.inputs import read
    from rgflow.cli.kinds import layer_of
    from rgflow.cli.networks import network
    from rgflow.cli.numbers import values

    if inputs is not None and first_kernel is not None:
        raise InputError("give one of --inputs and --first-kernel")
    kind = layer_of(layer, None, needed="skip" not in axes)
    x = None if inputs is None else read(inputs)
    if x is not None and x.ndim == 2 and len(x) > 1:
        raise InputError(f"--inputs {inputs} holds {len(x)} inputs; a table or picture is of one: use rgflow.sweep")
    start, deep = int(np.ravel(axes["width"])[0]), int(np.max(axes["depth"]))
    n_in = start if x is None else x.shape[-1]
    defaults = {"C_b": "0", "C_W": "1", "lambda_b": "1", "lambda_W": "1"}
    net = network(activation, max(start, 1), max(deep, 2), None, n_in, kind, defaults)
    if first_kernel is not None:
        kernel = values("--first-kernel", first_kernel)
        return net, {"first_kernel": kernel}, f"first kernel {first_kernel.strip()}"
    if x is None:
        return net, {"inputs": np.ones(n_in)}, "input with x·x/n_0 = 1"
    return net, {"inputs": x}, f"input of dimension {n_in} from {inputs}"


def _swept(net: Network, shown: dict[str, Any], axes: dict[str, Any], **asked: Any) -> xarray.Dataset:
    from rgflow.cli.screen import messages
    from rgflow.sweeps import sweep as swept

    return swept(net, **shown, **asked, progress=messages().is_interactive, **axes)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError("--tensors is empty; name at least one, such as K")
    return names


def _layers(text: str) -> str | list[int]:
    if text in ("all", "last"):
        return text
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--layers is {text!r}; give 'last', 'all' or layers with commas") from None


def _critical(activation: str, ds: xarray.Dataset) -> list[tuple[float, float, str]]:
    """The critical points of a map over C_W and C_b."""
    from rgflow.errors import NoClosedForm, NoCriticalPoint
    from rgflow.universality import criticality

    dims = [str(dim) for dim in ds["status"].dims if ds.sizes[dim] > 1]
    if sorted(dims) != ["C_W", "C_b"]:
        return []
    try:
        points = criticality(activation).points
    except (NoCriticalPoint, NoClosedForm):
        return []
    found = []
    for point in points:
        place = {"C_W": point.C_W, "C_b": point.C_b}
        found.append((place[dims[0]], place[dims[1]], "critical point" if point.stable else "unstable"))
    return found
