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
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.checks import whole
from rgflow.errors import InputError
from rgflow.network import Network
from rgflow.predict.information.mixture import neurons_of
from rgflow.predict.information.pairs import DIGITS, Pairs, between_inputs
from rgflow.predict.trust import HALF, Measure, judged

if TYPE_CHECKING:
    import xarray

Floats = NDArray[np.float64]


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
        between_neurons O(n^-3), O(n^-4). ``fluctuation`` (sample0) is v = V/(n K^2), and
        ``mutual_information_error`` the numerical error, which grows as inputs approach each other. ``measure``,
        ``limit`` (doubt), ``trusted``: v, the second term of the series over the first (of n_1 + n_2 = N neurons
        (20 + 3 N) v/6), the same of the negentropy at two inputs (of a scale mixture), and the relative numerical
        error; a DomainWarning says what is beyond its limit, and from which layer on.

    Raises
    ------
    InputError, OrderError
        Also where a kernel vanishes: entropy is then minus infinity.
    AccuracyError
        If two inputs are so near that rounding leaves no digit of what they share.

    >>> from rgflow.network import MLP
    >>> net = MLP.uniform(n_in=2, width=1000, depth=5, n_out=2, activation="relu", C_W=2.0)
    >>> ds = information(net, first_kernel=1.0)
    >>> [float(x) for x in ds["between_neurons"].round(9)]
    [0.0, 3.125e-06, 1.25e-05, 2.8125e-05, 5e-05]
    """
    from rgflow.flow import flow
    from rgflow.predict.information.series import negentropy

    order = whole("order", order, 1)
    if order > 2:
        raise InputError(f"order is {order}; information is known at orders 1 and 2 in 1/n")
    ds = flow(net, inputs, first_kernel=first_kernel, tensors=["K", "V"], order=order)
    m = net.widths[-1] if neurons is None else neurons_of("neurons", neurons)
    fan_in = ds["fan_in"].values.astype(np.float64)
    single = "sample0" not in ds["K"].dims
    leading, kernel, vertex = _totals(ds, fan_in)
    variance = np.einsum("laa->la", kernel)
    _refuse_constant(variance)
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
    pairs = None
    if not single:
        pairs = between_inputs(leading, kernel, vertex, fan_in, m, _numerical(ds, kernel, vertex))
        both = ("layer", "sample0", "sample1")
        found["mutual_information"] = (both, pairs.total)
        found["mutual_information_infinite"] = (both, pairs.infinite)
        found["mutual_information_error"] = (both, pairs.error)
    judgement, names, _ = judged("the expansion of information in 1/n", _measures(v, m, pairs), stacklevel=2)
    return _dataset(ds, found, m, order).assign(judgement).assign_coords(names)


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


def _refuse_constant(variance: Floats) -> None:
    if not (variance > 0).all():
        layer, a = (int(x) for x in np.argwhere(~(variance > 0))[0])
        raise InputError(
            f"the kernel of input {a} at layer {layer + 1} is {variance[layer, a]:g}: what does not vary has no "
            "entropy, and a correction that outweighs it no meaning; widen the network or give other inputs"
        )


def _gaussian_entropy(variance: Floats, m: int) -> Floats:
    return np.asarray(m / 2 * np.log(2 * np.pi * math.e * variance), np.float64)


def _at(series: Any, m: int, v: Floats) -> Floats:
    """A polynomial of SymPy in m and v at numbers."""
    import sympy as sp

    symbols = {symbol.name: symbol for symbol in series.free_symbols}
    polynomial = sp.Poly(series.xreplace({symbols["m"]: sp.Integer(m)}), symbols["v"])
    return np.asarray(np.polyval([float(c) for c in polynomial.all_coeffs()], v), np.float64)


def _numerical(ds: xarray.Dataset, kernel: Floats, vertex: Floats) -> tuple[Floats, Floats]:
    """Errors of the totals by layer: what the flow says of its coefficients, and of sums of doubles."""
    fan_in, found = ds["fan_in"].values.astype(np.float64), []
    for letter, total in (("K", kernel), ("V", vertex)):
        error = 2 * np.finfo(np.float64).eps * np.abs(total).reshape(len(total), -1).max(axis=1)
        for name in ds["coefficient"].values:
            base, _, order = str(name).partition("_")
            if base == letter:
                error = error + ds["numerical_error"].sel(coefficient=name).values / fan_in ** int(order or 0)
        found.append(np.asarray(error, np.float64))
    return found[0], found[1]


def _measures(v: Floats, m: int, pairs: Pairs | None) -> list[Measure]:
    """What the series takes to be small: V/(n K^2), and its second term relative to the first."""
    count = sum(_blocks(m))
    remedy = "take fewer layers, more width or fewer neurons"

    def largest(name: str, values: Floats, meaning: str, limit: float = HALF, what: str = remedy) -> Measure:
        by_layer = values.reshape(len(values), -1).max(axis=1)
        beyond = np.flatnonzero(by_layer > limit)
        where = f"it passes that at layer {int(beyond[0]) + 1}; {what}" if beyond.size else ""
        return Measure(name, float(by_layer.max()), limit, meaning, where)

    found = [
        largest("fluctuation", v, "V/(n K^2)"),
        largest("series", (20 + 3 * count) / 6 * v, f"the second order of what {count} neurons share over the first"),
    ]
    if pairs is not None:
        second = (2 * m + 8) / 3 * pairs.fluctuation
        found.append(largest("series of two inputs", second, "the second order of the negentropy over the first"))
        relative = np.divide(pairs.error, pairs.total, out=np.zeros_like(pairs.error), where=np.isfinite(pairs.total))
        what = "leave out one of two inputs that are near"
        found.append(largest("rounding", relative, "the relative error of information between inputs", DIGITS, what))
    return found


LONG_NAMES = {
    "entropy": "entropy of the neurons looked at, at an input (nats)",
    "entropy_infinite": "the same at infinite width",
    "negentropy": "how much less that is than the entropy of a Gaussian of the same variance (nats)",
    "between_neurons": "mutual information of two groups of neurons at one input (nats)",
    "fluctuation": "V/(n K^2), relative variance of the metric",
    "mutual_information": "mutual information of the neurons at two inputs (nats)",
    "mutual_information_infinite": "the same at infinite width",
    "mutual_information_error": "numerical error of mutual_information (nats)",
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
