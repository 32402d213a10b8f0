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

import sympy as sp

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
