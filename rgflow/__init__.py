"""rgflow: a physicist's engine for deep random networks of finite width.

It derives the layer-to-layer recursions of every cumulant of a random network, to any order in 1/width, from the
definition of a layer; compiles them; flows them through depth; and checks itself against sampled networks.

>>> import rgflow as rg
>>> print(rg.derive("K_1"))
K_1' = 1/2 r C_W K_1 <∂^2[σσ]> + 1/8 r C_W V <∂^4[σσ]>
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rgflow.activations import Activation, activation
from rgflow.algebra import Recursion, System, Tensor
from rgflow.derive import closure, derive
from rgflow.errors import (
    AccuracyError,
    FormulaError,
    InputError,
    KinkError,
    NoClosedForm,
    NoCriticalPoint,
    NotForest,
    OrderError,
    RgflowError,
    StoreError,
    UnknownName,
)
from rgflow.files import load, save
from rgflow.flow import compiled, flow, total
from rgflow.network import MLP, Dense
from rgflow.sampling import sample
from rgflow.version import __version__

if TYPE_CHECKING:
    from rgflow.brackets.closed import closed_form
    from rgflow.universality import correlation_lengths, learning_rates, phase_diagram
    from rgflow.universality.criticality import criticality
    from rgflow.universality.solve import solve
    from rgflow.universality.tune import tune

# What needs SymPy is loaded when it is first named.
_LATER = {"closed_form": "rgflow.brackets.closed"} | dict.fromkeys(
    ("correlation_lengths", "criticality", "learning_rates", "phase_diagram", "solve", "tune"), "rgflow.universality"
)


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'rgflow' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_LATER[name]), name)
    return found


__all__ = [
    "MLP",
    "AccuracyError",
    "Activation",
    "Dense",
    "FormulaError",
    "InputError",
    "KinkError",
    "NoClosedForm",
    "NoCriticalPoint",
    "NotForest",
    "OrderError",
    "Recursion",
    "RgflowError",
    "StoreError",
    "System",
    "Tensor",
    "UnknownName",
    "__version__",
    "activation",
    "closed_form",
    "closure",
    "compiled",
    "correlation_lengths",
    "criticality",
    "derive",
    "flow",
    "learning_rates",
    "load",
    "phase_diagram",
    "sample",
    "save",
    "solve",
    "total",
    "tune",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
