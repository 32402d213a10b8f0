r"""``contract``: V summed against matrices, for any number of inputs, without an array of N^4.

.. math:: V^{(l+1)}(M, M') = \sum_{abcd} M_{ab} M'_{cd} V_{(ab)(cd)}
          = C_W^2\, \mathrm{Cov}_z(s^T M s,\, s^T M' s) + \frac{n_l}{n_{l-1}} C_W^2\, V^{(l)}(R^T M, R^T M')

with s = sigma(z) of one neuron, z ~ N(0, K), and R the response of <s s^T> to K. R joins pairs of inputs that share an
input, so that R^T M costs N^2: matrices are carried down through the layers instead of V up. The covariances are those
of :mod:`rgflow.predict.quadratic_forms`.

This is the derived recursion of V, whose lines hold N^4 brackets; it is therefore typed, and its tests evaluate V of a
few inputs beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor
from rgflow.checks import whole
from rgflow.errors import InputError, OrderError
from rgflow.gram.gram import gram
from rgflow.network import Dense, Network
from rgflow.network.inputs import finite, given
from rgflow.predict.bayes.kernel_map import KernelMap, kernel_map, pairs
from rgflow.predict.mixed_slopes import mixed_slopes
from rgflow.predict.quadratic_forms import LEAST, SCRAMBLES, Covariance, Form, covariance, points
from rgflow.progress import progress_bar
from rgflow.seeds import seed_sequence

Floats = NDArray[np.float64]
# Relative to absolute integrals, what the kernel map aims at; of two slopes it is closed.
QUADRATURE, CLOSED = 1e-9, 1e-14
# Of a matrix: fourth powers of its products with kernels stay floats.
LARGEST = 1e50


@dataclass(frozen=True, eq=False)
class Contraction:
    """V of the last layer summed against matrices; ``...`` are the axes of left, then right, before their last two.

    Attributes
    ----------
    net : Network
    value : array (...)
        sum_abcd left_ab right_cd V[a, b, c, d], the coefficient of 1/n, n = ``fan_in``. Truncation error O(1/n).
    standard_error : array (...)
        Of ``value``, from the spread between scrambles; 0 where nothing is drawn.
    numerical_error : array (...)
        Absolute, of the averages over pairs of inputs, to first order: their own error and that of K; an estimate.
    sources, sources_se : array (L - 1, ...)
        What the neurons of each hidden layer add to ``value``, and its standard error.
    fan_in : int
        n_{L-1}.
    draws : int
        Sobol points in each hidden layer.
    """

    net: Network
    value: Floats
    standard_error: Floats
    numerical_error: Floats
    sources: Floats
    sources_se: Floats
    fan_in: int
    draws: int

    @property
    def covariance(self) -> Floats:
        """Cov(tr left G, tr right G) of the metric G of the last layer: value/n, to O(1/n^2)."""
        return np.asarray(self.value / self.fan_in)


def contract(
    net: Network,
    inputs: Any = None,
    *,
    first_kernel: Any = None,
    tensor: str = "V",
    left: Any,
    right: Any = None,
    draws: int = 16384,
    seed: Any = None,
    threads: int | None = None,
    progress: bool = False,
) -> Contraction:
    r"""V of the last layer summed against matrices over pairs of any number of inputs.

    .. math:: \sum_{abcd} \text{left}_{ab}\, \text{right}_{cd}\, V_{(ab)(cd)}
              = n\, \mathrm{Cov}(\mathrm{tr}\,\text{left}\, \hat G,\; \mathrm{tr}\,\text{right}\, \hat G)

    at leading order, for networks of dense layers, with or without kinks. Work, for each layer: N^2 averages over
    pairs, N^2 for each draw and matrix (N if it is diagonal), N^3 for each matrix; N counts the inputs that the
    matrices name. Memory: K of all layers, and a few (N, N). For a few inputs :func:`rgflow.flow` has V itself.

    Parameters
    ----------
    net : MLP or Network of Dense layers
    inputs : array (N, n_0) or (n_0,)
    first_kernel : float or array (N, N)
        Instead of inputs: the kernel K of layer 1.
    tensor : "V"
    left, right : arrays (..., N, N)
        Their symmetric parts count. Several matrices give all pairs of a left and a right one; ``right`` is ``left`` if
        not given, so that the result is a covariance matrix.
    draws : int
        Neurons drawn in each hidden layer, at least 1024; the largest 32 x 2^k up to it are. What is averaged has heavy
        tails: with few draws standard errors tend to come out too small.
    seed : None, int, SeedSequence or Generator
    threads : int
        All cores if not given. Results do not depend on it.
    progress : bool
        Show a bar.

    Returns
    -------
    Contraction

    Raises
    ------
    InputError
        For layers that are not dense, matrices of the wrong shape, inputs that :func:`rgflow.gram` refuses.
    OrderError
        For another tensor: ``rgflow.flow(..., at=)`` has its components.
    AccuracyError
        For a flow that runs away, naming the layer; for activations that grow faster than a line (powers,
        exponentials), whose averages draws do not reach.

    Source: PDLT (arXiv:2106.10165), chapter 4, recursion of the four-point vertex, contracted.

    >>> from rgflow.network import MLP
    >>> net = MLP.uniform(n_in=2, width=100, depth=3, activation="relu", C_W=2.0)
    >>> found = contract(net, first_kernel=1.0, left=[[1.0]], seed=0)  # exactly 10
    >>> bool(abs(found.value - 10) < 4 * found.standard_error), bool(found.standard_error < 0.1)
    (True, True)
    """
    from rgflow.threads import cores  # loads Numba

    _check(net, tensor)
    per = points(whole("draws", draws, LEAST * SCRAMBLES))
    workers = cores() if threads is None else whole("threads", threads, 1)
    problem = _problem(net, inputs, first_kernel, left, right)
    shape = problem.shape
    sources, sources_se = (np.zeros((net.depth - 1, *shape)) for _ in range(2))
    doubt = np.zeros(shape)
    size = len(problem.left[0])
    if net.depth > 1 and size:
        hidden = list(range(1, net.depth))
        leading = gram(net, problem.inputs, first_kernel=problem.kernel, tensors="K", layers=hidden, threads=workers)
        kernels = leading["K"].values.reshape(len(hidden), size, size)
        of_K = leading["numerical_error"].sel(coefficient="K").values / np.abs(kernels).max(axis=(1, 2)).clip(1e-300)
        total = len(hidden) * (pairs(size) + per * SCRAMBLES)
        with progress_bar(progress, "contractions of V", total) as advance:
            for l, part in _layers(net, problem, kernels, of_K, per, seed_sequence(seed), workers, advance):
                sources[l - 1], sources_se[l - 1] = part.value.reshape(shape), part.se.reshape(shape)
                doubt += part.size.reshape(shape)
    se = np.sqrt((sources_se**2).sum(axis=0))
    return Contraction(net, sources.sum(axis=0), se, doubt, sources, sources_se, net.widths[-2], per * SCRAMBLES)


# What is asked --------------------------------------------------------------------------------------------------------


class _Problem(NamedTuple):
    """Different inputs that the matrices name, and symmetric matrices over these; ``right`` is ``left`` if the same."""

    inputs: Any
    kernel: Any
    left: tuple[Floats, ...]
    right: tuple[Floats, ...]
    shape: tuple[int, ...]


def _check(net: Any, tensor: Any) -> None:
    if not isinstance(net, Network):
        raise InputError(f"{net!r} is not a network; give rgflow.MLP(...) or rgflow.Network(...)")
    strange = [layer for layer in net.layers if type(layer) is not Dense]
    if strange:
        raise InputError(
            f"{strange[0]!r} is not dense: contractions are offered for Dense layers; use rgflow.flow(at=)"
        )
    if str(Tensor.named(tensor)) != "V":
        raise OrderError(f"contract gives V, not {tensor!r}; rgflow.flow(..., at=) gives components of all tensors")


def _problem(net: Network, inputs: Any, first_kernel: Any, left: Any, right: Any) -> _Problem:
    found = given(net, inputs, first_kernel)
    N, place = len(found.place), found.place
    sides = [_matrices("left", left, N)]
    if right is not None and right is not left:
        sides.append(_matrices("right", right, N))
    merged = [_merged(side.reshape(-1, N, N), place) for side in sides]
    # Averages over an input that no matrix names are not needed, in no layer: R^T M names what M names.
    named = np.flatnonzero(sum(np.abs(side).sum(axis=(0, 1)) for side in merged))
    first = np.array([int(np.flatnonzero(place == p)[0]) for p in named], dtype=np.intp)
    chosen = [tuple(matrix[np.ix_(named, named)] for matrix in side) for side in merged]
    at = None if inputs is None else np.atleast_2d(finite("inputs", inputs))[first]
    kernel = None
    if inputs is None:
        whole_kernel = np.asarray(first_kernel, np.float64).reshape(N, N)
        kernel = whole_kernel[np.ix_(first, first)]
    return _Problem(at, kernel, chosen[0], chosen[-1], sides[0].shape[:-2] + sides[-1].shape[:-2])


def _matrices(name: str, values: Any, N: int) -> Floats:
    found = finite(name, values)
    if found.ndim < 2 or found.shape[-2:] != (N, N):
        raise InputError(f"{name} has shape {found.shape}; for {N} inputs give (..., {N}, {N})")
    size = np.abs(found).max(axis=(-2, -1))
    beyond = (size > LARGEST) | ((size > 0) & (size < 1 / LARGEST))
    if beyond.any():
        raise InputError(
            f"{name} holds a matrix whose largest entry is {size[beyond].flat[0]:.3g}; rescale it to between "
            f"{1 / LARGEST:g} and {LARGEST:g}: the value is linear in it"
        )
    return found


def _merged(matrices: Floats, place: NDArray[np.intp]) -> Floats:
    """Symmetric parts, with entries of equal inputs added."""
    size = int(place.max()) + 1
    if size < len(place):
        join = np.zeros((len(place), size))
        join[np.arange(len(place)), place] = 1.0
        matrices = join.T @ matrices @ join
    return matrices / 2 + matrices.transpose(0, 2, 1) / 2


# Down the layers ------------------------------------------------------------------------------------------------------


def _layers(
    net: Network,
    problem: _Problem,
    kernels: Floats,
    of_K: Floats,
    per: int,
    seed: np.random.SeedSequence,
    threads: int,
    advance: Any,
) -> Iterator[tuple[int, Covariance]]:
    """Hidden layers from the last to the first, each with its share of V of the outputs; ``size`` as an error."""
    left, right = problem.left, problem.right
    seeds = seed.spawn(net.depth - 1)
    aim = QUADRATURE if net.activation.slopes is None else CLOSED
    passed = 0.0
    for l in range(net.depth - 1, 0, -1):
        K, C_W = kernels[l - 1], net.layers[l].value("C_W")
        through = kernel_map(net.activation, K, 1, advance)
        slopes = mixed_slopes(net.activation, K)
        forms = [_form(C_W * matrix, through, slopes) for matrix in left]
        others = forms if right is left else [_form(C_W * matrix, through, slopes) for matrix in right]
        found = covariance(net.activation, K, forms, others, per, seeds[l - 1], threads, advance)
        passed += aim + float(of_K[l - 1])
        scale = net.widths[-2] / net.widths[l]  # a factor n_l/n_{l-1} for every layer on the way down
        yield l, Covariance(scale * found.value, scale * found.se, scale * passed * found.size)
        left = tuple(form.P for form in forms)
        right = left if others is forms else tuple(form.P for form in others)


def _form(matrix: Floats, through: KernelMap, slopes: Floats | None) -> Form:
    """The form of a symmetric matrix; without its line g where that is not known, which costs draws alone."""
    g = np.zeros(len(matrix)) if slopes is None else 2 * (matrix * slopes).sum(axis=1)
    return Form(matrix, float((matrix * through.value).sum()), g, pulled(through, matrix))


def pulled(through: KernelMap, matrix: Floats) -> Floats:
    """R^T M for a symmetric M: the derivative of sum_ab M_ab <sigma_a sigma_b> by K, the adjoint of ``push``."""
    out = through.cross * matrix
    out[np.diag_indices_from(out)] += 2 * (matrix * through.square).sum(axis=1)
    return np.asarray(out)
