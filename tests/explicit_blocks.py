"""Explicit residual networks in plain NumPy, with back-propagation: the witness of mean-field recurrences.

x' = (x or P x) + V sigma(W x + b) + a, drawn from the definition; knows nothing of rgflow.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np


def run(rng, widths, variances, sigma, slope, x, gradient=None, reduced=False):
    """One network: mean squares of x at layers 0..L and of the gradients of x, W, V, a, b.

    variances : function of the block l = 1..L to (C_W, C_V, C_a, C_b)
    gradient : dE/dx of the last layer; standard normal without it
    """
    kept = []
    p = [np.mean(x**2)]
    for l, (n, m) in enumerate(pairwise(widths), start=1):
        C_W, C_V, C_a, C_b = variances(l)
        W = rng.standard_normal((m, n)) * np.sqrt(C_W / n)
        h = W @ x + rng.standard_normal(m) * np.sqrt(C_b)
        P = rng.standard_normal((m, n)) / np.sqrt(n) if n != m else None
        V = None if reduced else rng.standard_normal((m, m)) * np.sqrt(C_V / m)
        kept.append((x, h, W, V, P))
        base = x if P is None else P @ x
        if reduced:
            x = base + sigma(h)
        else:
            x = base + V @ sigma(h) + rng.standard_normal(m) * np.sqrt(C_a)
        p.append(np.mean(x**2))
    g = rng.standard_normal(widths[-1]) if gradient is None else gradient
    chi, by = [np.mean(g**2)], {name: [] for name in ("W", "V", "a", "b")}
    for x, h, W, V, P in reversed(kept):
        s = sigma(h)
        through = g if reduced else V.T @ g
        by["V"].append(np.mean(g**2) * np.mean(s**2))  # of dE/dV_ik = g_i s_k
        by["a"].append(np.mean(g**2))
        delta = through * slope(h)
        by["b"].append(np.mean(delta**2))
        by["W"].append(np.mean(delta**2) * np.mean(x**2))
        g = (g if P is None else P.T @ g) + W.T @ delta
        chi.append(np.mean(g**2))
    return np.array(p), np.array(chi[::-1]), {name: np.array(values[::-1]) for name, values in by.items()}
