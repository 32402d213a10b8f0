"""Learning-rate transfer: what the saved benchmarks show, a small one trained here, its file, and the picture."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray
from matplotlib.figure import Figure

import rgflow as rg
from rgflow.plots.transfer import plot_transfer
from rgflow.scaling.transfer import best_rates, rate_shift

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """The scripts, which stand in a folder of their own."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import learning_rate_transfer
    import rate_grids
    import transformer_depth

    yield learning_rate_transfer, transformer_depth, rate_grids
    for name in ("learning_rate_transfer", "transformer_depth", "rate_grids"):
        sys.modules.pop(name, None)


def saved(name, *dims):
    path = BENCHMARKS / "results" / f"{name}.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    coords = {dim: sorted({row[dim] for row in found["rows"]}) for dim in dims}
    loss = np.full([len(values) for values in coords.values()], np.nan)
    for row in found["rows"]:
        value = row["train_loss"]
        loss[tuple(coords[dim].index(row[dim]) for dim in dims)] = np.inf if value is None else value
    runs = xarray.Dataset({"loss": (dims, loss)}, coords).rename(log2_rate="rate")
    return runs.assign_coords(rate=2.0 ** runs["rate"]), found


# What was measured ----------------------------------------------------------------------------------------------------


def test_the_saved_transfer_with_width():
    """Widths 64 to 512, three seeds, steps of sqrt 2: at most 1.5 for muP and s = 1/2, at least 3 for standard."""
    runs, found = saved("learning_rate_transfer", "family", "width", "log2_rate", "seed")
    assert not runs["loss"].isnull().any()
    assert dict(runs.sizes) == {"family": 3, "width": 4, "rate": 18, "seed": 3}
    best = best_rates(runs)
    for name in ("best", "lowest"):
        moves = rate_shift(best[name])
        assert moves.sel(family="mup") <= 1.5
        assert moves.sel(family="s = 1/2") <= 1.5
        assert moves.sel(family="standard") >= 3
    layers = {row["width"]: row["layers"] for row in found["rows"] if row["family"] == "s = 1/2"}
    assert layers == {64: 3, 128: 4, 256: 6, 512: 8}
    # At base width maximal update is the standard parametrisation, run by run.
    np.testing.assert_array_equal(
        runs["loss"].sel(family="mup", width=64), runs["loss"].sel(family="standard", width=64)
    )


def test_the_saved_transfer_with_depth():
    """4 and 16 blocks, five seeds: less than a factor 2 with the scaling in depth, more without."""
    runs, _ = saved("transformer_depth", "scaled", "blocks", "log2_rate", "seed")
    assert not runs["loss"].isnull().any()
    assert dict(runs.sizes) == {"scaled": 2, "blocks": 2, "rate": 11, "seed": 5}
    moves = rate_shift(best_rates(runs)["best"], "blocks")
    assert moves.sel(scaled="scaled") < 2 < moves.sel(scaled="plain")
    shallow = runs["loss"].sel(blocks=4)  # the same networks
    np.testing.assert_array_equal(shallow.sel(scaled="plain"), shallow.sel(scaled="scaled"))


# Small, here ----------------------------------------------------------------------------------------------------------


def test_a_small_transfer(benchmark):
    """Widths 64 and 256, one epoch, one seed, steps of 2: one rate for all moves by 4 at least, maximal update by 2."""
    module, _, _ = benchmark
    widths, powers = (64, 256), range(-11, -4)
    loss = [
        [[module.measure(family, width, power, 0, epochs=1)["train_loss"] for power in powers] for width in widths]
        for family in ("standard", "mup")
    ]
    lowest = np.argmin(loss, axis=-1)
    assert lowest[0, 0] == lowest[1, 0]
    assert 0 < lowest.min() <= lowest.max() < len(powers) - 1
    assert abs(lowest[1, 1] - lowest[1, 0]) <= 1
    assert lowest[0, 0] - lowest[0, 1] >= 2


def test_both_scalings_are_one_network_at_four_blocks(benchmark):
    _, module, _ = benchmark
    here, deep = ([module.scaling(kind, blocks) for kind in module.SCALINGS] for blocks in module.BLOCKS)
    for group in here[0].net.groups:
        assert here[1][group].std == pytest.approx(here[0][group].std)
        assert here[1][group].adamw == pytest.approx(here[0][group].adamw)
        # B is four times as large: variances and SGD rates of the last weights go like 1/B.
        std, rate = {"U": (0.5, 0.25), "X": (0.5, 0.25)}.get(group, (1.0, 0.5 if group in "QKVW" else 1.0))
        assert deep[1][group].std == pytest.approx(std * here[1][group].std)
        assert deep[1][group].adamw == pytest.approx(rate * here[1][group].adamw)
        assert deep[0][group].adamw == pytest.approx(here[0][group].adamw)


