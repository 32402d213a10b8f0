"""Scaling families on modules of one's own: against networks with explicit multipliers, typed tables, and refusals."""

import copy
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import rgflow as rg
from rgflow.nn.parametrization.parametrize import parametrize

DOUBLE = torch.float64
X = torch.randn(6, 5, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
Y = torch.randn(6, 2, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))


def mlp(width, layers=4, bias=False, n_in=5, n_out=2, act=nn.Tanh):
    sizes = [n_in, *[width] * (layers - 1), n_out]
    modules = []
    for i, (below, above) in enumerate(pairwise(sizes)):
        modules += [act()] * (i > 0) + [nn.Linear(below, above, bias=bias, dtype=DOUBLE)]
    return nn.Sequential(*modules)


# Networks with their multipliers written out -------------------------------------------------------------------------

# a, b, c of input, hidden and output weights, as the papers have them; rates are eta n^-c of w, and W = n^-a w.
HALF = 0.5
TYPED = {
    ("ntk", "sgd"): [(0, 0, 0), (HALF, 0, 0), (HALF, 0, 0)],
    ("mup", "sgd"): [(-HALF, HALF, 0), (0, HALF, 0), (HALF, HALF, 0)],
    ("ip", "sgd"): [(0, 0, -1), (1, 0, -2), (1, 0, -1)],
    # Yang and Hu's muP for Adam, from Table 3 of arXiv:2203.03466: rates 1, 1/n, 1/n of W itself.
    ("mup", "adam"): [(0, 0, 0), (0, HALF, 1), (0, 1, 1)],
}
FIRST = {"ip-llr": lambda L: [-(L + 1) / 2, -(L + 2) / 2, -(L + 1) / 2]}  # L hidden layers, page of 2110.15596


def explicit(U, name, optimizer, n, rate, steps, first=None):
    """Outputs over steps of f = n^-a_L w_L tanh(... n^-a_1 w_1 x), w_0 = n^-b U, w moved at rate n^-c."""
    kinds = [0, *[1] * (len(U) - 2), 2]
    abc = [TYPED[name, optimizer][k] for k in kinds]
    w = [(u * n**-b).requires_grad_() for u, (_, b, _) in zip(U, abc, strict=True)]
    moments = [(torch.zeros_like(v), torch.zeros_like(v)) for v in w]
    found = []
    for t in range(steps):
        z = X
        for l, (v, (a, _, _)) in enumerate(zip(w, abc, strict=True)):
            z = n**-a * (z if l == 0 else torch.tanh(z)) @ v.T
        found.append(z.detach())
        gradients = torch.autograd.grad(((z - Y) ** 2).mean(), w)
        for i, (v, g) in enumerate(zip(w, gradients, strict=True)):
            c = abc[i][2] if first is None or t else first[kinds[i]]
            with torch.no_grad():
                if optimizer == "adam":
                    m, s = moments[i]
                    m.mul_(0.9).add_(g, alpha=0.1)
                    s.mul_(0.999).add_(g * g, alpha=0.001)
                    g = (m / (1 - 0.9 ** (t + 1))) / (s / (1 - 0.999 ** (t + 1))).sqrt()
                v.sub_(rate * n**-c * g)
    return found


def trained(module, done, steps):
    """The same with the module and its groups; Adam without its epsilon, which does not scale."""
    kind = {"sgd": torch.optim.SGD, "adam": lambda groups: torch.optim.Adam(groups, eps=0.0)}[done.optimizer]
    optimizer = kind(done.groups)
    if done.switches:
        done.first_step(optimizer)
    found = []
    for _ in range(steps):
        optimizer.zero_grad()
        f = module(X)
        found.append(f.detach().clone())
        ((f - Y) ** 2).mean().backward()
        optimizer.step()
    return found


