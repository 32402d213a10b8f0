"""Fluctuation-dissipation relations on MNIST: when does training at one rate become stationary, and what follows?

    python benchmarks/fluctuation_dissipation.py --mnist mnist.npz

The setting of Yaida, arXiv:1810.00004: a perceptron 784-200-200-10 with ReLU, Xavier weights, cross-entropy with
weight decay 0.01, batches of 100, no momentum. Runs, each saved when it is done and skipped when started again:

- "eta 0.1, seed s": 20 epochs at rate 0.1, three seeds;
- "eta 0.05", "eta 0.02": 14 epochs each, one after the other, from where seed 0 ended;
- "adaptive, seed s": 36 epochs of the schedule of the paper, X = 0.01, Y = 0.1, looking after every epoch;
- "error bar": 36 epochs of a schedule that asks for |ratio - 1| + its standard error < 0.05, and then halves the rate.

A run that is interrupted goes on from its last epoch (checkpoints in --work). The picture stands beside the results.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch

import rgflow as rg

WIDTHS = (784, 200, 200, 10)
DECAY, BATCH, RATE = 0.01, 100, 0.1
SEEDS = (0, 1, 2)
EPOCHS = {"stationary": 20, "lower": 14, "adaptive": 36}
LOWER = (0.05, 0.02)
SCHEDULES = {"adaptive": {"X": 0.01, "Y": 0.1}, "error bar": {"X": 0.05, "Y": 0.5, "error_bar": 1.0}}
KEPT = (
    "step",
    "learning_rate",
    "train_loss",
    "test_loss",
    "test_accuracy",
    "O_L",
    "O_R",
    "FDR1",
    "FDR1_se",
    "window",
    "G",
)


def perceptron(seed: int) -> torch.nn.Sequential:
    """784-200-200-10, ReLU, weights uniform with variance 2 / (fan in + fan out), no biases at the start."""
    random = torch.Generator().manual_seed(seed)
    layers: list[torch.nn.Module] = []
    for fan_in, fan_out in pairwise(WIDTHS):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
        torch.nn.init.xavier_uniform_(layers[-2].weight, generator=random)
        torch.nn.init.zeros_(layers[-2].bias)
    return torch.nn.Sequential(*layers[:-1])


def trained(
    data: Any, seed: int, rate: float, epochs: int, work: Path, name: str, begin: Any = None, schedule: Any = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what was measured, the model's state) of one run."""
    model = perceptron(seed)
    if begin is not None:
        model.load_state_dict(begin)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, weight_decay=DECAY)
    monitor = rg.nn.FluctuationMonitor(optimizer, full_gradient=True)
    scheduler = rg.nn.FluctuationScheduler(monitor, **(schedule or {}))
    history = rg.nn.fit(
        model,
        data,
        optimizer=optimizer,
        epochs=epochs,
        batch=BATCH,
        seed=seed,
        monitors=[monitor, _printed(name)],
        schedulers=[scheduler] if schedule else [],
        checkpoint=work / f"{name.replace(' ', '_').replace(',', '')}.h5",
        progress=False,
    )
    columns = {column: [round(float(value), 7) for value in history[column]] for column in KEPT}
    found = {"seed": seed, "rate": rate, "epochs": epochs, "columns": columns, "seconds": float(history["seconds"][-1])}
    return found | ({"schedule": schedule, "drops": scheduler.drops} if schedule else {}), model.state_dict()


def _printed(name: str) -> Any:
    def said(epoch: Any) -> None:
        print(f"{name}: epoch {epoch.number}", flush=True)

    return said


def lines(runs: dict[str, Any]) -> list[str]:
    """The table of the paper's setting."""
    found = ["run                 epoch   rate      O_L      O_R    ratio-1      s.e.      G  accuracy"]
    for name, run in runs.items():
        columns = run["columns"]
        for epoch in (5, 10, 14, 16, 20, 36):
            if epoch <= len(columns["step"]) and (epoch in (5, 10, 16) or epoch == len(columns["step"])):
                row = {key: values[epoch - 1] for key, values in columns.items()}
                found.append(
                    f"{name:18} {epoch:6d} {row['learning_rate']:6.4f} {row['O_L']:8.5f} {row['O_R']:8.5f} "
                    f"{row['FDR1']:10.4f} {row['FDR1_se']:9.4f} {row['G']:6.4f} {row['test_accuracy']:9.4f}"
                )
    return found


