"""Trained finite networks against training at order 1/n: mean and covariance of predictions, and the NTK afterwards.

    python benchmarks/trained_ensembles.py [benchmarks/results/trained_ensembles.json]

Networks of widths 32, 64, 128 and 256 are trained to convergence by ``tests/oracles/trained_networks.py`` (NumPy alone,
ignorant of the theory); the theory is that of ``tests/oracles/discrete_training.py`` on tensors of ``rg.flow``. Each
quantity is fitted as ``tests/real_networks.py`` does: sampled - theory = a / n^2 with one amplitude for all widths,
while theory at infinite width must be off by many standard errors. Seeds, widths to 128 and numbers of networks were
fixed before looking. Width 256 and a second amplitude, a / n^2 + b / n^3, for the NTK alone, came after: its entries
between training samples are off by a third at n = 32, which one amplitude cannot tell from the next order.

    kernel           networks with their kernel frozen at initialisation: mean and fluctuation of the NTK
    representation   what training in earnest adds to them: dNTK and ddNTKs
    total            both
    ntk              E[H(end) - H(start)]
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import rgflow as rg

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from oracles import discrete_training, trained_networks
from real_networks import Comparison, family_p_value

SEED = 20261122
LETTERS = ("K", "Theta", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U")
KERNEL = ("prior", "NTK mean", "NTK with prior", "NTK fluctuation")
STEPS = 400
"""Enough to converge at these rates: what is left is below 1e-12."""


def digits() -> np.ndarray:
    """Four images of handwritten digits, about the mean image, of unit size: three to learn from and one to predict."""
    from sklearn.datasets import load_digits

    images = load_digits().data
    chosen = images[:4] - images.mean(axis=0)
    return trained_networks.coordinates(chosen / np.sqrt((chosen**2).mean(axis=1, keepdims=True)))


def three_points() -> np.ndarray:
    """Two inputs to learn from and one to predict."""
    return np.array([[1.0, 0.5], [-0.6, 1.2], [0.9, -0.8]])


@dataclass(frozen=True)
class Ensemble:
    """Networks with ``hidden`` layers of each width: what they learn, how many are trained and how many frozen."""

    name: str
    sigma: str
    hidden: int
    inputs: Callable[[], np.ndarray]
    targets: tuple[tuple[float, ...], ...]
    trained: tuple[int, ...]
    frozen: tuple[int, ...]
    seed: int
    values: dict[str, float] = field(default_factory=lambda: {"C_b": 0.1, "C_W": 1.5, "lambda_b": 0.2, "lambda_W": 1.0})
    widths: tuple[int, ...] = (32, 64, 128, 256)
    share: float = 0.4

    @cached_property
    def x(self) -> np.ndarray:
        """All inputs, training first."""
        return self.inputs()

    @property
    def y(self) -> np.ndarray:
        """Targets, (N, outputs)."""
        return np.array(self.targets)

    def shape(self, n: int) -> tuple[int, ...]:
        """Widths n_0 .. n_L."""
        return (self.x.shape[1], *[n] * self.hidden, self.y.shape[1])

    def network(self, n: int) -> rg.MLP:
        """As rgflow has it."""
        return rg.MLP(list(self.shape(n)), self.sigma, **self.values)

    @cached_property
    def tensors(self) -> dict[str, np.ndarray]:
        """Coefficients at the last layer; with equal widths they depend on none."""
        ds = rg.flow(self.network(self.widths[0]), inputs=self.x, tensors=list(LETTERS), order=1)
        return {name: ds[name].values[-1] for name in (*LETTERS, "K_1", "Theta_1")}

    @property
    def rate(self) -> float:
        """eta, a share of 1 / lambda_max(Theta) on the training inputs."""
        N = len(self.targets)
        return self.share / float(np.linalg.eigvalsh(self.tensors["Theta"][:N, :N])[-1])

    def theory(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Each quantity at infinite width, and n times its shift at order 1/n."""
        arguments = (self.tensors, self.y, 1, len(self.y), self.rate, STEPS)
        found = {}
        pairs = {"mean": discrete_training.mean_parts, "covariance": discrete_training.covariance_parts}
        for quantity, parts_of in pairs.items():
            infinite, parts = parts_of(*arguments)
            if quantity == "covariance":  # (sample, sample_, output, output_) -> flat (output * samples + sample) twice
                order = (2, 0, 3, 1)
                size = len(self.x) - len(self.y)
                flat = (self.y.shape[1] * size,) * 2
                infinite = infinite.transpose(order).reshape(flat)
                parts = {name: part.transpose(order).reshape(flat) for name, part in parts.items()}
            else:
                infinite, parts = infinite.T.ravel(), {name: part.T.ravel() for name, part in parts.items()}
            none = np.zeros_like(infinite)
            kernel = sum((part for name, part in parts.items() if name in KERNEL), none)
            representation = sum((part for name, part in parts.items() if name not in KERNEL), none)
            found[f"kernel {quantity}"] = (infinite, kernel)
            found[f"representation {quantity}"] = (none, representation)
            found[f"total {quantity}"] = (infinite, kernel + representation)
        change = discrete_training.ntk_change(*arguments).transpose(2, 0, 3, 1)
        change = change.reshape((change.shape[0] * change.shape[1],) * 2)
        found["ntk"] = (np.zeros_like(change), change)
        return found

    def sample(self, i: int, report: Callable[[str], None]) -> dict[str, trained_networks.Measured]:
        """Measure at the i-th width."""
        n = self.widths[i]
        task = trained_networks.Training(
            self.shape(n), self.sigma, inputs=self.x, targets=self.y, rate=self.rate, **self.values
        )
        seeds = np.random.SeedSequence([SEED, self.seed, n]).spawn(2)
        N = len(self.y)
        theta = self.tensors["Theta"]
        about = np.kron(np.eye(self.y.shape[1]), theta[N:, :N] @ np.linalg.inv(theta[:N, :N]))
        start = time.perf_counter()
        kernel = trained_networks.frozen(task, self.frozen[i], seeds[0], about)
        report(f"{self.name}, n = {n}: {self.frozen[i]} frozen networks, {time.perf_counter() - start:.0f} s")
        start = time.perf_counter()
        change = trained_networks.trained(task, self.trained[i], seeds[1], report=report)
        report(f"{self.name}, n = {n}: {time.perf_counter() - start:.0f} s")
        found = {"ntk": change["ntk_change"]}
        for quantity in ("mean", "covariance"):
            found[f"kernel {quantity}"] = kernel[quantity]
            found[f"representation {quantity}"] = change[quantity]
            found[f"total {quantity}"] = kernel[quantity] + change[quantity]
            found[f"trained {quantity}"] = change[f"{quantity}_alone"]
        return found

    def components(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """What is compared: every mean, variances and covariances of the first test sample, some entries of the NTK."""
        outputs, size = self.y.shape[1], len(self.x)
        test = size - len(self.y)
        for part in ("kernel", "representation", "total"):
            for i in range(outputs):
                yield f"{part} mean", (i * test,)
                for j in range(i, outputs):
                    yield f"{part} covariance", (i * test, j * test)
        yield "ntk", (0, 0)
        yield "ntk", (0, size - 1)
        yield "ntk", (size - 1, size - 1)
        if outputs > 1:
            yield "ntk", (1, size + 1)


FULL = (
    Ensemble(
        "sin, one hidden layer",
        "sin",
        1,
        three_points,
        ((1.2,), (-0.7,)),
        trained=(60_000, 60_000, 40_000, 30_000),
        frozen=(300_000, 300_000, 200_000, 100_000),
        seed=21,
        values={"C_b": 0.2, "C_W": 1.2, "lambda_b": 0.3, "lambda_W": 0.5},
    ),
    Ensemble(
        "tanh, two hidden layers",
        "tanh",
        2,
        digits,
        ((1.0, -0.5), (-1.0, 1.0), (0.5, 1.0)),
        trained=(24_000, 20_000, 12_000, 8_000),
        frozen=(200_000, 200_000, 100_000, 40_000),
        seed=23,
    ),
    Ensemble(
        "tanh, three hidden layers",
        "tanh",
        3,
        digits,
        ((1.0, -0.5), (-1.0, 1.0), (0.5, 1.0)),
        trained=(12_000, 12_000, 6_000, 4_000),
        frozen=(100_000, 100_000, 60_000, 20_000),
        seed=25,
    ),
)


@dataclass
class Shifted(Comparison):
    """A comparison with one amplitude, a / n^2, or two, a / n^2 + b / n^3."""

    amplitudes: int = 1

    def fit(self) -> None:
        """With two amplitudes the slope says nothing, and is left out."""
        super().fit()
        if self.amplitudes == 2:
            n = np.array(self.widths, float)
            s = np.array(self.standard_error)
            y = np.subtract(self.sampled, self.theory) / s
            shapes = np.stack([n**-2 / s, n**-3 / s], axis=1)
            left = y - shapes @ np.linalg.lstsq(shapes, y, rcond=None)[0]
            self.chi_squared = float(left @ left)
            self.p_value = float(stats.chi2.sf(self.chi_squared, len(n) - 2))
            self.slope = self.slope_error = None


def compare(
    ensemble: Ensemble, measured: list[dict[str, Any]], theory: dict[str, tuple[np.ndarray, np.ndarray]] | None = None
) -> list[Shifted]:
    """Fit every component; ``measured`` holds {quantity: {"value": .., "error": ..}} for each width."""
    rows = []
    theory = theory or ensemble.theory()
    for quantity, at in ensemble.components():
        infinite, shift = (float(term[at]) for term in theory[quantity])
        row = Shifted(
            ensemble.name,
            len(ensemble.x),
            quantity,
            at,
            1,
            [infinite + shift / n for n in ensemble.widths],
            [infinite for _ in ensemble.widths],
            [float(np.asarray(m[quantity]["value"])[at]) for m in measured],
            [float(np.asarray(m[quantity]["error"])[at]) for m in measured],
            widths=ensemble.widths,
            amplitudes=2 if quantity == "ntk" and len(ensemble.widths) > 2 else 1,
        )
        row.fit()
        rows.append(row)
    return rows


def record(ensemble: Ensemble, report: Callable[[str], None] = lambda text: None) -> list[dict[str, Any]]:
    """Measure at every width, as numbers that JSON can hold."""
    return [
        {
            name: {"value": m.value.tolist(), "error": m.error.tolist(), "networks": m.networks}
            for name, m in ensemble.sample(i, report).items()
        }
        for i in range(len(ensemble.widths))
    ]


def line(row: Comparison) -> str:
    """One comparison in a line: n times the shift, measured and predicted."""
    n, s = np.array(row.widths), np.array(row.standard_error)
    found = n * np.subtract(row.sampled, row.without_last)
    numbers = "  ".join(f"{value:+.4f} +- {error:.4f}" for value, error in zip(found, n * s, strict=True))
    shift = row.widths[0] * (row.theory[0] - row.without_last[0])
    return f"{row.name:72s} {shift:+.4f} | {numbers} | p = {row.p_value:.3f}, without {row.rejection:.0f} s.e."


def main(path: str) -> None:
    """Measure every ensemble and keep the numbers."""
    found: dict[str, Any] = {"seed": SEED, "ensembles": {}}
    rows: list[Shifted] = []
    for ensemble in FULL:
        start = time.perf_counter()
        measured = record(ensemble, report=lambda text: print(text, flush=True))
        theory = ensemble.theory()
        rows += (new := compare(ensemble, measured, theory))
        found["ensembles"][ensemble.name] = {
            "widths": ensemble.widths,
            "seconds": round(time.perf_counter() - start),
            "rate": ensemble.rate,
            "theory": {name: {"infinite": a.tolist(), "shift": b.tolist()} for name, (a, b) in theory.items()},
            "measured": measured,
            "comparisons": [asdict(row) for row in new],
        }
        found["family_p_value"] = family_p_value(rows)
        Path(path).write_text(json.dumps(found, indent=1), encoding="utf-8")
        print(*map(line, new), sep="\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).parent / "results" / "trained_ensembles.json"))
