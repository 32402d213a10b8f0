"""The expansion against sampled networks: a small seeded plan, the kept numbers of the full one, the full one."""

import json
from pathlib import Path

import pytest
import real_networks as plan

KEPT = Path(__file__).parent.parent / "benchmarks" / "results" / "real_networks.json"


def check(rows, visible_letters):
    """What the plan claims, for a family of comparisons."""
    assert plan.family_p_value(rows) > 1e-3
    visible = [row for row in rows if row.visible > 8]
    for row in visible:
        assert abs(row.slope + row.q + 1) < 0.4, row.name
        assert row.rejection > 5, row.name
    seen = {row.tensor for row in visible}
    assert len(seen - {"K", "Theta"}) >= visible_letters, seen
    return visible


def test_small_plan():
    rows = plan.compare("gelu", plan.TWO, plan.SMALL, seed=20261122)
    rows += plan.compare("tanh", plan.ONE, plan.SMALL, seed=20261122)
    check(rows, visible_letters=1)


def test_small_plan_notices_a_wrong_vertex(monkeypatch):
    """Control: a leading vertex that is 10 % too small is rejected."""
    real = plan.theory_orders

    def damaged(net, first_kernel, tensors, highest):
        found = real(net, first_kernel, tensors, highest)
        found["V"] = [0.9 * found["V"][0], *found["V"][1:]]
        return found

    monkeypatch.setattr(plan, "theory_orders", damaged)
    rows = plan.compare("tanh", plan.ONE, plan.SMALL[:1], seed=20261122)
    assert plan.family_p_value(rows) < 1e-3


def kept_rows():
    rows = []
    for kept in json.loads(KEPT.read_text())["rows"]:
        row = plan.Comparison(**{**kept, "component": tuple(kept["component"])})
        row.fit()
        rows.append(row)
    return rows


def test_kept_numbers_of_the_full_plan():
    """Refit what was measured; and the theory of today is the theory that it was compared with."""
    rows = kept_rows()
    assert {(row.sigma, row.inputs) for row in rows} == {(s, n) for s in ("tanh", "gelu") for n in (1, 2)}
    visible = check(rows, visible_letters=4)
    assert {"K", "Theta"} & {row.tensor for row in visible}
    net = plan.rg.MLP.uniform(n_in=2, width=16, depth=plan.DEPTH, activation="gelu", **plan.ENSEMBLES["gelu"])
    theory = plan.theory_orders(net, plan.TWO, ["K", "Theta", "V", "A", "B"], 2)
    for row in rows:
        if (row.sigma, row.inputs) == ("gelu", 2) and row.tensor in theory:
            now = sum(float(term[row.component]) for term in theory[row.tensor][: row.q + 1])
            assert now == pytest.approx(row.theory[0], rel=1e-9), row.name


@pytest.mark.slow
def test_full_plan():
    rows = []
    for sigma in plan.ENSEMBLES:
        for first_kernel in (plan.ONE, plan.TWO):
            rows += plan.compare(sigma, first_kernel, plan.FULL, seed=20261122)
    assert {"K", "Theta"} & {row.tensor for row in check(rows, visible_letters=4)}
