"""LayerNorm and RMSNorm in sampled networks: exact averages at every width, limits, autograd, and what is refused.

Their jets, kernels and letters on fixed weights are compared with brute force in test_every_kind.
"""

from itertools import product

import numpy as np
import pytest
import xarray

from rgflow.errors import AccuracyError, InputError
from rgflow.network import MLP, Dense, Network
from rgflow.network.inputs import given
from rgflow.network.layer import KINDS
from rgflow.sampling import draw, sample
from rgflow.sampling.collapsed import Hidden
from rgflow.sampling.draw import Purpose, Streams
from rgflow.sampling.first import first_layer
from rgflow.sampling.gradients import sample_gradients
from rgflow.sampling.mixing import Mixing
from rgflow.sampling.normalized import Normalized
from rgflow.sampling.plan import Plan
from rgflow.sampling.run import drawn_layers
from rgflow.sampling.signals import Activated, Start

LayerNorm, RMSNorm = KINDS["LayerNorm"], KINDS["RMSNorm"]
X = np.array([[1.0, 0.5, -0.2], [0.3, -1.0, 0.4]])
HYPER = {"C_b": 0.1, "C_W": 1.3, "lambda_b": 0.5, "lambda_W": 0.8}
LETTERS = ("K", "Theta", "V", "D", "F", "A", "B")
# 80 different numbers at most are compared in one test: a right program fails once in 2000.
APART = 4.7


def net(layer, width, activation="tanh", layers=2):
    return Network([Dense(**HYPER), *[layer] * layers, Dense(**HYPER)], [3, *[width] * (layers + 1), 2], activation)


# The stage itself ---------------------------------------------------------------------------------------------------


def norm(x, centred, epsilon):
    """By the definition; x * x, not |x|^2, can be differentiated along the complex plane."""
    x = x - np.mean(x, axis=-1, keepdims=True) if centred else x
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + epsilon)


SETS = [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]


@pytest.mark.parametrize(("centred", "epsilon"), [(True, 0.0), (True, 0.3), (False, 0.0)])
def test_jets_are_derivatives(centred, epsilon):
    """Three directions, x a polynomial of degree three in them, against Cauchy's integrals."""
    rng = np.random.default_rng(1)
    x = {chosen: rng.standard_normal((1, 2, 6)) * (1.0 if not chosen else 0.3) for chosen in SETS}
    found = Normalized(Start(x), epsilon, centred, "layer 2").jets
    # (radius / distance of the pole)^points = 1e-11 at a distance of 0.5, rounding 1e-16 / radius^3 = 1e-12.
    points, radius = 12, 0.05
    for chosen in SETS:
        total = 0.0
        for turn in product(np.exp(2j * np.pi * np.arange(points) / points), repeat=len(chosen)):
            t = dict(zip(chosen, radius * np.array(turn), strict=True))
            inside = [part for part in SETS if set(part) <= set(chosen)]
            value = norm(sum(x[part] * np.prod([t[e] for e in part]) for part in inside), centred, epsilon)
            total = total + value * np.prod([1 / (points * te) for te in t.values()])
        expected = np.real(total)
        np.testing.assert_allclose(found[chosen], expected, rtol=0, atol=1e-10 * max(1.0, np.abs(expected).max()))


