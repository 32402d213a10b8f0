r"""Real finite networks, trained: full-batch gradient descent in NumPy on many networks at once. It knows no expansion.

A network has z^1 = b + W x, z^{l+1} = b + W sigma(z^l), b ~ N(0, C_b), W ~ N(0, C_W / fan-in), the loss
1/2 sum (z - y)^2, and steps eta * lambda_b for biases and eta * lambda_W / fan-in for weights.

Each is trained twice: in earnest, and with its kernel frozen as it was at initialisation, which is a linear problem
whose end is known: z_test - H_test,train H_train^{-1} (z - y). Their difference r varies far less than either, and
E[full] = E[frozen] + E[r] needs many networks only for the first, which costs no training:

    frozen   E[f] = E[c] exactly, c = H_test,train H_train^{-1} y, since z is odd in the last layer and H is even; for
             the covariance likewise, and (J_0 z)(J_0 z) - J_0 G J_0 has mean zero for any fixed J_0 (G: the covariance
             of z given the hidden layers)
    trained  r, and (f + r)(f + r) - f f about their means

Means and covariances come with their standard errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SIGMA: dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]] = {
    "tanh": (np.tanh, lambda z, s: 1 - s * s),
    "sin": (np.sin, lambda z, s: np.cos(z)),
    "relu": (lambda z: np.maximum(z, 0.0), lambda z, s: np.heaviside(z, 0.0)),
}
"""sigma(z), and sigma'(z) from z and sigma(z)."""


def coordinates(inputs: Array) -> Array:
    """The same inputs in as many dimensions as there are samples: x.x'/n_0 is kept, and nothing else matters.

    With Gaussian weights the first layer's outputs, and their gradients, depend on inputs only through x.x'/n_0.
    """
    x = np.asarray(inputs, float)
    found: Array = np.linalg.cholesky(x @ x.T / x.shape[1]) * np.sqrt(len(x))
    return found


@dataclass(frozen=True)
class Training:
    """A network, its data, how it learns: widths n_0..n_L; inputs (N + M, n_0), training first; targets (N, n_L)."""

    widths: tuple[int, ...]
    sigma: str
    C_b: float
    C_W: float
    lambda_b: float
    lambda_W: float
    inputs: Array
    targets: Array
    rate: float

    @property
    def n_train(self) -> int:
        """N."""
        return len(self.targets)


class Batch:
    """So many networks drawn and trained together; arrays are (networks, neurons, samples)."""

    def __init__(self, task: Training, networks: int, rng: np.random.Generator) -> None:
        self.task, self.networks = task, networks
        self.b, self.W = [], []
        for fan_in, width in zip(task.widths, task.widths[1:], strict=False):
            self.b.append(np.sqrt(task.C_b) * rng.standard_normal((networks, width, 1)))
            self.W.append(np.sqrt(task.C_W / fan_in) * rng.standard_normal((networks, width, fan_in)))

    def forward(self, samples: slice = slice(None)) -> tuple[list[Array], list[Array], Array]:
        """What each layer reads, the slopes of what it reads, and the outputs."""
        act, slope = SIGMA[self.task.sigma]
        signal = np.broadcast_to(self.task.inputs[samples].T, (self.networks, *self.task.inputs[samples].T.shape))
        read, slopes = [signal], []
        z = self.W[0] @ signal + self.b[0]
        for W, b in zip(self.W[1:], self.b[1:], strict=True):
            s = act(z)
            slopes.append(slope(z, s))
            read.append(s)
            z = W @ s + b
        return read, slopes, z

    def step(self, samples: slice) -> Array:
        """One step of gradient descent on these samples; returns the errors before it."""
        task = self.task
        read, slopes, z = self.forward(samples)
        errors: Array = z - task.targets.T
        delta = errors
        for layer in range(len(self.W) - 1, -1, -1):
            W = self.W[layer]
            below = W.transpose(0, 2, 1) @ delta * slopes[layer - 1] if layer else delta
            gradient = delta @ read[layer].transpose(0, 2, 1)
            gradient *= task.rate * task.lambda_W / W.shape[2]
            W -= gradient
            self.b[layer] -= task.rate * task.lambda_b * delta.sum(axis=2, keepdims=True)
            delta = below
        return errors

    def train(self, tolerance: float, most: int = 20_000) -> tuple[int, float]:
        """Steps until no error of any network exceeds the tolerance; returns their number and the largest error."""
        samples = slice(0, self.task.n_train)
        for steps in range(most):
            worst = float(np.abs(self.step(samples)).max())
            if worst < tolerance:
                return steps + 1, worst
            if not worst < 1e6:
                break
        raise ArithmeticError(f"an error of {worst} after {steps + 1} steps: the rate is too large for some network")

    def train_steps(self, steps: int) -> None:
        """So many steps, whatever comes out."""
        for _ in range(steps):
            self.step(slice(0, self.task.n_train))

    def kernel(self) -> tuple[Array, Array, Array]:
        """Outputs (networks, n_L * samples), the NTK between them, and their covariance given the hidden layers."""
        task = self.task
        read, slopes, z = self.forward()
        out, size = z.shape[1], z.shape[2]
        # delta[network, neuron, output, sample] = dz_out / dz_neuron
        delta = np.broadcast_to(np.eye(out)[:, :, None], (self.networks, out, out, size)).copy()
        H = np.zeros((self.networks, out * size, out * size))
        for layer in range(len(self.W) - 1, -1, -1):
            flat = delta.reshape(self.networks, -1, out * size)
            gram = read[layer].transpose(0, 2, 1) @ read[layer] / self.W[layer].shape[2]
            H += np.tile(task.lambda_b + task.lambda_W * gram, (1, out, out)) * (flat.transpose(0, 2, 1) @ flat)
            if layer:
                below = (self.W[layer].transpose(0, 2, 1) @ flat).reshape(self.networks, -1, out, size)
                delta = below * slopes[layer - 1][:, :, None, :]
        last = read[-1].transpose(0, 2, 1) @ read[-1] / self.W[-1].shape[2]
        G = np.kron(np.eye(out), np.ones((size, size))) * np.tile(task.C_b + task.C_W * last, (1, out, out))
        return z.reshape(self.networks, -1), H, G


