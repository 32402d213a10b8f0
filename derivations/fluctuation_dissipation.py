r"""Yaida, "Fluctuation-dissipation relations for stochastic gradient descent" (arXiv:1810.00004): the relations.

Assumptions: theta' = theta - eta grad f^B(theta), or with momentum mu and dampening nu

    v' = mu v - (1 - nu) grad f^B(theta),        theta' = theta + eta v',

mini-batches B drawn independently, and a state that is stationary; f is the mean of f^B.

The way. If the state is stationary, an observable has the same mean before and after a step, <[[O(theta')]]> =
<O(theta)>, and that is all. O = theta gives <grad f> = 0; O = theta_i theta_j the relation of two parameters and, as
its trace, FDR1; O = f, expanded in eta, FDR2. With momentum the state is (theta, v), and O = theta.theta, theta.v, v.v
and f are taken together.

What the relations are compared with is exact. Losses are least squares of two parameters, f^B = (1/2) theta.H_B theta -
g_B.theta for three batches of different curvature, so that C depends on theta. The step is affine, and the first two
moments of the stationary state solve linear equations: fractions. In one dimension, with noise of variance s^2, the
equation is solved in symbols. FDR2 of surfaces that are no parabolas is an identity of polynomials in theta before any
average is taken. Where the stationary state itself must be known, theta' = theta/2 +- 1/2 serves: its digits are coin
tosses, so that theta is uniform on [-1, 1].

Engine: no object of the theory of networks; the relations are derived here from their definition. The monitors of
rg.nn measure both sides on networks (outcomes_of_training.py).
"""

from functools import cache
from itertools import permutations, product

import numpy as np
import sympy as sp
from rows import check_rows, row

MEASURED = (
    "tests/nn/test_fluctuation_relations.py: monitors on thousands of copies of a problem, within standard errors"
)
eta, h, s, theta = sp.symbols("eta h s theta", positive=True)
# Three batches of two parameters: curvatures H_B and forces g_B
BATCHES = tuple(
    (sp.Matrix(H), sp.Matrix(g))
    for H, g in (
        (((2, 1), (1, 3)), (1, -1)),
        (((1, 0), (0, 1)), (-2, 3)),
        (((3, -1), (-1, 2)), (2, 2)),
    )
)
RATE = sp.Rational(1, 5)
MOVES = ((0, 0), (sp.Rational(9, 10), 0), (sp.Rational(1, 2), sp.Rational(3, 10)))  # (mu, nu)


def mean(values):
    """Over mini-batches, [[ ]]."""
    found = list(values)
    return sum(found[1:], found[0]) / len(found)


class Full:
    """The full-batch loss."""

    H = mean(H_B for H_B, _ in BATCHES)
    g = mean(g_B for _, g_B in BATCHES)


@cache
def stationary(rate=RATE, mu=0, nu=0):
    """<x> and <x x^T> of x = (theta, v) where x' = A_B x + b_B, from the linear equations that they solve."""
    steps = []
    for H_B, g_B in BATCHES:
        v = sp.Matrix.hstack(-(1 - nu) * H_B, mu * sp.eye(2))
        A = sp.Matrix.vstack(sp.Matrix.hstack(sp.eye(2), sp.zeros(2)) + rate * v, v)
        steps.append((A, (1 - nu) * sp.Matrix.vstack(rate * g_B, g_B)))
    first = solved(sp.eye(4) - mean(A for A, _ in steps), mean(b for _, b in steps))
    drive = mean(A * first * b.T + b * first.T * A.T + b * b.T for A, b in steps)
    kron = mean(sp.kronecker_product(A, A) for A, _ in steps)
    second = solved(sp.eye(16) - kron, sp.Matrix(16, 1, list(drive)))
    return first, sp.Matrix(4, 4, list(second))


def solved(matrix, right):
    """Exact, over fractions or over rational functions of a symbol."""
    A, b = matrix.to_DM(field=True).unify(right.to_DM(field=True))
    return A.lu_solve(b).to_Matrix()


