"""The program that the page gives runs, and gives the numbers of the page."""

import numpy as np
import pytest

import rgflow as rg
from rgflow.explorer.answer import answer
from rgflow.explorer.fields import kinds
from rgflow.explorer.snippet import snippet
from rgflow.explorer.state import state_of


def run(text):
    """The names that a program leaves."""
    names: dict = {"__name__": "__main__"}
    exec(compile(text, "snippet", "exec"), names)
    return names


def test_it_runs_as_a_program_and_writes_its_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = state_of({"activation": "tanh", "C_W": 1.4, "C_b": 0.05, "depth": 5, "width": 40})
    theirs, mine = run(snippet(state, 1, networks=150, seed=3)), answer(state)
    assert mine["K"] == pytest.approx(theirs["ds"].K.values, rel=1e-10)
    assert mine["K_total"] == pytest.approx(theirs["totals"].K.values, rel=1e-10)
    assert mine["V"] == pytest.approx(theirs["vertex"].values, rel=1e-10)
    assert mine["chi_perpendicular"] == pytest.approx(theirs["chi_perpendicular"].values[:-1], rel=1e-10)
    assert theirs["mc"].attrs["networks"] == 150
    assert (tmp_path / "flow.png").stat().st_size > 10_000
    assert rg.load(tmp_path / "flow.nc").attrs["kind"] == "coefficients"


@pytest.mark.parametrize("name", list(kinds()))
def test_the_network_of_every_kind_is_the_same(name):
    given = {"layer": name, "depth": 4, "width": 12, "activation": "tanh", "lambda_W": 0.5}
    if name in ("layernorm", "rmsnorm"):
        given |= {"place": "after", "epsilon": 0.25}
    state = state_of(given)
    lines = snippet(state, 0).split("ds = ")[0]
    names = run(lines)
    assert names["net"] == state.network()


def test_control_another_state_gives_other_numbers():
    one, other = (answer(state_of({"C_W": C_W, "depth": 6})) for C_W in (1.0, 1.0001))
    assert not np.allclose(one["K"], other["K"], rtol=1e-6)
