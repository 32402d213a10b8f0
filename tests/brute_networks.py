"""Networks of every kind as functions of one vector of parameters, written down again and differentiated blindly.

Shares nothing with rgflow.sampling: layers are typed from their definitions, derivatives come from Cauchy's integral
formula.
"""

from __future__ import annotations

from itertools import product

import numpy as np

# Points on a circle and its radius: aliasing is (RADIUS / distance of the nearest pole)^POINTS, along unit directions
# below 1e-13 for tanh (distance 1) and 1e-10 where a norm divides by epsilon = 1 (distance 0.3); rounding of a third
# derivative is 1e-16 / RADIUS^3 = 3e-11.
POINTS, RADIUS = 8, 0.015


def _matrix(name, n, m, C, rate):
    return (name, (m, n), C / n, rate / n)


def _vector(name, m, C, rate):
    return (name, (m,), C, rate)


def parameters(layer, n, m):
    """(name, shape, variance, learning rate) of every parameter: those inside a layer before its own."""
    kind = type(layer).__name__
    M = getattr(layer, "hidden", None) or m
    if kind == "Gated":
        found = [_matrix("W", n, M, layer.C_W, layer.lambda_W), _vector("b", M, layer.C_b, layer.lambda_b)]
        return [*found, _matrix("V", M, m, layer.C_V, layer.lambda_V)]
    if kind in ("Branch", "Projection"):
        found = [_matrix("W", n, M, layer.C_W, layer.lambda_W), _vector("b", M, layer.C_b, layer.lambda_b)]
        found += [_matrix("V", M, m, layer.C_V, layer.lambda_V), _vector("a", m, layer.C_a, layer.lambda_a)]
        return found + ([_matrix("P", n, m, layer.C_P, layer.lambda_P)] if kind == "Projection" else [])
    return [_matrix("W", n, m, layer.C_W, layer.lambda_W), _vector("b", m, layer.C_b, layer.lambda_b)]


def own(layer):
    """Names of the parameters over which the sampler averages exactly."""
    return {"Branch": "Va", "Projection": "VaP", "Reduced": "", "Gated": "V"}.get(type(layer).__name__, "Wb")


def norm(x, layer):
    """LayerNorm or RMSNorm over the neurons; x * x, not |x|^2, is what differentiates."""
    if type(layer).__name__ == "LayerNorm":
        x = x - np.mean(x, axis=-1, keepdims=True)
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + layer.epsilon)


def forward(layer, x, p, sigma, first):
    """The next layer from this one: x (..., N, n), p the parameters by name."""
    kind = type(layer).__name__

    def affine(weights, bias, s):
        return np.einsum("...ij,...aj->...ai", weights, s) + bias[..., None, :]

    if kind in ("Branch", "Projection"):
        out = affine(p["V"], p["a"], sigma(affine(p["W"], p["b"], x)))
        return out + (x if kind == "Branch" else np.einsum("...ij,...aj->...ai", p["P"], x))
    if kind == "Gated":
        return x + layer.gate * np.einsum("...ij,...aj->...ai", p["V"], sigma(affine(p["W"], p["b"], x)))
    if kind == "Reduced":
        return x + sigma(affine(p["W"], p["b"], x))
    if kind in ("LayerNorm", "RMSNorm"):
        s = sigma(norm(x, layer)) if layer.place == "before" else norm(sigma(x), layer)
        return affine(p["W"], p["b"], s) + layer.skip * x
    out = affine(p["W"], p["b"], x if first or kind == "Linear" else sigma(x))
    return out + layer.skip * x if kind == "Residual" else out


