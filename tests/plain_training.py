"""Witness: ensembles of explicit networks, trained step by step in NumPy from the definitions; no theory, no rgflow.

z^1 = W^1 x + b^1, z^l = W^l sigma(z^{l-1}) + b^l, f = z^L; gradients by the chain rule, tangent kernels as sums over
layers of rate x forward product x backward product. Arrays carry the networks of an ensemble first.
"""

from dataclasses import dataclass, replace

import numpy as np

SIGMA = {
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
}


@dataclass
class Ensemble:
    """weights: list of (nets, rows, columns); biases: list of (nets, rows, 1) or of None; rates: lists of numbers."""

    weights: list
    biases: list
    weight_rates: list
    bias_rates: list
    sigma: str = "tanh"

    def forward(self, x):
        """z of every layer; x is (n_0, inputs)."""
        act, found = SIGMA[self.sigma][0], []
        signal = x[None]
        for W, b in zip(self.weights, self.biases, strict=True):
            z = W @ signal if b is None else W @ signal + b
            found.append(z)
            signal = act(z)
        return found

    def backward(self, zs):
        """df/dz of every layer for one output: (nets, rows, inputs)."""
        slope = SIGMA[self.sigma][1]
        found = [np.ones_like(zs[-1])]
        for W, z in zip(self.weights[:0:-1], zs[-2::-1], strict=True):
            found.append(slope(z) * (W.transpose(0, 2, 1) @ found[-1]))
        return found[::-1]

    def signals(self, x, zs):
        """What every layer reads."""
        act = SIGMA[self.sigma][0]
        return [np.broadcast_to(x, (len(self.weights[0]), *x.shape)), *(act(z) for z in zs[:-1])]

    def tangent_kernel(self, x):
        """(nets, inputs, inputs), rates inside."""
        zs = self.forward(x)
        total = 0.0
        layers = zip(
            self.signals(x, zs), self.backward(zs), self.weight_rates, self.bias_rates, self.biases, strict=True
        )
        for s, d, weight, bias, b in layers:
            inside = weight * (s.transpose(0, 2, 1) @ s)
            total = total + (inside if b is None else inside + bias) * (d.transpose(0, 2, 1) @ d)
        return total

    def updates(self, x, residual):
        """Changes of weights and biases by one step of gradient descent; residual = dE/df, (nets, 1, inputs)."""
        zs = self.forward(x)
        found = []
        layers = zip(self.signals(x, zs), self.backward(zs), self.weight_rates, self.bias_rates, strict=True)
        for s, d, weight, bias in layers:
            flow = residual * d
            found.append((-weight * (flow @ s.transpose(0, 2, 1)), -bias * flow.sum(2, keepdims=True)))
        return found

    def moved(self, updates):
        """The ensemble after a step."""
        weights = [W + dW for W, (dW, _) in zip(self.weights, updates, strict=True)]
        biases = [None if b is None else b + db for b, (_, db) in zip(self.biases, updates, strict=True)]
        return replace(self, weights=weights, biases=biases)

    def descend(self, x, y, steps, until=0.0):
        """Gradient descent on sum (f - y)^2/2 over inputs; the ensemble and the outputs at every step."""
        net, outputs = self, []
        for _ in range(steps):
            f = net.forward(x)[-1]
            outputs.append(f)
            if np.abs(f - y).max() <= until:
                break
            net = net.moved(net.updates(x, f - y))
        return net, np.array(outputs)


def drawn(source, nets, widths, stds, weight_rates, bias_stds=None, bias_rates=None, sigma="tanh"):
    """Gaussian weights of given standard deviations by layer; no biases unless their deviations are given."""
    shapes = list(zip(widths[1:], widths[:-1], strict=True))
    weights = [std * source.standard_normal((nets, *shape)) for std, shape in zip(stds, shapes, strict=True)]
    biases = [None] * len(shapes)
    if bias_stds is not None:
        biases = [
            std * source.standard_normal((nets, rows, 1)) for std, (rows, _) in zip(bias_stds, shapes, strict=True)
        ]
    return Ensemble(weights, biases, list(weight_rates), list(bias_rates or [0.0] * len(shapes)), sigma)


def of_family(family, source, nets, widths, n, *, sigma="tanh", C_W=1.0, rate=1.0, bias=None, first=False):
    """The ensemble of a scaling family at width n: powers of n from its exponents, 1/n_0 in the first layer."""
    groups = ["input", *["hidden"] * (len(widths) - 3), "output"]
    stds = [C_W**0.5 * n ** float(family.std_power(group)) for group in groups]
    rates = [rate * n ** float(family.rate_power(group, first)) for group in groups]
    stds[0], rates[0] = stds[0] / widths[0] ** 0.5, rates[0] / widths[0]
    if bias is None:
        return drawn(source, nets, widths, stds, rates, sigma=sigma)
    bias_stds = [bias * n ** float(family.std_power(group, bias=True)) for group in groups]
    bias_rates = [rate * n ** float(family.rate_power(group, bias=True)) for group in groups]
    return drawn(source, nets, widths, stds, rates, bias_stds, bias_rates, sigma)


def slope(widths, values):
    """d log(value)/d log(width) by least squares."""
    return np.polyfit(np.log(widths), np.log(values), 1)[0]
