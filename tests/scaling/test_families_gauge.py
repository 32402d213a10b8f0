"""The gauge of abc-parametrisations in real training: multipliers, initial sizes and rates as written, by autograd."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import rgflow as rg

torch = pytest.importorskip("torch")

N, DEPTH, STEPS = 24, 4, 25
GROUPS = ("input", "hidden", "hidden", "output")
WIDTHS = [3, N, N, N, 1]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def outputs(family, optimizer, rate):
    """f at every step: W = n^-a w, w_0 = n^-b U, rate of w: eta n^-c, of the first step where the family has one."""
    source = np.random.default_rng(2)
    weights, groups = [], []
    for group, rows, columns in zip(GROUPS, WIDTHS[1:], WIDTHS[:-1], strict=True):
        abc = family.weights[group]
        start = N ** -float(abc.b) * source.standard_normal((rows, columns))
        weights.append(torch.tensor(start, dtype=torch.float64, requires_grad=True))
        c = (family.first or {}).get(group, abc.c)
        groups.append({"params": [weights[-1]], "lr": rate * N ** -float(c), "later": rate * N ** -float(abc.c)})
    found = []
    method = torch.optim.SGD(groups) if optimizer == "sgd" else torch.optim.Adam(groups, eps=1e-300)
    x = torch.tensor([[1.0, -0.5, 0.3], [0.2, 0.8, -1.0]], dtype=torch.float64).T
    y = torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    for _ in range(STEPS):
        signal = x
        for group, w in zip(GROUPS, weights, strict=True):
            z = N ** -float(family.weights[group].a) * (w @ signal)
            signal = torch.relu(z)
        found.append(z.detach().numpy().copy())
        method.zero_grad()
        ((z - y) ** 2).sum().backward()
        method.step()
        for entry in method.param_groups:
            entry["lr"] = entry["later"]
    return np.array(found)


SHIFTS = {"input": Fraction(1, 3), "hidden": Fraction(-1, 2), "output": Fraction(3, 4)}


@pytest.mark.parametrize(
    ("name", "optimizer", "rate"),
    [("mup", "sgd", 0.05), ("ntk", "sgd", 0.05), ("ip-llr", "sgd", 0.01), ("mup", "adam", 0.02)],
)
def test_gauge_leaves_the_trajectory(name, optimizer, rate):
    family = rg.family(name, layers=DEPTH, optimizer=optimizer)
    here, there = (outputs(f, optimizer, rate) for f in (family, family.gauge(**SHIFTS)))
    np.testing.assert_allclose(there, here, rtol=0, atol=1e-11 * np.abs(here).max())  # rounding, 25 steps of relu
    assert np.abs(here[-1] - here[0]).max() > 0.05 * np.abs(here).max()


def test_control_the_gauge_of_the_other_optimizer():
    """Negative control: Adam under the gauge of gradient descent, c - 2t for c - t, goes elsewhere."""
    adam = rg.family("mup", optimizer="adam")
    shifted = adam.gauge(**SHIFTS)
    wrong = {g: replace(shifted.weights[g], c=adam.weights[g].c - 2 * SHIFTS[g]) for g in SHIFTS}
    here, there = (outputs(f, "adam", 0.02) for f in (adam, replace(adam, weights=wrong)))
    assert np.abs(there - here).max() > 1e-3 * np.abs(here).max()


def test_both_ends_of_the_one_parameter_family():
    """s = 0 and s = 1 train as the neural tangent and the maximal update parametrisation of the table do."""
    for s, name in ((0, "ntk"), (1, "mup")):
        one, other = (outputs(f.effective, "sgd", 0.05) for f in (rg.family("meta", s=s), rg.family(name)))
        np.testing.assert_array_equal(one, other)
