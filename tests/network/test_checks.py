"""Whole numbers and the rule for kinks, asked in one way everywhere."""

from fractions import Fraction

import numpy as np
import pytest

from rgflow.checks import kinks_rule, whole
from rgflow.errors import InputError


@pytest.mark.parametrize("value", [2, np.int8(2), np.uint64(2), np.int64(2)])
def test_whole_numbers(value):
    found = whole("order", value, 2)
    assert (found, type(found)) == (2, int)


@pytest.mark.parametrize(
    "value", [1, -1, True, np.True_, 2.0, np.float64(2), "2", None, [2], np.array(2), np.array([2]), Fraction(5, 2), 2j]
)
def test_other_values(value):
    with pytest.raises(InputError, match=r"order is .*; it must be an integer of at least 2"):
        whole("order", value, 2)


def test_kinks():
    assert kinks_rule("error") == "error"
    assert kinks_rule("almost_everywhere") == "almost_everywhere"
    for value in ("Error", "", None, True, ["error"], {}):
        with pytest.raises(InputError, match=r"kinks is .*'error' or 'almost_everywhere'"):
            kinks_rule(value)
