"""rgflow: a physicist's engine for deep random networks of finite width.

It derives the layer-to-layer recursions of every cumulant of a random network, to any order in 1/width, from the
definition of a layer; compiles them; flows them through depth; and checks itself against sampled networks.

>>> import rgflow as rg
>>> print(rg.derive("K_1"))
K_1' = 1/2 r C_W K_1 <∂^2[σσ]> + 1/8 r C_W V <∂^4[σσ]>
"""

from rgflow.activations import Activation, activation
from rgflow.algebra import Recursion, System, Tensor
from rgflow.derive import closure, derive
from rgflow.errors import (
    AccuracyError,
    FormulaError,
    InputError,
    KinkError,
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

__all__ = [
    "MLP",
    "AccuracyError",
    "Activation",
    "Dense",
    "FormulaError",
    "InputError",
    "KinkError",
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
    "closure",
    "compiled",
    "derive",
    "flow",
    "load",
    "sample",
    "save",
    "total",
]
