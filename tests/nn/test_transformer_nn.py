"""Transformers in PyTorch: forward against torch's own modules, kernels against sampled networks, slopes with width."""

import copy
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch_transformer
from torch.func import functional_call, jacrev

import rgflow as rg
from rgflow.nn.models.build import build
from rgflow.nn.transformer.groups import transformer_groups
from rgflow.nn.transformer.model import build_transformer

X = np.random.default_rng(1).normal(size=(2, 3, 5))
WORDS = np.array([[2, 0, 2], [4, 1, 0]])
VARIANCES = {"C_Q": 1.5, "C_V": 0.8, "C_U": 1.3, "C_W": 1.1, "C_X": 0.9, "C_PE": 0.2, "C_bhead": 0.3}
RATES = {"Q": 1.4, "K": 0.6, "V": 1.2, "U": 0.7, "W": 1.3, "X": 0.5, "PE": 0.4}
GIVEN = VARIANCES | {f"Lambda_{group}": rate for group, rate in RATES.items()}
SMALL = {"width": 16, "heads": 2, "blocks": 1, "n_in": 5, "positions": 4, "n_out": 6}


def weights_of(model):
    """Of a model, by place and group, as the reference takes them."""
    found = {}
    for name, parameter in model.named_parameters():
        parts, array = name.split("."), parameter.detach().numpy()
        place = int(parts[1]) if parts[0] == "blocks" else parts[0]
        group = torch_transformer.group_of(name)
        found[place, group] = array.T if group in ("PE", "WE") else array
    return found


# Forward --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", ["full", "causal"])
@pytest.mark.parametrize("stem", ["patch", "words"])
def test_the_model_is_that_of_torchs_own_modules(stem, mask):
    """Fused attention, nn.LayerNorm and nn.Linear with the same weights, to rounding."""
    net = rg.Transformer(**SMALL | {"blocks": 2, "n_out": 5}, mask=mask, stem=stem, tied=stem == "words", **VARIANCES)
    model = build_transformer(net, seed=2, dtype=torch.float64)
    x = torch.from_numpy(X if stem == "patch" else WORDS)
    streams, out = torch_transformer.model(net, weights_of(model))(x)
    for ours, theirs in zip(model.streams(x), (*streams, out), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert torch.equal(model(x), model.streams(x)[-1])
    pooled = build_transformer(net.changed(pooling="mean"), seed=2, dtype=torch.float64)(x)
    torch.testing.assert_close(pooled, out.mean(-2), rtol=1e-12, atol=1e-12)


def test_control_another_mask_is_seen():
    net = rg.Transformer(**SMALL)
    model = build_transformer(net, seed=2, dtype=torch.float64)
    _, out = torch_transformer.model(net.changed(mask="causal"), weights_of(model))(torch.from_numpy(X))
    assert not torch.allclose(model(torch.from_numpy(X)), out, rtol=1e-3)


def test_a_causal_token_does_not_see_later_ones():
    model = build_transformer(rg.Transformer(**SMALL | {"blocks": 2}, mask="causal"), seed=0, dtype=torch.float64)
    x, other = torch.from_numpy(X), torch.from_numpy(X).clone()
    other[:, 2] = 0.0
    assert torch.equal(model(x)[:, :2], model(other)[:, :2])


def test_without_norm_and_without_attention():
    """One linear chain: z = patch x + PE, out = head z."""
    model = build_transformer(rg.Transformer(**SMALL | {"blocks": 0}, norm="none"), seed=0, dtype=torch.float64)
    x, p = torch.from_numpy(X), dict(model.named_parameters())
    expected = (x @ p["stem.patch.weight"].T + p["stem.PE"][:3]) @ p["head.weight"].T + p["head.bias"]
    torch.testing.assert_close(model(x), expected)


def test_gradients_can_be_differentiated_again():
    model = build_transformer(rg.Transformer(**SMALL, mask="causal"), seed=0, dtype=torch.float64)
    x = torch.from_numpy(X[:1]).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda given: model(given).sum(), x)


# How it is drawn ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("s", "depth"), [(0, False), (Fraction(1, 2), True)])
def test_variances_are_those_described(s, depth):
    """Mean squares of each group times fan-in; B = 4, and n^-s in the head."""
    net = rg.Transformer(width=48, heads=2, blocks=2, n_in=5, positions=7, n_out=9, **VARIANCES)
    model = build_transformer(rg.transformer_scaling(net, s, depth=depth), seed=5, dtype=torch.float64)
    for group, parameters in model.grouped().items():
        values = torch.cat([parameter.detach().reshape(-1) for parameter in parameters]).numpy()
        expected = net.value(f"C_{group}") / net.fan_in(group)
        if group == "head":
            expected *= 48 ** -float(s)
        if depth and group in ("U", "X"):
            expected /= 4
        assert abs(np.mean(values**2) - expected) < 4 * expected * np.sqrt(2 / values.size), group