@pytest.mark.parametrize(("name", "optimizer"), TYPED)
def test_no_multiplier_is_needed(name, optimizer):
    """Five steps of the module as it stands equal those of a network with multipliers n^-a in its forward."""
    n, module = 24, mlp(24)
    done = rg.nn.parametrize(module, name, base_width=1, learning_rate=0.02, optimizer=optimizer, C_W=1.0, seed=0)
    stds = [row.std for row in done.rows]
    U = [p.detach() / std for p, std in zip(module.parameters(), stds, strict=True)]
    # The families fix powers of n; the rest of the standard deviation is that at base width.
    abc = [TYPED[name, optimizer][k] for k in (0, 1, 1, 2)]
    U = [u * std * n ** (a + b) for u, std, (a, b, _) in zip(U, stds, abc, strict=True)]
    expected = explicit(U, name, optimizer, n, 0.02, 5)
    for f, g in zip(trained(module, done, 5), expected, strict=True):
        assert f.numpy() == pytest.approx(g.numpy(), rel=1e-12, abs=1e-14)


def test_the_large_first_step_is_that_of_the_paper():
    n, module = 24, mlp(24, layers=5, act=nn.Tanh)
    done = rg.nn.parametrize(module, "ip-llr", base_width=1, learning_rate=1e-3, C_W=1.0, seed=0)
    powers = (0, 1, 1, 1, 1)
    U = [p.detach() * n**power for p, power in zip(module.parameters(), powers, strict=True)]
    first = FIRST["ip-llr"](4)
    expected = explicit(U, "ip", "sgd", n, 1e-3, 4, first)
    for f, g in zip(trained(module, done, 4), expected, strict=True):
        assert f.numpy() == pytest.approx(g.numpy(), rel=1e-11, abs=1e-14)
    control = explicit(U, "ip", "sgd", n, 1e-3, 4, [first[0], first[1] - 0.5, first[2]])
    assert abs(control[1] - expected[1]).max() > 1e-3 * abs(expected[1]).max()


# Tables --------------------------------------------------------------------------------------------------------------

# (standard deviation, rate) in powers of r: arXiv:2203.03466, Table 3 (muP), and one rate for all (standard).
SCALING = {
    ("mup", "sgd"): {"input": (0, 1), "hidden": (-0.5, 0), "output": (-1, -1), "bias": (0, 1)},
    ("mup", "adam"): {"input": (0, 0), "hidden": (-0.5, -1), "output": (-1, -1), "bias": (0, 0)},
    ("ntk", "sgd"): {"input": (0, 0), "hidden": (-0.5, -1), "output": (-0.5, -1), "bias": (0, 0)},
}


@pytest.mark.parametrize(("name", "optimizer"), SCALING)
def test_powers_of_the_width_are_those_of_the_table(name, optimizer):
    options = {"learning_rate": 0.1, "C_W": 1.5, "C_b": 0.2, "optimizer": optimizer, "base_width": 8}
    rows = rg.nn.parametrize(mlp(32, bias=True), name, seed=0, **options).rows
    base = rg.nn.parametrize(mlp(8, bias=True), name, seed=0, **options).rows
    for row, smaller in zip(rows, base, strict=True):
        assert row.name == smaller.name
        assert smaller.learning_rate == smaller.first_rate == 0.1
        if row.role != "output bias":
            std, rate = SCALING[name, optimizer][row.role.split()[-1]]
            assert row.std / smaller.std == pytest.approx(4.0**std, rel=1e-14)
            assert row.learning_rate / 0.1 == pytest.approx(4.0**rate, rel=1e-14)


@pytest.mark.parametrize("name", ["mup", "ntk", "standard", "ip", "ip-llr", "hybrid"])
def test_at_base_width_nothing_but_the_initialisation_changes(name):
    done = rg.nn.parametrize(
        mlp(16, bias=True), name, base_width=16, learning_rate=0.3, weight_decay=0.1, activation="relu"
    )
    assert {row.learning_rate for row in done.rows} == {row.first_rate for row in done.rows} == {0.3}
    assert [row.weight_decay for row in done.rows] == pytest.approx([0.1] * 8, rel=1e-15)
    for row in done.rows:
        # He's initialisation: the critical point of relu.
        assert row.std == pytest.approx((2 / row.fan_in) ** 0.5 if "bias" not in row.role else 0.0, rel=1e-14)