def picture(runs: dict[str, Any], path: Path) -> None:
    """Left: both sides of the relation at three rates. Right: the ratio under schedules, and where rates fall."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    blue, orange, green, grey = "#0072B2", "#D55E00", "#009E73", "#5f6368"
    for run, colour in zip(runs.values(), (blue, blue, blue, orange, green), strict=False):
        epochs = np.arange(1, len(run["columns"]["step"]) + 1)
        label = f"rate {run['rate']:g}" if run["seed"] == 0 else None
        left.plot(epochs, run["columns"]["O_L"], color=colour, lw=1.6, label=label)
        left.plot(epochs, run["columns"]["O_R"], color=colour, lw=1.6, ls=(0, (3, 2)))
    left.plot([], [], color=grey, label=r"$O_L$")
    left.plot([], [], color=grey, ls=(0, (3, 2)), label=r"$O_R$")
    left.set(xlabel="epochs at this rate", ylabel="averages over the later half", yscale="log")
    left.set_xticks(range(0, 21, 5))
    left.set_title("MNIST, 784-200-200-10, no schedule", loc="left", fontsize=11)
    left.legend(frameon=False, fontsize=9)
    for name, colour in (("adaptive, seed 0", orange), ("error bar", blue)):
        run = runs[name]
        ratio = np.array(run["columns"]["FDR1"])
        epochs = np.arange(1, len(ratio) + 1)
        rule = "|ratio - 1| < 0.01" if name != "error bar" else "|ratio - 1| + s.e. < 0.05"
        right.plot(epochs, ratio, color=colour, lw=1.4, marker=".", ms=4, label=rule)
        dropped = [round(drop["step"] / run["columns"]["step"][0]) for drop in run["drops"]]
        right.plot(dropped, ratio[np.array(dropped, dtype=int) - 1], "v", color=colour, ms=8, mec="white")
    right.plot([], [], "v", color=grey, ms=8, mec="white", label="rate lowered")
    right.axhspan(-0.01, 0.01, color="#e6e6e6", zorder=0)
    right.set(xlabel="epoch", ylabel=r"$O_L/O_R-1$", ylim=(-0.3, 0.5))
    right.set_title("schedules, from rate 0.1", loc="left", fontsize=11)
    right.legend(frameon=False, fontsize=9)
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(True, color="#e6e6e6", lw=0.7)
        ax.set_axisbelow(True)
    fig.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mnist", help="npz file or folder of IDX files; else the variable RGFLOW_MNIST")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "fluctuation_dissipation.json")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "rgflow_fluctuation_dissipation")
    parser.add_argument("--short", action="store_true", help="one epoch each, to see that it runs")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.work.mkdir(parents=True, exist_ok=True)
    runs: dict[str, Any] = json.loads(given.out.read_text())["runs"] if given.out.exists() else {}
    data = rg.nn.mnist(given.mnist)
    epochs = dict.fromkeys(EPOCHS, 1) if given.short else EPOCHS

    def run(name: str, *settings: Any, **more: Any) -> Any:
        path = given.work / f"end_of_{name.replace(' ', '_').replace(',', '')}.h5"
        if name in runs and path.exists():
            return rg.nn.load_checkpoint(path)["model"]
        runs[name], state = trained(data, *settings, given.work, name, **more)
        rg.nn.save_checkpoint({"model": state}, path)
        setting = {"widths": WIDTHS, "decay": DECAY, "batch": BATCH}
        given.out.write_text(json.dumps({"setting": setting, "runs": runs}, indent=1) + "\n")
        print("\n".join(lines({name: runs[name]})), flush=True)
        return state

    ends = [run(f"eta {RATE}, seed {seed}", seed, RATE, epochs["stationary"]) for seed in SEEDS]
    state = ends[0]
    for rate in LOWER:
        state = run(f"eta {rate}", 0, rate, epochs["lower"], begin=state)
    for seed in SEEDS:
        run(f"adaptive, seed {seed}", seed, RATE, epochs["adaptive"], schedule=SCHEDULES["adaptive"])
    run("error bar", 0, RATE, epochs["adaptive"], schedule=SCHEDULES["error bar"])
    print("\n".join(lines(runs)))
    picture(runs, given.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
