r"""PDLT chapter 10: infinitely wide networks that learn: gradient descent, and when it is Bayesian inference.

Assumptions: infinite width, so that the tangent kernel stays where it was (chapter 11 is about what it does at 1/n);
mean squared error; training inputs A with targets y, one test input B.

The way. With a frozen tangent kernel Theta a step of gradient descent moves every output by -eta Theta (z_A - y), hence

    z_A(T) - y = (1 - eta Theta_AA)^T (z_A - y),
    z_B(T) = z_B - Theta_BA Theta_AA^-1 (1 - (1 - eta Theta_AA)^T) (z_A - y),

which converges if eta < 2/(largest eigenvalue of Theta_AA). Averaged over initial networks (mean 0, covariance K):

    mean        M y,                                                  M = Theta_BA Theta_AA^-1
    covariance  K_BB - M K_AB - K_BA M^T + M K_AA M^T

while the posterior of Bayes has the mean K_BA K_AA^-1 y and the covariance K_BB - K_BA K_AA^-1 K_AB. The two agree if
Theta = K: when only the last layer learns, with lambda_b = C_b and lambda_W = C_W. For then Theta' = lambda_b +
lambda_W <s s> + C_W Theta <s's'> = C_b + C_W <s s> = K', because Theta = 0 below.

Engine: rg.derive("Theta", samples="many"), rg.flow for K and Theta of three inputs.

Source: PDLT chapter 10 (equation numbers not seen). The covariance at the end of training is compared with many initial
outputs that are trained step by step; nothing here knows of finite width.
"""

import warnings
from functools import cache

import numpy as np
import sympy as sp
from rows import row

import rgflow as rg

INPUTS = np.array([[1.0, 0.5], [-0.6, 1.2], [0.9, -0.8]])  # two to train on, one to test
TARGETS = np.array([1.2, -0.7])
A, B = slice(0, 2), slice(2, 3)
C_b, C_W = 0.2, 1.2


def kernels(lambda_b: list[float] | float, lambda_W: list[float] | float) -> tuple[np.ndarray, np.ndarray]:
    """K and Theta of the last of three layers of a sin network."""
    net = rg.MLP.uniform(
        n_in=2, width=1, depth=3, activation="sin", C_b=C_b, C_W=C_W, lambda_b=lambda_b, lambda_W=lambda_W
    )
    ds = rg.flow(net, INPUTS, tensors=["K", "Theta"], order=0)
    return ds["K"].values[-1], ds["Theta"].values[-1]


def trained(theta: np.ndarray, start: np.ndarray, eta: float, steps: int) -> np.ndarray:
    """Outputs (..., 3) after so many steps of gradient descent, one after the other."""
    z = start
    for _ in range(steps):
        z = z - eta * (z[..., A] - TARGETS) @ theta[:, A].T
    return z


def closed_form(theta: np.ndarray, start: np.ndarray, eta: float, steps: int) -> np.ndarray:
    """The formula above, for training and test inputs alike."""
    inverse = np.linalg.inv(theta[A, A])
    decay = np.linalg.matrix_power(np.eye(2) - eta * theta[A, A], steps)
    return start - (theta[:, A] @ inverse @ (np.eye(2) - decay) @ (start[A] - TARGETS))


def only_the_last_layer() -> None:
    K, theta = kernels([0, 0, C_b], [0, 0, C_W])
    np.testing.assert_allclose(theta, K, rtol=1e-13)
    inverse = np.linalg.inv(K[A, A])
    bayes = K[B, A] @ inverse @ TARGETS, K[B, B] - K[B, A] @ inverse @ K[A, B]
    mean, covariance = end_of_training(K, theta)
    np.testing.assert_allclose(mean, bayes[0], rtol=1e-12)
    np.testing.assert_allclose(covariance, bayes[1], rtol=1e-12)
    print(f"last layer alone, lambda = C: Theta equal to K; posterior {bayes[0][0]:.6f} +- {bayes[1][0, 0] ** 0.5:.6f}")


