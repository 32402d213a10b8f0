"""Does the best learning rate of a shallow transformer suit a deep one? Digits, 4 and 16 blocks, scaled and not.

    python benchmarks/transformer_depth.py [benchmarks/results/transformer_depth.json]

Transformers (a block: attention and MLP) read scikit-learn's digits as eight tokens, the rows of a picture, and are
trained by AdamW with the learning rates of ``rg.nn.transformer_groups``, in steps of sqrt 2, with five seeds each:

- "plain": the groups of the transformer paper, which leaves the depth alone;
- "scaled": with rgflow's scaling in the number of blocks (``rg.deep_transformer``).

The numbers of order one in front are such that at four blocks both are the same network with the same rates: those of
the paper with all variances 1. Four epochs, batches of 128, rates that fall linearly to 0, no weight decay. As in
``learning_rate_transfer.py``, the loss is averaged over the last epoch, its logarithm over seeds, and the best rate is
the vertex of a parabola through five points (``rg.best_rates``); fixed before these runs, after a look at two seeds of
others in plain PyTorch. Runs that are in the file are not done again.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from rate_grids import Rows, summary_of, trained

import rgflow as rg
from rgflow.plots import write_picture
from rgflow.plots.transfer import plot_transfer
from rgflow.scaling.transfer import best_rates

BLOCKS = (4, 16)
SCALINGS = ("plain", "scaled")
SEEDS = 5
POWERS = [power / 2 for power in range(-6, 5)]  # of 2: rates from 1/8 to 4
EPOCHS, BATCH, TOKENS = 4, 128, 8
SHAPE = {"width": 32, "heads": 2, "n_in": 64 // TOKENS, "positions": TOKENS, "n_out": 10, "pooling": "mean"}
SETTINGS = {
    "shape": SHAPE, "blocks": BLOCKS, "scalings": SCALINGS, "seeds": SEEDS, "log2_rates": POWERS, "epochs": EPOCHS,
    "batch": BATCH, "optimizer": "adamw", "schedule": "linear to 0", "activation": "gelu",
}  # fmt: skip


def scaling(kind: str, blocks: int) -> Any:
    """Variances and rates: alike for both kinds at BLOCKS[0]."""
    if kind == "plain":
        return rg.transformer_scaling(rg.Transformer(blocks=blocks, **SHAPE))
    B = 2 * BLOCKS[0]  # rgflow counts attention and MLP as a block each
    front = dict.fromkeys(("C_U", "C_X", "Lambda_U", "Lambda_X"), float(B))
    front |= {f"Lambda_{group}": B**0.5 for group in "QKVW"}  # AdamW's factors of groups below the last one: B^(-1/2)
    return rg.transformer_scaling(rg.Transformer(blocks=blocks, **SHAPE, **front), depth=True)


def measure(scaled: str, blocks: int, log2_rate: float, seed: int, epochs: int = EPOCHS) -> dict[str, Any]:
    """Train one transformer."""
    model = rg.nn.build(scaling(scaled, blocks), seed=seed)
    optimizer = torch.optim.AdamW(rg.nn.transformer_groups(model, 2.0**log2_rate))
    flat = rg.nn.digits()
    data = replace(flat, X=flat.X.unflatten(1, (TOKENS, -1)), X_test=flat.X_test.unflatten(1, (TOKENS, -1)))
    return trained(model, data, optimizer, epochs, BATCH, seed)


def main() -> None:
    torch.set_num_threads(1)
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "benchmarks/results/transformer_depth.json")
    rows = Rows(path, SETTINGS, ("scaled", "blocks", "log2_rate", "seed"))
    grid = product(BLOCKS, SCALINGS, POWERS, range(SEEDS))
    names = ("blocks", "scaled", "log2_rate", "seed")
    rows.run([dict(zip(names, point, strict=True)) for point in grid], measure)
    runs = rows.losses("scaled", "blocks", "log2_rate", "seed").rename(log2_rate="rate")
    runs = runs.assign_coords(rate=2.0 ** runs["rate"])
    best = best_rates(runs)
    print(best)
    summary = summary_of(best, "scaled", "blocks")
    rows.write(summary=summary)
    print(summary)
    write_picture(plot_transfer(runs, panels="scaled", curves="blocks"), path.with_suffix(".png"))


if __name__ == "__main__":
    main()
