"""docs/aspect_ratio.md: its tables and numbers are what the library gives and what the benchmark has measured."""

import json
import re
from functools import cache
from pathlib import Path

import pytest
from numpy import hypot

from rgflow.predict.aspect.ratio import aspect_ratio

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "aspect_ratio.md").read_text(encoding="utf-8")
PROSE = " ".join(PAGE.split())
BEST = {"test_error": min, "accuracy": max}


def table(first: str) -> list[list[str]]:
    """Cells of the table whose header starts with the given column."""
    rows = re.search(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.M)
    assert rows is not None, first
    return [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in rows[1].splitlines()]


@cache
def measured() -> dict:
    """(activation, method, parameters) -> rows of the benchmark by depth."""
    found = {}
    for row in json.loads((ROOT / "benchmarks/results/depth_of_digits.json").read_text(encoding="utf-8"))["rows"]:
        found.setdefault((row["activation"], row["method"], row["parameters"]), {})[row["depth"]] = row
    return found


def best(rows, key):
    """L/n of the best mean."""
    return BEST[key](rows.values(), key=lambda row: row[key][0])["ratio"]


def test_table_of_classes():
    rows = table("activation \\| class")
    assert len(rows) == 6
    for name, kind, nu, one, ten in rows:
        found = aspect_ratio(name)
        assert kind == found.universality_class
        assert nu == (str(found.nu) if found.nu.is_Rational else f"{float(found.nu):.6g}"), name
        assert (one, ten) == (f"{found.best_ratio:.4g}", f"{aspect_ratio(name, 10).best_ratio:.4g}"), name


def test_what_is_said_of_tangent_kernels():
    depths = re.search(r"`found.tangent_depth`: (\d+) for gelu, (\d+) for swish", PROSE)
    assert depths is not None
    for name, text in zip(("gelu", "swish"), depths.groups(), strict=True):
        assert text == f"{aspect_ratio(name).tangent_depth:.0f}", name


def test_table_of_training():
    rows = table("activation \\| training")
    assert len(rows) == len(measured()) == 8
    for activation, method, parameters, by_error, by_accuracy, ratio in rows:
        found = measured()[activation, method.lower(), int(parameters.replace(" ", ""))]
        assert by_error == f"{best(found, 'test_error'):.3f}", (activation, method)
        assert by_accuracy == f"{best(found, 'accuracy'):.3f}", (activation, method)
        assert ratio == f"{aspect_ratio(activation, 10).best_ratio:.4g}"


def times(key):
    """The best L/n in units of r*, smallest and largest."""
    found = [best(rows, key) / aspect_ratio(name, 10).best_ratio for (name, *_), rows in measured().items()]
    return f"{min(found):.2g}", f"{max(found):.2g}"


def test_numbers_of_training():
    """Every number of the text, from the rows."""
    adam = measured()["relu", "adam", 40_000]
    top = max(adam, key=lambda depth: adam[depth]["accuracy"][0])
    assert f"falls from {adam[top]['accuracy'][0]:.2f} ({top} layers) to {adam[24]['accuracy'][0]:.2f} (24)" in PROSE
    most = max(row["train_error"][0] for row in adam.values())
    assert f"at most {most:.3f}" in PROSE
    stuck = [row["train_error"][0] for L, row in measured()["relu", "descent", 10_000].items() if L >= 12]
    assert f"ends at {min(stuck):.2f} to {max(stuck):.2f}" in PROSE
    tanh = [row for (name, *_), rows in measured().items() if name == "tanh" for row in rows.values()]
    assert f"ν L/n is {2 / 3 * max(row['ratio'] for row in tanh):.2f} at most" in PROSE
    assert "{} to {} times as deep as r*".format(*times("test_error")) in PROSE
    assert "by accuracy {} to {} times".format(*times("accuracy")) in PROSE


@pytest.mark.parametrize("method", ["descent", "adam"])
def test_tanh_networks_of_two_sizes_are_one_curve(method):
    """Where accuracy falls, the small network at L/n lies within errors of the line through the large one's means.

    Control: at the same number of layers it does not.
    """
    small, large = (measured()["tanh", method, parameters] for parameters in (10_000, 40_000))
    by_ratio, by_depth = [], []
    for depth, row in small.items():
        before = [r for r in large.values() if 0.1 < r["ratio"] <= row["ratio"]]
        after = [r for r in large.values() if r["ratio"] > row["ratio"]]
        if not before or not after:
            continue
        a, b = before[-1], after[0]
        t = (row["ratio"] - a["ratio"]) / (b["ratio"] - a["ratio"])
        line = a["accuracy"][0] * (1 - t) + b["accuracy"][0] * t
        error = hypot(row["accuracy"][1], max(a["accuracy"][1], b["accuracy"][1]))
        by_ratio.append(abs(row["accuracy"][0] - line) / error)
        same = large[depth]["accuracy"]
        by_depth.append(abs(row["accuracy"][0] - same[0]) / hypot(row["accuracy"][1], same[1]))
    assert max(by_ratio) < 3 < max(by_depth)