class State:
    """Averages of the stationary state that are of second degree in theta and v."""

    def __init__(self, rate=RATE, mu=0, nu=0):
        first, second = stationary(rate, mu, nu)
        self.theta, self.theta_theta = first[:2, :], second[:2, :2]
        self.v_theta, self.v_v = second[2:, :2], second[2:, 2:]

    def gradients(self, H_B, g_B):
        """<grad grad^T> of a loss with curvature H_B and force g_B."""
        return H_B * self.theta_theta * H_B - H_B * self.theta * g_B.T - g_B * self.theta.T * H_B + g_B * g_B.T

    @property
    def gradient(self):
        return Full.H * self.theta - Full.g

    @property
    def theta_gradient(self):
        """<theta_i d_j f>."""
        return self.theta_theta * Full.H - self.theta * Full.g.T

    @property
    def C(self):
        return mean(self.gradients(*batch) for batch in BATCHES)

    @property
    def v_gradient(self):
        return (self.v_theta * Full.H).trace()  # <v> = 0


# Relations -----------------------------------------------------------------------------------------------------------


@row("fluctuation_dissipation/master_equation", witness=MEASURED)
def master_equation():
    """A state that is known by itself: f = theta^2, eta = 1/4, gradient noise +-2 make theta' = theta/2 +- 1/2."""
    x = sp.Symbol("x", real=True)

    def over(O):
        return sp.integrate(O, (x, -1, 1)) / 2

    found = {}
    for O in (x**2, x**6 - x**3, sp.exp(x)):
        gradients = [2 * x + sign * 2 for sign in (1, -1)]
        typed = over(mean(O.subs(x, x - sp.Rational(1, 4) * gradient) for gradient in gradients))
        assert sp.simplify(typed - over(O)) == 0
        found[f"mean of {O} over the stationary state"] = over(O)
    return found


@row("fluctuation_dissipation/linear_observable", witness=MEASURED)
def linear_observable():
    typed = 0
    found = [State(mu=mu, nu=nu).gradient for mu, nu in MOVES]
    assert all(entry == typed for gradient in found for entry in gradient)
    return {"theta where the mean gradient vanishes": State().theta}


@row("fluctuation_dissipation/two_point_relation", witness=MEASURED)
def two_point_relation():
    state = State()
    typed = RATE * state.C
    assert state.theta_gradient + state.theta_gradient.T == typed
    assert typed[0, 1] != 0
    return state.theta_gradient + state.theta_gradient.T


@row("fluctuation_dissipation/fdr1", witness=MEASURED)
def fdr1():
    state = State()
    typed = RATE / 2 * state.C.trace()
    square = mean(state.gradients(*batch).trace() for batch in BATCHES)  # |grad f^B|^2, batch by batch
    typed_each_step = RATE / 2 * square
    left = mean((state.theta_theta * H_B - state.theta * g_B.T).trace() for H_B, g_B in BATCHES)
    assert state.theta_gradient.trace() == typed
    assert left == typed_each_step
    return {"theta . grad f": state.theta_gradient.trace(), "theta . grad f, batch by batch": left}


@row("fluctuation_dissipation/fdr1_shift", witness=MEASURED)
def fdr1_shift():
    """theta - theta_c for an arbitrary theta_c."""
    state, c = State(), sp.Matrix(sp.symbols("c1 c2"))
    typed = RATE / 2 * state.C.trace()
    shifted = sp.expand((state.theta_gradient - c * state.gradient.T).trace())
    assert shifted == typed
    return shifted


@row("fluctuation_dissipation/fdr1_momentum", witness=MEASURED)
def fdr1_momentum():
    found = {}
    for mu, nu in MOVES:
        state = State(mu=mu, nu=nu)
        typed = RATE / 2 * (1 + mu) / (1 - nu) * state.v_v.trace()
        assert state.theta_gradient.trace() == typed
        found[f"mu = {mu}, nu = {nu}"] = state.theta_gradient.trace()
    return found


