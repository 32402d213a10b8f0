"""PyTorch: models of a description, how to scale and tune a model of one's own, what to measure while it trains.

>>> import rgflow as rg
>>> model = rg.nn.build(rg.MLP([3, 8, 2], "tanh"), seed=0)

Needs the extra ``torch``: pip install "rgflow[torch]".
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rgflow.errors import MissingExtra

if find_spec("torch") is None:
    raise MissingExtra("rgflow.nn", "torch")

if TYPE_CHECKING:
    pass

# Loaded when first named: each in the file of its idea.
_LATER = {
    # models and their hyperparameters
    "build": "rgflow.nn.build",
    "groups": "rgflow.nn.groups",
    "parametrize": "rgflow.nn.parametrize",
    "calibrate": "rgflow.nn.calibrate",
    "FirstStep": "rgflow.nn.first_step",
    "transformer_groups": "rgflow.nn.transformer.groups",
    "tune": "rgflow.nn.tune",
    # what is measured
    "partial_jacobians": "rgflow.nn.probes.partial_jacobians",
    "activation_kernels": "rgflow.nn.probes.activation_kernels",
    "tangent_kernel": "rgflow.nn.probes.tangent_kernel",
    "tangent_kernel_spread": "rgflow.nn.probes.tangent_kernel_spread",
    "width_check": "rgflow.nn.probes.width_check",
    "ranks": "rgflow.nn.probes.ranks",
    # smooth functions
    "JacobianPenalty": "rgflow.nn.jacobian_penalty",
    "estimator_variance": "rgflow.nn.jacobian_penalty",
    "jacobian_norm": "rgflow.nn.jacobian_norm",
    "expected_jacobian": "rgflow.nn.expected_jacobian",
    "robustness": "rgflow.nn.robustness",
    "decision_cells": "rgflow.nn.decision_cells",
    # training
    "Data": "rgflow.nn.data",
    "digits": "rgflow.nn.data",
    "mnist": "rgflow.nn.data",
    "fit": "rgflow.nn.fit",
    "Interrupted": "rgflow.nn.fit",
    "save_checkpoint": "rgflow.nn.checkpoint",
    "load_checkpoint": "rgflow.nn.checkpoint",
    "FluctuationMonitor": "rgflow.nn.fluctuation.monitor",
    "FluctuationScheduler": "rgflow.nn.fluctuation.scheduler",
    "landscape": "rgflow.nn.fluctuation.landscape",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'rgflow.nn' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_LATER[name]), name)
    return found


__all__ = list(_LATER)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Room(ModuleType):
    """Importing a file of this room binds its name here; the function of that name keeps its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _LATER and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Room