class Network:
    """A network of any kinds of layers as a function of its parameters."""

    def __init__(self, net, inputs, sigma=np.tanh):
        self.net, self.inputs, self.sigma = net, np.asarray(inputs, dtype=float), sigma
        self.places, start, rates, variances = [], 0, [], []
        for l, layer in enumerate(net.layers):
            here = {}
            for name, shape, variance, rate in parameters(layer, *net.widths[l : l + 2]):
                size = int(np.prod(shape))
                here[name] = (slice(start, start + size), shape)
                start += size
                rates += [rate] * size
                variances += [variance] * size
            self.places.append(here)
        self.size, self.rates, self.variances = start, np.array(rates), np.array(variances)

    def parts(self, theta, l):
        """Parameters of layer l + 1 by name, (..., *shape)."""
        return {name: theta[..., at].reshape(*theta.shape[:-1], *shape) for name, (at, shape) in self.places[l].items()}

    def outputs(self, theta, layer=None):
        x = np.broadcast_to(self.inputs, (*theta.shape[:-1], *self.inputs.shape))
        for l in range(layer or self.net.depth):
            x = forward(self.net.layers[l], x, self.parts(theta, l), self.sigma, first=not l)
        return x

    def derivative(self, theta, directions, layer=None):
        """Mixed derivative along k directions (..., k, size), taken to unit length: (..., N, width)."""
        directions = np.asarray(directions)
        k = directions.shape[-2]
        lengths = np.maximum(np.linalg.norm(directions, axis=-1, keepdims=True), 1e-300)
        phases = np.exp(2j * np.pi * np.array(list(product(range(POINTS), repeat=k))) / POINTS)
        shifts = np.einsum("...kp,tk->t...p", directions / lengths, RADIUS * phases)
        values = self.outputs(theta + shifts, layer)
        found = (np.tensordot(np.prod(phases**-1, axis=1), values, 1) / (RADIUS * POINTS) ** k).real
        return found * np.prod(lengths, axis=(-2, -1))[..., None, None]

    def gradients(self, theta, layer=None):
        """dz/dtheta: (size, N, width)."""
        return self.derivative(theta, np.eye(self.size)[:, None], layer)

    def rows(self, l):
        """For each neuron of layer l + 1 the numbers of its own parameters that are averaged exactly."""
        found = [[] for _ in range(self.net.widths[l + 1])]
        for name in own(self.net.layers[l]):
            at, shape = self.places[l][name]
            for neuron, row in enumerate(np.arange(at.start, at.stop).reshape(shape[0], -1)):
                found[neuron] += list(row)
        return [np.array(row, dtype=int) for row in found]


def contractions(network, theta):
    """Products of output neurons i, k that isolate each letter, by full derivatives, averaged over (i, k) and (k, i).

    PDLT: dH = D^2 z_0[v_1, v_2], ddI = D^3 z_0[v_1, v_2, v_3], ddII = (Hess_1 v_3) . lambda (Hess_2 v_4) with
    v = lambda grad z. Arguments in the order of each letter; see the table of index structures.
    """
    N = range(len(network.inputs))
    z, J = network.outputs(theta), network.gradients(theta)
    rate = network.rates
    H = np.einsum("p,paj,pbm->abjm", rate, J, J)
    v = rate[:, None, None] * J
    basis = np.eye(network.size)[:, None]
    along = [np.broadcast_to(v[:, c, i], (network.size, 1, network.size)) for i in (0, 1) for c in N]
    hessians = network.derivative(theta, np.concatenate([np.broadcast_to(basis, (len(along), *basis.shape)), along], 2))
    # [i][c, p, a, k]: the Hessian of neuron k at input a applied to v of neuron i at input c
    applied = hessians.reshape(2, len(N), network.size, len(N), 2)
    triples = [[v[:, b, i], v[:, c, k], v[:, d, k]] for i, k in ((0, 1), (1, 0)) for b in N for c in N for d in N]
    thirds = network.derivative(theta, np.array(triples)).reshape(2, *[len(N)] * 4, 2)
    found = []
    for i, k in ((0, 1), (1, 0)):
        s, t = applied[i], applied[k]
        zi, zk = z[:, i], z[:, k]
        each = {
            "G": np.einsum("a,b->ab", zi, zi),
            "H": H[:, :, i, i],
            "V": np.einsum("a,b,c,d->abcd", zi, zi, zk, zk),
            "D": np.einsum("a,b,cd->abcd", zi, zi, H[:, :, k, k]),
            "A": np.einsum("ab,cd->abcd", H[:, :, i, i], H[:, :, k, k]),
            "F": np.einsum("a,c,bd->abcd", zi, zk, H[:, :, i, k]),
            "B": np.einsum("ac,bd->abcd", H[:, :, i, k], H[:, :, i, k]),
            "P": np.einsum("pb,cpa,d->abcd", v[:, :, k], t[:, :, :, i], zi),
            "Q": np.einsum("pb,cpa,d->abcd", v[:, :, i], t[:, :, :, i], zk),
            "R": np.einsum("bcda->abcd", thirds[i, ..., i]),
            "S": np.einsum("p,cpa,dpb->abcd", rate, t[:, :, :, i], t[:, :, :, i]),
            "T": np.einsum("p,bpa,cpd->abcd", rate, s[:, :, :, i], t[:, :, :, k]),
            "U": np.einsum("p,dpa,bpc->abcd", rate, t[:, :, :, i], s[:, :, :, k]),
        }
        found.append(each)
    return {name: (found[0][name] + found[1][name]) / 2 for name in found[0]}