@row("fluctuation_dissipation/fdr2", witness=MEASURED)
def fdr2():
    """f of degree four in two parameters, and batches that differ by a quadratic form: before the average over theta.

    f(theta) - [[f(theta - eta grad f^B)]] has mean 0, and is eta times (|grad f|^2 - typed).
    """
    x = sp.symbols("x1:3")
    f = x[0] ** 4 / 4 + x[0] ** 2 * x[1] / 2 + x[1] ** 2 - x[0] * x[1]
    noise = 2 * x[0] + x[0] * x[1] - x[1]
    gradients = [[sp.diff(f + sign * noise, each) for each in x] for sign in (1, -1)]

    def contracted(k):
        """F_{i1..ik} C_{i1..ik}"""
        return sum(
            sp.diff(f, *(x[i] for i in places)) * mean(sp.prod(each[i] for i in places) for each in gradients)
            for places in product(range(2), repeat=k)
        )

    typed = eta / 2 * contracted(2) + sum((-1) ** k * eta ** (k - 1) / sp.factorial(k) * contracted(k) for k in (3, 4))
    after = mean(
        f.subs({a: a - eta * d for a, d in zip(x, each, strict=True)}, simultaneous=True) for each in gradients
    )
    square = sum(sp.diff(f, each) ** 2 for each in x)
    assert sp.expand((f - after) - eta * (square - typed)) == 0
    at = {x[0]: sp.Rational(1, 2), x[1]: -1}
    return {"(f - f')/eta at theta = (1/2, -1), mean over batches": sp.expand(((f - after) / eta).subs(at))}


@row("fluctuation_dissipation/fdr2_momentum", witness=MEASURED)
def fdr2_momentum():
    found = {}
    for mu, nu in MOVES:
        state = State(mu=mu, nu=nu)
        square = state.gradients(Full.H, Full.g).trace()
        typed = RATE / 2 * (Full.H * state.v_v).trace()
        left = (1 - nu) * square - mu * state.v_gradient
        assert left == typed
        found[f"mu = {mu}, nu = {nu}"] = left
    return found


@row("fluctuation_dissipation/harmonic_limit", witness=MEASURED)
def harmonic_limit():
    """Exact for least squares, at any rate."""
    state = State()
    lowest = solved(Full.H, Full.g)
    height = (
        (state.theta_theta * Full.H).trace() / 2 - (Full.g.T * state.theta)[0] + (lowest.T * Full.H * lowest)[0] / 2
    )
    typed = RATE / 4 * state.C.trace()
    assert height == typed
    return height


@row("fluctuation_dissipation/noise_weighted_hessian", witness=MEASURED)
def noise_weighted_hessian():
    """C at the minimum, where small rates end; G = <|grad f|^2> at a rate that is a symbol."""
    lowest = solved(Full.H, Full.g)
    C = mean((H_B * lowest - g_B) * (H_B * lowest - g_B).T for H_B, g_B in BATCHES)
    typed = (Full.H * C).trace()
    probe = sp.cancel(State(rate=eta).gradients(Full.H, Full.g).trace())
    limit = sp.limit(2 * probe / eta, eta, 0)
    assert limit == typed
    return {"2 G/eta as eta vanishes": limit, "G": probe}


# One dimension -------------------------------------------------------------------------------------------------------


@cache
def one_dimension():
    """gradient = h theta + xi: <theta^2> of theta' = theta - eta (h theta + xi), and what follows from it."""
    M = sp.Symbol("M")
    (square,) = sp.solve(sp.expand((1 - eta * h) ** 2 * M + eta**2 * s**2 - M), M)
    noise = h**2 * square + s**2
    return {
        "variance": square, "O_L": h * square, "O_R": eta / 2 * noise, "G": h**2 * square, "noise": noise,
        "loss": h * square / 2,
    }  # fmt: skip


def check_one(name, typed):
    assert sp.simplify(one_dimension()[name] - typed) == 0
    above, below = sp.fraction(sp.factor(one_dimension()[name]))
    sign = -1 if below.subs({eta: sp.Rational(1, 10), h: 1}) < 0 else 1  # the denominator as a positive number
    return sign * above / sp.factor(sign * below)


@row("fluctuation_dissipation/one_dimension_variance", witness=MEASURED)
def one_dimension_variance():
    typed = eta * s**2 / (h * (2 - eta * h))
    return check_one("variance", typed)


@row("fluctuation_dissipation/one_dimension_relation", witness=MEASURED)
def one_dimension_relation():
    typed = eta * s**2 / (2 - eta * h)
    return {name: check_one(name, typed) for name in ("O_L", "O_R")}


