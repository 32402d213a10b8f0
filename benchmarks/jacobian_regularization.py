"""Jacobian regularisation on MNIST: the example of its authors' code, and a small convolutional network.

    python benchmarks/jacobian_regularization.py --mnist mnist.npz [--rows mlp lenet] [--seeds 3]

``mlp``: 784-200-200-10 relu, Xavier-uniform weights, batch 64, SGD 0.01 with momentum 0.9 and weight decay 5e-4, five
epochs; strength 0, and 0.1 with one and with three projections. ``lenet``: LeNet with relu and max pooling, batch 100,
SGD 0.05 for two epochs and 0.005 for two, momentum 0.9; nothing, weight decay 5e-4, penalties of 0.01 and 0.1 with one
projection, and dropout of one half behind the two hidden linear layers. Inputs are (pixel - 0.1307)/0.3081; Jacobians
are per unit of those, disturbances in pixels, which stay between 0 and 1.

Of every run: test accuracy, ||J||_F^2 before and after training, exactly; accuracies under white noise and after
projected gradient descent, with binomial standard errors. Finished runs are kept in the JSON file and not repeated.

Source: Hoffman, Roberts, Yaida (arXiv:1908.02729) and its code, github.com/facebookresearch/jacobian_regularizer.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

import rgflow as rg

PIXELS = (0.1307, 0.3081)
RESULTS = Path(__file__).parent / "results" / "jacobian_regularization.json"


@dataclass(frozen=True)
class Setting:
    """One row of the table."""

    strength: float = 0.0
    projections: int = 1
    weight_decay: float = 0.0
    dropout: float = 0.0


@dataclass(frozen=True)
class Experiment:
    """What all rows of a table share: optimisation, disturbances, and how many test images are attacked."""

    batch: int
    epochs: int
    learning_rate: float
    drop: int | None  # the epoch after which the learning rate falls to a tenth
    noise: tuple[float, ...]
    attack: tuple[float, ...]
    attacked: int
    jacobians: int
    settings: dict[str, Setting]


EXPERIMENTS = {
    "mlp": Experiment(
        64, 5, 0.01, None, (0.2, 0.4, 0.8), (0.05, 0.1), 2000, 10000,
        {
            "none": Setting(weight_decay=5e-4),
            "Jacobian 0.1, 1 projection": Setting(0.1, 1, 5e-4),
            "Jacobian 0.1, 3 projections": Setting(0.1, 3, 5e-4),
        },
    ),
    "lenet": Experiment(
        100, 4, 0.05, 2, (0.3, 0.6), (0.1, 0.2), 1000, 2000,
        {
            "none": Setting(),
            "weight decay 5e-4": Setting(weight_decay=5e-4),
            "Jacobian 0.01": Setting(0.01),
            "Jacobian 0.1": Setting(0.1),
            "dropout 0.5": Setting(dropout=0.5),
        },
    ),
}  # fmt: skip


def mlp(seed: int) -> nn.Module:
    """The example's network; biases as torch draws them."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10)
        )
        for module in model:
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
    return model


def lenet(seed: int, dropout: float = 0.0) -> nn.Module:
    """LeNet with relu, as torch draws it."""
    dropped = [nn.Dropout(dropout)] if dropout else []
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(), *dropped, nn.Linear(120, 84), nn.ReLU(), *dropped, nn.Linear(84, 10),
        )  # fmt: skip


def prepared(name: str, seed: int, dropout: float = 0.0) -> nn.Module:
    """The model of an experiment, untrained."""
    return mlp(seed) if name == "mlp" else lenet(seed, dropout)


def run(name: str, row: str, seed: int, data: Any, epochs: int) -> dict[str, Any]:
    """Train one network and measure it."""
    about = EXPERIMENTS[name]
    setting = about.settings[row]
    model = prepared(name, seed, setting.dropout)
    inputs, classes = data.X_test, data.y_test
    start = rg.nn.jacobian_norm(model.eval(), inputs[: about.jacobians])
    torch.manual_seed(seed)  # of dropout's masks
    optimizer = torch.optim.SGD(
        model.parameters(), lr=about.learning_rate, momentum=0.9, weight_decay=setting.weight_decay
    )
    drop = [] if about.drop is None else [torch.optim.lr_scheduler.MultiStepLR(optimizer, [about.drop], gamma=0.1)]
    penalty = rg.nn.JacobianPenalty(setting.strength, projections=setting.projections, seed=seed)
    begun = time.process_time()
    history = rg.nn.fit(
        model, data, optimizer=optimizer, epochs=epochs, batch=about.batch, seed=seed, schedulers=drop,
        penalty=penalty if setting.strength else None, progress=False,
    )  # fmt: skip
    seconds = time.process_time() - begun
    end = rg.nn.jacobian_norm(model.eval(), inputs[: about.jacobians])
    noise = rg.nn.robustness(model, inputs, classes, "white_noise", sizes=about.noise, pixels=PIXELS, clip=(0, 1))
    few = slice(0, about.attacked)
    attack = rg.nn.robustness(model, inputs[few], classes[few], "pgd", sizes=about.attack, pixels=PIXELS, clip=(0, 1))
    found = {
        "experiment": name, "row": row, "seed": seed, "epochs": epochs, "cpu_seconds": round(seconds, 1),
        "test_accuracy": float(history["test_accuracy"][-1]),
        "norm_before": float(start["mean"]), "norm_after": float(end["mean"]), "norm_after_se": float(end["mean_se"]),
    }  # fmt: skip
    for what, ds in (("white_noise", noise), ("pgd", attack)):
        found[what] = {key: ds[key].values.tolist() for key in ("size", "accuracy", "accuracy_se")}
    if name == "mlp":
        # the law from which the weights were drawn: variance 2/(fan-in + fan-out)
        widths = [784, 200, 200, 10]
        law = [2 * n / (n + m) for n, m in pairwise(widths)]
        predicted = rg.nn.expected_jacobian(rg.MLP(widths, "relu", C_W=law), norm2=1.0)
        found["norm_predicted"] = float(predicted["mean"])
        found["norm_predicted_spread"] = float(predicted["mean_spread"])
    return found


