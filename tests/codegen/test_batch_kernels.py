"""Batch kernels: averages against the scalar kernels, flows against recursions typed by hand, what stops a point."""

import dataclasses

import numpy as np
import pytest

import rgflow as rg
from rgflow.activations.catalogue import CATALOGUE
from rgflow.codegen import batch_layers
from rgflow.codegen import kernel as scalar_kernel
from rgflow.codegen.batch import batch_kernel
from rgflow.codegen.batch_layers import NOT_FINITE, OVERFLOWED, RAN_AWAY
from rgflow.codegen.batch_layout import LANES
from rgflow.derive import closure
from rgflow.errors import AccuracyError, InputError
from rgflow.flow.one_input import EPSILON, flow_with

LETTERS = ["K_1", "Theta_1", *"VABDFPQRSTU"]
SMOOTH = ["tanh", "gelu", "sigmoid", "mish", "erf", "sin", "atan(z)", "log(1 + z^2)", "(1 + z^2)^(1/3)", "1/cosh(z)"]
KINKED = ["relu", "Max(tanh(z), 0)", "Max(z - 1/2, 0)*exp(-z^2)", "Abs(z - 1) - tanh(z)"]
REST = sorted({*CATALOGUE, "asinh(z)", "sinh(z)/(1 + z^2)", "softplus(z) - 1"} - {*SMOOTH, *KINKED})
KERNELS = np.array([1e-6, 0.03, 0.7, 2.5, 30.0])


def distances(name, kernels=KERNELS):
    """Of batch and scalar averages, relative to what both say of their errors."""
    system, sigma = closure(LETTERS), rg.activation(name)
    batch = batch_kernel(system, sigma, jit=False)
    values, sizes, doubt = batch.brackets_at(kernels)
    assert (doubt <= 1e-13 + 16 * EPSILON).all()
    scalar = scalar_kernel(system, sigma, jit=False)
    found = []
    for p, K in enumerate(kernels):
        with np.errstate(all="ignore"):
            reference, scale = scalar.brackets(float(K), 6 if sigma.kinks else 128)
        apart = np.abs(reference[:, 0] - reference[:, 1])
        known = np.isfinite(reference).all(axis=1)
        assert (known == np.isfinite(values[:, p])).all()
        # sizes of closed forms are those of their terms, which hardly differ between the two
        bound = doubt * np.maximum(sizes[:, p], scale) + apart + 16 * EPSILON * scale
        found.append(np.abs(values[:, p] - reference[:, 0])[known] / np.where(bound > 0, bound, 1.0)[known])
    return np.concatenate(found)


@pytest.mark.parametrize("name", SMOOTH + KINKED)
def test_averages_are_those_of_the_scalar_kernel(name):
    assert distances(name).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", REST)
def test_averages_of_the_rest_of_the_catalogue(name):
    kernels = KERNELS[KERNELS < 5] if rg.activation(name).growth else KERNELS
    assert distances(name, kernels).max() <= 1


def test_controls_a_lost_node_and_exchanged_weights(monkeypatch):
    """Either is seen at once."""
    kernel = batch_kernel(closure("V"), rg.activation("tanh"), jit=False)
    good, sizes, doubt = kernel.brackets_at([0.7, 2.0])
    rules = kernel.rules(2.0)
    lost, exchanged = rules.w.copy(), rules.w.copy()
    first = rules.starts[-1, 0]
    lost[first + 5] = 0.0
    exchanged[first + 3], exchanged[first + 9] = rules.w[first + 9], rules.w[first + 3]
    for weights in (lost, exchanged):
        wrong = dataclasses.replace(rules, w=weights)
        monkeypatch.setattr(type(kernel), "rules", lambda *_, wrong=wrong: wrong)
        bad, _, _ = kernel.brackets_at([0.7, 2.0])
        assert (np.abs(bad - good) > 1e6 * doubt[:, None] * sizes).any()


# Flows ----------------------------------------------------------------------------------------------------------------


def points(count, seed=2):
    rng = np.random.default_rng(seed)
    return {"C_b": rng.uniform(0, 1, count), "C_W": rng.uniform(0.5, 3, count)}


def started(kernel, K, Theta=1.3):
    names = [t.name for t in kernel.table.tensors]
    first = np.zeros((len(names), len(K)))
    first[names.index("K")] = K
    if "Theta" in names:
        first[names.index("Theta")] = Theta
    return first, names


@pytest.fixture(scope="module")
def tanh():
    """The compiled kernel of K, V and Theta of tanh."""
    return batch_kernel(closure(["K", "V", "Theta"]), rg.activation("tanh"))


HYPER = np.array(
    [[0.0] * 5, [1.0] * 5, [0.4, 0.5, 0.6, 0.7, 0.8], [0.9, 0.8, 0.7, 0.6, 0.5], [1.0, 1.5, 1.0, 0.5, 2.0]]
)


