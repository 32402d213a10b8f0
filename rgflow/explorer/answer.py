"""The numbers behind the panels: at once what infinite width tells, and the part 1/n at once or later."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.errors import RgflowError
from rgflow.explorer.fields import DEEPEST_WITH_A_PAST
from rgflow.explorer.first_order import TENSORS, first_order
from rgflow.explorer.leading import Leading, leading
from rgflow.explorer.state import State
from rgflow.flow import flow
from rgflow.flow.diagnostics import trusted_layers

if TYPE_CHECKING:
    import xarray

AT_ONCE = 160  # layers: beyond, compiled recursions of order 1 take longer than a frame or two
DIGITS = 12


def answer(state: State, ready: bool = True) -> dict[str, Any]:
    """Everything about a state that is known within some milliseconds.

    ready : whether the kernel of these recursions is compiled and loaded; if not, the part 1/n comes later.

    ``first_order`` is "here", "later" (ask for it: :func:`corrections`) or "none", and ``note`` says why.
    """
    net = state.network()
    found = leading(net, state["first_kernel"])
    result: dict[str, Any] = {
        "state": state.as_dict(),
        "query": state.query(),
        "layers": state.depth,
        "K": numbers(found.K),
        "Theta": numbers(found.Theta),
        "chi_parallel": numbers(found.chi_parallel),
        "chi_perpendicular": numbers(found.chi_perpendicular),
        "stopped": found.stopped,
        "first_order": "none",
        "note": "",
    }
    result["first_order"], result["note"] = _first_order(state, found, ready)
    if result["first_order"] == "here":
        try:
            result |= panels(*first_order(net, state["first_kernel"]), net.fan_in)
        except RgflowError as error:
            result["first_order"], result["note"] = "none", f"the part 1/n is not known here: {error}"
    return result


def _first_order(state: State, found: Leading, ready: bool) -> tuple[str, str]:
    if state.order < 1:
        return "none", f"the law of {state.layer} layers is not known beyond infinite width; a sampling check is"
    if found.stopped:
        return "none", ""
    if state.quick:
        return ("here", "") if ready and state.depth <= AT_ONCE else ("later", "compiling the part 1/n …")
    if state.depth > DEEPEST_WITH_A_PAST:
        return "none", (
            f"the part 1/n of {state.layer} layers joins all pairs of layers and is followed here to "
            f"{DEEPEST_WITH_A_PAST} of them; rgflow.flow goes deeper"
        )
    return "later", "following all pairs of layers for the part 1/n …"


def coefficients(state: State, order: int = 1) -> xarray.Dataset:
    """The flow of a state, as a user would ask for it."""
    tensors = TENSORS if order else ("K", "Theta")
    return flow(state.network(), first_kernel=state["first_kernel"], tensors=tensors, order=order)


def corrections(ds: xarray.Dataset) -> dict[str, Any]:
    """What a flow at order 1 adds to the panels; see :func:`panels`."""
    letters = [str(letter) for letter in ds["letter"].values]
    ratios = dict(zip(letters, ds["expansion_ratio"].values, strict=True))
    coefficients = {str(name): ds[str(name)].values for name in ds["coefficient"].values}
    return panels(coefficients, ratios, ds["fan_in"].values)


def panels(coefficients: dict[str, Any], ratios: dict[str, Any], fan_in: Any) -> dict[str, Any]:
    """Totals and their errors as those of :func:`rgflow.total`: X + X_1/n, and an estimate of the first order left out.

    The estimate follows from the ratio of orders that the flow has seen. V comes as V/(n K^2), the relative variance of
    the metric.
    """
    n = np.asarray(fan_in, np.float64)
    found: dict[str, Any] = {"ratio": {}, "trusted": {}}
    with np.errstate(all="ignore"):
        for letter in ("K", "Theta"):
            terms = [coefficients[letter], coefficients[f"{letter}_1"] / n]
            found[f"{letter}_total"] = numbers(terms[0] + terms[1])
            found[f"{letter}_error"] = numbers(_left_out(terms, ratios[letter]))
        unit = n * coefficients["K"] ** 2
        found["V"] = numbers(coefficients["V"] / unit)
        found["V_error"] = numbers(_left_out([coefficients["V"]], ratios["V"]) / unit)
    for letter in TENSORS:
        found["ratio"][letter] = numbers(ratios[letter])
        found["trusted"][letter] = trusted_layers(ratios[letter])
    return found


def _left_out(terms: list[Any], ratio: Any) -> Any:
    """The size of the first order that is left out, infinite where orders do not fall."""
    size = np.max([np.abs(term) * ratio ** (len(terms) - q) for q, term in enumerate(terms)], axis=0)
    return np.where(ratio < 1, size, np.where(size == 0, 0.0, np.inf))


def numbers(values: Any) -> list[float | None]:
    """For JSON: some digits; null for what is not finite."""
    return [float(f"{x:.{DIGITS}g}") if math.isfinite(x) else None for x in np.asarray(values, np.float64).tolist()]