def test_rate_times_decay_is_that_of_base_width():
    options = {"base_width": 8, "learning_rate": 0.01, "C_W": 1.0, "weight_decay": 0.1, "optimizer": "adamw"}
    done = rg.nn.parametrize(mlp(64), "mup", **options)
    assert len({row.learning_rate for row in done.rows}) > 1
    for row in done.rows:
        assert row.learning_rate * row.weight_decay == pytest.approx(0.001, rel=1e-14)
    for group in torch.optim.AdamW(done.groups).param_groups:
        assert group["lr"] * group["weight_decay"] == pytest.approx(0.001, rel=1e-14)


def test_the_same_seed_gives_the_same_numbers_to_every_family():
    values = {}
    for name in ("mup", "ip", "ntk"):
        module = mlp(32)
        before = torch.get_rng_state()
        done = rg.nn.parametrize(module, name, base_width=8, learning_rate=0.1, C_W=2.0, seed=7)
        assert torch.equal(before, torch.get_rng_state())
        values[name] = [p.detach() / row.std for p, row in zip(module.parameters(), done.rows, strict=True)]
        for p, row in zip(module.parameters(), done.rows, strict=True):
            # The standard deviation of a sample of N has the relative error (2N)^-1/2.
            assert row.std == pytest.approx(float(p.detach().std()), rel=4 / (2 * p.numel()) ** 0.5)
    for one, two, three in zip(*values.values(), strict=True):
        assert one.numpy() == pytest.approx(two.numpy(), rel=1e-13)
        assert one.numpy() == pytest.approx(three.numpy(), rel=1e-13)
    other = mlp(32)
    rg.nn.parametrize(other, "mup", base_width=8, learning_rate=0.1, C_W=2.0, seed=8)
    assert not torch.equal(other[0].weight / other[0].weight.std(), values["mup"][0])


def test_features_move_alike_at_every_width():
    """One step of muP changes hidden features by the same at all widths; of the standard one, ever more."""

    def moved(name, n):
        module = mlp(n, layers=3, act=nn.ReLU)
        optimizer = torch.optim.SGD(
            rg.nn.parametrize(module, name, base_width=32, learning_rate=0.05, activation="relu", seed=1).groups
        )
        before = module[:4](X).detach()
        (module(X) * Y).mean().backward()
        optimizer.step()
        return float((module[:4](X).detach() - before).square().mean().sqrt())

    slopes = {
        name: np.polyfit(np.log([32, 128, 512]), np.log([moved(name, n) for n in (32, 128, 512)]), 1)[0]
        for name in ("mup", "ntk")
    }
    # Sampling: 32 neurons at the smallest width, (2 * 32)^-1/2 = 0.13 over log 16 = 2.8.
    assert abs(slopes["mup"]) < 0.15
    assert slopes["ntk"] == pytest.approx(-0.5, abs=0.15)


# Modules -------------------------------------------------------------------------------------------------------------


class Net(nn.Module):
    """A bit of everything."""

    def __init__(self, n):
        super().__init__()
        self.stem = nn.Conv2d(3, n, 3, padding=1)
        self.depthwise = nn.Conv2d(n, n, 3, groups=n, padding=1, bias=False)
        self.mix = nn.Conv2d(n, 2 * n, 1)
        self.norm = nn.LayerNorm(2 * n)
        self.body = nn.ModuleDict({"a": nn.Linear(2 * n, n), "b": nn.Linear(n, n, bias=False)})
        self.head = nn.Linear(n, 10)

    def forward(self, x):
        z = self.mix(F.relu(self.depthwise(F.relu(self.stem(x))))).mean((2, 3))
        return self.head(F.relu(self.body["b"](F.relu(self.body["a"](self.norm(z))))))


ROLES = {
    "stem.weight": "input",
    "stem.bias": "input bias",
    "depthwise.weight": "input",
    "mix.weight": "hidden",
    "mix.bias": "hidden bias",
    "norm.weight": "gain",
    "norm.bias": "hidden bias",
    "body.a.weight": "hidden",
    "body.a.bias": "hidden bias",
    "body.b.weight": "hidden",
    "head.weight": "output",
    "head.bias": "output bias",
}


