r"""The covariance of quadratic forms of one neuron's outputs, for many inputs: known chaoses, and draws for the rest.

With s = sigma(z), z ~ N(0, K), the form q = s^T M s has mean and first two chaoses in closed form of brackets:

.. math:: q = \langle q\rangle + g \cdot z + (z^T P z - \mathrm{tr} P K) + \dots, \qquad
          g_a = 2 \sum_b M_{ab} \langle\sigma'_a \sigma_b\rangle, \qquad P = d\langle q\rangle / dK

.. math:: \mathrm{Cov}(q, q') = g^T K g' + 2\, \mathrm{tr}(P K P' K) + \langle\text{rest}\; \text{rest}'\rangle

Chaoses of different order do not meet, so that only the rest is averaged: over scrambled Sobol points, z beside -z
unless sigma is odd or even (the odd and the even part of the rest do not meet either). Independent scrambles tell the
standard error. For ReLU and GELU the rest holds some percent of the variance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.errors import AccuracyError, InputError

Floats = NDArray[np.float64]
LEAST = 32  # points in a scramble: with fewer, tails hide from the spread
SCRAMBLES = 32  # the standard error is known to 1/sqrt(62) = 13 %
NUMBERS = 1 << 20  # in one array of a batch: 8 MiB
STEEP = 3.0  # times as large at twice the z; a line is 2 times, z^2 4 times
LOST = 0.1  # of the scale of a covariance: with a larger standard error it is not believed
MOST_DIMENSIONS = 21201  # of SciPy's Sobol points


class Form(NamedTuple):
    """q = s^T matrix s: its mean, and its first two chaoses g (N,), P (N, N)."""

    matrix: Floats
    mean: float
    g: Floats
    P: Floats


class Covariance(NamedTuple):
    """Of i forms with j others, (i, j) each.

    value, se : with the standard error of what is drawn. size : how far ``value`` moves, at most, if all entries of K,
    g and P do by one part each
    """

    value: Floats
    se: Floats
    size: Floats


def covariance(
    activation: Activation,
    K: Floats,
    left: Sequence[Form],
    right: Sequence[Form],
    per: int,
    seed: np.random.SeedSequence,
    threads: int,
    advance: Callable[[int], None],
) -> Covariance:
    """Of the forms ``left`` with ``right``, which may be the same object; ``per`` points in each scramble.

    Raises InputError for more independent inputs than there are dimensions of Sobol points, AccuracyError where
    tails are heavier than draws can tell.
    """
    if K.any():
        _refuse_steep(activation, K)
    value, size = _known(K, left, right)
    root = _root(K)
    sides = [[_Drawn(form, K) for form in side] for side in ([left] if right is left else [left, right])]

    def scramble(child: np.random.SeedSequence) -> tuple[Floats, Floats]:
        total, squares = np.zeros(value.shape), np.zeros((2, *value.shape))
        for z in _draws(root, per, child):
            halves = [_rests(activation, side, z) for side in sides]
            for half in zip(*halves, strict=True):
                total += half[0] @ half[-1].T
                squares[0] += (half[0] ** 2).sum(axis=1)[:, None]
                squares[1] += (half[-1] ** 2).sum(axis=1)
            advance(len(z))
        return total / per, squares / per

    if root.shape[1] == 0:  # inputs without outputs: z = 0
        return Covariance(value, np.zeros_like(value), size)
    children = seed.spawn(SCRAMBLES)
    if threads == 1:
        found = [scramble(child) for child in children]
    else:
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(scramble, children))
    means, squares = (np.array(part) for part in zip(*found, strict=True))
    se = means.std(axis=0, ddof=1) / np.sqrt(SCRAMBLES)
    _refuse_spread(activation, K, se, np.sqrt(squares.mean(axis=0).prod(axis=0)) + size / 4)
    return Covariance(value + means.mean(axis=0), se, size)


def _refuse_steep(activation: Activation, K: Floats) -> None:
    """Refuse outputs that grow faster than a line where z is rare: the square of a form is made up by draws nobody has.

    Of z^2 it is z^8, which 2^14 draws average with errors three times as large as their spread says.
    """
    far = np.sqrt(np.diagonal(K).max()) * np.linspace(3.0, 6.0, 31)
    with np.errstate(all="ignore"):
        near, beyond = (np.abs(activation(scale * np.concatenate([far, -far]))).max() for scale in (1.0, 2.0))
    if not beyond <= STEEP * near:
        raise AccuracyError(
            f"{activation.name} at K up to {np.diagonal(K).max():.6g} grows faster than a line: its quadratic forms "
            "have tails that draws do not reach; use rgflow.flow(at=), or smaller inputs or C_W"
        )


def _refuse_spread(activation: Activation, K: Floats, se: Floats, scale: Floats) -> None:
    """Refuse averages that a few draws make up; the spread says nothing then of those not drawn."""
    if not (se <= LOST * scale).all():
        raise AccuracyError(
            f"covariances of {activation.name} at K up to {np.diagonal(K).max():.6g} are not known to {LOST:.0%} by "
            "their draws; use more draws, smaller inputs or C_W, or rgflow.flow(at=)"
        )


def points(draws: int) -> int:
    """Points of one scramble: a power of 2, without which Sobol points lose their balance."""
    return 1 << ((draws // SCRAMBLES).bit_length() - 1)


def _known(K: Floats, left: Sequence[Form], right: Sequence[Form]) -> tuple[Floats, Floats]:
    """g^T K g' + 2 tr(P K P' K), and the sum of absolute terms times their number of factors."""
    values, sizes = (np.zeros((len(left), len(right))) for _ in range(2))
    for j, other in enumerate(right):
        line, square = K @ other.g, K @ other.P @ K
        for i, form in enumerate(left):
            values[i, j] = form.g @ line + 2 * (form.P * square).sum()
            sizes[i, j] = 3 * np.abs(form.g) @ np.abs(line) + 8 * np.abs(form.P * square).sum()
    return values, sizes


class _Drawn:
    """One form as it is evaluated at draws; matrices that are diagonal by their diagonals, without products."""

    def __init__(self, form: Form, K: Floats):
        self.matrix, self.P, self.g = _slim(form.matrix), _slim(form.P), form.g
        self.centre = form.mean - float((form.P * K).sum())


def _slim(matrix: Floats) -> Floats:
    d = np.diagonal(matrix)
    return d.copy() if np.count_nonzero(matrix) == np.count_nonzero(d) else matrix


def _at(x: Floats, matrix: Floats) -> Floats:
    """x^T M x of every draw, (T,)."""
    return np.asarray((x * x) @ matrix if matrix.ndim == 1 else np.einsum("ta,ta->t", x @ matrix, x))


def _rests(activation: Activation, forms: Sequence[_Drawn], z: Floats) -> list[Floats]:
    """What q has beyond its known chaoses, (forms, T); its even and its odd part, unless all of it is even."""
    known = np.array([_at(z, form.P) + form.centre for form in forms])
    s = activation(z)
    q = np.array([_at(s, form.matrix) for form in forms])
    if activation.parity:
        return [q - known]
    s = activation(-z)
    turned = np.array([_at(s, form.matrix) for form in forms])
    lines = np.array([z @ form.g for form in forms])
    return [(q + turned) / 2 - known, (q - turned) / 2 - lines]


def _draws(root: Floats, count: int, seed: np.random.SeedSequence) -> Iterator[Floats]:
    """z ~ N(0, K) in batches (T, N), from one scramble of Sobol points."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    engine = qmc.Sobol(root.shape[1], scramble=True, rng=np.random.default_rng(seed))
    batch = 1 << max(0, (NUMBERS // len(root)).bit_length() - 1)
    for start in range(0, count, batch):
        u = engine.random(min(batch, count - start))
        yield np.asarray(ndtri(np.clip(u, 2.0**-54, 1 - 2.0**-53)) @ root.T)


def _root(K: Any) -> Floats:
    """Columns in order of size, which suits Sobol points: their first coordinates are the best."""
    values, vectors = np.linalg.eigh(K)
    kept = values > len(K) * np.finfo(float).eps * values[-1]
    if kept.sum() > MOST_DIMENSIONS:
        raise InputError(f"{kept.sum()} independent inputs; draws are offered for {MOST_DIMENSIONS} at most")
    return np.asarray((vectors[:, kept] * np.sqrt(values[kept]))[:, ::-1])
