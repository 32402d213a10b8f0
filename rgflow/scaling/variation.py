r"""``variation``: signals and gradients through a deep network whose variances and widths vary from layer to layer.

To leading order in 1/width, for two inputs of equal norm:

.. math:: p = \langle x_1^2\rangle,\quad q = \langle h_1^2\rangle,\quad \gamma = \langle x_1 x_1'\rangle,\quad
    \lambda = \langle h_1 h_1'\rangle,\quad s = p - \gamma,\quad e = \gamma/p,\quad c = \lambda/q

and squared gradients chi = <(dE/dx_1)^2>, chi_W = <(dE/dW_11)^2>, ... of a loss E whose gradients at the last layer are
independent. All recurrences follow from the laws of the layers (:mod:`rgflow.scaling.recurrences`).

Source: Yang and Schoenholz, arXiv:1712.08969 and "Deep Mean Field Theory: Layerwise Variance and Width Variation"
(2018).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.checks import whole
from rgflow.errors import InputError
from rgflow.network import Network
from rgflow.network.kinds.linear import Linear
from rgflow.scaling.flowed import flowed
from rgflow.scaling.homogeneous import Homogeneous, find
from rgflow.scaling.schedule import Schedule, affordable, build, by_layer, read_network, scheduled

if TYPE_CHECKING:
    import xarray

Array = NDArray[np.float64]


def variation(
    activation: Any,
    depth: int | None = None,
    *,
    C_W: Any = 1.0,
    C_V: Any = 1.0,
    C_a: Any = 1.0,
    C_b: Any = 1.0,
    beta_W: float = 0.0,
    beta_V: float = 0.0,
    beta_a: float = 0.0,
    beta_b: float = 0.0,
    widths: Any = None,
    reduced: bool = False,
    p0: float = 1.0,
    gamma0: float | None = None,
) -> xarray.Dataset:
    """Mean squares, correlations and gradients through L residual blocks, at leading order in 1/width.

    Parameters
    ----------
    activation : Activation, name, formula or SymPy expression; or a Network
        Also ``relu(z)^(3/4)``, a power between 1/2 and 1. A Network brings everything else along: its layers above the
        first, of any kind, without a linear read-out; p0 is then the kernel of its first layer.
    depth : int
        L, the number of blocks.
    C_W, C_V, C_a, C_b : number or array (L,)
        sigma_w^2, sigma_v^2, sigma_a^2, sigma_b^2.
    beta_W, beta_V, beta_a, beta_b : float
        Powers of the depth, not negative: C_W l^-beta_W at block l = 1..L, and so on; "1/2" is 0.5.
    widths : int, or L + 1 of them
        n_0, ..., n_L; where they differ the block has a random projection. Only their ratios matter.
    reduced : bool
        Reduced blocks x + sigma(W x + b), for an odd activation; C_V and C_a do not occur.
    p0 : float
        <x_1^2> of the input of the first block.
    gamma0 : float, optional
        <x_1 x'_1> of two inputs, both of size p0, |gamma0| <= p0; without it one input is followed.

    Returns
    -------
    xarray.Dataset
        Dim ``layer`` 0..L: p, q, chi and chi_W, chi_b, ... for every parameter that is trained; with gamma0 also gamma,
        lambda, s, e, c. Each of ``p, q, s, chi`` and so on has its natural logarithm as ``log_p``, ..., which never
        overflows, and ``log_gap`` and ``log_gap_c`` are those of 1 - e and 1 - c. Truncation error O(1/n).
        ``numerical_error`` (``quantity``: p, q, chi, ..., gap, gap_c) is the relative error of each by quadrature,
        interpolation and rounding, the largest over layers.

    Raises
    ------
    InputError
        For arguments out of their range; a reduced block with an activation that is not odd or with widths that vary.
    KinkError
        For an activation that jumps.
    AccuracyError
        Where an average cannot be computed; with the layer.

    >>> ds = variation("relu", 100, C_a=0, C_b=0)
    >>> bool(abs(ds["log_p"][-1] - 100 * np.log(1.5)) < 1e-9)
    True
    """
    sigma: Activation | Homogeneous
    if isinstance(activation, Network):
        if depth is not None or widths is not None:
            raise InputError("a Network has its own depth and widths; leave these arguments out")
        plan, sigma = read_network(activation), find(activation.activation)
        network: str | None = activation.to_json()
    else:
        plan, sigma = (
            _plan(depth, (C_W, C_V, C_a, C_b), (beta_W, beta_V, beta_a, beta_b), widths, reduced),
            find(activation),
        )
        network = None
    start = _checked_start(p0, gamma0)
    return flowed(plan, sigma, start, network)


def variation_network(
    activation: Any,
    depth: int,
    *,
    C_W: Any = 1.0,
    C_V: Any = 1.0,
    C_a: Any = 1.0,
    C_b: Any = 1.0,
    beta_W: float = 0.0,
    beta_V: float = 0.0,
    beta_a: float = 0.0,
    beta_b: float = 0.0,
    widths: Any = None,
    reduced: bool = False,
    n_in: int | None = None,
    n_out: int = 1,
) -> Network:
    """The network of :func:`variation`, between a linear first layer (C_W = 1) and a linear read-out.

    Parameters
    ----------
    activation : Activation, name, formula or SymPy expression
    depth : int
        L, the number of blocks.
    C_W, C_V, C_a, C_b, beta_W, beta_V, beta_a, beta_b
        Variances C l^-beta at block l, as of :func:`variation`.
    widths : int, or L + 1 of them
        n_0, ..., n_L; without it every layer has 256 neurons.
    reduced : bool
        Reduced blocks x + sigma(W x + b), for an odd activation.
    n_in, n_out : int
        Dimensions of the input, by default n_0, and of the read-out.

    Returns
    -------
    Network
        L + 2 layers, to be sampled (:func:`rgflow.sample`) or flowed at higher orders (:func:`rgflow.flow`).

    Raises
    ------
    InputError
        As :func:`variation` does, and for a power below 1, which is no activation of a network.

    >>> net = variation_network("tanh", 2, beta_V=0.5, widths=[8, 8, 4])
    >>> [type(layer).__name__ for layer in net.layers], net.depth
    (['Linear', 'Branch', 'Projection', 'Linear'], 4)
    """
    plan = _plan(depth, (C_W, C_V, C_a, C_b), (beta_W, beta_V, beta_a, beta_b), widths, reduced)
    return as_network(plan, activation, n_in, n_out)


def as_network(plan: Schedule, activation: Any, n_in: int | None = None, n_out: int = 1) -> Network:
    """A schedule as a Network; InputError for a power below 1, which no network has."""
    sigma = find(activation)
    if isinstance(sigma, Homogeneous) and sigma.degree != 1:
        raise InputError(f"{sigma} is not smooth enough for the activation of a Network; rgflow.variation follows it")
    return build(plan, activation, int(plan.widths[0]) if n_in is None else n_in, n_out, Linear())


def _plan(depth: Any, sizes: tuple[Any, ...], betas: tuple[Any, ...], widths: Any, reduced: bool) -> Schedule:
    layers = whole("depth", depth, 1)
    affordable(layers)
    names = ("C_W", "C_V", "C_a", "C_b")
    values = {n: by_layer(n, v, layers, b) for n, v, b in zip(names, sizes, betas, strict=True)}
    if reduced:
        values = {name: values[name] for name in ("C_W", "C_b")}
    return scheduled(values, widths, reduced)


def _checked_start(p0: Any, gamma0: Any) -> tuple[float, float]:
    """log p0 and log(p0 - gamma0), NaN without a second input."""
    try:
        first = float(p0)
        second = np.nan if gamma0 is None else float(gamma0)
    except (TypeError, ValueError):
        raise InputError(f"p0 is {p0!r}, gamma0 {gamma0!r}; give numbers") from None
    if not (np.isfinite(first) and first > 0):
        raise InputError(f"p0 is {p0!r}; it must be finite and above 0")
    if gamma0 is not None and not abs(second) <= first:
        raise InputError(f"gamma0 is {gamma0!r}; it must lie between -p0 and p0 = {first:g}")
    with np.errstate(divide="ignore"):
        return float(np.log(first)), float(np.log(first - second))
