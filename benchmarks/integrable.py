"""Integrable parametrisations on MNIST: what their first step must be, measured over widths, and what they then learn.

    python benchmarks/integrable.py --mnist PATH [--part widths] [benchmarks/results/integrable.json]

PATH is a file or folder that ``rg.nn.mnist`` reads; without it, what the environment variable RGFLOW_MNIST names.
Finished runs are kept in the results and not repeated. Parts:

    widths   one naive step: what the update of each layer puts into its own z, relative to z, and the initial output;
             exponents fitted over n = 128..2048, one fit for each of the seeds
    rates    calibrated base learning rates of the first step over n = 128..2048
    naive    integrable with its usual rates, ReLU, 3 epochs: learns with 3 weight layers, is late with 4, frozen with 5
    late     the same with 5 and 6 weight layers, 10 epochs
    learn    six hidden layers, 600 steps of 512: IP-LLR, naive, muP, hybrid
    ranks    of the hidden signals of 5000 images after the first step
    single   the same ranks as the paper's code has them, in single precision throughout, n = 1024

As the paper has it: a constant 1 beside the 784 pixels and no other biases; initial standard deviations sqrt2 (ReLU), 2
(GELU), 1 (tanh), 1 for the last layer, those of the first layer divided by the root of its fan-in; base rate 0.01. In
``naive`` and ``late`` the first layer is not divided, batches are of 128 and the rate is 0.001. Six hidden layers are
seven weight layers. Widths 512 and 256 stand for the paper's 1024, three seeds for its five.

Source: Hajjar, Chizat, Giraud, "Training Integrable Parameterizations of Deep Neural Networks in the Infinite-Width
Limit" (arXiv:2110.15596).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import rgflow as rg

WIDTHS = (128, 256, 512, 1024, 2048)
MODULES = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}
VARIANCES = {"relu": 2.0, "gelu": 4.0, "tanh": 1.0}
RATE, STEPS, BATCH = 0.01, 600, 512
SEEDS = range(3)
RATES = (("relu", 5, 1), ("relu", 5, 512), ("relu", 7, 512), ("gelu", 7, 512), ("tanh", 7, 512))
Run = tuple[str, Callable[[], dict[str, Any]]]


def network(layers: int, width: int, n_in: int, activation: str = "relu", n_out: int = 10) -> nn.Sequential:
    """A perceptron of so many weight layers, without biases."""
    sizes = [n_in, *[width] * (layers - 1), n_out]
    modules: list[nn.Module] = []
    for i, (below, above) in enumerate(pairwise(sizes)):
        modules += [MODULES[activation]()] * (i > 0) + [nn.Linear(below, above, bias=False)]
    return nn.Sequential(*modules)


def parametrized(
    module: nn.Sequential, family: str, seed: int, rate: float = RATE, activation: str = "relu", divided: bool = True
) -> Any:
    """Absolute powers of the width: base width 1; the variances of the first layer over its fan-in, or not."""
    variance, (width, n_in) = VARIANCES[activation], module[0].weight.shape
    C_W = {"input": variance if divided else variance * n_in, "hidden": variance, "output": 1.0}
    return rg.nn.parametrize(module, family, base_width=1, width=width, learning_rate=rate, C_W=C_W, seed=seed)


def images(data: rg.nn.Data) -> tuple[torch.Tensor, torch.Tensor]:
    """Training and test images with a constant 1 beside them."""
    train, test = (torch.cat([x, torch.ones(len(x), 1)], dim=1) for x in (data.X, data.X_test))
    return train, test


# One step -------------------------------------------------------------------------------------------------------------


def own_contributions(layers: int, width: int, seed: int, family: str = "ip") -> dict[str, Any]:
    """Root mean squares over neurons and 16 inputs: of z, and of the own update at the signals of the start."""
    draws = torch.Generator().manual_seed(1000 + seed)
    x, chi = torch.randn(16, 16, generator=draws) / 4, torch.randn(16, 16, generator=draws)
    module = network(layers, width, 16, n_out=16)
    done = parametrized(module, family, seed, 1.0, divided=False)
    signals: list[tuple[torch.Tensor, torch.Tensor]] = []
    linear = [m for m in module if isinstance(m, nn.Linear)]
    handles = [m.register_forward_hook(lambda _, i, z: signals.append((i[0].detach(), z.detach()))) for m in linear]
    f = module(x)
    for handle in handles:
        handle.remove()
    # The derivative of the loss is given: f itself goes to zero with the width.
    gradients = torch.autograd.grad((f * chi).mean(), [m.weight for m in linear])
    own, size = [], []
    for (below, z), gradient, row in zip(signals, gradients, done.rows, strict=True):
        own.append(float(F.linear(below, -row.learning_rate * gradient).double().square().mean().sqrt()))
        size.append(float(z.double().square().mean().sqrt()))
    return {"own": own, "size": size}


def exponents(rows: dict[int, list[np.ndarray]]) -> tuple[list[float], list[float]]:
    """Slopes of logarithms over widths, fitted for each seed: their mean and its standard error."""
    n = np.log(sorted(rows))
    values = np.log(np.array([rows[width] for width in sorted(rows)]))  # (widths, seeds, quantities)
    slopes = np.tensordot((n - n.mean()) / ((n - n.mean()) ** 2).sum(), values, 1)
    return slopes.mean(0).tolist(), (slopes.std(0, ddof=1) / math.sqrt(len(slopes))).tolist()


def calibrated_rates(
    data: rg.nn.Data, activation: str, layers: int, width: int, seed: int, batch: int
) -> dict[str, Any]:
    """Base learning rates of the first step, layer by layer; a mock step on so many images."""
    x, _ = images(data)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    done = parametrized(network(layers, width, x.shape[1], activation), "ip-llr", seed, RATE, activation)
    found = calibrate(done, x, data.y, order, batch)
    return {"rates": [RATE * a.first_rate / b.first_rate for a, b in zip(found.rows, done.rows, strict=True)]}


def calibrate(done, x, y, order, batch: int = BATCH):
    """On the first batch and the second."""
    one, two = order[:batch], order[BATCH : 2 * BATCH]
    return rg.nn.calibrate(done, F.cross_entropy, x[one], y[one], x[two])


# Training -------------------------------------------------------------------------------------------------------------


def batches(count: int, size: int, steps: int, order: torch.Tensor, draws: torch.Generator) -> Iterator[torch.Tensor]:
    """Epochs in new orders, the given one first; the rest of an epoch that fills no batch is left out."""
    while steps > 0:
        for i in range(min(steps, count // size)):
            yield order[i * size : (i + 1) * size]
        steps -= count // size
        order = torch.randperm(count, generator=draws)


def train(module, optimizer, x, y, size: int, steps: int, order, draws) -> list[float]:
    """The loss of every batch."""
    losses = []
    for batch in batches(len(x), size, steps, order, draws):
        optimizer.zero_grad()
        loss = F.cross_entropy(module(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def tested(module, x, y) -> dict[str, float]:
    """Loss and accuracy on the test images."""
    f = module(x)
    return {"test_loss": float(F.cross_entropy(f, y)), "accuracy": float((f.argmax(1) == y).double().mean())}


def naive(data: rg.nn.Data, layers: int, width: int, seed: int, epochs: int = 3) -> dict[str, Any]:
    """Some epochs at the usual rates."""
    x, x_test = images(data)
    draws = torch.Generator().manual_seed(seed)
    module = network(layers, width, x.shape[1])
    done = parametrized(module, "ip", seed, 0.001, divided=False)
    order, each = torch.randperm(len(x), generator=draws), len(x) // 128
    losses = train(module, torch.optim.SGD(done.groups), x, data.y, 128, epochs * each, order, draws)
    return {"loss": [float(np.mean(losses[i : i + each])) for i in range(0, len(losses), each)]} | tested(
        module, x_test, data.y_test
    )


def begun(
    x: torch.Tensor, y: torch.Tensor, family: str, activation: str, width: int, seed: int, steps: int
) -> tuple[nn.Sequential, list[float]]:
    """Seven layers after so many steps, and their losses; the first with calibrated rates where the family has some."""
    draws = torch.Generator().manual_seed(seed)
    module = network(7, width, x.shape[1], activation)
    done = parametrized(module, family, seed, RATE, activation)
    order = torch.randperm(len(x), generator=draws)
    if done.switches:
        done = calibrate(done, x, y, order)
    optimizer = torch.optim.SGD(done.groups)
    if done.switches:
        done.first_step(optimizer)
    return module, train(module, optimizer, x, y, BATCH, steps, order, draws)


def learn(data: rg.nn.Data, family: str, activation: str, width: int, seed: int) -> dict[str, Any]:
    """600 steps."""
    x, x_test = images(data)
    module, losses = begun(x, data.y, family, activation, width, seed, STEPS)
    return {"loss": losses[:: STEPS // 60], "last_loss": losses[-1]} | tested(module, x_test, data.y_test)


def ranks(data: rg.nn.Data, family: str, activation: str, width: int, seed: int) -> dict[str, Any]:
    """Of z^1..z^6 after the first step."""
    x, x_test = images(data)
    module, _ = begun(x, data.y, family, activation, width, seed, 1)
    found = rg.nn.ranks(module, x_test[:5000], modules=[str(2 * i) for i in range(6)])
    return {name: found[name].values.tolist() for name in ("rank", "effective_rank")}


@torch.no_grad()
def single(data: rg.nn.Data, family: str, activation: str, images_of: str, seed: int) -> dict[str, Any]:
    """Of z^1..z^6 after the first step, torch's matrix_rank of 5000 test or training images."""
    x, x_test = images(data)
    with torch.enable_grad():
        module, _ = begun(x, data.y, family, activation, 1024, seed, 1)
    z, found = (x if images_of == "training" else x_test)[:5000], []
    for layer in module:
        z = layer(z)
        if isinstance(layer, nn.Linear):
            found.append(int(torch.linalg.matrix_rank(z)))
    return {"rank": found[:6]}


