"""How deep should a network of so many parameters be? Real training on digits, beside the depth that theory proposes.

    python benchmarks/depth_of_digits.py [benchmarks/results/depth_of_digits.json]

Multilayer perceptrons of a fixed number of parameters, from two layers to twenty-four, are trained on scikit-learn's
digits (64 pixels, 10 outputs, squared error, all of 500 examples in every step), and tested on those left over. They
start at the critical point of their activation. Each is trained twice:

- "descent": gradient descent with heavy-ball momentum and the rates of ``rgflow.tune(net, learning_rates=True)``, times
  a step that is the inverse of the largest eigenvalue of its own tangent kernel, measured before training;
- "adam": Adam with one rate for all parameters that falls linearly to 0, as practice has it.

Networks, gradients and kernels here are plain NumPy and share nothing with the engine.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

import rgflow as rg

ACTIVATIONS = ("relu", "tanh")
PARAMETERS = (10_000, 40_000)
DEPTHS = (2, 3, 4, 6, 8, 12, 16, 24)
SEEDS = 5
TRAIN = 500
STEPS = {"descent": 1200, "adam": 400}
MOMENTUM, FRACTION = 0.9, 1.0  # eta = FRACTION / largest eigenvalue; stable below 2 (1 + MOMENTUM)
ADAM, DECAY, SMALL = 2e-3, (0.9, 0.999), 1e-8


def width_of(parameters: int, depth: int) -> int:
    """The width of hidden layers with which a network from 64 to 10 has the most parameters that do not exceed it."""
    n = 1
    while (64 + 1) * (n + 1) + (depth - 2) * (n + 2) * (n + 1) + (n + 2) * 10 <= parameters:
        n += 1
    return n


def digits(train: int = TRAIN) -> tuple[Any, ...]:
    """(x, y, test x, test y): x less its mean, rows of x.x/n_0 = 1; labels 1 and 0 less 0.1; one split for all."""
    x, labels = load_digits(return_X_y=True)
    x = x - x.mean(axis=0)
    x = x / np.sqrt(np.mean(x**2, axis=1, keepdims=True))
    order = np.random.default_rng(0).permutation(len(x))
    y = np.eye(10)[labels] - 0.1
    x, y = (a[order].astype(np.float32) for a in (x, y))
    return x[:train], y[:train], x[train:], y[train:]


class Nets:
    """Several networks of one shape, drawn at the critical point; arrays have the network as their first axis."""

    def __init__(self, net: rg.MLP, seeds: int):
        rng = np.random.default_rng(net.depth * 1_000_003 + net.widths[1])
        shapes = list(zip(net.widths[:-1], net.widths[1:], net.hyperparameter("C_W"), strict=True))
        self.weights = [(rng.standard_normal((seeds, a, b)) * np.sqrt(c / a)).astype(np.float32) for a, b, c in shapes]
        self.biases = [np.zeros((seeds, 1, b), np.float32) for _, b, _ in shapes]
        rates = zip(net.hyperparameter("lambda_b"), net.hyperparameter("lambda_W"), net.fan_in, strict=True)
        self.rates = [(b, w / n) for b, w, n in rates]
        self.relu = net.activation.name == "relu"

    def forward(self, x: Any) -> tuple[list[Any], list[Any], Any]:
        """(inputs of each layer, slopes of each hidden layer, output)."""
        inputs, slopes, z = [np.broadcast_to(x, (len(self.biases[0]), *x.shape))], [], None
        for i, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = inputs[-1] @ W + b
            if i < len(self.weights) - 1:
                if self.relu:
                    slopes.append((z > 0).astype(np.float32))
                    inputs.append(z * slopes[-1])
                else:
                    inputs.append(np.tanh(z))
                    slopes.append(1 - inputs[-1] ** 2)
        return inputs, slopes, z

    def gradients(self, inputs: list[Any], slopes: list[Any], error: Any) -> list[tuple[Any, Any]]:
        """For each layer (bias, weight), of the sum of error times output."""
        found = []
        for i in reversed(range(len(self.weights))):
            found.append((error.sum(axis=1, keepdims=True), inputs[i].transpose(0, 2, 1) @ error))
            if i:
                error = (error @ self.weights[i].transpose(0, 2, 1)) * slopes[i - 1]
        return found[::-1]

    def tangent(self, inputs: list[Any], slopes: list[Any], moves: list[tuple[Any, Any]]) -> Any:
        """How much the output moves, to first order, with biases and weights."""
        moved = None
        for i, (b, W) in enumerate(moves):
            own = inputs[i] @ W + b
            moved = own if moved is None else own + moved @ self.weights[i]
            if i < len(slopes):
                moved = moved * slopes[i]
        return moved

    def largest(self, x: Any, iterations: int = 12) -> Any:
        """The largest eigenvalue of each network's tangent kernel on x, by power iteration."""
        inputs, slopes, z = self.forward(x)
        v, size = np.ones_like(z) + z, None
        for _ in range(iterations):
            v = v / np.sqrt(np.sum(v**2, axis=(1, 2), keepdims=True))
            moves = [
                (b * rate_b, W * rate_W)
                for (b, W), (rate_b, rate_W) in zip(self.gradients(inputs, slopes, v), self.rates, strict=True)
            ]
            image = self.tangent(inputs, slopes, moves)
            size = np.sum(v * image, axis=(1, 2))
            v = image
        return size

    def descend(self, x: Any, y: Any, steps: int) -> None:
        """Gradient descent with momentum on half the summed squared error."""
        eta = (FRACTION / self.largest(x)).astype(np.float32)[:, None, None]
        speed = [(np.zeros_like(b), np.zeros_like(W)) for b, W in zip(self.biases, self.weights, strict=True)]
        for _ in range(steps):
            inputs, slopes, z = self.forward(x)
            for i, found in enumerate(self.gradients(inputs, slopes, z - y)):
                for velocity, gradient, values, rate in zip(speed[i], found, self.layer(i), self.rates[i], strict=True):
                    velocity *= MOMENTUM
                    velocity -= np.float32(rate) * eta * gradient
                    values += velocity

    def adam(self, x: Any, y: Any, steps: int) -> None:
        """Adam on half the mean squared error."""
        first, second = ([[np.zeros_like(v) for v in self.layer(i)] for i in range(len(self.biases))] for _ in "12")
        for t in range(1, steps + 1):
            inputs, slopes, z = self.forward(x)
            eta = ADAM * (1 - (t - 1) / steps) * np.sqrt(1 - DECAY[1] ** t) / (1 - DECAY[0] ** t)
            for i, found in enumerate(self.gradients(inputs, slopes, (z - y) / np.float32(len(x)))):
                for m, q, gradient, values in zip(first[i], second[i], found, self.layer(i), strict=True):
                    m += np.float32(1 - DECAY[0]) * (gradient - m)
                    q += np.float32(1 - DECAY[1]) * (gradient**2 - q)
                    values -= np.float32(eta) * m / (np.sqrt(q) + np.float32(SMALL))

    def layer(self, i: int) -> tuple[Any, Any]:
        """Biases and weights of a layer."""
        return self.biases[i], self.weights[i]


