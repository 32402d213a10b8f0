"""Activations of tensors against those of arrays, which know their derivatives by Taylor recurrences."""

import numpy as np
import pytest
import torch

import rgflow as rg
from rgflow.activations import CATALOGUE
from rgflow.nn.models.activations import torch_activation

FORMULAS = (
    "z*atan(z)", "1/cosh(z)", "z*tanh(z)", "Abs(z) + sin(z)", "sqrt(1 + z^2)", "asinh(z)", "sign(z)",
    "log(1 + exp(2*z))", "Max(z, 0) + 0.1*tanh(z)", "1/(1 + z^2)", "Max(z, 1)*Heaviside(z + 2)", "z^3 - z/2",
    "exp(-Abs(z))", "cos(pi*z)/pi", "Max(sqrt(Max(z, 0.5)), 1.5)", "Min(Max(z, -1), 1)", "(1 + z^2)^(2/3)",
    "expm1(-z^2)", "z*erfc(z)", "log1p(z^2)", "sinh(z/9)", "1/(2 + exp(z))",
)  # fmt: skip
# Away from kinks by more than rounding, both tails included; what functions of a function see is within range.
Z = np.concatenate([np.linspace(-30, 30, 1201) + 1e-3, [-90.0, 90.0]])
TAILS = np.array([-700.0, 700.0])
SLOPES = {"gelu_tanh": lambda z: 1.6 * (1 + 0.135 * z**2), "expm1(-z^2)": lambda z: 2 * np.abs(z)}
"""The slope of what stands inside 1 - tanh^2 and expm1 + 1, which autograd knows to a rounding of 1, not of itself."""


def derivatives(f, z, order):
    """Values and derivatives by repeated reverse-mode autograd."""
    z = torch.from_numpy(z).requires_grad_()
    found = [f(z)]
    for _ in range(order):
        found.append(torch.autograd.grad(found[-1].sum(), z, create_graph=True, allow_unused=True)[0])
        if found[-1] is None or not found[-1].requires_grad:
            found[-1] = torch.zeros_like(z) if found[-1] is None else found[-1]
            found += [torch.zeros_like(z)] * (order + 1 - len(found))
            break
    return np.array([each.detach().numpy() for each in found])


@pytest.mark.parametrize("name", [*CATALOGUE, *FORMULAS])
def test_values_and_three_derivatives(name):
    activation = rg.activation(name)
    z = Z[np.abs(Z) < 60] if activation.growth else Z if name in FORMULAS else np.concatenate([Z, TAILS])
    expected = activation.derivatives(z, 3)
    found = derivatives(torch_activation(activation), z, 3)
    slope = np.maximum(1, SLOPES.get(name, np.ones_like)(z)) ** np.arange(4)[:, None]
    # A dozen operations, each to half a unit in the last place; sin and cos see the rounding of their argument.
    allowed = 8 * np.finfo(float).eps * slope * np.maximum(1, np.abs(expected) + np.abs(z))
    assert (np.abs(found - expected) <= allowed).all()


@pytest.mark.parametrize(
    "kinked", ["Abs(z) + sin(z)", "Max(z, 0) + 0.1*tanh(z)", "Max(sqrt(Max(z, 0.5)), 1.5)", "exp(-Abs(z))"]
)
def test_derivatives_at_a_kink_are_finite_and_from_the_right(kinked):
    activation = rg.activation(kinked)
    z = np.array(activation.kinks)
    found = derivatives(torch_activation(activation), z, 3)
    assert found == pytest.approx(activation.derivatives(z, 3), rel=1e-13, abs=1e-15)


def test_control_where_without_a_safe_branch_is_nan():
    """Why pieces are evaluated only where they hold: sqrt beside a kink at 0."""
    z = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    naive = torch.where(z > 0, torch.sqrt(z), torch.zeros_like(z))
    assert torch.isnan(torch.autograd.grad(naive.sum(), z)[0]).all()
    with pytest.raises(rg.FormulaError, match="smooth"):
        rg.activation("sqrt(Max(z, 0))")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_dtype_and_shape_are_kept(dtype):
    z = torch.linspace(-2, 2, 12, dtype=dtype).reshape(3, 1, 4)
    for name in ("relu", "tanh", "gelu_tanh", "z*tanh(z)", "sign(z)"):
        found = torch_activation(name)(z)
        assert (found.dtype, found.shape) == (dtype, z.shape)
        expected = rg.activation(name)(z.double().numpy())
        assert found.double().numpy() == pytest.approx(expected, abs=8 * torch.finfo(dtype).eps)


def test_nan_and_empty_tensors():
    nothing = torch.empty(0, 3)
    for name in ("relu", "tanh", "Abs(z)", "Max(z, 0) + 0.1*tanh(z)"):
        assert torch_activation(name)(nothing).shape == (0, 3)
        assert torch.isnan(torch_activation(name)(torch.tensor([float("nan")]))).all()


def test_a_name_that_nothing_carries():
    with pytest.raises(rg.RgflowError):
        torch_activation("rleu")
    assert repr(torch_activation("leaky_relu")) == "Pointwise(leaky_relu(slope=0.01))"
