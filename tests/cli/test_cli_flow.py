"""``rgflow flow``: its numbers are the library's, its table fits, its files are whole, its errors are told."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import rgflow as rg
from rgflow.algebra import LETTERS
from rgflow.cli.check import LEVEL, Comparison, chance, comparisons, verdict
from rgflow.cli.tables import chosen_layers

SMALL = ("--width", "16", "--depth", "4")
KERNEL = ("--first-kernel", "1")


def small(n_in: int = 16, **more: float) -> rg.MLP:
    return rg.MLP.uniform(n_in=n_in, width=16, depth=4, activation="tanh", **more)


def test_the_table_fits_into_80_columns(rgflow):
    done = rgflow("flow", "tanh")
    assert done.code == 0
    assert done.err == ""
    assert max(len(line.rstrip()) for line in done.out.splitlines()) <= 80
    header = next(line for line in done.out.splitlines() if line.startswith("layer"))
    assert header.split() == ["layer", "1", "2", "4", "8", "16", "32"]
    for text in (
        "K[1,2]",
        "V[1,1,2,2] / nK^2",
        "Theta[1,2]",
        "next order / last",
        "trust K, V, Theta",
        "digits (64 pixels)",
    ):
        assert text in done.out


@pytest.mark.parametrize("columns", ["20", "50", "80", "200"])
def test_narrow_and_wide_terminals(rgflow, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    done = rgflow("flow", "tanh", *SMALL, *KERNEL)
    assert done.code == 0
    table = [line.rstrip() for line in done.out.splitlines() if line.startswith(("layer", "K "))]
    assert all(len(line) <= max(int(columns), 40) for line in table)
    assert table[0].split()[-1] == "4"


def test_numbers_are_those_of_the_library(rgflow):
    found = json.loads(rgflow("flow", "tanh", *SMALL, *KERNEL, "--C-W", "1.5", "--C-b", "0.1", "--json").out)
    ds = rg.flow(small(C_W=1.5, C_b=0.1), first_kernel=1.0)
    assert sorted(found["coefficients"]) == sorted(str(name) for name in ds["coefficient"].values)
    for name, values in found["coefficients"].items():
        np.testing.assert_array_equal(values, ds[name].values)
    assert found["network"]["C_W"] == [1.5] * 4
    assert found["layer"] == [1, 2, 3, 4]
    assert set(found["trusted_layers"]) == {"K", "V", "Theta"}
    np.testing.assert_array_equal(found["totals"]["K"], rg.total(ds)["K"].values)


def test_hyperparameters_by_layer_and_outputs(rgflow):
    found = json.loads(rgflow("flow", "relu", *SMALL, *KERNEL, "--C-W", "1,2,2,2", "--n-out", "3", "--json").out)
    assert found["network"]["C_W"] == [1.0, 2.0, 2.0, 2.0]
    assert found["network"]["widths"] == [16, 16, 16, 16, 3]


def test_formulas_orders_and_tensors(rgflow):
    done = rgflow("flow", "z - z^3/10", *SMALL, *KERNEL, "--order", "2", "--tensors", "V,D")
    assert done.code == 0
    for text in ("+ V_1 / n", "D / nKΘ", "+ K_2 / n^2"):
        assert text in done.out


def test_order_0_says_that_it_knows_nothing_of_its_error(rgflow):
    done = rgflow("flow", "tanh", *SMALL, *KERNEL, "--order", "0", "--tensors", "K,Theta")
    assert done.code == 0
    assert "order 0 knows nothing of its own error" in done.out


def test_trust_ends(rgflow):
    done = rgflow("flow", "relu", "--width", "8", "--depth", "12", *KERNEL, "--C-W", "2")
    ds = rg.flow(rg.MLP.uniform(n_in=8, width=8, depth=12, activation="relu", C_W=2.0), first_kernel=1.0)
    last = int(ds["trusted_layers"].sel(letter="K"))
    assert 0 < last < 12
    assert f"up to layer {last} of 12" in done.out


def test_inputs_from_a_file(rgflow, tmp_path):
    x = np.random.default_rng(0).normal(size=(2, 5))
    np.savetxt(tmp_path / "x.csv", x, delimiter=",")
    done = rgflow("flow", "tanh", *SMALL, "--inputs", str(tmp_path / "x.csv"), "--json")
    ds = rg.flow(small(n_in=5), x)
    np.testing.assert_allclose(json.loads(done.out)["coefficients"]["K"], ds["K"].values, rtol=1e-12)


def test_check_compares_with_sampled_networks(rgflow):
    done = rgflow("flow", "tanh", *SMALL, *KERNEL, "--check", "400", "--seed", "3", "--tensors", "K,V,Theta,F")
    assert done.code == 0
    assert "400 sampled networks, seed 3" in done.out
    table = done.out.split("s.e. apart")[1]
    for name in ("K", "V", "Theta", "F"):
        assert sum(line.split()[:1] == [name] for line in table.splitlines()) == 2
    assert "all 8 within what chance allows at 1 % for the family: 3.4 standard errors" in done.out
    assert max(len(line.rstrip()) for line in done.out.splitlines()) <= 80


def test_check_notices_a_wrong_theory():
    """Control: theory of another C_W does not pass as that of the sampled networks."""
    mc = rg.sample(small(C_W=1.3), first_kernel=1.0, networks=400, seed=0)
    right = comparisons(rg.flow(small(C_W=1.3), first_kernel=1.0), mc)
    wrong = comparisons(rg.flow(small(C_W=1.0), first_kernel=1.0), mc)
    limit = chance(len(right), mc.attrs["batches"])
    assert all(row.explained(limit) for row in right)
    assert not all(row.explained(limit) for row in wrong)
    lines = [text for text, _ in verdict(wrong, limit, 1)]
    assert not lines[0].startswith("all")
    assert lines[-1].startswith("** ")


def test_apart_is_counted_in_standard_errors():
    row = Comparison("K", (), 2, theory=1.0, theory_error=0.5, sampled=2.0, standard_error=0.25)
    assert row.apart == 4
    assert not row.by_chance(3)
    assert row.explained(3)
    assert not row.explained(1)
    assert not Comparison("K", (), 2, 1.0, 0.5, float("nan"), 0.25).explained(3)


@pytest.mark.parametrize(("rows", "batches"), [(1, 5), (8, 5), (8, 50)])
def test_chance_is_what_draws_show(rows, batches):
    """Tables of Gaussian batch means with nothing wrong in them pass the limit at the stated level, or less."""
    tables = 20_000
    draws = np.random.default_rng(0).normal(size=(tables, rows, batches))
    apart = draws.mean(axis=2) / (draws.std(axis=2, ddof=1) / np.sqrt(batches))
    marked = (np.abs(apart) > chance(rows, batches)).any(axis=1).sum()
    expected = 1 - (1 - LEVEL / rows) ** rows  # independent rows
    assert abs(marked - tables * expected) < 4 * np.sqrt(tables * expected)
    normal = (np.abs(apart) > chance(rows, 10**6)).any(axis=1).sum()
    assert (normal > marked + 4 * np.sqrt(tables * expected)) or batches == 50  # control: as if the s.e. were known


def test_the_verdict_says_why():
    near = Comparison("K", (), 2, 1.0, 0.0, 1.1, 0.1)
    left_out = Comparison("V", (), 2, 1.0, 1.0, 2.0, 0.1)
    wrong = Comparison("V", (), 2, 1.0, 0.1, 2.0, 0.1)
    assert [text[:3] for text, _ in verdict([near], 3.0, 1)] == ["all"]
    assert [text[:3] for text, _ in verdict([near, left_out, wrong], 3.0, 1)] == ["1 o", "* 1", "** "]
    assert "--order 2 shows them" in verdict([left_out], 3.0, 1)[1][0]


def test_letters_are_what_can_be_sampled():
    """The program takes every tensor with a letter for one that rgflow.sample knows."""
    net = rg.MLP.uniform(n_in=2, width=2, depth=2, activation="tanh")
    mc = rg.sample(net, first_kernel=1.0, tensors=list(LETTERS), networks=150, seed=0)
    assert {str(name) for name in mc.data_vars if not str(name).endswith("_se")} == set(LETTERS)
    with pytest.raises(rg.InputError, match="not sampled"):
        rg.sample(net, first_kernel=1.0, tensors=["G[1 2|3 4|5e 6e]"], networks=150)


def test_what_is_not_sampled_is_said_in_pipes_too(rgflow):
    arguments = ("flow", "tanh", "--width", "8", "--depth", "2", *KERNEL, "--check", "100", "--order", "2")
    for more in ((), ("--json",)):
        done = rgflow(*arguments, "--tensors", "K,1 2|3 4|5e 6e", *more)
        assert done.code == 0
        assert done.err == "not sampled, for want of an estimator: G[1 2|3 4|5e 6e]\n"
    assert rgflow(*arguments, "--tensors", "K,1 2|3 4").err == ""


def test_too_few_networks_are_refused_before_the_work(rgflow, monkeypatch):
    monkeypatch.setattr(sys.modules["rgflow.flow"], "flow", None)
    done = rgflow("flow", "tanh", *SMALL, *KERNEL, "--order", "2", "--tensors", "V6", "--check", "100")
    assert done.code == 1
    assert "at least 150 networks" in done.err
    assert done.err.count("\n") == 1


def test_orders_beyond_the_promise_are_allowed_and_told(rgflow):
    small_order = ("flow", "linear", "--width", "8", "--depth", "2", *KERNEL, "--tensors", "K", "--order")
    done = rgflow(*small_order, "3")
    assert done.code == 0
    assert "+ K_3 / n^3" in done.out
    assert "promised to order 2" in done.err
    assert done.err.count("\n") == 1
    assert rgflow(*small_order, "2").err == ""


def test_one_is_no_plural(rgflow):
    done = rgflow("flow", "tanh", "--width", "1", "--depth", "1", *KERNEL, "--tensors", "K")
    assert "tanh: 1 input, no hidden layer, 1 output; 1 weight layer\n" in done.out
    assert "2 weight layers" in rgflow("flow", "tanh", "--width", "4", "--depth", "2", *KERNEL).out


def test_what_has_no_total_is_refused_before_the_sampling(rgflow, monkeypatch):
    monkeypatch.setattr(sys.modules["rgflow.sampling"], "sample", None)
    done = rgflow("flow", "tanh", *SMALL, *KERNEL, "--order", "0", "--tensors", "K", "--check", "200")
    assert done.code == 1
    assert "order=1" in done.err


def test_a_correction_alone_as_json(rgflow):
    found = json.loads(rgflow("flow", "tanh", *SMALL, *KERNEL, "--order", "2", "--tensors", "V_1", "--json").out)
    assert "V_1" in found["coefficients"]
    assert "totals" not in found


def test_many_inputs_are_refused_in_terms_of_options(rgflow, tmp_path):
    """F, which K_1 and Theta_1 need, is not among the tensors that were asked for; with a kink for ten inputs only."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(12, 5)))
    inputs = ("flow", "relu", *SMALL, "--inputs", str(tmp_path / "x.npy"))
    done = rgflow(*inputs, "--tensors", "K,Theta")
    assert done.code == 1
    assert "is needed by --tensors K,Theta --order 1" in done.err
    assert "--tensors K,Theta --order 0" in done.err
    assert rgflow(*inputs, "--tensors", "K,Theta", "--order", "0").code == 0


