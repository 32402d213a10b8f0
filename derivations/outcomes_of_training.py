r"""Outcomes of training, beside runs of rgflow: Yaida (arXiv:1810.00004), Hoffman, Roberts, Yaida (arXiv:1908.02729).

Assumptions: MNIST and the settings of the papers, as the benchmarks state them, whose results are in
benchmarks/results.

The way. A number of a paper is the outcome of one run, or the mean of few; ours have two or three seeds. Two such
numbers agree if they differ by less than three standard deviations over our seeds, times sqrt(1 + 1/seeds) as both are
uncertain, and half a unit of the last digit that is stated. Accuracies also have their binomial error. What is typed is
what can be held to a tenth in this way; numbers that vary by more from seed to seed are said to be so, and are compared
all the same where they are not said to deviate.

Accuracies on other data sets and times of another machine are not compared.

Engine: rg.nn: FluctuationMonitor and FluctuationScheduler, JacobianPenalty, robustness, fit;
benchmarks/fluctuation_dissipation.py and jacobian_regularization.py.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
from rows import check_rows, row

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
FLUCTUATIONS = "benchmarks/fluctuation_dissipation.py: three seeds"
JACOBIANS = "benchmarks/jacobian_regularization.py: two or three seeds"


@cache
def results(name):
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def agree(seeds, stated, digit=0.0, spread=None, images=None):
    """Mean over seeds, if it is what is stated up to the errors of both; AssertionError if not."""
    seeds = np.asarray(seeds, float)
    deviation = seeds.std(ddof=1) if spread is None else spread
    if images:
        deviation = max(deviation, np.sqrt(seeds.mean() * (1 - seeds.mean()) / images))
    allowed = 3 * deviation * np.sqrt(1 + 1 / len(seeds)) + digit / 2
    assert abs(seeds.mean() - stated) <= allowed, (stated, seeds.mean(), allowed)
    return float(seeds.mean())


# Fluctuation and dissipation -----------------------------------------------------------------------------------------


def stochastic(name):
    return [results("fluctuation_dissipation")["runs"][f"{name}, seed {s}"]["columns"] for s in range(3)]


def check_epoch(runs, epoch, typed):
    """O_L, O_R, their ratio, test accuracy after an epoch; spreads over seeds, the largest of neighbouring epochs."""
    found = {}
    for name, stated in typed.items():
        values = np.array([run["O_L"] if name == "O_L/O_R" else run[name] for run in runs])
        if name == "O_L/O_R":
            values = values / np.array([run["O_R"] for run in runs])
        spread = values.std(axis=0, ddof=1)[epoch - 2 : epoch + 1].max()
        found[f"{name}, epoch {epoch}"] = agree(values[:, epoch - 1], stated, spread=spread)
    return found


@row("fluctuation_dissipation/run_eta_1_epoch_5", witness=FLUCTUATIONS)
def run_eta_1_epoch_5():
    """O_FB, stated .091, is .06 to .25 here: full-batch gradients at the end of an epoch differ from seed to seed."""
    typed = {"O_L": 0.12184, "O_R": 0.04273, "O_L/O_R": 2.85, "test_accuracy": 0.968}
    agree([run["G"][4] for run in stochastic("eta 0.1")], 0.091)
    return check_epoch(stochastic("eta 0.1"), 5, typed)


@row("fluctuation_dissipation/run_eta_1_epoch_10", witness=FLUCTUATIONS)
def run_eta_1_epoch_10():
    """O_FB, stated .129, is .05 to .24 here."""
    typed = {"O_L": 0.04237, "O_R": 0.04026, "O_L/O_R": 1.052, "test_accuracy": 0.9675}
    agree([run["G"][9] for run in stochastic("eta 0.1")], 0.129)
    return check_epoch(stochastic("eta 0.1"), 10, typed)


@row("fluctuation_dissipation/run_eta_1_epoch_20", witness=FLUCTUATIONS)
def run_eta_1_epoch_20():
    """O_FB, stated .127 and .137, is .06 to .17 here."""
    typed_16 = {"O_L": 0.03861, "O_R": 0.03862, "O_L/O_R": 0.9998, "test_accuracy": 0.963}
    typed_20 = {"O_L": 0.03778, "O_R": 0.03773, "O_L/O_R": 1.0011, "test_accuracy": 0.970}
    runs = stochastic("eta 0.1")
    agree([run["G"][15] for run in runs], 0.127)
    agree([run["G"][19] for run in runs], 0.137)
    return check_epoch(runs, 16, typed_16) | check_epoch(runs, 20, typed_20)


def lower_rate(name, epoch, stated, O_L, typed):
    """One seed: O_R fluctuates by a per cent at the rate 0.1; O_L, and so the ratio, has the error of the monitor."""
    run = results("fluctuation_dissipation")["runs"][name]["columns"]
    at = epoch - 1
    relative = max(
        np.std([each["O_R"][e] for each in stochastic("eta 0.1")], ddof=1) / stochastic("eta 0.1")[0]["O_R"][e]
        for e in (12, 13, 14)
    )
    agree([run["O_R"][at]], typed["O_R"], spread=relative * run["O_R"][at])
    agree([run["test_accuracy"][at]], typed["test_accuracy"], images=10000, spread=0.0)
    error = run["FDR1_se"][at]
    agree([run["FDR1"][at]], stated, spread=error)
    agree([run["O_L"][at]], O_L, spread=error * run["O_R"][at])
    found = {key: run[key][at] for key in ("O_L", "O_R", "test_accuracy")}
    return found | {"O_L/O_R": 1 + run["FDR1"][at], "its standard error": error}


@row("fluctuation_dissipation/run_eta_05", witness=FLUCTUATIONS)
def run_eta_05():
    """O_L, .01617, and the ratio, -.012, have standard errors of 5 %: they agree, and are not held to a tenth."""
    typed = {"O_R": 0.01636, "test_accuracy": 0.971}
    return lower_rate("eta 0.05", 14, -0.012, 0.01617, typed)


@row("fluctuation_dissipation/run_eta_02", witness=FLUCTUATIONS)
def run_eta_02():
    """O_L, .0057 to .0062, and the ratio, within .05 of 0, have standard errors of 15 %."""
    typed = {"O_R": 0.00613, "test_accuracy": 0.973}
    return lower_rate("eta 0.02", 14, 0.0, 0.00595, typed)


@row("fluctuation_dissipation/run_adaptive", witness=FLUCTUATIONS)
def run_adaptive():
    """The rate at the end, .0478 after seven drops, is .053, .059, .066 here: drops come by chance."""
    runs = [results("fluctuation_dissipation")["runs"][f"adaptive, seed {s}"] for s in range(3)]
    typed = {"X": 0.01, "Y": 0.1, "epochs": 36, "rate": 0.1}
    assert all(run["schedule"] == {"X": typed["X"], "Y": typed["Y"]} for run in runs)
    assert all((run["epochs"], run["rate"]) == (typed["epochs"], typed["rate"]) for run in runs)
    typed_accuracy = (0.971 + 0.9725) / 2
    last = agree([run["columns"]["test_accuracy"][-1] for run in runs], typed_accuracy, digit=0.0015)
    end = agree([run["drops"][-1]["rate"] for run in runs], 0.0478)
    return {"test accuracy": last, "rate at the end": end}


@row("fluctuation_dissipation/figure_1", witness=FLUCTUATIONS)
def figure_1():
    """The first epoch at whose end the ratio is 1 within its standard error, in all seeds."""
    first = [
        next(e for e, (r, se) in enumerate(zip(run["FDR1"], run["FDR1_se"], strict=True), 1) if abs(r) < se)
        for run in stochastic("eta 0.1")
    ]
    typed = "within 100 epochs"
    assert ("within 100 epochs" if max(first) <= 100 else "later") == typed
    return {"sides meet after epochs": first}


@row("fluctuation_dissipation/figure_2", witness=FLUCTUATIONS)
def figure_2():
    """The last epoch at whose end the sides still differ by a tenth, after the rate was lowered."""
    last = {}
    for rate in ("0.05", "0.02"):
        ratios = np.abs(results("fluctuation_dissipation")["runs"][f"eta {rate}"]["columns"]["FDR1"])
        last[rate] = int(np.nonzero(ratios > 0.1)[0].max()) + 1
        assert last[rate] < len(ratios)
    typed = "slower for the smaller rate"
    assert ("slower for the smaller rate" if last["0.02"] > last["0.05"] else "not slower") == typed
    return {f"rate {rate}: differ by a tenth until epoch": epoch for rate, epoch in last.items()}


# Jacobian regularisation ---------------------------------------------------------------------------------------------


def regularised(experiment, name):
    runs = results("jacobian_regularization")["runs"]
    return [run for run in runs if run["experiment"] == experiment and run["row"] == name]


def check_regularised(experiment, name, typed):
    """Accuracies on 10000 images, attacks on 2000 or 1000; half the squared norm (mlp), or the root of its mean."""
    runs = regularised(experiment, name)
    found = {"accuracy": agree([run["test_accuracy"] for run in runs], typed["accuracy"], images=10000)}
    if "norm" in typed:
        norms = np.array([run["norm_after"] for run in runs])
        found["norm"] = agree(norms / 2 if experiment == "mlp" else np.sqrt(norms), typed["norm"], digit=0.01)
    for what, images in (("white_noise", 10000), ("pgd", 2000 if experiment == "mlp" else 1000)):
        for size, stated in typed.get(what, {}).items():
            values = [run[what]["accuracy"][run[what]["size"].index(size)] for run in runs]
            found[f"{what} {size}"] = agree(values, stated, images=images)
    return found


@row("jacobian_regularization/mlp_plain", witness=JACOBIANS)
def mlp_plain():
    """Half the squared norm, stated 18.09, is 19.0(3) here; PGD of .10, stated .069, is .050(5)."""
    typed = {"accuracy": 0.9793, "white_noise": {0.2: 0.970, 0.4: 0.875, 0.8: 0.443}, "pgd": {0.05: 0.661}}
    return check_regularised("mlp", "none", typed)


@row("jacobian_regularization/mlp_one_projection", witness=JACOBIANS)
def mlp_one_projection():
    """Noise of .8, stated .548, is .43 to .54 here; PGD of .10, stated .627, .54 to .62."""
    typed = {"accuracy": 0.9712, "norm": 0.923, "white_noise": {0.2: 0.969, 0.4: 0.947}, "pgd": {0.05: 0.856}}
    return check_regularised("mlp", "Jacobian 0.1, 1 projection", typed)


@row("jacobian_regularization/mlp_three_projections", witness=JACOBIANS)
def mlp_three_projections():
    """Noise of .8, stated .528, is .42 to .54 here; PGD of .10, stated .611, .55 to .62."""
    typed = {"accuracy": 0.9690, "norm": 0.928, "white_noise": {0.2: 0.969, 0.4: 0.944}, "pgd": {0.05: 0.854}}
    return check_regularised("mlp", "Jacobian 0.1, 3 projections", typed)


@row("jacobian_regularization/lenet_jacobian_small", witness=JACOBIANS)
def lenet_jacobian_small():
    """Noise of .6, stated .709, is .68 and .77 here; PGD of .2, stated .165, is .04 and .10."""
    typed = {"accuracy": 0.9921, "norm": 1.64, "white_noise": {0.3: 0.982}, "pgd": {0.1: 0.848}}
    return check_regularised("lenet", "Jacobian 0.01", typed)


@row("jacobian_regularization/lenet_jacobian_large", witness=JACOBIANS)
def lenet_jacobian_large():
    """Noise of .6, stated .802, is .79 and .85 here; PGD of .2, stated .161, is .15 and .20."""
    typed = {"accuracy": 0.9868, "norm": 1.09, "white_noise": {0.3: 0.980}, "pgd": {0.1: 0.821}}
    return check_regularised("lenet", "Jacobian 0.1", typed)


@row("jacobian_regularization/official_accuracy", witness=JACOBIANS)
def official_accuracy():
    """The Jacobian loss is that of one batch of 64 images, whose mean has a deviation of .012 beside that of seeds."""
    runs = regularised("mlp", "Jacobian 0.1, 1 projection")
    typed_accuracy, typed_loss = 0.970, 0.977
    accuracy = agree([run["test_accuracy"] for run in runs], typed_accuracy)
    halves = np.array([run["norm_after"] for run in runs]) / 2
    of_images = max(run["norm_after_se"] for run in runs) / 2 * np.sqrt(10000 / 64)
    loss = agree(halves, typed_loss, spread=np.hypot(halves.std(ddof=1), of_images))
    return {"accuracy after five epochs": accuracy, "Jacobian loss": loss}


@row("jacobian_regularization/claim_white_noise", witness=JACOBIANS)
def claim_white_noise():
    """LeNet at noise .6: with lambda = .1 every seed is above every seed of the others, of dropout and weight decay;
    lambda = .01 is between them."""
    found = {
        name: [run["white_noise"]["accuracy"][1] for run in regularised("lenet", name)]
        for name in ("none", "weight decay 5e-4", "dropout 0.5", "Jacobian 0.1")
    }
    strongest = max(found, key=lambda name: min(found[name]))
    typed = "Jacobian"
    assert strongest.split()[0] == typed
    others = [value for name, values in found.items() if name != strongest for value in values]
    assert min(found[strongest]) > max(others)
    return {name: float(np.mean(values)) for name, values in found.items()}


if __name__ == "__main__":
    check_rows(globals())
