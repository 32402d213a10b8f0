"""Does the best learning rate of a narrow transformer suit a wide one? Digits, two blocks, widths 32, 64 and 128.

    python benchmarks/transformer_width.py [benchmarks/results/transformer_width.json]

As ``transformer_depth.py``, with two pairs of blocks, two heads and the learning rates of the transformer paper
(``rg.nn.transformer_groups``), in steps of sqrt 2, three seeds each. Best rates are vertices of parabolas through five
points (``rg.best_rates``), of losses averaged over the last epoch. Grid and criterion are those of the depth, fixed
before these runs. Runs that are in the file are not done again.

Source: Dinan, Yaida, Zhang (arXiv:2304.02034), whose learning-rate factors these are.
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
from rgflow.scaling.transfer import best_rates

WIDTHS = (32, 64, 128)
SEEDS = 3
POWERS = [power / 2 for power in range(-5, 5)]  # of 2
EPOCHS, BATCH, TOKENS = 4, 128, 8
SHAPE = {"heads": 2, "blocks": 2, "n_in": 64 // TOKENS, "positions": TOKENS, "n_out": 10, "pooling": "mean"}
SETTINGS = {
    "shape": SHAPE, "widths": WIDTHS, "seeds": SEEDS, "log2_rates": POWERS, "epochs": EPOCHS, "batch": BATCH,
    "optimizer": "adamw", "schedule": "linear to 0", "activation": "gelu",
}  # fmt: skip


def measure(scaled: str, width: int, log2_rate: float, seed: int) -> dict[str, Any]:
    """Train one transformer."""
    assert scaled == "width"
    model = rg.nn.build(rg.transformer_scaling(rg.Transformer(width=width, **SHAPE)), seed=seed)
    optimizer = torch.optim.AdamW(rg.nn.transformer_groups(model, 2.0**log2_rate))
    flat = rg.nn.digits()
    data = replace(flat, X=flat.X.unflatten(1, (TOKENS, -1)), X_test=flat.X_test.unflatten(1, (TOKENS, -1)))
    return trained(model, data, optimizer, EPOCHS, BATCH, seed)


def main() -> None:
    torch.set_num_threads(1)
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "benchmarks/results/transformer_width.json")
    rows = Rows(path, SETTINGS, ("scaled", "width", "log2_rate", "seed"))
    names = ("scaled", "width", "log2_rate", "seed")
    grid = product(("width",), WIDTHS, POWERS, range(SEEDS))
    rows.run([dict(zip(names, point, strict=True)) for point in grid], measure)
    runs = rows.losses("scaled", "width", "log2_rate", "seed").rename(log2_rate="rate")
    best = best_rates(runs.assign_coords(rate=2.0 ** runs["rate"]))
    rows.write(summary=summary_of(best, "scaled", "width"))
    print(summary_of(best, "scaled", "width"))


if __name__ == "__main__":
    main()
