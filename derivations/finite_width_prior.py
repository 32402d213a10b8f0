r"""The prior of a finite network: its outputs are Gaussian given a random metric.

Assumptions: the last layer is dense with Gaussian weights; below it anything whose metric G_ab = C_b + (C_W/n) sum_j
s_j;a s_j;b has mean K + K_1/n and covariance V/n up to O(1/n^2).

The way. Given the layers below, the outputs z_i are independent Gaussians of the same covariance G. So their density is
E[N(z; 0, G)]. The normal density solves the heat equation: a change of G_ab is half a second derivative in z,

    d N / d G = (1/2) sum_i d_i d_i N,

summed over all outputs, for they share G. Expanding E[N(z; 0, K + D)] to second order in D and averaging,

    p(z) = [ 1 + (1/2)(K_1/n) d d + (1/8)(V/n) d d d d ] N(z; 0, K):

the factors are 1/2 (heat equation) and 1/2! (1/2)^2. Acting, derivatives make Hermite polynomials. Integrated by parts
against z z and z z z z, they leave the cumulants: K + K_1/n on equal outputs; V/n for each pairing of equal outputs.
Higher cumulants of G are O(1/n^2), and so are six-point functions.

Checked: the heat equation and both cumulants with SymPy, for one input and two outputs and for two inputs and one
output; the polynomials in the density, typed by hand, for one input; the package's density and cumulants against them.

Source: Yaida, "Non-Gaussian processes and neural networks at finite widths" (arXiv:1910.00019), section 2; equation
numbers not seen.
"""

import sympy as sp

import rgflow as rg

K, k, v = sp.symbols("K k v", positive=True)  # K, K_1/n, V/n of one input
x, y = sp.symbols("x y", real=True)


def normal(G, *points):
    """Independent outputs at ``points`` of one variance, or (matrix) one output at several inputs."""
    if isinstance(G, sp.MatrixBase):
        z = sp.Matrix(points)
        return sp.exp(-(z.T * G.inv() * z)[0] / 2) / sp.sqrt((2 * sp.pi) ** len(points) * G.det())
    return sp.prod([sp.exp(-(z**2) / 2 / G) / sp.sqrt(2 * sp.pi * G) for z in points])


def heat_equation():
    """One input and two outputs; two inputs and one output, where G_12 = G_21 stands for two entries."""
    N = normal(K, x, y)
    assert sp.simplify(sp.diff(N, K) - (sp.diff(N, x, 2) + sp.diff(N, y, 2)) / 2) == 0
    a, b, c = sp.symbols("a b c", positive=True)
    N = normal(sp.Matrix([[a, b], [b, c]]), x, y)
    assert sp.simplify((sp.diff(N, a) - sp.diff(N, x, 2) / 2) / N) == 0
    assert sp.simplify((sp.diff(N, b) - sp.diff(N, x, y)) / N) == 0


def expanded():
    """E[N(z; 0, K + D)] to second order in D for one input and two outputs, over N(z; 0, K)."""
    N = normal(K, x, y)
    return sp.simplify((N + k * sp.diff(N, K) + v / 2 * sp.diff(N, K, 2)) / N)


def typed():
    """1 + (K_1/n) sum_i He2(z_i)/2 + (V/n) [sum_i He4(z_i) + 2 He2(z_1) He2(z_2)]/8, with He in powers of 1/K."""

    def second(z):
        return z**2 / K**2 - 1 / K

    def fourth(z):
        return z**4 / K**4 - 6 * z**2 / K**3 + 3 / K**2

    return 1 + k / 2 * (second(x) + second(y)) + v / 8 * (fourth(x) + fourth(y) + 2 * second(x) * second(y))


def moment(polynomial):
    """Its average over two independent outputs of variance K."""
    total = 0
    for (i, j), coefficient in sp.Poly(sp.expand(polynomial), x, y).terms():
        if i % 2 == j % 2 == 0:
            total += coefficient * sp.factorial2(i - 1) * sp.factorial2(j - 1) * K ** ((i + j) // 2)
    return sp.expand(total)


def first_order(expression):
    """Without products of K_1/n and V/n."""
    t = sp.Symbol("t")
    return sp.expand(sp.series(expression.subs({k: t * k, v: t * v}), t, 0, 2).removeO().subs(t, 1))


if __name__ == "__main__":
    heat_equation()
    density = expanded()
    assert sp.simplify(density - typed()) == 0
    assert moment(density) == 1
    two = moment(density * x**2)
    assert sp.expand(two - K - k) == 0
    assert first_order(moment(density * x**4) - 3 * two**2) == 3 * v
    assert first_order(moment(density * x**2 * y**2) - two**2) == v
    print("two-point function: K + K_1/n; four-point functions: 3 V/n of one output, V/n of two")

    both = rg.prior(rg.MLP([2, 300, 200, 2], "tanh", C_b=0.1, C_W=1.4), [1.0, 0.5])
    numbers = {K: both.kernel_infinite[0, 0], k: both.metric.change[0, 0], v: both.cumulant([0, 0, 1, 1], [0] * 4)}
    for point in ((0.3, -0.8), (1.1, 0.2)):
        there = float((normal(K, x, y) * typed()).subs(numbers).subs({x: point[0], y: point[1]}))
        assert abs(both.density([point]) / there - 1) < 1e-10
    assert abs(both.cumulant([0] * 4, [0] * 4) / numbers[v] - 3) < 1e-12
    print("density, kernel and cumulants of rgflow.prior: equal to what is derived here")
