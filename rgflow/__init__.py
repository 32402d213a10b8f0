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
from rgflow.citation import citation
from rgflow.derive import closure, derive
from rgflow.errors import (
    AccuracyError,
    BrokenStep,
    DomainWarning,
    FormulaError,
    InputError,
    KinkError,
    MissingExtra,
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
from rgflow.gram.gram import gram
from rgflow.network import MLP, Dense, Network
from rgflow.sampling import sample
from rgflow.version import __version__

if TYPE_CHECKING:
    from rgflow.brackets.closed import closed_form as closed_form
    from rgflow.flow.jacobian import partial_jacobian as partial_jacobian
    from rgflow.network.kinds.branch import Branch as Branch
    from rgflow.network.kinds.gated import Gated as Gated
    from rgflow.network.kinds.layer_norm import LayerNorm as LayerNorm
    from rgflow.network.kinds.linear import Linear as Linear
    from rgflow.network.kinds.orthogonal import Orthogonal as Orthogonal
    from rgflow.network.kinds.projection import Projection as Projection
    from rgflow.network.kinds.reduced import Reduced as Reduced
    from rgflow.network.kinds.residual import Residual as Residual
    from rgflow.network.kinds.rms_norm import RMSNorm as RMSNorm
    from rgflow.network.transformer import Transformer as Transformer
    from rgflow.predict.aspect.ratio import aspect_ratio as aspect_ratio
    from rgflow.predict.bayes.posterior import posterior as posterior
    from rgflow.predict.bayes.prior import prior as prior
    from rgflow.predict.contractions import contract as contract
    from rgflow.predict.information.entropy import information as information
    from rgflow.predict.training.nearly_kernel import nearly_kernel_predict as nearly_kernel_predict
    from rgflow.predict.training.quadratic_model import QuadraticModel as QuadraticModel
    from rgflow.predict.training.readout import readout_only as readout_only
    from rgflow.predict.training.trained import trained as trained
    from rgflow.sampling.jacobian import sample_jacobian as sample_jacobian
    from rgflow.sampling.transformer import sample_transformer as sample_transformer
    from rgflow.scaling.critical_line import critical_line as critical_line
    from rgflow.scaling.families.family import family as family
    from rgflow.scaling.growth import variation_phases as variation_phases
    from rgflow.scaling.jacobian_law import jacobian_law as jacobian_law
    from rgflow.scaling.suggest import suggest_variation as suggest_variation
    from rgflow.scaling.transfer import best_rates as best_rates
    from rgflow.scaling.transfer import rate_shift as rate_shift
    from rgflow.scaling.variation import variation as variation
    from rgflow.scaling.variation import variation_network as variation_network
    from rgflow.sweeps.sweep import sweep as sweep
    from rgflow.transformer.blocks import transformer_chain as transformer_chain
    from rgflow.transformer.depth import deep_transformer as deep_transformer
    from rgflow.transformer.flow import transformer_flow as transformer_flow
    from rgflow.transformer.scalings import transformer_scaling as transformer_scaling
    from rgflow.universality import correlation_lengths as correlation_lengths
    from rgflow.universality import learning_rates as learning_rates
    from rgflow.universality import phase_diagram as phase_diagram
    from rgflow.universality.criticality import criticality as criticality
    from rgflow.universality.solve import solve as solve
    from rgflow.universality.tune import tune as tune

# Loaded when first named: what needs SymPy, and the kinds of layers.
_LATER = {
    "Branch": "rgflow.network.kinds.branch",
    "Gated": "rgflow.network.kinds.gated",
    "LayerNorm": "rgflow.network.kinds.layer_norm",
    "Linear": "rgflow.network.kinds.linear",
    "Orthogonal": "rgflow.network.kinds.orthogonal",
    "Projection": "rgflow.network.kinds.projection",
    "QuadraticModel": "rgflow.predict.training.quadratic_model",
    "RMSNorm": "rgflow.network.kinds.rms_norm",
    "Reduced": "rgflow.network.kinds.reduced",
    "Residual": "rgflow.network.kinds.residual",
    "Transformer": "rgflow.network.transformer",
    "aspect_ratio": "rgflow.predict.aspect.ratio",
    "best_rates": "rgflow.scaling.transfer",
    "closed_form": "rgflow.brackets.closed",
    "contract": "rgflow.predict.contractions",
    "correlation_lengths": "rgflow.universality",
    "critical_line": "rgflow.scaling.critical_line",
    "criticality": "rgflow.universality",
    "deep_transformer": "rgflow.transformer.depth",
    "family": "rgflow.scaling.families.family",
    "information": "rgflow.predict.information.entropy",
    "jacobian_law": "rgflow.scaling.jacobian_law",
    "learning_rates": "rgflow.universality",
    "nearly_kernel_predict": "rgflow.predict.training.nearly_kernel",
    "partial_jacobian": "rgflow.flow.jacobian",
    "phase_diagram": "rgflow.universality",
    "posterior": "rgflow.predict.bayes.posterior",
    "prior": "rgflow.predict.bayes.prior",
    "rate_shift": "rgflow.scaling.transfer",
    "readout_only": "rgflow.predict.training.readout",
    "sample_jacobian": "rgflow.sampling.jacobian",
    "sample_transformer": "rgflow.sampling.transformer",
    "solve": "rgflow.universality",
    "suggest_variation": "rgflow.scaling",
    "sweep": "rgflow.sweeps.sweep",
    "trained": "rgflow.predict.training.trained",
    "transformer_chain": "rgflow.transformer.blocks",
    "transformer_flow": "rgflow.transformer.flow",
    "transformer_scaling": "rgflow.transformer.scalings",
    "tune": "rgflow.universality",
    "variation": "rgflow.scaling",
    "variation_network": "rgflow.scaling",
    "variation_phases": "rgflow.scaling",
}


def __getattr__(name: str) -> Any:
    if name in ("extend", "nn", "plots"):
        return import_module(f"rgflow.{name}")
    if name not in _LATER:
        raise AttributeError(f"module 'rgflow' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_LATER[name]), name)
    return found


__all__ = [
    "MLP",
    "AccuracyError",
    "Activation",
    "BrokenStep",
    "Dense",
    "DomainWarning",
    "FormulaError",
    "InputError",
    "KinkError",
    "MissingExtra",
    "Network",
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
    "citation",
    "closure",
    "compiled",
    "derive",
    "extend",
    "flow",
    "gram",
    "load",
    "nn",
    "plots",
    "sample",
    "save",
    "total",
    *_LATER,
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
