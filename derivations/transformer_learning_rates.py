r"""Dinan, Yaida and Zhang, "Effective Theory of Transformers at Initialization" (arXiv:2304.02034): variances, learning
rates and how they go with the width.

Assumptions: as in transformers_at_initialization.py; numbers of order one in front (C_G, Lambda_G) are 1; batch, number
of tokens and vocabulary stay.

The way. A weight has variance C over what a neuron sums, its fan-in, so that signals are of order one. Each group then
adds lambda_G (fan-in) to Theta if its rate is lambda_G: the rate 1/fan-in makes all shares of order one. A group whose
share lambda_G |grad_G|^2 is of order one has gradients of size |g| = (lambda_G #)^(-1/2) for # parameters that a token
reaches, and AdamW, whose steps do not grow with g, needs lambda_G |g|. With an exponent s the head starts n^(-s/2)
smaller; below it gradients shrink by as much, and rates grow by n^s (SGD) or n^(s/2) (AdamW).

The gradients of the head are of order one where those of other groups are n^(-1/2): they stand for n_out outputs alone.

Parameters are counted from the description. An encoder-decoder is counted as the encoder's pairs of blocks and triples
of the decoder, whose second attention reads the encoder; the numbers of its layers (12 + 12 and 22 + 22) and of its
words (50265) are those of the public models and are not in the paper.

Engine: rg.transformer_scaling, rg.transformer_flow, rg.Transformer.
"""

import json
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import sympy as sp
from rows import check_rows, row

import rgflow as rg

MEASURED = "tests/transformer/test_transformer_scalings.py: gradients and kernels drawn at widths 64 to 1024"
TORCH = "tests/nn/test_transformer_nn.py: torch's models, widths 64 to 512"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
n, M, n_patch, n_out, Lambda = sp.symbols("n M n_patch n_out Lambda", positive=True)
SIZES = {"n": n, "M": M, "n_patch": n_patch, "n_out": n_out}
VALUES = (Fraction(0), Fraction(1, 2), Fraction(1))


@cache
def scaling(s=Fraction(0), stem="patch", tied=False):
    net = rg.Transformer(
        width=64, heads=2, blocks=1, n_in=10, positions=5, n_out=1 if tied else 7, stem=stem, tied=tied
    )
    return rg.transformer_scaling(net, s)


def group_of(name, s=Fraction(0)):
    return scaling(s, "words" if name == "WE" else "patch")[name]


def monomial(power):
    return sp.prod(size ** sp.nsimplify(power.exponent(name)) for name, size in SIZES.items())


# Initialisation ------------------------------------------------------------------------------------------------------


@row("transformers/initialisation_variances", witness=MEASURED)
def initialisation_variances():
    typed = {
        "patch": 1 / n_patch, "WE": 1, "PE": 1, "Q": 1 / n, "K": 1 / n, "V": 1 / n, "U": 1 / n, "W": 1 / n,
        "X": 1 / (M * n), "head": 1 / n,
    }  # fmt: skip
    found = {name: monomial(group_of(name).std_law) ** 2 for name in typed}
    assert all(sp.simplify(found[name] - value) == 0 for name, value in typed.items())
    typed_bias = 0
    assert group_of("bhead").std == typed_bias
    typed_rescale = 64 ** (-1 / 2)
    assert abs(scaling(Fraction(0), "words", True).rescale / typed_rescale - 1) < 1e-14
    return found


@row("transformers/initialisation_meta_scaling", witness=MEASURED)
def initialisation_meta_scaling():
    for s in VALUES:
        typed = 1 / n ** (1 + sp.Rational(s.numerator, s.denominator))
        typed_rescale = 64 ** (-(1 + float(s)) / 2)
        assert sp.simplify(monomial(group_of("head", s).std_law) ** 2 - typed) == 0
        assert abs(scaling(s, "words", True).rescale / typed_rescale - 1) < 1e-14
    return {f"variance of the head, s = {s}": monomial(group_of("head", s).std_law) ** 2 for s in VALUES}


# Learning rates ------------------------------------------------------------------------------------------------------


def check_rates(groups, typed_sgd, typed_adamw):
    """typed: factors of SGD, with Lambda in front, and of AdamW, without."""
    for group in groups:
        found = group_of(group)
        assert sp.simplify(Lambda * monomial(found.sgd_law) - typed_sgd) == 0, group
        assert sp.simplify(monomial(found.adamw_law) - typed_adamw) == 0, group
    return {"SGD": Lambda * monomial(found.sgd_law), "AdamW": monomial(found.adamw_law)}


@row("transformers/rates_patch", witness=MEASURED)
def rates_patch():
    typed_sgd, typed_adamw = Lambda / n_patch, 1 / (n_patch * sp.sqrt(n))
    return check_rates(["patch"], typed_sgd, typed_adamw)


