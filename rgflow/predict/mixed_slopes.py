r"""<sigma'_a sigma_b> for all pairs of many inputs: how the mean of an odd part answers to a shift of z.

Of two slopes, sigma = alpha z + beta |z|, closed: alpha beta sqrt(2/pi) (sqrt K_bb + K_ab/sqrt K_aa). Otherwise, with
C_k = <sigma'(sqrt(K) x) he_k(x)> of each input and he_k orthonormal, Mehler's formula gives

.. math:: \langle\sigma'_a \sigma_b\rangle
          = C_{a0} \langle\sigma_b\rangle + \sum_{k \ge 1} C_{ak} \sqrt{K_{bb}/k}\; C_{b,k-1}\, \rho_{ab}^k
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.gram.hermite import direct, resolve, shape

Floats = NDArray[np.float64]
LEFT_OUT = 1e-11  # of the sizes of both factors


def mixed_slopes(activation: Activation, K: Floats) -> Floats | None:
    """The matrix (N, N), rows for sigma'; None where no series gives it (kinks other than two slopes).

    Raises AccuracyError where no rule resolves sigma.
    """
    d = np.diagonal(K)
    if activation.parity or not d.any():
        return np.zeros_like(K)
    root = np.sqrt(d)
    inverse = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
    if activation.slopes is not None:
        minus, plus = activation.slopes
        product = (plus + minus) * (plus - minus) / 4
        answers = np.where(d > 0, 1.0, 0.0)  # z_a = 0 where K_aa is
        return np.asarray(product * np.sqrt(2 / np.pi) * (np.outer(answers, root) + K * inverse[:, None]))
    if activation.kinks:
        return None
    mean, slopes = _coefficients(activation, d)
    lines = root[:, None] * slopes[:, :-1] / np.sqrt(np.arange(1, slopes.shape[1]))
    factors = np.concatenate([mean[:, None], lines], axis=1)
    correlation = np.clip(K * np.outer(inverse, inverse), -1.0, 1.0)
    found = np.zeros_like(K)
    for k in range(_enough(slopes, factors) - 1, -1, -1):
        found *= correlation
        found += slopes[:, k, None] * factors[:, k]
    return found


def _coefficients(activation: Activation, d: Floats) -> tuple[Floats, Floats]:
    """<sigma> (N,), and C_k (N, terms) with every power, of kernels d."""
    rule = resolve(activation, float(d.max()))
    single = direct(activation, d, rule.terms, rule.nodes, False)
    form = shape(activation)
    powers = form.powers(rule.terms)
    slopes = np.zeros((len(d), int(powers[-1]) + 1))
    slopes[:, powers] = single.B * np.sqrt(powers + 1)
    if form.odd:
        slopes[:, 0] = form.slope
    return single.mean, slopes


def _enough(slopes: Floats, factors: Floats) -> int:
    """How many terms hold all but ``LEFT_OUT`` of any pair, by Cauchy and Schwarz."""
    tails = [np.cumsum((part**2)[:, ::-1], axis=1)[:, ::-1] for part in (slopes, factors)]
    left_out = np.sqrt(tails[0].max(axis=0) * tails[1].max(axis=0))
    return max(1, int(np.count_nonzero(left_out > LEFT_OUT * left_out[0])))
