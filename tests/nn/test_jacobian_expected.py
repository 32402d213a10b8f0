"""E||J||_F^2 at initialisation and its spread over networks: exact laws, drawn networks, PyTorch models."""

from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from oracles.random_jacobians import norms, relu_moments

import rgflow as rg
from rgflow.errors import InputError, OrderError
from rgflow.nn.models.build import build
from rgflow.nn.smoothness.expected_jacobian import expected_jacobian
from rgflow.nn.smoothness.jacobian_norm import jacobian_norm
from rgflow.nn.smoothness.reading import read_network

XAVIER = [2 * 784 / 984, 2 * 200 / 400, 2 * 200 / 210]  # fan-in times the variance 2/(fan-in + fan-out)
SIZES = [784, 200, 200, 10]


def numbers(ds):
    return tuple(float(ds[name][0]) for name in ("norm", "norm_shift", "norm_spread"))


@lru_cache
def example(C_W, normal):
    """300 networks of the authors' example."""
    return norms("relu", SIZES, C_W, np.full(784, 0.3), 300, seed=8, normal=normal)


# The numbers of the paper's example -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("C_W", "normal", "expected"), [(2.0, True, 20.0), (XAVIER, False, 2 * 3.7940)], ids=["He", "Xavier-uniform"]
)
def test_the_example_of_the_authors(C_W, normal, expected):
    """784-200-200-10, relu: 20 with He's variances, 0.5 E||J||^2 = 3.794 with Xavier's; 300 networks within 3 s.e."""
    mean, shift, spread = numbers(expected_jacobian(rg.MLP(SIZES, "relu", C_W=C_W), norm2=1.0))
    assert mean == pytest.approx(expected, abs=5e-5 * expected)
    assert shift == pytest.approx(0.0, abs=1e-12)
    found = example(C_W if normal else tuple(XAVIER), normal)
    assert abs(found.mean() - mean) < 3 * found.std(ddof=1) / 300**0.5
    # the spread of a standard deviation of 300 numbers, and the next order: exact - leading
    exact = relu_moments(SIZES, C_W)[1] ** 0.5
    assert abs(found.std(ddof=1) - exact) < 3 * spread / 600**0.5
    assert 0 < exact - spread < 0.02 * spread


def test_control_a_forgotten_gate_is_seen():
    """Without <sigma'^2> = 1/2 of one of the two hidden layers the prediction doubles: 300 networks tell."""
    found = example(2.0, True)
    assert abs(found.mean() - 40.0) > 50 * found.std(ddof=1) / 300**0.5


# Exact laws -----------------------------------------------------------------------------------------------------------


def test_relu_mean_is_exact_and_spread_approaches_the_exact_law():
    """Distance of the variance from the exact product law falls as 1/n relative to it."""
    distances = []
    for n in (50, 100, 200, 400):
        sizes = [n, n, 2 * n, n, n]
        mean, shift, spread = numbers(expected_jacobian(rg.MLP(sizes, "relu", C_W=[1.0, 2.0, 1.7, 2.2]), norm2=0.7))
        exact_mean, exact_variance = relu_moments(sizes, [1.0, 2.0, 1.7, 2.2])
        assert mean == pytest.approx(exact_mean, rel=1e-12)
        assert abs(shift) < 1e-12 * mean
        distances.append(n * (exact_variance / spread**2 - 1))
    assert min(distances) > 0
    # n times the distance tends to a constant, its own corrections halving
    assert abs(distances[3] - distances[2]) < 0.6 * abs(distances[2] - distances[1])


def test_few_outputs_and_one_layer():
    """The part 2 B/n_L of the variance: a single matrix has Var ||W||^2 = 2 n_1 C_W^2/n_0 and nothing else."""
    mean, shift, spread = numbers(expected_jacobian(rg.MLP([20, 3], "tanh", C_W=1.5), norm2=1.0))
    assert (mean, shift) == pytest.approx((4.5, 0.0), abs=1e-14)
    assert spread == pytest.approx((2 * 3 * 1.5**2 / 20) ** 0.5, rel=1e-14)
    for outputs in (1, 2, 50):
        sizes = [400, 400, 400, outputs]
        spread = numbers(expected_jacobian(rg.MLP(sizes, "relu", C_W=2.0), norm2=1.0))[2]
        exact = relu_moments(sizes, 2.0)[1] ** 0.5
        assert spread == pytest.approx(exact, rel=0.01)  # next order: of 1/400