def test_seeds_dtypes_and_the_global_generator():
    net = rg.Transformer(**SMALL)
    state = torch.random.get_rng_state()
    double, single = (build_transformer(net, seed=3, dtype=kind) for kind in (torch.float64, torch.float32))
    assert torch.equal(torch.random.get_rng_state(), state)
    for one, other in zip(double.parameters(), single.parameters(), strict=True):
        assert other.dtype == torch.float32
        assert torch.equal(one.float(), other)
    again, another = (build_transformer(net, seed=seed, dtype=torch.float64) for seed in (3, 4))
    assert torch.equal(double.head.weight, again.head.weight)
    assert not torch.equal(double.head.weight, another.head.weight)
    assert not torch.equal(double.blocks[0].Q.weight, double.blocks[0].K.weight)
    words = rg.Transformer(**SMALL | {"n_out": 5}, stem="words", tied=True)
    on_meta = build_transformer(words, seed=3, device="meta")
    assert {p.device.type for p in on_meta.parameters()} == {"meta"}


def test_build_makes_them():
    net = rg.Transformer(**SMALL)
    ours = build_transformer(net, seed=3).state_dict()
    for given in (net, rg.transformer_scaling(net)):
        found = build(given, seed=3)
        assert all(torch.equal(ours[name], value) for name, value in found.state_dict().items())
    with pytest.raises(rg.InputError, match="not a network"):
        build(3)
    copied = copy.deepcopy(found)
    assert torch.equal(copied(torch.ones(2, 3, 5)), found(torch.ones(2, 3, 5)))
    rates, again = ([group["lr"] for group in transformer_groups(one, 1.0)] for one in (found, copied))
    assert rates == again


def test_what_does_not_learn_is_frozen():
    model = build_transformer(rg.Transformer(**SMALL, Lambda_PE=0.0, Lambda_Q=0.0), seed=0)
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert frozen == ["stem.PE", "blocks.0.Q.weight"]
    model.head.bias.requires_grad_(False)  # and what the user froze
    left = {"PE", "Q", "bhead"}
    assert {group["name"] for group in transformer_groups(model, 1.0)} == set(model.scaling.net.groups) - left
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(rg.InputError, match="no parameter"):
        transformer_groups(model, 1.0)


# Kernels --------------------------------------------------------------------------------------------------------------


def shares(model, x, neurons, optimizer="sgd", moved=False):
    """By group, averaged over output neurons and tokens of one input: lr |grad z|^2, or lr |grad z|_1, and mean g^2."""
    rates = {group["name"]: group["lr"] for group in transformer_groups(model, 1.0, optimizer)}
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    J = jacrev(lambda p: functional_call(model, p, (x,))[0, :, :neurons])(parameters)
    found = dict.fromkeys(rates, 0.0)
    squares = {group: [] for group in rates}
    for name, jacobian in J.items():
        group = torch_transformer.group_of(name)
        size = jacobian.abs() if moved else jacobian**2
        found[group] += rates[group] * float(size.sum()) / jacobian.shape[:2].numel()
        squares[group].append(float((jacobian**2).mean()))
    return found, {group: np.mean(values) for group, values in squares.items()}


def mean_and_error(rows):
    return np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1) / np.sqrt(len(rows))


def measured(net, networks, seed):
    """tr K / T of every stream and of the head, and tr Theta / T of the head by group, of PyTorch models."""
    x = torch.from_numpy(X[:1])
    K, Theta = [], []
    for child in np.random.SeedSequence(seed).spawn(networks):
        model = build_transformer(net, seed=child, dtype=torch.float64)
        with torch.no_grad():
            K.append([float((z**2).mean()) for z in model.streams(x)])
        Theta.append(list(shares(model, x, net.n_out)[0].values()))
    return mean_and_error(K), mean_and_error(Theta)


def beyond(net, networks, seed):
    """Distances of K and Theta from sampled networks that share no code, in standard errors."""
    (K, K_se), (Theta, Theta_se) = measured(net, networks, seed)
    mc = rg.sample_transformer(net, X[0], networks=4 * networks, seed=seed + 1, neurons=net.n_out)
    trace = {name: np.einsum("...tt->...", mc[name].values) / 3 for name in mc.data_vars}
    # Errors of a trace as if its entries went together: never too small.
    found = [(K - trace["K"]) / np.hypot(K_se, trace["K_se"])]
    theirs, error = trace["Theta_by_group"][-1], trace["Theta_by_group_se"][-1]
    found.append((Theta - theirs) / np.maximum(np.hypot(Theta_se, error), 1e-9))  # of the head's bias: exact
    return np.concatenate(found)