def test_a_module_with_convolutions_and_a_norm():
    module = Net(24)
    done = rg.nn.parametrize(module, "mup", base_width=8, width=24, learning_rate=0.1, activation="relu", seed=0)
    assert {row.name: row.role for row in done.rows} == ROLES
    fan_in = {row.name: row.fan_in for row in done.rows}
    assert (fan_in["stem.weight"], fan_in["depthwise.weight"], fan_in["mix.weight"], fan_in["head.weight"]) == (
        27,
        9,
        24,
        24,
    )
    assert torch.equal(module.norm.weight, torch.ones(48))
    assert torch.isfinite(module(torch.ones(2, 3, 4, 4))).all()
    compared = rg.nn.parametrize(Net(24), "mup", base_width=Net(8), learning_rate=0.1, activation="relu", seed=0)
    assert [(r.name, r.role, r.learning_rate, r.std) for r in compared.rows] == [
        (r.name, r.role, r.learning_rate, r.std) for r in done.rows
    ]
    held = [p for group in done.groups for p in group["params"]]
    assert len(held) == len(set(held)) == len(list(module.parameters()))


class Words(nn.Module):
    """Embedding, one block of torch's own, and an output that may be the embedding."""

    def __init__(self, n, tied, words=11):
        super().__init__()
        self.embed = nn.Embedding(words, n, padding_idx=0)
        self.block = nn.TransformerEncoderLayer(n, n // 4, 4 * n, dropout=0.0, batch_first=True)
        self.head = nn.Linear(n, words, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, x):
        return self.head(self.block(self.embed(x)))


def test_a_transformer():
    module = Words(32, tied=False)
    options = {"learning_rate": 0.01, "activation": "relu", "optimizer": "adam", "seed": 0}
    done = rg.nn.parametrize(module, "mup", base_width=8, **options)
    roles = {row.name: row.role for row in done.rows}
    assert roles["embed.weight"] == "embedding"
    assert roles["block.self_attn.in_proj_weight"] == roles["block.self_attn.out_proj.weight"] == "hidden"
    assert roles["block.self_attn.in_proj_bias"] == roles["block.linear1.bias"] == "hidden bias"
    assert roles["head.weight"] == "output"
    std = {row.name: row.std for row in done.rows}
    # Attention has no activation, so that its C_W is 1.
    assert std["block.self_attn.in_proj_weight"] == pytest.approx(32**-0.5)
    assert std["block.linear1.weight"] == pytest.approx((2 / 32) ** 0.5)
    assert torch.equal(module.embed.weight[0], torch.zeros(32))
    compared = rg.nn.parametrize(Words(32, tied=False), "mup", base_width=Words(8, tied=False), **options)
    assert compared.table.drop_vars("std_before").equals(done.table.drop_vars("std_before"))
    fewer = Words(32, tied=False)
    fewer.block = nn.TransformerEncoderLayer(32, 2, 128, batch_first=True)
    with pytest.raises(rg.InputError, match="entries a head"):
        rg.nn.parametrize(fewer, "mup", base_width=Words(8, tied=False), **options)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_shared_embedding_is_the_output_by_a_multiplier(optimizer):
    module = Words(32, tied=True)
    plain = copy.deepcopy(module)
    options = {"base_width": 8, "learning_rate": 0.01, "activation": "relu", "optimizer": optimizer, "seed": 0}
    done = rg.nn.parametrize(module, "mup", **options)
    row = done.rows[0]
    assert row.name == "embed.weight = head.weight"
    assert (row.role, row.multiplier) == ("embedding", 0.25)
    x = torch.arange(1, 11).reshape(2, 5)
    plain.load_state_dict(module.state_dict())
    z = plain.block(plain.embed(x))
    assert torch.allclose(module(x), 0.25 * z @ module.embed.weight.T, rtol=1e-5)
    assert torch.allclose(copy.deepcopy(module)(x), module(x))
    assert torch.allclose(module.head(input=z), 0.25 * plain.head(z), rtol=1e-5, atol=1e-6)
    # Once more, also on a copy, multiplies once.
    again = copy.deepcopy(module)
    rg.nn.parametrize(again, "mup", initialise=False, **options)
    assert torch.equal(again(x), module(x))
    done.undo_multipliers()
    assert torch.allclose(module(x), plain(x))
    # Its rate is the embedding's, and times the multiplier (squared, for gradient descent) that of an output.
    apart = {r.name: r for r in rg.nn.parametrize(Words(32, tied=False), "mup", **options).rows}
    assert row.learning_rate == apart["embed.weight"].learning_rate
    times = 2 if optimizer == "sgd" else 1
    assert row.learning_rate * row.multiplier**times == pytest.approx(apart["head.weight"].learning_rate)
    with pytest.raises(rg.InputError, match="shared by an input and an output"):
        rg.nn.parametrize(Words(32, tied=True), "standard", **options)
    told = rg.nn.parametrize(Words(32, tied=True), "standard", roles={"head": "output", "embed": "output"}, **options)
    assert told.rows[0].multiplier == 1.0


def test_a_layer_that_is_used_twice_is_one():
    layer = nn.Linear(16, 16)
    module = nn.Sequential(nn.Linear(3, 16), layer, nn.Tanh(), layer, nn.Linear(16, 1))
    done = rg.nn.parametrize(module, "mup", base_width=4, learning_rate=0.1, activation="tanh")
    assert [row.name for row in done.rows if row.role == "hidden"] == ["1.weight"]
    tied = nn.Sequential(nn.Linear(3, 16), nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 1))
    tied[2].weight = tied[1].weight
    done = rg.nn.parametrize(tied, "mup", base_width=4, learning_rate=0.1, activation="tanh")
    assert [row.name for row in done.rows if row.role == "hidden"] == ["1.weight = 2.weight"]


