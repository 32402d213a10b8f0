"""Gram matrices against formulas typed from papers, iterated here to 30 digits, and against quadrature by mpmath.

Arc-cosine kernels: Cho and Saul 2009, eqs. 6 and 7. Arc-sine kernel: Williams 1997, eq. 11. GELU: Tsuchida et al. 2021
(arXiv:2002.08517), here by Stein's lemma from Gaussian tilting. Tangent kernel: Jacot et al. 2018 with the derivative
of the kernel's formula by K_12.
"""

from importlib import import_module

import mpmath as mp
import numpy as np
import pytest

import rgflow as rg
from rgflow.gram.alike import Band
from rgflow.gram.gram import gram

LAYERS = 5
NETWORKS = {
    "relu": {"C_b": 0.1, "C_W": 1.7, "lambda_b": 0.3, "lambda_W": 1.1},
    "erf": {"C_b": 0.05, "C_W": 1.4, "lambda_b": 0.3, "lambda_W": 1.1},
    "gelu": {"C_b": 0.17, "C_W": 1.9, "lambda_b": 0.3, "lambda_W": 1.1},
}


def relu(a, b, c):
    """J_1: (1/2 pi) sqrt(ab) (sin t + (pi - t) cos t), and J_0: (pi - t)/(2 pi)."""
    t = mp.acos(c / mp.sqrt(a * b))
    return mp.sqrt(a * b) * (mp.sin(t) + (mp.pi - t) * mp.cos(t)) / (2 * mp.pi), (mp.pi - t) / (2 * mp.pi)


def erf(a, b, c):
    """(2/pi) asin(2c / sqrt((1 + 2a)(1 + 2b))), and its derivative by c."""
    norm = (1 + 2 * a) * (1 + 2 * b)
    return 2 / mp.pi * mp.asin(2 * c / mp.sqrt(norm)), 4 / mp.pi / mp.sqrt(norm - 4 * c * c)


def gelu(a, b, c):
    """E[z Phi(z) z' Phi(z')], and its derivative by c."""

    def value(c):
        det = mp.sqrt((1 + a) * (1 + b) - c * c)
        own = a * (b * (1 + a) - c * c) / (1 + a) + c * c / (1 + b)
        return c / 4 + (own / det + c * mp.asin(c / mp.sqrt((1 + a) * (1 + b)))) / (2 * mp.pi)

    return value(c), mp.diff(value, c)


FORMULAS = {"relu": relu, "erf": erf, "gelu": gelu}


def exact(name, overlap, numbers):
    """K and Theta of a pair, (aa, bb, ab), at the last layer."""
    C_b, C_W, lambda_b, lambda_W = (mp.mpf(numbers[key]) for key in ("C_b", "C_W", "lambda_b", "lambda_W"))
    K = [C_b + C_W * mp.mpf(g) for g in overlap]
    Theta = [lambda_b + lambda_W * mp.mpf(g) for g in overlap]
    for _ in range(LAYERS - 1):
        a, b, c = K
        found = [FORMULAS[name](a, a, a), FORMULAS[name](b, b, b), FORMULAS[name](a, b, c)]
        Theta = [lambda_b + lambda_W * s + C_W * d * t for (s, d), t in zip(found, Theta, strict=True)]
        K = [C_b + C_W * s for s, _ in found]
    return K, Theta


def some_inputs(seed=0):
    x = np.random.default_rng(seed).standard_normal((5, 4))
    x[3] = -x[0]
    x[4] = 1.5 * x[1] + 0.01 * x[2]
    return x


def distances(name):
    """Of all pairs, relative to the reported error: K and Theta."""
    net = rg.MLP.uniform(n_in=4, width=10, depth=LAYERS, activation=name, **NETWORKS[name])
    x = some_inputs()
    found, worst = gram(net, x), {"K": 0.0, "Theta": 0.0}
    g = x @ x.T / 4
    with mp.workdps(30):
        for a in range(5):
            for b in range(a + 1):
                K, Theta = exact(name, (g[a, a], g[b, b], g[a, b]), NETWORKS[name])
                for letter, value in (("K", K[2]), ("Theta", Theta[2])):
                    error = float(found["numerical_error"].sel(coefficient=letter))
                    away = abs(mp.mpf(float(found[letter][a, b])) - value)
                    worst[letter] = max(worst[letter], float(away / error))
    return worst


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_formulas_of_papers(name):
    """Every entry is within the reported error of the formula, which is small."""
    assert max(distances(name).values()) <= 1.0
    net = rg.MLP.uniform(n_in=4, width=10, depth=LAYERS, activation=name, **NETWORKS[name])
    found = gram(net, some_inputs()[:3])  # no two of them nearly parallel
    assert (found.numerical_error < 1e-11 * found.Theta.max()).all()