def test_what_norms_do_not_see():
    """Without epsilon a norm knows neither the length of its neurons nor, if centred, what they share."""
    x = np.random.default_rng(2).standard_normal((3, 2, 7))
    for centred in (True, False):
        stage = Normalized(Start({(): x}), 0.0, centred, "layer 2")
        np.testing.assert_allclose(np.mean(stage.values**2, axis=-1), 1.0, rtol=1e-13)
        unseen = [x] + ([np.ones_like(x)] if centred else [])
        for direction in unseen:
            ((_, delta),) = stage.back(direction)
            np.testing.assert_allclose(delta, 0.0, atol=1e-13)
    np.testing.assert_allclose(Normalized(Start({(): x + 3}), 0.0, True, "").values, norm(x, True, 0.0), atol=1e-13)


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_tiny_and_large_neurons(scale):
    """Powers of the square neither over- nor underflow: jets are those of scale 1 to rounding."""
    x = {chosen: np.random.default_rng(3).standard_normal((1, 1, 5)) for chosen in SETS}
    one = Normalized(Start(x), 0.0, True, "").jets
    other = Normalized(Start({chosen: scale * jet for chosen, jet in x.items()}), 0.0, True, "").jets
    for chosen in SETS:
        np.testing.assert_allclose(other[chosen], one[chosen], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("stages", ["before", "after", "twice"])
def test_slopes_are_the_jacobian(stages):
    """A diagonal less columns times rows, its transposed and its traces, against the full matrix by complex steps."""
    z, x = np.random.default_rng(12).standard_normal((2, 2, 3, 6))

    def activated(source):
        t = np.tanh(source.values)
        return Activated(source, {(): t}, {(): 1 - t**2})

    start = Start({(): z})
    inner = Normalized(start, 0.2, True, "") if stages != "after" else start
    stage = activated(inner)
    if stages != "before":
        stage = Normalized(stage, 0.0, False, "")
    diagonal, mixing = stage.slopes()
    hidden = Hidden(2, z, stage.values, diagonal, z, 0.0, 1.0, 0.0, 1.0, mixing)

    def function(z):
        s = np.tanh(norm(z, True, 0.2) if stages != "after" else z)
        return norm(s, False, 0.0) if stages != "before" else s

    J = np.stack([function(z + 1e-30j * e).imag / 1e-30 for e in np.eye(6)], axis=-1)
    np.testing.assert_allclose(hidden.forward(x[:, :, None])[:, :, 0], np.einsum("majk,mak->maj", J, x), atol=1e-13)
    np.testing.assert_allclose(hidden.back(x[:, :, None])[:, :, 0], np.einsum("makj,mak->maj", J, x), atol=1e-13)
    np.testing.assert_allclose(hidden.trace, np.einsum("majk,mbjk->mab", J, J), atol=1e-13)


# Whole networks: exact averages -------------------------------------------------------------------------------------


def exact_relu(kind, n, K, Theta):
    """K, V and Theta of the second layer with relu(norm(z)), at any n: directions and lengths of z are independent.

    u = y / n^(1/2) is uniform on a sphere of d = n - 1 or n dimensions: E y^2 = 1, and flipping all signs
    E relu(y)^2 = 1/2; E 1/<xbar^2> = n/(K (d - 2)), <J^2>_jj = (1 - [mean]/n - u_j^2) / <xbar^2>.
    V for RMSNorm alone, whose signs are independent: E (sum_j 1_j u_j^2)^2 = (n + 5)/(4 (n + 2)).
    """
    d = n - kind.centred
    own = HYPER["lambda_b"] + HYPER["lambda_W"] / 2
    through = HYPER["C_W"] * Theta / (2 * K) * (d - 1) / (d - 2)
    V = 3 * n / (4 * (n + 2)) * HYPER["C_W"] ** 2
    return {"K": HYPER["C_b"] + HYPER["C_W"] / 2, "Theta": own + through} | ({} if kind.centred else {"V": V})


def apart(ds, expected, layer):
    """Standard errors between a sample and the numbers expected."""
    at = ds.sel(layer=layer)
    return {name: float((at[name] - value) / at[f"{name}_se"]) for name, value in expected.items()}


@pytest.mark.parametrize("kind", [LayerNorm, RMSNorm])
@pytest.mark.parametrize("n", [7, 12])
def test_relu_exactly(kind, n):
    ds = sample(net(kind(**HYPER), n, "relu", 1), first_kernel=0.7, tensors=["K", "V", "Theta"], networks=4000, seed=4)
    expected = exact_relu(kind, n, 0.7, float(ds.Theta[0]))
    assert all(abs(value) < APART for value in apart(ds, expected, 2).values())
    # The control: what an infinitely wide network would have.
    assert abs(apart(ds, {"Theta": exact_relu(kind, 10**9, 0.7, float(ds.Theta[0]))["Theta"]}, 2)["Theta"]) > 2 * APART


def test_control_neurons_that_do_not_know_each_other(monkeypatch):
    """Without what the mean and the length take away from derivatives, Theta is off."""
    right = Normalized._jacobian
    monkeypatch.setattr(Normalized, "_jacobian", lambda self, s: tuple(0 * part for part in right(self, s)))
    for kind in (LayerNorm, RMSNorm):
        ds = sample(net(kind(**HYPER), 7, "relu", 1), first_kernel=0.7, tensors=["Theta"], networks=8000, seed=4)
        expected = exact_relu(kind, 7, 0.7, float(ds.Theta[0]))
        assert abs(apart(ds, {"Theta": expected["Theta"]}, 2)["Theta"]) > 2 * APART


def test_after_the_activation_nothing_fluctuates():
    """<norm(sigma)^2> = 1 in every network: K = C_b + C_W + skip^2 K, and V from the skip alone."""
    for kind in (LayerNorm, RMSNorm):
        ds = sample(net(kind(place="after", **HYPER), 9, "gelu"), X, networks=200, seed=5)
        for a in range(2):
            np.testing.assert_allclose(ds.K[1:3, a, a], HYPER["C_b"] + HYPER["C_W"], rtol=1e-13)
            np.testing.assert_allclose(ds.V[1:3, a, a, a, a], 0.0, atol=1e-13)
        assert np.all(ds.V[1:3, 0, 1, 0, 1] > 0.1)


ROUTES = {
    "before": ([LayerNorm(**HYPER)] * 2, "relu", LETTERS),
    "after": ([LayerNorm(place="after", **HYPER)] * 2, "gelu", LETTERS),
    "mixed": ([RMSNorm(**HYPER), Dense(**HYPER), KINDS["Linear"](**HYPER), RMSNorm(place="after")], "tanh", LETTERS),
    "skip": ([LayerNorm(skip=0.8, **HYPER), RMSNorm(skip=-0.6, place="after")], "gelu", ("K", "V", "V6")),
}


@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.parametrize("case", ROUTES)
def test_both_routes(case, inputs):
    """All weights drawn, or neurons alone."""
    inner, sigma, names = ROUTES[case]
    inner = [layer.changed(epsilon=0.1) if isinstance(layer, LayerNorm) else layer for layer in inner]
    build = Network([Dense(**HYPER), *inner, Dense(**HYPER)], [3, *[6] * (len(inner) + 1), 2], sigma)
    assert Plan(build, inputs, names).collapsed == (case != "skip")
    fast = sample(build, X[:inputs], tensors=names, networks=4000, seed=6)
    slow = sample(build, X[:inputs], tensors=names, networks=1200, seed=7, route="weights")
    for name in names:
        error = np.hypot(fast[f"{name}_se"], slow[f"{name}_se"]).values
        assert np.all(np.abs(fast[name] - slow[name]).values <= APART * error + 1e-13), name


CONTROLS = {"trace": {"Theta", "A"}, "back": {"Theta", "A", "B"}, "forward": {"Theta"}}


@pytest.mark.parametrize("part", CONTROLS)
def test_control_what_norms_mix_left_out(part, monkeypatch):
    """Without one of the three uses of the columns and rows of a norm, neurons alone tell something else."""
    inner = [LayerNorm(epsilon=0.1, C_W=2.0)] * 3
    build = Network([Dense(), *inner, Dense()], [3, 5, 5, 5, 5, 2], "relu")
    values = {"tensors": ("Theta", "A", "B"), "networks": 3000, "seed": 6}
    right = sample(build, X, **values)
    monkeypatch.setattr(Mixing, part, lambda self, x: 0.0)
    other = sample(build, X, **values)
    off = {n for n in values["tensors"] if np.any(np.abs(right[n] - other[n]) > 2 * APART * right[f"{n}_se"] + 1e-9)}
    assert off >= CONTROLS[part]


# Limits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [LayerNorm, RMSNorm])
@pytest.mark.parametrize("place", ["before", "after"])
def test_huge_epsilon_divides_by_a_number(place, kind):
    """norm(x) = xbar / epsilon^(1/2) + O(x^3 / epsilon^(3/2)): RMSNorm after sigma is a dense layer of C_W epsilon."""
    epsilon = 1e14
    rates = {name: HYPER[name] * (epsilon if name.endswith("W") else 1.0) for name in HYPER}
    layer = kind(place=place, epsilon=epsilon, **rates)
    names = (*LETTERS, "P", "Q", "R", "S", "T", "U")
    values = {"tensors": names, "networks": 100, "seed": 8, "route": "weights"}
    sigma = "linear" if place == "before" else "tanh"
    ds = sample(net(layer, 5, sigma), X, **values)
    dense = sample(net(Dense(**HYPER), 5, sigma), X, **values)
    same = [np.allclose(ds[name], dense[name], rtol=1e-9, atol=1e-11) for name in names]
    # Without its mean a layer of five neurons is another one.
    assert all(same) if kind is RMSNorm else not any(np.delete(same, names.index("K")))


def test_linear_layers_have_one_place():
    """norm(sigma) = sigma(norm) for the linear activation, and the residual layer has the same skip."""
    names = ("K", "Theta", "B", "P")
    one, two = (
        sample(net(LayerNorm(place=place, skip=0.7, **HYPER), 12, "linear"), X, tensors=names, networks=100, seed=9)
        for place in ("before", "after")
    )
    for name in names:
        np.testing.assert_allclose(one[name], two[name], rtol=1e-11, atol=1e-12)


# Autograd -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [LayerNorm, RMSNorm])
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_drawn_network_is_that_of_torch(kind, place):
    """Neurons of the last layer and their tangent kernel, of one network, by torch's own norms and autograd."""
    torch = pytest.importorskip("torch")
    n, epsilon, skip = 6, 1e-3, 0.7
    network = net(kind(place=place, epsilon=epsilon, skip=skip, **HYPER), n)
    shown = given(network, X, None)
    first, plan = first_layer(network, shown), Plan(network, 2, ("Theta",), "weights")
    streams, again = (Streams(np.random.SeedSequence(10), 0) for _ in range(2))
    layers = [below for _, below, _ in drawn_layers(plan, first, streams, 1, to_the_end=True) if below]
    weights = []
    for l, (fan_in, width) in enumerate(zip(network.widths[1:], network.widths[2:], strict=False), start=2):
        W = draw.weights(again(Purpose.WEIGHTS, l), 1, fan_in, width, HYPER["C_W"])[0]
        weights += [W.T, draw.biases(again(Purpose.BIASES, l), 1, width, HYPER["C_b"])[0, 0]]
    parameters = tuple(torch.tensor(array) for array in weights)
    functional = torch.nn.functional
    normalise = functional.layer_norm if kind is LayerNorm else functional.rms_norm

    def forward(z, *theta):
        for k, (W, b) in enumerate(zip(theta[::2], theta[1::2], strict=True)):
            if k == 2:
                s = torch.tanh(z)
            elif place == "before":
                s = torch.tanh(normalise(z, (n,), eps=epsilon))
            else:
                s = normalise(torch.tanh(z), (n,), eps=epsilon)
            z = s @ W.T + b + (skip * z if k < 2 else 0.0)
        return z

    z = torch.tensor(layers[0].values[0])
    np.testing.assert_allclose(layers[-1].values[0], forward(z, *parameters).numpy(), rtol=0, atol=1e-12)
    below, *rest = torch.func.jacrev(forward, argnums=tuple(range(1 + len(parameters))))(z, *parameters)
    # The first layer is known by its tangent kernel, Theta^1 for each neuron.
    theta_1 = torch.tensor(first.tangent)
    expected = torch.einsum("ajcp,cd,bmdp->abjm", below, theta_1, below)
    for k, J in enumerate(rest):
        rate = HYPER["lambda_b"] if k % 2 else HYPER["lambda_W"] / parameters[k].shape[1]
        flat = J.reshape(2, 2, -1)
        expected += rate * torch.einsum("ajp,bmp->abjm", flat, flat)
    found = layers[-1].kernel(layers[-1])[0]
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-10, atol=1e-10)