def test_sampled_json(rgflow):
    found = json.loads(rgflow("flow", "tanh", *SMALL, *KERNEL, "--check", "200", "--tensors", "V", "--json").out)
    mc = rg.sample(small(), first_kernel=1.0, tensors=["K", "V"], networks=200, seed=0)
    np.testing.assert_allclose(found["sampled"]["V"], mc["V"].values, rtol=1e-12)
    assert found["sampled"]["networks"] == 200


def test_plot_and_save(rgflow, tmp_path):
    for ending, magic in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        picture, result = tmp_path / f"flow.{ending}", tmp_path / "flow.nc"
        done = rgflow("flow", "tanh", *SMALL, *KERNEL, "--plot", str(picture), "--save", str(result))
        assert done.code == 0
        assert picture.read_bytes().startswith(magic)
        assert str(picture) in done.out
    loaded = rg.load(result)
    assert rg.MLP.from_json(loaded.attrs["network"]) == small()
    assert loaded.identical(rg.flow(small(), first_kernel=1.0))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["thanh"], "did you mean 'tanh'"),
        (["__import__('os').system('true')"], "error: "),
        (["1/z"], "error: "),
        (["tanh", "--width", "0"], "width"),
        (["tanh", "--depth", "0"], "depth"),
        (["tanh", "--C-W", "-1"], "C_W"),
        (["tanh", "--C-W", "one"], "--C-W"),
        (["tanh", "--C-b", "nan"], "C_b"),
        (["tanh", "--C-W", "1,2", "--depth", "3"], "C_W has 2 values"),
        (["tanh", "--n-out", "0"], "width"),
        (["tanh", "--order", "-1"], "order"),
        (["tanh", "--order", "0"], "order"),
        (["tanh", "--tensors", "K,W"], "unknown tensor 'W'"),
        (["tanh", "--tensors", ","], "--tensors"),
        (["tanh", "--first-kernel", "-1"], "positive semidefinite"),
        (["tanh", "--first-kernel", "1", "--inputs", "x.npy"], "one of"),
        (["tanh", "--inputs", "missing.npy"], "does not exist"),
        (["tanh", "--plot", "flow.gif"], ".png"),
        (["tanh", "--save", "flow.txt"], ".nc"),
        (["tanh", "--plot", "no/such/directory/flow.png"], "does not exist"),
        (["relu", "--tensors", "P", "--first-kernel", "1,0.5;0.5,1"], "almost_everywhere"),
    ],
)
def test_errors_are_told_in_one_line(rgflow, arguments, said):
    done = rgflow("flow", *arguments)
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_bad_file_name_is_refused_before_the_work(rgflow, monkeypatch):
    monkeypatch.setattr(sys.modules["rgflow.flow"], "flow", None)
    assert rgflow("flow", "tanh", "--plot", "flow.gif").code == 1


