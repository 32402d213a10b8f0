"""Bayesian regression on digits and MNIST with a wide network as the prior: what order 1/n does to the error.

    python benchmarks/digits_posterior.py [--mnist mnist.npz] [--subsets 10] [--draws 65536] [--out FILE.json]
    python benchmarks/digits_posterior.py --large 33554432

One hidden layer of ReLU, inputs of unit norm, one-hot targets minus 0.1, label noise 0.01; training sets of 50 and 200,
drawn anew for every subset, with 500 test inputs. The shift is linear in 1/n, so that one posterior serves all widths.
Its sampling noise adds its own variance to the squared error; that is subtracted. Standard errors are over subsets.

``flag`` is where the first measure of ``posterior`` passes its limit, ``best`` where the mean squared error is least
and ``breakdown`` where it is again that of infinite width. ``--mnist`` names an archive with X, Y (training) and x, y
(test).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import rgflow as rg

WIDTH = 100  # at which posteriors are found; everything is rescaled from there
INVERSE_WIDTHS = np.array([0, 0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04])
TEST, NOISE = 500, 0.01


def digits() -> tuple[Any, Any, Any, Any]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.data[:1200], found.target[:1200], found.data[1200:], found.target[1200:]


def mnist(path: str) -> tuple[Any, ...]:
    with np.load(path) as found:
        return tuple(found[name].reshape(len(found[name]), -1).squeeze() for name in ("X", "Y", "x", "y"))


def prepared(images: Any, labels: Any, chosen: Any) -> tuple[Any, Any]:
    x = images[chosen].astype(float)
    x *= np.sqrt(x.shape[1]) / np.linalg.norm(x, axis=1, keepdims=True)  # x.x/n_0 = 1
    return x, np.eye(10)[labels[chosen]] - 0.1


def one(data: tuple[Any, ...], N: int, seed: int, draws: int) -> dict[str, Any]:
    """Errors, accuracies and measures of one training set along INVERSE_WIDTHS."""
    rng = np.random.default_rng([seed, N])
    X, Y, x, y = data
    train = prepared(X, Y, rng.choice(len(X), N, replace=False))
    test, answers = prepared(x, y, rng.choice(len(x), TEST, replace=False))
    net = rg.MLP([train[0].shape[1], WIDTH, 10], "relu", C_W=[1.0, 2.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rg.DomainWarning)
        ds = rg.posterior(net, train, test, NOISE, modes="sampled", draws=draws, seed=seed, covariance="each")
    at = INVERSE_WIDTHS[:, None, None] * WIDTH
    mean = ds["mean_infinite"].values + at * ds["mean_shift"].values
    own = (at[:, 0, 0] ** 2) * np.square(ds["mean_se"].values).mean()
    evidence = float(ds["log_evidence_infinite"]), float(ds["log_evidence_shift"]) * WIDTH
    return {
        "mse": np.square(mean - answers).mean(axis=(1, 2)) - own,
        "accuracy": (mean.argmax(axis=2) == answers.argmax(axis=1)).mean(axis=1),
        "flag": float((ds["limit"] / (ds["measure"] * WIDTH)).min()),
        "by": str(ds["doubt"].values[(ds["measure"] / ds["limit"]).values.argmax()]),
        "noise": float(np.sqrt(np.square(ds["mean_se"]).mean() / np.square(ds["mean_shift"]).mean())),
        "evidence": evidence,
    }


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means with standard errors over subsets; the squared error also as the difference to infinite width."""
    mse, accuracy = (np.array([run[name] for run in runs]) for name in ("mse", "accuracy"))

    def with_error(values: Any) -> dict[str, Any]:
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
        return {"mean": values.mean(axis=0).tolist(), "se": error.tolist()}

    change = mse.mean(axis=0) - mse.mean(axis=0)[0]
    # mse is a parabola in 1/n: least and back again
    slope, curve = np.polynomial.polynomial.polyfit(INVERSE_WIDTHS, change, [1, 2])[1:]
    flags = np.array([run["flag"] for run in runs])
    return {
        "inverse_width": INVERSE_WIDTHS.tolist(),
        "mse": with_error(mse),
        "mse_change": with_error(mse - mse[:, :1]),
        "accuracy": with_error(accuracy),
        "accuracy_change": with_error(accuracy - accuracy[:, :1]),
        "best": -slope / (2 * curve),
        "breakdown": -slope / curve,
        "flag": {
            "least": flags.min(),
            "mean": flags.mean(),
            "most": flags.max(),
            "by": sorted({r["by"] for r in runs}),
        },
        "sampling_noise": max(run["noise"] for run in runs),
        "log_evidence_infinite": with_error(np.array([run["evidence"][0] for run in runs])),
        "log_evidence_slope": with_error(np.array([run["evidence"][1] for run in runs])),
    }


def large(draws: int) -> dict[str, Any]:
    """500 training and 100 test digits, noise 0.1: time, memory and the relative error of the shift of the mean."""
    X, Y, x, y = digits()
    rng = np.random.default_rng(0)
    train = prepared(X, Y, rng.choice(len(X), 500, replace=False))
    test = prepared(x, y, rng.choice(len(x), 100, replace=False))
    net = rg.MLP([64, 1000, 10], "relu", C_W=[1.0, 2.0])
    start = time.perf_counter()
    ds = rg.posterior(net, train, test, 0.1, modes="sampled", covariance="none", draws=draws, seed=0)
    seconds = time.perf_counter() - start
    error = float(np.sqrt(np.square(ds["mean_se"]).mean() / np.square(ds["mean_shift"]).mean()))
    return {
        "draws": draws,
        "seconds": seconds,
        "relative_error": error,
        "peak_GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist")
    parser.add_argument("--subsets", type=int, default=10)
    parser.add_argument("--draws", type=int, default=2**16)
    parser.add_argument("--large", type=int, metavar="DRAWS", help="only the timing with 500 training inputs")
    parser.add_argument("--out", default=str(Path(__file__).parent / "results" / "digits_posterior.json"))
    given = parser.parse_args()
    if given.large:
        out = Path(given.out)
        results = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
        results["large"] = large(given.large)
        print(results["large"])
        out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        return
    sets = {"digits": digits()} | ({"mnist": mnist(given.mnist)} if given.mnist else {})
    results = {"draws": given.draws, "subsets": given.subsets, "test": TEST, "noise": NOISE}
    for name, data in sets.items():
        for N in (50, 200):
            start = time.perf_counter()
            found = summary([one(data, N, seed, given.draws) for seed in range(given.subsets)])
            results[f"{name} {N}"] = found
            print(f"{name}, N = {N}: {time.perf_counter() - start:.0f} s")
            for inverse, mse, change, error, accuracy, spread in zip(
                found["inverse_width"],
                found["mse"]["mean"],
                found["mse_change"]["mean"],
                found["mse_change"]["se"],
                found["accuracy_change"]["mean"],
                found["accuracy_change"]["se"],
                strict=True,
            ):
                told = f"  1/n {inverse:<7} mse {mse:.5f} ({change:+.5f} +- {error:.5f})"
                print(f"{told}  accuracy {accuracy:+.4f} +- {spread:.4f}")
            print(f"  flag {found['flag']}, best {found['best']:.5f}, breakdown {found['breakdown']:.5f}", flush=True)
            Path(given.out).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
