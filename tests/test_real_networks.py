"""The expansion against sampled networks: a small seeded plan, the kept numbers of the full one, the full one."""

import itertools
import json
from pathlib import Path

import numpy as np
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
    for sigma, first_kernel in itertools.product(plan.ENSEMBLES, (plan.ONE, plan.TWO)):
        inputs = 1 if first_kernel is plan.ONE else 2
        mine = [row for row in rows if (row.sigma, row.inputs) == (sigma, inputs)]
        for place, width in enumerate(plan.WIDTHS):
            net = plan.rg.MLP.uniform(n_in=2, width=width, depth=plan.DEPTH, activation=sigma, **plan.ENSEMBLES[sigma])
            theory = plan.theory_orders(net, first_kernel, sorted({row.tensor for row in mine}), 2)
            for row in mine:
                now = sum(float(np.asarray(term)[row.component]) for term in theory[row.tensor][: row.q + 1])
                assert now == pytest.approx(row.theory[place], rel=1e-9), row.name


def test_a_wrong_order_is_noticed():
    """Control: theory through its leading order, claimed to be good to the next, fails for what is plainly visible."""
    rows = [row for row in kept_rows() if row.q == 0 and row.visible > 20]
    assert rows
    for row in rows:
        row.q = 1
        row.fit()
        assert abs(row.slope + row.q + 1) > 0.4, row.name
    assert plan.family_p_value(rows) < 1e-3


@pytest.mark.slow
def test_full_plan():
    rows = []
    for sigma in plan.ENSEMBLES:
        for first_kernel in (plan.ONE, plan.TWO):
            rows += plan.compare(sigma, first_kernel, plan.FULL, seed=20261122)
    assert {"K", "Theta"} & {row.tensor for row in check(rows, visible_letters=4)}
