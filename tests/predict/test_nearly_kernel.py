"""Nearly-kernel methods against explicit gradient descent of a quadratic model, and projectors typed by hand."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from rgflow.errors import AccuracyError, DomainWarning, InputError
from rgflow.predict.training.nearly_kernel import nearly_kernel_predict
from rgflow.predict.training.quadratic_model import QuadraticModel

N, S, FEATURES = 3, 5, 4
SMALL = 1e-3
"""epsilon: residuals of order epsilon^2 are 1e-6, of which the next order is some per mille and rounding 1e-9."""


def features(seed=1):
    rng = np.random.default_rng(seed)
    psi = rng.standard_normal((S, FEATURES, FEATURES))
    return rng.standard_normal((S, FEATURES)), psi + psi.transpose(0, 2, 1), rng


PHI, PSI, RNG = features()
Y = RNG.standard_normal((N, 2))
START = RNG.standard_normal((2, FEATURES))
K = PHI @ PHI.T
RATE = 0.7 / np.linalg.eigvalsh(K[:N, :N])[-1]

MILD = 0.01
"""epsilon at which the first order is still said to hold."""


# The witness: loops over weights, nothing shared ----------------------------------------------------------------------


def output(W, s, epsilon):
    return PHI[s] @ W + epsilon / 2 * W @ PSI[s] @ W


def moved(W, s, epsilon):
    """dz/dW."""
    return PHI[s] + epsilon * PSI[s] @ W


def gradient(W, y, epsilon):
    return sum((output(W, s, epsilon) - y[s]) * moved(W, s, epsilon) for s in range(N))


def plain(epsilon, steps, rate=RATE, start=None, y=Y):
    """Outputs (S, 2) and kernels (2, S, S) after so many steps."""
    z, kernels = [], []
    for i in range(2):
        W = np.zeros(FEATURES) if start is None else start[i]
        for _ in range(steps):
            W = W - rate * gradient(W, y[:, i], epsilon)
        z.append([output(W, s, epsilon) for s in range(S)])
        kernels.append([[moved(W, a, epsilon) @ moved(W, b, epsilon) for b in range(S)] for a in range(S)])
    return np.array(z).T, np.array(kernels)


def flowing(epsilon, time, pieces, y=Y):
    """Gradient flow by the classical Runge-Kutta rule: its error is (time/pieces)^4."""
    z = []
    h = time / pieces
    for i in range(2):
        W = np.zeros(FEATURES)
        for _ in range(pieces):
            a = -gradient(W, y[:, i], epsilon)
            b = -gradient(W + h / 2 * a, y[:, i], epsilon)
            c = -gradient(W + h / 2 * b, y[:, i], epsilon)
            W = W + h / 6 * (a + 2 * b + 2 * c - gradient(W + h * c, y[:, i], epsilon))
        z.append([output(W, s, epsilon) for s in range(S)])
    return np.array(z).T


def meta(epsilon, phi=PHI):
    return epsilon * np.array([phi @ PSI[a] @ phi.T for a in range(S)])


ALGORITHMS = {
    "two steps": {"learning_rate": RATE, "steps": 2},
    "nine steps": {"learning_rate": RATE, "steps": 9},
    "converged": {"learning_rate": RATE},
}
STEPS = {"two steps": 2, "nine steps": 9, "converged": 2500}
several = pytest.mark.parametrize("name", ALGORITHMS)


def falls_as_a_square(residual):
    """Whether halving epsilon divides by 4, to the few per mille of the next order."""
    large, small = residual(SMALL), residual(SMALL / 2)
    return abs(np.linalg.norm(large) / np.linalg.norm(small) / 4 - 1) < 0.02


@several
def test_what_is_left_out_falls_as_epsilon_squared(name):
    exact = {e: plain(e, STEPS[name]) for e in (SMALL, SMALL / 2, 0.0)}

    def found(epsilon):
        return nearly_kernel_predict(K, meta(epsilon), Y, **ALGORITHMS[name])

    np.testing.assert_allclose(found(SMALL)["prediction_kernel"].values, exact[0.0][0], rtol=1e-10, atol=1e-12)
    assert falls_as_a_square(lambda e: found(e)["prediction"].values - exact[e][0])
    assert falls_as_a_square(lambda e: (found(e)["kernel"] + found(e)["kernel_shift"]).values - exact[e][1])
    # controls: without the shifts, and with psi's argument in another place of the meta-kernel
    assert not falls_as_a_square(lambda e: found(e)["prediction_kernel"].values - exact[e][0])
    assert not falls_as_a_square(lambda e: found(e)["kernel"].values - exact[e][1])
    turned = meta(1.0) + meta(1.0).transpose(1, 0, 2) + meta(1.0).transpose(1, 2, 0)
    turned = (turned + turned.transpose(0, 2, 1)) / 2
    assert not falls_as_a_square(
        lambda e: nearly_kernel_predict(K, e * turned, Y, **ALGORITHMS[name])["prediction"].values - exact[e][0]
    )


@several
def test_from_other_weights_each_output_has_its_kernel(name):
    """k and mu of effective features; every output starts somewhere."""

    def residual(epsilon):
        model = QuadraticModel(PHI, PSI, epsilon, START)
        found = model.nearly_kernel(Y, learning_rate=RATE * 0.9, steps=ALGORITHMS[name].get("steps"))
        exact = plain(epsilon, STEPS[name], 0.9 * RATE, START)
        return np.concatenate(
            [
                (found["prediction"].values - exact[0]).ravel(),
                (found["kernel"] + found["kernel_shift"]).values.ravel() - exact[1].ravel(),
            ]
        )

    assert falls_as_a_square(residual)


def test_gradient_flow():
    time = 2 / np.linalg.eigvalsh(K[:N, :N])[0]
    exact = {e: flowing(e, time, 4000) for e in (SMALL, SMALL / 2)}
    found = {e: nearly_kernel_predict(K, meta(e), Y, time=time)["prediction"].values for e in exact}
    assert falls_as_a_square(lambda e: found[e] - exact[e])
    # the limit of small steps: the distance falls with the step, by 2 when it is halved
    steps = 4 * int(np.ceil(time / RATE))
    near = [
        nearly_kernel_predict(K, meta(MILD), Y, learning_rate=time / m, steps=m)["prediction_shift"].values
        for m in (64 * steps, 128 * steps)
    ]
    flow = nearly_kernel_predict(K, meta(MILD), Y, time=time)["prediction_shift"].values
    assert np.linalg.norm(near[0] - flow) / np.linalg.norm(near[1] - flow) == pytest.approx(2, rel=0.01)
    late = nearly_kernel_predict(K, meta(MILD), Y, time=60 / np.linalg.eigvalsh(K[:N, :N])[0])
    end = nearly_kernel_predict(K, meta(MILD), Y)
    np.testing.assert_allclose(late["prediction"], end["prediction"], rtol=1e-10)


# Projectors, typed by hand --------------------------------------------------------------------------------------------


def by_projectors(mu, rate, y, Z_A=None, Z_B=None):
    """PDLT's projectors for dNTK at the end of training, from outputs 0; both ends of mu in Z_B, one in Z_A."""
    k = K[:N, :N]
    u, one = np.linalg.inv(k), np.eye(N)
    X_II = np.linalg.inv(np.kron(k, one) + np.kron(one, k) - rate * np.kron(k, k)).reshape((N,) * 4)
    Y_2 = np.einsum("ac,bd->abcd", u, u) - np.einsum("be,aecd->abcd", u, X_II)
    Z_A, Z_B = Y_2 if Z_A is None else Z_A, Y_2 + rate / 2 * X_II if Z_B is None else Z_B
    m = np.einsum("xab,abcd,ci,di->xi", mu[:, :N, :N], Z_B, y, y)
    m += np.einsum("axb,abcd,ci,di->xi", mu[:N, :, :N], Z_A, y, y)
    return m - K[:, :N] @ u @ m[:N]


