r"""One layer of a deep linear network, exactly: averages of layer l + 1 from those of layer l.

Forward equations for sigma(z) = z, n = n_l, z' = b + W z, q_ab = z_a.z_b/n, samples after the semicolon:

    H'_{ij;12}    = d_ij (lambda_b + lambda_W q_12) + (W H_12 W^T)_ij
    dH'_{ijk;012} = d_ij (lambda_W/n) z_1.H_02.W_k + d_ik (lambda_W/n) z_2.H_01.W_j + (W W W dH)_ijk
    ddI'_{ijkm}   = d_ij (lambda_W/n) sum_a z_{a;1} (W W dH_{a..;023})_km + (1 -> 2, 3) + W W W W ddI
    ddII'_{ijkm}  = d_ij (lambda_W/n) (W_k H_13 . H_24 W_m)
                    + d_ik (lambda_W/n) [d_jm (lambda_W/n) z_3.H_12.z_4 + sum_a z_{a;3} (W W dH_{.a.;214})_jm]
                    + d_jm (lambda_W/n) sum_a z_{a;4} (W W dH_{.a.;123})_ik + W W W W ddII

An average with four neuron indices is x d12 d34 + y d13 d24 + u d14 d23 by rotation symmetry. Averaging the weights,
E[W_ia W_jb] = d_ij d_ab C_W/n, pairs the new indices in three ways; contracting the old average with the old indices
of one pairing gives n^2 for the same pairing and n for each of the other two (loops). Every rule below is one such
contraction. With C_b > 0 the bias adds C_b to the conditional covariance of z'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from oracles.series import Series, add, multiply, scale

Samples = tuple[int, ...]
Values = dict[Samples, Series]
Raw = dict[str, Values]
"""Averages by name: "G" E[G_12], "H" E[H_12] (conditional on the layer below both are diagonal in neurons); "GG",
"GH", "HH" the coefficient of d12 d34 in E[z1 z2 z3 z4], E[z1 z2 H34], E[H12 H34]; "GGG" that of d12 d34 d56; "F", "B",
"P", ..., "U" the coefficients that name each letter, without the factor n."""


@dataclass(frozen=True)
class LinearStep:
    """The map of one layer; hyperparameters of layer l + 1, ``inverse`` = 1/n_l, series cut after x^order."""

    C_b: Fraction
    C_W: Fraction
    lambda_b: Fraction
    lambda_W: Fraction
    inverse: Series
    order: int
    old: Raw

    def next(self) -> Raw:
        """All averages of layer l + 1."""
        rules: dict[str, Callable[..., Series]] = {
            "G": self.G, "H": self.H, "GG": self.GG, "GH": self.GH, "HH": self.HH, "GGG": self.GGG,
            "F": self.F, "B": self.B, "P": self.P, "Q": self.Q, "R": self.R, "S": self.S, "T": self.T, "U": self.U,
        }  # fmt: skip
        return {name: {samples: rule(*samples) for samples in self.old[name]} for name, rule in rules.items()}

    def over_n(self, term: Series) -> Series:
        """term / n_l."""
        return multiply(self.inverse, term, self.order)

    # averages of q_12 = z_1.z_2/n and t_12 = tr H_12/n over the neurons of layer l ------------------------------------

    def qq(self, i1: int, i2: int, i3: int, i4: int) -> Series:
        """E[q_12 q_34]."""
        GG = self.old["GG"]
        return add(GG[i1, i2, i3, i4], self.over_n(add(GG[i1, i3, i2, i4], GG[i1, i4, i2, i3])))

    def qt(self, i1: int, i2: int, i3: int, i4: int) -> Series:
        """E[q_12 t_34]."""
        F = self.old["F"]
        return add(self.old["GH"][i1, i2, i3, i4], self.over_n(add(F[i1, i3, i2, i4], F[i1, i4, i2, i3])))

    def tt(self, i1: int, i2: int, i3: int, i4: int) -> Series:
        """E[t_12 t_34]."""
        B = self.old["B"]
        return add(self.old["HH"][i1, i2, i3, i4], self.over_n(add(B[i1, i3, i2, i4], B[i1, i4, i2, i3])))

    def zHz(self, i1: int, i3: int, i2: int, i4: int) -> Series:
        """E[z_1.H_34.z_2]/n^2 (neurons of z_1 and of the first index of H are the same)."""
        F = self.old["F"]
        return add(F[i1, i3, i2, i4], self.over_n(add(self.old["GH"][i1, i2, i3, i4], F[i1, i4, i2, i3])))

    def HH_traced(self, i1: int, i3: int, i2: int, i4: int) -> Series:
        """E[sum_ab H_ab;12 H_ab;34]/n^2."""
        B = self.old["B"]
        return add(B[i1, i3, i2, i4], self.over_n(add(self.old["HH"][i1, i2, i3, i4], B[i1, i4, i2, i3])))

    # K, V, V6 ---------------------------------------------------------------------------------------------------------

    def G(self, i1: int, i2: int) -> Series:
        """E[C_b + C_W q]."""
        return add((self.C_b,), scale(self.C_W, self.old["G"][i1, i2]))

    def GG(self, i1: int, i2: int, i3: int, i4: int) -> Series:
        """E[(C_b + C_W q_12)(C_b + C_W q_34)]."""
        G = self.old["G"]
        return add(
            (self.C_b**2,),
            scale(self.C_b * self.C_W, add(G[i1, i2], G[i3, i4])),
            scale(self.C_W**2, self.qq(i1, i2, i3, i4)),
        )

    def GGG(self, *s: int) -> Series:
        """E[(C_b + C_W q_12)(C_b + C_W q_34)(C_b + C_W q_56)]."""
        G, pairs = self.old["G"], (s[:2], s[2:4], s[4:])
        two = [self.qq(*left, *right) for left, right in ((pairs[0], pairs[1]), (pairs[0], pairs[2]), pairs[1:])]
        return add(
            (self.C_b**3,),
            scale(self.C_b**2 * self.C_W, add(*[G[pair] for pair in pairs])),
            scale(self.C_b * self.C_W**2, add(*two)),
            scale(self.C_W**3, self._qqq(s)),
        )

    def _qqq(self, s: Sequence[int]) -> Series:
        """E[q_12 q_34 q_56]: every pairing of six z, 1/n for each loop less than three."""
        terms = []
        for pairing in pairings(tuple(range(6))):
            term = self.old["GGG"][tuple(s[i] for pair in pairing for i in pair)]
            for _ in range(3 - _loops(pairing)):
                term = self.over_n(term)
            terms.append(term)
        return add(*terms)

    # Theta, D, F, A, B ------------------------------------------------------------------------------------------------

    def H(self, i1: int, i2: int) -> Series:
        """E[lambda_b + lambda_W q + C_W t]."""
        return add(
            (self.lambda_b,), scale(self.lambda_W, self.old["G"][i1, i2]), scale(self.C_W, self.old["H"][i1, i2])
        )

    def GH(self, i1: int, i2: int, i3: int, i4: int) -> Series:
        """E[(C_b + C_W q_12)(lambda_b + lambda_W q_34 + C_W t_34)]."""
        return add(
            scale(self.C_b, self.H(i3, i4)),
            scale(self.C_W * self.lambda_b, self.old["G"][i1, i2]),
            scale(self.C_W * self.lambda_W, self.qq(i1, i2, i3, i4)),
            scale(self.C_W**2, self.qt(i1, i2, i3, i4)),
        )

    def HH(self, i1: int, i2: int, i3: int, i4: int) -> Series:
        """E[(lambda_b + lambda_W q_12 + C_W t_12)(lambda_b + lambda_W q_34 + C_W t_34)]."""
        G, H = self.old["G"], self.old["H"]
        single = add(scale(self.lambda_W, add(G[i1, i2], G[i3, i4])), scale(self.C_W, add(H[i1, i2], H[i3, i4])))
        mixed = add(self.qt(i1, i2, i3, i4), self.qt(i3, i4, i1, i2))
        return add(
            (self.lambda_b**2,),
            scale(self.lambda_b, single),
            scale(self.lambda_W**2, self.qq(i1, i2, i3, i4)),
            scale(self.lambda_W * self.C_W, mixed),
            scale(self.C_W**2, self.tt(i1, i2, i3, i4)),
        )

    def F(self, i1: int, i3: int, i2: int, i4: int) -> Series:
        """(W z_1)_i (W z_2)_j (W H_34 W^T)_ij."""
        return scale(self.C_W**2, self.zHz(i1, i3, i2, i4))

    def B(self, i1: int, i3: int, i2: int, i4: int) -> Series:
        """(W H_12 W^T)_ij (W H_34 W^T)_ij."""
        return scale(self.C_W**2, self.HH_traced(i1, i3, i2, i4))

    # P, Q -------------------------------------------------------------------------------------------------------------

    def P(self, i0: int, i1: int, i2: int, i3: int) -> Series:
        """W W W W dH z, neurons 0 = 3 and 1 = 2."""
        Q = self.old["Q"]
        same, other = self.old["P"][i0, i1, i2, i3], add(Q[i0, i1, i2, i3], Q[i0, i2, i1, i3])
        return scale(self.C_W**2, add(same, self.over_n(other)))

    def Q(self, i0: int, i1: int, i2: int, i3: int) -> Series:
        """(lambda_W/n) (C_W/n) z_1.H_02.z_3, and W W W W dH z with neurons 0 = 1 and 2 = 3."""
        return add(
            scale(self.lambda_W * self.C_W, self.zHz(i1, i0, i3, i2)), scale(self.C_W**2, self.dH_z(i0, i1, i2, i3))
        )

    def dH_z(self, i0: int, i1: int, i2: int, i3: int) -> Series:
        """E[sum_ab dH_{aab;012} z_{b;3}]/n^2."""
        same, other = self.old["Q"][i0, i1, i2, i3], add(self.old["P"][i0, i1, i2, i3], self.old["Q"][i0, i2, i1, i3])
        return add(same, self.over_n(other))

    # R, S, T, U -------------------------------------------------------------------------------------------------------

    def R(self, i0: int, i1: int, i2: int, i3: int) -> Series:
        """(lambda_W/n) (C_W/n) sum_ab z_{a;1} dH_{abb;023}, and W W W W ddI."""
        P, Q, R = (self.old[name] for name in "PQR")
        z_dH = add(P[i0, i2, i3, i1], self.over_n(add(Q[i0, i2, i3, i1], Q[i0, i3, i2, i1])))
        carried = add(R[i0, i1, i2, i3], self.over_n(add(R[i0, i2, i3, i1], R[i0, i3, i1, i2])))
        return add(scale(self.lambda_W * self.C_W, z_dH), scale(self.C_W**2, carried))

    def S(self, i1: int, i2: int, i3: int, i4: int) -> Series:
        """(lambda_W/n) (C_W/n) sum_ab H_ab;13 H_ab;24, and W W W W ddII."""
        return add(
            scale(self.lambda_W * self.C_W, self.HH_traced(i1, i2, i3, i4)),
            scale(self.C_W**2, self._ddII("STU", i1, i2, i3, i4)),
        )

    def T(self, i1: int, i3: int, i4: int, i2: int) -> Series:
        """(lambda_W/n)^2 z_3.H_12.z_4, (lambda_W/n) (C_W/n) [z_3 dH_214 + z_4 dH_123], and W W W W ddII."""
        return add(
            scale(self.lambda_W**2, self.zHz(i3, i1, i4, i2)),
            # dH_{bab;214} z_{a;3}: exchange the last two places of dH
            scale(self.lambda_W * self.C_W, add(self.dH_z(i2, i4, i1, i3), self.dH_z(i1, i3, i2, i4))),
            scale(self.C_W**2, self._ddII("TSU", i1, i2, i3, i4)),
        )

    def U(self, i1: int, i4: int, i2: int, i3: int) -> Series:
        """W W W W ddII."""
        return scale(self.C_W**2, self._ddII("UST", i1, i2, i3, i4))

    def _ddII(self, names: str, i1: int, i2: int, i3: int, i4: int) -> Series:
        """E[sum of ddII_1234 over the pairing of the first letter]/n^2."""
        samples = {"S": (i1, i2, i3, i4), "T": (i1, i3, i4, i2), "U": (i1, i4, i2, i3)}
        first, second, third = (self.old[name][samples[name]] for name in names)
        return add(first, self.over_n(add(second, third)))


def pairings(slots: tuple[int, ...]) -> Iterator[tuple[tuple[int, int], ...]]:
    """Every perfect pairing.

    >>> len(list(pairings((0, 1, 2, 3, 4, 5))))
    15
    """
    if not slots:
        yield ()
        return
    first, *others = slots
    for partner in others:
        rest = tuple(slot for slot in others if slot != partner)
        for tail in pairings(rest):
            yield ((first, partner), *tail)


def _loops(pairing: Sequence[tuple[int, int]]) -> int:
    """Closed index loops when slots 2k, 2k + 1 are joined by a neuron sum and each pair by a delta."""
    partner = {a: b for pair in pairing for a, b in (pair, pair[::-1])}
    unseen, loops = set(partner), 0
    while unseen:
        slot, loops = min(unseen), loops + 1
        while slot in unseen:
            other = slot ^ 1
            unseen -= {slot, other}
            slot = partner[other]
    return loops