def end_of_training(K: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    push = theta[B, A] @ np.linalg.inv(theta[A, A])
    covariance = K[B, B] - push @ K[A, B] - K[B, A] @ push.T + push @ K[A, A] @ push.T
    return push @ TARGETS, covariance


def all_layers() -> None:
    """Every layer learns, with rates of its own: another mean, another covariance, and no posterior."""
    K, theta = kernels(0.3, 0.5)
    eta = 0.5 / np.linalg.eigvalsh(theta[A, A]).max()
    start = np.array([0.3, -0.2, 0.5])
    for steps in (1, 7, 60):
        np.testing.assert_allclose(
            trained(theta, start, eta, steps), closed_form(theta, start, eta, steps), rtol=1e-12, atol=1e-14
        )
    mean, covariance = end_of_training(K, theta)
    np.testing.assert_allclose(mean, 0.89655833, rtol=1e-8)  # computed apart from this package
    drawn = np.random.default_rng(0).multivariate_normal(np.zeros(3), K, size=20_000)
    left = trained(theta, drawn, eta, 400)
    np.testing.assert_allclose(left[:, A], np.broadcast_to(TARGETS, (len(drawn), 2)), atol=1e-6)
    error = np.sqrt(covariance[0, 0] / len(drawn))
    assert abs(left[:, 2].mean() - mean[0]) < 4 * error
    assert abs(left[:, 2].var() / covariance[0, 0] - 1) < 4 * np.sqrt(2 / len(drawn))
    posterior = K[B, A] @ np.linalg.inv(K[A, A]) @ TARGETS
    assert abs(posterior - mean)[0] > 0.01
    print(f"all layers: equal to the steps of gradient descent; mean {mean[0]:.6f}, Bayes {posterior[0]:.6f}")


def stability() -> None:
    """eta below and above 2/(largest eigenvalue)."""
    _, theta = kernels(0.3, 0.5)
    limit = 2 / np.linalg.eigvalsh(theta[A, A]).max()
    start = np.zeros(3)
    below, above = (np.abs(trained(theta, start, x * limit, 3000)[A] - TARGETS).max() for x in (0.99, 1.01))
    assert below < 1e-6 < 1 < above
    print(f"stable up to eta = {limit:.6f}: equal to 2/(largest eigenvalue)")


# Rows of the book ----------------------------------------------------------------------------------------------------

WITNESS = "tests/oracles/test_oracle_training.py: gradient descent step by step"
BAYES = "tests/predict/test_posterior.py: importance averages over sampled networks"
TASK = {"train": (INPUTS[A], TARGETS), "test": INPUTS[B]}


@cache
def problem():
    """A network, its kernels, and a step of a quarter of the largest stable one."""
    net = rg.MLP([2, 50, 50, 1], "sin", C_b=C_b, C_W=C_W, lambda_b=0.3, lambda_W=0.5)
    K, theta = kernels(0.3, 0.5)
    return net, K, theta, 0.5 / np.linalg.eigvalsh(theta[A, A]).max()


@cache
def posterior():
    return rg.posterior(problem()[0], **TASK, noise=0.05)


@row("pdlt/bayes_mean", witness=BAYES)
def bayes_mean():
    _, K, _, _ = problem()
    inverse = np.linalg.inv(K[A, A] + 0.05 * np.eye(2))
    typed = K[B, A] @ inverse @ TARGETS
    found = posterior()["mean_infinite"].values.ravel()
    np.testing.assert_allclose(found, typed, rtol=1e-11)
    return {"posterior mean": found[0]}


@row("pdlt/bayes_covariance", witness=BAYES)
def bayes_covariance():
    _, K, _, _ = problem()
    inverse = np.linalg.inv(K[A, A] + 0.05 * np.eye(2))
    typed = K[B, B] - K[B, A] @ inverse @ K[A, B]
    found = np.ravel(posterior()["covariance_infinite"].values)
    np.testing.assert_allclose(found, typed.ravel(), rtol=1e-10)
    return {"posterior variance": found[0]}


@row("pdlt/bayes_evidence", witness=BAYES)
def bayes_evidence():
    """Its logarithm, for one output."""
    _, K, _, _ = problem()
    noisy = K[A, A] + 0.05 * np.eye(2)
    typed = -np.linalg.slogdet(2 * np.pi * noisy)[1] / 2 - TARGETS @ np.linalg.inv(noisy) @ TARGETS / 2
    found = float(posterior()["log_evidence_infinite"])
    np.testing.assert_allclose(found, typed, rtol=1e-11)
    return {"log evidence": found}


@row("pdlt/gradient_descent_dynamics", witness=WITNESS)
def gradient_descent_dynamics():
    """The mean over networks of what is affine in z: its start is 0 on average."""
    net, _, H, eta = problem()
    steps, inverse, one = 7, np.linalg.inv(H[A, A]), np.eye(2)
    start = np.array([0.3, -0.2, 0.5])
    decay = np.linalg.matrix_power(one - eta * H[A, A], steps)

    def typed(z):
        return z - H[:, A] @ inverse @ (one - decay) @ (z[A] - TARGETS)

    np.testing.assert_allclose(trained(H, start, eta, steps), typed(start), rtol=1e-12)
    ds = rg.trained(net, **TASK, learning_rate=eta, steps=steps)
    np.testing.assert_allclose(ds["mean_infinite"].values.ravel(), typed(np.zeros(3))[B], rtol=1e-9)
    return {"mean after 7 steps": float(ds["mean_infinite"].values.ravel()[0])}


@cache
def to_the_end():
    net, _, _, eta = problem()
    return rg.trained(net, **TASK, learning_rate=eta)


@row("pdlt/gradient_descent_mean", witness=WITNESS)
def gradient_descent_mean():
    _, _, H, _ = problem()
    typed = H[B, A] @ np.linalg.inv(H[A, A]) @ TARGETS
    found = to_the_end()["mean_infinite"].values.ravel()
    np.testing.assert_allclose(found, typed, rtol=1e-9)
    return {"mean": found[0]}


@row("pdlt/gradient_descent_covariance", witness=WITNESS)
def gradient_descent_covariance():
    _, K, H, _ = problem()
    push = H[B, A] @ np.linalg.inv(H[A, A])
    typed = K[B, B] - push @ K[A, B] - K[B, A] @ push.T + push @ K[A, A] @ push.T
    found = to_the_end()["covariance_infinite"].values.ravel()
    np.testing.assert_allclose(found, typed.ravel(), rtol=1e-9)
    return {"variance": found[0]}


@row("pdlt/last_layer_is_bayes", witness=BAYES)
def last_layer_is_bayes():
    """The rates of the last layer, as multiples of its C_b and C_W; none below."""
    typed_rates = [0, 0, 1]
    K, theta = kernels([C_b * x for x in typed_rates], [C_W * x for x in typed_rates])
    np.testing.assert_allclose(theta, K, rtol=1e-12)
    return {"Theta/K": theta[0, 0] / K[0, 0]}


@row("pdlt/step_stability", witness=WITNESS)
def step_stability():
    """Just below the typed limit steps converge, just above they do not; the engine refuses those beyond it."""
    wide = rg.MLP([2, 10**6, 10**6, 1], "sin", C_b=C_b, C_W=C_W, lambda_b=0.3, lambda_W=0.5)
    _, _, theta, _ = problem()
    typed = 2 / np.linalg.eigvalsh(theta[A, A]).max()
    below, above = (np.abs(trained(theta, np.zeros(3), x * typed, 3000)[A] - TARGETS).max() for x in (0.99, 1.01))
    assert below < 1e-6 < 1 < above
    doubts = []
    for x in (0.95, 1.05):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                rg.trained(wide, **TASK, learning_rate=x * typed)
            doubts.append(False)
        except (rg.RgflowError, rg.DomainWarning):
            doubts.append(True)
    assert doubts == [False, True]
    return {"half of the largest eigenvalue": 1 / typed, "left after steps of 0.99 and 1.01": (below, above)}


@row("pdlt/bias_variance", witness=WITNESS)
def bias_variance():
    """Mean and variance of the engine; the error of outputs that are trained step by step, affine in initial ones."""
    net, K, theta, eta = problem()
    y = 0.4
    root = np.linalg.cholesky(K)
    corners = np.array([s * np.sqrt(3) * root[:, i] for i in range(3) for s in (1, -1)])  # mean 0, covariance K
    ends = trained(theta, corners, eta, 60)[:, 2]
    ds = rg.trained(net, **TASK, learning_rate=eta, steps=60)
    mean, variance = (float(ds[f"{name}_infinite"].values.ravel()[0]) for name in ("mean", "covariance"))
    typed = (mean - y) ** 2 + variance
    np.testing.assert_allclose(((ends - y) ** 2).mean(), typed, rtol=1e-9)
    return {"bias squared": (mean - y) ** 2, "variance": variance}


@row("pdlt/linear_model_duality", witness="tests/predict/test_nearly_kernel.py: descent in the weights")
def linear_model_duality():
    """In fractions: the weights that descend from 0, on the features of a test input, are the kernel's prediction."""
    phi = sp.Matrix([[1, sp.Rational(1, 2), 0], [1, sp.Rational(-1, 3), 2], [sp.Rational(1, 2), 1, 1]])
    y, train, test = sp.Matrix([sp.Rational(6, 5), sp.Rational(-7, 10)]), phi[:2, :], phi[2, :]
    k = phi * phi.T
    typed = (k[2, :2] * k[:2, :2].inv() * y)[0]
    weights = train.pinv() * y  # where descent from 0 ends: the solution within the span of the features
    assert (test * weights)[0] == typed
    none = np.zeros((3, 3, 3))
    found = rg.nearly_kernel_predict(np.array(k, float), none, np.array(y, float).ravel(), learning_rate=0.1)
    np.testing.assert_allclose(found["prediction_kernel"].values[2, 0], float(typed), rtol=1e-10)
    return {"prediction": (test * weights)[0]}


if __name__ == "__main__":
    print(rg.derive("Theta", samples="many"))
    only_the_last_layer()
    all_layers()
    stability()
