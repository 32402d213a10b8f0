"""Transformers at initialisation: kernel and tangent kernel over pairs of tokens, and how they scale with the sizes."""

from rgflow.transformer.blocks import Chain, transformer_chain
from rgflow.transformer.depth import deep_transformer, depth_exponents
from rgflow.transformer.flow import transformer_flow
from rgflow.transformer.scalings import GroupScaling, TransformerScaling, transformer_scaling

__all__ = [
    "Chain",
    "GroupScaling",
    "TransformerScaling",
    "deep_transformer",
    "depth_exponents",
    "transformer_chain",
    "transformer_flow",
    "transformer_scaling",
]
