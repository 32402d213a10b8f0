"""The reported error is an upper bound of the true one, also when the rules are starved; and the controls."""

from __future__ import annotations

import numpy as np
import pytest

from rgflow.activations import activation
from rgflow.brackets import nested, rules, smooth, split
from rgflow.brackets.kinked import kinked_averages
from rgflow.brackets.smooth import smooth_averages


def cases(size: int, count: int) -> tuple[np.ndarray, list]:
    rng = np.random.default_rng(size)
    x = rng.standard_normal((count, size, size + 1)) * np.exp(rng.uniform(-3, 1.5, (count, size, 1)))
    moments = [tuple(((0,) * (1 + (u + s) % 2) + (1,) * (s // 3), (u + s) % 3) for u in range(size)) for s in range(5)]
    return x @ x.transpose(0, 2, 1) / (size + 1), moments


@pytest.mark.parametrize(
    ("name", "size"),
    [(name, size) for name in ("tanh", "gelu", "softplus", "sin", "tanh(4*z + 2)") for size in (1, 2)] + [("tanh", 3)],
)
def test_starved_smooth_rules_stay_honest(monkeypatch: pytest.MonkeyPatch, name: str, size: int) -> None:
    """Steps up to four times too long: the error grows to everything, the report with it."""
    sigma = activation(name)
    kernels, moments = cases(size, {1: 60, 2: 25, 3: 4}[size])
    exact, finest, absolute = smooth_averages(sigma, kernels, moments, 1e-11)
    first, sinh = rules.first_step, dict(smooth._SINH_STEP)
    worst = 0.0
    for hunger in (1.5, 2.0, 2.6, 4.0):
        monkeypatch.setattr(smooth, "first_step", lambda scale, hunger=hunger: hunger * first(scale))
        monkeypatch.setattr(smooth, "_SINH_STEP", {k: hunger * v for k, v in sinh.items()})
        values, errors, _ = smooth_averages(sigma, kernels, moments, 1e6)
        assert (np.abs(values - exact) <= errors + finest).all(), np.max(np.abs(values - exact) / (errors + 1e-300))
        worst = max(worst, float(np.max(np.abs(values - exact) / np.maximum(absolute, 1e-300))))
    assert worst > 1e-9 or name == "sin"  # the test has teeth; the step for sines is bounded by their frequency
    assert (finest <= 2e-11 * absolute).all()


@pytest.mark.parametrize("name", ["relu", "Max(0, tanh(2*z))", "Min(Max(z, -1/2), 1)"])
@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("nodes", [10, 13, 16])
def test_starved_split_rules_stay_honest(monkeypatch: pytest.MonkeyPatch, name: str, size: int, nodes: int) -> None:
    sigma = activation(name)
    kernels, moments = cases(size, 20)
    moments = [tuple((tuple(k for k in orders if k < 2), m) for orders, m in moment) for moment in moments]
    exact, finest, _ = kinked_averages(sigma, kernels, moments, 1e-11)
    monkeypatch.setattr(split, "_NODES", (nodes,))
    values, errors, _ = kinked_averages(sigma, kernels, moments, 1.0)
    assert (np.abs(values - exact) <= errors + finest).all()


def test_rules_integrate_the_moments_of_a_normal_variable() -> None:
    for rule in (
        rules.hermite(12),
        rules.trapezoid(np.ones(1), np.full(1, 10.0), np.full(1, 0.3), sinh=False, even=False),
        rules.trapezoid(np.full(1, 3.0), np.full(1, 10.0), np.full(1, 0.1), sinh=True, even=True),
        rules.segments(lambda offsets: np.zeros((1, 1, 1)), np.full(1, 10.0), 40, 2),
    ):
        t, w = rule.nodes([np.zeros((1, 1))])
        for power, exact in ((0, 1.0), (2, 1.0), (4, 3.0), (6, 15.0), (8, 105.0)):
            value, error, _ = rule.sums(np.broadcast_to(w, t.shape) * t**power, True)
            assert abs(value[0, 0] - exact) <= error[0, 0] + 1e-14 * exact


def test_control_a_wrong_weight_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A weight off by 1e-9 moves <1> away from 1, the exact bracket of no factors, beyond the reported error."""
    kernels, moment = np.array([[[1.0]]]), [(((), 0),)]
    true = rules.trapezoid

    def wrong(*args: object, **options: object) -> rules.Rule:
        rule = true(*args, **options)  # type: ignore[arg-type]
        t, w = rule.nodes([])
        w = w.copy()
        w[..., w.shape[-1] // 8] *= 1 + 1e-9
        return rules.Rule(lambda offsets: (t, w), rule.probes, rule.groups, rule.size, ends=rule.ends, cut=rule.cut)

    value, error, _ = smooth_averages(activation("tanh"), kernels, moment, 1e-11)
    assert abs(value[0, 0] - 1) <= error[0, 0]
    monkeypatch.setattr(smooth, "trapezoid", wrong)
    value, _, _ = smooth_averages(activation("tanh"), kernels, moment, 1e-11)
    assert abs(value[0, 0] - 1) > error[0, 0]


def test_memory_is_bounded_by_the_budget() -> None:
    """The largest array of a four-input bracket is a few times the budget of grid points."""
    import tracemalloc

    kernels, moments = np.array([0.5 * np.eye(4) + 0.5]), [(((0,), 0),) * 4]
    tracemalloc.start()
    smooth_averages(activation("tanh"), kernels, moments, 1e-11)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 256 * 2**20
    assert nested.BUDGET <= 1 << 20
