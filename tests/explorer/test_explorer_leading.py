"""The fast leading order against the engine's own flow: every kind of layer, smooth and kinked activations."""

import numpy as np
import pytest

import rgflow as rg
from rgflow.errors import InputError, KinkError
from rgflow.explorer import leading as room
from rgflow.explorer.fields import kinds
from rgflow.explorer.leading import Reader, leading, reader
from rgflow.explorer.state import state_of

ACTIVATIONS = ("tanh", "relu", "gelu", "sin", "Abs(z) + z**2/8")
# Relative: averages are known to GOOD = 1e-11, and six to thirty layers add up what they miss.
RELATIVE = 3e-10


def states():
    for name in kinds():
        for sigma in ACTIVATIONS if name not in ("reduced",) else ("tanh", "sin"):
            given = {"activation": sigma, "layer": name, "depth": 6, "width": 16, "first_kernel": 0.7}
            yield given | ({"C_W": 0.4} if name != "linear" else {}) | ({"skip": 0.5} if "skip" in fields(name) else {})
    yield {"layer": "layernorm", "place": "after", "skip": 0.4, "epsilon": 0.1, "C_b": 0.1, "depth": 6, "width": 16}
    yield {"layer": "rmsnorm", "place": "after", "activation": "gelu", "skip": 0.3, "depth": 6, "width": 16}
    yield {"layer": "projection", "C_P": 0.7, "C_a": 0.2, "C_b": 0.1, "lambda_P": 2.0, "depth": 6, "width": 16}


def fields(name):
    return kinds()[name].hyperparameters()


@pytest.mark.parametrize(
    "given", list(states()), ids=lambda given: f"{given['layer']}-{given.get('activation', 'tanh')}"
)
def test_the_same_as_the_engine(given):
    """K and Theta of rg.flow, chi_perpendicular of rg.partial_jacobian, chi_parallel from moving the first kernel."""
    state = state_of(given)
    net, first = state.network(), state["first_kernel"]
    found = leading(net, first)
    ds = rg.flow(net, first_kernel=first, tensors=["K", "Theta"], order=0)
    jacobian = rg.partial_jacobian(net, first_kernel=first)["chi_J"].values[:-1]
    assert not found.stopped
    assert list(found.K) == pytest.approx(ds["K"].values, rel=RELATIVE)
    assert found.Theta == pytest.approx(ds["Theta"].values, rel=RELATIVE)
    assert found.chi_perpendicular == pytest.approx(jacobian, rel=RELATIVE)
    if abs(found.chi_parallel[0]) < 1e-12:
        return  # behind a norm without a skip nothing moves, and a difference would be rounding
    h = 1e-4 * first
    ends = [leading(net, first + sign * h).K for sign in (-1, 1)]
    slopes = (np.array(ends[1]) - np.array(ends[0])) / (2 * h)
    products = np.cumprod([1.0, *found.chi_parallel])
    # a central difference misses h^2/6 of the third derivative, which is of the size of the slopes themselves here
    assert slopes == pytest.approx(products, rel=1e-5, abs=1e-9)


def test_polynomials_and_quadrature_agree(monkeypatch):
    """Second witness of the averages: read from polynomials, and found at each kernel."""
    net = rg.MLP.uniform(n_in=8, width=8, depth=12, activation="z*tanh(z/3) + z/2", C_W=1.3)
    fast = leading(net, 1.0)
    assert any(octave is not None for octave in reader(net.activation).octaves.values())
    monkeypatch.setattr(Reader, "_in_octave", Reader._by_quadrature)
    slow = leading(net, 1.0)
    for name in ("K", "Theta", "chi_parallel", "chi_perpendicular"):
        assert getattr(fast, name) == pytest.approx(getattr(slow, name), rel=RELATIVE)


def test_a_polynomial_that_misses_is_not_used(monkeypatch):
    """Negative control: of a degree that is too low, the octave is read by quadrature."""
    monkeypatch.setattr(room, "GOOD", 1e-30)
    assert Reader(rg.activation("tanh"))._fitted(0) is None


def test_kernels_as_small_as_rounding():
    """Where a square of K is nothing beside K, averages are straight lines: the engine says the same."""
    net = rg.MLP.uniform(n_in=8, width=8, depth=30, activation="tanh", C_W=0.1)
    found = leading(net, 1e-6)
    ds = rg.flow(net, first_kernel=1e-6, tensors=["K", "Theta"], order=0)
    assert found.K[-1] < 1e-30
    assert list(found.K) == pytest.approx(ds["K"].values, rel=RELATIVE)


def test_a_flow_that_runs_away_ends_and_says_so():
    found = leading(rg.MLP.uniform(n_in=8, width=8, depth=20, activation="exp", C_W=3.0), 1.0)
    assert 1 < len(found.K) < 20
    assert len(found.K) == len(found.Theta) == len(found.chi_parallel) + 1
    assert f"ends at layer {len(found.K)}" in found.stopped


def test_two_lines_go_on_for_ever():
    """Scale invariance: relu at C_W = 4 doubles K, without any table."""
    found = leading(rg.MLP.uniform(n_in=8, width=8, depth=200, activation="relu", C_W=4.0), 1.0)
    assert list(found.K) == pytest.approx(2.0 ** np.arange(200), rel=1e-12)


def test_refusals():
    with pytest.raises(KinkError, match="jumps"):
        leading(rg.MLP.uniform(n_in=8, width=8, depth=3, activation="sign(z)"), 1.0)
    with pytest.raises(InputError):
        leading(rg.MLP.uniform(n_in=8, width=8, depth=3, activation="tanh", C_b=2.0), 1.0)


def test_control_a_lost_term_is_seen(monkeypatch):
    """Negative control: without the skip of Theta's line the comparison with the engine fails."""
    state = state_of({"layer": "residual", "skip": 0.5, "depth": 4, "width": 16})
    net = state.network()
    whole = room._lines

    def lines(law):
        found = whole(law)
        return found.__class__(found.constants, found.kernel, found.tangent[1:], found.response)

    monkeypatch.setattr(room, "_lines", lines)
    broken = leading(net, 1.0).Theta
    engine = rg.flow(net, first_kernel=1.0, tensors=["K", "Theta"], order=0)["Theta"].values
    assert broken != pytest.approx(engine, rel=1e-3)
