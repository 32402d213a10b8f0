r"""Bayesian inference with a finite network: what order 1/n does to mean, covariance and evidence.

Assumptions: those of ``finite_width_prior``; targets y are outputs plus Gaussian noise of variance s.

The way. Given the metric G, inference is Gaussian regression: mean f(G) = G_BA (G_AA + s)^-1 y, covariance C(G), log
evidence l(G). The data weigh metrics by e^{l(G)}. With D = G - K, E D = K_1/n and E DD = V/n = sum_k G_k G_k, to O(1/n)

    E[f | y] = E[f e^l] / E[e^l] = f + Df[K_1/n] + sum_k ( D2f[G_k, G_k]/2 + Df[G_k] Dl[G_k] ).

The last term is learning: under the data the metric has moved by sum_k G_k Dl[G_k], which is
(1/2n) V_{12(ab)} [Kt^-1 (sum_i y_i y_i^T - n_out Kt) Kt^-1]_{ab}. The covariance takes C in the place of f, and the
covariance of f over metrics besides: sum_k Df_i[G_k] Df_j[G_k] couples outputs i and j, which are independent at
infinite width. The log evidence is log E[e^l] = l + Dl[K_1/n] + sum_k ( D2l[G_k, G_k] + Dl[G_k]^2 )/2.

Derivatives of regression by its metric are in the docstring of ``rgflow.predict.bayes.regression``. Put in, with the
indices of V made explicit, they are the formulas that Yaida's route through the density gives (typed below): V enters
with the regression on the training inputs subtracted from each test index.

Checked with SymPy, for one training and one test input and two outputs, where the metric has three entries and V six:
the ratio of averages, expanded by differentiation, against the typed formulas; and those against the package.

Source: Yaida, "Non-Gaussian processes and neural networks at finite widths" (arXiv:1910.00019), section 3; PDLT
(arXiv:2106.10165), chapter 6. Equation numbers not seen.
"""

import itertools
import warnings
from functools import cache

import numpy as np
import sympy as sp
from rows import row

import rgflow as rg

A, B, C, s = sp.symbols("A B C s", positive=True)  # K of train and train, test and train, test and test; noise
y1, y2 = sp.symbols("y1 y2", real=True)  # targets of two outputs
ENTRIES = (A, B, C)
change = sp.symbols("k_A k_B k_C")  # K_1/n
vertex = {
    pair: sp.Symbol("v_" + "".join(map(str, pair))) for pair in itertools.combinations_with_replacement(ENTRIES, 2)
}
kt = A + s


def v(first, second):
    """V/n of two entries of the metric."""
    return vertex.get((first, second), vertex.get((second, first)))


def averaged(h):
    """E h(G) - h(K) to order 1/n."""
    found = sum(k * sp.diff(h, entry) for k, entry in zip(change, ENTRIES, strict=True))
    return found + sum(v(p, q) * sp.diff(h, p, q) for p in ENTRIES for q in ENTRIES) / 2


def derived():
    """Shifts of the mean, of the covariance of two outputs (11, 12), and of the log evidence."""
    mean = [B / kt * y for y in (y1, y2)]
    spread = C - B**2 / kt
    log_evidence = -(y1**2 + y2**2) / 2 / kt - sp.log(2 * sp.pi * kt)
    weight = sp.exp(log_evidence)
    normalised = averaged(weight) / weight

    def shift(h):
        return averaged(h * weight) / weight - h * normalised  # of the ratio E[h e^l] / E[e^l]

    moved = [shift(m) for m in mean]
    second = {(0, 0): spread, (0, 1): 0}
    covariance = [
        shift(second[i, j] + mean[i] * mean[j]) - moved[i] * mean[j] - mean[i] * moved[j] for i, j in ((0, 0), (0, 1))
    ]
    return moved[0], *covariance, normalised