@pytest.fixture
def by_series(monkeypatch):
    """erf and gelu like any smooth activation, not in closed form."""
    for module in ("single", "pairs"):
        monkeypatch.setattr(import_module(f"rgflow.gram.{module}"), "arcs", lambda: ())


@pytest.mark.usefixtures("by_series")
@pytest.mark.parametrize("name", ["erf", "gelu"])
def test_series_are_the_formulas(name):
    assert max(distances(name).values()) <= 1.0


@pytest.mark.usefixtures("by_series")
@pytest.mark.parametrize("name", ["erf", "gelu"])
def test_control_dropped_terms_are_seen(name, monkeypatch):
    """Negative control: a series without most of its terms is no longer within its error."""
    whole = Band.scaled

    def cut(self, K, places):
        found = whole(self, K, places).copy()
        found[len(found) // 4 :] = 0.0
        return found

    monkeypatch.setattr(Band, "scaled", cut)
    assert max(distances(name).values()) > 10.0


def test_control_a_wrong_formula_is_seen():
    """Negative control: another hyperparameter is far outside."""
    net = rg.MLP.uniform(
        n_in=4, width=10, depth=LAYERS, activation="erf", **{**NETWORKS["erf"], "lambda_W": 1.1 + 1e-9}
    )
    found = gram(net, some_inputs(), tensors="Theta")
    right = gram(rg.MLP.uniform(n_in=4, width=10, depth=LAYERS, activation="erf", **NETWORKS["erf"]), some_inputs())
    assert float(abs(found.Theta - right.Theta).max()) > 1e3 * float(right.numerical_error[1])


def test_tanh_by_thirty_digits():
    """One pair, two layers, <s s> and <s' s'> by the trapezoid rule of mpmath in both variables."""
    x = np.array([[1.3, 0.2], [0.4, -0.9]])
    net = rg.MLP([2, 5, 5], "tanh", C_b=0.2, C_W=1.5, lambda_b=0.3, lambda_W=0.7)
    found = gram(net, x)
    with mp.workdps(20):
        g = [mp.mpf(float(v)) for v in ((x @ x.T) / 2)[np.triu_indices(2)]]  # aa, ab, bb
        a, c, b = (mp.mpf("0.2") + mp.mpf("1.5") * v for v in g)
        theta = mp.mpf("0.3") + mp.mpf("0.7") * g[1]
        one, two, rest = mp.sqrt(a), c / mp.sqrt(a), mp.sqrt(b - c * c / a)
        h = mp.mpf("0.3")
        nodes = [(h * j, h * mp.exp(-((h * j) ** 2) / 2) / mp.sqrt(2 * mp.pi)) for j in range(-28, 29)]
        values = [mp.tanh(one * t) for t, _ in nodes]
        ss = dd = mp.mpf(0)
        for (t, w), s in zip(nodes, values, strict=True):
            for u, v in nodes:
                r = mp.tanh(two * t + rest * u)
                ss += w * v * s * r
                dd += w * v * (1 - s * s) * (1 - r * r)
        K = mp.mpf("0.2") + mp.mpf("1.5") * ss
        Theta = mp.mpf("0.3") + mp.mpf("0.7") * ss + mp.mpf("1.5") * dd * theta
    # the strip of tanh(z), |Im z| < pi/2, is pi/(2 sqrt(1.6)) in t: errors exp(-2 pi 1.2 / h) = 1e-11 at most
    for letter, value in (("K", K), ("Theta", Theta)):
        assert float(abs(mp.mpf(float(found[letter][0, 1])) - value)) < 2e-10, letter
