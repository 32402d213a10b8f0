"""What each network contributes to a tensor of the next layer, given the stages from which that layer is made.

The own parameters of the next layer are averaged exactly. Its neurons are z'_i = t_i + sum_j W_ij x_j + b_i with t the
carried stage (none in a dense layer) and x the weighted one, s = sigma(z) in a dense layer. Every letter pairs its
entries over two *different* neurons i != k. In a dense layer these are independent given the hidden layer, so that the
average is a product of two covariances:

    G_12    = C_b + C_W/n sum_j s_1 s_2                                             E[z_i1 z_i2 | hidden]
    Hbar_12 = lambda_b + 1/n sum_j (lambda_W s_1 s_2 + C_W s'_1 s'_2 H_jj;12)       E[H_ii;12 | hidden]

    K = E[G],  Theta = E[Hbar],  V6 = n^2 third cumulant of (G_12, G_34, G_56)
    V[1,2,3,4] = n Cov(G_12, G_34)       D[1,2,3,4] = n Cov(G_12, Hbar_34)       A[1,2,3,4] = n Cov(Hbar_12, Hbar_34)
    F[1,3,2,4] = n E[z_i1 z_k2 H_ik;34]      = C_W^2/n E sum_jm s_j1 s_m2 N[|]_jm;34
    B[1,3,2,4] = n E[H_ik;12 H_ik;34]        = C_W^2/n E sum_jm N[|]_jm;12 N[|]_jm;34

with n the width of the hidden layer, s = sigma(z), H its tangent kernel (a matrix over neurons for each pair of inputs)
and N[|]_jm;12 = s'_j1 s'_m2 H_jm;12. Equal neurons would add the other pairings; i != k isolates one.

In the letters of the dNTK and ddNTK one direction joins the two neurons and is averaged exactly, in N[A|B], the
activated M[A|B]; the others, f and g, each occurring twice, are drawn. With the sum over j, m understood,

    P[0,1,2,3] = 1/n E C_W s_j3 C_W s_{m2,f} N[f|]_jm;01
    Q[0,1,2,3] = 1/n E (C_W s_{j1,f} N[f|] + lambda_W s_j1 N[|])_jm;02 C_W s_m3
    R[0,1,2,3] = 1/n E (C_W s_{j1,f} N[fg|] + lambda_W s_j1 N[g|])_jm;02 C_W s_{m3,g}
    S[1,2,3,4] = 1/n E (C_W s_{j2,fg} N[f|]_jm;13 C_W s_{m4,g} + lambda_W N[|]_jm;13 C_W N[|]_jm;24)
    T[1,3,4,2] = 1/n E (C_W s_{j3,f} d_f + lambda_W s_j3) (C_W s_{m4,g} d_g + lambda_W s_m4) N[f|g]_jm;12
    U[1,4,2,3] = 1/n E C_W s_{j4,g} C_W s_{m3,f} N[f|g]_jm;12

Terms with lambda_W are those where a direction runs through the own parameters of the next layer: it then leaves both
jets it belongs to. In T, d_f (d_g) keeps f (g) in N and its absence takes it out.

What changes in other layers:

- **Several ways in.** Neuron i reaches what it is made of through each weight matrix (C_W/n sum_j, with own parameters)
  and, carried, through t_i alone: the left neuron of a letter takes any of them, and so does the right one, with the
  tangent kernel between the two stages. Two carried neurons: the average over pairs j = i != m = k.
- **Carried neurons differ.** Given the hidden layer the products u_i = z_i1 z_i2 (or H_ii;12), averaged over the own
  parameters, still vary from neuron to neuron; over pairs i != k that adds to V, D and A

      n E[<u_i v_k>_{i != k} - <u><v>] = -n/(n - 1) E[<u v> - <u><v>].

- **Orthogonal weights** add the crosswise pairings of :mod:`rgflow.sampling.haar`: in each letter those of its two
  relatives.

Source: the definitions of PDLT (arXiv:2106.10165) chapters 4, 8, 11 and its last one; averages done here by hand.
Normalisation: totals in 1/n, arguments in PDLT's order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from rgflow.errors import InputError
from rgflow.sampling import haar
from rgflow.sampling.draw import Array
from rgflow.sampling.jets import Directions
from rgflow.sampling.routes import Routes
from rgflow.sampling.signals import Signal, overlap, own_parameters, sum_of

# Directions beside e that each letter holds.
LETTERS = {"P": 1, "Q": 1, "R": 2, "S": 2, "T": 2, "U": 2}

# Orthogonal weights: the letters, with the order of their axes, whose pairings lie crosswise to this one's. GH and HH
# stand for n G_12 Hbar_34 and n Hbar_12 Hbar_34 through the weights.
_STRAIGHT = (0, 1, 2, 3, 4)
_CROSSWISE = {
    "F": (("GH", _STRAIGHT), ("F", (0, 1, 4, 3, 2))),
    "B": (("HH", _STRAIGHT), ("B", (0, 1, 4, 3, 2))),
    "P": (("Q", _STRAIGHT), ("Q", (0, 1, 3, 2, 4))),
    "Q": (("P", _STRAIGHT), ("Q", (0, 1, 3, 2, 4))),
    "R": (("R", (0, 1, 4, 2, 3)), ("R", (0, 1, 3, 4, 2))),
    "S": (("T", (0, 1, 4, 2, 3)), ("U", (0, 1, 3, 4, 2))),
    "T": (("S", (0, 1, 3, 4, 2)), ("U", (0, 1, 4, 2, 3))),
    "U": (("S", (0, 1, 4, 2, 3)), ("T", (0, 1, 3, 4, 2))),
}


@dataclass(frozen=True, eq=False)
class _Way:
    """How a neuron reaches a stage: neurons x of it with variance C/n each, or, carried, its own neuron alone."""

    stage: Signal
    C: float
    rate: float
    carried: bool = False
    room: int = 0

    def x(self, directions: Directions = ()) -> Array:
        return self.stage.jets[directions]


def metric(routes: Routes) -> Array:
    """G_12 = C_b + C_W/n sum_j x_1 x_2 of the own parameters alone, summed over weight matrices: (m, N, N)."""
    return np.asarray(sum_of([overlap(w.source, w.C) for w in routes.weights]) + routes.C_b)


def refuse_too_narrow(routes: Routes, width: int, names: Collection[str], where: str) -> None:
    """InputError for a layer whose neurons cannot be told apart: averages are over two or three different ones."""
    neurons = {name: {"K": 1, "Theta": 1, "V6": 3}.get(name, 2) for name in names}
    rooms = [w.room(width) for w in routes.weights if w.orthogonal] + ([width] if routes.carried else [])
    for name, least in neurons.items():
        if rooms and min(rooms) < least:
            raise InputError(f"{name} of {where} needs {least} different neurons; make it wider, or leave {name} out")


class Measurement:
    """The stages of the networks of a chunk from which the next layer is made, seen by that layer.

    Parameters
    ----------
    routes : the stages and how they reach it
    fan_in : n, the width of the layer below, which counts the powers of 1/n
    width : of the next layer
    """

    def __init__(self, routes: Routes, fan_in: int, width: int):
        self.routes, self.fan_in, self.width = routes, fan_in, width
        self._ways = [_Way(w.source, w.C, w.rate, room=w.room(width) * w.orthogonal) for w in routes.weights]
        self._carried = routes.carried
        if routes.carried:
            self._ways.append(_Way(routes.carried, 1.0, 0.0, carried=True))
        self._orthogonal = [way for way in self._ways if way.room]
        self._contracted: dict[tuple[Signal, Signal], Array] = {}
        self.inputs = routes.inputs
        first, second = np.triu_indices(self.inputs)
        self._pairs = (first, second)

    # One neuron.

    def G(self) -> Array:
        """(m, N, N)."""
        found = [metric(self.routes)] if self.routes.weights else []
        return sum_of(found + [overlap(t, 1.0) for t in self._on_the_side()])

    def Hbar(self) -> Array:
        """(m, N, N)."""
        found = []
        if self.routes.weights:
            own = sum_of([own_parameters(w.source.jets, (), (), w.rate, 0.0) for w in self.routes.weights])
            found = [sum_of([_trace(w.source, w.C) for w in self.routes.weights]) + (own + self.routes.lambda_b)]
        return sum_of(found + [_trace(t, 1.0) for t in self._on_the_side()])

    # Two or three neurons, each averaged: what their products have beyond G and Hbar.

    def V2(self) -> Array:
        """Cumulant of z_i1 z_i2 and z_k3 z_k4 given the hidden layer, over pairs of inputs: (m, p, p)."""
        found = [haar.second(overlap(w.stage, w.C), w.room, self._pairs) for w in self._orthogonal]
        return self._sum(found + [_of_two(self._squares(t), self._squares(t)) for t in self._on_the_side()], 2)

    def V3(self) -> Array:
        """Cumulant of z_i1 z_i2, z_j3 z_j4 and z_k5 z_k6 given the hidden layer: (m, p, p, p)."""
        found = [haar.third(overlap(w.stage, w.C), w.room, self._pairs) for w in self._orthogonal]
        return self._sum(found + [_of_three(self._squares(t)) for t in self._on_the_side()], 3)

    def D2(self) -> Array:
        """Cumulant of z_i1 z_i2 and H_kk;34 given the hidden layer: (m, p, p)."""
        found = [self._haar_of_two(w, "F", "GH") for w in self._orthogonal]
        return self._sum(found + [_of_two(self._squares(t), self._diagonal(t)) for t in self._on_the_side()], 2)

    def A2(self) -> Array:
        """Cumulant of H_ii;12 and H_kk;34 given the hidden layer: (m, p, p)."""
        found = [self._haar_of_two(w, "B", "HH") for w in self._orthogonal]
        return self._sum(found + [_of_two(self._diagonal(t), self._diagonal(t)) for t in self._on_the_side()], 2)

    # Letters: the arguments are the drawn directions f, g.

    def F(self) -> Array:
        """(m, N, N, N, N), arguments [1, 3, 2, 4]."""
        return self._all_ways("F")

    def B(self) -> Array:
        """(m, N, N, N, N), arguments [1, 3, 2, 4]."""
        return self._all_ways("B")

    def P(self, f: int) -> Array:
        """(m, N, N, N, N), arguments [0, 1, 2, 3]."""
        return self._all_ways("P", f)

    def Q(self, f: int) -> Array:
        """(m, N, N, N, N), arguments [0, 1, 2, 3]."""
        return self._all_ways("Q", f)

    def R(self, f: int, g: int) -> Array:
        """(m, N, N, N, N), arguments [0, 1, 2, 3]."""
        return self._all_ways("R", f, g)

    def S(self, f: int, g: int) -> Array:
        """(m, N, N, N, N), arguments [1, 2, 3, 4]."""
        return self._all_ways("S", f, g)

    def T(self, f: int, g: int) -> Array:
        """(m, N, N, N, N), arguments [1, 3, 4, 2]."""
        return self._all_ways("T", f, g)

    def U(self, f: int, g: int) -> Array:
        """(m, N, N, N, N), arguments [1, 4, 2, 3]."""
        return self._all_ways("U", f, g)

    def _all_ways(self, letter: str, *directions: int) -> Array:
        contribution: Callable[..., Array] = getattr(self, f"_{letter}")
        found = [contribution(left, right, *directions) for left, right in product(self._ways, repeat=2)]
        for way in self._orthogonal:
            # Only averages of four weights change: none where a direction takes the place of two.
            bare = replace(way, rate=0.0)
            straight, crossed = haar.crossing(way.room)
            found.append(straight * contribution(bare, bare, *directions))
            for other, axes in _CROSSWISE[letter]:
                value: Array = getattr(self, f"_{other}")(bare, bare, *directions)
                found.append(-crossed * value.transpose(axes))
        return sum_of(found)

    def _F(self, left: _Way, right: _Way) -> Array:
        return left.C * right.C * self._bilinear(left, (), (), right, (), ())

    def _B(self, left: _Way, right: _Way) -> Array:
        return np.asarray(left.C * right.C * self._twice(left, right))

    def _P(self, left: _Way, right: _Way, f: int) -> Array:
        found = self._bilinear(left, (), (f,), right, (f,), ())
        return left.C * right.C * found.transpose(0, 2, 4, 3, 1)

    def _Q(self, left: _Way, right: _Way, f: int) -> Array:
        found = left.C * self._bilinear(left, (f,), (f,), right, (), ())
        if left.rate:
            found += left.rate * self._bilinear(left, (), (), right, (), ())
        return right.C * found.transpose(0, 2, 1, 4, 3)

    def _R(self, left: _Way, right: _Way, f: int, g: int) -> Array:
        found = left.C * self._bilinear(left, (f,), _joined(f, g), right, (g,), ())
        if left.rate:
            found += left.rate * self._bilinear(left, (), (g,), right, (g,), ())
        return right.C * found.transpose(0, 2, 1, 4, 3)

    def _S(self, left: _Way, right: _Way, f: int, g: int) -> Array:
        found = left.C * right.C * self._bilinear(left, _joined(f, g), (f,), right, (g,), ()).transpose(0, 2, 1, 4, 3)
        return np.asarray(found + left.rate * right.C * self._twice(left, right) if left.rate else found)

    def _T(self, left: _Way, right: _Way, f: int, g: int) -> Array:
        kept: tuple[tuple[Directions, float], ...] = (((f,), left.C), ((), left.rate))
        other: tuple[tuple[Directions, float], ...] = (((g,), right.C), ((), right.rate))
        terms = [c * d * self._bilinear(left, a, a, right, b, b) for (a, c), (b, d) in product(kept, other) if c and d]
        return sum_of(terms or [np.zeros((1, *[self.inputs] * 4))]).transpose(0, 2, 1, 3, 4)

    def _U(self, left: _Way, right: _Way, f: int, g: int) -> Array:
        found = self._bilinear(left, (g,), (f,), right, (f,), (g,))
        return left.C * right.C * found.transpose(0, 2, 1, 4, 3)

    def _GH(self, left: _Way, right: _Way) -> Array:
        return self._side_by_side(overlap(left.stage, left.C), _trace(right.stage, right.C))

    def _HH(self, left: _Way, right: _Way) -> Array:
        return self._side_by_side(_trace(left.stage, left.C), _trace(right.stage, right.C))

    def _side_by_side(self, one: Array, two: Array) -> Array:
        """n one_ac two_bd, as (m, a, b, c, d)."""
        return np.asarray(one[:, :, None, :, None] * two[:, None, :, None, :] * self.fan_in)

    # Sums over the neurons j of the left stage and m of the right one.

    def _bilinear(self, left: _Way, x: Directions, a: Directions, right: _Way, y: Directions, b: Directions) -> Array:
        """n <x_ja M[a|b]_jm;bd y_mc> over what i and k reach, as (m, a, b, c, d)."""
        matrix, x_j, y_m = left.stage.kernel(right.stage, a, b), left.x(x), right.x(y)
        half = np.matmul(x_j[:, None, None], matrix)
        found = np.matmul(half, y_m[:, None, None].swapaxes(3, 4)).transpose(0, 3, 1, 4, 2)
        if left.carried and right.carried:
            found = self._different(found, _of_one_neuron(x_j, matrix, y_m))
        return np.asarray(found / self._pairs_of_neurons(left, right))

    def _twice(self, left: _Way, right: _Way) -> Array:
        """n <M_jm;ac M_jm;bd> over what i and k reach, as (m, a, b, c, d)."""
        key = (left.stage, right.stage)
        if key in self._contracted:
            return self._contracted[key]
        matrix = left.stage.kernel(right.stage)
        out = np.empty((len(matrix), *[self.inputs] * 4))
        for a, b, c, d in product(range(self.inputs), repeat=4):
            # The two kernels may change places, and M_jm;12 = M_mj;21 between equal stages.
            same = [(a, b, c, d), (b, a, d, c)]
            if left.stage is right.stage:
                same += [(c, d, a, b), (d, c, b, a)]
            if (a, b, c, d) == min(same):
                value = np.einsum("mjk,mjk->m", matrix[:, a, c], matrix[:, b, d])
                if left.carried and right.carried:
                    value = self._different(value, np.einsum("mjj,mjj->m", matrix[:, a, c], matrix[:, b, d]))
                for arguments in same:
                    out[:, *arguments] = value
        self._contracted[key] = np.asarray(out / self._pairs_of_neurons(left, right))
        return self._contracted[key]

    def _different(self, summed: Array, equal: Array) -> Array:
        """A sum over j, m without j = m."""
        return summed - equal

    def _pairs_of_neurons(self, left: _Way, right: _Way) -> float:
        """What a sum over j, m is divided by, less the factor n of the letter."""
        if left.carried and right.carried:
            return self.width * (self.width - 1) / self.fan_in
        return left.stage.width * right.stage.width / self.fan_in

    def _on_the_side(self) -> list[Signal]:
        return [self._carried] if self._carried else []

    def _squares(self, t: Signal) -> Array:
        """t_i1 t_i2 of every neuron, (m, p, n)."""
        first, second = self._pairs
        return t.values[:, first] * t.values[:, second]

    def _diagonal(self, t: Signal) -> Array:
        """H_ii;12 of every neuron, (m, p, n)."""
        first, second = self._pairs
        return np.asarray(np.einsum("mpjj->mpj", t.kernel(t)[:, first, second]))

    def _haar_of_two(self, way: _Way, letter: str, straight: str) -> Array:
        """Crosswise pairings of F or B, which hold the arguments as [1, 3, 2, 4], for pairs (12), (34): (m, p, p)."""
        bare = replace(way, rate=0.0)
        p, q = haar.crossing(way.room)
        found: Array = getattr(self, f"_{letter}")(bare, bare) / self.fan_in
        direct: Array = getattr(self, f"_{straight}")(bare, bare).transpose(0, 1, 3, 2, 4) / self.fan_in
        full = p * direct - q * (found.transpose(0, 1, 3, 2, 4) + found.transpose(0, 1, 3, 4, 2))
        (one, two), (three, four) = ((side[:, None] for side in self._pairs), (side[None] for side in self._pairs))
        return np.asarray(full[:, one, two, three, four])

    def _sum(self, found: list[Array], pairs: int) -> Array:
        """The sum; zero where neurons are independent given the hidden layer."""
        return sum_of(found) if found else np.zeros((1, *[len(self._pairs[0])] * pairs))


def pair_index(inputs: int) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    """The number of the unordered pair of inputs (a, b), (N, N)."""
    first, second = np.triu_indices(inputs)
    index = np.empty((inputs, inputs), dtype=np.intp)
    index[first, second] = index[second, first] = np.arange(len(first))
    return index


def _trace(stage: Signal, C: float) -> Array:
    """C/n sum_j M_jj;12, (m, N, N)."""
    return np.asarray(np.einsum("mabjj->mab", stage.kernel(stage)) * (C / stage.width))


def _of_one_neuron(x: Array, matrix: Array, y: Array) -> Array:
    """sum_j x_ja matrix_jj;bd y_jc, as (m, a, b, c, d); products of matrices, whose rounding does not depend on m."""
    m, N, n = x.shape
    outer = (x[:, :, None] * y[:, None]).reshape(m, -1, n)
    diagonal = np.diagonal(matrix, axis1=3, axis2=4).reshape(m, -1, n)
    return np.asarray(np.matmul(outer, diagonal.swapaxes(1, 2)).reshape(m, N, N, N, N).transpose(0, 1, 3, 2, 4))


def _of_two(u: Array, v: Array) -> Array:
    """<u_i v_k> over i != k less <u><v>, from (m, p, n) and (m, q, n): (m, p, q)."""
    du, dv = _centred(u), _centred(v)
    n = u.shape[-1]
    return np.asarray(np.matmul(du, dv.swapaxes(1, 2)) / (-n * (n - 1.0)))


def _of_three(u: Array) -> Array:
    """The same of three different neurons: 2 <du du du>/((n-1)(n-2)), (m, p, p, p)."""
    du = _centred(u)
    n = u.shape[-1]
    squares = (du[:, :, None] * du[:, None]).reshape(len(du), -1, n)
    cubes = np.matmul(squares, du.swapaxes(1, 2)).reshape(len(du), *[du.shape[1]] * 3)
    return np.asarray(cubes * (2 / (n * (n - 1.0) * (n - 2))))


def _centred(u: Array) -> Array:
    return np.asarray(u - u.mean(axis=-1, keepdims=True))


def _joined(f: int, g: int) -> Directions:
    return (f, g) if f < g else (g, f)
