"""Control variates: exact moments of what is taken away, and that taking it away does not move anything."""

import numpy as np
import pytest

from rgflow.network import MLP
from rgflow.sampling import controls, sample
from rgflow.sampling.controls import Monomials


@pytest.mark.parametrize(
    ("inputs", "parity", "tolerance"),
    [(1, 0, 1e-10), (1, 1, 1e-10), (2, 0, 1e-5), (2, -1, 1e-5), (3, 1, 1e-5), (5, 0, 1e-12), (5, 1, 1e-12)],
)
def test_moments_of_monomials(inputs, parity, tolerance):
    """Gauss-Hermite products: exact for plain monomials, and for damped ones with an error that falls geometrically."""
    points, weights = np.polynomial.hermite_e.hermegauss(60 if inputs == 1 else 24 if inputs < 4 else 5)
    grid = np.stack(np.meshgrid(*[points] * inputs, indexing="ij")).reshape(inputs, -1)
    mass = np.prod(np.stack(np.meshgrid(*[weights / weights.sum()] * inputs, indexing="ij")), axis=0).ravel()
    kinds = Monomials.of(inputs, parity)
    # One neuron a network: what is averaged over neurons is the function itself.
    values = kinds.centred(grid.T[:, :, None])
    scale = np.sqrt(np.diag(kinds.covariance))
    np.testing.assert_allclose(mass @ values / scale, 0.0, atol=tolerance)
    found = values.T * mass @ values
    np.testing.assert_allclose(
        found / np.outer(scale, scale), kinds.covariance / np.outer(scale, scale), atol=tolerance
    )
    assert not parity or all(sum(e) % 2 == 0 for e, _ in kinds.exponents)


NET = MLP([2, 20, 16, 24, 1], "tanh", C_b=0.1, C_W=1.6)
X = np.array([[0.9, -0.6], [0.3, 1.2]])
NAMES = ("K", "Theta", "V", "D", "A")


@pytest.fixture(scope="module")
def plain():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controls, "_SHARE", 10**9)
        return sample(NET, X, tensors=NAMES, networks=6_000, seed=41)


def apart(one, other):
    return max(
        float(np.max(np.abs(one[n] - other[n]).values[1:] / np.hypot(one[f"{n}_se"], other[f"{n}_se"]).values[1:]))
        for n in NAMES
    )


def test_they_change_errors_and_nothing_else(plain):
    fine = sample(NET, X, tensors=NAMES, networks=6_000, seed=42)
    assert apart(fine, plain) < 4.6
    for name in NAMES:
        gain = (plain[f"{name}_se"] / fine[f"{name}_se"]).values[1:]
        assert np.median(gain) > (1.8 if name in ("K", "Theta") else 1.3), name


def test_control_a_wrong_covariance_is_noticed(plain, monkeypatch):
    """Forgetting what is exactly known leaves V far too small."""
    learned = controls.learned

    def forgetful(*arguments):
        right = learned(*arguments)
        return controls.Controls(right.kinds, right.within, right.across, 0.9 * right.covariance)

    monkeypatch.setattr("rgflow.sampling.weightless.learned", forgetful)
    assert apart(sample(NET, X, tensors=NAMES, networks=6_000, seed=42), plain) > 5
