"""The phase diagram of a state's layers, and the critical point to which ``tune`` goes."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.errors import NoClosedForm, NoCriticalPoint, RgflowError
from rgflow.explorer.state import State
from rgflow.network import Dense
from rgflow.universality import phase_diagram, tune
from rgflow.universality.kernel_step import kernel_step
from rgflow.universality.points import HALF_STABLE, points, recommended

if TYPE_CHECKING:
    import xarray

DEEPEST_SCALE = 1000.0  # layers: paler than this nothing is
NO_BIAS = "these layers have no biases: the marker stays on the line C_b = 0"


def key(state: State) -> tuple[Any, ...]:
    """What the diagram depends on: neither on where the marker is, nor on width and depth."""
    return state.sigma.formula_text, state.layer, _skip(state), state["first_kernel"]


def diagram(state: State) -> dict[str, Any]:
    """The diagram over C_W and C_b as numbers for the page, or ``note``: why these layers have none.

    The colours are one byte for each point, 128 at infinite depth scale, down to 0 in the ordered phase and up to 255
    in the chaotic one at a depth scale of one layer.
    """
    try:
        kept = _kept(state)
    except NoCriticalPoint as error:
        return {"note": str(error)}
    ds = moved(state, kept)
    marks = _marks(state)
    side, decades = np.sign(ds["phase"].values), np.log10(DEEPEST_SCALE)
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.clip(np.log10(DEEPEST_SCALE / ds["xi_perpendicular"].values), 0, decades) / decades
    shade = np.nan_to_num(128 + 127 * side * below, nan=128.0).round().astype(np.uint8)
    reached = ds["critical_reached"].values if ds.sizes["line"] else np.zeros(0)
    return {
        "C_W": [float(ds["C_W"][0]), float(ds["C_W"][-1])],
        "C_b": [float(ds["C_b"][0]), float(ds["C_b"][-1])],
        "shape": list(shade.shape),
        "shade": base64.b64encode(shade.tobytes()).decode(),
        "line": [
            [_finite(w), _finite(b), bool(r)]
            for w, b, r in zip(ds["critical_C_W"].values, ds["critical_C_b"].values, reached, strict=True)
        ],
        "points": marks[0],
        "first_kernel": state["first_kernel"],
        "note": marks[1] if not marks[0] else "" if "C_b" in dict(state.numbers) else NO_BIAS,
    }


def moved(state: State, kept: float) -> xarray.Dataset:
    """The diagram of layers that keep a part of the kernel: that of dense ones at (C_b, C_W)/(1 - kept).

    The fixed points are the same, and chi - 1 is 1 - kept times that of the dense layer
    (:mod:`rgflow.universality.kernel_step`).
    """
    ds = phase_diagram(state.sigma, first_kernel=state["first_kernel"])
    if not kept:
        return ds
    left = 1 - kept
    ds = ds.assign_coords({name: ds[name] * left for name in ("C_W", "C_b")})
    with np.errstate(divide="ignore"):
        for way in ("parallel", "perpendicular"):
            chi = kept + left * ds[f"chi_{way}"]
            ds[f"chi_{way}"] = chi
            ds[f"xi_{way}"] = 1 / np.abs(np.log(np.abs(chi)))
    return ds.assign({name: ds[name] * left for name in ("critical_C_W", "critical_C_b")})


def tuned(state: State) -> dict[str, Any]:
    """The numbers of the critical point of these layers, by :func:`rgflow.tune`; where K* must be met, also it.

    Raises NoCriticalPoint, InputError.
    """
    net = tune(replace(state, numbers=_shallow(state)).network())
    layer = net.layers[1]
    own = [name for name in ("C_W", "C_b") if name in dict(state.numbers)]
    found: dict[str, Any] = {name: layer.value(name) for name in own}
    point = recommended(state.sigma, layer)
    if point.universality_class == HALF_STABLE and point.K_star:
        found["first_kernel"] = point.K_star
    return {"numbers": found, "class": point.universality_class, "says": point.stability}


def _shallow(state: State) -> tuple[tuple[str, float], ...]:
    """Three layers, and a width to match: points do not depend on them."""
    put = {"depth": 3.0, "width": 4.0}
    return tuple((name, put.get(name, value)) for name, value in state.numbers)


def _skip(state: State) -> float:
    return dict(state.numbers).get("skip", 0.0)


def _kept(state: State) -> float:
    """The part of the kernel that a layer keeps; NoCriticalPoint where there is no such diagram."""
    step = kernel_step(state.inner)
    if step.weight is None:
        raise NoCriticalPoint("linear layers have one parameter that counts: every kernel is fixed at C_W = 1")
    kept = _skip(state) ** 2 if step.carries else 0.0
    if kept >= 1:
        raise NoCriticalPoint(f"skip = {_skip(state):g} alone keeps or grows every kernel: there is no ordered phase")
    return kept


def _marks(state: State) -> tuple[list[dict[str, Any]], str]:
    """Critical points, or why there are none."""
    layer = state.inner if state.layer != "dense" else Dense()
    try:
        found = points(state.sigma, layer)
    except (NoCriticalPoint, NoClosedForm) as error:
        return [], str(error)
    except RgflowError as error:
        return [], f"critical points were not found: {error}"
    marks = [{"C_W": p.C_W, "C_b": p.C_b, "stable": p.stable, "class": p.universality_class} for p in found]
    return marks, ""


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