def test_control_outputs_forgotten():
    """Var ||J||^2 without 2 B/n_L is wrong by a factor for one output."""
    sizes = [400, 400, 400, 1]
    exact = relu_moments(sizes, 2.0)[1]
    # two hidden layers: A = 8 relative to J^2 = 4
    assert exact / (8 / 400) > 2


# Drawn networks -------------------------------------------------------------------------------------------------------

CASES = [("relu", 2.0, 0.0), ("tanh", 1.5, 0.05), ("gelu", 2.0, 0.05)]
SHAPES = [(64, 50, 50, 10), (64, 20, 20, 20, 10), (16, 40, 40, 40, 40, 10)]


def compared(name, C_W, C_b, sizes, networks, seed):
    """(Measured - predicted mean) and the part of order 1/n in standard errors; measured over predicted spread."""
    x = np.random.default_rng(5).normal(size=sizes[0])
    net = rg.MLP(sizes, name, C_W=C_W, C_b=C_b)
    mean, shift, spread = numbers(expected_jacobian(net, x[None]))
    found = norms(name, sizes, C_W, x, networks, seed, C_b=C_b)
    error = found.std(ddof=1) / networks**0.5
    return (found.mean() - mean) / error, shift / error, found.std() / spread


@pytest.mark.parametrize(("name", "C_W", "C_b"), CASES, ids=[case[0] for case in CASES])
@pytest.mark.parametrize("sizes", SHAPES[:2], ids=str)
def test_drawn_networks(name, C_W, C_b, sizes):
    """The mean within 3 standard errors plus the predicted term of order 1/n; 1500 networks."""
    leading, shift, ratio = compared(name, C_W, C_b, sizes, 1500, seed=21)
    assert abs(leading) < 3 + abs(shift)
    depth_over_width = sum(1 / n for n in sizes[1:-1])
    assert abs(ratio - 1) < 3 * depth_over_width + 3 * (2 / 1500) ** 0.5 * 2


@pytest.mark.slow
@pytest.mark.parametrize(("name", "C_W", "C_b"), CASES, ids=[case[0] for case in CASES])
def test_many_drawn_networks(name, C_W, C_b):
    """10000 networks at widths 20, 40, 80: what is left after the order 1/n falls as 1/n^2.

    One amplitude a / n^2 fitted to the three (chi^2 of two degrees of freedom, a tail of 1e-3), while the leading order
    alone is off.
    """
    left, errors, first = [], [], []
    for n in (20, 40, 80):
        sizes = (32, n, n, n, 10)
        x = np.random.default_rng(5).normal(size=32)
        mean, shift, _ = numbers(expected_jacobian(rg.MLP(sizes, name, C_W=C_W, C_b=C_b), x[None]))
        found = np.concatenate([norms(name, sizes, C_W, x, 1000, seed, C_b=C_b) for seed in range(10)])
        errors.append(found.std(ddof=1) / len(found) ** 0.5)
        left.append(found.mean() - mean - shift)
        first.append(shift / errors[-1])
    model = 1 / np.array([20.0, 40.0, 80.0]) ** 2
    weights = 1 / np.array(errors) ** 2
    amplitude = (weights * model * left).sum() / (weights * model**2).sum()
    assert (weights * (left - amplitude * model) ** 2).sum() < 13.8
    if name != "relu":
        assert max(map(abs, first)) > 5


@pytest.mark.parametrize(("name", "C_W", "C_b"), CASES, ids=[case[0] for case in CASES])
def test_pytorch_models_on_several_inputs(name, C_W, C_b):
    """120 models of ``rg.nn.build``, the mean over three inputs, within 3 s.e. plus the predicted term."""
    net = rg.MLP([16, 40, 40, 5], name, C_W=C_W, C_b=C_b)
    x = np.random.default_rng(6).normal(size=(3, 16)) * np.array([[0.5], [1.0], [2.0]])
    predicted = expected_jacobian(net, x)
    found = np.array([float(jacobian_norm(build(net, seed=s, dtype=torch.float64), x)["mean"]) for s in range(120)])
    error = found.std(ddof=1) / 120**0.5
    assert abs(found.mean() - float(predicted["mean"])) < 3 * error + abs(float(predicted["norm_shift"].mean()))
    bound = float(predicted["mean_spread"])
    assert found.std(ddof=1) < bound * (1 + 3 * 2 / 40 + 3 / 240**0.5)


