r"""``information``: entropy of what a random network says, and what its inputs and neurons know of each other.

Of m neurons at layer l, in nats,

.. math:: H_a = \tfrac m2 \ln(2\pi e\, K_{aa}) - J_a, \qquad
          I_{ab} = -\tfrac m2 \ln(1 - \rho_{ab}^2) - J_a - J_b + J_{ab}, \qquad
          I(n_1; n_2) = J_{n_1+n_2} - J_{n_1} - J_{n_2}

with the kernel of all known orders, rho its correlation. A network of finite width is no Gaussian process, and the
negentropy J says by how much: with the connected four-point function kappa of the neurons and inputs looked at,

.. math:: J = \tfrac1{48}\, \kappa_{abcd}\, \kappa^{abcd} + O(n^{-3}),

indices raised with the inverse kernel; for one input it is known to the next power, see
:mod:`rgflow.predict.information.series`. Source: PDLT appendix A.
"""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.checks import whole
from rgflow.errors import DomainWarning, InputError
from rgflow.network import Network

if TYPE_CHECKING:
    import xarray

Floats = NDArray[np.float64]

BOUND = 0.5  # of V/(n K^2), beyond which the expansion is not trusted
SAME = 1e-12  # 1 - rho^2 of inputs that cannot be told apart


def information(
    net: Network,
    inputs: Any = None,
    *,
    first_kernel: Any = None,
    neurons: int | None = None,
    order: int = 1,
) -> xarray.Dataset:
    """Entropy and mutual information of a network's ensemble at every layer: of inputs, and of neurons at one input.

    Parameters
    ----------
    net : Network
    inputs : array (N, n_0) or (n_0,)
        As many as :func:`rgflow.flow` takes with V. Give these or ``first_kernel``, a number or (N, N).
    neurons : int
        m, how many neurons of each layer are looked at; by default as many as the network has outputs.
    order : int
        1: kernels through 1/n and negentropies through 1/n^2, their first order. 2: both through 1/n^2, so that all
        information between two inputs is, and negentropies at one input through 1/n^3, their second order.

    Returns
    -------
    xarray.Dataset
        Along ``layer``, in nats: ``entropy`` of m neurons at an input (sample0), ``entropy_infinite`` of n = infinity;
        ``negentropy`` (sample0); ``between_neurons`` (sample0), the mutual information of m//2 neurons and the others
        at one input, for m = 1 of two neurons; with several inputs also ``mutual_information`` and
        ``mutual_information_infinite`` (sample0, sample1), infinite where the correlation is 1. What is left out:
        entropy and mutual_information O(n^-2) at order 1 (of the kernel alone), O(n^-3) at order 2; negentropy and
        between_neurons O(n^-3), O(n^-4). ``fluctuation`` (sample0) is v = V/(n K^2): where it is above 1/2 these
        series mean nothing, and a DomainWarning says so.

    Raises
    ------
    InputError, OrderError
        Also where a kernel vanishes: entropy is then minus infinity.

    >>> from rgflow.network import MLP
    >>> net = MLP.uniform(n_in=2, width=100, depth=5, n_out=2, activation="relu", C_W=2.0)
    >>> ds = information(net, first_kernel=1.0)
    >>> [float(x) for x in ds["between_neurons"].round(7)]
    [0.0, 0.0003125, 0.00125, 0.0028125, 0.005]
    """
    from rgflow.flow import flow
    from rgflow.predict.information.series import negentropy

    order = whole("order", order, 1)
    if order > 2:
        raise InputError(f"order is {order}; information is known at orders 1 and 2 in 1/n")
    ds = flow(net, inputs, first_kernel=first_kernel, tensors=["K", "V"], order=order)
    m = net.widths[-1] if neurons is None else whole("neurons", neurons, 1)
    fan_in = ds["fan_in"].values.astype(np.float64)
    single = "sample0" not in ds["K"].dims
    leading, kernel, vertex = _totals(ds, fan_in)
    variance = np.einsum("laa->la", kernel)
    _positive(variance)
    v = np.einsum("laaaa->la", vertex) / (fan_in[:, None] * variance**2)
    J = {count: _at(negentropy(order + 1), count, v) for count in {m, *_blocks(m), sum(_blocks(m))}}
    data: dict[str, Any] = {
        "entropy": _gaussian_entropy(variance, m) - J[m],
        "entropy_infinite": _gaussian_entropy(np.einsum("laa->la", leading), m),
        "negentropy": J[m],
        "between_neurons": J[sum(_blocks(m))] - sum(J[count] for count in _blocks(m)),
        "fluctuation": v,
    }
    found: dict[str, Any] = {
        name: (("layer",), x[:, 0]) if single else (("layer", "sample0"), x) for name, x in data.items()
    }
    if not single:
        found |= {
            name: (("layer", "sample0", "sample1"), x)
            for name, x in _between_inputs(leading, kernel, vertex, fan_in, m).items()
        }
    _warn(v)
    return _dataset(ds, found, m, order)


def _totals(ds: xarray.Dataset, fan_in: Floats) -> tuple[Any, Any, Any]:
    """K, and K and V with all their known orders at the network's widths: (L, N, N) and (L, N, N, N, N)."""

    def shaped(name: str, arguments: int) -> Any:
        x = ds[name].values
        return x.reshape(len(x), *[1] * arguments) if x.ndim == 1 else x

    def summed(letter: str, arguments: int) -> Any:
        total = shaped(letter, arguments)
        for q in range(1, int(ds.attrs["order"]) + 1):
            if f"{letter}_{q}" in ds:
                total = total + shaped(f"{letter}_{q}", arguments) / fan_in.reshape(-1, *[1] * arguments) ** q
        return total

    return shaped("K", 2), summed("K", 2), summed("V", 4)