def picture(runs: list[dict[str, Any]], path: Path) -> None:
    """Accuracy under disturbance, and the norm of the Jacobian, of the rows of each experiment."""
    from matplotlib.figure import Figure

    present = [name for name in EXPERIMENTS if any(each["experiment"] == name for each in runs)]
    figure = Figure(figsize=(11, 3.7 * len(present)), layout="constrained", facecolor="white")
    panels = figure.subplots(len(present), 3, squeeze=False)
    looks = [("#777777", "-"), ("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-"), ("#CC79A7", "-")]
    for (left, middle, right), name in zip(panels, present, strict=True):
        for place, (row, (colour, line)) in enumerate(zip(EXPERIMENTS[name].settings, looks, strict=False)):
            own = [each for each in runs if each["experiment"] == name and each["row"] == row]
            for each in own:
                left.plot(place, each["norm_after"] / 2, "o", color=colour, ms=6)
                if "norm_predicted" in each:
                    left.plot(place, each["norm_before"] / 2, "_", color="black", ms=14)
                for ax, what in ((middle, "white_noise"), (right, "pgd")):
                    sizes = [0.0, *each[what]["size"]]
                    values = [each["test_accuracy"], *each[what]["accuracy"]]
                    label = row if each is own[0] else None
                    ax.plot(sizes, values, line, marker="o", color=colour, ms=3.5, lw=1.3, label=label)
        predicted = next((each for each in runs if each["experiment"] == name and "norm_predicted" in each), None)
        if predicted is not None:
            middle_of, spread = predicted["norm_predicted"] / 2, predicted["norm_predicted_spread"] / 2
            left.axhspan(middle_of - spread, middle_of + spread, color="#e4e6e8", lw=0)
            left.plot([], [], "_", color="black", ms=14, label="before training, measured")
            left.plot([], [], color="#e4e6e8", lw=8, label="before training, predicted")
            left.legend(fontsize=8, frameon=False, loc="upper right")
        rows = list(EXPERIMENTS[name].settings)
        left.set_xticks(
            range(len(rows)),
            [
                text.replace(", ", ",\n").replace("weight decay ", "weight\ndecay\n").replace(" 0.", "\n0.")
                for text in rows
            ],
        )
        left.tick_params(axis="x", labelsize=8)
        left.set(yscale="log", xlim=(-0.6, len(rows) - 0.4), title=f"{name}: half ||J||² on test images")
        left.yaxis.set_major_formatter("{x:g}")
        left.yaxis.set_minor_formatter("")
        middle.set(xlabel="standard deviation, pixels", title="accuracy under white noise")
        right.set(xlabel="size of the attack, pixels", title="accuracy under attack (20 steps)")
        for ax in (middle, right):
            ax.set_ylim(0, 1.02)
        middle.legend(fontsize=8, frameon=False, loc="lower left")
        for ax in (left, middle, right):
            ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Do the runs that are not there yet, one by one, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", default=None, help="npz file or folder of IDX files; default: RGFLOW_MNIST")
    parser.add_argument("--rows", nargs="+", default=list(EXPERIMENTS), choices=list(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=None, help="fewer, for a trial")
    parser.add_argument("--json", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    runs = json.loads(chosen.json.read_text(encoding="utf-8"))["runs"] if chosen.json.exists() else []
    done = {(each["experiment"], each["row"], each["seed"]) for each in runs}
    flat = rg.nn.mnist(chosen.mnist, normalise=PIXELS)
    for name in chosen.rows:
        data = flat if name == "mlp" else flat.images()
        epochs = EXPERIMENTS[name].epochs if chosen.epochs is None else chosen.epochs
        for seed in range(chosen.seeds):
            for row in EXPERIMENTS[name].settings:
                if (name, row, seed) in done:
                    continue
                runs.append(run(name, row, seed, data, epochs))
                chosen.json.write_text(json.dumps({"pixels": PIXELS, "runs": runs}, indent=1) + "\n", encoding="utf-8")
                print(json.dumps(runs[-1]), flush=True)
    picture(runs, chosen.json.with_suffix(".png"))


if __name__ == "__main__":
    main()
