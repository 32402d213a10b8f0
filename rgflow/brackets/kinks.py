"""The rule for activations with kinks: what a written second derivative may mean."""

from __future__ import annotations

from collections.abc import Iterable

from rgflow.activations import Activation
from rgflow.algebra import Recursion
from rgflow.checks import kinks_rule
from rgflow.errors import KinkError


def check_kinks(recursions: Iterable[Recursion], activation: Activation, kinks: str) -> None:
    """Raise KinkError where a recursion writes a derivative of sigma that does not exist as a function.

    For a sigma with a kink that is sigma'' and higher; for one with a jump sigma' already. With
    ``kinks="almost_everywhere"`` written derivatives are those of the branches (zero for ReLU), as automatic
    differentiation has it; derivatives that the expansion adds act exactly in any case. P and Q at leading order, for
    one input and sigma = 0 at the kink, are the same in both conventions and pass.
    """
    for recursion in recursions:
        highest = max((k for b in recursion.brackets for k in b.orders), default=0)
        check_written(recursion.name, highest, recursion.samples == "one", activation, kinks)


def check_written(name: str, highest: int, one: bool, activation: Activation, kinks: str) -> None:
    """The same rule for the recursion of one tensor whose highest written derivative is known."""
    if kinks_rule(kinks) == "almost_everywhere" or not activation.kinks:
        return
    allowed = 1 if activation.continuous else 0
    vanishing = activation.continuous and all(float(activation(c)) == 0.0 for c in activation.kinks)
    if highest > allowed and not (one and vanishing and name in ("P", "Q")):
        raise KinkError(
            f"{name} holds sigma^({highest}) of {activation.name}, which has a kink at "
            f"{', '.join(map(str, activation.kinks))}: products of such distributions have no value. "
            "Pass kinks='almost_everywhere' to take the derivatives of the branches, as automatic differentiation does"
        )
