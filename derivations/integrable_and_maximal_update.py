r"""Hajjar, Chizat, Giraud, "Training integrable parameterizations of deep neural networks in the infinite-width limit"
(arXiv:2110.15596): the large first step and the maximal update parametrisation.

Assumptions: L hidden layers of width m, relu, no biases, one output, one input; the derivative of the loss in the first
step is the same for both (f_0 -> 0 for wide networks, so that it is in the limit).

The way. IP-LLR and the maximal update parametrisation (muP) drawn from the same U differ by factors m^(-1/2) in every
hidden layer, W = U/m against U/m^(1/2), and so do their signals, forwards and backwards, since relu is homogeneous.
These factors cancel in what the first step of IP-LLR adds. Afterwards the two have the same rates and differ by the
initial hidden weights alone. So IP-LLR is muP whose initial hidden weights are multiplied by m^(-1/2) after the first
step, at every width; and as widths grow, U/m does nothing more to signals that are no longer centred about 0: muP with
these weights forgotten.

Networks are trained step by step in NumPy with the powers of m that the engine gives. At practical widths factors of
order one hide these powers, which is why the base rates of the first step are calibrated.

Engine: rg.family and its exponents; rg.nn.calibrate.
"""

from fractions import Fraction
from functools import cache

import numpy as np
import sympy as sp
from rows import check_rows, row

import rgflow as rg

DRAWN = "tests/scaling/test_families_trained.py: explicit networks in NumPy, widths 128 to 2048"
STEPS = "tests/nn/test_first_step.py: first steps of torch modules"
HALF = Fraction(1, 2)
m = sp.Symbol("m", positive=True)
WIDTH, X = 16, np.array([0.7, -1.1, 0.4])


@cache
def drawn(L, width=WIDTH):
    """U of every layer."""
    source = np.random.default_rng(L)
    shapes = [(width, len(X)), *[(width, width)] * (L - 1), (1, width)]
    return [source.standard_normal(shape) for shape in shapes]


def groups_of(W):
    return ["input", *["hidden"] * (len(W) - 2), "output"]


def start(name, L, width=WIDTH):
    family, U = rg.family(name, layers=L + 1), drawn(L, width)
    return [float(width) ** float(family.std_power(g)) * u for g, u in zip(groups_of(U), U, strict=True)]


def signals(W):
    """h^1, .., h^L, f of relu networks."""
    found, z = [], X
    for w in W:
        found.append(w @ z)
        z = np.maximum(found[-1], 0)
    return found


def updates(name, W, chi, first, width=WIDTH):
    """- rate x dE/dW of every layer, dE/df = chi."""
    family, h, d = rg.family(name, layers=len(W)), signals(W), np.array([chi])
    found = []
    for l in range(len(W) - 1, -1, -1):
        below = np.maximum(h[l - 1], 0) if l else X
        rate = 0.1 * float(width) ** float(family.rate_power(groups_of(W)[l], first))
        found.insert(0, -rate * np.outer(d, below))
        d = (W[l].T @ d) * (h[l - 1] > 0) if l else d
    return found


def trained(name, L, steps, kept=1.0):
    """f after every step; ``kept`` multiplies the initial hidden weights after the first, whose derivative is -1."""
    W, found = start(name, L), []
    for step in range(steps):
        chi = -1.0 if step == 0 else signals(W)[-1][0] - 1.0
        moves = updates(name, W, chi, step == 0)
        if step == 0:
            W = [kept * w if 0 < l < len(W) - 1 else w for l, w in enumerate(W)]
        W = [w + dw for w, dw in zip(W, moves, strict=True)]
        found.append(signals(W)[-1][0])
    return np.array(found)


@row("integrable_parameterizations/equivalence_forward", witness=DRAWN)
def equivalence_forward():
    found = {}
    for L in (2, 3, 4):
        ip, mup = signals(start("ip", L)), signals(start("mup", L))
        for l in range(1, L + 1):
            typed = WIDTH ** (-(l - 1) / 2)
            assert np.abs(ip[l - 1] - typed * mup[l - 1]).max() < 1e-13 * np.abs(mup[l - 1]).max()
        found = {f"h of IP over muP, layer {l}": float(ip[l - 1][0] / mup[l - 1][0]) for l in range(1, L + 1)}
    return {"m": WIDTH} | found


