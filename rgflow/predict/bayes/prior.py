r"""The outputs of a finite network before it has seen data, to first order in 1/n.

.. math:: p(z) = \Big[1 + \tfrac12 \tfrac{K_1}{n}\partial\partial
          + \tfrac18 \tfrac{V}{n}\partial\partial\partial\partial\Big] N(z; 0, K)

with one index of neurons for each pair of derivatives: outputs are Gaussian given a random metric, of mean K + K_1/n
and covariance V/n, which all neurons share. That is what couples them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.checks import whole
from rgflow.errors import AccuracyError, DomainWarning, InputError
from rgflow.network import Network
from rgflow.network.inputs import finite
from rgflow.predict.bayes.metric import Metric, exact_metric
from rgflow.predict.bayes.regression import check_near, check_range, evidence_response, regression
from rgflow.predict.trust import HALF, Measure, judged
from rgflow.seeds import seed_sequence

Floats = NDArray[np.float64]
WIDER = "take wider or fewer layers"
MOST = 1 << 28  # numbers at once: 2 GiB


@dataclass(frozen=True, eq=False)
class Prior:
    """The distribution of the outputs of a network at N inputs, over its random weights.

    Attributes
    ----------
    net : Network
    inputs : array (N, n_0)
    metric : Metric
        Mean and covariance of the metric of the outputs, with the network's widths put in.
    doubts : str
        Why order 1/n is not to be trusted; empty if it is (``trusted``).
    """

    net: Network
    inputs: Floats
    metric: Metric
    doubts: str = ""

    @property
    def trusted(self) -> bool:
        """Whether V/(n K^2) and the relative change of K are below 1/2 at every input."""
        return not self.doubts

    @property
    def kernel_infinite(self) -> Floats:
        """K, (N, N): the covariance of an output over inputs at infinite width."""
        return self.metric.kernel

    @property
    def kernel(self) -> Floats:
        """K + K_1/n, (N, N); truncation error O(1/n^2)."""
        return self.metric.kernel + self.metric.change

    def cumulant(self, neurons: Any, samples: Any) -> float:
        """The joint cumulant of two or four outputs z_{neuron; sample}, both counted from 0; O(1/n^2) is missing.

        Two: d12 (K + K_1/n). Four: (d12 d34 V_(12)(34) + d13 d24 V_(13)(24) + d14 d23 V_(14)(23))/n. Odd
        ones vanish.

        >>> from rgflow.network import MLP
        >>> both = prior(MLP([2, 100, 2], "relu", C_W=2.0), [[1.0, 1.0]])
        >>> round(both.cumulant([0, 0, 0, 0], [0, 0, 0, 0]), 9), round(both.cumulant([0, 0, 1, 1], [0, 0, 0, 0]), 9)
        (0.6, 0.2)
        """
        i, a = (self._places(name, values) for name, values in (("neurons", neurons), ("samples", samples)))
        if len(i) != len(a):
            raise InputError(f"{len(i)} neurons and {len(a)} samples; give one of each for every output")
        if max(i) >= self.net.widths[-1] or max(a) >= len(self.inputs):
            raise InputError(
                f"neurons={i}, samples={a}: there are {self.net.widths[-1]} outputs, {len(self.inputs)} inputs"
            )
        if len(i) == 2:
            return float(self.kernel[a[0], a[1]]) if i[0] == i[1] else 0.0
        if len(i) == 4:
            pairings = ((0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2))
            V = self.metric.vertex
            return float(sum(V[a[p], a[q], a[s], a[t]] for p, q, s, t in pairings if i[p] == i[q] and i[s] == i[t]))
        if len(i) % 2:
            return 0.0
        raise InputError(f"{len(i)} outputs: cumulants are known to order 1/n, those of two or four of them")

    @staticmethod
    def _places(name: str, values: Any) -> list[int]:
        if not isinstance(values, Sequence | np.ndarray) or not len(values):
            raise InputError(f"{name} is {values!r}; give a list of whole numbers, one for every output")
        return [whole(name, value, 0) for value in values]

    def kurtosis(self) -> Floats:
        """Excess kurtosis E z^4/(E z^2)^2 - 3 of one output at each input, (N,): 3 V/(n K^2), to O(1/n^2).

        NaN, here and in ``correlation``, for an input at which all outputs vanish.
        """
        return np.asarray(3 * np.einsum("aaaa->a", self.metric.vertex) / self._sizes() ** 2)

    def correlation(self) -> Floats:
        """Correlation of z_{i;a}^2 and z_{j;b}^2 of two different outputs, (N, N): V_(aa)(bb)/(2 n K_aa K_bb).

        Outputs of one network are uncorrelated, but not independent: where one is large, so are the others.
        """
        d = self._sizes()
        return np.asarray(np.einsum("aabb->ab", self.metric.vertex) / (2 * np.outer(d, d)))

    def _sizes(self) -> Floats:
        d = np.diagonal(self.metric.kernel)
        return np.where(d > 0, d, np.nan)

    def log_density(self, z: Any) -> Floats:
        """log p of z (..., N, m), m of the network's outputs at all N inputs: log N plus the order 1/n.

        Warns with DomainWarning where that term exceeds 1/2: outputs too unlikely at infinite width.

        Raises InputError for wrong shapes, and for inputs whose kernel is singular: outputs then have no density.
        AccuracyError for z beyond all numbers.
        """
        leading, correction = self._expanded(z)
        _warn_far(correction)
        return leading + correction

    def density(self, z: Any) -> Floats:
        """p of outputs z, as in :meth:`log_density`: N (1 + order 1/n).

        Its integral is 1 exactly. AccuracyError, which says at which z, where it would be negative: the network is too
        narrow there for an expansion of the density. That of its logarithm has no such end.
        """
        leading, correction = self._expanded(z)
        if correction.min() <= -1:
            place = [int(p) for p in np.unravel_index(correction.argmin(), correction.shape)]
            raise AccuracyError(
                f"the density would be negative at z{place or ''}: its term of order 1/n is {correction.min():.2g} of "
                "it; take wider layers, z nearer 0, or log_density"
            )
        _warn_far(correction)
        return np.asarray(np.exp(leading) * (1 + correction))

    def _expanded(self, z: Any) -> tuple[Floats, Floats]:
        values = finite("z", z)
        N = len(self.inputs)
        most = self.net.widths[-1]
        if values.ndim < 2 or values.shape[-2] != N or not 1 <= values.shape[-1] <= most or not values.size:
            raise InputError(f"z has shape {values.shape}; give (..., {N}, m) for m <= {most} outputs at {N} inputs")
        m = values.shape[-1]
        flat = values.reshape(-1, N, m)
        try:
            problem = regression(self.metric.kernel, np.zeros((N, m)), 0.0, False)
        except InputError:
            raise InputError(
                "K of the inputs cannot be inverted, outputs have no density: leave out inputs that repeat or depend "
                "on others"
            ) from None
        weights, modes = self.metric.modes()
        with np.errstate(over="ignore", invalid="ignore"):
            a = problem.inverse @ flat
        check_near("z is", flat, a)
        leading = problem.log_evidence - (flat * a).sum(axis=(1, 2)) / 2
        correction = evidence_response(problem.inverse, a, self.metric.change)[0]
        for w, G in zip(weights, modes, strict=True):
            slope, second = evidence_response(problem.inverse, a, G)
            correction = correction + w / 2 * (second + slope**2)
        shape = values.shape[:-2]
        return leading.reshape(shape), correction.reshape(shape)

    def draw(self, count: int, *, seed: Any = None, outputs: int | None = None) -> Floats:
        r"""``count`` samples of the outputs (count, N, outputs), all outputs if not said; ``seed`` as in ``sample``.

        Each takes one random metric for all its outputs, :math:`G = K^{1/2} e^X K^{1/2}` with a Gaussian X matched so
        that G has mean K + K_1/n and covariance V/n up to O(1/n^2). G is positive, always.

        Raises InputError for networks whose V is no covariance (orthogonal weights) and for more samples than fit in
        memory at once; warns with DomainWarning if the
        metric's relative variance exceeds 1/2.
        """
        count = whole("count", count, 1)
        m = self.net.widths[-1] if outputs is None else whole("outputs", outputs, 1)
        numbers = count * len(self.inputs) * (m + 2 * len(self.inputs))
        if numbers > MOST:
            raise InputError(f"count is {count}: {numbers:.2g} numbers at once; draw at most {MOST * count // numbers}")
        rng = np.random.default_rng(seed_sequence(seed))
        K = self.metric.kernel
        values, vectors = np.linalg.eigh(K)
        kept = values > 1e-13 * len(K) * values[-1]  # K is not known better than this
        root = vectors[:, kept] * np.sqrt(values[kept])  # K = root root^T
        back = (vectors[:, kept] / np.sqrt(values[kept])).T
        weights, modes = self.metric.modes()
        if weights.min() < -1e-9 * np.abs(weights).max():
            raise InputError("V of this network is not a covariance of metrics: its outputs cannot be drawn this way")
        weights = np.maximum(weights, 0.0)
        relative = back @ modes @ back.T
        squares = np.einsum("k,kab,kbc->ac", weights, relative, relative)
        centre = back @ self.metric.change @ back.T - squares / 2
        size = float(np.linalg.eigvalsh(squares).max())
        if size > HALF:
            warnings.warn(
                f"the metric's relative variance is {size:.2g}, not small: samples are far from those of the network",
                DomainWarning,
                stacklevel=2,
            )
        amplitudes = rng.standard_normal((count, len(weights))) * np.sqrt(weights)
        exponents, frames = np.linalg.eigh(centre + np.einsum("sk,kab->sab", amplitudes, relative))
        normal = rng.standard_normal((count, root.shape[1], m))
        turned = frames @ (np.exp(exponents / 2)[:, :, None] * normal)
        return np.asarray(root @ turned)


def _warn_far(correction: Floats) -> None:
    """For a method's caller."""
    worst = float(np.abs(correction).max())
    if worst > HALF:
        warnings.warn(
            f"the density's term of order 1/n reaches {worst:.2g} of it: z is too unlikely for the expansion",
            DomainWarning,
            stacklevel=3,
        )


