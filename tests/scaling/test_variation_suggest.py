"""Suggestions: what they promise is what a flow of them shows, and what cannot be done is refused."""

import numpy as np
import pytest

import rgflow as rg
from rgflow.errors import InputError, NoClosedForm
from rgflow.scaling import suggest_variation, variation

HALVED = (16, 25, 36, 49, 64, 81)


def test_the_papers_schedule():
    """Halved at squares: 997.9 becomes 15.59, 92.2 from layer 16 on becomes 2.88; p does not change."""
    found = suggest_variation("tanh", 100, how="width", start=16, rise=2.11)
    assert found.halved == HALVED
    assert found.widths[0] == 2048
    assert found.widths[-1] == 32
    assert (found.before, found.after) == (pytest.approx(997.9, rel=2e-4), pytest.approx(15.59, rel=2e-4))
    plain, halved = variation("tanh", 100), variation("tanh", 100, widths=found.widths)
    assert float(halved["p"][-1]) == float(plain["p"][-1]) == pytest.approx(190.27, abs=5e-3)
    assert float(plain["chi"][16:].max()) == pytest.approx(92.2, abs=0.05)
    assert float(halved["chi"][16:].max()) == pytest.approx(2.88, abs=5e-3)


def test_halved_whenever_it_has_doubled():
    found = suggest_variation("tanh", 100, how="width", width=1 << 14)
    ds = variation("tanh", 100, widths=found.widths)
    assert found.after == float(ds["chi"][0]) < 2
    assert found.highest == float(ds["chi"].max()) < 4.5
    assert len(found.halved) == 9


def test_the_mildest_decay():
    found = suggest_variation("tanh", 100, tolerance=5)
    assert found.after <= 5
    beta = found.beta - 2e-4
    assert float(variation("tanh", 100, beta_W=beta, beta_V=beta, beta_a=beta, beta_b=beta)["chi"][0]) > 5
    assert "997.8 times" in str(found)
    assert suggest_variation("tanh", 3, tolerance=1000).beta == 0
    deep = suggest_variation("relu", 2000, tolerance=100)
    assert np.isinf(deep.before) or deep.log_before > 700
    assert "e^" in str(deep)


def test_the_network_is_ready():
    found = suggest_variation("tanh", 9, how="width", width=64, rise=2.0)
    net = found.network(n_in=5, n_out=3)
    assert net.widths == (5, *found.widths, 3)
    ds = variation(net)
    assert float(ds["chi"][0]) == pytest.approx(found.after, rel=1e-12)
    assert rg.flow(net, first_kernel=1.0, tensors=["K"], order=0)["K"].values[net.depth - 2] == pytest.approx(
        found.p, rel=1e-9
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"how": "depth"}, "'variance' or 'width'"),
        ({"tolerance": 1.0}, "above 1"),
        ({"how": "width", "width": 128}, "below 8; start at width"),
        ({"how": "width", "tolerance": 2}, "leave it out"),
        ({"how": "width", "start": 101}, "last block is 100"),
        ({"tolerance": "a"}, "tolerance is 'a'"),
        ({"tolerance": [5]}, "tolerance"),
        ({"rise": "2"}, "rise is '2'"),
        ({"how": "width", "rise": 1.0}, "rise"),
        ({"how": "width", "factor": 1}, "factor"),
        ({"p0": -1}, "p0"),
        ({"p0": None}, "p0 is None"),
        ({"C_V": 100.0, "tolerance": 1.01}, "even variances"),
    ],
)
def test_refusals(arguments, said):
    with pytest.raises(InputError, match=said):
        suggest_variation("tanh", 100, **arguments)


@pytest.mark.parametrize("depth", [3000, 100_000])
def test_width_alone_cannot(depth):
    with pytest.raises(InputError, match=r"would begin at 2\^\d+(\.\d+)?(e\+\d+)? neurons: width alone cannot"):
        suggest_variation("tanh", depth, how="width")


def test_nothing_to_undo():
    still = suggest_variation("tanh", 100, C_W=0, C_b=0)
    assert (still.beta, still.before, still.after) == (0, 1, 1)
    assert "stay as they are; gradients grow 1 times" in str(still)
    with pytest.raises(NoClosedForm, match="no width"):
        suggest_variation("tanh", 100, C_V=0.01, how="width")
