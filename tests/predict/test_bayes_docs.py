"""The measured numbers of docs/bayes.md are those of the benchmark's file."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "bayes.md").read_text(encoding="utf-8")
RESULTS = json.loads((ROOT / "benchmarks" / "results" / "digits_posterior.json").read_text(encoding="utf-8"))
SETS = [(name, N) for name in ("digits", "mnist") for N in (50, 200)]


@pytest.mark.parametrize(("name", "N"), SETS)
def test_rows_of_the_table(name, N):
    found = RESULTS[f"{name} {N}"]
    accuracy = 100 * max(found["accuracy_change"]["mean"])
    row = (
        f"| {name}, {N} | {found['flag']['least']:.2g} to {found['flag']['most']:.2g} | {found['best']:.2g} "
        f"| {found['breakdown']:.2g} | {accuracy:+.1f} % |"
    )
    assert row in PAGE
    assert PAGE.count(f"| {name}, {N} |") == 1


@pytest.mark.parametrize(("name", "N"), SETS)
def test_what_the_page_says_of_them(name, N):
    """The error falls first, by more than three standard errors; the flag rises before it is least."""
    found = RESULTS[f"{name} {N}"]
    assert found["mse_change"]["mean"][1] < -3 * found["mse_change"]["se"][1]
    assert 2 * found["flag"]["most"] < found["best"] < found["breakdown"]
    widths, accuracy = found["inverse_width"], found["accuracy_change"]["mean"]
    assert widths[accuracy.index(max(accuracy))] > found["flag"]["most"]
    assert found["flag"]["by"] == ["strain"]
    assert found["sampling_noise"] < 0.5


def test_the_large_posterior():
    large = RESULTS["large"]
    text = " ".join(re.search("<!-- large -->\n(.*?)\n\n", PAGE, re.DOTALL)[1].split())
    assert f"with {large['draws']} draws" in text
    assert f"known to {100 * large['relative_error']:.1f} % after {large['seconds']:.0f} s" in text
    assert f"on {large['threads']} threads" in text
    assert f"in {large['peak_GiB']:.2f} GiB" in text
    assert large["relative_error"] < 0.01
    assert large["seconds"] < 600