def prior(net: Network, inputs: Any, *, progress: bool = False) -> Prior:
    """The distribution of the outputs of a network at a few inputs (N, n_0) or (n_0,), to order 1/n.

    Raises what :func:`rgflow.flow` raises with V: InputError for too many inputs and wrong shapes, and others. Warns
    with DomainWarning where V/(n K^2) or the relative change of K exceeds 1/2: no number is then to be trusted.

    >>> from rgflow.network import MLP
    >>> few = prior(MLP([2, 50, 1], "relu", C_W=2.0), [[1.0, 1.0]])
    >>> few.kurtosis().round(9).tolist()
    [0.3]
    """
    if not isinstance(net, Network):
        raise InputError(f"{net!r} is not a network; give rgflow.MLP(...) or rgflow.Network(...)")
    x = np.atleast_2d(finite("inputs", inputs))
    metric = exact_metric(net, x, progress)
    check_range(metric.kernel)
    K = np.diagonal(metric.kernel)
    K = np.where(K > 0, K, np.inf)  # an input without outputs
    small = [
        Measure(
            "fluctuation", _most(np.einsum("aaaa->a", metric.vertex) / K / K), HALF, "V/(n K^2) of one input", WIDER
        ),
        Measure("change", _most(np.diagonal(metric.change) / K), HALF, "K_1/(n K) of one input", WIDER),
    ]
    return Prior(net, x, metric, judged("the prior at order 1/n", small, stacklevel=2)[2])


def _most(values: Floats) -> float:
    return float(np.abs(values).max())
