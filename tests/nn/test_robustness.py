"""Attacks on models whose worst disturbance is known, and the pictures of what is found."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from scipy import stats

import rgflow as rg
from rgflow.errors import InputError, UnknownName
from rgflow.nn.models.build import build
from rgflow.nn.smoothness.decision_cells import decision_cells
from rgflow.nn.smoothness.jacobian_norm import jacobian_norm
from rgflow.nn.smoothness.robustness import robustness
from rgflow.plots.robustness import plot_decision_cells, plot_robustness

DOUBLE = torch.float64
W = torch.tensor([[1.0, -2.0, 0.5], [-1.0, 0.0, 1.5]], dtype=DOUBLE)


def linear(weight=W):
    model = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=DOUBLE)
    model.weight.data.copy_(weight)
    return model


def examples(count=400, seed=0):
    """Inputs and their classes by the linear model."""
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(count, 3)))
    return x, linear()(x).argmax(1)


def margins(x, y):
    """(w_y - w_other) . x of two classes, and that difference of rows."""
    difference = torch.where((y == 0)[:, None], W[0] - W[1], W[1] - W[0])
    return (difference * x).sum(1), difference[0].abs().sum(), difference[0].norm()


# Known answers --------------------------------------------------------------------------------------------------------


def test_a_linear_model_falls_when_its_margin_is_used_up():
    """The worst change in a cube of half side s is s |w_0 - w_1|_1: both gradient attacks find it exactly."""
    x, y = examples()
    margin, one_norm, _ = margins(x, y)
    sizes = [0.0, 0.1, 0.3, 1.0]
    ds = robustness(linear(), x, y, ["fgsm", "pgd"], sizes=sizes, steps=10)
    exact = [(margin > s * one_norm).double().mean().item() for s in sizes]
    np.testing.assert_array_equal(ds["accuracy"].sel(attack="fgsm"), exact)
    np.testing.assert_array_equal(ds["accuracy"].sel(attack="pgd"), exact)
    assert exact[0] == 1.0 == ds.attrs["clean_accuracy"]
    assert exact[-1] < 0.8


def test_white_noise_on_a_linear_model():
    """P(stays) = Phi(margin/(s |w_0 - w_1|)), averaged over the inputs; within 4 of the errors that are stated."""
    x, y = examples(4000)
    margin, _, norm = margins(x, y)
    ds = robustness(linear(), x, y, sizes=[0.3, 1.0, 3.0], seed=5)
    for s in (0.3, 1.0, 3.0):
        exact = stats.norm.cdf(margin.numpy() / (s * float(norm))).mean()
        at = ds.sel(size=s)
        assert abs(float(at["accuracy"] - exact)) < 4 * float(at["accuracy_se"])
    q = (float(ds["accuracy"][1]) * 4000 + 0.5) / 4001
    assert float(ds["accuracy_se"][1]) == pytest.approx((q * (1 - q) / 4000) ** 0.5, rel=1e-12)


def test_white_noise_moves_outputs_by_the_jacobian():
    """E|z(x + e) - z(x)|^2 = s^2 ||J||^2: exact for a linear model, to second order for tanh."""
    x, y = examples(4000)
    ds = robustness(linear(), x, y, sizes=[0.7], seed=2)
    exact = 0.49 * float(W.square().sum())
    assert abs(float(ds["change"][0]) - exact) < 4 * float(ds["change_se"][0])
    model = build(rg.MLP([3, 30, 2], "tanh", C_W=2.0), seed=0, dtype=DOUBLE)
    exact = float(jacobian_norm(model, x)["mean"])
    small, large = robustness(model, x, y, sizes=[0.01, 0.1], seed=2)["change"].values / np.array([1e-4, 1e-2])
    error = 4 * float(robustness(model, x, y, sizes=[0.01], seed=2)["change_se"][0]) / 1e-4
    assert abs(small - exact) < error
    assert abs(large / exact - 1) < 0.1


def test_control_noise_in_other_units_is_seen():
    """Sizes in pixels, (p - mean)/width: forgetting the width changes the norm by its square."""
    x, y = examples(4000)
    scaled = robustness(linear(), x, y, sizes=[0.7], seed=2, pixels=(0.1, 0.25))
    plain = robustness(linear(), x, y, sizes=[0.7], seed=2)
    assert float(scaled["change"][0]) == pytest.approx(16 * float(plain["change"][0]), rel=1e-10)


def test_pgd_is_at_least_as_strong_as_one_step():
    """On a bent function; and what it reaches lies in the cube and in the domain."""
    seen = []

    class Spy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = build(rg.MLP([5, 40, 40, 3], "tanh", C_W=6.0), seed=3, dtype=DOUBLE)

        def forward(self, x):
            seen.append(x.detach())
            return self.inner(x)

    model = Spy()
    p = torch.from_numpy(np.random.default_rng(1).uniform(size=(500, 5)))
    x = (p - 0.4) / 0.5
    y = model(x).argmax(1)
    seen.clear()
    about = {"sizes": [0.15], "pixels": (0.4, 0.5), "clip": (0.0, 1.0)}
    ds = robustness(model, x, y, ["fgsm", "pgd"], steps=20, **about)
    assert float(ds["accuracy"].sel(attack="pgd")[0]) < float(ds["accuracy"].sel(attack="fgsm")[0]) - 0.02
    for each in seen:
        back = each * 0.5 + 0.4
        assert -1e-12 <= float(back.min()) <= float(back.max()) <= 1 + 1e-12
        assert float((back - p).abs().max()) <= 0.15 + 1e-12
    few = robustness(model, x, y, "pgd", steps=1, step_size=1e-9, **about)
    assert float(few["accuracy"][0]) > float(ds["accuracy"].sel(attack="pgd")[0]), "the step size is used"


def test_confident_models_hide_nothing():
    """Logits so far apart that the cross entropy rounds to 0 still have a gradient."""
    model = linear(W * 200).float()
    x, y = examples()
    ds = robustness(model, x.float(), y, "fgsm", sizes=[0.5])
    margin, one_norm, _ = margins(x, y)
    assert float(ds["accuracy"][0]) == pytest.approx(float((margin > 0.5 * one_norm).double().mean()), abs=2 / 400)


# Manners --------------------------------------------------------------------------------------------------------------


def test_same_seed_same_numbers_whatever_the_batch():
    x, y = examples()
    model = build(rg.MLP([3, 10, 2], "gelu", C_W=3.0), seed=0, dtype=DOUBLE)
    before = torch.random.get_rng_state()
    one, other, third = (
        robustness(model, x, y, ["pgd", "white_noise"], sizes=[0.2], steps=3, seed=seed, batch=batch)
        for seed, batch in ((1, 400), (1, 37), (2, 400))
    )
    xr_equal = np.allclose(one["change"], other["change"], rtol=1e-12)
    assert xr_equal
    np.testing.assert_array_equal(one["accuracy"], other["accuracy"])
    assert not np.allclose(one["change"], third["change"], rtol=1e-6)
    assert torch.equal(before, torch.random.get_rng_state())


def test_modes_and_gradients_are_left_alone():
    parts = (torch.nn.Linear(3, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(), torch.nn.Linear(8, 2))
    model = torch.nn.Sequential(*parts)
    model[0].eval()
    x, y = examples(50)
    kept = model[1].running_mean.clone()
    with torch.no_grad():
        ds = robustness(model, x, y, ["white_noise", "fgsm"], sizes=[0.0, 0.1])
    assert [m.training for m in model] == [False, True, True, True]
    assert torch.equal(kept, model[1].running_mean)
    assert all(p.grad is None for p in model.parameters())
    np.testing.assert_array_equal(ds["change"][:, 0], 0.0)
    with pytest.raises(RuntimeError):
        robustness(torch.nn.Sequential(model, torch.nn.Linear(9, 2)), x, y, sizes=[0.1])
    assert [m.training for m in model] == [False, True, True, True], "also when the model fails"


def test_goes_through_a_file(tmp_path):
    x, y = examples(20)
    cells = decision_cells(linear(), x[:3], resolution=4)
    for number, ds in enumerate([robustness(linear(), x, y, sizes=[0.1]), cells]):
        rg.save(ds, tmp_path / f"{number}.nc")
        assert rg.load(tmp_path / f"{number}.nc").identical(ds)


def test_refusals():
    x, y = examples(20)
    good = {"model": linear(), "X": x, "y": y, "sizes": [0.1]}
    for change, error, message in [
        ({"attack": "carlini"}, UnknownName, "white_noise"),
        ({"attack": []}, InputError, "attack"),
        ({"attack": ["pgd", "pgd"]}, InputError, "once"),
        ({"sizes": [-0.1]}, InputError, "sizes"),
        ({"sizes": []}, InputError, "empty"),
        ({"sizes": [[0.1]]}, InputError, "sizes"),
        ({"y": y[:5]}, InputError, "20 classes"),
        ({"y": y.double()}, InputError, "integers"),
        ({"y": y + 1}, InputError, "outputs 0..1"),
        ({"X": x.long()}, InputError, "int64"),
        ({"X": x[:0]}, InputError, "shape"),
        ({"model": torch.nn.Flatten(0).double()}, InputError, "logits"),
        ({"model": len}, InputError, "Module"),
        ({"pixels": (0.0, 0.0)}, InputError, "width"),
        ({"pixels": 0.3}, InputError, "pixels"),
        ({"pixels": (0.0, np.ones(4))}, InputError, "pixels"),
        ({"clip": (1.0, 0.0)}, InputError, "clip"),
        ({"clip": (0.0, 1.0)}, InputError, "normalised"),
        ({"steps": 0}, InputError, "steps"),
        ({"step_size": 0.0}, InputError, "step_size"),
    ]:
        with pytest.raises(error, match=message):
            robustness(**{**good, **change})


# Cells and pictures ---------------------------------------------------------------------------------------------------


def test_decision_cells_of_a_linear_model():
    """The border is where w_0.x = w_1.x, on the plane through the points, whose classes are the model's."""
    x, y = examples(3, seed=4)
    ds = decision_cells(linear(), x, resolution=41)
    first = (x[1] - x[0]) / (x[1] - x[0]).norm()
    across = x[2] - x[0] - ((x[2] - x[0]) @ first) * first
    second = across / across.norm()
    u, v = np.meshgrid(ds["u"], ds["v"], indexing="ij")
    at = x[0] + torch.from_numpy(u)[..., None] * first + torch.from_numpy(v)[..., None] * second
    z = at @ W.T
    np.testing.assert_array_equal(ds["class"], z.argmax(-1).numpy())
    np.testing.assert_allclose(ds["margin"], (z[..., 0] - z[..., 1]).abs().numpy(), atol=1e-12)
    for i in range(3):
        back = x[0] + float(ds["point_u"][i]) * first + float(ds["point_v"][i]) * second
        torch.testing.assert_close(back, x[i], rtol=0, atol=1e-12)
    assert len(y) == 3
    with pytest.raises(InputError, match="line"):
        decision_cells(linear(), torch.stack([x[0], x[0] + 1, x[0] + 2]))
    with pytest.raises(InputError, match="three"):
        decision_cells(linear(), x[:2])
    with pytest.raises(InputError, match="logits"):
        decision_cells(linear(W[:1]), x)