def typed():
    """Yaida's formulas: a = y/Kt, M = B/Kt, test indices with the regression subtracted."""
    M, a, n_out = B / kt, (y1 / kt, y2 / kt), 2
    k_A, k_B, k_C = change
    label = a[0] ** 2 + a[1] ** 2 - n_out / kt
    to_train = {q: v(B, q) - M * v(A, q) for q in ENTRIES}  # Vr_(BA)(..)
    apart = to_train[B] - M * to_train[A]  # Vrr_(BA)(BA)
    together = v(C, A) - 2 * M * v(B, A) + M**2 * v(A, A)  # Vrr_(BB)(AA)
    mean = (k_B - M * k_A) * a[0] + to_train[A] * (a[0] * label - 2 / kt * a[0]) / 2
    alone = k_C - 2 * M * k_B + M**2 * k_A + together * label / 2
    covariance = [alone + apart * (a[0] ** 2 - 1 / kt), apart * a[0] * a[1]]
    squares = a[0] ** 2 + a[1] ** 2
    he4 = squares**2 - 2 * n_out / kt * squares + n_out**2 / kt**2 - 4 / kt * squares + 2 * n_out / kt**2
    return mean, *covariance, k_A * label / 2 + v(A, A) * he4 / 8


# Rows of the book ----------------------------------------------------------------------------------------------------

WITNESS = "tests/predict/test_posterior.py: exact posteriors by importance averages"
INPUTS, TARGET, NOISE = np.array([[1.0, 0.5], [-0.4, 0.8]]), (0.7, -0.4), 0.1  # one to train on, one to test; 2 outputs


@cache
def engine():
    """The metric of a network, and its posterior."""
    net = rg.MLP([2, 200, 300, 2], "tanh", C_b=0.1, C_W=1.4)
    both = rg.prior(net, INPUTS)
    return both.kernel_infinite, both.metric, rg.posterior(net, (INPUTS[:1], [TARGET]), INPUTS[1:], NOISE)


@row("pdlt/random_metric_covariance", witness="tests/predict/test_prior.py: exact moments of one and two hidden layers")
def random_metric_covariance():
    """The two-point function and the four-point function of unequal outputs, as the engine has them."""
    net = rg.MLP([2, 200, 200, 2], "tanh", C_b=0.1, C_W=1.4)
    n, both = 200, rg.prior(net, INPUTS)
    ds = rg.flow(net, INPUTS, tensors=["K", "K_1", "V"], order=1).isel(layer=-1)
    typed = ds["K"].values + ds["K_1"].values / n
    typed_covariance = ds["V"].values / n
    np.testing.assert_allclose(both.kernel, typed, rtol=1e-10)
    for a, b, c, d in itertools.product((0, 1), repeat=4):
        np.testing.assert_allclose(both.cumulant([0, 0, 1, 1], [a, b, c, d]), typed_covariance[a, b, c, d], rtol=1e-9)
    return {"E G": both.kernel, "Cov(G_00, G_11)": both.cumulant([0, 0, 1, 1], [0, 0, 1, 1])}


def metric_moves():
    """E[Delta G_12 | y] of a test and a training input: an average over metrics, weighted by their evidence."""
    log_evidence = -(y1**2 + y2**2) / 2 / kt - sp.log(2 * sp.pi * kt)
    weight = sp.exp(log_evidence)
    return sp.simplify(averaged(B * weight) / weight - B * averaged(weight) / weight)


@row("pdlt/bayes_metric_shift", witness=WITNESS)
def bayes_metric_shift():
    typed = change[1] + v(B, A) * (y1**2 + y2**2) / kt**2 / 2 - v(B, A) * 2 * kt / kt**2 / 2
    found = metric_moves()
    assert sp.simplify(found - typed) == 0
    return {"E[Delta G of test and train | y]": found}


@row("pdlt/bayes_mean_finite_width", witness=WITNESS)
def bayes_mean_finite_width():
    """m(K), its derivative along the shift of the metric, and half its second derivative with V/n."""
    k, metric, ds = engine()
    place = {A: (0, 0), B: (1, 0), C: (1, 1)}
    m = B / kt * y1
    moves = {e: averaged_move(e) for e in ENTRIES}
    first = sum(sp.diff(m, e) * moves[e] for e in ENTRIES)
    second = sum(sp.diff(m, p, q) * v(p, q) for p in ENTRIES for q in ENTRIES)
    typed = m + first + second / 2
    numbers = {e: k[place[e]] for e in ENTRIES} | {s: NOISE, y1: TARGET[0], y2: TARGET[1]}
    numbers |= {c: metric.change[place[e]] for c, e in zip(change, ENTRIES, strict=True)}
    numbers |= {w: metric.vertex[(*place[p], *place[q])] for (p, q), w in vertex.items()}
    np.testing.assert_allclose(float(ds["mean"][0, 0]), float(typed.subs(numbers)), rtol=1e-9)
    np.testing.assert_allclose(float(ds["mean_shift"][0, 0]), float((typed - m).subs(numbers)), rtol=1e-7)
    return {"posterior mean": float(ds["mean"][0, 0])}