@pytest.mark.parametrize("rate", [0.1 * RATE, RATE, 2.5 * RATE])
def test_end_of_training_by_projectors(rate):
    mu = meta(MILD)
    found = nearly_kernel_predict(K, mu, Y, learning_rate=rate)["prediction_shift"].values
    np.testing.assert_allclose(found, by_projectors(mu, rate, Y), rtol=1e-9, atol=1e-11)
    assert np.abs(found[:N]).max() < 1e-11  # what is learnt is learnt
    for wrong in (0.5 * rate, 1e-9):  # controls: projectors of another algorithm, a thousand times what is allowed
        assert np.abs(found - by_projectors(mu, wrong, Y)).max() > 1e-6 * np.abs(found).max()
    for projector in ("Z_A", "Z_B"):
        assert (
            np.abs(found - by_projectors(mu, rate, Y, **{projector: np.zeros((N,) * 4)})).max()
            > 1e-3 * np.abs(found).max()
        )


def test_gradient_flow_by_projectors():
    """The same formulas at rate 0."""
    found = nearly_kernel_predict(K, meta(MILD), Y)["prediction_shift"].values
    np.testing.assert_allclose(found, by_projectors(meta(MILD), 0.0, Y), rtol=1e-9, atol=1e-11)


# The model ------------------------------------------------------------------------------------------------------------


