"""A model that is quadratic in its weights, and its training without any expansion."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, log
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import AccuracyError, InputError
from rgflow.network.inputs import finite
from rgflow.predict.training.clock import Clock, algorithm
from rgflow.predict.training.kernel_problem import ROUNDING, outputs_of
from rgflow.predict.training.nearly_kernel import attributes, nearly_kernel_predict

if TYPE_CHECKING:
    import xarray

Floats = NDArray[np.float64]
LEARNT = 1e-13  # of the largest error at the start: rounding
ENOUGH = 1e-9  # what may be left of it after a training until convergence
LONGEST = 10**6  # steps of gradient descent, or of its flow in units of 1/largest eigenvalue


@dataclass(frozen=True, init=False, eq=False)
class QuadraticModel:
    r"""A model that is quadratic in its weights.

    .. math:: z_i(x) = \sum_j W_{ij}\, \phi_j(x) + \frac{\epsilon}{2} \sum_{jk} W_{ij} W_{ik}\, \psi_{jk}(x)

    Parameters
    ----------
    features : array (S, n_f)
        phi_j at S samples, training samples first.
    meta_features : array (S, n_f, n_f)
        The meta feature functions psi_jk at the samples, symmetric.
    epsilon : float
    weights : array (n_out, n_f), optional
        W before training; 0 if not given. (n_f,) for one output.

    Raises InputError for shapes, values that are not finite and meta features that are not symmetric.

    >>> x = np.array([-1.0, 1.0, 0.5])
    >>> phi, psi = np.stack([np.ones(3), x], axis=1), np.einsum("s,jk->sjk", x**2, np.eye(2))
    >>> model = QuadraticModel(phi, psi, epsilon=0.1)
    >>> exact = model.predict([0.0, 1.0], learning_rate=0.2)  # the first two samples are learnt
    >>> first_order = model.nearly_kernel([0.0, 1.0], learning_rate=0.2)
    >>> [round(float(ds["prediction"][2, 0]), 4) for ds in (exact, first_order)]
    [0.7321, 0.7312]
    """

    features: Floats
    meta_features: Floats
    epsilon: float
    weights: Floats | None

    def __init__(self, features: Any, meta_features: Any, epsilon: float, weights: Any = None):
        phi, psi = finite("features", features), finite("meta_features", meta_features)
        if phi.ndim != 2:
            raise InputError(f"features have shape {phi.shape}; give (samples, n_f)")
        if psi.shape != (*phi.shape, phi.shape[1]):
            raise InputError(
                f"meta_features have shape {psi.shape}; with these features give {(*phi.shape, phi.shape[1])}"
            )
        if np.abs(psi - psi.transpose(0, 2, 1)).max() > ROUNDING * np.abs(psi).max():
            raise InputError("meta_features are not symmetric; only (psi + psi^T)/2 acts, give that")
        if isinstance(epsilon, bool) or not isinstance(epsilon, Real) or not isfinite(epsilon):
            raise InputError(f"epsilon is {epsilon!r}; it must be a finite number")
        W = None if weights is None else finite("weights", weights)
        W = W[None, :] if W is not None and W.ndim == 1 else W
        if W is not None and (W.ndim != 2 or W.shape[1] != phi.shape[1]):
            raise InputError(f"weights have shape {np.shape(weights)}; give (n_out, {phi.shape[1]})")
        for name, value in (("features", phi), ("meta_features", psi), ("epsilon", float(epsilon)), ("weights", W)):
            object.__setattr__(self, name, value)

    def effective_features(self, weights: Any = None) -> Floats:
        """phi^E_j = phi_j + epsilon sum_k W_ik psi_kj, (n_out, S, n_f): dz_i/dW_ij. (S, n_f) for weights 0."""
        W = self.weights if weights is None else np.asarray(weights, np.float64)
        return (
            self.features
            if W is None
            else self.features + self.epsilon * np.einsum("ik,skj->isj", W, self.meta_features)
        )

    @property
    def kernel(self) -> Floats:
        """k = sum phi^E phi^E before training: (S, S), or (n_out, S, S) if weights were given."""
        phi = self.effective_features()
        return np.asarray(phi @ phi.swapaxes(-1, -2))

    @property
    def meta_kernel(self) -> Floats:
        """mu_{a bc} = epsilon sum psi_jk(a) phi^E_j(b) phi^E_k(c): (S, S, S), or (n_out, S, S, S)."""
        phi = self.effective_features()
        return self.epsilon * np.asarray(
            np.einsum("ajk,...bj,...ck->...abc", self.meta_features, phi, phi, optimize="greedy")
        )

    @property
    def outputs(self) -> Floats | None:
        """z before training, (S, n_out); None for weights 0."""
        return None if self.weights is None else self._outputs(self.weights, self.effective_features())

    def nearly_kernel(
        self, targets: Any, *, learning_rate: float | None = None, steps: int | None = None, time: float | None = None
    ) -> xarray.Dataset:
        """The prediction to first order in epsilon: :func:`nearly_kernel_predict` of this model."""
        return nearly_kernel_predict(
            self.kernel,
            self.meta_kernel,
            targets,
            learning_rate=learning_rate,
            steps=steps,
            time=time,
            start=self.outputs,
        )

    def predict(
        self, targets: Any, *, learning_rate: float | None = None, steps: int | None = None, time: float | None = None
    ) -> xarray.Dataset:
        """Train the weights, without any expansion in epsilon.

        Targets and algorithm are those of :func:`nearly_kernel_predict`. Variables: ``prediction`` (sample, output);
        ``kernel`` and ``kernel_change`` (output, sample, other_sample), before training and by it; ``features``
        (output, sample, feature) and ``weights`` (output, feature) at the end.

        Raises InputError as there; AccuracyError if training diverges, or does not converge.
        """
        y = outputs_of("targets", targets)
        if len(y) > len(self.features):
            raise InputError(f"targets are of {len(y)} training samples, but features of {len(self.features)}")
        W = np.zeros((y.shape[1], self.features.shape[1])) if self.weights is None else self.weights
        if len(W) != y.shape[1]:
            raise InputError(f"targets have {y.shape[1]} outputs, weights {len(W)}")
        clock = algorithm(learning_rate, steps, time)
        before = self.effective_features(W)
        kernel = before @ before.swapaxes(1, 2)
        values: Floats = np.asarray(np.linalg.eigvalsh(kernel[:, : len(y), : len(y)]), np.float64)
        for own in values:
            clock.check(own, 0.0, "kernel of the training samples")
        trained = self._descend(W, y, clock, values) if clock.step is not None else self._flow(W, y, clock, values)
        if clock.end == inf:
            self._learnt(W, trained, y)
        return self._dataset(trained, kernel, clock)

    def _outputs(self, W: Floats, phi: Floats) -> Floats:
        """z of all samples: (W phi + W phi^E)/2."""
        return np.asarray((np.einsum("ij,isj->si", W, phi) + self.features @ W.T) / 2)

    def _pull(self, W: Floats, y: Floats) -> tuple[Floats, Floats]:
        """The errors on the training samples, and the gradient of the loss."""
        N = len(y)
        phi = self.features[:N] + self.epsilon * np.einsum("ik,skj->isj", W, self.meta_features[:N])
        error = (np.einsum("ij,isj->si", W, phi) + self.features[:N] @ W.T) / 2 - y
        return error, np.einsum("si,isj->ij", error, phi)

    def _descend(self, W: Floats, y: Floats, clock: Clock, values: Floats) -> Floats:
        assert clock.step is not None
        first = np.abs(self._pull(W, y)[0]).max()
        steps = clock.end if clock.end < inf else _until(np.abs(1 - clock.step * values).max())
        with np.errstate(over="ignore", invalid="ignore"):
            for step in range(int(min(steps, LONGEST))):
                error, gradient = self._pull(W, y)
                size = np.abs(error).max()
                if not size <= first / LEARNT:
                    raise AccuracyError(
                        f"training diverges within {step} steps: the kernel grows as features move; take a smaller "
                        "learning_rate or epsilon"
                    )
                if clock.end == inf and size <= LEARNT * first:
                    break
                W = W - clock.step * gradient
        if clock.end != inf and clock.end > LONGEST:
            raise AccuracyError(f"{clock.end:g} steps are more than {LONGEST}")
        return W

    def _flow(self, W: Floats, y: Floats, clock: Clock, values: Floats) -> Floats:
        from scipy.integrate import solve_ivp

        end = clock.end if clock.end < inf else 2 * log(1 / LEARNT) / values.min()
        if end * values.max() > LONGEST:
            raise AccuracyError(f"gradient flow to time {end:g} is long for a kernel of eigenvalue {values.max():g}")
        scale = max(float(np.abs(W).max()), float(np.abs(y).max()) / float(np.sqrt(values.max())), 1e-300)

        def change(_: float, w: Floats) -> Floats:
            return -self._pull(w.reshape(W.shape), y)[1].ravel()

        done = solve_ivp(change, (0.0, end), W.ravel(), "DOP853", t_eval=[end], rtol=1e-11, atol=1e-13 * scale)
        if not done.success:
            raise AccuracyError(f"gradient flow fails: {done.message}")
        return np.asarray(done.y[:, -1]).reshape(W.shape)

    def _learnt(self, W: Floats, trained: Floats, y: Floats) -> None:
        first, last = (float(np.abs(self._pull(w, y)[0]).max()) for w in (W, trained))
        if not last <= ENOUGH * first:
            raise AccuracyError(
                f"training does not converge: {last / first:.3g} of the error is left; give steps= or time=, or a "
                "smaller epsilon"
            )

    def _dataset(self, W: Floats, kernel: Floats, clock: Clock) -> xarray.Dataset:
        import xarray

        phi = self.effective_features(W)
        square = ("output", "sample", "other_sample")
        return xarray.Dataset(
            {
                "prediction": (("sample", "output"), self._outputs(W, phi)),
                "kernel": (square, kernel),
                "kernel_change": (square, phi @ phi.swapaxes(1, 2) - kernel),
                "features": (("output", "sample", "feature"), phi),
                "weights": (("output", "feature"), W),
            },
            attrs={**attributes(clock), "kind": "quadratic model"},
        )


def _until(slowest: float) -> float:
    """Steps until rounding, twice as many as with a fixed kernel."""
    return 100 + 2 * log(LEARNT) / log(slowest) if slowest > 0 else 100.0