def averaged_move(entry):
    """K_1/n of an entry of the metric, and what the data move it by."""
    label = (y1**2 + y2**2) / kt**2 - 2 / kt
    return change[ENTRIES.index(entry)] + v(entry, A) * label / 2


@row("pdlt/bayes_finite_width_value", witness=WITNESS)
def bayes_finite_width_value():
    """Widths 1, where the coefficient of 1/n is the shift."""
    typed = 1.394690
    typed_coefficient = 0.02709
    net = rg.MLP([2, 1, 1, 1], "tanh", C_b=0.3, C_W=1.4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rg.DomainWarning)
        ds = rg.posterior(net, ([[1.0, 0.4]], [2.0]), [[-0.3, 1.7]])
    assert abs(float(ds["mean_infinite"][0, 0]) - typed) < 5.1e-7
    assert abs(float(ds["mean_shift"][0, 0]) - typed_coefficient) < 5.1e-6
    return {"m": float(ds["mean_infinite"][0, 0]), "coefficient of 1/n": float(ds["mean_shift"][0, 0])}


@row("pdlt/bayes_outputs_depend", witness=WITNESS)
def bayes_outputs_depend():
    """The covariance of two outputs: V with the regression subtracted, a_1 a_2; nothing at infinite width."""
    k, metric, ds = engine()
    M, a = k[1, 0] / (k[0, 0] + NOISE), np.array(TARGET) / (k[0, 0] + NOISE)
    V = metric.vertex
    typed = (V[1, 0, 1, 0] - 2 * M * V[1, 0, 0, 0] + M**2 * V[0, 0, 0, 0]) * a[0] * a[1]
    typed_infinite = 0
    np.testing.assert_allclose(float(ds["covariance_shift"][0, 0, 0, 1]), typed, rtol=1e-8)
    assert float(ds["covariance_infinite"][0, 0, 0, 1]) == typed_infinite
    return {"covariance of two outputs": float(ds["covariance_shift"][0, 0, 0, 1])}


if __name__ == "__main__":
    for name, here, there in zip(("mean", "covariance", "coupling", "evidence"), derived(), typed(), strict=True):
        assert sp.cancel(sp.together(here - there)) == 0, name
        print(f"{name}: the ratio of averages is equal to the typed formula")

    net = rg.MLP([2, 200, 300, 2], "tanh", C_b=0.1, C_W=1.4)
    train, test, noise = [1.0, 0.5], [-0.4, 0.8], 0.1
    both = rg.prior(net, [train, test])
    place = {A: (0, 0), B: (1, 0), C: (1, 1)}
    numbers = {entry: both.kernel_infinite[place[entry]] for entry in ENTRIES} | {s: noise, y1: 0.7, y2: -0.4}
    numbers |= {k: both.metric.change[place[entry]] for k, entry in zip(change, ENTRIES, strict=True)}
    numbers |= {w: both.cumulant([0, 0, 1, 1], [*place[p], *place[q]]) for (p, q), w in vertex.items()}
    ds = rg.posterior(net, ([train], [[0.7, -0.4]]), [test], noise)
    found = ds["mean_shift"][0, 0], *ds["covariance_shift"].values[0, 0, 0], ds["log_evidence_shift"]
    for here, there in zip(found, typed(), strict=True):
        value = float(there.subs(numbers))
        assert abs(float(here) - value) < 1e-9 * abs(value)
    print("mean, covariance, coupling of outputs and evidence of rgflow.posterior: equal to the typed formulas")