def test_what_is_frozen_is_left_alone():
    module = nn.Sequential(nn.Linear(3, 16), nn.BatchNorm1d(16), nn.Linear(16, 16), nn.Linear(16, 1))
    for p in [*module[1].parameters(), module[2].weight]:
        p.requires_grad_(False)
    before = module[2].weight.clone()
    done = rg.nn.parametrize(module, "mup", base_width=4, width=16, learning_rate=0.1, activation="tanh", seed=0)
    assert torch.equal(module[2].weight, before)
    assert [row.name for row in done.rows if row.role == "frozen"] == ["1.weight", "1.bias", "2.weight"]
    held = {id(p) for group in done.groups for p in group["params"]}
    assert held == {id(p) for p in module.parameters() if p.requires_grad}
    torch.optim.SGD(done.groups)


def test_roles_of_ones_own():
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.place = nn.Parameter(torch.ones(7, 32))
            self.scale = nn.Parameter(torch.full((32,), 3.0))
            self.inner = nn.Linear(32, 32)
            self.out = nn.Linear(32, 2)

    module = Positions()
    options = {"base_width": 8, "width": 32, "learning_rate": 0.1, "activation": "tanh", "seed": 0}
    with pytest.raises(rg.InputError, match=r"'place' of Positions.*roles=.*freeze"):
        rg.nn.parametrize(module, **options)
    assert torch.equal(module.place, torch.ones(7, 32))
    done = rg.nn.parametrize(module, roles={"place": "embedding", "scale": "gain"}, **options)
    roles = {row.name: (row.role, row.learning_rate) for row in done.rows}
    assert roles["place"] == ("embedding", pytest.approx(0.4))
    assert roles["scale"] == ("gain", pytest.approx(0.4))
    assert torch.equal(module.scale, torch.full((32,), 3.0))
    assert float(module.place.detach().std()) == pytest.approx(1.0, rel=4 / (2 * 7 * 32) ** 0.5)


def test_variances_by_role_and_by_name():
    options = {"base_width": 8, "learning_rate": 0.1, "seed": 0, "activation": "relu"}
    done = rg.nn.parametrize(mlp(8, bias=True), C_W={"output": 0.5, "2": 3.0}, C_b={"hidden": 0.1}, **options)
    squares = {row.name: row.std**2 * (1 if "bias" in row.name else row.fan_in) for row in done.rows}
    expected = {"0.weight": 2, "2.weight": 3, "4.weight": 2, "6.weight": 0.5, "2.bias": 0.1, "4.bias": 0.1, "0.bias": 0}
    assert {name: squares[name] for name in expected} == pytest.approx(expected)
    critical = rg.criticality("silu")
    done = rg.nn.parametrize(mlp(8, bias=True), base_width=8, learning_rate=0.1, activation="silu")
    assert done.rows[2].std ** 2 * 8 == pytest.approx(critical.C_W)
    assert done.rows[3].std ** 2 == pytest.approx(critical.C_b)