LAYERS = {
    "residual": lambda: rg.Residual(skip=0.7, C_W=1.2),
    "layer norm": lambda: rg.LayerNorm(C_W=1.5, C_b=0.1),
    "layer norm, skip": lambda: rg.LayerNorm(skip=1.0, C_W=0.5),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LAYERS)
def test_other_layers(kind):
    """Mean and spread behind skips and norms: what is left of the variance falls as 1/n, of the mean as 1/n^2.

    A wrong leading variance, off by a part d, would show as 40 d between the two numbers that are compared.
    """
    left, errors = [], []
    for n, count in ((40, 1200), (80, 800)):
        net = rg.Network([rg.Dense(C_W=1.3, C_b=0.1), *[LAYERS[kind]()] * 3, rg.Dense()], [n] * 5 + [6], "gelu")
        x = np.ones((1, n))
        mean, shift, spread = numbers(expected_jacobian(net, x))
        found = np.array(
            [float(jacobian_norm(build(net, seed=s, dtype=torch.float64), x)["mean"]) for s in range(count)]
        )
        error = found.std(ddof=1) / count**0.5
        assert abs(found.mean() - mean - shift) < 3 * error + shift**2 / mean * 4
        squares = (found - found.mean()) ** 2 / spread**2
        left.append(n * (squares.mean() - 1))
        errors.append(n * squares.std() / count**0.5)
    assert abs(left[0] - left[1]) < 3 * np.hypot(*errors)


# Inputs and models ----------------------------------------------------------------------------------------------------


def test_many_inputs_are_read_off_a_polynomial():
    """200 inputs, among them zero and equal ones: the same numbers as each by itself, to the error that is stated."""
    net = rg.MLP([8, 30, 30, 4], "tanh", C_W=1.4, C_b=0.1)
    x = np.random.default_rng(2).normal(size=(200, 8)) * np.linspace(0.2, 2.0, 200)[:, None]
    x[7], x[8] = 0.0, x[9]
    together = expected_jacobian(net, x)
    for i in (0, 7, 8, 9, 100, 199):
        alone = expected_jacobian(net, x[i : i + 1])
        for name in ("norm", "norm_shift", "norm_spread"):
            distance = abs(float(together[name][i]) - float(alone[name][0]))
            assert distance < 4e-10 * float(alone["norm"][0]), name
    assert float(together["norm_error"].max()) < 1e-7
    assert float(together["norm"][8]) == float(together["norm"][9])
    total = together["norm"] + together["norm_shift"]
    assert float(together["mean"]) == pytest.approx(float(total.mean()), rel=1e-14)


def test_the_two_ways_to_the_mean_agree():
    """Order 0 flows partial Jacobians, order 1 the tangent kernel of a network that is moved at x."""
    for name in ("relu", "tanh", "gelu"):
        net = rg.MLP([12, 30, 30, 4], name, C_W=[1.1, 1.5, 0.8], C_b=0.2)
        one, two = (float(expected_jacobian(net, norm2=0.6, order=order)["norm"][0]) for order in (0, 1))
        assert one == pytest.approx(two, rel=1e-9)


def test_orthogonal_first_layer():
    net = rg.Network([rg.Orthogonal(C_W=1.2), rg.Dense(C_W=1.3)], [10, 10, 4], "tanh")
    assert float(expected_jacobian(net, norm2=1.0, order=0)["norm"][0]) > 0
    with pytest.raises(OrderError, match="order=0"):
        expected_jacobian(net, norm2=1.0)


def sequential(acting=torch.nn.Tanh, **named):
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Flatten(),
            torch.nn.Linear(16, 300),
            acting(**named),
            torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(300, 200)),
            torch.nn.Identity(),
            torch.nn.Linear(200, 4),
        ).eval()