def test_kernels_are_those_of_sampled_transformers():
    net = rg.Transformer(**SMALL, mask="causal", **GIVEN)
    assert np.abs(beyond(net, 40, seed=7)).max() < 3


def test_control_another_learning_rate_is_seen():
    """X learns 1.5 times as fast as the sampled networks think."""
    net = rg.Transformer(**SMALL, mask="causal", **GIVEN)
    _, (Theta, error) = measured(net, 40, seed=7)
    _, (other, _) = measured(net.changed(Lambda_X=1.5 * net.Lambda_X), 40, seed=7)
    place = net.groups.index("X")
    assert other[place] - Theta[place] > 3 * np.hypot(error, error)[place]


@pytest.mark.slow
def test_kernels_are_those_of_the_flow():
    """Leading order: within three standard errors and O(H/n), with a coefficient of at most 1."""
    net = rg.Transformer(**SMALL | {"width": 128}, mask="causal", **GIVEN)
    (K, K_se), (Theta, Theta_se) = measured(net, 200, seed=3)
    flow = rg.transformer_flow(net, X[0])
    expected = np.einsum("btt->b", flow.K.values) / 3, np.einsum("gtt->g", flow.Theta_by_group.values[-1]) / 3
    for values, error, theory in ((K, K_se, expected[0]), (Theta, Theta_se, expected[1])):
        assert np.all(np.abs(values - theory) < 3 * error + theory * net.heads / net.width)


# Widths ---------------------------------------------------------------------------------------------------------------


def slope(sizes, means, errors):
    """Slope of log means (sizes, groups) in log sizes, and its standard error."""
    x = np.log(sizes) - np.mean(np.log(sizes))
    weights = x / (x @ x)
    return weights @ np.log(means), np.sqrt(weights**2 @ (errors / means) ** 2)


def slopes(widths, networks, uniform=False):
    """In the width, by group and with errors: shares of the tangent kernel, of a first AdamW step, and of g^2."""
    x = torch.from_numpy(X[:1])
    found = {"theta": [], "step": [], "square": []}
    for n, many in zip(widths, networks, strict=True):
        net = rg.Transformer(**SMALL | {"width": n})
        rows = {name: [] for name in found}
        for child in np.random.SeedSequence(n).spawn(many):
            model = build_transformer(net, seed=child, dtype=torch.float64)
            theta, squares = shares(model, x, 6)
            if uniform:
                theta = {group: value * net.fan_in(group) for group, value in theta.items()}
            rows["theta"].append(list(theta.values()))
            rows["step"].append(list(shares(model, x, 6, "adamw", moved=True)[0].values()))
            rows["square"].append(list(squares.values()))
        for name, values in rows.items():
            found[name].append(mean_and_error(values))
    return {name: slope(widths, *map(np.array, zip(*pairs, strict=True))) for name, pairs in found.items()}


def independent_of_width(found, allowance):
    """Slopes 0 of what every group moves, and those of g^2 by hand: -1 but for the head, of which 1 in n_out moves."""
    groups = rg.Transformer(**SMALL).groups
    for name in ("theta", "step"):
        values, errors = found[name]
        assert np.all(np.abs(values) < allowance + 4 * errors), (name, dict(zip(groups, values, strict=True)))
    values, errors = found["square"]
    expected = np.array([0.0 if group in ("head", "bhead") else -1.0 for group in groups])
    assert np.all(np.abs(values - expected) < 2 * (allowance + 4 * errors))


def test_slopes_of_narrow_transformers():
    """What remains of order H/n moves slopes by 0.1 at most."""
    independent_of_width(slopes((16, 32, 64), (24, 16, 12)), 0.1)


def test_control_one_rate_for_all_drifts():
    """Slope +1 of what reads n neurons, 0 of the rest."""
    values, errors = slopes((16, 32, 64), (24, 16, 12), uniform=True)["theta"]
    groups = rg.Transformer(**SMALL).groups
    expected = np.array([0.0 if group in ("patch", "PE", "bhead") else 1.0 for group in groups])
    assert np.all(np.abs(values - expected) < 0.1 + 4 * errors)
    assert np.all(values[expected == 1.0] > 0.7)


@pytest.mark.slow
def test_slopes_from_64_to_512():
    found = slopes((64, 128, 256, 512), (400, 200, 100, 60))
    for name, (values, errors) in found.items():
        print(name, np.round(values, 3), np.round(errors, 3))
    independent_of_width(found, 0.05)