@pytest.mark.parametrize(("option", "name"), [("--save", "flow.nc"), ("--plot", "flow.png")])
def test_a_directory_is_refused_before_the_work(rgflow, monkeypatch, tmp_path, option, name):
    monkeypatch.setattr(sys.modules["rgflow.flow"], "flow", None)
    (tmp_path / name).mkdir()
    done = rgflow("flow", "tanh", option, str(tmp_path / name))
    assert done.code == 1
    assert "is a directory" in done.err


@pytest.mark.parametrize("depth", [1, 2, 5, 7, 32, 33, 1000])
@pytest.mark.parametrize("most", [-3, 2, 3, 6, 12])
def test_chosen_layers(depth, most):
    layers = chosen_layers(depth, most)
    assert layers == sorted(set(layers))
    assert (layers[0], layers[-1]) == (1, depth)
    assert len(layers) <= max(most, 2)


# Layers of other kinds ------------------------------------------------------------------------------------------------

RESIDUAL = ("--layer", "residual", "--skip", "0.9")


def test_residual_layers_between_dense_ones(rgflow):
    found = json.loads(rgflow("flow", "tanh", *SMALL, *KERNEL, *RESIDUAL, "--C-W", "1.5", "--C-b", "0.1", "--json").out)
    values = {"C_W": 1.5, "C_b": 0.1}
    dense, inner = rg.Dense(**values), rg.Residual(skip=0.9, **values)
    net = rg.Network([dense, inner, inner, dense], [16] * 5, "tanh")
    assert rg.Network.from_json(json.dumps(found["network"])) == net
    ds = rg.flow(net, first_kernel=1.0)
    for name, numbers in found["coefficients"].items():
        np.testing.assert_array_equal(numbers, ds[name].values)
    book = json.loads(rgflow("flow", "tanh", *SMALL, *KERNEL, *RESIDUAL, "--C-W", "1.5", "--book", "--json").out)
    assert book["coefficients"]["V"] != found["coefficients"]["V"]