def test_one_run_of_a_transformer(benchmark):
    _, module, _ = benchmark
    first, again = (module.measure("scaled", 4, 0.0, 0, epochs=1) for _ in range(2))
    assert first["train_loss"] == again["train_loss"] < 2.5


def test_runs_that_are_there_are_not_done_again(benchmark, tmp_path, capsys):
    _, _, module = benchmark
    path, asked = tmp_path / "rows.json", []

    def measure(width, seed):
        asked.append((width, seed))
        if len(asked) == 4:
            raise KeyboardInterrupt
        return {"train_loss": float("inf") if seed else width / 7}

    todo = [{"width": width, "seed": seed} for width in (1, 2, 3) for seed in (0, 1)]
    rows = module.Rows(path, {"a": (1, 2)}, ("width", "seed"))
    with pytest.raises(KeyboardInterrupt):
        rows.run(todo, measure)
    rows = module.Rows(path, {"a": (1, 2)}, ("width", "seed"))
    assert len(rows.rows) == 3
    rows.run(todo, measure)
    assert asked == [(1, 0), (1, 1), (2, 0), (2, 1), (2, 1), (3, 0), (3, 1)]
    loss = rows.losses("width", "seed")["loss"].values
    np.testing.assert_array_equal(loss, [[1 / 7, np.inf], [2 / 7, np.inf], [3 / 7, np.inf]])
    with pytest.raises(SystemExit, match="other settings"):
        module.Rows(path, {"a": (1, 3)}, ("width", "seed"))


# The picture ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def runs():
    rates = 2.0 ** np.arange(-6, 1)
    best = np.array([[0.1, 0.2], [0.1, 0.1]])[..., None, None]
    logs = 0.2 * np.log(rates[:, None] / best) ** 2 + 0.05 * np.random.default_rng(0).normal(size=(2, 2, 7, 3))
    logs[0, 0, -1, 0] = np.inf
    coords = {"family": ["a", "b"], "width": [8, 64], "rate": rates, "seed": [0, 1, 2]}
    return xarray.Dataset({"loss": (("family", "width", "rate", "seed"), np.exp(logs))}, coords)


def test_the_picture_shows_means_seeds_and_best_rates(runs):
    panels = plot_transfer(runs)
    found = best_rates(runs)
    for ax, family in zip(panels, runs["family"].values, strict=True):
        curves = [line for line in ax.lines if len(line.get_xdata()) > 2]
        marks = [line for line in ax.lines if line.get_marker() == "D"]
        for curve, mark, width in zip(curves, marks, runs["width"].values, strict=True):
            loss = runs["loss"].sel(family=family, width=width)
            seen = np.isfinite(loss).all("seed").values
            np.testing.assert_allclose(curve.get_xdata(), runs["rate"].values[seen])
            np.testing.assert_allclose(curve.get_ydata(), np.exp(np.log(loss).mean("seed"))[seen])
            assert mark.get_xdata()[0] == found["best"].sel(family=family, width=width)
        moved = float(rate_shift(found["best"].sel(family=family)))
        assert ax.get_title(loc="left") == f"{family}: best rate moves by {moved:.2f}"
    assert [text.get_text() for text in panels[0].get_legend().get_texts()] == ["width 8", "width 64"]
    assert panels[0].get_ylim() == panels[1].get_ylim()


def test_the_picture_in_other_axes_and_what_it_refuses(runs):
    axes = Figure().subplots(1, 2)
    assert plot_transfer(runs, axes) is not None
    assert len(axes[0].lines) > 0
    edge = runs.isel(rate=slice(4, None))
    assert "not bracketed" in plot_transfer(edge)[0].get_title(loc="left")
    for wrong in (None, runs["loss"], runs.isel(family=0), runs.rename(loss="x")):
        with pytest.raises(rg.InputError, match="plot_transfer"):
            plot_transfer(wrong)
    with pytest.raises(rg.InputError, match="plot_transfer"):
        plot_transfer(runs, panels="width")
    with pytest.raises(rg.InputError, match="ax holds 3 Axes"):
        plot_transfer(runs, Figure().subplots(1, 3))
    with pytest.raises(rg.InputError, match="curves"):
        plot_transfer(xarray.concat([runs.assign_coords(width=[k, k + 1]) for k in (0, 2, 4)], "width"))
