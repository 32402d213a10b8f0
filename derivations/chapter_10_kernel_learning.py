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

import numpy as np

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


if __name__ == "__main__":
    print(rg.derive("Theta", samples="many"))
    only_the_last_layer()
    all_layers()
    stability()
