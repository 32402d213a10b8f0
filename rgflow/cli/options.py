"""Parameters that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from rgflow.cli.completion import activations, tensors

ActivationArgument = Annotated[
    str,
    typer.Argument(
        help="A name (tanh, gelu, relu, ..) or a formula in z, as 'z*tanh(z)'.",
        autocompletion=activations,
        show_default=False,
    ),
]
TensorArgument = Annotated[
    str,
    typer.Argument(
        help="K, Theta, V, A, B, D, F, P .. U, V6, or jets; _q for corrections: V_1.",
        autocompletion=tensors,
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs, and nothing else.")]