@row("transformers/rates_word_embedding", witness=TORCH)
def rates_word_embedding():
    typed_sgd, typed_adamw = Lambda, 1 / sp.sqrt(n)
    return check_rates(["WE"], typed_sgd, typed_adamw)


@row("transformers/rates_position_embedding", witness=MEASURED)
def rates_position_embedding():
    typed_sgd, typed_adamw = Lambda, 1 / sp.sqrt(n)
    return check_rates(["PE"], typed_sgd, typed_adamw)


@row("transformers/rates_attention", witness=MEASURED)
def rates_attention():
    typed_sgd, typed_adamw = Lambda / n, 1 / (n * sp.sqrt(n))
    return check_rates(["Q", "K", "V", "U"], typed_sgd, typed_adamw)


@row("transformers/rates_mlp_first", witness=MEASURED)
def rates_mlp_first():
    typed_sgd, typed_adamw = Lambda / n, 1 / (n * sp.sqrt(M * n))
    return check_rates(["W"], typed_sgd, typed_adamw)


@row("transformers/rates_mlp_second", witness=MEASURED)
def rates_mlp_second():
    typed_sgd, typed_adamw = Lambda / (M * n), 1 / (M * n * sp.sqrt(n))
    return check_rates(["X"], typed_sgd, typed_adamw)


@row("transformers/rates_head", witness=MEASURED)
def rates_head():
    typed_sgd, typed_adamw = Lambda / n, 1 / (n * sp.sqrt(n_out))
    typed_bias_sgd, typed_bias_adamw = Lambda, 1 / sp.sqrt(n_out)
    weights = check_rates(["head"], typed_sgd, typed_adamw)
    biases = check_rates(["bhead"], typed_bias_sgd, typed_bias_adamw)
    return {f"W, {name}": value for name, value in weights.items()} | {f"b, {k}": v for k, v in biases.items()}


@row("transformers/adamw_recipe", witness=MEASURED)
def adamw_recipe():
    """One block, one position: parameters are counted by the description; lambda |grad|^2 is of order one, set to 1."""
    for stem in ("patch", "words"):
        net = rg.Transformer(
            width=48, heads=2, blocks=1, n_in=1 if stem == "words" else 10, positions=1, n_out=7, stem=stem
        )
        found = rg.transformer_scaling(net)
        for group in net.groups:
            rate, count = found[group].sgd, net.parameters[group]
            size = np.sqrt((1 / rate) / count)
            typed = rate * size
            assert abs(found[group].adamw / typed - 1) < 1e-12, group
    return {group: float(found[group].adamw) for group in net.groups}


@row("transformers/rates_meta_scaling", witness=MEASURED)
def rates_meta_scaling():
    for group in ("patch", "WE", "PE", "Q", "K", "V", "U", "W", "X"):
        for s in VALUES:
            power = sp.Rational(s.numerator, s.denominator)
            typed_sgd, typed_adamw = n**power, n ** (power / 2)
            at, start = group_of(group, s), group_of(group)
            assert sp.simplify(monomial(at.sgd_law) / monomial(start.sgd_law) - typed_sgd) == 0
            assert sp.simplify(monomial(at.adamw_law) / monomial(start.adamw_law) - typed_adamw) == 0
    assert all(group_of("head", s).sgd_law == group_of("head").sgd_law for s in VALUES)
    return {"Q, s = 1, SGD": monomial(group_of("Q", 1).sgd_law), "AdamW": monomial(group_of("Q", 1).adamw_law)}


