"""Colours are told apart with every kind of colour vision, in a simulation of those who lack one kind of cone.

Matrices: Machado, Oliveira & Fernandes, IEEE TVCG 15 (2009) 1291, severity 1, on linear RGB. Distances: CIE 1976
L*a*b* (D65), of which 2.3 are just noticed (Mahy, Van Eycken & Oosterlinck 1994).
"""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from rgflow.plots.style import CLASSES, COLOURS, SHADES
from rgflow.plots.variation import REGIME_COLOURS

NOTICED = 2.3
VISION = {
    "all cones": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900],
    ],
}  # fmt: skip
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = TO_XYZ.sum(axis=1)


def seen(colour: str, vision: str) -> np.ndarray:
    """L*a*b* of a colour as it is seen."""
    s = np.array(to_rgb(colour))
    linear = np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(np.asarray(VISION[vision]) @ linear, 0, 1) / WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def least(colours, vision: str) -> float:
    """The distance of the two that are nearest to each other."""
    return min(float(np.linalg.norm(seen(a, vision) - seen(b, vision))) for a, b in combinations(colours, 2))


@pytest.mark.parametrize("vision", VISION)
def test_series_are_told_apart_at_a_glance(vision):
    """Six times what is just noticed: 16.05 with tritanopia, more otherwise."""
    assert least(COLOURS, vision) > 6 * NOTICED
    assert least([*COLOURS, "#ffffff", "#1b1b1b"], vision) > 6 * NOTICED


@pytest.mark.parametrize("vision", VISION)
def test_scales_and_regions_are_told_apart(vision):
    """Scales that run from pale to dark; regions with an edge between them; classes with a number in them."""
    assert least(SHADES, vision) > 6 * NOTICED
    assert least(REGIME_COLOURS, vision) > 3 * NOTICED
    assert least(CLASSES, vision) > 4 * NOTICED
    for scale in (SHADES, REGIME_COLOURS):
        assert all(seen(a, vision)[0] > seen(b, vision)[0] for a, b in pairwise(scale))


def test_control_red_and_green_are_taken_for_each_other():
    """Negative control: the first six of matplotlib's own cycle, of which two are alike with protanopia."""
    cycle = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b")
    assert least(cycle, "all cones") > 6 * NOTICED
    assert least(cycle, "protanopia") < 3 * NOTICED


def test_black_and_white_are_where_they_belong():
    np.testing.assert_allclose([seen("#ffffff", v) for v in VISION], [[100, 0, 0]] * 4, atol=0.02)
    np.testing.assert_allclose([seen("#000000", v) for v in VISION], np.zeros((4, 3)), atol=1e-9)