def test_values_may_be_left_as_they_are():
    module = mlp(16)
    before = [p.detach().clone() for p in module.parameters()]
    done = rg.nn.parametrize(module, base_width=4, learning_rate=0.1, C_W=1.0, initialise=False)
    assert all(torch.equal(p, q) for p, q in zip(module.parameters(), before, strict=True))
    assert [row.std for row in done.rows] == [row.std_before for row in done.rows]


def test_rates_that_know_the_depth():
    family = rg.family("mup").with_depth("relu")
    options = {"base_width": 16, "learning_rate": 0.1, "activation": "relu"}
    done = rg.nn.parametrize(mlp(16), family, depth=8, base_depth=2, **options)
    assert done.rows[0].learning_rate == pytest.approx(0.1 * 4.0 ** float(family.depth_rate))
    with pytest.raises(rg.InputError, match="base_depth"):
        rg.nn.parametrize(mlp(16), family, **options)
    with pytest.raises(rg.InputError, match="do not depend on depth"):
        rg.nn.parametrize(mlp(16), "mup", depth=8, base_depth=2, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_dtype_has_the_same_numbers(dtype):
    double, other = mlp(16), mlp(16).to(dtype)
    for module in (double, other):
        rg.nn.parametrize(module, base_width=4, learning_rate=0.1, C_W=1.0, seed=2)
    assert all(torch.equal(p.to(dtype), q) for p, q in zip(double.parameters(), other.parameters(), strict=True))
    meta = mlp(16).to("meta")
    assert rg.nn.parametrize(meta, base_width=4, learning_rate=0.1, C_W=1.0).rows[0].std_before == 0.0


def test_it_says_what_it_did():
    done = rg.nn.parametrize(mlp(16, bias=True), "ip-llr", base_width=4, learning_rate=0.1, C_W=1.0, seed=0)
    shown = str(done)
    assert all(row.name in shown and row.role in shown for row in done.rows)
    assert "n^(-1) folded in" in shown
    assert "first step" in shown
    table = done.table
    assert table.sizes == {"parameter": 8}
    assert table.learning_rate.sel(parameter="0.weight").item() == done.rows[0].learning_rate
    assert table.attrs["family"] == "ip-llr"
    assert "<pre>" in done._repr_html_()


# Refusals -------------------------------------------------------------------------------------------------------------


def refused(module, match, **options):
    before = {name: copy.deepcopy(p.data) for name, p in module.named_parameters() if not nn.parameter.is_lazy(p)}
    given = {"base_width": 4, "learning_rate": 0.1, "C_W": 1.0} | options
    with pytest.raises(rg.RgflowError, match=match):
        rg.nn.parametrize(module, given.pop("family", "mup"), **given)
    for name, p in module.named_parameters():
        assert name not in before or torch.equal(p, before[name])


@pytest.mark.parametrize(
    "strange",
    [nn.BatchNorm1d(16), nn.GRU(16, 16), nn.Bilinear(16, 16, 16), nn.PReLU(), nn.ConvTranspose1d(16, 16, 3),
     nn.Conv1d(16, 16, 3, groups=2), nn.Embedding(5, 16, max_norm=1.0), nn.GroupNorm(2, 16)],
    ids=lambda module: type(module).__name__,
)  # fmt: skip
def test_other_modules_are_refused_by_name(strange):
    module = nn.Sequential(nn.Linear(3, 16), strange, nn.Linear(16, 1))
    refused(module, rf"'1\..*{type(strange).__name__}.*roles=.*freeze", width=16)


def test_parametrized_weights_are_refused():
    normed = nn.Sequential(nn.Linear(3, 16), nn.utils.parametrizations.weight_norm(nn.Linear(16, 16)), nn.Linear(16, 1))
    refused(normed, "1.parametrizations", width=16)


def test_what_cannot_be_told_is_refused():
    bottleneck = nn.Sequential(nn.Linear(3, 16), nn.Linear(16, 6), nn.Linear(6, 16), nn.Linear(16, 1))
    refused(bottleneck, r"candidates: 6, 16\); give width=")
    refused(bottleneck, "no multiple of the width 16", width=16)
    refused(nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 1)), 'roles={name: "input"}')
    refused(nn.Sequential(nn.Linear(3, 16), nn.Linear(16, 32)), "makes the output")
    refused(nn.Linear(3, 16), "give width=")
    told = nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 1))
    done = rg.nn.parametrize(told, base_width=4, learning_rate=0.1, C_W=1.0, roles={"0": "input"})
    assert [row.role for row in done.rows] == ["input", "input bias", "hidden", "hidden bias", "output", "output bias"]
    refused(told, "not both", base_width=mlp(8), width=16)
    refused(told, "different factors", base_width=nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 4), nn.Linear(4, 1)))
    refused(told, "give the same module", base_width=nn.Sequential(nn.Linear(16, 4), nn.Linear(4, 1)))


