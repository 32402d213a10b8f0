"""From a flow to the numbers that training needs: tensors of the output layer on training modes and test samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor
from rgflow.errors import InputError, KinkError
from rgflow.flow import flow
from rgflow.network import Layer, Network
from rgflow.predict.data import Task

if TYPE_CHECKING:
    import xarray

Floats = NDArray[np.float64]
EPSILON = np.finfo(float).eps

# What the mean and covariance after training are made of, order by order.
LETTERS = ("K", "Theta"), ("K", "Theta", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U")


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The tensors of the output layer on N training modes, followed by M test samples, and the targets.

    Attributes
    ----------
    tensors : mapping
        Each coefficient as an array with N + M entries in each argument.
    targets : array (N, n_out)
        On the modes.
    eigenvalues : array (N,)
        Of the mean tangent kernel on the training inputs, ascending: the modes are its eigenvectors.
    width : float
        n, of which the coefficients multiply powers.
    """

    tensors: Mapping[Tensor, Floats]
    targets: Floats
    eigenvalues: Floats
    width: float

    @property
    def outputs(self) -> int:
        """n_out."""
        return len(self.targets[0])

    def fluctuations(self) -> Floats:
        """The standard deviation of each training mode's tangent kernel: (N,)."""
        modes = np.arange(len(self.eigenvalues))
        A, B = (self.tensors[Tensor.named(name)][modes, modes, modes, modes] for name in ("A", "B"))
        return np.asarray(np.sqrt(np.maximum(A + 2 * B, 0) / self.width))


def ensemble(ds: xarray.Dataset, task: Task, displaced: bool = False) -> Ensemble:
    """The last layer of a flow of ``task.inputs``; ``displaced`` moves every number by its error, seeded signs."""
    last = ds.isel(layer=-1)
    signs = np.random.default_rng(0)
    arrays = {}
    for name in map(str, ds["coefficient"].values):
        array = np.asarray(last[name].values, np.float64).reshape((len(task.inputs),) * 2 * Tensor.named(name).level)
        if displaced:
            array = array + float(last["numerical_error"].sel(coefficient=name)) * _signs(signs, array)
        arrays[Tensor.named(name)] = array
    return assemble(arrays, task.targets, float(last["fan_in"]))


def assemble(tensors: Mapping[Tensor, Floats], targets: Floats, width: float) -> Ensemble:
    """An ensemble from tensors over N training samples followed by test samples.

    Raises InputError if the tangent kernel of the training inputs vanishes.
    """
    count = len(targets)
    Theta = tensors[Tensor.named("Theta")]
    eigenvalues, modes = np.linalg.eigh(Theta[:count, :count])
    if not eigenvalues[-1] > 0:
        raise InputError(
            "the tangent kernel of the training inputs is zero: no parameter learns; raise lambda_b, lambda_W"
        )
    basis = np.eye(len(Theta))
    basis[:count, :count] = modes
    turned = {tensor: _turned(array, basis) for tensor, array in tensors.items()}
    return Ensemble(turned, modes.T @ targets, eigenvalues, width)


def flowed(net: Network, task: Task, order: int, progress: bool) -> xarray.Dataset:
    """The flow of all inputs that training to an order needs.

    Raises KinkError where neurons cross a kink as they learn: what training does is then not told by derivatives at
    initialisation. Without hidden learning rates the tensors that would tell vanish.
    """
    kinked = order and net.activation.kinks
    if kinked and any(map(_learns, net.layers[:-1])):
        raise KinkError(
            f"training of {net.activation.name} networks at order 1/n: neurons cross the kink as they learn, and "
            "predictions move by more than 1/n (of ReLU like n^(-1/2)), which derivatives at initialisation do not "
            "tell; take order=0, a smooth activation, or let the last layer learn alone (rgflow.readout_only)"
        )
    kinks = "almost_everywhere" if kinked else "error"
    return flow(net, task.inputs, tensors=LETTERS[order], order=order, kinks=kinks, progress=progress)


def _learns(layer: Layer) -> bool:
    return any(layer.value(name) > 0 for name in layer.hyperparameters() if name.startswith("lambda_"))


def _turned(array: Floats, basis: Floats) -> Floats:
    for axis in range(array.ndim):
        array = np.moveaxis(np.tensordot(array, basis, (axis, 0)), -1, axis)
    return array


def _signs(rng: Any, array: Floats) -> Floats:
    return np.where(rng.random(array.shape) < 0.5, -1.0, 1.0)
