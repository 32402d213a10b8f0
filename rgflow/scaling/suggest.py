r"""``suggest_variation``: how variances or widths should vary so that gradients stay within bounds at a given depth.

Two ways. Variances that fall as powers of the depth slow the growth of gradients: the least power beta, the same for
all variances, that keeps chi^(0)/chi^(L) within a tolerance. Widths: a projection from n to n/r neurons divides the
gradient by r, so that halving the width each time the gradient has doubled undoes its growth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rgflow.checks import whole
from rgflow.errors import InputError, NoClosedForm
from rgflow.network import Network
from rgflow.scaling.flowed import flowed
from rgflow.scaling.homogeneous import find
from rgflow.scaling.schedule import Schedule, affordable, by_layer, scheduled
from rgflow.scaling.variation import as_network

WIDEST = 20.0  # log2 of the widest layer that is advised
STEEPEST = 8.0  # powers beyond this leave one layer with a variance and the others with none


@dataclass(frozen=True)
class Suggestion:
    """What to do, and what it does.

    Attributes
    ----------
    how : "variance" or "width"
    beta : float
        Power by which every variance falls; 0 for a width schedule.
    halved : tuple of int
        Blocks that divide the width.
    widths : tuple of int
        n_0, ..., n_L.
    before, after : float
        chi^(0)/chi^(L) of blocks all alike, and of the suggestion.
    highest : float
        The largest chi^(l)/chi^(L) of the suggestion.
    log_before : float
        ln of ``before``, which may overflow.
    p : float
        Mean square of a neuron at layer L of the suggestion.
    """

    how: str
    beta: float
    halved: tuple[int, ...]
    widths: tuple[int, ...]
    before: float
    after: float
    highest: float
    log_before: float
    p: float
    schedule: Schedule
    activation: str

    def network(self, n_in: int | None = None, n_out: int = 1) -> Network:
        """Ready to be sampled or flowed: a linear first layer, the blocks, a linear read-out."""
        return as_network(self.schedule, self.activation, n_in, n_out)

    def __str__(self) -> str:
        falling = f"C l^-{self.beta:.4g} for every variance" if self.beta else "variances may stay as they are"
        what = falling if self.how == "variance" else _width_text(self)
        return (
            f"{self.activation}, {self.schedule.depth} blocks: {what}; gradients grow {_number(self.log_before)} times "
            f"without it, {self.after:.4g} times with it"
        )

    def __repr__(self) -> str:
        return f"<Suggestion {self}>"


def suggest_variation(
    activation: Any,
    depth: int,
    *,
    tolerance: float | None = None,
    how: Literal["variance", "width"] = "variance",
    C_W: float = 1.0,
    C_V: float = 1.0,
    C_a: float = 1.0,
    C_b: float = 1.0,
    width: int = 2048,
    factor: int = 2,
    rise: float | None = None,
    start: int = 1,
    least: int = 8,
    p0: float = 1.0,
) -> Suggestion:
    """The mildest variation of variances or widths that tames the gradients of ``depth`` residual blocks.

    Parameters
    ----------
    activation : Activation, name or formula
    depth : int
        L.
    tolerance : float, optional
        The largest chi^(0)/chi^(L), above 1; by default 10. For variances only: widths give what comes out.
    how : "variance" or "width"
        "variance" looks for the least beta of C l^-beta; "width" divides the width by ``factor`` at the blocks by which
        the gradient has risen by ``rise`` (by default ``factor``) since the last one, from block ``start`` on.
    C_W, C_V, C_a, C_b : float
        Variances of block 1.
    width : int
        n_0. ``least`` is the smallest width that may be suggested.
    p0 : float
        <x_1^2> of the input of the first block.

    Raises
    ------
    InputError
        For arguments out of range, or where no variation of this kind reaches the tolerance.
    NoClosedForm
        For widths, where the gradient does not rise: there is nothing to undo.

    For tanh with all variances 1 gradients rise about 2.12 times between squares of whole numbers:

    >>> suggest_variation("tanh", 100, how="width", start=16, rise=2.11).halved
    (16, 25, 36, 49, 64, 81)
    """
    L = whole("depth", depth, 1)
    affordable(L)
    first, narrowest, by = whole("width", width, 1), whole("least", least, 1), whole("factor", factor, 2)
    begin = whole("start", start, 1)
    _check(how, tolerance, p0, by if rise is None else rise)
    risen = float(by if rise is None else rise)
    if begin > L:
        raise InputError(f"start is {begin}; the last block is {L}")
    sizes = {"C_W": C_W, "C_V": C_V, "C_a": C_a, "C_b": C_b}
    sigma = find(activation)

    def follow(beta: float, widths: Any) -> _Followed:
        values = {name: by_layer(name, size, L, beta) for name, size in sizes.items()}
        plan = scheduled(values, widths, reduced=False)
        ds = flowed(plan, sigma, (float(np.log(float(p0))), float("nan")), witness=False)
        return _Followed(plan, ds["log_chi"].values, float(ds["p"][-1]))

    before = follow(0.0, first).log_chi
    halved: tuple[int, ...] = ()
    beta = 0.0
    if how == "variance":
        limit = float(np.log(10.0 if tolerance is None else float(tolerance)))
        beta = _least_beta(lambda b: float(follow(b, first).log_chi[0]), limit, float(before[0]))
        found = follow(beta, first)
    else:
        halved = _halvings(before, risen, begin)
        found = follow(0.0, _narrowed(first, by, halved, narrowest, L))
    with np.errstate(over="ignore"):
        shown, ended, highest = (float(np.exp(x)) for x in (before[0], found.log_chi[0], found.log_chi.max()))
    name = activation if isinstance(activation, str) else getattr(sigma, "formula_text", str(sigma))
    n = tuple(int(x) for x in found.plan.widths)
    return Suggestion(how, beta, halved, n, shown, ended, highest, float(before[0]), found.p, found.plan, name)


class _Followed(NamedTuple):
    plan: Schedule
    log_chi: NDArray[np.float64]
    p: float


def _check(how: str, tolerance: Any, p0: Any, rise: Any) -> None:
    if how not in ("variance", "width"):
        raise InputError(f"how is {how!r}; it is 'variance' or 'width'")
    if tolerance is not None and how == "width":
        raise InputError(
            f"tolerance is {tolerance!r}; widths undo what they can and leave what comes out: leave it out, or let "
            "variances fall (how='variance')"
        )
    for name, value, least in (("rise", rise, 1), ("tolerance", tolerance, 1), ("p0", p0, 0)):
        if name == "tolerance" and value is None:
            continue
        try:
            good = np.isfinite(float(value)) and float(value) > least and not isinstance(value, (str, bool))
        except (TypeError, ValueError, OverflowError):
            good = False
        if not good:
            raise InputError(f"{name} is {value!r}; it must be a number, finite and above {least}")


def _narrowed(width: int, factor: int, halved: tuple[int, ...], least: int, depth: int) -> list[int]:
    """n_0, ..., n_L, divided at some blocks."""
    needed = float(np.log2(least)) + len(halved) * float(np.log2(factor))
    if needed > WIDEST:
        raise InputError(
            f"gradients ask for the width to be divided by {factor} at {len(halved)} blocks, so that it would begin at "
            f"2^{needed:.4g} neurons: width alone cannot do it; let variances fall (how='variance')"
        )
    narrow = width // factor ** len(halved)
    if narrow < least:
        raise InputError(
            f"width {width} divided by {factor} at {len(halved)} blocks leaves {narrow}, below {least}; start at width "
            f"{least * factor ** len(halved)}, or let variances fall (how='variance')"
        )
    return [width // factor ** sum(at <= l for at in halved) for l in range(depth + 1)]


def _least_beta(ratio: Any, limit: float, before: float) -> float:
    """Bisection in beta: the ratio falls as the variances do."""
    if before <= limit:
        return 0.0
    high = 0.25
    while ratio(high) > limit:
        high *= 2
        if high > STEEPEST:
            raise InputError(
                f"even variances that fall as l^-{STEEPEST:g} leave gradients e^{ratio(STEEPEST):.3g} times larger at "
                "the bottom; make C_V C_W smaller, or raise the tolerance"
            )
    low = 0.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if ratio(middle) > limit else (low, middle)
    return float(np.ceil(1e4 * high - 1e-6)) / 1e4


def _halvings(log_chi: NDArray[np.float64], rise: float, start: int) -> tuple[int, ...]:
    """Blocks at which to divide the width."""
    risen = log_chi[0] - log_chi  # ln chi^(0)/chi^(l)
    if risen[-1] < np.log(rise) or risen.size < 3:
        raise NoClosedForm(
            f"gradients grow {np.exp(risen[-1]):.3g} times in {log_chi.size - 1} blocks, less than {rise:g}: no width "
            "needs to change"
        )
    found: list[int] = []
    mark = max(np.log(rise), float(risen[min(start, risen.size - 1)]))
    while risen[-2] >= mark:  # the last block keeps its width: nothing is above it
        found.append(int(np.searchsorted(risen, mark)))
        mark = float(risen[found[-1]]) + np.log(rise)
    return tuple(found)


def _number(log: float) -> str:
    return f"{np.exp(log):.4g}" if log < 700 else f"e^{log:.4g}"


def _width_text(found: Suggestion) -> str:
    return f"width {found.widths[0]} divided at blocks {', '.join(map(str, found.halved))}, down to {found.widths[-1]}"