# Learning rates -------------------------------------------------------------------------------------------------------


def typed(n, M, n_patch, n_out, s, B):
    """SGD and AdamW factors: (1.99) to (1.116), footnote 26, and with B blocks rgflow's depth; by hand."""
    sgd, adamw = n**s, n ** (s / 2)
    found = {"patch": (sgd / n_patch, adamw / (n_patch * n**0.5)), "PE": (sgd, adamw / n**0.5)}
    found |= {group: (sgd / n, adamw / (n * (n * B) ** 0.5)) for group in "QKV"}
    found["U"] = (sgd / n / B, adamw / (n * n**0.5 * B))
    found["W"] = (sgd / n, adamw / (n * (M * n * B) ** 0.5))
    found["X"] = (sgd / (M * n * B), adamw / (M * n * n**0.5 * B))
    return found | {"head": (1 / n, 1 / (n * n_out**0.5)), "bhead": (1.0, n_out**-0.5)}


@pytest.mark.parametrize(("s", "depth"), [(0, False), (0.5, False), (1, True)])
def test_groups_of_the_paper(s, depth):
    net = rg.Transformer(width=32, heads=2, blocks=3, n_in=5, positions=4, n_out=6, M=3)
    model = build_transformer(rg.transformer_scaling(net, s, depth=depth), seed=0)
    for place, optimizer in enumerate(("sgd", "adamw")):
        found = transformer_groups(model, 0.3, optimizer, weight_decay=1e-2)
        expected = {name: 0.3 * pair[place] for name, pair in typed(32, 3, 5, 6, s, 6 if depth else 1).items()}
        assert {group["name"]: group["lr"] for group in found} == pytest.approx(expected)
        assert [group["lr"] * group["weight_decay"] for group in found] == pytest.approx([3e-3] * len(found))
        assert [p for group in found for p in group["params"]] == [p for ps in model.grouped().values() for p in ps]
        getattr(torch.optim, {"sgd": "SGD", "adamw": "AdamW"}[optimizer])(found)
    # Other rates for the same weights.
    plain = transformer_groups(model, 0.3, "sgd", s=0, depth=False)
    assert {group["name"]: group["lr"] for group in plain} == pytest.approx(
        {name: 0.3 * pair[0] for name, pair in typed(32, 3, 5, 6, 0, 1).items()}
    )


def test_tied_heads_are_rescaled():
    net = rg.Transformer(**SMALL | {"n_out": 5}, stem="words", tied=True)
    x = torch.from_numpy(WORDS)
    plain, scaled = (build_transformer(rg.transformer_scaling(net, s), seed=1, dtype=torch.float64) for s in (0, 1))
    torch.testing.assert_close(scaled(x), plain(x) / 4)
    assert "head" not in {group["name"] for group in transformer_groups(scaled, 1.0)}


def test_what_is_refused():
    model = build_transformer(rg.Transformer(**SMALL), seed=0)
    for wrong in (torch.zeros(2, 3, 4), torch.zeros(5), torch.zeros(2, 5, 5), torch.zeros(2, 0, 5)):
        with pytest.raises(rg.InputError, match="was shown"):
            model(wrong)
    words = build_transformer(rg.Transformer(**SMALL, stem="words"), seed=0)
    for shown in (torch.zeros(2, 3), torch.zeros(2, 5, dtype=torch.int64), torch.tensor(1)):
        with pytest.raises(rg.InputError, match="was shown"):
            words(shown)
    for word in (-1, 5):
        with pytest.raises(rg.InputError, match=f"word {word}; its vocabulary has 5"):
            words(torch.tensor([[0, word]]))
    for net in ("vit", rg.MLP([2, 3, 1], "tanh"), None):
        with pytest.raises(rg.InputError, match="no transformer"):
            build_transformer(net)
    for dtype in (torch.int64, torch.complex64, "float32"):
        with pytest.raises(rg.InputError, match="dtype"):
            build_transformer(rg.Transformer(**SMALL), dtype=dtype)
    with pytest.raises(rg.InputError, match="no model of a Transformer"):
        transformer_groups(torch.nn.Linear(2, 2), 1.0)
    for rate in (0.0, -1.0, float("nan"), True, "1"):
        with pytest.raises(rg.InputError, match="learning_rate"):
            transformer_groups(model, rate)
    with pytest.raises(rg.InputError, match="weight_decay"):
        transformer_groups(model, 1.0, weight_decay=-1.0)
    with pytest.raises(rg.UnknownName, match="adagrad"):
        transformer_groups(model, 1.0, "adagrad")