# What is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["before", "after"])
def test_one_neuron(place):
    with pytest.raises(InputError, match=r"layer 2 divides one neuron less its mean.*epsilon"):
        sample(net(LayerNorm(place=place), 1), X, networks=100, seed=1)
    with pytest.raises(InputError, match=r"layer 2 divides one neuron less its mean.*epsilon"):
        sample_gradients(net(LayerNorm(place=place), 1), X, seed=1)
    # With epsilon the neuron is zero, with RMSNorm its sign.
    ds = sample(net(LayerNorm(place=place, epsilon=0.1, C_b=0.2), 1), X, tensors=["K", "Theta"], networks=100, seed=1)
    np.testing.assert_allclose(ds.K[1:3], 0.2)
    np.testing.assert_allclose(ds.Theta[1:3], 1.0)
    ds = sample(net(RMSNorm(place=place), 1), X[0], tensors=["K"], networks=100, seed=1)
    np.testing.assert_allclose(ds.K[1:3], 1.0 if place == "after" else np.tanh(1.0) ** 2, rtol=1e-14)


@pytest.mark.parametrize(("kind", "what"), [(LayerNorm, "all equal"), (RMSNorm, "all zero")])
def test_neurons_that_are_all_alike(kind, what):
    for network, x in ((net(kind(place="after"), 3, "relu"), X), (net(kind(), 9), 0 * X[0])):
        if network.activation.name == "tanh":
            network = Network([Dense(), kind(), Dense()], [3, 9, 9, 1], "tanh")
        with pytest.raises(AccuracyError, match=f"layer 2 normalises . neurons that are {what}.*0/0.*epsilon > 0"):
            sample(network, x, networks=100, seed=1)
    ds = sample(net(kind(place="after", epsilon=1e-6), 3, "relu"), X, tensors=LETTERS, networks=100, seed=1)
    assert all(np.isfinite(ds[name]).all() for name in LETTERS)