def vit(width=768, **changes):
    return rg.Transformer(width=width, heads=width // 64, blocks=12, n_in=768, positions=197, n_out=1000, **changes)


@row("transformers/weight_decay_invariant", witness=TORCH)
def weight_decay_invariant():
    """The power of the width in rate times decay, group by group."""
    products = {}
    for width in (128, 768):
        here = rg.transformer_scaling(vit(width))
        rates, decays = here.learning_rates("adamw", 20.0), here.weight_decays("adamw", 4e-5)
        products[width] = np.array([rates[group] * decays[group] for group in rates])
    typed = 0
    power = np.log(products[768] / products[128]) / np.log(6)
    assert np.abs(power - typed).max() < 1e-12
    assert np.ptp(products[768]) < 1e-15
    return {f"rate times decay, n = {width}": found[0] for width, found in products.items()}


@row("transformers/embedding_rate_ratio", witness=MEASURED)
def embedding_rate_ratio():
    typed = n
    for matrix in ("Q", "K", "V", "U"):
        ratio = monomial(group_of("PE").adamw_law) / monomial(group_of(matrix).adamw_law)
        assert sp.simplify(ratio / typed) == 1
    return ratio


@cache
def contributions(uniform):
    """Powers of the width of what each group adds to Theta of the head; a rate of its own, or one for all."""
    found = []
    for width in (64, 256):
        net = rg.Transformer(width=width, heads=2, blocks=1, n_in=10, positions=4, n_out=7)
        net = rg.transformer_scaling(net).scaled
        if uniform:
            net = net.changed(**{f"Lambda_{group}": float(net.fan_in(group)) for group in net.groups})
        x = np.array([[1.0, 0.2] * 5, [-0.3, 0.8] * 5])
        ds = rg.transformer_flow(net, x, draws=2**6)
        found.append(np.einsum("gtt->g", ds["Theta_by_group"].values[-1]))
    return dict(zip(net.groups, np.log(found[1] / found[0]) / np.log(4), strict=True))


@row("transformers/width_independent_contribution", witness=MEASURED)
def width_independent_contribution():
    typed, typed_uniform = 0, 1
    for group, power in contributions(False).items():
        assert abs(power - typed) < 1e-9, group
    for group in ("Q", "K", "V", "U", "W", "X", "head"):
        assert abs(contributions(True)[group] - typed_uniform) < 1e-9
    return {f"{group}, one rate for all: n to the": round(power, 9) for group, power in contributions(True).items()}


@row("transformers/gradient_size", witness=MEASURED)
def gradient_size():
    """All groups but the head's, whose gradients are of order one: AdamW's factor over SGD's."""
    typed = -sp.Rational(1, 2)
    found = {}
    for group in ("patch", "WE", "PE", "Q", "K", "V", "U", "W", "X", "head", "bhead"):
        each = group_of(group)
        found[group] = each.adamw_law.exponent("n") - each.sgd_law.exponent("n")
    typed_head = 0
    for group, power in found.items():
        assert power == (typed_head if group in ("head", "bhead") else typed), group
    return {f"{group}: size of g": n ** sp.nsimplify(found[group]) for group in ("PE", "Q", "X", "head")}


# Numbers -------------------------------------------------------------------------------------------------------------


@row("transformers/rate_conversion", witness=TORCH)
def rate_conversion():
    typed_vit, typed_bart = 9.4e-4, 32.768
    rate = rg.transformer_scaling(vit()).learning_rates("adamw", 20.0)["Q"]
    back = 1e-3 / rg.transformer_scaling(vit(1024)).learning_rates("adamw", 1.0)["Q"]
    assert abs(rate - typed_vit) < 0.05e-4
    assert abs(back - typed_bart) < 1e-9
    return {"rate of matrices for 20 at n = 768": rate, "rate for 0.001 at n = 1024": back}


def parameters(width, blocks, words, positions):
    net = rg.Transformer(
        width=width, heads=width // 64, blocks=blocks, n_in=words, positions=positions, stem="words", tied=True
    )
    return sum(net.parameters.values())


@row("transformers/parameter_count_vit", witness="tests/network/test_transformer_description.py: counts by hand")
def parameter_count_vit():
    typed = 86e6
    found = sum(vit().parameters.values())
    assert abs(found - typed) < 0.5e6
    return found


@row("transformers/parameter_count_bart", witness="tests/network/test_transformer_description.py: counts by hand")
def parameter_count_bart():
    """Twelve layers each of encoder and decoder; to half a per cent, as biases, norms and words are not stated."""
    typed = 405e6
    blocks = ("attention", "mlp") * 12 + ("attention", "attention", "mlp") * 12
    found = parameters(1024, blocks, 50265, 2048)
    assert abs(found / typed - 1) < 0.005
    return found


@row("transformers/parameter_count_r2c2", witness="tests/network/test_transformer_description.py: counts by hand")
def parameter_count_r2c2():
    """Twenty-two layers each of encoder and decoder."""
    typed = 2.7e9
    blocks = ("attention", "mlp") * 22 + ("attention", "attention", "mlp") * 22
    found = parameters(2048, blocks, 50265, 2048)
    assert abs(found - typed) < 0.05e9
    return found


@row("transformers/toy_rate_transfer", witness="benchmarks/transformer_width.py: three seeds, ten rates, three widths")
def toy_rate_transfer():
    """Best rates of widths 32, 64, 128 in benchmarks/results/transformer_width.json: stable if they move by less than
    sqrt 2, a step of the grid, and by less than two standard errors."""
    best = json.loads((RESULTS / "transformer_width.json").read_text(encoding="utf-8"))["summary"]["width"]
    rates, errors = np.array(best["best"]), np.array(best["best_se"]) / np.array(best["best"])
    moved = abs(np.log(rates[-1] / rates[0]))
    typed = "stable"
    assert ("stable" if np.exp(moved) < 2**0.5 and moved < 2 * np.hypot(errors[0], errors[-1]) else "moves") == typed
    return {f"best rate at n = {width}": rate for width, rate in zip((32, 64, 128), rates.tolist(), strict=True)}


if __name__ == "__main__":
    check_rows(globals())