# The plan -------------------------------------------------------------------------------------------------------------


def runs(part: str, data: rg.nn.Data) -> Iterator[Run]:
    """Names and what to do, the quickest first."""
    if part == "widths":
        for layers in (3, 4, 5, 6):
            for n in WIDTHS:
                for seed in range(8):
                    yield (
                        f"{layers} layers, n = {n}, seed {seed}",
                        lambda l=layers, n=n, s=seed: own_contributions(l, n, s),
                    )
    elif part == "rates":
        for activation, layers, batch in RATES:
            for n in WIDTHS:
                for s in SEEDS:
                    name = f"{activation}, {layers} layers, {batch} images, n = {n}, seed {s}"
                    yield name, lambda a=activation, l=layers, n=n, s=s, b=batch: calibrated_rates(data, a, l, n, s, b)
    elif part == "naive":
        for layers in (3, 4, 5):
            for n in (128, 512):
                for s in SEEDS:
                    yield f"{layers} layers, n = {n}, seed {s}", lambda l=layers, n=n, s=s: naive(data, l, n, s)
    elif part == "late":
        for layers in (5, 6):
            for s in SEEDS:
                yield f"{layers} layers, n = 128, seed {s}", lambda l=layers, s=s: naive(data, l, 128, s, 10)
    elif part == "ranks":
        for family in ("ip-llr", "mup"):
            for a in ("relu", "gelu", "tanh"):
                for s in SEEDS:
                    yield f"{family}, {a}, n = 512, seed {s}", lambda f=family, a=a, s=s: ranks(data, f, a, 512, s)
    elif part == "single":
        for family, a in (("mup", "relu"), ("ip-llr", "relu"), ("mup", "tanh")):
            for s in SEEDS:
                for of in ("test", "training"):
                    name = f"{family}, {a}, {of} images, seed {s}"
                    yield name, lambda f=family, a=a, of=of, s=s: single(data, f, a, of, s)
    else:
        three = ("gelu", "tanh", "relu")
        plan = [(family, a, 256) for family in ("ip-llr", "ip", "mup") for a in three]
        plan += [
            ("ip-llr", "gelu", 512),
            ("ip-llr", "tanh", 512),
            ("ip-llr", "relu", 512),
            *(("mup", a, 512) for a in three),
            ("hybrid", "gelu", 256),
            ("hybrid", "tanh", 256),
        ]
        for family, a, n in plan:
            for s in SEEDS:
                yield f"{family}, {a}, n = {n}, seed {s}", lambda f=family, a=a, n=n, s=s: learn(data, f, a, n, s)