def test_neurons_equal_but_for_rounding():
    """0.1 + 0.2 and 0.3 are one number: their difference says nothing."""
    x = np.array([[[0.1 + 0.2, 0.3, 0.3, 0.3]]])
    with pytest.raises(AccuracyError, match="all equal"):
        Normalized(Start({(): x}), 0.0, True, "layer 5")
    assert np.isfinite(Normalized(Start({(): x}), 1e-12, True, "layer 5").values).all()


@pytest.mark.parametrize(("name", "least"), [("Theta", 5), ("A", 9), ("P", 9), ("R", 13)])
def test_averages_that_do_not_exist(name, least):
    """E r^(4k), the square of what k directions bring, is infinite for 4 k dimensions or fewer."""
    for kind in (LayerNorm, RMSNorm):
        enough = least + kind.centred
        with pytest.raises(InputError, match=rf"{name} of layer 2, {kind.__name__}.*epsilon > 0 or at least {enough} "):
            sample(net(kind(), enough - 1), X[0], tensors=["K", name], networks=100, seed=1)
        for layer, width in ((kind(), enough), (kind(epsilon=0.1), 3)):
            assert np.isfinite(sample(net(layer, width), X[0], tensors=[name], networks=100, seed=1)[name]).all()
    with pytest.raises(InputError, match=r"chi of layer 2.*at least 6 neurons"):
        sample_gradients(net(LayerNorm(), 5), X, seed=1)


def test_overflow_is_named():
    with pytest.raises(AccuracyError, match="overflow"):
        sample(net(LayerNorm(skip=1e200, place="after"), 6, "z**3", 3), X, networks=100, seed=1)


@pytest.mark.parametrize("tensors", [("V",), ("Theta", "B"), ("R",)])
def test_numbers_do_not_depend_on_memory_or_threads(tensors):
    for skip in (0.5, 0.0):
        network = net(LayerNorm(skip=skip, epsilon=0.1), 6)
        values = {"tensors": tensors, "networks": 100, "seed": 11}
        one = sample(network, X, **values)
        for other in (sample(network, X, **values, threads=2), sample(network, X, **values, memory=2**19)):
            xarray.testing.assert_identical(one, other)


def test_a_first_layer_does_not_normalise():
    with pytest.raises(InputError):
        Network([LayerNorm(), Dense()], [3, 3, 1], "tanh")
    assert type(MLP([3, 3, 1], "tanh").layers[0]) is Dense