@row("fluctuation_dissipation/one_dimension_probe", witness=MEASURED)
def one_dimension_probe():
    typed = eta * h * s**2 / (2 - eta * h)
    return check_one("G", typed)


@row("fluctuation_dissipation/one_dimension_noise", witness=MEASURED)
def one_dimension_noise():
    typed = 2 * s**2 / (2 - eta * h)
    return check_one("noise", typed)


@row("fluctuation_dissipation/one_dimension_loss", witness=MEASURED)
def one_dimension_loss():
    typed = eta * s**2 / (2 * (2 - eta * h))
    return check_one("loss", typed)


# What the relations do not say ---------------------------------------------------------------------------------------


@row("fluctuation_dissipation/shuffled_batches", witness=MEASURED)
def shuffled_batches():
    """One dimension, m batches an epoch in random order: within an epoch <xi_i xi_j> = -s^2/(m - 1), i != j.

    Both sides of FDR1 differ by a change of theta^2, which an epoch does not make: it stays. FDR2 has a correlation of
    theta with the batch to come, <theta_i xi_i> = eta s^2/(m - 1) sum_{k<i} (1 - eta h)^k at place i = 0, 1, ..: its
    sides differ by -h <theta xi>, which goes like B/N_s = 1/m at a given rate.
    """

    def apart(m):
        """-h <theta xi>, averaged over places, eta h = 1/10 and s = h = 1."""
        return -mean(0.1 / (m - 1) * sum(0.9**k for k in range(i)) for i in range(m))

    found = []  # -theta xi over all orders of four batches, theta' = .9 theta - .1 xi
    for order in permutations((1.0, -1.0, 0.5, -0.5)):
        theta = 0.0
        for xi in order:
            found.append(-theta * xi)
            theta = 0.9 * theta - 0.1 * xi
    assert abs(np.mean(found) / (apart(4) * 0.625) - 1) < 1e-12  # s^2 = .625
    typed = 1
    m = 512
    found = np.log2(apart(m) / apart(2 * m))
    assert abs(found - typed) < 20 / m  # 1/(m eta h) and 1/m are left out
    return {"power of B/N_s in FDR2, between 512 and 1024 batches an epoch": float(found)}


@row(
    "fluctuation_dissipation/weight_decay_needed",
    witness="benchmarks/fluctuation_dissipation.py: MNIST with decay 0.01",
)
def weight_decay_needed():
    """Data that a model separates, as here log(1 + exp(-theta)): the mean gradient must vanish somewhere."""
    x = sp.Symbol("x", real=True)
    typed = {0: "no stationary state", 1: "a stationary state"}
    for decay in (0, sp.Rational(1, 100)):
        slope = sp.diff(sp.log(1 + sp.exp(-x)) + decay * x**2 / 2, x)
        signs = {sp.sign(slope.subs(x, sp.Integer(at)).evalf()) for at in (-1000, -1, 0, 1, 1000)}
        state = "a stationary state" if signs == {-1, 1} else "no stationary state"
        # without decay the slope -1/(1 + e^x) has one sign everywhere
        assert decay or sp.simplify(slope + 1 / (1 + sp.exp(x))) == 0
        assert state == typed[int(bool(decay))]
    return {"mean gradient without decay": -1 / (1 + sp.exp(x)), "with": slope}


@row("fluctuation_dissipation/necessary_not_sufficient", witness=MEASURED)
def necessary_not_sufficient():
    """f = |theta - c|^2/2, from theta = (1, 0) with eta = 1/2: a step that keeps |theta| and is no stationary state."""
    c, start, rate = sp.Matrix([1, 8]) / 5, sp.Matrix([1, 0]), sp.Rational(1, 2)
    gradient = start - c
    O_L, O_R = start.dot(gradient), rate / 2 * gradient.dot(gradient)
    typed = 1
    assert typed == O_L / O_R
    assert (start - rate * gradient).dot(start - rate * gradient) == start.dot(start)
    assert gradient.dot(gradient) > 3  # the mean gradient is not 0
    return {"O_L/O_R": O_L / O_R, "mean gradient": gradient.T}


if __name__ == "__main__":
    check_rows(globals())
