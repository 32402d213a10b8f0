"""Standard errors mean what they say: over repeated runs the spread is the reported one."""

import numpy as np
import pytest
from scipy.stats import chi2

from rgflow.network import MLP
from rgflow.sampling import sample
from rgflow.sampling.names import SAMPLE_ARGUMENTS
from rgflow.sampling.statistics import Combination, batch_sizes, covariance, third_cumulant

RUNS = 40
# 14 tensors at 2 layers, two-sided: a right implementation fails once in 500.
TAIL = 1e-3 / 14 / 2


def test_spread_of_repeated_runs():
    net = MLP([2, 8, 8, 1], "tanh", C_b=0.2, C_W=1.5)
    runs = [sample(net, first_kernel=1.0, tensors=SAMPLE_ARGUMENTS, networks=200, seed=s) for s in range(RUNS)]
    low, high = chi2.ppf([TAIL, 1 - TAIL], RUNS - 1)
    for name in SAMPLE_ARGUMENTS:
        values = np.stack([ds[name].values[1:] for ds in runs])
        errors = np.stack([ds[f"{name}_se"].values[1:] for ds in runs])
        statistic = np.sum((values - values.mean(axis=0)) ** 2, axis=0) / np.mean(errors**2, axis=0)
        assert np.all((low < statistic) & (statistic < high)), (name, statistic)


def test_spread_of_networks_without_weights():
    """The same with control variates, learned anew in every run."""
    net = MLP([2, 8, 8, 1], "tanh", C_b=0.2, C_W=1.5)
    names = ("K", "Theta", "V", "A", "B", "D", "F", "V6")
    runs = [sample(net, first_kernel=1.0, tensors=names, networks=1200, seed=s) for s in range(RUNS)]
    low, high = chi2.ppf([TAIL, 1 - TAIL], RUNS - 1)
    for name in names:
        values = np.stack([ds[name].values[1:] for ds in runs])
        errors = np.stack([ds[f"{name}_se"].values[1:] for ds in runs])
        statistic = np.sum((values - values.mean(axis=0)) ** 2, axis=0) / np.mean(errors**2, axis=0)
        assert np.all((low < statistic) & (statistic < high)), (name, statistic)


def test_batch_estimates_are_unbiased():
    """Exact check by enumeration: all samples of size m from a three-point law, cumulants known as fractions."""
    points = np.array([0.0, 1.0, 3.0])
    m = 3
    draws = np.array(np.meshgrid(*[points] * m)).reshape(m, -1)[:, None, :]  # (m, 1, samples as entries)
    variance = np.mean(points**2) - np.mean(points) ** 2
    third = np.mean((points - points.mean()) ** 3)
    samples = draws.transpose(2, 0, 1)
    found = [covariance(x[:, :, None], x[:, :, None])[0, 0, 0] for x in samples]
    assert np.isclose(np.mean(found), variance, rtol=1e-13)
    found = [third_cumulant(x[:, :, None])[0, 0, 0, 0] for x in samples]
    assert np.isclose(np.mean(found), third, rtol=1e-13)
    # Controls: on the same samples the plain central moments are off, by (m-1)/m and (m-1)(m-2)/m^2.
    plain = np.mean([np.cov(x[:, 0], ddof=0) for x in samples])
    assert np.isclose(plain, variance * 2 / 3, rtol=1e-13)
    assert abs(plain - variance) > 0.3 * variance
    plain = np.mean([np.mean((x - x.mean()) ** 3) for x in samples])
    assert np.isclose(plain, third * 2 / 9, rtol=1e-13)
    assert abs(plain - third) > 0.7 * third


@pytest.mark.parametrize("networks", [100, 101, 149, 150, 2499, 2500, 12345, 10**6])
def test_batches(networks):
    sizes = batch_sizes(networks)
    assert sum(sizes) == networks
    assert len(sizes) >= 50
    assert min(sizes) >= 2
    assert max(sizes) - min(sizes) <= 1
    assert max(batch_sizes(networks, 2**20)) <= max(32, 3, min(sizes))


def test_combining_uneven_batches():
    """Equal variance per network: the weighted mean is that of all networks, its error that of their spread."""
    rng = np.random.default_rng(2)
    sizes = [3] * 30_000 + [2] * 20_000
    value, error = combined([np.array(rng.standard_normal(size).mean()) for size in sizes], sizes)
    assert np.isclose(error, 1 / np.sqrt(sum(sizes)), rtol=5 / np.sqrt(2 * len(sizes)))
    assert abs(value) < 5 * error


def combined(estimates, sizes):
    total = Combination(sum(sizes))
    for estimate, size in zip(estimates, sizes, strict=True):
        total.add(estimate, size)
    return total.result()


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_combining_one_by_one_is_combining_at_once(offset):
    """The formula written out; sums of differences keep what a large mean would take from sums of squares."""
    rng = np.random.default_rng(3)
    sizes = batch_sizes(1234)
    estimates = offset + rng.standard_normal((len(sizes), 2))
    value, error = combined(estimates, sizes)
    share = np.array(sizes)[:, None] / 1234
    mean = np.sum(share * estimates, axis=0)
    number = len(sizes)
    spread = np.sqrt(number / (number - 1) * np.sum((share * (estimates - mean)) ** 2, axis=0))
    np.testing.assert_allclose(value, mean, rtol=1e-14, atol=1e-14)
    # The mean written out is itself rounded at eps * offset, 1e-10 of the spread.
    np.testing.assert_allclose(error, spread, rtol=1e-9 if offset else 1e-13)
    # Control: equal weights are not these.
    assert not np.allclose(error, estimates.std(axis=0, ddof=1) / np.sqrt(number), rtol=1e-5)


def test_equal_estimates_have_no_error():
    value, error = combined([np.array(0.1)] * 50, [2] * 50)
    assert (value, error) == (0.1, 0)
