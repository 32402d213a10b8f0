"""Mean-field recurrences of residual networks, typed by hand: Yang and Schoenholz, arXiv:1712.08969 and its sequel
"Deep Mean Field Theory: Layerwise Variance and Width Variation" (2018), appendix C. Plain Python, no theory of ours.
"""

import math

A_TANH = 4 / 3 * math.sqrt(2 / math.pi)  # times sigma_v^2 sigma_w / sqrt(sigma_v^2 + sigma_a^2)
C_TANH = 2 / 3 * math.sqrt(2 / math.pi)

# tanh: (beta_w, beta_v, beta_a) -> exponent of p, c_p, coefficient in the exponential, exponent inside; sigma = 1
TANH_ROWS = {
    (0, 0, 0): (1.0, 2.0, 0.7523, 0.5),
    (0.2, 0.2, 0.2): (0.8, 2.5, 1.121, 0.3),
    (0.3, 0.3, 0.5): (0.7, 1.429, 2.225, 0.2),
    (0, 0.5, 0.8): (0.5, 2.0, 1.505, 0.25),
}
# relu: (beta_w, beta_v, beta_a, beta_b) -> what grows how; sigma = 1, W_r = 1/2
RELU_ROWS = {
    (0.4, 0.2, 0, 0): {"p_inside": 1.25, "chi_W": 0.2, "chi_V": 0.4},
    (0.7, 0.3, 0.2, 0.3): {"p": 0.8, "chi": 0.5, "chi_W": 0.0, "chi_V": 0.4},
    (1, 0, 0, 0): {"p": 1.0, "chi": 0.5, "chi_W": -0.5, "chi_V": 0.5},
    (2, 0, 0.6, 2): {"p": 0.4, "chi": 0.0, "chi_W": -0.4, "chi_V": 1.6},
    (2, 0, 1.8, 2): {"p": 0.0, "chi": 0.0, "chi_W": 0.0, "chi_V": 2.0},
    (0.5, 0.5, 0.3, 0.4): {"p": 0.7, "chi": 0.5, "chi_W": 0.3, "chi_V": 0.3},
}
# on a boundary of regimes: a power times a logarithm, (power, logarithm) of p
RELU_BOUNDARY = {(1, 0, 0.5, 0.5): ((0.5, 1), (1.0, -1)), (2, 0, 1, 2): ((0.0, 1), (2.0, -1))}  # p, chi_V


def arc_cosine(c):
    """J_1 of relu: W = (q/2) J_1(c)."""
    return (math.sqrt(1 - c * c) + (math.pi - math.acos(c)) * c) / math.pi


def relu_averages(q, lam):
    """V, V', W of relu."""
    return q / 2, 0.5, q / 2 * arc_cosine(min(1.0, lam / q))


def flow(averages, depth, sigmas, p0, gamma0, widths=None, hidden=None, reduced=False):
    """Section 2 of both papers: lists over layers 0..L (None at 0 for what belongs to a block).

    sigmas : function of l to (sigma_w^2, sigma_v^2, sigma_a^2, sigma_b^2)
    """
    n = widths or [1] * (depth + 1)
    m = hidden or n[1:]
    p, g, q, lam, steps = [p0], [gamma0], [None], [None], [None]
    for l in range(1, depth + 1):
        w, v, a, b = sigmas(l)
        if reduced:
            v, a = 1.0, 0.0
        q.append(w * p[-1] + b)
        lam.append(w * g[-1] + b)
        V, dV, W = averages(q[-1], lam[-1])
        steps.append((V, dV, v, w, p[-1]))
        p.append(p[-1] + v * V + a)
        g.append(g[-1] + v * W + a)
    chi = [1.0] * (depth + 1)
    gradients = {name: [None] * (depth + 1) for name in ("W", "V", "b", "a")}
    for l in range(depth, 0, -1):
        V, dV, v, w, below = steps[l]
        gradients["a"][l] = chi[l]
        gradients["V"][l] = chi[l] * V
        gradients["b"][l] = n[l] / m[l - 1] * v * chi[l] * dV
        gradients["W"][l] = n[l] / m[l - 1] * v * chi[l] * dV * below
        chi[l - 1] = chi[l] * n[l] / n[l - 1] * (1 + v * w * dV)
    return {"p": p, "gamma": g, "q": q, "lambda": lam, "chi": chi, **{f"chi_{k}": x for k, x in gradients.items()}}
