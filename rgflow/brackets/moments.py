"""Brackets as numbers: the front of the quadrature, with its promise about errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets.covariance import checked_kernels
from rgflow.brackets.kinked import kinked_averages
from rgflow.brackets.smooth import smooth_averages
from rgflow.errors import AccuracyError, InputError, KinkError

Array = NDArray[np.float64]
Moment = tuple[tuple[tuple[int, ...], int], ...]
"""One entry (written orders k_1..k_w, pending derivatives m) for each distinct input."""

USELESS = 1e-6
"""Relative to the absolute integral: with less accuracy than this a number is refused."""


def gaussian_moments(
    activation: Activation,
    kernels: object,
    moments: Sequence[Moment],
    kinks: Literal["error", "almost_everywhere"] = "error",
    tolerance: float = 1e-11,
    allow: bool = False,
) -> tuple[Array, Array]:
    r"""Gaussian averages of products of derivatives of sigma, with pending derivatives.

    .. math:: \Big\langle \prod_u \partial_u^{m_u} \Big[\prod_i \sigma^{(k_i)}\Big](z_u) \Big\rangle_K

    Parameters
    ----------
    activation : Activation
    kernels : (G, d, d), d = 1..4
        Covariances of the distinct inputs. Equal inputs are merged by the caller; singular matrices are fine for a
        smooth sigma.
    moments : sequence of M moments
        Each has d entries ((k_1..k_w), m).
    kinks : "error" or "almost_everywhere"
        What a written derivative that passes through a kink does: raise, or be the derivative of each branch.
        Pending derivatives always act exactly, as distributions.
    tolerance : float
        Aim of the error relative to the absolute integral (of |integrand|).
    allow : bool
        The caller vouches that both conventions for written derivatives agree; same as "almost_everywhere".

    Returns
    -------
    values, errors : (G, M)
        ``errors`` bounds the distance to the exact value, rounding included.

    Raises
    ------
    KinkError
        A written derivative that does not exist at a kink.
    AccuracyError
        An error above 1e-6 of the absolute integral, overflow, a vanishing kernel at a kink.
    InputError
        Kernels or moments of the wrong form.

    >>> from rgflow.activations import activation
    >>> values, errors = gaussian_moments(activation("relu"), [[[2.0]]], [(((0, 0), 0),), (((0, 0), 2),)])
    >>> values.round(12).tolist()
    [[1.0, 1.0]]
    """
    values, errors, _ = sized_moments(activation, kernels, moments, kinks, tolerance, allow)
    return values, errors


def sized_moments(
    activation: Activation,
    kernels: object,
    moments: Sequence[Moment],
    kinks: Literal["error", "almost_everywhere"] = "error",
    tolerance: float = 1e-11,
    allow: bool = False,
) -> tuple[Array, Array, Array]:
    """The same with the averages of the absolute integrands, to which errors are relative: three times (G, M)."""
    covariances = checked_kernels(kernels)
    wanted = [_checked(moment, covariances.shape[1]) for moment in moments]
    if kinks not in ("error", "almost_everywhere"):
        raise InputError(f"kinks is {kinks!r}; it is 'error' or 'almost_everywhere'")
    if activation.kinks and kinks == "error" and not allow:
        for moment in wanted:
            refuse_kinks(activation, moment)
    average = kinked_averages if activation.kinks else smooth_averages
    with np.errstate(all="ignore"):  # overflow is looked for, and named, below
        values, errors, absolute = average(activation, covariances, wanted, tolerance)
    _refuse_useless(activation, covariances, wanted, values, errors, absolute)
    return values, errors, absolute


def refuse_kinks(activation: Activation, moment: Moment) -> None:
    """Raise KinkError if a written order of the moment is not a function at the kinks of sigma."""
    limit = 1 if activation.continuous else 0
    for orders, _ in moment:
        if orders and max(orders) > limit:
            raise KinkError(
                f"the bracket {moment} of {activation.name} writes sigma^({max(orders)}), which is not a function at "
                f"z = {activation.kinks[0]}; pass kinks='almost_everywhere' for what automatic differentiation measures"
            )


def _checked(moment: Moment, size: int) -> Moment:
    try:
        clean = tuple((tuple(sorted(int(k) for k in orders)), int(pending)) for orders, pending in moment)
    except (TypeError, ValueError):
        raise InputError(f"moment is {moment!r}; give one (orders, pending) for each distinct input") from None
    if len(clean) != size:
        raise InputError(f"moment {moment!r} has {len(clean)} entries for kernels of {size} inputs")
    if any(pending < 0 or (orders and orders[0] < 0) for orders, pending in clean):
        raise InputError(f"moment {moment!r} holds a negative order; orders and pending are counts of derivatives")
    return clean


def _refuse_useless(
    activation: Activation, kernels: Array, moments: Sequence[Moment], values: Array, errors: Array, absolute: Array
) -> None:
    lost = ~np.isfinite(values) | ~np.isfinite(errors)
    useless = lost | (errors > USELESS * absolute)
    if not useless.any():
        return
    g, m = np.argwhere(useless)[0]
    what = f"the bracket {moments[m]} of {activation.name} at K = {kernels[g].tolist()}"
    if lost[g, m]:
        raise AccuracyError(f"{what} overflows in double precision; use a smaller kernel")
    raise AccuracyError(
        f"{what} is only known to {errors[g, m]:.1e} of {absolute[g, m]:.1e}; merge nearly equal inputs, use a smaller "
        "kernel or the reference in higher precision"
    )