def test_model_trains_as_the_plain_loop():
    for start in (None, START):
        model = QuadraticModel(PHI, PSI, 0.02, start)
        for steps in (1, 7, 300):
            z, kernels = plain(0.02, steps, start=start)
            found = model.predict(Y, learning_rate=RATE, steps=steps)
            np.testing.assert_allclose(found["prediction"], z, rtol=1e-11, atol=1e-12)
            np.testing.assert_allclose(found["kernel"] + found["kernel_change"], kernels, rtol=1e-11, atol=1e-11)
            phi = found["features"].values
            np.testing.assert_allclose(phi @ phi.swapaxes(1, 2), kernels, rtol=1e-11, atol=1e-11)


def test_model_learns_and_flows():
    model = QuadraticModel(PHI, PSI, 0.02)
    np.testing.assert_allclose(model.predict(Y, learning_rate=RATE)["prediction"][:N], Y, atol=1e-11)
    np.testing.assert_allclose(model.predict(Y)["prediction"][:N], Y, atol=1e-9)
    time = 2 / np.linalg.eigvalsh(K[:N, :N])[0]
    np.testing.assert_allclose(model.predict(Y, time=time)["prediction"], flowing(0.02, time, 4000), atol=1e-8)


def test_model_has_its_kernels():
    for start in (None, START):
        model = QuadraticModel(PHI, PSI, 0.3, start)
        phis = [
            np.array([moved(W, s, 0.3) for s in range(S)])
            for W in (np.zeros((1, FEATURES)) if start is None else start)[:, :]
        ]
        np.testing.assert_allclose(model.kernel, phis[0] @ phis[0].T if start is None else [p @ p.T for p in phis])
        own = [meta(0.3, phi) for phi in phis]
        np.testing.assert_allclose(model.meta_kernel, own[0] if start is None else own, atol=1e-12)
    np.testing.assert_allclose(model.outputs[2], [output(W, 2, 0.3) for W in START])


def test_one_output_may_be_flat():
    flat = nearly_kernel_predict(K, meta(MILD), Y[:, 0], learning_rate=RATE, start=np.zeros(S))
    both = nearly_kernel_predict(K, meta(MILD), Y, learning_rate=RATE)
    np.testing.assert_allclose(flat["prediction"][:, 0], both["prediction"][:, 0], rtol=1e-14)
    assert flat.attrs["kind"] == "nearly kernel"
    assert flat.attrs["duration"] == "until convergence"


# What is refused ------------------------------------------------------------------------------------------------------

BROKEN = np.where(np.eye(S), np.nan, K)
SKEW = K + np.triu(np.ones((S, S)), 1)
TWICE = K[np.ix_([0, 0, 1, 2, 3], [0, 0, 1, 2, 3])]  # two samples the same


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((K[0], meta(MILD), Y), "give \\(S, S\\)"),
        ((K, meta(MILD)[0], Y), "meta_kernel has shape"),
        ((np.stack([K, K]), meta(MILD), Y), "meta_kernel has shape"),
        ((np.stack([K] * 3), np.stack([meta(MILD)] * 3), Y), "2 outputs"),
        ((BROKEN, meta(MILD), Y), "NaN"),
        ((SKEW, meta(MILD), Y), "kernel is not symmetric"),
        ((-K, meta(MILD), Y), "eigenvalues"),
        ((0 * K, meta(MILD), Y), "eigenvalues"),
        ((K, meta(MILD).transpose(1, 0, 2), Y), "meta_kernel is not symmetric"),
        ((K, meta(MILD), np.ones((S + 1, 1))), "training first"),
        ((K, meta(MILD), Y[None]), "targets has shape"),
        ((K, meta(MILD), "y"), "targets"),
        ((TWICE, 0 * meta(MILD), Y), "singular"),
    ],
)
def test_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        nearly_kernel_predict(*arguments)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"learning_rate": 3 * RATE}, "diverges"),
        ({"learning_rate": -1.0}, "above 0"),
        ({"learning_rate": RATE, "steps": 2.5}, "integer"),
        ({"steps": 5}, "without a learning rate"),
        ({"learning_rate": RATE, "time": 1.0}, "gradient flow"),
        ({"start": np.zeros((S, 3))}, "start 3"),
        ({"start": np.zeros(N)}, "start has shape"),
    ],
)
def test_options_refused(options, words):
    with pytest.raises(InputError, match=words):
        nearly_kernel_predict(K, meta(MILD), Y, **options)