def test_pictures_show_the_numbers():
    x, y = examples(100)
    about = {"attack": ["fgsm", "white_noise"], "sizes": [0.3, 0.0]}
    found = {name: robustness(linear(W * a), x, y, **about) for name, a in (("a", 1), ("b", 2))}
    ax = plot_robustness(found)
    lines = {text.get_text() for text in ax.get_legend().get_texts()}
    assert lines == {"a", "b", "white noise", "one gradient step"}
    drawn = ax.containers[0].lines[0].get_xydata()
    expected = found["a"].sel(attack="fgsm").sortby("size")
    np.testing.assert_array_equal(drawn, np.stack([expected["size"], expected["accuracy"]], axis=1))
    mine = Figure().subplots()
    assert plot_robustness(found["a"].sel(attack="fgsm"), ax=mine) is mine
    ax = plot_decision_cells(decision_cells(linear(), x[:3], resolution=20))
    assert len(ax.images) == 1
    assert {text.get_text() for text in ax.texts} <= {"0", "1"}
    with pytest.raises(InputError, match="robustness"):
        plot_robustness(jacobian_norm(linear(), x))
    with pytest.raises(InputError, match="decision_cells"):
        plot_decision_cells(found["a"])
    with pytest.raises(InputError, match="at most"):
        plot_robustness({str(k): found["a"] for k in range(9)})


