"""PDLT (arXiv:2106.10165), typed by hand: recursions for one and for many inputs, solutions in depth."""

from sources.pdlt_depth import (
    TEST_LAMBDA_B,
    TEST_LAMBDA_W,
    TEST_LAYER,
    TEST_VALUES,
    scale_invariant,
    vanishing_fixed_point,
)
from sources.pdlt_many import ManyInputs
from sources.pdlt_one import LETTERS, TENSORS, Parameters, first_layer, step

__all__ = [
    "LETTERS",
    "TENSORS",
    "TEST_LAMBDA_B",
    "TEST_LAMBDA_W",
    "TEST_LAYER",
    "TEST_VALUES",
    "ManyInputs",
    "Parameters",
    "first_layer",
    "scale_invariant",
    "step",
    "vanishing_fixed_point",
]
