r"""Hoffman, Roberts, Yaida, "Robust Learning with Jacobian Regularization" (arXiv:1908.02729), appendix:
the gradient of ||J||_F^2 of a perceptron in closed form, cyclopropagation.

Assumptions: h_l = W_l z_{l-1} + b_l, z_l = phi(h_l), the last layer linear, z = h_L; R = ||J||_F^2/2 at one input.

The way. The chain rule makes J a product, J = J^(L) .. J^(1) with J^(l) = D_l W_l, D_l = diag(phi'(h_l)). R depends on
W_l and b_l in two ways.

- Through the factor W_l of the product: with J_{<l} and J_{>l} for what stands to its right and left,
  dR = Tr J^T dJ = Tr(Omega_l D_l dW_l), Omega_l = J_{<l} J^T J_{>l}, closed to a cycle at layer l.
- Through the signal h_l, on which D_l and all later D depend. Let q_l = dR/dh_l with the weights of the product held.
  D_l contributes phi''(h_l) diag(W_l Omega_l), since dD_l stands between J_{>l} and W_l; what comes later sees h_l
  through z_l alone, D_l W_{l+1}^T q_{l+1}. For the last layer D is constant, and q_L = 0.

So dR/db_l = q_l and dR/dW_l = q_l z_{l-1}^T + D_l Omega_l^T. (The paper counts q_{L+1} = 0 above a linear layer.)

Engine: none of the theory of networks; R is written out as a polynomial in weights and biases, with phi(h) = h + h^2/2
- h^3/3 and fractions for all parameters, and differentiated by SymPy. rg.nn.JacobianPenalty, which differentiates twice
automatically, is compared with the same formulas in tests/nn/test_jacobian_penalty.py.
"""

from functools import cache

import sympy as sp
from rows import check_rows, row

WITNESS = "tests/nn/test_jacobian_penalty.py: double backward passes of torch, relu, tanh and gelu"
SIZES = (2, 2, 2, 2)
h = sp.Symbol("h")
PHI = h + h**2 / 2 - h**3 / 3
SLOPE, BEND = sp.diff(PHI, h), sp.diff(PHI, h, 2)


def symbols():
    """W_l and b_l as symbols, l = 1, 2, 3."""
    W = [[[sp.Symbol(f"W{l}_{i}{j}") for j in range(2)] for i in range(2)] for l in (1, 2, 3)]
    return W, [[sp.Symbol(f"b{l}_{i}") for i in range(2)] for l in (1, 2, 3)]


@cache
def values():
    """Fractions for all of them."""
    W, b = symbols()
    flat = [entry for layer in W for line in layer for entry in line] + [entry for layer in b for entry in layer]
    return {symbol: sp.Rational((7 * place) % 11 - 5, 4) for place, symbol in enumerate(flat, 1)}


@cache
def signals():
    """z_0, h_1, z_1, ..: numbers."""
    W, b = symbols()
    z, h_ = [sp.Matrix([sp.Rational(1, 2), sp.Rational(-1, 3)])], []
    for l in range(3):
        h_.append((sp.Matrix(W[l]) * z[-1] + sp.Matrix(b[l])).subs(values()))
        z.append(h_[-1].applyfunc(lambda each: PHI.subs(h, each)) if l < 2 else h_[-1])
    return z, h_


@cache
def exact(kind, layer):
    """dR/dW_l or dR/db_l, entry by entry."""
    W, b = symbols()
    return sp.Matrix(W[layer] if kind == "W" else b[layer]).applyfunc(derivative)


@cache
def derivative(symbol):
    """dR/dt where the symbol is its value + t: z as a polynomial in t and in u, v, by which x moves."""
    _, u, v, t = sp.ring("u, v, t", sp.QQ)
    numbers = {key: sp.QQ(value.p, value.q) + (t if key == symbol else 0) for key, value in values().items()}
    W, b = symbols()
    z = [sp.QQ(x.p, x.q) + move for x, move in zip(signals()[0][0], (u, v), strict=True)]
    for l in range(3):
        z = [
            first_order(sum((numbers[w] * s for w, s in zip(line, z, strict=True)), numbers[bias]))
            for line, bias in zip(W[l], b[l], strict=True)
        ]
        z = [first_order(s + first_order(s**2) / 2 - first_order(first_order(s**2) * s) / 3) for s in z] if l < 2 else z
    return sum((each.coeff(x) * each.coeff(x * t) for each in z for x in (u, v)), sp.Integer(0))