def test_too_many_samples_are_refused_before_memory_is():
    size = 250
    with pytest.raises(InputError, match="GiB"):
        nearly_kernel_predict(np.eye(size), np.zeros((size,) * 3), np.zeros(size), learning_rate=0.1, steps=3)


def test_a_singular_kernel_may_be_trained_for_a_while():
    """Two samples the same, with other targets: both move alike."""
    mu = meta(0.01)[np.ix_([0, 0, 1, 2, 3], [0, 0, 1, 2, 3], [0, 0, 1, 2, 3])]
    found = nearly_kernel_predict(TWICE, mu, Y, learning_rate=RATE / 2, steps=20)["prediction"].values
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


def test_a_large_correction_warns():
    with pytest.warns(DomainWarning, match="first order"):
        found = nearly_kernel_predict(K, meta(20.0), Y, learning_rate=RATE)
    assert not found["trusted"]
    assert nearly_kernel_predict(K, meta(0.001), Y, learning_rate=RATE)["trusted"]


def test_features_that_move_far_warn_even_where_the_first_order_cancels():
    """The first order of the kernel's change happens to be small; what features have moved is not."""
    rng = np.random.default_rng(2)
    phi, psi = rng.standard_normal((6, 8)), rng.standard_normal((6, 8, 8))
    y = rng.standard_normal(3)
    model = QuadraticModel(phi, psi + psi.transpose(0, 2, 1), 0.1)
    rate = 0.5 / np.linalg.eigvalsh(model.kernel[:3, :3])[-1]
    with pytest.warns(DomainWarning, match="the kernel of what is learnt"):
        found = model.nearly_kernel(y, learning_rate=rate)
    exact = model.predict(y, learning_rate=rate)["prediction"].values
    assert np.abs(exact - found["prediction"]).max() > np.abs(found["prediction_shift"]).max()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((PHI[0], PSI, 0.1), "features have shape"),
        ((PHI, PSI[:, 0], 0.1), "meta_features have shape"),
        ((PHI, np.triu(PSI), 0.1), "not symmetric"),
        ((PHI, PSI, np.inf), "epsilon"),
        ((PHI, PSI, True), "epsilon"),
        ((PHI, PSI, 0.1, START.T), "weights have shape"),
        ((np.where(PHI[0, 0] == PHI, np.nan, PHI), PSI, 0.1), "NaN"),
    ],
)
def test_no_model(arguments, words):
    with pytest.raises(InputError, match=words):
        QuadraticModel(*arguments)


def test_training_that_fails_says_so():
    with pytest.raises(AccuracyError, match=r"diverge|converge"):
        QuadraticModel(PHI, PSI, 5.0).predict(30 * Y, learning_rate=RATE)
    with pytest.raises(InputError, match="diverges"):
        QuadraticModel(PHI, PSI, 0.1).predict(Y, learning_rate=3 * RATE)
    with pytest.raises(InputError, match="outputs"):
        QuadraticModel(PHI, PSI, 0.1, START).predict(Y[:, 0])
    with pytest.raises(InputError, match="singular"):
        QuadraticModel(PHI[:, :2], PSI[:, :2, :2], 0.1).predict(Y)


# The derivation -------------------------------------------------------------------------------------------------------


def test_control_another_meta_kernel_is_noticed_by_the_derivation(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "derivations")
    script = runpy.run_path(str(Path(__file__).parents[2] / "derivations" / "nearly_kernel.py"))
    script["duality"](script["MU"], 3)
    for wrong in (script["MU"].transpose(1, 0, 2), 2 * script["MU"]):
        with pytest.raises(AssertionError, match="after"):
            script["duality"](wrong, 3)
