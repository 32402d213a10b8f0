r"""The elementary maps of which a transformer is made, and what each does to kernel and tangent kernel.

Everything follows from one statement on jets. With one tangent direction e a map y = f(x_1, ..., x_m) has the jet
y_e = sum_i (d_i f) x_{i,e}, so that for Gaussian x of covariance K and tangent kernel Theta

.. math:: K^y = E[f f'], \qquad \Theta^y = \sum_{ij} E[\partial_i f\, \partial_j f']\, \Theta^{ij}

where f and f' are of two tokens; and drawn weights, with variance C and learning rate Lambda over fan-in, give the
metric of an affine layer (:class:`rgflow.layers.affine.Affine`), g_ab = C s_a s_b + Lambda [shared e] s_{a-e} s_{b-e}.

A transformer needs weights and two kinds of f: sums, and products f = prod_i g_i(x_i) of independent arguments, for
which the statement factors: <g g'> of every argument, or <dg dg'> Theta of the one that is differentiated. For
g(x) = x these are K and Theta themselves. Cross terms vanish, since the weights of each argument are drawn by
themselves and have mean zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from rgflow.algebra.tensor import Tensor
from rgflow.algebra.terms import Term
from rgflow.derive.step import step
from rgflow.layers.affine import Affine, Source

NAMES = ("K", "Theta")


class Factor(NamedTuple):
    """Something of a stage: "K", "Theta", an average such as "<σσ>" of its values, or the factor "N" of LayerNorm."""

    what: str
    stage: str

    def __str__(self) -> str:
        return f"{self.what}_{self.stage}"


class Share(NamedTuple):
    """One term of a kernel ("K") or tangent kernel ("Theta"): the product of hyperparameters and factors."""

    tensor: str
    symbols: tuple[str, ...]
    factors: tuple[Factor, ...]

    @property
    def group(self) -> str | None:
        """The parameter group whose learning rate stands here; None for what is transported."""
        rates = [name for name in self.symbols if name.startswith("Lambda_")]
        return rates[0].removeprefix("Lambda_") if rates else None

    def __str__(self) -> str:
        return " ".join([*self.symbols, *map(str, self.factors)]) or "1"


class Argument(NamedTuple):
    """An argument of a product: a stage, and a function of it; "" is the stage itself."""

    stage: str
    function: str = ""


# <g g> and <dg dg> of two tokens. Given the metric, LayerNorm is a linear map: its own fluctuation is of order 1/n.
_AVERAGES = {"Ω": ("<ΩΩ>", "<∂Ω∂Ω>")}
_LINEAR = {"": (), "N": ("N",)}


@dataclass(frozen=True)
class Product:
    """y = prod_i g_i(x_i), with sums over the indices that ``meaning`` says."""

    name: str
    arguments: tuple[Argument, ...]
    meaning: str

    @property
    def shares(self) -> tuple[Share, ...]:
        whole = [_value(argument) for argument in self.arguments]
        found = [Share("K", (), tuple(f for factors in whole for f in factors))]
        for i, argument in enumerate(self.arguments):
            parts = [*whole[:i], _slope(argument), *whole[i + 1 :]]
            found.append(Share("Theta", (), tuple(f for factors in parts for f in factors)))
        return tuple(found)


@dataclass(frozen=True)
class Sum:
    """y = x_1 + x_2 + ..., of stages whose cross averages vanish."""

    name: str
    stages: tuple[str, ...]
    meaning: str

    @property
    def shares(self) -> tuple[Share, ...]:
        return tuple(Share(tensor, (), (Factor(tensor, stage),)) for tensor in NAMES for stage in self.stages)


@dataclass(frozen=True)
class Weights:
    """y = W x, or W sigma(x), or with a bias, with drawn parameters of one group: the law of an affine layer."""

    name: str
    source: str
    group: str
    meaning: str
    linear: bool = True
    bias: str = ""

    @property
    def law(self) -> Affine:
        bias = (f"C_{self.bias}", f"Lambda_{self.bias}") if self.bias else ("", "")
        return Affine(self.name, bias, (Source(f"C_{self.group}", f"Lambda_{self.group}", self.linear),))

    @property
    def shares(self) -> tuple[Share, ...]:
        return tuple(
            _of_term(tensor, term, self.source)
            for tensor in NAMES
            for term in step(Tensor.named(tensor), "many", self.law)
        )


Stage = Product | Sum | Weights


def _value(argument: Argument) -> tuple[Factor, ...]:
    if argument.function in _LINEAR:
        return (*_named(argument), Factor("K", argument.stage))
    return (Factor(_AVERAGES[argument.function][0], argument.stage),)


def _slope(argument: Argument) -> tuple[Factor, ...]:
    if argument.function in _LINEAR:
        return (*_named(argument), Factor("Theta", argument.stage))
    return Factor(_AVERAGES[argument.function][1], argument.stage), Factor("Theta", argument.stage)


def _named(argument: Argument) -> tuple[Factor, ...]:
    return tuple(Factor(what, argument.stage) for what in _LINEAR[argument.function])


def _of_term(tensor: str, term: Term, source: str) -> Share:
    """A term of the mean metric of two samples: hyperparameters, at most one average, at most one K or Theta."""
    if term.coefficient != 1 or term.r or len(term.tensors) > 1 or len(term.brackets) > 1:
        raise ValueError(f"{term} is no term of the kernel or tangent kernel of two tokens")
    symbols = tuple(name for name, power in term.symbols for _ in range(power))
    averages = ["<" + "".join("σ" + "'" * order for order in bracket.orders) + ">" for bracket in term.brackets]
    tensors = [value.tensor.name for value in term.tensors]
    return Share(tensor, symbols, tuple(Factor(what, source) for what in (*averages, *tensors)))
