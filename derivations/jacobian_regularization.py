r"""Hoffman, Roberts, Yaida, "Robust Learning with Jacobian Regularization" (arXiv:1908.02729): the estimator of
||J||_F^2 and the value at which it starts.

The estimator. v uniform on the sphere of radius sqrt(C) in C dimensions has E[v_i v_j v_k v_l] = a (three pairings).
The trace over both pairs, |v|^4 = C^2, gives a = C^2/(C^2 + 2C) = C/(C + 2), and with A = J J^T

    E[v^T A v] = Tr A = ||J||_F^2,        Var = (a - 1) (Tr A)^2 + 2 a Tr A^2 = 2C/(C+2) Tr A^2 - 2/(C+2) (Tr A)^2.

Its relative size is largest where A has one eigenvalue: 2 (C - 1)/(C + 2).

The start. Let x be moved by a Gaussian direction of unit covariance: the first layer makes J = C_W^1 of it, and layers
above multiply as partial Jacobians do, J' = C_W <sigma'sigma'> J. So E||J||_F^2 = n_L C_W^L prod C_W^l <sigma'^2>:
20 for 784-200-200-10 with He's variances, 7.588 with Xavier's.

From network to network. One input of relu without biases: active neurons are fair coins, independent of squares of
weights. M = J J^T becomes W M W^T at the first layer and W D M D W^T above; moments of order two close,

    b = E (tr M)^2,  c = E tr M^2,  d = E sum M_ii^2,

and the relative variance of ||J||_F^2 is (L - 1)/n + O(1/n^2) for L layers of width n: every hidden layer adds 1/n.

Engine: rg.derive("J"), rg.closed_form, rg.flow of a network whose input alone is trained.
"""

from itertools import pairwise

import sympy as sp

import rgflow as rg

n = sp.symbols("n", positive=True)
C = sp.symbols("C", positive=True, integer=True)
EXAMPLE = (784, 200, 200, 10)


def estimator() -> None:
    """The variance from the invariance of the sphere, with A diagonal: eigenvalues of four outputs."""
    a = sp.symbols("a")
    size = 4
    pairings = sum(
        (i == j) * (k == m) + (i == k) * (j == m) + (i == m) * (j == k)
        for i in range(size) for j in range(size) for k in range(size) for m in range(size) if i == j and k == m
    )  # fmt: skip
    (found,) = sp.solve(a * pairings - size**2, a)
    assert found == sp.Rational(size, size + 2)
    values = sp.symbols("A1:5", positive=True)
    trace, square = sum(values), sum(v**2 for v in values)
    second = sum(found * (2 * (i == k) + 1) * x * y for i, x in enumerate(values) for k, y in enumerate(values))
    typed = sp.Rational(2 * size, size + 2) * square - sp.Rational(2, size + 2) * trace**2
    assert sp.expand(second - trace**2 - typed) == 0
    worst = (2 * C / (C + 2) - 2 / (C + 2)).simplify()
    assert sp.simplify(worst - 2 * (C - 1) / (C + 2)) == 0
    print("Var = 2C/(C+2) Tr A^2 - 2/(C+2) (Tr A)^2: equal, from the fourth moment\n")


def start() -> None:
    """20 and 7.588: the recursion of J in closed form, layer by layer."""
    C_W, J = sp.Symbol("C_W", nonnegative=True), sp.Symbol("J", real=True)
    step = rg.closed_form(rg.derive("J"), "relu")
    assert sp.simplify(step - C_W * J / 2) == 0
    xavier = [sp.Rational(2 * a, a + b) for a, b in pairwise(EXAMPLE)]
    for name, weights, typed in (("He", [sp.Integer(2)] * 3, 20.0), ("Xavier", xavier, 2 * 3.794)):
        found = weights[0]
        for weight in weights[1:]:
            found = step.subs({C_W: weight, J: found})
        value = float(EXAMPLE[-1] * found)
        assert abs(value / typed - 1) < 1e-4
        print(f"E||J||^2 of 784-200-200-10, {name}: {value:.4f}")
    print()


def relu_variance(layers: int) -> sp.Expr:
    """The exact relative variance of ||J||_F^2, all widths n, C_W = 2 behind the first layer."""
    a, b, c, d = n, n**2, n, n
    for layer in range(layers):
        trace, square, both = (a / 2, (b + d) / 4, (c + d) / 4) if layer else (a, b, c)
        g = 2 / n
        a = g * n * trace
        b = g**2 * (n**2 * square + 2 * n * both)
        c = g**2 * (n**2 * both + n * (square + both))
        d = g**2 * n * (square + 2 * both)
    return sp.factor(b / a**2 - 1)


def spread() -> None:
    """(L - 1)/n: exact coins against V_J of the network that is moved at x."""
    quiet = {"lambda_b": 0.0, "lambda_W": 0.0}
    turned = rg.Orthogonal(C_W=1.0, lambda_b=1.0, lambda_W=0.0)  # keeps |x|^2; its bias moves x
    for layers in range(2, 7):
        exact = sp.limit(n * relu_variance(layers), n, sp.oo)
        first = rg.Linear(C_W=2.0, **quiet)
        net = rg.Network([turned, first, *[rg.Dense(C_W=2.0, **quiet)] * (layers - 1)], [10] * (layers + 2), "relu")
        ds = rg.flow(net, first_kernel=1.0, tensors=["Theta", "A"], order=1).isel(layer=-1)
        assert exact == layers - 1
        assert abs(float(ds["A"]) / float(ds["Theta"]) ** 2 - (layers - 1)) < 1e-10
        assert abs(float(ds["Theta_1"])) < 1e-12
        print(f"L = {layers}: n Var||J||^2/(E||J||^2)^2 -> {exact}: equal")


if __name__ == "__main__":
    estimator()
    start()
    spread()
