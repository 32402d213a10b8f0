"""Which papers stand behind which part of rgflow: two tables, read by :mod:`rgflow.citation.citation`."""

from __future__ import annotations

FAMILIES = ("meta-principles", "abc")
VARIATION = ("edge-of-chaos", "variation")

# A module, with all that is below it, and what it rests on; the longest name that fits decides.
MODULES: dict[str, tuple[str, ...]] = {
    "rgflow": (),
    "rgflow.algebra": ("pdlt",),
    "rgflow.brackets": ("pdlt",),
    "rgflow.codegen": ("pdlt",),
    "rgflow.derive": ("pdlt",),
    "rgflow.flow": ("pdlt",),
    "rgflow.flow.jacobian": ("pdlt", "partial-jacobians"),
    "rgflow.gram": ("pdlt",),
    "rgflow.layers": ("pdlt",),
    "rgflow.layers.kinds.orthogonal": ("pdlt", "orthogonal"),
    "rgflow.network": ("pdlt",),
    "rgflow.network.kinds.branch": ("pdlt", "edge-of-chaos"),
    "rgflow.network.kinds.layer_norm": ("pdlt", "partial-jacobians"),
    "rgflow.network.kinds.orthogonal": ("pdlt", "orthogonal"),
    "rgflow.network.kinds.projection": ("pdlt", "variation"),
    "rgflow.network.kinds.reduced": ("pdlt", "edge-of-chaos"),
    "rgflow.network.kinds.rms_norm": ("pdlt", "partial-jacobians"),
    "rgflow.network.transformer": ("transformers",),
    "rgflow.nn.fluctuation": ("fluctuation",),
    "rgflow.nn.models": ("pdlt",),
    "rgflow.nn.parametrization": FAMILIES,
    "rgflow.nn.parametrization.calibrate": ("abc", "integrable"),
    "rgflow.nn.parametrization.first_step": ("abc", "integrable"),
    "rgflow.nn.parametrization.parametrize": (*FAMILIES, "mu-transfer"),
    "rgflow.nn.parametrization.parametrized": (*FAMILIES, "mu-transfer"),
    "rgflow.nn.probes.activation_kernels": ("pdlt",),
    "rgflow.nn.probes.partial_jacobians": ("pdlt", "partial-jacobians"),
    "rgflow.nn.probes.ranks": ("integrable",),
    "rgflow.nn.probes.tangent_kernel": ("pdlt", "tangent-kernel"),
    "rgflow.nn.probes.tangent_kernel_spread": ("pdlt", "tangent-kernel"),
    "rgflow.nn.probes.width_check": ("abc", "integrable"),
    "rgflow.nn.smoothness": ("jacobian",),
    "rgflow.nn.smoothness.expected_jacobian": ("pdlt", "partial-jacobians", "jacobian"),
    "rgflow.nn.smoothness.robustness": ("jacobian", "attacks"),
    "rgflow.nn.transformer": ("transformers", "meta-principles"),
    "rgflow.nn.tuning": ("partial-jacobians", "autoinit"),
    "rgflow.predict": ("pdlt",),
    "rgflow.predict.bayes": ("pdlt", "non-gaussian"),
    "rgflow.sampling": ("pdlt",),
    "rgflow.sampling.gradients": ("pdlt", "edge-of-chaos"),
    "rgflow.sampling.jacobian": ("pdlt", "partial-jacobians"),
    "rgflow.sampling.transformer": ("transformers",),
    "rgflow.scaling": VARIATION,
    "rgflow.scaling.critical_line": ("pdlt", "partial-jacobians"),
    "rgflow.scaling.families": FAMILIES,
    "rgflow.scaling.families.exponents": ("pdlt", *FAMILIES),
    "rgflow.scaling.jacobian_law": ("pdlt", "partial-jacobians"),
    "rgflow.scaling.transfer": ("mu-transfer",),
    "rgflow.sweeps": ("pdlt",),
    "rgflow.transformer": ("transformers",),
    "rgflow.transformer.scalings": ("transformers", "meta-principles"),
    "rgflow.universality": ("pdlt",),
    "rgflow.universality.fixed_points": ("pdlt", "propagation"),
    "rgflow.universality.phase": ("pdlt", "propagation"),
}

# The family of a parametrisation, where it has a paper of its own.
PRESETS: dict[str, tuple[str, ...]] = {"ip": ("integrable",), "ip-llr": ("integrable",), "hybrid": ("integrable",)}

# What a Dataset says it is, as the module whose result it is. A measurement says it in ``what``.
DATASETS: dict[str, str] = {
    "coefficients": "rgflow.flow",
    "totals": "rgflow.flow",
    "posterior": "rgflow.predict.bayes",
    "trained": "rgflow.predict.training",
    "information": "rgflow.predict.information",
    "transformer": "rgflow.transformer",
    "sampled transformer": "rgflow.sampling.transformer",
    "phase diagram": "rgflow.universality.phase",
    "variation": "rgflow.scaling.variation",
    "variation diagram": "rgflow.scaling.growth",
    "scaling family": "rgflow.scaling.families.exponents",
    "scaling web": "rgflow.scaling.families.exponents",
    "nearly kernel": "rgflow.predict.training",
    "quadratic model": "rgflow.predict.training",
    "best learning rates": "rgflow.scaling.transfer",
    "training": "rgflow.nn.training",
    "parametrisation": "rgflow.nn.parametrization.parametrized",
    "expected jacobian": "rgflow.nn.smoothness.expected_jacobian",
    "jacobian norm": "rgflow.nn.smoothness",
    "robustness": "rgflow.nn.smoothness.robustness",
    "decision cells": "rgflow.nn.smoothness",
    "fluctuations": "rgflow.nn.fluctuation",
    "landscape": "rgflow.nn.fluctuation",
    "activation kernels": "rgflow.nn.probes.activation_kernels",
    "partial jacobians": "rgflow.nn.probes.partial_jacobians",
    "ranks": "rgflow.nn.probes.ranks",
    "tangent kernel": "rgflow.nn.probes.tangent_kernel",
    "tangent kernel spread": "rgflow.nn.probes.tangent_kernel_spread",
    "tuned": "rgflow.nn.tuning",
    "width check": "rgflow.nn.probes.width_check",
}

# Variables that only one function writes into a Dataset of a common kind.
VARIABLES: dict[str, str] = {
    "J": "rgflow.flow.jacobian",
    "chi_J": "rgflow.flow.jacobian",
    "O_L": "rgflow.nn.fluctuation",
    "penalty": "rgflow.nn.smoothness",
}
