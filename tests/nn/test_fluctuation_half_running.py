"""Half-running averages against lists that keep everything; standard errors against series whose error is known."""

import numpy as np
import pytest

from rgflow.errors import InputError
from rgflow.nn.fluctuation.half_running import HalfRunning, mean_error, ratio_error


def kept(values, start):
    return np.mean(values[start:], axis=0)


def test_equal_to_a_stored_list_at_every_step():
    values = np.random.default_rng(0).standard_normal((300, 2))
    mean = HalfRunning(2, blocks=512)
    assert np.isnan(mean.mean()).all()
    for t, row in enumerate(values, 1):
        mean.add(row)
        assert mean.start == t // 2
        assert mean.mean() == pytest.approx(kept(values[:t], t // 2), rel=1e-12)


def test_constant_memory_with_a_stated_resolution():
    """Beyond ``blocks`` numbers t0 moves to the end of a block, by at most t / blocks."""
    values = np.random.default_rng(1).standard_normal((2000, 1))
    mean = HalfRunning(1, blocks=32)
    bytes_at_first = mean.sums.nbytes
    for t, row in enumerate(values, 1):
        mean.add(row)
        assert abs(mean.start - t / 2) <= t / 32 + 0.5
        assert mean.mean() == pytest.approx(kept(values[:t], mean.start), rel=1e-11)
    assert mean.sums.nbytes == bytes_at_first


def test_exact_again_at_the_ends_of_blocks():
    mean = HalfRunning(1, blocks=4)
    for t in range(1, 33):
        mean.add([t])
    assert (mean.size, mean.start, mean.mean()[0]) == (8, 16, 24.5)


@pytest.mark.parametrize("count", [31, 33, 200])
def test_pieces_of_the_later_half(count):
    values = np.arange(float(count))[:, None]
    mean = HalfRunning(1, blocks=32)
    for row in values:
        mean.add(row)
    pieces = mean.batch_means(4)
    end = count // mean.size * mean.size
    each = (end - mean.start) // mean.size // 4 * mean.size
    by_hand = [values[end - (4 - k) * each : end - (3 - k) * each].mean() for k in range(4)]
    assert pieces[:, 0].tolist() == pytest.approx(by_hand)


def test_too_short_for_pieces():
    mean = HalfRunning(2)
    for _ in range(6):
        mean.add([1.0, 2.0])
    assert mean.batch_means(4) is None
    assert np.isnan(ratio_error(mean.batch_means(4)))
    assert mean_error(None) is None


def test_state_goes_on():
    values = np.random.default_rng(2).standard_normal((100, 1))
    whole, half, rest = HalfRunning(1, 16), HalfRunning(1, 16), HalfRunning(1, 16)
    for row in values[:57]:
        half.add(row)
    rest.load_state_dict(half.state_dict())
    for row in values:
        whole.add(row)
    for row in values[57:]:
        rest.add(row)
    assert rest.mean() == whole.mean()
    with pytest.raises(InputError, match=r"\(16, 1\)"):
        HalfRunning(2, 16).load_state_dict(half.state_dict())
    whole.reset()
    assert (whole.count, whole.size, whole.sums.any()) == (0, 1, False)


@pytest.mark.parametrize("rule", ["batch_means", "bootstrap"])
def test_errors_of_correlated_series(rule):
    """An AR(1) ratio: errors of many runs agree with the spread of the ratio from run to run."""
    random = np.random.default_rng(3)
    ratios, errors = [], []
    for _ in range(60):
        noise = random.standard_normal((2, 2000))
        walk = np.zeros((2, 2000))
        for t in range(1, 2000):
            walk[:, t] = 0.8 * walk[:, t - 1] + noise[:, t]
        pieces = (np.array([3.0, 2.0])[:, None] + walk).T.reshape(20, 100, 2).mean(axis=1)
        ratios.append(pieces[:, 0].mean() / pieces[:, 1].mean())
        errors.append(ratio_error(pieces, rule))
    spread = np.std(ratios, ddof=1)
    # a standard deviation of 60 numbers is known to 9 %; 2000 steps at correlation 0.8 leave 5 % out of the pieces
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(spread, rel=3 * 0.09 + 0.05)


def test_control_pieces_of_single_steps_are_too_sure():
    """Negative control: without pieces longer than the correlation, the error is three times too small."""
    random = np.random.default_rng(4)
    walk = np.zeros(4000)
    for t in range(1, 4000):
        walk[t] = 0.8 * walk[t - 1] + random.standard_normal()
    series = np.stack([3.0 + walk, np.ones(4000)], axis=1)
    assert ratio_error(series) < 0.5 * ratio_error(series.reshape(40, 100, 2).mean(axis=1))


@pytest.mark.parametrize("blocks", [0, 3, 2.0, True])
def test_blocks_outside_their_domain(blocks):
    with pytest.raises(InputError, match="blocks"):
        HalfRunning(1, blocks)


def test_rules_outside_their_domain():
    with pytest.raises(InputError, match="jackknife"):
        ratio_error(None, "jackknife")
