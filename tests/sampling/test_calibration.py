"""Standard errors mean what they say: over repeated runs the spread is the reported one."""

import numpy as np
import pytest
from scipy.stats import chi2

from rgflow.network import MLP
from rgflow.sampling import sample
from rgflow.sampling.plan import SAMPLE_ARGUMENTS
from rgflow.sampling.statistics import batch_sizes, combine, covariance, third_cumulant

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


def test_batch_estimates_are_unbiased():
    """Exact check by enumeration: all samples of size m from a three-point law, cumulants known as fractions."""
    points = np.array([0.0, 1.0, 3.0])
    m = 3
    draws = np.array(np.meshgrid(*[points] * m)).reshape(m, -1)[:, None, :]  # (m, 1, samples as entries)
    variance = np.mean(points**2) - np.mean(points) ** 2
    third = np.mean((points - points.mean()) ** 3)
    found = [covariance(x[:, :, None], x[:, :, None])[0, 0, 0] for x in draws.transpose(2, 0, 1)]
    assert np.isclose(np.mean(found), variance, rtol=1e-13)
    found = [third_cumulant(x[:, :, None])[0, 0, 0, 0] for x in draws.transpose(2, 0, 1)]
    assert np.isclose(np.mean(found), third, rtol=1e-13)
    # Control: 1/m instead of 1/(m-1) would be off by a third.
    assert not np.isclose(np.mean(found) * (m - 1) / m, third, rtol=0.1)


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
    estimates = [np.array(rng.standard_normal(size).mean()) for size in sizes]
    value, error = combine(estimates, sizes)
    assert np.isclose(error, 1 / np.sqrt(sum(sizes)), rtol=5 / np.sqrt(2 * len(sizes)))
    assert abs(value) < 5 * error