def _blocks(m: int) -> tuple[int, int]:
    """Two groups of m neurons; of one neuron, that one and another."""
    return (m // 2, m - m // 2) if m > 1 else (1, 1)


def _positive(variance: Floats) -> None:
    if not (variance > 0).all():
        layer, a = (int(x) for x in np.argwhere(~(variance > 0))[0])
        raise InputError(
            f"the kernel of input {a} at layer {layer + 1} is {variance[layer, a]:g}: what does not vary has no "
            "entropy, and a correction that outweighs it no meaning; widen the network or give other inputs"
        )


def _gaussian_entropy(variance: Floats, m: int) -> Floats:
    return np.asarray(m / 2 * np.log(2 * np.pi * np.e * variance), np.float64)


def _at(series: Any, m: int, v: Floats) -> Floats:
    """A polynomial of SymPy in m and v at numbers."""
    import sympy as sp

    symbols = {symbol.name: symbol for symbol in series.free_symbols}
    polynomial = sp.Poly(series.xreplace({symbols["m"]: sp.Integer(m)}), symbols["v"])
    return np.asarray(np.polyval([float(c) for c in polynomial.all_coeffs()], v), np.float64)


def _between_inputs(leading: Floats, kernel: Floats, vertex: Floats, fan_in: Floats, m: int) -> dict[str, Floats]:
    """I_ab of all pairs of inputs, with its limit of infinite width."""
    number = kernel.shape[1]
    whole_pairs, limit = (np.full(kernel.shape, np.inf) for _ in "12")
    for a in range(number):
        for b in range(a):
            pair = np.ix_(range(len(kernel)), (a, b), (a, b))
            small, limit_small = kernel[pair], leading[pair]
            J = [
                _negentropy_of(small[:, s, s], vertex[np.ix_(range(len(kernel)), *[(a, b)] * 4)][:, s, s, s, s], m)
                for s in (slice(0, 2), slice(0, 1), slice(1, 2))
            ]
            limit[:, a, b] = limit[:, b, a] = _gaussian_information(limit_small, m)
            gain = (J[0] - J[1] - J[2]) / fan_in**2
            whole_pairs[:, a, b] = whole_pairs[:, b, a] = _gaussian_information(small, m) + gain
    return {"mutual_information": whole_pairs, "mutual_information_infinite": limit}


def _gaussian_information(pair: Floats, m: int) -> Floats:
    """-m/2 ln(1 - rho^2); infinite where two inputs are one."""
    left = 1 - pair[:, 0, 1] ** 2 / (pair[:, 0, 0] * pair[:, 1, 1])
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(left > SAME, -m / 2 * np.log(np.where(left > SAME, left, 1.0)), np.inf)
    return np.asarray(found, np.float64)


def _negentropy_of(kernel: Floats, vertex: Floats, m: int) -> Floats:
    """n^2 J = (3 m^2 U_abcd U_abcd + 6 m U_abcd U_acbd) / 48, U the vertex in units of the kernel."""
    number = kernel.shape[1]
    if number == 1:
        inverse: Any = 1 / np.sqrt(kernel)
    else:
        left = 1 - kernel[:, 0, 1] ** 2 / (kernel[:, 0, 0] * kernel[:, 1, 1])
        usable = np.where((left > SAME)[:, None, None], kernel, np.eye(number))
        inverse = np.linalg.inv(np.linalg.cholesky(usable))
    U: Any = vertex
    for axis in range(1, 5):
        U = np.moveaxis(np.einsum("lij,l...j->l...i", inverse, np.moveaxis(U, axis, -1)), -1, axis)
    square, crossed = np.einsum("labcd,labcd->l", U, U), np.einsum("labcd,lacbd->l", U, U)
    return np.asarray((3 * m**2 * square + 6 * m * crossed) / 48, np.float64)


def _warn(v: Floats) -> None:
    worst = float(v.max())
    if worst > BOUND:
        layer = int(np.argmax(v.max(axis=1) > BOUND)) + 1
        warnings.warn(
            f"V/(n K^2) reaches {worst:.3g}, and passes {BOUND:g} at layer {layer}: from there on the expansion of "
            "information in 1/n means nothing; take fewer layers or more width",
            DomainWarning,
            stacklevel=3,
        )


LONG_NAMES = {
    "entropy": "entropy of the neurons looked at, at an input (nats)",
    "entropy_infinite": "the same at infinite width",
    "negentropy": "how much less that is than the entropy of a Gaussian of the same variance (nats)",
    "between_neurons": "mutual information of two groups of neurons at one input (nats)",
    "fluctuation": "V/(n K^2), relative variance of the metric",
    "mutual_information": "mutual information of the neurons at two inputs (nats)",
    "mutual_information_infinite": "the same at infinite width",
}


def _dataset(ds: xarray.Dataset, found: dict[str, Any], m: int, order: int) -> xarray.Dataset:
    import xarray

    data = {name: (dims, x, {"long_name": LONG_NAMES[name]}) for name, (dims, x) in found.items()}
    kept = ("activation", "kinks", "conventions", "network", "rgflow_version")
    attrs = {name: ds.attrs[name] for name in kept}
    groups = json.dumps(list(_blocks(m)))
    coords = {name: ds.coords[name] for name in ds.coords if name not in ("coefficient", "letter")}
    return xarray.Dataset(
        data, coords, {**attrs, "kind": "information", "order": order, "neurons": m, "groups": groups}
    )
