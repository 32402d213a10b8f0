"""Runs over a grid of learning rates and seeds, kept in a file one by one, so that what is done is not done again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray

import rgflow as rg


class Rows:
    """Rows of a JSON file, each a run; ``key`` names the fields that tell runs apart."""

    def __init__(self, path: Path, settings: Mapping[str, Any], key: tuple[str, ...]):
        self.path, self.key = path, key
        self.settings = json.loads(json.dumps(dict(settings)))
        self.rows: list[dict[str, Any]] = []
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["settings"] != self.settings:
                raise SystemExit(f"{path} holds runs of other settings; move it away, or give another path")
            self.rows = found["rows"]
        self.done = {self._named(row) for row in self.rows}

    def _named(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row[name] for name in self.key)

    def run(self, todo: Iterable[Mapping[str, Any]], measure: Callable[..., dict[str, Any]]) -> None:
        """Measure every point that is not there yet, and write after each; at the end in the order of the points."""
        todo = list(todo)
        points = [point for point in todo if self._named(point) not in self.done]
        start = time.perf_counter()
        for number, point in enumerate(points, 1):
            row = {**point, **measure(**point)}
            self.rows.append({k: None if isinstance(v, float) and not isfinite(v) else v for k, v in row.items()})
            self.done.add(self._named(row))
            self.write()
            left = (time.perf_counter() - start) / number * (len(points) - number)
            print(f"{number}/{len(points)} {self.rows[-1]} {left:.0f} s left", flush=True)
        places = {self._named(point): place for place, point in enumerate(todo)}
        self.rows.sort(key=lambda row: places.get(self._named(row), len(places)))

    def write(self, **more: Any) -> None:
        """The whole file, or none of it."""
        rows = ",\n  ".join(json.dumps(row) for row in self.rows)
        about = json.dumps({"rgflow": rg.__version__, "settings": self.settings, **more}, indent=1)
        text = f'{about[:-2]},\n "rows": [\n  {rows}\n ]\n}}\n'
        part = self.path.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        os.replace(part, self.path)

    def losses(self, *dims: str, value: str = "train_loss") -> xarray.Dataset:
        """Losses over these dims; infinite where a run diverged, NaN where it is not there."""
        coords = {dim: list(dict.fromkeys(row[dim] for row in self.rows)) for dim in dims}
        coords = {dim: values if isinstance(values[0], str) else sorted(values) for dim, values in coords.items()}
        loss = np.full([len(values) for values in coords.values()], np.nan)
        for row in self.rows:
            place = tuple(coords[dim].index(row[dim]) for dim in dims)
            loss[place] = np.inf if row[value] is None else row[value]
        return xarray.Dataset({"loss": (dims, loss)}, coords)


def trained(
    model: torch.nn.Module, data: rg.nn.Data, optimizer: torch.optim.Optimizer, epochs: int, batch: int, seed: int
) -> dict[str, float]:
    """What a model comes to after so many epochs, at rates that fall linearly to 0."""
    steps = epochs * (len(data.X) // batch)
    falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    falling.every_step = True  # type: ignore[attr-defined]
    history = rg.nn.fit(
        model, data, optimizer=optimizer, epochs=epochs, every=epochs, batch=batch, seed=seed, schedulers=[falling],
        progress=False,
    )  # fmt: skip
    last = history.isel(epoch=-1)
    found = {name: round(float(last[name]), 6) for name in ("train_loss", "test_loss", "test_accuracy")}
    return {**found, "seconds": round(float(last["seconds"]), 2)}


def summary_of(best: xarray.Dataset, panel: str, curve: str) -> dict[str, dict[str, Any]]:
    """Of every panel the best rates over curves, and by what factor they move."""
    found = {}
    for name in best[panel].values:
        here = best.sel({panel: name})
        rates = {key: [round(float(x), 6) for x in here[key]] for key in ("best", "best_se", "lowest")}
        moves = {"moves": here["best"], "lowest_moves": here["lowest"]}
        found[str(name)] = rates | {key: round(float(rg.rate_shift(x, curve)), 3) for key, x in moves.items()}
    return found
