"""Networks whose neurons keep their past: exact finite networks, closed forms of ReLU, the dense limit, controls."""

from fractions import Fraction as F

import numpy as np
import pytest
from oracles.residual_networks import coefficients

import rgflow as rg
from rgflow.flow import linked

SIGMA = (F(0), F(1, 2), F(1, 4))
FORMULA = "z/2 + z**2/4"
FIRST = F(4, 5)
RESIDUAL = [
    {"skip": F(9, 10), "C_b": F(1, 10), "C_W": F(3, 2)},
    {"skip": F(-1, 2), "C_b": F(1, 20), "C_W": F(6, 5)},
    {"skip": F(4, 5), "C_b": F(0), "C_W": F(1)},
]
BRANCH = [
    {"C_a": F(1, 10), "C_V": F(1, 2), "C_b": F(1, 10), "C_W": F(3, 2), "multiple": F(2)},
    {"C_a": F(1, 10), "C_V": F(1, 3), "C_b": F(0), "C_W": F(1), "multiple": F(1)},
]
LETTERS = ("K", "Theta", "V", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U")


def floats(layer):
    return {name: float(value) for name, value in layer.items() if name != "multiple"}


def residual(layers=RESIDUAL, sigma=FORMULA, width=16):
    inner = [rg.Residual(**floats(layer)) for layer in layers]
    return rg.Network([rg.Dense(), *inner, rg.Dense()], [5, *[width] * (len(inner) + 1), 1], sigma)


def branches(layers=BRANCH, width=16):
    inner = [rg.Branch(**floats(x), hidden=int(width * x["multiple"])) for x in layers]
    return rg.Network([rg.Linear(), *inner, rg.Linear()], [5, *[width] * (len(inner) + 1), 1], FORMULA)


# Exact finite networks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "vertex"), [(1, True), (2, True), (3, False)])
def test_residual_networks_of_finite_width(depth, vertex):
    ds = rg.flow(residual(), first_kernel=float(FIRST), tensors=["K", "V"])
    for name, value in coefficients(SIGMA, FIRST, RESIDUAL[:depth], vertex).items():
        error = float(ds["numerical_error"].sel(coefficient=name)[depth])
        assert float(ds[name][depth]) == pytest.approx(float(value), rel=1e-13, abs=error), name


@pytest.mark.parametrize("depth", [1, 2])
def test_branches_of_finite_width(depth):
    ds = rg.flow(branches(), first_kernel=float(FIRST), tensors=["K", "V"])
    for name, value in coefficients(SIGMA, FIRST, BRANCH[:depth]).items():
        assert float(ds[name][depth]) == pytest.approx(float(value), rel=1e-13), name


def test_the_book_s_closure_is_right_at_the_first_residual_layer_only():
    ds = rg.flow(residual(), first_kernel=float(FIRST), tensors=["K", "V"], closure="book")
    first, second = (coefficients(SIGMA, FIRST, RESIDUAL[:depth]) for depth in (1, 2))
    assert float(ds["V"][1]) == pytest.approx(float(first["V"]), rel=1e-13)
    assert float(second["V"]) / float(ds["V"][2]) == pytest.approx(1.206, abs=1e-3)
    assert float(second["K_1"]) / float(ds["K_1"][2]) == pytest.approx(1.692, abs=1e-3)


def test_without_memory_exact_networks_disagree(monkeypatch):
    """The control: noise that forgets stages below is the book's closure or worse."""
    covariance = linked.LinkedFlow._covariance

    def forgets(self, f, g, u):
        found = covariance(self, f, g, u)
        found[u + 1 :] = 0.0
        return found

    monkeypatch.setattr(linked.LinkedFlow, "_covariance", forgets)
    ds = rg.flow(residual(), first_kernel=float(FIRST), tensors=["K", "V"])
    exact = coefficients(SIGMA, FIRST, RESIDUAL[:2])
    assert abs(float(ds["V"][2]) / float(exact["V"]) - 1) > 0.1
    assert abs(float(ds["K_1"][2]) / float(exact["K_1"]) - 1) > 0.1


# ReLU ----------------------------------------------------------------------------------------------------------------


def relu_growth(skip, layers):
    """V/K^2 after k critical residual ReLU layers: 2 (1 - s^4) k + (1 - s^2)^2 sum over l, m <= k of g(s^|l-m|).

    g(c) = (2/pi) [(1 + 2 c^2) asin c + 3 c sqrt(1 - c^2)], the odd correlators that travel along the skip.
    """
    place = np.arange(layers)
    c = skip ** np.abs(place[:, None] - place)
    odd = 2 / np.pi * ((1 + 2 * c**2) * np.arcsin(c) + 3 * c * np.sqrt(1 - c**2))
    return 2 * (1 - skip**4) * layers + (1 - skip**2) ** 2 * odd.sum()


@pytest.mark.parametrize(("skip", "layers", "book"), [(0.5, 4, 14.25), (0.8, 12, 18.8), (0.95, 20, 8.0)])
def test_growth_of_v_for_relu(skip, layers, book):
    """The three points of PDLT's appendix B that were sampled; the published growth is about half of it."""
    inner = [rg.Residual(skip=skip, C_W=2 * (1 - skip**2))] * layers
    net = rg.Network([rg.Dense(C_W=2.0), *inner, rg.Dense(C_W=2.0)], [9, *[256] * (layers + 1), 1], "relu")
    ds = rg.flow(net, first_kernel=1.0, tensors=["K", "V"])
    assert float(ds["K"][layers]) == pytest.approx(1, rel=1e-12)
    error = float(ds["numerical_error"].sel(coefficient="V")[layers])
    assert float(ds["V"][layers]) == pytest.approx(relu_growth(skip, layers), rel=1e-13, abs=error)
    assert error < 1e-9
    published = rg.flow(net, first_kernel=1.0, tensors="V", closure="book")
    nu = (1 - skip**2) * ((1 - skip**2) * 5 + 4 * skip**2)
    assert float(published["V"][layers]) == pytest.approx(nu * layers, rel=1e-12)
    assert nu * layers == pytest.approx(book, abs=0.05)


def test_one_prototype_and_sampled_value_of_k_1():
    """tanh, C_W = 1.5, C_b = 0.05, skip = 0.9, first kernel 0.8: two-time -0.416 (sampled -0.424(23)), book -0.308."""
    values = {"C_W": 1.5, "C_b": 0.05}
    net = rg.Network(
        [rg.Dense(**values), *[rg.Residual(skip=0.9, **values)] * 4, rg.Dense()], [5, *[16] * 5, 1], "tanh"
    )
    full, book = (rg.flow(net, first_kernel=0.8, closure=closure)["K_1"] for closure in ("full", "book"))
    assert float(full[4]) == pytest.approx(-0.416, abs=5e-4)
    assert float(book[4]) == pytest.approx(-0.308, abs=5e-4)


# Limits --------------------------------------------------------------------------------------------------------------


def test_skip_zero_is_dense():
    """Every letter and correction at order 1, through other code."""
    inner = [rg.Residual(skip=0.0, C_W=1.5, C_b=0.05, lambda_b=0.3, lambda_W=0.7)] * 3
    dense = rg.Dense(C_W=1.5, C_b=0.05, lambda_b=0.3, lambda_W=0.7)
    net = rg.Network([dense, *inner, dense], [5, 16, 16, 16, 16, 1], "tanh")
    one = rg.flow(net, first_kernel=0.8, tensors=LETTERS)
    other = rg.flow(rg.Network([dense] * 5, net.widths, "tanh"), first_kernel=0.8, tensors=LETTERS)
    for name in map(str, other["coefficient"].values):
        error = 3 * (one["numerical_error"] + other["numerical_error"]).sel(coefficient=name)
        assert (abs(one[name] - other[name]) <= error).all(), name
        assert (error <= 1e-11 * (1 + abs(other[name]))).all(), name


def test_derived_lines_with_skip_zero_are_dense_exactly():
    """The recursion itself: without its skip terms the book's closure is the dense one, term by term."""
    for name in ("K", "Theta", "V", "K_1", "Theta_1", *LETTERS[3:]):
        residual_terms = rg.derive(name, layer=rg.Residual(), closure="book").terms
        kept = [term for term in residual_terms if "skip" not in dict(term.symbols)]
        assert kept == list(rg.derive(name).terms), name


@pytest.mark.parametrize("name", ["K", "Theta", "V", "A", "B", "D", "F", "P", "Q", "K_1", "Theta_1"])
def test_linear_networks_are_right_in_one_time(name):
    """With a linear activation a neuron's past is Gaussian but for its cumulants: both closures agree."""
    net = residual(sigma="linear")
    full, book = (rg.flow(net, first_kernel=0.8, tensors=[name, "K"], closure=closure) for closure in ("full", "book"))
    error = 1e-12 * np.abs(book[name]) + 2 * full["numerical_error"].sel(coefficient=name)
    assert (np.abs(full[name] - book[name]) <= error).all()
    assert (error <= 1e-11 * (1 + np.abs(book[name]))).all()


def test_linear_residual_networks_are_products():
    """sigma = z, C_b = 0: E[|z|^2] multiplies by skip^2 + C_W; V/K^2 + 2 by (a^2 + ..) with the exact fourth moment.

    At leading order Var(G_z)/K^2 = 2 (1 - s^4) for each critical layer (s^2 + C_W = 1), so V = 2 (1 - s^4) K^2 k.
    """
    skip, layers = 0.6, 7
    inner = [rg.Residual(skip=skip, C_W=1 - skip**2)] * layers
    net = rg.Network([rg.Dense(), *inner, rg.Dense()], [5, *[16] * (layers + 1), 1], "linear")
    ds = rg.flow(net, first_kernel=1.3, tensors=["K", "V"])
    expected = 2 * (1 - skip**4) * 1.3**2 * np.arange(layers + 1)
    np.testing.assert_allclose(ds["V"][: layers + 1], expected, rtol=1e-13)


def test_several_inputs_at_order_0():
    """K and Theta of two inputs: the diagonal is one input's, and a branch with C_V = 0 is the identity."""
    x = np.array([[1.0, 0.2, -0.3], [0.4, 1.1, 0.0]])
    values = {"C_W": 1.5, "C_b": 0.05}
    inner = [rg.Residual(skip=0.9, **values), rg.Branch(C_V=0.0, lambda_V=0.0, lambda_a=0.0), rg.Branch(C_a=0.1)]
    net = rg.Network([rg.Dense(**values), *inner, rg.Linear()], [3, *[16] * 4, 1], "tanh")
    both = rg.flow(net, x, tensors=["K", "Theta"], order=0)
    for sample in (0, 1):
        alone = rg.flow(net, x[sample], tensors=["K", "Theta"], order=0)
        for name in ("K", "Theta"):
            found = both[name].isel(sample0=sample, sample1=sample)
            np.testing.assert_allclose(found, alone[name], rtol=1e-12)
    np.testing.assert_allclose(both["K"][2], both["K"][1], rtol=1e-13)
    np.testing.assert_allclose(both["K"][:, 0, 1], both["K"][:, 1, 0], rtol=1e-13)


INPUTS = np.array([[1.0, 0.5, -0.3, 0.2, 0.0], [0.4, -1.0, 0.8, 0.1, 0.3]])


def test_several_inputs_with_skip_zero_are_dense():
    """Every component of every letter of two inputs, through other code."""
    values = {"C_W": 1.5, "C_b": 0.05, "lambda_b": 0.3, "lambda_W": 0.7}
    names = ["K", "Theta", "V", "A", "B", "D", "F", "P", "Q"]
    one, other = (
        rg.flow(
            rg.Network([rg.Dense(**values), *[inner] * 2, rg.Dense()], [5, 8, 8, 8, 1], "tanh"), INPUTS, tensors=names
        )
        for inner in (rg.Residual(skip=0.0, **values), rg.Dense(**values))
    )
    for name in map(str, other["coefficient"].values):
        error = (one["numerical_error"] + other["numerical_error"]).sel(coefficient=name)
        assert (abs(one[name] - other[name]) <= error).all(), name
        assert float(error.max()) <= 1e-10 * (1 + float(abs(other[name]).max())), name


def test_equal_inputs_and_permuted_ones():
    """The diagonal of two inputs is one input's, components move with the inputs."""
    values = {"C_W": 1.5, "C_b": 0.05}
    inner = [rg.Residual(skip=0.8, **values), rg.Branch(C_V=0.5, C_b=0.1)]
    net = rg.Network([rg.Dense(**values), *inner, rg.Dense()], [5, 8, 8, 8, 1], "tanh")
    names = ["K", "V", "Theta", "D", "F"]
    both, swapped = (rg.flow(net, x, tensors=names) for x in (INPUTS, INPUTS[::-1]))
    for sample in (0, 1):
        alone = rg.flow(net, INPUTS[sample], tensors=names)
        for name in (*names, "K_1", "Theta_1"):
            dims = {dim: sample for dim in both[name].dims if dim != "layer"}
            np.testing.assert_allclose(both[name].isel(dims), alone[name], rtol=1e-10, atol=1e-13)
            back = both[name].isel({dim: [1, 0] for dim in dims})
            np.testing.assert_allclose(back, swapped[name], rtol=1e-10, atol=1e-13)


def test_two_inputs_in_one_time_and_in_full_agree_for_linear_networks():
    net = residual(sigma="linear")
    for name in ("V", "F", "B"):
        full, book = (rg.flow(net, INPUTS, tensors=[name], closure=closure)[name] for closure in ("full", "book"))
        np.testing.assert_allclose(full, book, rtol=1e-11, atol=1e-12)


def test_a_flow_says_which_closure_it_took(capsys):
    full, book = (rg.flow(residual(), first_kernel=1.0, closure=name, progress=True) for name in ("full", "book"))
    assert (full.attrs["closure"], book.attrs["closure"]) == ("full", "book")
    assert rg.total(book).attrs["closure"] == "book"
    assert "averages" not in capsys.readouterr().out  # the bar does not stay


# Refusals ------------------------------------------------------------------------------------------------------------


def test_what_is_not_closed_is_refused():
    with pytest.raises(rg.OrderError, match=r"V_1.*residual.*pass order=1"):
        rg.flow(residual(), first_kernel=1.0, tensors="V", order=2)
    with pytest.raises(rg.OrderError, match=r"order=1 needs .*reduced.*pass order=0, tensors=\['K', 'Theta'\]"):
        rg.flow(rg.Network([rg.Linear(), rg.Reduced(), rg.Linear()], [3, 3, 3, 1], "tanh"), first_kernel=1.0)
    projection = rg.Network([rg.Linear(), rg.Projection(), rg.Linear()], [5, 8, 6, 1], "tanh")
    with pytest.raises(rg.OrderError, match=r"(K_2|V_1).*order 1"):
        rg.flow(projection, first_kernel=1.0, order=2)
    with pytest.raises(rg.OrderError, match="K_2"):
        rg.derive("K_2", layer=rg.Residual())
    with pytest.raises(rg.OrderError, match="V6"):
        rg.derive("V6", layer=rg.Branch())
    with pytest.raises(rg.OrderError, match=r"reduced.*order 0"):
        rg.derive("V", layer=rg.Reduced())
    with pytest.raises(rg.InputError, match=r"5 different inputs: V"):
        rg.flow(residual(), np.eye(5), tensors="V")
    with pytest.raises(rg.InputError, match=r"Branch.*no recursion in one time"):
        rg.flow(branches(), first_kernel=1.0, closure="book")
    with pytest.raises(rg.InputError, match=r"closure is 'one'"):
        rg.flow(residual(), first_kernel=1.0, closure="one")
    with pytest.raises(rg.InputError, match=r"odd activations, and relu is not"):
        rg.flow(rg.Network([rg.Linear(), rg.Reduced(), rg.Linear()], [3, 3, 3, 1], "relu"), first_kernel=1.0)


def test_a_flow_that_runs_away_is_refused():
    net = rg.Network([rg.Dense(), rg.Residual(skip=0.9), rg.Dense()], [3, 4, 4, 4], "tanh")
    with (
        pytest.raises(rg.AccuracyError, match=r"V of tanh is not finite"),
        np.errstate(over="ignore", invalid="ignore"),
    ):
        rg.flow(net, first_kernel=1e300)


def test_a_past_that_no_memory_holds_is_refused():
    net = rg.Network([rg.Dense(), *[rg.Residual(C_W=0.1)] * 12_000, rg.Dense()], [3, *[4] * 12_001, 1], "tanh")
    with pytest.raises(rg.InputError, match=r"past over 12002 stages.*GiB"):
        rg.flow(net, first_kernel=1.0, tensors="V")


def test_kinks_are_refused_where_derivatives_are_written():
    with pytest.raises(rg.KinkError, match=r"Theta_1|K_1|R"):
        rg.flow(residual(sigma="relu"), first_kernel=1.0, tensors=["R"])
    assert np.isfinite(rg.flow(residual(sigma="relu"), first_kernel=1.0, tensors=["V", "F"])["F"]).all()
