"""Terms: coefficient x hyperparameters x tensors x Gaussian brackets, the pieces of a recursion."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from rgflow.algebra.tensor import Labels, Tensor

# Hyperparameters of a dense layer; other kinds bring others.
SYMBOLS = ("C_b", "C_W", "lambda_b", "lambda_W")


@dataclass(frozen=True, order=True)
class Bracket:
    """< d^m [ prod_i sigma^{(k_i)}(z_{a_i}) ] >_K, a Gaussian average over one neuron at the order-0 kernel K.

    Attributes
    ----------
    factors : tuple of (sample, k)
        The written factors sigma^{(k)}(z_sample), sorted. With one input every sample is 0.
    pending : int
        Number m of derivatives that the expansion in 1/n puts on the whole bracket. With one input each is the total
        derivative in z; with several, each carries an index that is summed over the samples of the bracket.

    The two kinds of derivatives stay apart: for an activation with a kink only pending ones act as distributions.
    """

    factors: tuple[tuple[int, int], ...]
    pending: int = 0

    @property
    def orders(self) -> tuple[int, ...]:
        """The written derivative orders, in the order of the factors."""
        return tuple(order for _, order in self.factors)


@dataclass(frozen=True)
class Value:
    """A tensor of the previous layer with an index in each argument.

    A positive index is an external sample; a negative index -(b+1) is summed: its derivative acts on bracket b of the
    term. With one input there are no indices.
    """

    tensor: Tensor
    indices: Labels = ()


@dataclass(frozen=True)
class Term:
    """coefficient * prod symbols^power * r^p * prod tensors * prod brackets.

    Attributes
    ----------
    coefficient : Fraction
    symbols : tuple of (name, power)
        Hyperparameters of the layer that is being added: C_b, C_W, lambda_b, lambda_W, and others of its kind.
    r : int
        Power of the width ratio r = n_l / n_{l-1}.
    tensors : tuple of Value
    brackets : tuple of Bracket
    """

    coefficient: Fraction
    symbols: tuple[tuple[str, int], ...]
    r: int
    tensors: tuple[Value, ...]
    brackets: tuple[Bracket, ...]

    @property
    def body(self) -> tuple[object, ...]:
        """Everything but the coefficient: two terms with equal bodies are alike."""
        return (self.symbols, self.r, self.tensors, self.brackets)

    @property
    def depends_on(self) -> frozenset[Tensor]:
        """The tensors of the previous layer in this term."""
        return frozenset(value.tensor for value in self.tensors)
