"""The exact norm of the Jacobian of a model, by rows and by columns, against torch's own full Jacobian."""

import numpy as np
import pytest
import torch
from oracles.random_jacobians import ACTIVATIONS

import rgflow as rg
from rgflow.errors import InputError, UnknownName
from rgflow.nn.models.build import build
from rgflow.nn.smoothness.jacobian_norm import jacobian_norm

DOUBLE = torch.float64


def inputs(count, size, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, size)))


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("side", ["outputs", "inputs", "auto"])
def test_is_the_norm_of_the_product_of_factors(name, side):
    """D_l W_l multiplied in NumPy, for each input."""
    model = build(rg.MLP([6, 9, 8, 30], name, C_W=1.7, C_b=0.2), seed=1, dtype=DOUBLE)
    x = inputs(7, 6)
    ds = jacobian_norm(model, x, side=side, batch=3)
    slope = ACTIVATIONS[name][1]
    for row, z1, z2, found in zip(
        x.numpy(), *(z.detach().numpy() for z in model.preactivations(x)[:2]), ds["norm"], strict=True
    ):
        W = [p.detach().numpy() for n, p in model.named_parameters() if n.endswith("weight")]
        J = W[2] @ (slope(z2)[:, None] * W[1]) @ (slope(z1)[:, None] * W[0])
        assert row.shape == (6,)
        assert float(found) == pytest.approx((J**2).sum(), rel=1e-12)
    assert float(ds["mean"]) == pytest.approx(ds["norm"].values.mean(), rel=1e-14)
    assert float(ds["mean_se"]) == pytest.approx(ds["norm"].values.std(ddof=1) / 7**0.5, rel=1e-14)
    assert float(ds["rms"]) == pytest.approx(float(ds["mean"]) ** 0.5, rel=1e-14)


def test_small_noise_moves_the_output_by_the_norm():
    """E|z(x + e) - z(x)|^2 = s^2 ||J||_F^2 + O(s^4), from which e and -e leave no odd order."""
    model = build(rg.MLP([10, 30, 30, 5], "tanh", C_W=1.5), seed=3, dtype=DOUBLE)
    x = inputs(1, 10)
    exact = float(jacobian_norm(model, x)["norm"][0])
    noise = inputs(40_000, 10, seed=4)
    ratios = []
    for s in (0.02, 0.04):
        moved = (model(x + s * torch.cat([noise, -noise])) - model(x)).square().sum(1).detach() / s**2
        pairs = (moved[:40_000] + moved[40_000:]) / 2
        ratios.append((float(pairs.mean()), float(pairs.std() / 200)))
    (small, error), (large, _) = ratios
    curvature = (large - small) / 3  # the part of order s^2 at the smaller s: the same noise, so that it is seen
    assert abs(small - curvature - exact) < 3 * error
    assert abs(curvature) < 0.01 * exact


def test_mode_dtype_and_gradients_are_left_alone():
    torch.manual_seed(0)  # with 64 units no two of the three masks are equal
    model = torch.nn.Sequential(torch.nn.Linear(4, 64), torch.nn.Dropout(0.5), torch.nn.Linear(64, 2))
    model.train()
    with torch.no_grad():
        ds = jacobian_norm(model, np.ones((3, 4)))  # float64 numbers to a float32 model
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    assert len(set(ds["norm"].values)) == 3, "dropout of a model in training mode is measured too"
    model.eval()
    assert len(set(jacobian_norm(model, np.ones((3, 4)))["norm"].values)) == 1


def test_goes_through_a_file(tmp_path):
    ds = jacobian_norm(torch.nn.Linear(3, 2), torch.ones(4, 3))
    rg.save(ds, tmp_path / "norm.nc")
    assert rg.load(tmp_path / "norm.nc").identical(ds)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (torch.ones(3), "shape"),
        (torch.ones(0, 3), "shape"),
        (torch.ones(2, 3, dtype=torch.int64), "int64"),
        (torch.tensor([[1.0, float("nan"), 0.0]]), "NaN"),
        ("pictures", "str"),
    ],
)
def test_what_are_no_inputs_is_refused(X, message):
    with pytest.raises(InputError, match=message):
        jacobian_norm(torch.nn.Linear(3, 2), X)


def test_other_refusals():
    with pytest.raises(UnknownName, match="inputs"):
        jacobian_norm(torch.nn.Linear(3, 2), torch.ones(2, 3), side="left")
    with pytest.raises(InputError, match="Module"):
        jacobian_norm(lambda x: x, torch.ones(2, 3))

    class Detached(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x.detach())

    with pytest.raises(InputError, match="does not depend on x"):
        jacobian_norm(Detached(3, 2), torch.ones(1, 3))
    with pytest.raises(InputError, match="does not depend on x"):
        jacobian_norm(Detached(3, 2), torch.ones(2, 3))


def test_a_jacobian_that_is_not_finite_is_refused():
    model = torch.nn.Linear(3, 2)
    model.weight.data[0, 0] = torch.nan
    with pytest.raises(InputError, match="at input 0"):
        jacobian_norm(model, torch.ones(4, 3))


def test_a_sum_that_runs_over_the_batch_is_refused():
    """Its first output sees its own input alone."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 2))
    model.register_forward_hook(lambda module, given, z: z.cumsum(0))
    with pytest.raises(InputError, match="other samples"):
        jacobian_norm(model, torch.ones(4, 3))
