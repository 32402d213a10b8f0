"""The activations that have a name: one row each, its formula, its parameters and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """A named activation: formula text in z and in its parameters, with their default values."""

    formula: str
    meaning: str
    parameters: dict[str, int | float] = field(default_factory=dict)


CATALOGUE: dict[str, Entry] = {
    "linear": Entry("z", "identity"),
    "relu": Entry("relu(z)", "rectified linear unit, max(z, 0)"),
    "leaky_relu": Entry("Max(z, 0) + slope*Min(z, 0)", "z for z > 0, slope*z for z < 0", {"slope": 0.01}),
    "tanh": Entry("tanh(z)", "hyperbolic tangent"),
    "sigmoid": Entry("sigmoid(z)", "logistic function 1/(1 + exp(-z))"),
    "erf": Entry("erf(z)", "error function"),
    "probit": Entry("erf(z/sqrt(2))", "2 P(N(0, 1) < z) - 1"),
    "sin": Entry("sin(z)", "sine"),
    "cos": Entry("cos(z)", "cosine"),
    "exp": Entry("exp(z)", "exponential"),
    "gelu": Entry("z*(1 + erf(z/sqrt(2)))/2", "z P(N(0, 1) < z), the exact form (arXiv:1606.08415)"),
    "gelu_tanh": Entry(
        "z*(1 + tanh(sqrt(2/pi)*(z + 0.044715*z**3)))/2", "the tanh approximation of gelu (arXiv:1606.08415)"
    ),
    "silu": Entry("z*sigmoid(z)", "sigmoid linear unit, swish with beta = 1 (arXiv:1702.03118)"),
    "swish": Entry("z*sigmoid(beta*z)", "z sigmoid(beta z) (arXiv:1710.05941)", {"beta": 1.0}),
    "softplus": Entry("softplus(z)", "log(1 + exp(z))"),
    "mish": Entry("z*tanh(softplus(z))", "z tanh(softplus(z)) (arXiv:1908.08681)"),
    "gaussian": Entry("exp(-z**2/2)", "exp(-z^2/2)"),
    "zgaussian": Entry("z*exp(-z**2/2)", "z exp(-z^2/2)"),
    "monomial": Entry("z**degree", "z^degree", {"degree": 2}),
}
"""Activations by name."""