def test_values_outside_their_domain_are_refused():
    for value in (0, -1, float("nan"), float("inf"), "0.1", None, True):
        refused(mlp(16), "learning_rate", learning_rate=value)
    for value in (0, 2.5, "8", True):
        refused(mlp(16), "base_width", base_width=value)
    for value in (0, -3, 1.0):
        refused(mlp(16), "width", width=value)
    refused(mlp(16), "optimizer", optimizer="rmsprop")
    refused(mlp(16), "family", family="mupp")
    refused(mlp(16), "meta", family="meta")
    refused(mlp(16), "gradient descent", family="ip", optimizer="adam")
    refused(mlp(16), "adamw", optimizer="adam", weight_decay=0.1)
    refused(mlp(16), "weight_decay", weight_decay=-0.1)
    refused(mlp(16), "C_W", C_W=-1.0)
    refused(mlp(16), "C_W", C_W={"inputs": 1.0})
    refused(mlp(16), "give activation=", C_W=None)
    refused(mlp(16), "sigmoid|critical", C_W=None, activation="sigmoid")
    refused(mlp(16), "role", roles={"0": "wide"})
    refused(mlp(16), "parameter", roles={"9": "input"})
    refused(mlp(16), "mapping", roles=["input"])
    refused(mlp(16, bias=True), "no matrix", roles={"0.bias": "hidden"})
    refused(mlp(16), "seed", seed="x")
    refused(mlp(16), "rates for 'sgd'", family=rg.family("mup"), optimizer="adam")
    refused(mlp(16), "symbol", family=rg.family("meta", s=__import__("sympy").Symbol("s")))
    refused(nn.Sequential(nn.Tanh()), "no parameters")
    refused(nn.Sequential(nn.LazyLinear(16), nn.Linear(16, 1)), "no shape yet")
    refused(nn.Linear(3, 16, dtype=torch.complex64), "complex64")
    refused(mlp(16).to(torch.float16), "wider dtype", C_W=1e-12)
    refused(mlp(64, layers=400), "out of range", family="ip-llr", base_width=1)
    with pytest.raises(rg.InputError, match="not a torch module"):
        rg.nn.parametrize(rg.MLP([3, 2], "tanh"), base_width=4, learning_rate=0.1)
    frozen = mlp(16).requires_grad_(False)
    refused(frozen, "nothing to train")


def test_growth_is_exact():
    done = parametrize(mlp(48), base_width=32, learning_rate=0.1, C_W=1.0)
    assert done.growth.factor == Fraction(3, 2)


def test_a_built_model_and_a_file(tmp_path):
    model = rg.nn.build(rg.MLP.uniform(n_in=5, width=32, depth=4, n_out=2, activation="tanh"), seed=0)
    done = rg.nn.parametrize(model, "mup", base_width=8, learning_rate=0.1, activation="tanh", seed=0)
    assert [row.role for row in done.rows if row.name.endswith("weight")] == ["input", "hidden", "hidden", "output"]
    rg.save(done.table, tmp_path / "table.nc")
    assert rg.load(tmp_path / "table.nc").identical(done.table)


def layered(*layers, act=nn.ReLU):
    return nn.Sequential(*[m for i, layer in enumerate(layers) for m in ([act()] * (i > 0) + [layer])])


