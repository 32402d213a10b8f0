"""What can be chosen on the page: every number with its bounds, the range of its slider and what it means."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from rgflow.activations.catalogue import CATALOGUE
from rgflow.algebra.jets import Jet
from rgflow.layers import forgets
from rgflow.layers.laws import laws
from rgflow.network import Network
from rgflow.network.layer import KINDS, Layer

LONGEST_FORMULA = 200
DEEPEST, WIDEST = 512, 10**6
DEEPEST_WITH_A_PAST = 48  # layers whose 1/n part is followed here where it takes all pairs of layers


@dataclass(frozen=True)
class Field:
    """A number of the page.

    Attributes
    ----------
    name : str
    least, most : float
        What the server takes.
    low, high : float
        The ends of the slider.
    default : float
    scale : "linear" or "log"
    whole : bool
    label, says : str
        In letters, with ^ and _ for what stands high and low; and a line for readers who do not know the letter.
    """

    name: str
    least: float
    most: float
    low: float
    high: float
    default: float
    scale: str
    whole: bool
    label: str
    says: str


def _variance(name: str, label: str, default: float, high: float, says: str) -> Field:
    return Field(name, 0.0, 100.0, 0.0, high, default, "linear", False, label, says)


FIELDS: dict[str, Field] = {
    field.name: field
    for field in (
        _variance("C_W", "C_W", 1.0, 4.0, "variance of the weights, times fan-in"),
        _variance("C_b", "C_b", 0.0, 1.0, "variance of the biases"),
        _variance("C_V", "C_V", 1.0, 4.0, "variance of the second weights of a block, times fan-in"),
        _variance("C_a", "C_a", 0.0, 1.0, "variance of the second biases of a block"),
        _variance("C_P", "C_P", 1.0, 2.0, "variance of the projection, times fan-in"),
        Field("skip", -10.0, 10.0, 0.0, 1.2, 0.9, "linear", False, "skip", "strength of the skip connection"),
        Field("gate", -10.0, 10.0, 0.0, 1.0, 0.5, "linear", False, "gate", "strength of the branch, a fixed number"),
        _variance("epsilon", "ε", 0.0, 1.0, "added to what the norm divides by"),
        Field("width", 4, WIDEST, 16, 4096, 128, "log", True, "n", "neurons of a hidden layer"),
        Field("depth", 2, DEEPEST, 2, 128, 32, "log", True, "L", "weight layers"),
        Field("first_kernel", 1e-6, 1e6, 0.01, 100.0, 1.0, "log", False, "K^(1)", "kernel of layer 1: the size of z²"),
        _variance("lambda_W", "λ_W", 1.0, 4.0, "learning rate of the weights, times fan-in"),
        _variance("lambda_b", "λ_b", 1.0, 4.0, "learning rate of the biases"),
        _variance("lambda_V", "λ_V", 1.0, 4.0, "learning rate of the second weights, times fan-in"),
        _variance("lambda_a", "λ_a", 1.0, 4.0, "learning rate of the second biases"),
        _variance("lambda_P", "λ_P", 0.0, 4.0, "learning rate of the projection, times fan-in"),
    )
}
SIZES = ("width", "depth", "first_kernel")

SAYS = {
    "Dense": "z′ = b + W σ(z)",
    "Residual": "z′ = b + W σ(z) + skip z",
    "Orthogonal": "z′ = W σ(z), W orthogonal",
    "Linear": "z′ = b + W z",
    "LayerNorm": "σ and a norm of mean and variance, beside a skip",
    "RMSNorm": "σ and a norm of the mean square, beside a skip",
    "Branch": "z′ = z + V σ(W z + b) + a",
    "Gated": "z′ = z + gate · V σ(W z)",
    "Projection": "z′ = P z + V σ(W z + b) + a",
    "Reduced": "z′ = z + σ(W z + b)",
}


@cache
def kinds() -> dict[str, type[Layer]]:
    """Every kind of layer all of whose numbers have a field, by its name in small letters: dense ones first."""
    assert Network is not None  # it loads the kinds
    known = {name: kind for name, kind in KINDS.items() if set(kind.hyperparameters()) <= set(FIELDS)}
    order = [name for name in SAYS if name in known] + sorted(set(known) - set(SAYS))
    return {name.lower(): known[name] for name in order}


def numbers(kind: type[Layer]) -> tuple[str, ...]:
    """The fields of a kind, in the order of the page."""
    own = kind.hyperparameters()
    return tuple(name for name in FIELDS if name in own or name in SIZES)


def places(kind: type[Layer]) -> tuple[str, ...]:
    """Where its norm may stand, if it has one."""
    return ("before", "after") if "place" in kind.__dataclass_fields__ else ()


def reads_z(kind: type[Layer]) -> bool:
    """Whether its weights read z itself: networks of such blocks begin and end with linear layers."""
    return _facts(kind.__name__)[0]


def quick(kind: type[Layer]) -> bool:
    """Whether its recursions go from one layer to the next, so that the 1/n part is known at once."""
    return _facts(kind.__name__)[1]


@cache
def _facts(name: str) -> tuple[bool, bool]:
    rules = laws(KINDS[name]())
    parts = rules[0].integrand(Jet(1), Jet(1))
    plain = any(part.linear and not part.own and not part.scaled and part.norm is None for part in parts)
    return plain, len(rules) == 1 and forgets(rules[0])


def order(kind: type[Layer]) -> int:
    """The order in 1/n that is shown: 1, or 0 where the law is not known beyond."""
    limits = [law.order for law in laws(kind()) if law.order is not None]
    return min([1, *limits])


def choices() -> dict[str, Any]:
    """All of it for the page."""
    return {
        "activations": [
            {"name": name, "formula": entry.formula, "says": entry.meaning}
            for name, entry in CATALOGUE.items()
            if not entry.parameters
        ],
        "fields": {name: asdict(field) for name, field in FIELDS.items()},
        "layers": [
            {
                "name": name,
                "title": kind.__name__,
                "says": SAYS.get(kind.__name__, "") + _between(kind),
                "fields": numbers(kind),
                "places": places(kind),
                "odd": any(law.odd for law in laws(kind())),
                "quick": quick(kind),
                "order": order(kind),
                "defaults": {name: default(kind, name) for name in numbers(kind)},
            }
            for name, kind in kinds().items()
        ],
        "deepest_with_a_past": DEEPEST_WITH_A_PAST,
        "longest_formula": LONGEST_FORMULA,
    }


def _between(kind: type[Layer]) -> str:
    """What stands at the ends of the network, where it is another kind."""
    if kind.__name__ == "Dense":
        return ""
    return f"; between a {'linear' if reads_z(kind) else 'dense'} first and last layer"


def default(kind: type[Layer], name: str) -> float:
    """What a number is when nothing is said: that of the page for its own, else that of the description."""
    if name in (*SIZES, "skip", "gate"):
        return FIELDS[name].default
    return kind().value(name)