def test_residual_layers_with_skip_zero_are_dense(rgflow):
    done = rgflow("flow", "tanh", *SMALL, *KERNEL, "--layer", "residual", "--skip", "0", "--json")
    one, other = (
        json.loads(out)["coefficients"] for out in (done.out, rgflow("flow", "tanh", *SMALL, *KERNEL, "--json").out)
    )
    for name, numbers in other.items():
        np.testing.assert_allclose(one[name], numbers, rtol=1e-10, atol=1e-12)


def test_the_screen_names_the_layers_and_shows_one_digit(rgflow):
    done = rgflow("flow", "tanh", *SMALL, *RESIDUAL)
    assert done.code == 0
    assert "dense, 2 residual, dense\n" in done.out
    assert "skip = 0.9" in done.out
    assert "a 0 of scikit-learn's digits (64 pixels)" in done.out
    assert max(len(line.rstrip()) for line in done.out.splitlines()) <= 80
    for more in (("--book",), ("--order", "0", "--tensors", "K,Theta")):
        assert "a 0 and a 1" in rgflow("flow", "tanh", *SMALL, *RESIDUAL, *more).out


def test_residual_networks_are_sampled_drawn_and_saved(rgflow, tmp_path):
    picture, file = tmp_path / "flow.svg", tmp_path / "flow.nc"
    arguments = ("--check", "300", "--plot", str(picture), "--save", str(file), "--tensors", "K,V")
    done = rgflow("flow", "tanh", *SMALL, *KERNEL, *RESIDUAL, *arguments)
    assert done.code == 0
    assert "all 4 within what chance allows" in done.out
    assert picture.stat().st_size > 0
    assert "Residual" in rg.load(file).attrs["network"]


