"""``expected_jacobian``: what the input-output Jacobian of a network is before training, predicted by the flow.

Let x be moved by one Gaussian direction of unit covariance: J J^T is the tangent kernel of a network whose only trained
parameter is a bias of x, so that it flows as a tangent kernel does, its fluctuations over networks too. x itself does
not fluctuate: it is put as the output of a layer with orthogonal weights, which keeps |x|^2, and the first layer, whose
weights are Gaussian, does not know how x was turned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError, OrderError
from rgflow.flow import flow
from rgflow.flow.jacobian import partial_jacobian
from rgflow.labelled import dataset
from rgflow.network import Layer, Network
from rgflow.network.describe import described
from rgflow.network.inputs import finite
from rgflow.network.kinds.linear import Linear
from rgflow.network.kinds.orthogonal import Orthogonal

if TYPE_CHECKING:
    import xarray

Floats = NDArray[np.float64]
CONVENTIONS = (
    "norm is the mean over networks of ||dz^L/dx||_F^2 at infinite width, norm_shift what the order 1/n adds to it at "
    "the network's own widths, norm_spread the standard deviation from network to network at leading order"
)
MEANINGS = {
    "norm": "E ||J||_F^2, leading order",
    "norm_shift": "what the order 1/n adds to E ||J||_F^2 at these widths",
    "norm_spread": "standard deviation of ||J||_F^2 over networks, leading order in 1/n",
}
FEW = 40  # inputs up to which each has a flow of its own
NODES = (33, 65, 129)
ACCURACY = 1e-10  # of what is read off a polynomial, relative to its largest value


@dataclass(frozen=True)
class _Found:
    """Of one kernel: the three numbers, and the numerical error of the first two."""

    values: tuple[float, ...]
    error: float


def expected_jacobian(model: Any, X: Any = None, *, norm2: Any = None, order: int = 1) -> xarray.Dataset:
    r"""E ||J||_F^2 of the outputs of a random network with respect to its input, and how far networks differ.

    .. math:: E \|J\|_F^2 = n_L \Big(J + \frac{J_1}{n_{L-1}}\Big) + O(1/n^2), \qquad
              \mathrm{Var} \|J\|_F^2 = \frac{n_L^2}{n_{L-1}} \Big(V_J + \frac{2 B_J}{n_L}\Big) + O(1/n^2)

    with J = C_W^1 times the partial Jacobian norm of layer L with respect to layer 1, for a dense network
    J = C_W^L prod_{l<L} C_W^l <sigma' sigma'>_{K^l}; V_J is its covariance between two outputs, B_J the square of what
    mixes them. For relu and leaky relu the mean has no corrections at all: it is exact at every width. Half the mean is
    where :class:`JacobianPenalty` (with strength 1) starts.

    Parameters
    ----------
    model : Network, or torch.nn.Module
        A description; a model of :func:`rgflow.nn.build`; or a Sequential of Linear layers and activations, whose
        weight variances are read off (:mod:`rgflow.nn.smoothness.reading`).
    X : tensor or array (N, ...), optional
        Inputs, flattened to (N, n_0). Only |x|^2 matters.
    norm2 : number or array (N,), optional
        Instead of inputs: x.x/n_0.
    order : 0 or 1
        0: only ``norm``, for every kind of layer. 1: ``norm_shift`` and ``norm_spread`` besides, for kinds that a flow
        of order 1 knows behind a first layer of Gaussian weights.

    Returns
    -------
    xarray.Dataset
        Over ``sample``: ``norm``, at order 1 ``norm_shift`` and ``norm_spread`` (long names say what), and
        ``norm_error``, numerical, of their sum. ``mean``: of norm + norm_shift over the inputs; ``mean_spread``: the
        mean of the spreads, which the spread of a mean over inputs cannot exceed. Units: z^2 per x^2.

    Raises
    ------
    InputError, OrderError, KinkError, AccuracyError

    Source: Hoffman, Roberts, Yaida (arXiv:1908.02729) for ||J||; Doshi, He, Gromov (arXiv:2111.12143) for the mean of
    partial Jacobians; fluctuations are those of :func:`rgflow.partial_jacobian`.

    >>> import rgflow as rg
    >>> ds = expected_jacobian(rg.MLP([784, 200, 200, 10], "relu", C_W=2.0), norm2=1.0)
    >>> round(float(ds["mean"]), 10), round(float(ds["norm_spread"][0]), 3)
    (20.0, 2.388)
    """
    if order not in (0, 1) or isinstance(order, bool):
        raise OrderError(f"order is {order!r}; E||J||^2 is offered at orders 0 and 1")
    net = _network(model)
    squares = _squares(net, X, norm2)
    found = _flowed(net, order) if order else _leading(net)
    values, error = _everywhere(squares, found)
    names = list(MEANINGS)[: len(values)]
    total = values[:2].sum(axis=0)
    data: dict[str, Any] = {
        name: (("sample",), row, {"long_name": MEANINGS[name]}) for name, row in zip(names, values, strict=True)
    }
    data["norm_error"] = (("sample",), error, {"long_name": "numerical error of norm and norm_shift, absolute"})
    data["mean"] = ((), total.mean(), {"long_name": "mean over the inputs of E ||J||_F^2, to this order"})
    if order:
        data["mean_spread"] = ((), values[2].mean(), {"long_name": "bound of the spread of that mean over networks"})
    coords, attrs = described(net, "coefficients", "error", CONVENTIONS)
    attrs.update({"kind": "expected jacobian", "order": order})
    return dataset(data, {"sample": np.arange(len(squares)), "norm2": ("sample", squares), **_kept(coords)}, attrs)


def _kept(coords: dict[str, Any]) -> dict[str, Any]:
    """The description of the layers."""
    return {name: value for name, value in coords.items() if name not in ("sample", "norm2")}


def _network(model: Any) -> Network:
    if isinstance(model, Network):
        return model
    from torch import nn

    from rgflow.nn.smoothness.reading import read_network

    if not isinstance(model, nn.Module):
        raise InputError(f"{model!r} is neither a network nor a torch.nn.Module; give rgflow.MLP(...), say")
    return read_network(model)


def _squares(net: Network, X: Any, norm2: Any) -> Floats:
    """x.x/n_0 of every input."""
    if (X is None) == (norm2 is None):
        raise InputError("give exactly one of X (inputs) and norm2 (x.x/n_0 of each)")
    n_0 = net.widths[0]
    if X is None:
        squares = np.atleast_1d(finite("norm2", norm2, "fiu"))
        if squares.ndim != 1 or (squares < 0).any():
            raise InputError(f"norm2 is {norm2!r}; give x.x/n_0, not negative: a number or an array (N,)")
        return squares
    inputs = finite("X", X.detach().cpu().double().numpy() if hasattr(X, "detach") else X)
    if inputs.ndim < 2 or inputs[0].size != n_0:
        raise InputError(f"X has shape {inputs.shape}; the network takes (N, {n_0}), or pictures of {n_0} numbers each")
    flat = inputs.reshape(len(inputs), -1)
    return np.asarray((flat**2).sum(axis=1) / n_0)


def _leading(net: Network) -> Callable[[float], _Found]:
    """n_L C_W^1 J^{1,L}: what z^1 does, times how far x moves it."""
    first = net.layers[0]
    scale = net.widths[-1] * first.value("C_W")

    def found(square: float) -> _Found:
        ds = partial_jacobian(net, first_kernel=first.value("C_b") + first.value("C_W") * square)
        return _Found((scale * ds["J"].values[-1],), scale * ds["numerical_error"].values[0, -1])

    return found


def _flowed(net: Network, order: int) -> Callable[[float], _Found]:
    """All of it from the tangent kernel of the network that is moved at x."""
    moved = _moved_at_x(net)
    n_L, n = net.widths[-1], net.widths[-2]

    def found(square: float) -> _Found:
        ds = flow(moved, first_kernel=square, tensors=["Theta", "A", "B"], order=order).isel(layer=-1)
        J, J_1, V_J, B_J = (float(ds[name]) for name in ("Theta", "Theta_1", "A", "B"))
        spread = np.sqrt(max(V_J + 2 * B_J / n_L, 0.0) / n)
        error = ds["numerical_error"].sel(coefficient=["Theta", "Theta_1"]).values
        return _Found((n_L * J, n_L * J_1 / n, n_L * spread), n_L * float(error[0] + error[1] / n))

    return found


def _moved_at_x(net: Network) -> Network:
    """The network on top of a layer that turns x, and that alone is trained, by a bias of unit rate."""
    first = net.layers[0]
    if isinstance(first, Orthogonal):
        raise OrderError(f"order=1 needs a first layer of Gaussian weights; it is {first!r}: pass order=0")
    C_b, C_W = first.value("C_b"), first.value("C_W")
    below: list[Layer] = [
        Orthogonal(C_W=1.0, lambda_b=1.0, lambda_W=0.0),
        Linear(C_b=C_b, C_W=C_W, lambda_b=0.0, lambda_W=0.0),
    ]
    return Network([*below, *map(_untrained, net.layers[1:])], [net.widths[0], *net.widths], net.activation)


def _untrained(layer: Layer) -> Layer:
    return layer.changed(**{name: 0.0 for name in layer.hyperparameters() if name.startswith("lambda_")})


def _everywhere(squares: Floats, found: Callable[[float], _Found]) -> tuple[Floats, Floats]:
    """The numbers of every input, (numbers, N), and their error; of many by a polynomial in ln |x|^2, if that is one.

    Its coefficients fall until they tell that nothing is left out; where they do not fall, every input has its flow.
    """
    different, place = np.unique(squares, return_inverse=True)
    inner = different[different > 0]
    low, high = (np.log(inner[0]), np.log(inner[-1])) if len(inner) else (0.0, 0.0)
    for nodes in NODES if len(inner) > FEW and high > low else ():
        if nodes >= len(inner):
            break
        points = np.cos(np.pi * (np.arange(nodes) + 0.5) / nodes)
        known = [found(float(np.exp(low + (high - low) * (x + 1) / 2))) for x in points]
        table = np.polynomial.chebyshev.chebfit(points, np.array([each.values for each in known]), nodes - 1)
        missing = np.abs(table[-nodes // 4 :]).sum(axis=0)
        if (missing <= ACCURACY * np.abs(table).sum(axis=0).max()).all():
            at = (np.log(np.where(squares > 0, squares, inner[0])) - low) / (high - low) * 2 - 1
            values = np.asarray(np.polynomial.chebyshev.chebval(at, table))
            error = np.full(len(squares), max(each.error for each in known) + missing[:2].sum())
            if len(inner) < len(different):
                zero = found(0.0)
                values[:, squares == 0] = np.array(zero.values)[:, None]
                error[squares == 0] = zero.error
            return values, error
    each = [found(float(square)) for square in different]
    return np.array([x.values for x in each]).T[:, place], np.array([x.error for x in each])[place]
