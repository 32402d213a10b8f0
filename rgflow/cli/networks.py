"""Networks from the options of a command line: dense layers, and those of another kind between the first and last."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rgflow.errors import InputError

if TYPE_CHECKING:
    from rgflow.cli.inputs import Given
    from rgflow.network import Layer, Network


def network(
    activation: str, width: int, depth: int, n_out: int | None, n_in: int, kind: Layer | None, values: dict[str, str]
) -> Network:
    """Dense layers; between the first and the last, those of ``kind`` with the same hyperparameters."""
    from rgflow.network import MLP, Network

    numbers = {name: _numbers(_option(name), text) for name, text in values.items()}
    net = MLP.uniform(n_in, width, depth, n_out, activation, **numbers)
    if kind is None:
        return net
    name, own = type(kind).__name__.lower(), kind.hyperparameters()
    if more := [each for each in own if each not in (*values, "skip")]:
        raise InputError(
            f"--layer {name} has hyperparameters that are no options here ({', '.join(more)}); describe the network in "
            f"Python: rgflow.Network([..., rgflow.{type(kind).__name__}(...), ...], widths, activation)"
        )
    for missing in (each for each in values if each not in own):
        if any(layer.value(missing) for layer in net.layers[1:-1]):
            raise InputError(
                f"{_option(missing)} is {values[missing]}, but --layer {name} has no {missing}; give 0, or one per "
                "layer with 0 for those between the first and the last"
            )
    shared = [each for each in values if each in own]
    inner = [kind.changed(**{each: layer.value(each) for each in shared}) for layer in net.layers[1:-1]]
    return Network([net.layers[0], *inner, *net.layers[1:][-1:]], net.widths, net.activation)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def followed(shown: Given, kind: Layer | None) -> Given:
    """By default one digit instead of two where neurons keep their past: two through all pairs of layers take long."""
    from rgflow.layers import laws

    if kind is None or shown.inputs is None or not any(law.carry for law in laws(kind)):
        return shown
    text = f"a 0 of scikit-learn's digits ({shown.n_in} pixels), scaled to x·x/n_0 = 1"
    return replace(shown, inputs=shown.inputs[:1], text=text)


def _numbers(option: str, text: str) -> float | list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} is {text!r}; give a number, or one per layer separated by commas") from None
    return values[0] if len(values) == 1 else values