@row("integrable_parameterizations/equivalence_first_step", witness=STEPS)
def equivalence_first_step():
    """Given the derivative of the loss: what is added to W, layer by layer, over what muP adds."""
    typed = 1
    found = {}
    for L in (2, 3, 4):
        ip, mup = (updates(name, start(name, L), 1.0, True) for name in ("ip-llr", "mup"))
        for l, (a, b) in enumerate(zip(ip, mup, strict=True), 1):
            ratio = a[b != 0] / b[b != 0]
            assert np.abs(ratio - typed).max() < 1e-12
            found[f"L = {L}, layer {l}"] = round(float(ratio.mean()), 12)
    return {name: ratio for name, ratio in found.items() if name.startswith("L = 4")}


@row("integrable_parameterizations/equivalence_hybrid", witness=STEPS)
def equivalence_hybrid():
    """f after one to five steps, to rounding; the first derivative of the loss is given."""
    for L in (2, 3, 4):
        ip = trained("ip-llr", L, 5)
        typed = WIDTH ** (-1 / 2)
        mup = trained("mup", L, 5, typed)
        assert np.abs(np.diff(ip)).min() > 1e-3 * np.abs(ip).max()  # it learns
        assert np.abs(ip - mup).max() < 1e-11 * np.abs(ip).max()
        assert np.abs(ip - trained("mup", L, 5)).max() > 0.01 * np.abs(ip).max()
    typed_power = -HALF
    assert rg.family("hybrid").forget == typed_power
    return {"factor of the initial hidden weights": m ** sp.nsimplify(rg.family("hybrid").forget), "f, L = 4": ip}


@row("integrable_parameterizations/equivalence_limit", witness=DRAWN)
def equivalence_limit():
    """m^-1 U on moved signals is a sum of m independent terms: a power of m in each hidden layer, which vanishes."""
    forgotten = rg.family("ip").std_power("hidden") + HALF
    typed = -HALF
    assert forgotten == typed
    hybrid = rg.family("hybrid").exponents(layers=5)
    assert hybrid.regime == rg.family("ip-llr", layers=5).exponents().regime == "learns features"
    return {"what the initial hidden weights add to h after the first step": m ** sp.nsimplify(forgotten)}


@row("integrable_parameterizations/calibration", witness=STEPS)
def calibration():
    """rg.nn.calibrate on a small network: sizes of own updates on the second batch, and the cap."""
    import torch
    from torch.nn import functional as F

    draws = torch.Generator().manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(6, 24, bias=False), torch.nn.ReLU(), torch.nn.Linear(24, 24, bias=False), torch.nn.ReLU(),
        torch.nn.Linear(24, 3, bias=False),
    ).double()  # fmt: skip
    x, second = torch.randn(2, 8, 6, generator=draws, dtype=torch.float64)
    y = torch.arange(8) % 3
    done = rg.nn.parametrize(module, "ip-llr", base_width=1, width=24, learning_rate=0.01, C_W=2.0, seed=0)
    rows = rg.nn.calibrate(done, F.cross_entropy, x, y, second).rows
    weights = [p.detach() for p in module.parameters()]
    gradients = torch.autograd.grad(F.cross_entropy(module(x), y), list(module.parameters()))
    z, sizes = second, []
    for W, row_of, gradient in zip(weights, rows, gradients, strict=True):
        step = -row_of.first_rate * gradient
        sizes.append(float((z @ step.T).abs().mean()))
        z = torch.relu(z @ (W + step).T)
    typed_hidden, typed_output = 1, 0.1
    assert abs(sizes[1] / typed_hidden - 1) < 1e-9
    assert abs(sizes[2] / typed_output - 1) < 1e-9
    few = rg.nn.calibrate(done, lambda f, y: 1e-6 * F.cross_entropy(f, y), x, y, second).rows
    typed_most = 500
    assert abs(few[1].first_rate / done.rows[1].first_rate * 0.01 / typed_most - 1) < 1e-9
    return {"mean size of the own update, hidden": sizes[1], "output": sizes[2]}


if __name__ == "__main__":
    check_rows(globals())
