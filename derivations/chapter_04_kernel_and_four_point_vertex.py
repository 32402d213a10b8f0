r"""PDLT chapter 4: the kernel, the four-point vertex, and the first correction of the kernel.

Assumptions: z'_i = b_i + sum_j W_ij sigma(z_j) with independent Gaussian b ~ N(0, C_b), W ~ N(0, C_W/n_l); a Gaussian
first layer; smooth sigma.

The way. No parameter is differentiated, so every jet is a bare preactivation z_alpha, and the layer's integrand is
g_12 = C_W sigma(z_1) sigma(z_2): given layer l, z' is Gaussian with the random metric G_12 = C_b + (1/n_l) sum_j
g_12(z_j).

*K* is its mean at leading order: C_b + <g_12> at the kernel below.

*V* is the covariance of G_12 and G_34. Law of total covariance over the neurons j: either both entries sit on one
neuron, (1/n_l) Cov(g_12, g_34), where the Gaussian average suffices: the first line of the formula; or on two
different neurons, which know of each other only through the metric of layer l. There <g_12> is a function of that
metric, and one leg of a hyperedge V acts on it as (1/2) sum d_b1 d_b2; the connected graph is <g_12> -- V -- <g_34>,
weight (1/2)(1/2) = 1/4. The hyperedge V^{(l)} has cost 1/n_{l-1}, so it comes with r = n_l/n_{l-1} when the result is
written over n_l.

*K_1* is the next order of the mean: the graphs on the single vertex <g_12> of cost 1/n_{l-1} are a hyperedge K_1 with
one leg, weight 1/2, and a hyperedge V with both legs on the same bracket, weight (1/2)(1/2)/2! = 1/8.

In the book transport carries V^{(b1 b2)(b3 b4)} with raised indices; integration by parts turns that into derivatives
of the bracket contracted with V as it is, which needs no inverse kernel and holds for coinciding samples too.

Engine: rg.derive("V", samples="many"), with a different sample in every argument, and rg.derive("V") for one input.

Equation numbers: seen are (4.37), (4.41) for the two-point function of the second layer, which is K after one step,
and (4.40), (4.42), (4.43) for its connected four-point function, which is V after one step, where the source stands
alone. The numbers of the recursions for general depth have not been seen.
"""

from paper import C_W, K_1, C_b, E, Equation, K, V, b1, b2, b3, b4, dds, ds, r, s, show
from rows import row

SOURCES = {
    "K": "PDLT chapter 4, recursion of the kernel (number not seen; second layer (4.37), (4.41))",
    "V": "PDLT chapter 4, recursion of the four-point vertex (number not seen; second layer (4.40), (4.42), (4.43))",
    "K_1": "PDLT chapter 4, next-to-leading order of the kernel, G^{1} (number not seen)",
}

EXACT = "tests/oracles/exact_brackets.py: exact averages of polynomials, put into the formulas of tests/sources/pdlt.py"


@row("pdlt/kernel", witness=EXACT)
def kernel() -> tuple[Equation, ...]:
    typed = C_b + C_W * E(s(1) * s(2))
    typed_for_one = C_b + C_W * g
    return Equation(K[1, 2], typed, SOURCES["K"]), Equation(K, typed_for_one, SOURCES["K"])


@row("pdlt/four_point_vertex", witness=EXACT)
def four_point_vertex() -> tuple[Equation, ...]:
    typed = (
        C_W**2 * E(s(1) * s(2) * s(3) * s(4))
        - C_W**2 * E(s(1) * s(2)) * E(s(3) * s(4))
        + r * C_W**2 / 4 * V[b1, b2, b3, b4] * E(s(1) * s(2), d=(b1, b2)) * E(s(3) * s(4), d=(b3, b4))
    )
    typed_for_one = C_W**2 * E(s**4) - C_W**2 * g**2 + r * chi_parallel**2 * V
    return Equation(V[1, 2, 3, 4], typed, SOURCES["V"]), Equation(V, typed_for_one, SOURCES["V"])


@row("pdlt/kernel_correction", witness=EXACT)
def kernel_correction() -> tuple[Equation, ...]:
    typed = r * C_W / 2 * K_1[b1, b2] * E(s(1) * s(2), d=(b1, b2)) + r * C_W / 8 * V[b1, b2, b3, b4] * E(
        s(1) * s(2), d=(b1, b2, b3, b4)
    )
    typed_for_one = r * chi_parallel * K_1 + r * half_curvature * V
    return Equation(K_1[1, 2], typed, SOURCES["K_1"]), Equation(K_1, typed_for_one, SOURCES["K_1"])


# One input: the parallel susceptibility C_W g'(K), and j/(8 K^2) = C_W g''(K) / 2, as averages of derivatives
g = E(s * s)
chi_parallel = C_W * E(ds * ds + s * dds)
half_curvature = C_W * E(s * s, d=4) / 8

MANY, ONE = zip(*(equations() for equations in (kernel, four_point_vertex, kernel_correction)), strict=True)

if __name__ == "__main__":
    show(*MANY, *ONE)
