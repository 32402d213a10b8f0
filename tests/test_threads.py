"""Products on one thread while our own threads work, and as before when the last of them is done."""

import numpy as np
import pytest

from rgflow.threads import cores, single_products

threadpoolctl = pytest.importorskip("threadpoolctl")


def of_products():
    return [each["num_threads"] for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"]


def test_products_take_one_thread_and_get_theirs_back():
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = of_products()
        with single_products():
            with single_products():
                np.ones((2, 2)) @ np.ones((2, 2))
            assert set(of_products()) <= {1}
        assert of_products() == before


def test_an_error_inside_gives_them_back():
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = of_products()
        with pytest.raises(ValueError, match="inside"), single_products():
            raise ValueError("inside")
        assert of_products() == before


def test_there_is_a_core():
    assert cores() >= 1
