"""Emitted source: the same numbers as the array route, jitted and not; the same text under every hash seed."""

import ast
import math
import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from rgflow.activations import CATALOGUE, activation
from rgflow.errors import InputError

ORDER = 9
POINTS = np.array([-1e3, -30.0, -5.0, -1.0, -0.1, -1e-8, 0.0, 1e-3, 0.5, 2.0, 10.0, 100.0, 1e3])
SPECS = [*CATALOGUE, "leaky_relu(slope=0.3)", "z/(1+Abs(z))", "sinh(z)", "cosh(z)/9", "atan(z)*asinh(z)",
         "log1p(z^2)^3", "(1+z^2)^0.3", "1/cosh(z)", "expm1(-z)", "log(2+sin(z))"]  # fmt: skip


def functions(a, order):
    space = {"math": math}
    exec(a.source(order, "f"), space)
    return [space[f"f_p{i}"] for i in range(len(a.pieces))]


@pytest.mark.parametrize("spec", SPECS)
def test_source_agrees_with_arrays(spec):
    a = activation(spec)
    for piece, scalar in enumerate(functions(a, ORDER)):
        low, high = (-math.inf, *a.kinks, math.inf)[piece : piece + 2]
        z = POINTS[(low <= POINTS) & (high >= POINTS)]
        expected = a.piece_derivatives(piece, z, ORDER + 1)
        jitted = numba.njit(scalar) if spec in ("tanh", "gelu", "exp", "mish", "relu") else None
        for column, point in zip(expected.T, z, strict=True):
            # one rounding of exp, tanh... apart, amplified by at most 100 in nine recurrences; d_{k+1} at zeros of d_k
            size = np.abs(column[:-1]) + 0.1 * np.abs(column[1:])
            for run in filter(None, (scalar, jitted)):
                d = np.full(ORDER + 1, np.nan)
                run(float(point), d)
                finite = np.isfinite(column[:-1])
                np.testing.assert_array_equal(d[~finite], column[:-1][~finite])
                error = np.abs(d[finite] - column[:-1][finite])
                assert np.all(error <= 1e-12 * size[finite] + 1e-300), (point, d, column)


def test_source_holds_arithmetic_only():
    for spec in SPECS:
        for node in ast.walk(ast.parse(activation(spec).source(ORDER))):
            if isinstance(node, ast.Name):
                assert node.id in {"math", "abs", "z", "d"} or node.id[0] == "v"
            if isinstance(node, ast.Attribute):
                assert isinstance(node.value, ast.Name)
                assert node.value.id == "math"


def test_source_reads():
    assert activation("tanh").source(1) == (
        "def derivatives_p0(z, d):\n"
        "    v1 = 2.0*z\n"
        "    v2 = math.exp(-abs(v1))\n"
        "    v3 = math.tanh(z)\n"
        "    v4 = v2/((1.0 + v2)*(1.0 + v2))\n"
        "    v5 = 4.0*v4\n"
        "    d[0] = v3\n"
        "    d[1] = v5\n"
    )
    with pytest.raises(InputError, match="identifier"):
        activation("tanh").source(1, "f(x): import os")


def test_source_is_the_same_under_every_hash_seed():
    code = (
        "from rgflow.activations import CATALOGUE, activation\n"
        "for n in [*CATALOGUE, 'log1p(z^2)*sin(z) + exp(-z)*z + pi/cosh(z)']:\n"
        "    a = activation(n); print(a.source(5), a.pieces)\n"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(texts) == 1
