"""Products on one thread while our own threads work, and as before when the last of them is done."""

from importlib import import_module
from threading import Barrier, current_thread
from time import sleep

import numpy as np
import pytest

import rgflow as rg
from rgflow.sampling import gradients
from rgflow.threads import cores, finished, hands, single_products

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


@pytest.mark.parametrize(
    ("module", "work", "call"),
    [
        ("sample", "all_batches", lambda net: rg.sample(net, first_kernel=1.0, networks=100, seed=0)),
        ("jacobian", "_batch", lambda net: rg.sample_jacobian(net, first_kernel=1.0, networks=100, seed=0)),
        ("gradients", "_measure", lambda net: gradients.sample_gradients(net, first_kernel=1.0, networks=4, seed=0)),
    ],
)
def test_samplers_multiply_on_one_thread(module, work, call, monkeypatch):
    """Threads that wait for each other take several times the processor of one, where another program is busy."""
    place = import_module(f"rgflow.sampling.{module}")
    seen, before = [], getattr(place, work)

    def watched(*given):
        seen.extend(of_products())
        return before(*given)

    monkeypatch.setattr(place, work, watched)
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        call(rg.MLP.uniform(n_in=3, width=8, depth=3, activation="tanh"))
    assert set(seen) == {1}


def test_there_is_a_core():
    assert cores() >= 1


# Hands ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_pieces_are_done_once_each_and_come_in_order(threads):
    done = []

    def piece(number):
        done.append(number)
        return number * number

    with hands(threads) as start:
        assert finished([start(piece, number) for number in range(50)]) == [number**2 for number in range(50)]
    assert sorted(done) == list(range(50))


def test_the_thread_that_waits_takes_its_share():
    """Of two pieces that wait for each other one is done by whoever asks: a second thread is all there is."""
    both = Barrier(2)

    def piece():
        both.wait(timeout=20)
        return current_thread().name

    with hands(2) as start:
        names = finished([start(piece), start(piece)])
    assert current_thread().name in names
    assert len(set(names)) == 2


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_of_a_piece_arrives_and_the_rest_is_dropped(threads):
    done = []

    def piece(number):
        if number == 3:
            raise ValueError("three")
        sleep(0.01)
        done.append(number)

    def all_pieces():
        with hands(threads) as start:
            [start(piece, number) for number in range(200)][3]()

    with pytest.raises(ValueError, match="three"):
        all_pieces()
    assert len(done) < 150
