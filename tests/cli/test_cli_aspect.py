"""``rgflow aspect``: the library's numbers in 80 columns, a picture, warnings and refusals."""

from __future__ import annotations

import re

import pytest

from rgflow.predict.aspect.ratio import aspect_ratio


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_without_a_width(rgflow):
    done = rgflow("aspect", "tanh", "--n-out", "10")
    assert (done.code, done.err) == (0, "")
    for text in ("nu = 2/3", "0.12 = depth/width for 10 outputs", "I(5;5) at r*", "truncated at v^3", "K* = 0"):
        assert text in squeezed(done.out), text
    assert "Width" not in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_with_a_width_and_a_picture(rgflow, tmp_path):
    picture = tmp_path / "aspect.png"
    done = rgflow("aspect", "relu", "--width", "128", "--n-out", "4", "--plot", str(picture))
    assert (done.code, done.err) == (0, "")
    recommended = aspect_ratio("relu", 4).recommend(128)
    assert f"Width 128: {recommended.depth} layers, depth/width = {recommended.ratio:.4g}" in done.out
    rows = {line.split()[0]: line.split() for line in done.out.splitlines() if line[:1].isalpha()}
    assert rows["kurtosis"][1] == str(recommended.cutoffs["kurtosis"])
    assert squeezed(recommended.reasons[0]) in squeezed(done.out)
    assert picture.stat().st_size > 10_000
    table = done.out.split("picture:")[0]
    assert max(map(len, table.splitlines())) <= 80


def test_a_skip_means_residual_layers(rgflow):
    done = rgflow("aspect", "tanh", "--skip", "0.7")
    assert done.code == 0
    assert "tanh in a residual layer, skip = 0.7" in done.out
    assert "nu = 2533/5000" in done.out  # (2/3)(1 - 0.7^4)
    same = rgflow("aspect", "tanh", "--layer", "residual", "--skip", "0.7")
    assert same.out == done.out


def test_a_depth_beyond_trust_is_said_on_standard_error(rgflow):
    done = rgflow("aspect", "gelu", "--width", "2000")
    assert done.code == 0
    assert "beyond what the expansion in 1/n is trusted for (tangent kernel" in done.err
    assert "half-stable" in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sigmoid"], "no critical point"),
        (["relu", "--width", "10"], "too narrow"),
        (["relu", "--width", "0"], "width is 0"),
        (["relu", "--n-out", "0"], "n_out is 0"),
        (["relu", "--plot", "x.png"], "needs --width"),
        (["relu", "--width", "64", "--plot", "x.txt"], "must end in"),
        (["relu", "--layer", "dense", "--skip", "0.5"], "has none"),
    ],
)
def test_refusals(rgflow, arguments, said):
    done = rgflow("aspect", *arguments)
    assert done.code == 1
    assert said in done.err
    assert len(done.err.splitlines()) == 1
