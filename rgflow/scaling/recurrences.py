r"""The mean-field recurrences of a block, read off the laws of its layers: nothing of them is typed here.

A block is a chain of stages: 0 is its input x, the last one its output x', those between are hidden layers. To leading
order in 1/width the metric of a stage is the average of its law's integrand over the Gaussian neurons of the stages
below. Its jets without directions give the kernel, those with one direction the tangent kernel,

.. math:: K_s = \sum_t c_t \{1, K_{u}, \langle\sigma\sigma\rangle_{K_u}\}, \qquad
          \Theta_s = \sum_t c_t \{\lambda, \Theta_u, \langle\sigma'\sigma'\rangle_{K_u} \Theta_u\},

and squared gradients are derivatives of the latter: dTheta^L/dTheta^l for neurons, dTheta^L/dlambda for parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rgflow.algebra.jets import Jet
from rgflow.algebra.response import Answer
from rgflow.derive.response import mean
from rgflow.layers import laws
from rgflow.network import Layer

# One entry of the metric of two inputs: without directions K, with the same one Theta.
ENTRIES = {"K": (Jet(1), Jet(2)), "Theta": (Jet(1, (0,)), Jet(2, (0,)))}


@dataclass(frozen=True)
class Share:
    """A term of a recurrence: symbols * [<sigma^{(k_1)} sigma^{(k_2)}>_{K_source}] * [K or Theta of the source].

    Attributes
    ----------
    stage : int
        The stage that it adds to, 1 for the first above the input.
    symbols : tuple of str
        Hyperparameters, as a product.
    source : int
        The stage that is read; -1 for a constant.
    orders : tuple of int
        Written derivatives k_1, k_2 of the average; empty without one.
    tensor : "K", "Theta" or ""
        What of the source multiplies it.
    """

    stage: int
    symbols: tuple[str, ...]
    source: int
    orders: tuple[int, ...] = ()
    tensor: str = ""

    def __str__(self) -> str:
        average = f"<{' '.join('s' + k * chr(39) for k in self.orders)}>_{self.source}" if self.orders else ""
        tensor = f"{self.tensor}_{self.source}" if self.tensor else ""
        return " ".join(x for x in (*self.symbols, average, tensor) if x) or "1"


@dataclass(frozen=True)
class Recurrences:
    """Kernel and tangent kernel of every stage of a block.

    Attributes
    ----------
    stages : int
        How many above the input: 1 for a plain layer, 2 for a branch.
    kernel, tangent : tuple of Share
    odd : bool
        They hold for odd activations only.

    >>> from rgflow.network.kinds.branch import Branch
    >>> print(recurrences(Branch()))
    K_1 = C_b + C_W K_0
    K_2 = C_a + K_0 + C_V <s s>_1
    Theta_1 = lambda_b + C_W Theta_0 + lambda_W K_0
    Theta_2 = lambda_a + Theta_0 + C_V <s' s'>_1 Theta_1 + lambda_V <s s>_1
    """

    stages: int
    kernel: tuple[Share, ...]
    tangent: tuple[Share, ...]
    odd: bool = False

    def __str__(self) -> str:
        lines = []
        for name, shares in (("K", self.kernel), ("Theta", self.tangent)):
            for stage in range(1, self.stages + 1):
                lines.append(f"{name}_{stage} = " + " + ".join(str(x) for x in shares if x.stage == stage))
        return "\n".join(lines)


@lru_cache(maxsize=64)
def recurrences(layer: Layer) -> Recurrences:
    """The recurrences of a layer's kind, at leading order in 1/width; hyperparameters stay symbols.

    Raises InputError for what is not a layer.
    """
    rules = laws(layer)
    found: dict[str, list[Share]] = {"K": [], "Theta": []}
    for stage, rule in enumerate(rules, start=1):
        for name, entry in ENTRIES.items():
            found[name] += [Share(stage, (symbol,), -1) for symbol in rule.constants(*entry)]
            found[name] += [_share(stage, answer) for answer in mean(entry, rule)]
    return Recurrences(len(rules), tuple(found["K"]), tuple(found["Theta"]), any(rule.odd for rule in rules))


def _share(stage: int, answer: Answer) -> Share:
    """A term of a mean: one average at most, one K or Theta at most, each once."""
    tensors = ["K"] * len(answer.kernels) + ["Theta"] * len(answer.thetas)
    bracket = answer.bracket
    if answer.coefficient != 1 or len(tensors) > 1 or (bracket is not None and bracket.pending):
        raise ValueError(f"{answer} is no term of the kernel or the tangent kernel of two inputs")
    orders = () if bracket is None else bracket.orders
    return Share(stage, answer.symbols, stage - answer.back, orders, "".join(tensors))
