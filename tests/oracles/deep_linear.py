r"""Exact tensors of deep linear networks with any inputs, any widths, any hyperparameters per layer.

For sigma(z) = z the averages of a layer close under the map of one layer (:mod:`oracles.linear_step`, exact Wick
contractions of one weight matrix). The only expansion is in 1/n_l, and ``totals`` does without it.

Names and orders of sample arguments are those of PDLT. At layer l a tensor of level k is n_{l-1}^{k-1} times the
cumulant. Everything here, P and U included, is exact: P and U vanish at leading order and P_1, U_1 do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from oracles.linear_step import LinearStep, Raw, Samples, Values
from oracles.polynomial_networks import Number
from oracles.series import Series, add, coefficient, multiply, scale

LEVEL = {"K": 1, "Theta": 1, **dict.fromkeys(("V", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U"), 2), "V6": 3}
"""Number of conditional covariances in the cumulant that each tensor is."""


@dataclass(frozen=True)
class DeepLinear:
    """A deep linear network of L layers.

    gram : x_a.x_b/n_0 of the inputs, N x N
    C_b, C_W, lambda_b, lambda_W : one number per layer 1..L
    """

    gram: tuple[tuple[Number, ...], ...]
    C_b: tuple[Number, ...]
    C_W: tuple[Number, ...]
    lambda_b: tuple[Number, ...]
    lambda_W: tuple[Number, ...]

    def __post_init__(self) -> None:
        if len({len(self.C_b), len(self.C_W), len(self.lambda_b), len(self.lambda_W)}) != 1:
            raise ValueError("give every hyperparameter once per layer")

    @property
    def depth(self) -> int:
        """L."""
        return len(self.C_b)

    @classmethod
    def uniform(
        cls, gram: Sequence[Sequence[Number]], depth: int, C_b: Number, C_W: Number, lambda_b: Number, lambda_W: Number
    ) -> DeepLinear:
        """The same hyperparameters in every layer."""
        columns = [(Fraction(value),) * depth for value in (C_b, C_W, lambda_b, lambda_W)]
        return cls(tuple(tuple(row) for row in gram), *columns)

    def coefficients(self, multiples: Sequence[Number], order: int = 2) -> list[dict[str, dict[Samples, Fraction]]]:
        """Coefficients X, X_1, ... in 1/n_{l-1} of every tensor at the layers 1..L, n_l = multiples[l-1] n.

        Level k is given to X_{order-k+1}: K_2, V_1, V6 for order 2. Each is a dict from samples, in the order of PDLT.

        >>> net = DeepLinear.uniform([[1, 0], [0, 1]], depth=2, C_b=0, C_W=1, lambda_b=0, lambda_W=1)
        >>> second = net.coefficients((1,))[1]
        >>> int(second["V"][0, 0, 0, 0]), int(second["V"][0, 1, 0, 1]), int(second["F"][0, 0, 1, 1])
        (2, 1, 0)
        """
        self._check(multiples)
        inverse = [(Fraction(0), 1 / Fraction(w)) for w in multiples]
        out = []
        for kappas, w in zip(self._cumulants(inverse, order), (1, *multiples), strict=True):
            row: dict[str, dict[Samples, Fraction]] = {}
            for name, values in kappas.items():
                shift = LEVEL[name] - 1
                if any(any(series[:shift]) for series in values.values()):
                    raise ArithmeticError(f"{name} is larger than n^{-shift}")
                for q in range(order - shift + 1):
                    row[name if q == 0 else f"{name}_{q}"] = {
                        samples: coefficient(series, shift + q) * Fraction(w) ** (shift + q)
                        for samples, series in values.items()
                    }
            out.append(row)
        return out

    def totals(self, widths: Sequence[int]) -> list[dict[str, dict[Samples, Fraction]]]:
        """The exact n_{l-1}^{k-1} cumulants at the widths n_1..n_{L-1}, all orders included."""
        self._check(widths)
        inverse = [(Fraction(1, n),) for n in widths]
        return [
            {
                name: {samples: n ** (LEVEL[name] - 1) * series[0] for samples, series in values.items()}
                for name, values in kappas.items()
            }
            for kappas, n in zip(self._cumulants(inverse, 0), (1, *widths), strict=True)
        ]

    def _check(self, widths: Sequence[Number]) -> None:
        if len(widths) != self.depth - 1:
            raise ValueError(f"{len(widths)} hidden widths for {self.depth} layers")

    def _cumulants(self, inverse: Sequence[Series], order: int) -> list[dict[str, Values]]:
        state = _first_layer(self)
        out = [_cumulants_of(state, order)]
        for layer, one_over_n in enumerate(inverse, start=1):
            state = LinearStep(
                C_b=Fraction(self.C_b[layer]),
                C_W=Fraction(self.C_W[layer]),
                lambda_b=Fraction(self.lambda_b[layer]),
                lambda_W=Fraction(self.lambda_W[layer]),
                inverse=one_over_n,
                order=order,
                old=state,
            ).next()
            out.append(_cumulants_of(state, order))
        return out


def _first_layer(net: DeepLinear) -> Raw:
    """Layer 1: covariance G and NTK delta_ij H are numbers, the other averages vanish."""
    N = range(len(net.gram))
    G: dict[Samples, Fraction] = {(a, b): net.C_b[0] + net.C_W[0] * Fraction(net.gram[a][b]) for a in N for b in N}
    H: dict[Samples, Fraction] = {
        (a, b): net.lambda_b[0] + net.lambda_W[0] * Fraction(net.gram[a][b]) for a in N for b in N
    }
    pairs, quads, sixes = (list(product(N, repeat=k)) for k in (2, 4, 6))
    state: Raw = {
        "G": {s: (G[s],) for s in pairs},
        "H": {s: (H[s],) for s in pairs},
        "GG": {s: (G[s[:2]] * G[s[2:]],) for s in quads},
        "GH": {s: (G[s[:2]] * H[s[2:]],) for s in quads},
        "HH": {s: (H[s[:2]] * H[s[2:]],) for s in quads},
        "GGG": {s: (G[s[:2]] * G[s[2:4]] * G[s[4:]],) for s in sixes},
    }
    for name in ("F", "B", "P", "Q", "R", "S", "T", "U"):
        state[name] = {s: (Fraction(0),) for s in quads}
    return state


def _cumulants_of(state: Raw, order: int) -> dict[str, Values]:
    out: dict[str, Values] = {"K": state["G"], "Theta": state["H"]}
    for name, pair, left, right in (("V", "GG", "G", "G"), ("D", "GH", "G", "H"), ("A", "HH", "H", "H")):
        out[name] = {
            s: add(value, scale(-1, multiply(state[left][s[:2]], state[right][s[2:]], order)))
            for s, value in state[pair].items()
        }
    out.update({name: state[name] for name in ("F", "B", "P", "Q", "R", "S", "T", "U")})
    V, G = out["V"], state["G"]
    out["V6"] = {}
    for six, value in state["GGG"].items():
        a, b, c = six[:2], six[2:4], six[4:]
        disconnected = [multiply(multiply(G[a], G[b], order), G[c], order)]
        for alone, others in ((a, b + c), (b, a + c), (c, a + b)):
            disconnected.append(multiply(G[alone], V[others], order))
        out["V6"][six] = add(value, *[scale(-1, term) for term in disconnected])
    return out