def mean(values: Any) -> list[float]:
    """Mean and its standard error."""
    return [float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))]


def measure(activation: str, parameters: int, depth: int, method: str, seeds: int = SEEDS) -> dict[str, Any]:
    """One row: shape, accuracy and mean squared errors with standard errors over networks."""
    start = time.perf_counter()
    n = width_of(parameters, depth)
    net = rg.tune(rg.MLP.uniform(64, n, depth, 10, activation=activation), learning_rates=True)
    x, y, test, answers = digits()
    nets = Nets(net, seeds)
    {"descent": nets.descend, "adam": nets.adam}[method](x, y, STEPS[method])
    found, learnt = nets.forward(test)[2], nets.forward(x)[2]
    right = np.mean(found.argmax(axis=2) == answers.argmax(axis=1), axis=1)
    return {
        "activation": activation,
        "method": method,
        "parameters": parameters,
        "depth": depth,
        "width": n,
        "ratio": depth / n,
        "accuracy": mean(right),
        "test_error": mean(np.mean(np.sum((found - answers) ** 2, axis=2), axis=1)),
        "train_error": mean(np.mean(np.sum((learnt - y) ** 2, axis=2), axis=1)),
        "seconds": round(time.perf_counter() - start, 1),
    }


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "benchmarks/results/depth_of_digits.json")
    rows = []
    for activation, method, parameters, depth in product(ACTIVATIONS, STEPS, PARAMETERS, DEPTHS):
        row = measure(activation, parameters, depth, method)
        rows.append(row)
        print({k: v if not isinstance(v, list) else [round(w, 4) for w in v] for k, v in row.items()}, flush=True)
    settings = {
        "train": TRAIN,
        "steps": STEPS,
        "seeds": SEEDS,
        "momentum": MOMENTUM,
        "fraction": FRACTION,
        "adam": ADAM,
    }
    text = json.dumps({"rgflow": rg.__version__, "settings": settings, "rows": rows}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
