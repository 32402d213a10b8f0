r"""Doshi, He, Gromov, "Critical initialization of wide and deep neural networks using partial Jacobians"
(arXiv:2111.12143): the table of activations, and what a fit over fifty to five hundred layers makes of its exponents.

Assumptions: widths n -> infinity in turn; networks without norm at their critical point, or with LayerNorm before
sigma.

The columns. sigma_w, sigma_b, K* and zeta are those of the critical point without a norm, J ~ l^-zeta; <ss>_1 and
<s's'>_1 averages over a normal variable; c = <s's'>_1 - <ss>_1 the slope of the critical line with LayerNorm, sigma_b^2
= c sigma_w^2; zeta_hat = <s's'>_1/<ss>_1 the growth with LayerNorm and a full skip, sigma_b = 0, J ~ l^zeta_hat.

How they are found. The averages by the engine's quadrature, as kernel and factor of one dense layer without biases; c
from rg.critical_line; zeta_hat from rg.jacobian_law. sigma_w of erf is printed to four digits, the others to eight.

A fit. At mu = 1 the factor is chi_J = 1 + g/(l + 1/kappa - 1), K = 1 at the first layer, kappa = C_W <ss>_1: J is a
ratio of gamma functions, close to (l + h)^g with h = 1/kappa + (g - 3)/2. A straight line through ln J over ln l finds
g (1 - h <1/l>): less than g, by half a percent where h is 1. Whether layers are counted from 0 or from 1 moves that by
as much: it is the error within which numbers of a fit can be compared.

Engine: rg.criticality, rg.critical_line, rg.jacobian_law, rg.flow, rg.partial_jacobian.

Sources: arXiv:2111.12143, its table of critical points; equation numbers not seen.
"""

import math
from functools import cache

import numpy as np
from rows import check_rows, row
from scipy.special import gammaln

import rgflow as rg

AVERAGES = "tests/sources/normalised_layers.py: the table, compared in tests/scaling/test_normalised_law.py"
FITTED = "tests/scaling/test_jacobian_law.py: slopes over the same layers, iterated"
# Half a unit of the last digit that is printed
HALF = {"sigma_w": 6e-8, "sigma_b": 6e-8, "K*": 6e-8, "<ss>_1": 6e-11, "<s's'>_1": 6e-11, "c": 6e-11, "zeta_hat": 6e-8}


@cache
def columns(name: str) -> dict[str, float]:
    """What the engine has for an activation."""
    point = rg.criticality(name)
    one = rg.MLP([3, 10, 10], name)
    found = {
        "sigma_w": math.sqrt(point.C_W),
        "sigma_b": math.sqrt(point.C_b),
        "zeta": float(point.zeta),
        "<ss>_1": float(rg.flow(one, first_kernel=1.0, tensors=["K"], order=0)["K"][1]),
        "<s's'>_1": float(rg.partial_jacobian(one, first_kernel=1.0)["chi_J"][0]),
        "c": float(rg.critical_line(name).slope),
        "zeta_hat": -float(rg.jacobian_law(name, rg.LayerNorm(skip=1.0)).zeta),
    }
    return found if point.K_star is None else {**found, "K*": point.K_star}


def same(name: str, typed: dict[str, float], **looser: float) -> dict[str, float]:
    found = columns(name)
    assert set(found) == set(typed)
    for column, number in typed.items():
        assert abs(found[column] - number) < looser.get(column, HALF.get(column, 1e-12)), (name, column)
    return found


@row("partial_jacobians/relu_row", witness=AVERAGES)
def relu_row() -> dict[str, float]:
    typed = {
        "sigma_w": math.sqrt(2),
        "sigma_b": 0,
        "zeta": 0,
        "<ss>_1": 0.5,
        "<s's'>_1": 0.5,
        "c": 0,
        "zeta_hat": 1.0,
    }
    return same("relu", typed)


@row("partial_jacobians/erf_row", witness=AVERAGES)
def erf_row() -> dict[str, float]:
    typed = {
        "sigma_w": 0.8862,
        "sigma_b": 0,
        "K*": 0,
        "zeta": 1,
        "<ss>_1": 0.4645590544,
        "<s's'>_1": 0.5694100347,
        "c": 0.1048509803,
        "zeta_hat": 1.2257000,
    }
    return same("erf", typed, sigma_w=5e-5)


@row("partial_jacobians/gelu_row", witness=AVERAGES)
def gelu_row() -> dict[str, float]:
    typed = {
        "sigma_w": 1.4082110,
        "sigma_b": 0.4158394,
        "K*": 3.5615528,
        "zeta": 0,
        "<ss>_1": 0.4252214826,
        "<s's'>_1": 0.4558508656,
        "c": 0.0306293831,
        "zeta_hat": 1.0720316,
    }
    return same("gelu", typed)


@row("partial_jacobians/tanh_row", witness=AVERAGES)
def tanh_row() -> dict[str, float]:
    typed = {
        "sigma_w": 1,
        "sigma_b": 0,
        "K*": 0,
        "zeta": 1,
        "<ss>_1": 0.3942944904,
        "<s's'>_1": 0.4644029024,
        "c": 0.0701084121,
        "zeta_hat": 1.1778072,
    }
    return same("tanh", typed)


LAYERS = np.arange(50, 501)


def fit(logs: np.ndarray, shift: float = 0.0) -> float:
    """The slope of ln J over ln l; ``logs`` are of the layers 1, 2, ..."""
    return float(np.polyfit(np.log(LAYERS + shift), logs[LAYERS - 1], 1)[0])


@cache
def critical_erf() -> np.ndarray:
    """ln J of erf at its critical point, from K = 1."""
    net = rg.MLP.uniform(n_in=3, width=10, depth=500, activation="erf", C_W=rg.criticality("erf").C_W)
    return np.log(rg.partial_jacobian(net, first_kernel=1.0)["J"].values)


@cache
def full_skip(name: str) -> np.ndarray:
    """ln J with LayerNorm and a full skip; the first layers by the engine's flow, the others as its law continues."""
    layers = [rg.Dense(), *[rg.LayerNorm(skip=1.0)] * 9, rg.Dense()]
    net = rg.Network(layers, [3] + [10] * 11, name)
    kappa, g, l = columns(name)["<ss>_1"], columns(name)["zeta_hat"], np.arange(1.0, 501)
    start = 1 / kappa - 1
    logs = gammaln(l + start + g) - gammaln(l + start) + gammaln(1 + start) - gammaln(1 + start + g)
    np.testing.assert_allclose(
        logs[:10], np.log(rg.partial_jacobian(net, first_kernel=1.0)["J"].values[:10]), atol=1e-11
    )
    return logs


@row("partial_jacobians/fitted_exponents", witness=FITTED)
def fitted_exponents() -> dict[str, float]:
    """zeta of erf, and growth with LayerNorm; within what counting layers from 0 or from 1 changes, and rounding."""
    typed = {"erf": 1, "LayerNorm, erf": 1.217, "LayerNorm, relu": 0.994}
    logs = {"erf": -critical_erf(), "LayerNorm, erf": full_skip("erf"), "LayerNorm, relu": full_skip("relu")}
    found = {name: fit(values) for name, values in logs.items()}
    for name, slope in found.items():
        counted = abs(fit(logs[name], -1.0) - slope)
        assert abs(slope - typed[name]) < counted + 5e-4, name
        assert 0.004 < counted < 0.009
    return found


if __name__ == "__main__":
    check_rows(globals())
