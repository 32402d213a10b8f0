"""What a nearly-kernel method is given: a kernel and a meta-kernel over samples, targets, and outputs at the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError
from rgflow.network.inputs import finite
from rgflow.predict.training.clock import Clock

Floats = NDArray[np.float64]
MOST = 1 << 32  # bytes of the sums over times of three training modes
ROUNDING = 1e-10  # how far from symmetric a kernel may be, relative to its largest entry: it may come from float sums


@dataclass(frozen=True, eq=False)
class Problem:
    """Outputs that share a kernel: k and mu of S samples, the outputs at the start and errors of N training samples."""

    kernel: Floats
    meta_kernel: Floats
    start: Floats  # (S, outputs)
    errors: Floats  # (N, outputs), on the modes
    eigenvalues: Floats
    modes: Floats  # (N, N), eigenvectors in columns

    def at(self, tensor: Floats, labels: tuple[int, ...], roots: tuple[int, ...]) -> Floats:
        """A tensor with all samples where a root stands and training modes elsewhere."""
        for axis, label in enumerate(labels):
            if label not in roots:
                part = tensor[(slice(None),) * axis + (slice(len(self.modes)),)]
                tensor = np.moveaxis(np.tensordot(part, self.modes, (axis, 0)), -1, axis)
        return tensor


def outputs_of(name: str, values: Any, samples: int | None = None) -> Floats:
    """Targets or outputs, (samples, n_out); (samples,) for one output."""
    array = finite(name, values)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or (samples is not None and len(array) != samples):
        wanted = "(N, n_out), or (N,) for one output" if samples is None else f"({samples}, n_out)"
        raise InputError(f"{name} has shape {np.shape(values)}; give {wanted}")
    return array


def problems(kernel: Any, meta_kernel: Any, targets: Any, start: Any, clock: Clock) -> tuple[list[Problem], bool]:
    """One for each kernel, and whether each output has its own; InputError for what is none."""
    k, mu = finite("kernel", kernel), finite("meta_kernel", meta_kernel)
    several = k.ndim == 3
    size = k.shape[-1]
    if k.ndim not in (2, 3) or k.shape[-2:] != (size, size):
        raise InputError(f"kernel has shape {k.shape}; give (S, S) for S samples, or (n_out, S, S)")
    if mu.shape != (*k.shape[:-2], size, size, size):
        wanted = (*k.shape[:-2], size, size, size)
        raise InputError(f"meta_kernel has shape {mu.shape}; with a kernel of shape {k.shape} give {wanted}")
    y = outputs_of("targets", targets)
    if len(y) > size:
        raise InputError(f"targets are of {len(y)} training samples, but the kernel is of {size}, training first")
    z = np.zeros((size, y.shape[1])) if start is None else outputs_of("start", start, size)
    if z.shape[1] != y.shape[1] or (several and len(k) != y.shape[1]):
        raise InputError(f"targets have {y.shape[1]} outputs, start {z.shape[1]}, and the kernel has shape {k.shape}")
    _fits(len(y), clock)
    _symmetric("kernel", k)
    _symmetric("meta_kernel", mu)
    if not several:
        return [_problem(k, mu, z, y, clock)], False
    return [_problem(k[i], mu[i], z[:, [i]], y[:, [i]], clock) for i in range(len(k))], True


def _symmetric(name: str, array: Floats) -> None:
    off = float(np.abs(array - np.swapaxes(array, -1, -2)).max())
    if off > ROUNDING * float(np.abs(array).max()):
        raise InputError(f"{name} is not symmetric in its last two arguments: entries differ by {off:.3g}")


def _fits(size: int, clock: Clock) -> None:
    needed = 8 * size**3 * (1 if np.isinf(clock.end) else 3 * 16)  # 4 x 4 matrices, of which a few are kept
    if needed > MOST:
        remedy = "train until convergence, or take fewer" if np.isfinite(clock.end) else "take fewer"
        raise InputError(f"{size} training samples need {needed / 2**30:.3g} GiB for the sums over times; {remedy}")


def _problem(k: Floats, mu: Floats, z: Floats, y: Floats, clock: Clock) -> Problem:
    count = len(y)
    k = (k + k.T) / 2
    values = np.linalg.eigvalsh(k)
    if values[0] < -ROUNDING * max(values[-1], 0.0) or not values[-1] > 0:
        raise InputError(
            f"kernel has eigenvalues from {values[0]:.3g} to {values[-1]:.3g}; a sum of products of features has none "
            "below 0 and some above"
        )
    eigenvalues, modes = np.linalg.eigh(k[:count, :count])
    clock.check(eigenvalues, 0.0, "kernel of the training samples")
    return Problem(k, mu, z, modes.T @ (z[:count] - y), eigenvalues, modes)