@dataclass(frozen=True)
class Measured:
    """An average, its standard error, and over how many networks."""

    value: Array
    error: Array
    networks: int

    def __add__(self, other: Measured) -> Measured:
        """Of independent samples."""
        return Measured(self.value + other.value, np.hypot(self.error, other.error), min(self.networks, other.networks))


def average(rows: Array) -> Measured:
    """The mean of the rows."""
    return Measured(rows.mean(axis=0), rows.std(axis=0, ddof=1) / np.sqrt(len(rows)), len(rows))


def _products(a: Array, b: Array) -> Array:
    return np.einsum("ki,kj->kij", a, b)


class Indices:
    """Flat indices output * samples + sample of training and test samples."""

    def __init__(self, task: Training) -> None:
        out, size = task.widths[-1], len(task.inputs)
        flat = np.arange(out * size).reshape(out, size)
        self.train, self.test = flat[:, : task.n_train].ravel(), flat[:, task.n_train :].ravel()
        self.y = task.targets.T.ravel()

    def regression(self, H: Array) -> Array:
        """H_test,train H_train^{-1} for every network."""
        train = H[:, self.train[:, None], self.train]
        across = H[:, self.train[:, None], self.test]
        found: Array = np.linalg.solve(train, across).transpose(0, 2, 1)
        return found


def batches(networks: int, task: Training, numbers: int = 2**17) -> list[int]:
    """Sizes of batches whose largest weights have about so many numbers, so that they stay in a processor's cache."""
    size = max(4, numbers // max(n * m for n, m in zip(task.widths, task.widths[1:], strict=False)))
    whole, rest = divmod(networks, size)
    return [size] * whole + ([rest] if rest else [])


def frozen(task: Training, networks: int, seed: np.random.SeedSequence, about: Array) -> dict[str, Measured]:
    """Mean and covariance of frozen networks at the test samples; about: any fixed regression, near the mean one."""
    rng = np.random.default_rng(seed)
    at = Indices(task)
    fixed = np.zeros((len(at.test), len(at.train) + len(at.test)))
    order = np.concatenate([at.test, at.train])
    fixed[:, : len(at.test)] = np.eye(len(at.test))
    fixed[:, len(at.test) :] = -about
    means, squares = [], []
    for size in batches(networks, task):
        z, H, G = Batch(task, size, rng).kernel()
        R = at.regression(H)
        means.append(np.einsum("kij,j->ki", R, at.y))
        spread = z[:, at.test] - np.einsum("kij,kj->ki", R, z[:, at.train])
        control = np.einsum("ij,kj->ki", fixed, z[:, order])
        known = np.einsum("ia,kab,jb->kij", fixed, G[:, order[:, None], order], fixed, optimize=True)
        squares.append(_products(spread, spread) - _products(control, control) + known)
    mean, square = np.concatenate(means), np.concatenate(squares)
    centred = mean - mean.mean(axis=0)
    return {"mean": average(mean), "covariance": average(square + _products(centred, centred))}


def trained(
    task: Training, networks: int, seed: np.random.SeedSequence, tolerance: float = 1e-4, report=lambda text: None
) -> dict[str, Measured]:
    """What training in earnest adds to frozen networks, at the test samples; and the change of the NTK, all samples.

    Without a control variate (names with _alone): mean and covariance of the trained networks by themselves.
    """
    rng = np.random.default_rng(seed)
    at = Indices(task)
    full, linear, change, longest = [], [], [], 0
    for size in batches(networks, task):
        batch = Batch(task, size, rng)
        z, H, _ = batch.kernel()
        linear.append(z[:, at.test] - np.einsum("kij,kj->ki", at.regression(H), z[:, at.train] - at.y))
        steps, _ = batch.train(tolerance)
        longest = max(longest, steps)
        z, now, _ = batch.kernel()
        full.append(z[:, at.test])
        change.append(now - H)
    g, f = np.concatenate(full), np.concatenate(linear)
    report(f"{networks} networks of widths {task.widths}, at most {longest} steps")
    g_0, f_0 = g - g.mean(axis=0), f - f.mean(axis=0)
    return {
        "mean": average(g - f),
        "covariance": average(_products(g_0, g_0) - _products(f_0, f_0)),
        "mean_alone": average(g),
        "covariance_alone": average(_products(g_0, g_0)),
        "ntk_change": average(np.concatenate(change)),
    }
