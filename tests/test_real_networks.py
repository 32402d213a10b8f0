"""The expansion against sampled networks: a small seeded plan, the kept numbers of the full one, the full one."""

import functools
import itertools
import json
from dataclasses import replace
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


@functools.cache
def small_rows(sigma, inputs):
    """Comparisons of the small plan, made once."""
    return plan.compare(sigma, plan.ONE if inputs == 1 else plan.TWO, plan.SMALL, seed=20261122)


def test_small_plan():
    check([*small_rows("gelu", 2), *small_rows("tanh", 1)], visible_letters=1)


def test_small_plan_notices_a_wrong_vertex():
    """Control: a leading vertex that is 10 % too small is rejected."""
    rows = [row for row in small_rows("tanh", 1) if row.tensor in plan.SMALL[0].tensors]
    (leading,) = (row.theory for row in rows if (row.tensor, row.q) == ("V", 0))
    damaged = []
    for row in rows:
        less = 0.1 * np.array(leading) if row.tensor == "V" else 0.0
        damaged.append(replace(row, theory=list(np.array(row.theory) - less)))
        damaged[-1].fit()
    assert len(damaged) > 2  # K and V through several orders
    assert plan.family_p_value(damaged) < 1e-3


@pytest.mark.parametrize("sigma", plan.ENSEMBLES)
def test_theory_needs_one_width(sigma):
    """Flowed at the largest width, and scaled there from the smallest."""
    large = plan.theory_at(sigma, 1, plan.WIDTHS[-1])
    scaled = plan.at_width(plan.theory_at(sigma, 1, plan.WIDTHS[0]), plan.WIDTHS[-1] / plan.WIDTHS[0])
    assert scaled.keys() == large.keys()
    for letter, terms in large.items():
        assert len(terms) == (3 if letter in ("K", "Theta") else 2)
        np.testing.assert_allclose(scaled[letter], terms, rtol=1e-12)


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
        assert {row.tensor for row in mine} == {letter for group in plan.FULL for letter in group.tensors}
        first = plan.theory_at(sigma, inputs, plan.WIDTHS[0])
        for place, width in enumerate(plan.WIDTHS):
            theory = plan.at_width(first, width / plan.WIDTHS[0])
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
