"""Linked: the lines of a tensor where layers are linked by the past of their neurons, or made of several weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from rgflow.algebra import linked_text
from rgflow.algebra.response import Line
from rgflow.algebra.tensor import Tensor
from rgflow.errors import InputError


@dataclass(frozen=True)
class Linked:
    """The lines from which a tensor follows, at one order in 1/n.

    Attributes
    ----------
    tensor : Tensor
    samples : "one" or "many"
        One input, or a different sample in each argument (lines of coinciding samples have total derivatives).
    layer : str
        The kind of layer.
    stages : tuple of str
        Its laws, one for each weight matrix, in order.
    lines : tuple of Line
        A mean (K, Theta), fluctuations dG of entries, or a shift of the mean (K_1, Theta_1). A tensor of two entries is
        n <dG dG>, of z itself: with a carry it has the neurons' own past, n <eta[z z] dG>, besides.

    dG(l+1) is linear in dG below and in the noise eta[f] of n neurons, whose covariance between two layers is
    n <eta[f](l) eta[g](m)> = <f(z^l) g(z^m)> - <f><g> (see :mod:`rgflow.algebra.response`).
    """

    tensor: Tensor
    samples: str
    layer: str
    stages: tuple[str, ...]
    lines: tuple[Line, ...]
    carries: bool
    scales: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name that values of the tensor carry."""
        return self.tensor.name

    @property
    def order(self) -> int:
        """q, the power of 1/n beyond the tensor's leading one."""
        return self.tensor.order

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the lines rest on."""
        return (
            f"layer: {self.layer}; its law (constants, integrand, cumulants of its parameters) is the only input",
            "a neuron keeps its own past: layers are linked, and averages over one neuron see two of them"
            if self.carries
            else "every weight matrix has neurons of its own",
            "brackets sit at the order-0 kernel; hyperparameters are those of the new layer",
            "leading order in 1/n for cumulants and next order for means",
        )

    @property
    def steps(self) -> NoReturn:
        """Only recursions from one layer to the next have steps: InputError."""
        raise InputError(
            f"{self.name} of a {self.layer} layer has no steps: it follows from lines that link layers; print them. "
            "Recursions from one layer to the next have steps: those of dense, linear and orthogonal layers, and of "
            "residual ones with closure='book'"
        )

    @property
    def _head(self) -> tuple[Tensor, bool, bool, bool]:
        many = self.samples == "many"
        return self.tensor, many, self.carries, any(answer.noises for line in self.lines for answer in line.answers)

    def latex(self) -> str:
        """The lines as LaTeX, aligned (without delimiters)."""
        rows = [linked_text.latex_line(line, len(self.stages)) for line in self.lines]
        rows = [*linked_text.latex_head(*self._head), *rows, *map(linked_text.latex_scale, self.scales)]
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"

    def __str__(self) -> str:
        rows = [linked_text.text_line(line, len(self.stages)) for line in self.lines]
        return "\n".join([*linked_text.head(*self._head), *rows, *map(linked_text.scale_law, self.scales)])

    def __repr__(self) -> str:
        return f"<Linked {self.name}: {len(self.lines)} lines of a {self.layer} layer>"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __iter__(self) -> Iterator[Line]:
        return iter(self.lines)
