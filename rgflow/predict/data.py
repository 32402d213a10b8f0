"""What a network is to learn: inputs with their targets, and inputs at which it is asked to predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError
from rgflow.network import Network
from rgflow.network.inputs import finite

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Task:
    """A regression: N training inputs with targets, and M test inputs, with targets if they are known.

    Attributes
    ----------
    train : array (N, n_0)
    targets : array (N, n_out)
    test : array (M, n_0)
    answers : array (M, n_out) or None
        The targets of the test inputs.
    """

    train: Floats
    targets: Floats
    test: Floats
    answers: Floats | None

    @property
    def inputs(self) -> Floats:
        """All inputs, (N + M, n_0): training first."""
        return np.concatenate([self.train, self.test])

    @property
    def size(self) -> int:
        """N, the number of training inputs."""
        return len(self.train)


def task(net: Network, train: Any, test: Any) -> Task:
    """Validate ``train`` = (inputs, targets) and ``test`` = inputs or (inputs, targets) for a network.

    Inputs are (N, n_0), or (n_0,) for a single one; targets (N, n_out), or (N,) for networks of one output.

    Raises InputError for what is not a network, wrong shapes, no inputs and values that are not finite.
    """
    if not isinstance(net, Network):
        raise InputError(f"{net!r} is not a network; give rgflow.MLP(...) or rgflow.Network(...)")
    if not (isinstance(train, tuple) and len(train) == 2):
        raise InputError("train is not a pair; give train=(inputs, targets), a tuple of two arrays")
    x, y = _examples(net, "train", *train)
    if isinstance(test, tuple) and len(test) == 2 and np.ndim(test[0]) >= 1:
        return Task(x, y, *_examples(net, "test", *test))
    return Task(x, y, _inputs(net, "test", test), None)


def _examples(net: Network, name: str, inputs: Any, targets: Any) -> tuple[Floats, Floats]:
    x = _inputs(net, f"{name} inputs", inputs)
    y = finite(f"{name} targets", targets)
    n_out = net.widths[-1]
    if n_out == 1 and y.ndim <= 1:
        y = y.reshape(-1, 1)
    elif y.ndim == 1 and len(x) == 1:
        y = y[None, :]
    if y.shape != (len(x), n_out):
        raise InputError(
            f"{name} targets have shape {np.shape(targets)}; for {len(x)} inputs and {n_out} outputs give "
            f"({len(x)}, {n_out})"
        )
    return x, y


def _inputs(net: Network, name: str, values: Any) -> Floats:
    x = finite(name, values)
    n_0 = net.widths[0]
    x = x[None, :] if x.ndim == 1 else x
    if x.ndim != 2 or x.shape[1] != n_0:
        raise InputError(f"{name} have shape {np.shape(values)}; the network takes (N, {n_0}), or ({n_0},) for one")
    return x