def test_each_layer_of_tanh_follows_from_the_one_before(tanh):
    """PDLT's recursions typed by hand: derivatives as weights z^2/K - 1, the trapezoid rule with 4001 nodes."""
    mine = points(100)
    K0 = np.random.default_rng(3).uniform(0.2, 4, 100)
    first, names = started(tanh, K0)
    batch = tanh.run(first, HYPER, mine, range(2, 7))
    assert (batch.code == 0).all()
    flow = np.concatenate([first[:, None], batch.values], axis=1)
    K, V, Theta = (flow[names.index(name)] for name in ("K", "V", "Theta"))
    u = np.linspace(-9.5, 9.5, 4001)
    w = np.exp(-u * u / 2) * (u[1] - u[0]) / np.sqrt(2 * np.pi)
    C_b, C_W = mine["C_b"], mine["C_W"]
    error = (
        2 * batch.doubt.max()
    )  # of a bracket here, relative to the integral of the absolute terms; and of the witness
    for layer in range(5):
        t = np.tanh(np.sqrt(K[layer])[:, None] * u)
        ss, ssss, s1s1 = (t**2) @ w, (t**4) @ w, ((1 - t**2) ** 2) @ w
        bend, bend_size = ((t**2 * (u * u + sign)) @ w / K[layer] for sign in (-1, 1))
        lambda_b, lambda_W, r = HYPER[2:, layer]
        wanted = C_b + C_W * ss
        assert (np.abs(K[layer + 1] - wanted) <= error * (C_b + C_W * ss)).all()
        wanted = lambda_b + lambda_W * ss + C_W * Theta[layer] * s1s1
        assert (np.abs(Theta[layer + 1] - wanted) <= 2 * error * wanted).all()
        wanted = C_W**2 * (ssss - ss**2) + r / 4 * C_W**2 * V[layer] * bend**2
        room = C_W**2 * (ssss + 2 * ss**2) + r / 2 * C_W**2 * np.abs(V[layer] * bend) * bend_size
        assert (np.abs(V[layer + 1] - wanted) <= 2 * error * room).all()


def test_compiled_and_plain_are_the_same_program(tanh):
    """Fused multiplications round differently, which seven layers hardly move."""
    first, _ = started(tanh, np.array([0.5, 1.0, 3.0]))
    plain = batch_kernel(closure(["K", "V", "Theta"]), rg.activation("tanh"), jit=False)
    assert "njit" not in plain.source
    mine = points(3)
    one, two = (kernel.run(first, HYPER[:, :2], mine, [2, 3], brackets=True) for kernel in (tanh, plain))
    np.testing.assert_allclose(one.values, two.values, rtol=1e-13)
    assert one.brackets.shape == (4, 2, 3)
    values, _, _ = plain.brackets_at(first[0])
    np.testing.assert_allclose(two.brackets[:, 0], values, rtol=0, atol=0)


