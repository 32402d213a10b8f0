"""Best learning rates from losses: exact parabolas, noise against repeated draws, what is missing, what is refused."""

import numpy as np
import pytest
import xarray

from rgflow.errors import InputError
from rgflow.scaling.transfer import best_rates, rate_shift

RATES = 2.0 ** np.arange(-8, 0.25, 0.5)


def made(best, curvature=0.3, seeds=3, noise=0.0, seed=0):
    """log loss = curvature log(rate/best)^2 of several networks, plus noise of runs."""
    best = np.atleast_1d(best)
    logs = curvature * np.log(RATES[:, None] / best[:, None, None]) ** 2 - 2.0
    logs = logs + noise * np.random.default_rng(seed).normal(size=(len(best), len(RATES), seeds))
    coords = {"width": np.arange(len(best)), "rate": RATES, "seed": np.arange(seeds)}
    return xarray.Dataset({"loss": (("width", "rate", "seed"), np.exp(logs))}, coords)


@pytest.mark.parametrize("neighbours", [1, 2, 4])
def test_a_parabola_is_found_exactly(neighbours):
    best = [2**-4.2, 2**-3.0, 2**-6.1]
    found = best_rates(made(best), neighbours=neighbours)
    np.testing.assert_allclose(found["best"], best, rtol=1e-12)
    np.testing.assert_allclose(found["lowest"], [2**-4.0, 2**-3.0, 2**-6.0], rtol=1e-12)
    np.testing.assert_allclose(found["best_se"], 0, atol=1e-12)
    np.testing.assert_allclose(found["lowest_by_seed"], found["lowest"].values[:, None] * np.ones(3), rtol=1e-12)
    assert rate_shift(found["best"]).item() == pytest.approx(2**3.1)
    assert found.attrs["step"] == pytest.approx(np.sqrt(2))


def test_the_order_of_dims_does_not_matter():
    runs = made([0.1, 0.2], noise=0.1)
    found = best_rates(runs)
    other = best_rates(runs.transpose("seed", "rate", "width"))
    xarray.testing.assert_identical(found, other)


def test_errors_are_those_of_repeated_draws():
    """Networks that differ in their noise alone: jackknife errors, on average, are the spread of the best rates."""
    found = best_rates(made(np.full(400, 2**-4.2), noise=0.1, seeds=5))
    logs = np.log(found["best"].values)
    spread = logs.std(ddof=1)
    assert np.mean(logs) == pytest.approx(np.log(2**-4.2), abs=4 * spread / 20)
    stated = np.sqrt(np.mean((found["best_se"] / found["best"]).values ** 2))
    # A standard error from five seeds has a relative spread of 0.35; the mean of 400 squares a far smaller one. Leaving
    # out a seed shifts the window by a point now and then, which jackknife errors exaggerate: at most a half.
    assert 0.8 * spread < stated < 1.5 * spread


def test_more_points_are_less_noisy():
    """Why five points and not three."""
    runs = made(np.full(400, 2**-4.2), noise=0.1)
    three, five = (np.log(best_rates(runs, neighbours=k)["best"].values).std() for k in (1, 2))
    assert five < 0.8 * three


def test_runs_that_diverge_bracket_and_missing_ones_do_not():
    runs = made([2**-4.0])
    cut = runs.copy(deep=True)
    cut["loss"][:, 9:] = np.inf  # all beyond the lowest point
    found = best_rates(cut)
    assert found["lowest"].item() == pytest.approx(2**-4.0)
    assert found["best"].item() == pytest.approx(2**-4.0)  # three points are left, on one side
    cut["loss"][:, 9:] = np.nan
    assert np.isnan(best_rates(cut)["best"].item())
    one = runs.copy(deep=True)
    one["loss"][0, 8, 1] = np.inf  # of one seed, at the lowest point: that rate takes no part
    assert best_rates(one)["lowest"].item() == pytest.approx(2**-4.5)
    assert best_rates(one)["best"].item() == pytest.approx(2**-4.0)


def test_the_end_of_the_grid_is_no_minimum():
    found = best_rates(made([2**-8.0, 2**-0.1, 2**-4.0]))
    assert np.isnan(found["best"].values).tolist() == [True, True, False]
    assert np.isnan(rate_shift(found["best"]).item())
    nothing = made([0.1])
    nothing["loss"][:] = np.inf
    assert np.isnan(best_rates(nothing)["best"].item())


def test_a_curve_that_bends_the_other_way_keeps_its_lowest_point():
    runs = made([2**-4.0])
    runs["loss"][0] = np.exp(np.where(np.isin(np.arange(17), [7, 9]), 1.0, 0.0))[:, None]
    runs["loss"][0, 8] = 0.9
    assert best_rates(runs)["best"].item() == best_rates(runs)["lowest"].item() == pytest.approx(2**-4.0)


def test_what_is_refused():
    runs = made([0.1])
    for wrong in (None, runs["loss"], runs.rename(loss="L"), runs.isel(seed=0, drop=True), runs.isel(rate=slice(2))):
        with pytest.raises(InputError):
            best_rates(wrong)
    with pytest.raises(InputError, match="at least one"):
        best_rates(runs.isel(seed=slice(0)))
    with pytest.raises(InputError, match="increasing"):
        best_rates(runs.isel(rate=slice(None, None, -1)))
    with pytest.raises(InputError, match="above 0"):
        best_rates(runs - 1.0)
    with pytest.raises(InputError, match="neighbours"):
        best_rates(runs, neighbours=0)
    with pytest.raises(InputError, match="'depth'"):
        rate_shift(best_rates(runs)["best"], "depth")
    assert np.isnan(best_rates(runs.isel(seed=[0]))["best_se"].item())  # one seed has no spread