def test_layers_of_a_large_first_step_are_counted_without_biases_and_heads():
    def first(bias):
        L = nn.Linear
        nets = [layered(L(5, 7, bias), L(7, n, bias), L(n, n, bias), L(n, 3, bias)) for n in (64, 16)]
        options = {"base_width": nets[1], "learning_rate": 0.01, "C_W": 2.0}
        return {r.name: r.first_rate for r in rg.nn.parametrize(nets[0], "ip-llr", **options).rows}

    plain, biased = first(False), first(True)
    assert plain == {name: biased[name] for name in plain}

    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = mlp(16, 3)
            self.more = nn.Linear(16, 3)

    options = {"base_width": 4, "width": 16, "learning_rate": 0.01, "C_W": 2.0}
    refused(Heads(), "2 output matrices.*'body.4.weight', 'more.weight'.*layers=", family="ip-llr", width=16)
    one = rg.nn.parametrize(mlp(16, 3), "ip-llr", **options)
    done = rg.nn.parametrize(Heads(), rg.family("ip-llr", layers=3), **options)
    assert [r.first_rate for r in done.rows[:3]] == [r.first_rate for r in one.rows]


def test_roles_cannot_be_told_beside_a_module_of_the_same_size():
    given = {"C_W": {"output": 0.5}, "activation": "relu"}
    refused(mlp(8), r"C_W\['output'\] is given by role.*base_width as a number", base_width=mlp(8), **given)
    refused(mlp(8, bias=True), r"C_b\['input'\]", base_width=mlp(8, bias=True), C_b={"input": 1.0})
    roles = {"0": "input", "2": "hidden", "4": "hidden", "6": "output"}
    options = {"base_width": mlp(8), "learning_rate": 0.1} | given
    done = rg.nn.parametrize(mlp(8), roles=roles, **options)
    assert done.rows[-1].std ** 2 * 8 == pytest.approx(0.5)
    assert rg.nn.parametrize(mlp(8), **options | {"C_W": {"6": 0.5}}).rows[-1].std ** 2 * 8 == pytest.approx(0.5)


def test_roles_of_embeddings_and_transposed_convolutions():
    options = {"base_width": 8, "width": 32, "learning_rate": 0.1, "C_W": 2.0}
    words = nn.Sequential(nn.Embedding(11, 32), nn.Linear(32, 32), nn.Linear(32, 2))
    row = rg.nn.parametrize(words, roles={"0": "input"}, **options).rows[0]
    assert (row.fan_in, row.std**2) == (1, pytest.approx(2.0))
    wide = nn.Sequential(nn.Conv2d(3, 32, 1), nn.ConvTranspose2d(32, 5, 4, stride=2, bias=False))
    row = rg.nn.parametrize(wide, roles={"1": "output"}, **options).rows[-1]
    # Of 4 x 4 points a point of the output reads 2 x 2.
    assert row.fan_in == 32 * 4
    odd = nn.Sequential(nn.Conv2d(3, 32, 1), nn.ConvTranspose2d(32, 5, 3, stride=2, bias=False))
    refused(odd, "no one fan-in", width=32, roles={"1": "output"})


def test_tapering_is_refused():
    taper = layered(nn.Linear(12, 64), nn.Linear(64, 32), nn.Linear(32, 10))
    refused(taper, "32 neurons, made by '2.weight' and read by '4.weight'", width=64)
    same = layered(nn.Linear(10, 64), nn.Linear(64, 10))
    assert rg.nn.parametrize(same, base_width=16, width=64, learning_rate=0.1, C_W=2.0).rows[-1].role == "output bias"


def test_variance_of_a_shared_embedding_is_that_of_the_output():
    refused(Words(32, True), "no effect on 'embed.weight'.*head.weight", activation="relu", C_W={"embedding": 9.0})
    options = {"base_width": 8, "learning_rate": 0.1, "activation": "relu"}
    done = rg.nn.parametrize(Words(32, True), C_W={"embedding": 9.0, "head": 3.0}, **options)
    assert done.rows[0].std ** 2 * 8 == pytest.approx(3.0)