def test_threads_and_the_company_of_a_point_change_nothing(tanh):
    """The same bytes from one thread and two; alone, a point may take a smaller rule, within its error."""
    count = 5 * LANES + 7
    mine = points(count)
    first, _ = started(tanh, np.linspace(0.1, 3.9, count))
    one, two = (tanh.run(first, HYPER, mine, [4, 6], threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.values, two.values)
    alone = tanh.run(first[:, 40:41], HYPER, {name: row[40:41] for name, row in mine.items()}, [4, 6])
    np.testing.assert_allclose(alone.values[..., 0], one.values[..., 40], rtol=1e-11)


def test_kernels_that_outgrow_the_rules_run_again(tanh):
    """C_W = 400 drives K from 0.1 to 300 in a layer: the same as with wide rules from the start."""
    first, names = started(tanh, np.array([0.1, 0.1, 0.1]))
    mine = {"C_b": np.zeros(3), "C_W": np.array([1.0, 400.0, 1.0])}
    batch = tanh.run(first, HYPER, mine, range(2, 7))
    assert batch.values[names.index("K"), -1, 1] > 100
    wide, _ = started(tanh, np.array([0.1, 0.1, 1e4]))
    np.testing.assert_allclose(
        batch.values[..., 1], tanh.run(wide, HYPER, mine, range(2, 7)).values[..., 1], rtol=1e-11
    )


def test_all_letters_are_those_of_the_scalar_kernel():
    """Rows from a table and rows written out, against two rules of the scalar program: two layers, plain Python."""
    system, sigma = closure(LETTERS), rg.activation("tanh")
    scalar = scalar_kernel(system, sigma, jit=False)
    kernel = batch_kernel(system, sigma, jit=False)
    assert "FACTOR" in kernel.source
    first, _ = started(kernel, np.array([0.8]))
    hyper = np.array([[0.1, 1.2, 0.5, 0.7, 1.0], [0.0, 1.1, 0.4, 0.6, 1.5]])
    found = kernel.run(first, hyper.T, {}, [2, 3])
    reference = flow_with([scalar] * 2, first[:, 0], hyper, 96).history[1:, 0].T
    # no letter cancels more than tenfold here, and a bracket is relative to its terms
    np.testing.assert_allclose(found.values[..., 0], reference, rtol=1e-11)


def test_rows_written_out_and_from_a_table_agree(monkeypatch):
    from rgflow.codegen import batch

    system, sigma = closure(["V", "F", "B"]), rg.activation("relu")
    written = batch_kernel(system, sigma, jit=False)
    monkeypatch.setattr(batch_layers, "MOST_UNROLLED", 1)
    batch._kernel.cache_clear()
    table = batch_kernel(system, sigma, jit=False)
    batch._kernel.cache_clear()
    assert "FACTOR" in table.source
    assert "FACTOR" not in written.source
    first, _ = started(written, np.array([0.8, 2.0]))
    hyper = np.ones((5, 3)) * 0.9
    one, two = (kernel.run(first, hyper, {"C_W": [1.0, 2.0]}, [2, 4]) for kernel in (written, table))
    np.testing.assert_allclose(one.values, two.values, rtol=1e-14)


# Edges ----------------------------------------------------------------------------------------------------------------


def test_a_point_that_runs_away_leaves_its_neighbours_alone():
    """<e^{2z}> = e^{2K}: K runs away at one point only; what follows is NaN there."""
    kernel = batch_kernel(closure(["K", "V"]), rg.activation("exp"), jit=False)
    first, _ = started(kernel, np.array([0.1, 0.1, 0.1]))
    mine = {"C_b": np.zeros(3), "C_W": np.array([0.1, 3.0, 0.1])}
    batch = kernel.run(first, np.ones((len(kernel.table.symbols) + 1, 4)), mine, range(2, 6))
    assert batch.code.tolist() == [0, RAN_AWAY, 0] or batch.code.tolist() == [0, OVERFLOWED, 0]
    assert batch.stopped[1] > 2
    gone = batch.stopped[1] - 2
    assert np.isnan(batch.values[:, gone:, 1]).all()
    assert np.isfinite(batch.values[:, :gone, 1]).all()
    assert np.isfinite(batch.values[..., [0, 2]]).all()


def test_small_and_vanishing_kernels():
    """K = 0 and denormal: <tanh tanh> = K, <tanh' tanh'> = 1; at the kink of relu no limit, and the point stops."""
    kernel = batch_kernel(closure(["K", "V", "Theta"]), rg.activation("tanh"), jit=False)
    tiny = np.array([0.0, 5e-324, 1e-310, 1e-300])
    values, _, doubt = kernel.brackets_at(tiny)
    orders = [(shape.orders, shape.pending) for shape in kernel.table.shapes]
    np.testing.assert_allclose(values[orders.index(((1, 1), 0))], 1.0, rtol=2 * doubt.max())
    # <ss> itself is denormal where K is: exact to a few of the smallest numbers
    np.testing.assert_allclose(values[orders.index(((0, 0), 0))], tiny, rtol=2 * doubt.max(), atol=1e-321)
    relu = batch_kernel(closure(["K", "V", "Theta"]), rg.activation("relu"), jit=False)
    first, _ = started(relu, np.array([0.0, 1.0]))
    batch = relu.run(first, np.ones((5, 2)), {}, [2, 3])
    assert batch.code.tolist() == [NOT_FINITE, 0]
    assert batch.stopped.tolist() == [2, 0]


@pytest.mark.parametrize("kernels", [[-1.0], [np.nan], [np.inf], [[1.0]]])
def test_kernels_that_are_none(tanh, kernels):
    with pytest.raises(InputError, match="K >= 0"):
        tanh.brackets_at(kernels)


def test_inputs_are_checked(tanh):
    first, _ = started(tanh, np.ones(2))
    for arguments, match in [
        ((first[:2], HYPER, {}, [2]), "first has shape"),
        ((first * np.nan, HYPER, {}, [2]), "first has shape"),
        ((first, HYPER[:3], {}, [2]), "by_layer"),
        ((first, HYPER, {"C_w": [1.0]}, [2]), "C_w"),
        ((first, HYPER, {}, [1, 2]), "kept"),
        ((first, HYPER, {}, [7]), "kept"),
    ]:
        with pytest.raises(InputError, match=match):
            tanh.run(*arguments)
    with pytest.raises(InputError, match="one input"):
        batch_kernel(closure("V", samples="many"), rg.activation("tanh"))


def test_averages_that_cannot_be_had():
    kernel = batch_kernel(closure(["K", "V"]), rg.activation("exp"), jit=False, closed=False)
    with pytest.raises(AccuracyError, match="only up to"):
        kernel.brackets_at([1e6])


def test_rules_keep_what_they_promise(tanh):
    """Looser tolerances take fewer nodes; the doubt stated is within the tolerance asked."""
    sizes = []
    for tolerance in (1e-6, 1e-10, 1e-13):
        rules = tanh.rules(4.0, tolerance)
        assert rules.doubt.max() <= tolerance + 16 * EPSILON
        assert rules.tops.tolist() == [0.25, 1.0, 4.0]
        sizes.append(rules.u.size)
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