def first_order(polynomial):
    """Terms of first order in (u, v) and in t."""
    kept = {m: c for m, c in polynomial.items() if m[0] + m[1] <= 1 and m[2] <= 1}
    return polynomial.ring.from_dict(kept)


@cache
def pieces():
    """By layer: W_l, D_l, phi''(h_l), J_{<l} and J_{>l}; and J."""
    W, _ = symbols()
    numbers = [sp.Matrix(layer).subs(values()) for layer in W]
    last = sp.eye(2)
    D = [sp.diag(*signals()[1][l].applyfunc(lambda each: SLOPE.subs(h, each))) if l < 2 else last for l in range(3)]
    bend = [signals()[1][l].applyfunc(lambda each: BEND.subs(h, each)) if l < 2 else sp.zeros(2, 1) for l in range(3)]
    factors = [d * w for d, w in zip(D, numbers, strict=True)]
    below = [sp.eye(2), factors[0], factors[1] * factors[0]]
    above = [factors[2] * factors[1], factors[2], sp.eye(2)]
    return numbers, D, bend, below, above, factors[2] * below[2]


@cache
def exact_jacobian():
    """J by differentiating z(x)."""
    W, b = symbols()
    x = sp.symbols("x1:3")
    z = sp.Matrix(x)
    for l in range(3):
        z = (sp.Matrix(W[l]) * z + sp.Matrix(b[l])).subs(values())
        z = z.applyfunc(lambda each: PHI.subs(h, each)) if l < 2 else z
    return z.jacobian(x).subs(dict(zip(x, signals()[0][0], strict=True)))


def omega(layer):
    _, _, _, below, above, J = pieces()
    return below[layer] * J.T * above[layer]


@cache
def backward():
    """q_l = dR/db_l, from derivatives of R."""
    return tuple(exact("b", layer) for layer in range(3))


@row("jacobian_regularization/layer_jacobian", witness=WITNESS)
def layer_jacobian():
    """J is the product of D_l W_l, and Tr Omega_l J^(l) = ||J||_F^2 at every layer."""
    numbers, D, _, below, above, _ = pieces()
    J = exact_jacobian()
    for layer in range(3):
        typed = D[layer] * numbers[layer]
        typed_omega = below[layer] * J.T * above[layer]
        assert above[layer] * typed * below[layer] == J
        assert (typed_omega * D[layer] * numbers[layer]).trace() == (J * J.T).trace()
    return J.evalf(8)


@row("jacobian_regularization/cyclopropagation", witness=WITNESS)
def cyclopropagation():
    numbers, D, bend, *_ = pieces()
    q = backward()
    for l in (0, 1):
        diagonal = sp.Matrix((numbers[l] * omega(l)).diagonal()).T
        typed = D[l] * numbers[l + 1].T * q[l + 1] + bend[l].multiply_elementwise(diagonal)
        typed = sp.Matrix(typed)
        assert q[l] == typed
    typed_start = 0
    assert all(entry == typed_start for entry in q[2])
    return {f"q_{l}": q[l - 1].T.evalf(8) for l in (1, 2, 3)}


@row("jacobian_regularization/bias_gradient", witness=WITNESS)
def bias_gradient():
    """q by its recursion, downwards from 0, against dR/db."""
    numbers, D, bend, *_ = pieces()
    q = [sp.zeros(2, 1)]
    for l in (1, 0):
        diagonal = sp.Matrix((numbers[l] * omega(l)).diagonal()).T
        q.insert(0, D[l] * numbers[l + 1].T * q[0] + bend[l].multiply_elementwise(diagonal))
    for l in (0, 1, 2):
        typed = q[l]
        assert exact("b", l) == typed
    return {f"dR/db_{l}": exact("b", l - 1).T.evalf(8) for l in (1, 2, 3)}


@row("jacobian_regularization/weight_gradient", witness=WITNESS)
def weight_gradient():
    _, D, *_ = pieces()
    z, q = signals()[0], backward()
    for l in range(3):
        typed = q[l] * z[l].T + D[l] * omega(l).T
        assert exact("W", l) == typed
    return {f"dR/dW_{l}": exact("W", l - 1).evalf(8) for l in (1, 2, 3)}


if __name__ == "__main__":
    check_rows(globals())
