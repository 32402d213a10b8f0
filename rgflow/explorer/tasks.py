"""What takes longer than a frame, as functions for a process of its own: each takes a state and says how far it is."""

from __future__ import annotations

import io
import re
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgflow.errors import AccuracyError, InputError
from rgflow.explorer.answer import coefficients, corrections, numbers
from rgflow.explorer.leading import reader
from rgflow.explorer.phases import diagram, tuned
from rgflow.explorer.reading import reading
from rgflow.explorer.state import State

if TYPE_CHECKING:
    import xarray

Report = Callable[[float], None]
NETWORKS = (100, 20_000)
COMMON = range(-16, 50)  # octaves of the kernel, up to where flows run away
MOST_WORK = 4e9  # networks * layers * neurons
MOST_WEIGHTS = 3e10  # networks * layers * neurons^3, where the tangent kernel needs drawn weights


def run(name: str, state: State, options: dict[str, Any], report: Report) -> Any:
    """One task by its name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TASKS[name](state, options, report)


def first_order(state: State, options: dict[str, Any], report: Report) -> Any:
    """The part 1/n of a flow: {numbers, and the Dataset for export}."""
    ds = coefficients(state)
    return {"answer": corrections(ds), "dataset": ds}


def sampled(state: State, options: dict[str, Any], report: Report) -> Any:
    """Real networks: K, V/(nK^2) and Theta with two standard errors."""
    from rgflow.sampling import sample

    tensors = sampled_tensors(state, options["networks"])
    with _bar(report):
        mc = sample(
            state.network(),
            first_kernel=state["first_kernel"],
            tensors=tensors,
            networks=options["networks"],
            seed=options["seed"],
            progress=True,
        )
    found: dict[str, Any] = {"networks": options["networks"], "seed": options["seed"], "tensors": tensors}
    units = {"V": mc["fan_in"].values * mc["K"].values ** 2}
    for letter in tensors:
        unit = units.get(letter, 1.0)
        found[letter] = numbers(mc[letter].values / unit)
        found[f"{letter}_se"] = numbers(mc[f"{letter}_se"].values / unit)
    return {"answer": found, "dataset": mc}


def sampled_tensors(state: State, networks: int) -> list[str]:
    """What can be sampled in a minute or so: InputError if nothing can."""
    work = networks * state.depth * float(state.width)
    if work > MOST_WORK:
        most = int(MOST_WORK / (state.depth * state.width))
        raise InputError(
            f"{networks} networks of width {state.width} and depth {state.depth} are too many for a page: "
            + (f"take {most} of them, or " if most >= NETWORKS[0] else "")
            + "smaller ones, or call rgflow.sample"
        )
    if state.quick or work * state.width**2 <= MOST_WEIGHTS:
        return ["K", "V", "Theta"]
    return ["K", "V"]


def picture(state: State, options: dict[str, Any], report: Report) -> Any:
    """The house's picture of the flow, PNG or SVG, as bytes."""
    from rgflow.plots import picture_bytes, plot_flow

    ds = _dataset(state, options)
    axes = plot_flow(ds, options.get("mc") if options["order"] else None)
    return picture_bytes(axes, options["kind"], dpi=160)


def data(state: State, options: dict[str, Any], report: Report) -> Any:
    """The coefficients as netCDF, as bytes."""
    from rgflow.files import save

    ds = _dataset(state, options)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flow.nc"
        save(ds, path)
        return path.read_bytes()


def _dataset(state: State, options: dict[str, Any]) -> xarray.Dataset:
    found = options.get("dataset")
    return coefficients(state, options["order"]) if found is None else found


def warm(state: State, options: dict[str, Any], report: Report) -> Any:
    """Compile what a state needs, so that its kernel is on disk when the page asks, and average over its octaves."""
    coefficients(state)
    read = reader(state.sigma)
    for octave in COMMON:
        with suppress(AccuracyError):
            read(2.0**octave)
    return read.octaves


TASKS: dict[str, Callable[[State, dict[str, Any], Report], Any]] = {
    "first_order": first_order,
    "sampled": sampled,
    "picture": picture,
    "data": data,
    "warm": warm,
    "diagram": lambda state, options, report: diagram(state),
    "reading": lambda state, options, report: reading(state),
    "tuned": lambda state, options, report: tuned(state),
}


class _bar:
    """The sampler's own bar, drawn into nothing but the share that it shows."""

    def __init__(self, report: Report):
        self.report = report

    def __enter__(self) -> None:
        import rich

        rich.reconfigure(file=_Shares(self.report), force_terminal=True, width=80, legacy_windows=False)

    def __exit__(self, *_: object) -> None:
        import rich

        rich.reconfigure()


class _Shares(io.StringIO):
    """A stream that hears percentages."""

    def __init__(self, report: Report):
        super().__init__()
        self.report = report

    def write(self, text: str) -> int:
        for share in re.findall(r"(\d+)%", text)[-1:]:
            self.report(int(share) / 100)
        return len(text)
