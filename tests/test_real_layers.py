"""Every kind of layer against sampled networks: a small seeded plan, the kept numbers of the full one, controls."""

import functools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import real_layers as plan

import rgflow as rg

KEPT = Path(__file__).parent.parent / "benchmarks" / "results" / "real_layers.json"


def check(rows):
    """What the plan claims, for a family of comparisons."""
    assert plan.family_p_value(rows) > 1e-3
    for row in rows:
        if row.visible > 8:
            assert abs(row.slope + row.q + 1) < 0.4, row.name
            assert row.rejection > 5, row.name


def kept_rows():
    """The kept numbers by ensemble, fitted again."""
    found = {ensemble.name: [] for ensemble in plan.FULL}
    for kept in json.loads(KEPT.read_text())["rows"]:
        row = plan.Comparison(**{**kept, "component": (), "widths": tuple(kept["widths"])})
        row.fit()
        found[row.sigma].append(row)
    return found


def one(rows, tensor):
    """The comparison of one letter."""
    return next(row for row in rows if row.tensor == tensor)


def ensemble(name, among=plan.FULL):
    """By its name."""
    return next(each for each in among if each.name == name)


@functools.cache
def small_rows(name):
    """Comparisons of the small plan, made once."""
    return ensemble(name, plan.SMALL).compare()


def test_small_plan():
    check([row for each in plan.SMALL for row in small_rows(each.name)])


def test_small_plan_notices_the_closure_in_one_time():
    """Control: the book's closure forgets what a residual layer remembers; networks do not."""
    each = ensemble("residual relu", plan.SMALL)
    assert plan.family_p_value(each.against(small_rows(each.name), "book")) < 1e-3


@pytest.mark.parametrize("name", ["orthogonal tanh", "branch tanh", "mixed tanh"])
def test_small_plan_notices_a_wrong_vertex(name):
    """Control: a leading vertex that is 15 % too small is rejected."""
    for row in small_rows(name):
        if row.tensor == "V":
            wrong = replace(row, theory=[0.85 * x for x in row.theory])
            wrong.fit()
            assert wrong.p_value < 1e-3


@pytest.mark.parametrize(("skip", "layers"), plan.RELU_POINTS)
def test_growth_of_v_for_residual_relu(skip, layers):
    """n = 256: within 10 % (the remainder in 1/n) and chance; the published growth is about half of it."""
    net = plan.residual_relu(skip, layers)(256)
    mc = rg.sample(net, first_kernel=1.0, tensors="V", networks=1500, seed=plan.SEED)
    growth, error = float(mc["V"][layers]), float(mc["V_se"][layers])
    theory = float(rg.flow(net, first_kernel=1.0, tensors="V")["V"][layers])
    assert abs(growth - theory) < 0.1 * theory + 3 * error
    assert growth - plan.RELU_POINTS[skip, layers] > 3 * error + 0.1 * plan.RELU_POINTS[skip, layers]


def test_kept_numbers_of_the_full_plan():
    """Refit what was measured; and the theory of today is the theory that it was compared with."""
    kept = kept_rows()
    check([row for rows in kept.values() for row in rows])
    for each in plan.FULL:
        rows = kept[each.name]
        assert [row.tensor for row in rows] == [tensor for group in each.plan for tensor in group.tensors]
        assert all(row.widths == each.widths for row in rows)
        for row, now in zip(rows, each.against(rows, "full"), strict=True):
            np.testing.assert_allclose(now.theory, row.theory, rtol=1e-9, err_msg=row.name)


def test_kept_residual_networks_of_width_16_and_32_remember():
    """skip = 0.9, tanh, C_W = 1.5, C_b = 0.05, first kernel 0.8, four residual layers: V and K_1, and the control.

    n (K_sampled - K) is K_1 within three standard errors of the full closure at n = 16 and 32; of the one-time closure
    it is further than five. The read-out after them, more precise, tells V too.
    """
    kept = kept_rows()
    each, after = ensemble("residual tanh"), ensemble("residual tanh, read out")
    kernel = one(kept[each.name], "K")
    (book,) = each.against([kernel], "book")
    for place, n in enumerate((16, 32)):
        measured = n * (kernel.sampled[place] - kernel.without_last[place])
        error = n * kernel.standard_error[place]
        full, one_time = (n * (row.theory[place] - row.without_last[place]) for row in (kernel, book))
        assert full == pytest.approx(-0.416, abs=5e-4)
        assert one_time == pytest.approx(-0.308, abs=5e-4)
        assert abs(measured - full) < 3 * error
        assert abs(measured - one_time) > 5 * error
    for layers in (each, after):
        for tensor in ("K", "V"):
            row = one(kept[layers.name], tensor)
            (book,) = layers.against([row], "book")
            assert row.p_value > 1e-3
            assert book.p_value < 1e-3, row.name


def test_kept_growth_of_v_for_residual_relu():
    """Within 10 % of the full closure at n = 256, where the published growth is off by 30 % and more."""
    kept = kept_rows()
    for (skip, layers), book in plan.RELU_POINTS.items():
        each = ensemble(f"residual relu, skip {skip}, {layers} layers")
        row = one(kept[each.name], "V")
        scale = each.first_kernel**2
        assert row.sampled[0] == pytest.approx(row.theory[0], rel=0.1)
        assert row.sampled[0] / scale - book > 10 * row.standard_error[0] / scale
        (published,) = each.against([row], "book")
        assert published.theory[0] / scale == pytest.approx(book, abs=0.05)
        assert published.p_value < 1e-3


def test_kept_orthogonal_tanh_levels_off():
    """Sixteen critical layers: V/K^2 below zero, approaching -2, where dense layers have about 2 l/3."""
    row = one(kept_rows()["orthogonal tanh, deep"], "V")
    net = plan.orthogonal_deep(128)
    kernel = float(rg.flow(net, first_kernel=0.8, tensors="K", order=0)["K"][-2])
    dense = rg.flow(rg.MLP([2, *[128] * 16, 2], "tanh"), first_kernel=0.8, tensors=["K", "V"])
    assert -2 < row.sampled[-1] / kernel**2 < -1.5
    assert float(dense["V"][-2] / dense["K"][-2] ** 2) > 8


@pytest.mark.slow
def test_full_plan():
    check([row for each in plan.FULL for row in each.compare()])
