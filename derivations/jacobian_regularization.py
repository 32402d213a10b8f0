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

The rest is calculus: J acts on small disturbances, rows of J are the gradients of single outputs, and white noise asks
all directions alike. It is checked with exact fractions on a network of polynomial neurons, phi(h) = h + h^2/2 - h^3/3,
and on designs, finite sets of directions whose moments are those of the circle.

Engine: rg.derive("J"), rg.closed_form, rg.flow of a network whose input alone is trained. The estimator is no object of
the theory of networks; it is derived here from the moments of its directions.
"""

from functools import cache
from itertools import pairwise, product

import numpy as np
import sympy as sp
from rows import check_rows, row

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


# Rows ----------------------------------------------------------------------------------------------------------------

ESTIMATED = "tests/nn/test_jacobian_penalty.py: 4e5 drawn directions; fourth moments by integration"
MEASURED = "tests/nn/test_jacobian_expected.py: networks drawn in torch"
X, STEP = sp.symbols("x1:4"), sp.symbols("epsilon1:4")
AT = dict(zip(X, (sp.Rational(1, 2), sp.Rational(-1, 3), sp.Rational(2, 5)), strict=True))


@cache
def polynomial_network():
    """z(x), two outputs of three inputs, phi(h) = h + h^2/2 - h^3/3; polynomials with rational coefficients."""
    first = ((1, -2, 1), (sp.Rational(1, 2), 1, -1))
    second = ((2, -1), (1, sp.Rational(1, 3)))
    h = [sum(w * x for w, x in zip(line, X, strict=True)) for line in first]
    s = [a + a**2 / 2 - a**3 / 3 for a in h]
    return [sp.expand(sum(w * a for w, a in zip(line, s, strict=True))) for line in second]


@cache
def moved():
    """z(x + t epsilon) at the point AT: what goes with t^0, t^1, ..."""
    t = sp.Symbol("t")
    there = {x: AT[x] + t * e for x, e in zip(X, STEP, strict=True)}
    return [sp.Poly(z.subs(there, simultaneous=True).expand(), t).all_coeffs()[::-1] for z in polynomial_network()]


def gradients():
    """d(e_m . z)/dx, one for each output, as backward passes give them."""
    return [[sp.diff(z, x).subs(AT) for x in X] for z in polynomial_network()]


def norm():
    """||J||_F^2 at AT, from J as the response to each entry of x."""
    return sum(sp.diff(c[1], e) ** 2 for c in moved() for e in STEP)


@row("jacobian_regularization/taylor", witness="tests/nn/test_probe_jacobians.py: Jacobians by finite differences")
def taylor():
    J, z = gradients(), [z.subs(AT) for z in polynomial_network()]
    t = sp.Symbol("t")
    for coefficients, value, line in zip(moved(), z, J, strict=True):
        typed = value + t * sum(j * e for j, e in zip(line, STEP, strict=True))
        assert sp.expand(coefficients[0] + t * coefficients[1] - typed) == 0
    return [sp.Eq(sp.Symbol(f"z_{m}"), c[0] + c[1], evaluate=False) for m, c in enumerate(moved(), 1)]


@row("jacobian_regularization/frobenius_exact", witness="tests/nn/test_jacobian_norm.py: by rows and by columns")
def frobenius_exact():
    typed = sum(sum(entry**2 for entry in gradient) for gradient in gradients())
    assert norm() == typed
    return norm()


@row("jacobian_regularization/frobenius_sphere", witness=ESTIMATED)
def frobenius_sphere():
    """Two outputs: the sphere is the circle."""
    angle = sp.Symbol("angle")
    v, size = (sp.cos(angle), sp.sin(angle)), 2
    along = [sum(a * g[i] for a, g in zip(v, gradients(), strict=True)) for i in range(len(X))]
    average = sp.integrate(sp.expand(sum(a**2 for a in along)), (angle, 0, 2 * sp.pi)) / (2 * sp.pi)
    typed = size * average
    assert sp.simplify(norm() - typed) == 0
    return norm()


def fourth_moment(size):
    """E v_i^2 v_j^2 = a, E v_i^4 = 3 a: C^2 = E |v|^4 = a (C^2 + 2 C)."""
    return size / (size + sp.Integer(2))


def sphere_variance(size, values):
    """Variance of v.A v, |v|^2 = C, A diagonal with these values."""
    a = fourth_moment(size)
    second = sum(a * (2 * (i == k) + 1) * x * y for i, x in enumerate(values) for k, y in enumerate(values))
    return sp.expand(second - sum(values) ** 2)


@row("jacobian_regularization/estimator_variance", witness=ESTIMATED)
def estimator_variance():
    """For A of symbols, from the fourth moment of the sphere; and rg.nn.estimator_variance for matrices of numbers."""
    for size in (2, 3, 5):
        values = sp.symbols(f"A1:{size + 1}", positive=True)
        trace, square = sum(values), sum(v**2 for v in values)
        typed = sp.Rational(2 * size, size + 2) * square - sp.Rational(2, size + 2) * trace**2
        assert sp.expand(sphere_variance(size, values) - typed) == 0
        J = np.random.default_rng(size).standard_normal((size, 6))
        at = dict(zip(values, np.linalg.eigvalsh(J @ J.T), strict=True))
        assert abs(float(rg.nn.estimator_variance(J)) / float(typed.subs(at)) - 1) < 1e-11
    return {"two outputs": sp.factor(sphere_variance(2, sp.symbols("A1:3", positive=True)))}


@row("jacobian_regularization/estimator_relative_bound", witness=ESTIMATED)
def estimator_relative_bound():
    """Convex in the eigenvalues of A, so that the largest value at Tr A = 1 is that of a single one; 2 is its limit."""
    found = {size: sphere_variance(size, [1] + [0] * (size - 1)) for size in (2, 3, 10)}
    typed = lambda size: sp.Rational(2 * (size - 1), size + 2)  # noqa: E731
    typed_limit = 2
    for size, value in found.items():
        assert value == typed(size)
        t = sp.Symbol("t", real=True)
        between = sphere_variance(size, [t, 1 - t] + [0] * (size - 2))
        assert sp.diff(between, t, 2) > 0
    assert sp.limit(3 * fourth_moment(C) - 1, C, sp.oo) == typed_limit
    return {f"C = {size}": value for size, value in found.items()}


@row("jacobian_regularization/estimator_error", witness=ESTIMATED)
def estimator_error():
    """All draws of so many directions from a regular pentagon, whose moments to order four are those of the circle."""
    angles = 2 * np.pi * np.arange(5) / 5
    J = np.array([[float(entry) for entry in gradient] for gradient in gradients()])
    once = 2 * ((np.stack([np.cos(angles), np.sin(angles)], axis=1) @ J) ** 2).sum(axis=1)
    spread = {many: np.std([np.mean(draw) for draw in product(once, repeat=many)]) for many in (1, 2, 3, 4)}
    typed = -1 / 2
    powers = {many: np.log(spread[many] / spread[1]) / np.log(many) for many in (2, 3, 4)}
    variance = sphere_variance(2, np.linalg.eigvalsh(J @ J.T).tolist())
    assert abs(spread[1] ** 2 - float(variance)) < 1e-9 * variance
    assert all(abs(power - typed) < 1e-12 for power in powers.values())
    return {f"power, {many} projections": round(float(power), 12) for many, power in powers.items()}


@row("jacobian_regularization/linear_model", witness="tests/nn/test_jacobian_penalty.py: torch's own linear layer")
def linear_model():
    strength = sp.Symbol("lambda", positive=True)
    W, b = sp.MatrixSymbol("W", 2, 3).as_explicit(), sp.Matrix(sp.symbols("b1:3"))
    J = (W * sp.Matrix(X) + b).jacobian(X)
    typed = strength / 2 * sum(w**2 for w in W)
    penalty = strength / 2 * (J * J.T).trace()
    assert sp.expand(penalty - typed) == 0
    return penalty


@row("jacobian_regularization/white_noise", witness="tests/nn/test_jacobian_norm.py: outputs under small noise")
def white_noise():
    """The average of what is of second order in the noise: <epsilon_i epsilon_j> = s^2 delta_ij."""
    scale = sp.Symbol("s", positive=True)
    second = sum(sp.expand(coefficients[1] ** 2) for coefficients in moved())
    average = sum(sp.diff(second, e, 2) / 2 * scale**2 for e in STEP)
    typed = scale**2 * sum(entry**2 for gradient in gradients() for entry in gradient)
    assert sp.expand(average - typed) == 0
    return average


@cache
def moved_input(activation, variances, widths):
    """E||J||^2 as the tangent kernel of a network whose input alone is trained, by rg.flow; and its kernels."""
    quiet = {"lambda_b": 0.0, "lambda_W": 0.0}
    turned = rg.Orthogonal(C_W=1.0, lambda_b=1.0, lambda_W=0.0)  # keeps |x|^2; its bias moves x
    layers = [rg.Linear(C_W=variances[0], **quiet), *(rg.Dense(C_W=C_W, **quiet) for C_W in variances[1:])]
    net = rg.Network([turned, *layers], [widths[0], *widths], activation)
    ds = rg.flow(net, first_kernel=1.0, tensors=["K", "Theta"], order=0)
    return widths[-1] * float(ds["Theta"][-1]), ds["K"].values[1:]


@row("jacobian_regularization/initial_jacobian", witness=MEASURED)
def initial_jacobian():
    """tanh, three layers; averages of phi'^2 by Gauss-Hermite quadrature."""
    variances, widths = (1.5, 1.2, 0.8, 1.1), (64, 30, 30, 30, 10)
    found, K = moved_input("tanh", variances, widths)
    z, weight = np.polynomial.hermite_e.hermegauss(200)
    slopes = [weight @ np.cosh(np.sqrt(kernel) * z) ** -4.0 / weight.sum() for kernel in K[:-1]]
    typed = (
        widths[-1] * variances[-1] * np.prod([C_W * slope for C_W, slope in zip(variances[:-1], slopes, strict=True)])
    )
    assert abs(found / typed - 1) < 1e-10
    return rg.derive("J"), {"mean squared norm, tanh 64-30-30-30-10": found}


@cache
def relu_start(weights):
    """E||J||^2 of 784-200-200-10 by the closed form of J', exact at every width."""
    C_W, J = sp.Symbol("C_W", nonnegative=True), sp.Symbol("J", real=True)
    step = rg.closed_form(rg.derive("J"), "relu")
    found = weights[0]
    for weight in weights[1:]:
        found = step.subs({C_W: weight, J: found})
    return EXAMPLE[-1] * found


@row("jacobian_regularization/initial_jacobian_he", witness=MEASURED)
def initial_jacobian_he():
    typed = 20
    found = relu_start((sp.Integer(2),) * 3)
    assert found == typed
    return found


@row("jacobian_regularization/initial_jacobian_xavier", witness=MEASURED)
def initial_jacobian_xavier():
    typed = 3.794
    found = relu_start(tuple(sp.Rational(2 * a, a + b) for a, b in pairwise(EXAMPLE))) / 2
    assert abs(found - typed) < 0.0005
    return {"half the mean squared norm": found}


if __name__ == "__main__":
    estimator()
    start()
    spread()
    check_rows(globals())