def test_a_model_is_read():
    model = sequential()
    net = read_network(model)
    assert net.widths == (16, 300, 200, 4)
    assert net.kinds == "2 dense, linear"
    assert net.activation == rg.activation("tanh")
    # torch draws weights and biases from U(-1, 1)/sqrt(fan-in)
    for layer, (fan_in, fan_out) in zip(net.layers, pairwise(net.widths), strict=True):
        assert abs(3 * layer.C_W - 1) < 4 * (0.8 / (fan_in * fan_out)) ** 0.5
    predicted = expected_jacobian(model, torch.ones(2, 4, 4))
    measured = float(jacobian_norm(model, torch.ones(1, 4, 4))["mean"])
    # one network, whose own variances are known
    assert abs(measured - float(predicted["mean"])) < 4 * float(predicted["mean_spread"])
    built = build(rg.MLP([3, 4, 2], "gelu", C_W=1.5), seed=0)
    assert read_network(built) is built.net


@pytest.mark.parametrize(
    ("module", "named", "name"),
    [
        (torch.nn.LeakyReLU, {"negative_slope": 0.2}, "leaky_relu"),
        (torch.nn.GELU, {}, "gelu"),
        (torch.nn.GELU, {"approximate": "tanh"}, "gelu_tanh"),
        (torch.nn.SiLU, {}, "silu"),
        (torch.nn.Mish, {}, "mish"),
        (torch.nn.Sigmoid, {}, "sigmoid"),
        (torch.nn.ReLU, {}, "relu"),
    ],
)
def test_activations_are_the_same_functions(module, named, name):
    sigma = read_network(sequential(module, **named)).activation
    z = torch.linspace(-3, 3, 13, dtype=torch.float64)
    np.testing.assert_allclose(sigma(z.numpy()), module(**named)(z).numpy(), atol=1e-14, rtol=1e-13)
    assert sigma.name.startswith(name)


def test_one_activation_module_may_stand_twice():
    tanh = torch.nn.Tanh()
    linears = [torch.nn.Linear(3, 3) for _ in range(3)]
    net = read_network(torch.nn.Sequential(linears[0], tanh, linears[1], tanh, linears[2]))
    assert net.kinds == "3 dense"


def test_models_that_are_not_read():
    one, two = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    tanh, relu = torch.nn.Tanh(), torch.nn.ReLU()
    cases = [
        (torch.nn.Sequential(one, tanh, one), "shares"),
        (torch.nn.Sequential(one, tanh, two, relu, torch.nn.Linear(3, 1)), "differ"),
        (torch.nn.Sequential(one, tanh, relu, two), "follows"),
        (torch.nn.Sequential(tanh, one), "before the first"),
        (torch.nn.Sequential(one, tanh), "after the last"),
        (torch.nn.Sequential(one, torch.nn.LayerNorm(3), two), "LayerNorm"),
        (torch.nn.Sequential(one, torch.nn.Dropout(), two), "eval"),
        (torch.nn.Sequential(tanh), "no Linear"),
        (torch.nn.Bilinear(3, 3, 2), "Bilinear"),
    ]
    for model, message in cases:
        with pytest.raises(InputError, match=message):
            read_network(model)


def test_refusals():
    net = rg.MLP([3, 4, 2], "tanh")
    for given, message in [
        ({}, "exactly one"),
        ({"X": np.ones((2, 3)), "norm2": 1.0}, "exactly one"),
        ({"X": np.ones((2, 4))}, "shape"),
        ({"X": np.ones(3)}, "shape"),
        ({"X": np.full((1, 3), np.nan)}, "NaN"),
        ({"norm2": -1.0}, "norm2"),
        ({"norm2": [[1.0]]}, "norm2"),
    ]:
        with pytest.raises(InputError, match=message):
            expected_jacobian(net, **given)
    with pytest.raises(OrderError, match="order"):
        expected_jacobian(net, norm2=1.0, order=2)
    with pytest.raises(InputError, match="neither"):
        expected_jacobian("net", norm2=1.0)


def test_goes_through_a_file(tmp_path):
    ds = expected_jacobian(rg.MLP([3, 4, 2], "tanh"), norm2=[0.5, 1.0])
    rg.save(ds, tmp_path / "expected.nc")
    assert rg.load(tmp_path / "expected.nc").identical(ds)