def test_orthogonal_layers_have_no_bias(rgflow):
    orthogonal = ("flow", "tanh", *SMALL, *KERNEL, "--layer", "orthogonal", "--json", "--C-b")
    found = json.loads(rgflow(*orthogonal, "0.1,0,0,0.1").out)["network"]["layers"]
    assert [layer["kind"] for layer in found] == ["Dense", "Orthogonal", "Orthogonal", "Dense"]
    done = rgflow(*orthogonal, "0.1")
    assert (done.code, done.out) == (1, "")
    assert "--C-b is 0.1, but --layer orthogonal has no C_b" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--layer", "residual"), "give --skip"),
        (("--skip", "0.5"), "give --layer residual"),
        (("--layer", "orthogonal", "--skip", "0.5"), "--layer orthogonal has none"),
        (("--layer", "branch"), "C_a, C_V, lambda_a, lambda_V"),
        (("--layer", "nothing"), "unknown kind of layer 'nothing'"),
        ((*RESIDUAL, "--order", "2"), "order 1"),
    ],
)
def test_what_other_layers_cannot_is_told_in_one_line(rgflow, arguments, said):
    done = rgflow("flow", "tanh", *SMALL, *arguments)
    assert done.code == 1
    assert said in done.err
    assert done.err.count("\n") == 1