def test_outputs_that_are_not_finite_are_refused():
    """NaN has an argmax, class 0: accuracy was 1 where y = 0."""
    x = torch.ones(3, 3, dtype=DOUBLE)
    broken = linear(torch.full_like(W, torch.nan))
    with pytest.raises(InputError, match="model output for input 0 is nan"):
        robustness(broken, x, torch.zeros(3, dtype=torch.int64), sizes=[0.1])
    with pytest.raises(InputError, match=r"model output for input \d of the plane is nan"):
        decision_cells(broken, torch.eye(3, dtype=DOUBLE), resolution=3)
    logarithm = torch.nn.Sequential(linear(W.abs()))
    logarithm.register_forward_hook(lambda module, given, z: z.log())
    with pytest.raises(InputError, match=r"for input \d, disturbed by white_noise of size 100, is nan"):
        robustness(logarithm, x, torch.zeros(3, dtype=torch.int64), sizes=[0.0, 100.0])


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"attack": None}, "attack is None"),
        ({"attack": 3}, "attack is 3"),
        ({"y": None}, "y is"),
        ({"y": "abc"}, "y is"),
    ],
)
def test_arguments_of_other_types_are_refused(given, match):
    x, y = examples(5)
    with pytest.raises(InputError, match=match):
        robustness(linear(), **{"X": x, "y": y, "sizes": [0.1], **given})