PARTS = ("widths", "rates", "ranks", "single", "naive", "late", "learn")


def summary(found: dict[str, dict[str, Any]]) -> list[str]:
    """Fitted exponents beside the derived ones, and mean and spread over seeds of what was learned."""
    lines = []
    for layers in (3, 4, 5, 6):
        own, out = {}, {}
        for n in WIDTHS:
            rows = [found["widths"].get(f"{layers} layers, n = {n}, seed {s}") for s in range(8)]
            if all(rows):
                own[n] = [np.array(row["own"]) / row["size"] for row in rows]
                out[n] = [np.array(row["size"]) for row in rows]
        if len(own) == len(WIDTHS):
            derived = rg.family("ip").exponents(layers=layers)
            for what, measured, expected in (("own", own, "own_relative"), ("size", out, "preactivation")):
                slopes, errors = exponents(measured)
                shown = ", ".join(
                    f"{a:.3f}({1000 * e:.0f}) [{d}]" for a, e, d in zip(slopes, errors, derived[expected], strict=True)
                )
                lines.append(f"{layers} layers, powers of n of {what}: {shown}")
    for activation, layers, batch in RATES:
        rates = {
            n: [np.array(row["rates"][1:]) for s in SEEDS
                if (row := found["rates"].get(f"{activation}, {layers} layers, {batch} images, n = {n}, seed {s}"))]
            for n in WIDTHS
        }  # fmt: skip
        if all(len(rows) == len(SEEDS) for rows in rates.values()):
            slopes, errors = exponents(rates)
            shown = ", ".join(f"{a:.3f}({1000 * e:.0f})" for a, e in zip(slopes, errors, strict=True))
            lines.append(f"{activation}, {layers} layers, {batch} images, powers of n of calibrated rates: {shown}")
    for part, keys in (
        ("naive", ("loss", "accuracy")),
        ("late", ("loss",)),
        ("learn", ("last_loss", "accuracy")),
        ("ranks", ("rank",)),
    ):
        grouped: dict[str, list[dict[str, Any]]] = {}
        for name, row in found[part].items():
            grouped.setdefault(name.rpartition(", seed")[0], []).append(row)
        for name, rows in grouped.items():
            shown = "; ".join(
                f"{key} {np.mean([r[key] for r in rows], axis=0).round(4)} (spread "
                f"{np.std([r[key] for r in rows], axis=0).round(4)})"
                for key in keys
            )
            lines.append(f"{part}: {name}, {len(rows)} seeds: {shown}")
    return lines


def main() -> None:
    """Run what is missing and keep it after every run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?", default=str(Path(__file__).parent / "results" / "integrable.json"))
    parser.add_argument("--mnist", help="what rg.nn.mnist reads")
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--only", default="", help="run only what has this in its name")
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = Path(options.results)
    found = json.loads(path.read_text("utf-8")) if path.exists() else {}
    found = {part: found.get(part, {}) for part in PARTS}
    data = rg.nn.mnist(options.mnist, normalise=(0.1307, 0.3081))
    for part in options.part or PARTS:
        for name, run in runs(part, data):
            if name in found[part] or options.only not in name:
                continue
            start = time.perf_counter()
            found[part][name] = run() | {"seconds": round(time.perf_counter() - start, 2)}
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(found, indent=1), encoding="utf-8")
            row = found[part][name]
            print(part, name, {k: row[k] for k in ("accuracy", "last_loss", "rank", "seconds") if k in row}, flush=True)
    print("\n".join(summary(found)))


if __name__ == "__main__":
    main()
