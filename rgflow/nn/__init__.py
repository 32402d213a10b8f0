"""PyTorch: models of a description, how to scale and tune a model of one's own, what to measure while it trains.

>>> import rgflow as rg
>>> model = rg.nn.build(rg.MLP([3, 8, 2], "tanh"), seed=0)

Needs the extra ``torch``: pip install "rgflow[torch]".
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from rgflow.errors import MissingExtra

if find_spec("torch") is None:
    raise MissingExtra("rgflow.nn", "torch")

if TYPE_CHECKING:
    pass

# Loaded when first named: each in the file of its idea.
_LATER = {
    # models and their hyperparameters
    "build": "rgflow.nn.models.build",
    "groups": "rgflow.nn.models.groups",
    "parametrize": "rgflow.nn.parametrization.parametrize",
    "calibrate": "rgflow.nn.parametrization.calibrate",
    "FirstStep": "rgflow.nn.parametrization.first_step",
    "transformer_groups": "rgflow.nn.transformer.groups",
    "tune": "rgflow.nn.tuning.tune",
    # what is measured
    "partial_jacobians": "rgflow.nn.probes.partial_jacobians",
    "activation_kernels": "rgflow.nn.probes.activation_kernels",
    "tangent_kernel": "rgflow.nn.probes.tangent_kernel",
    "tangent_kernel_spread": "rgflow.nn.probes.tangent_kernel_spread",
    "width_check": "rgflow.nn.probes.width_check",
    "ranks": "rgflow.nn.probes.ranks",
    # smooth functions
    "JacobianPenalty": "rgflow.nn.smoothness.jacobian_penalty",
    "estimator_variance": "rgflow.nn.smoothness.jacobian_penalty",
    "jacobian_norm": "rgflow.nn.smoothness.jacobian_norm",
    "expected_jacobian": "rgflow.nn.smoothness.expected_jacobian",
    "robustness": "rgflow.nn.smoothness.robustness",
    "decision_cells": "rgflow.nn.smoothness.decision_cells",
    # training
    "Data": "rgflow.nn.training.data",
    "digits": "rgflow.nn.training.data",
    "mnist": "rgflow.nn.training.data",
    "fit": "rgflow.nn.training.fit",
    "Interrupted": "rgflow.nn.training.fit",
    "save_checkpoint": "rgflow.nn.training.checkpoint",
    "load_checkpoint": "rgflow.nn.training.checkpoint",
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
