"""Aspect ratios: nu and r* of every class against typed numbers, depths against flows, and where they are refused."""

import copy
import pickle
from math import comb

import numpy as np
import pytest
import sympy as sp

import rgflow as rg
from rgflow.errors import DomainWarning, InputError, NoCriticalPoint, UnknownName
from rgflow.predict.aspect.growth import WITH_MEMORY
from rgflow.predict.aspect.ratio import aspect_ratio

# PDLT, appendices A and B as public code has them: nu, and r* for one output
TYPED = {
    "relu": (5, 0.0347826),
    "linear": (2, 0.0869565),
    "tanh": (sp.Rational(2, 3), 0.2608696),
    "sin": (sp.Rational(2, 3), 0.2608696),
    "erf": (sp.Rational(2, 3), 0.2608696),
    "gelu": (4.904226, 0.0354619),
    "swish": (4.923187, 0.0353253),
}


# The scale ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TYPED)
def test_growth_and_ratio_of_every_class(name):
    nu, ratio = TYPED[name]
    found = aspect_ratio(name)
    assert float(found.nu) == pytest.approx(float(nu), rel=2e-7)
    assert found.best_ratio == pytest.approx(ratio, abs=1e-7)
    for n_out in (2, 3, 10, 100):
        several = aspect_ratio(name, n_out)
        assert several.best_ratio == pytest.approx(4 / (20 + 3 * n_out) / float(nu), rel=2e-7)
        assert several.end == pytest.approx(1.5 * several.best_ratio, rel=1e-12)
        assert several.groups == (n_out // 2, n_out - n_out // 2)
        assert not several.continued
    assert (found.groups, found.continued) == ((1, 1), True)
    assert found.nu_book == found.nu


def test_the_series_is_largest_at_the_ratio_and_the_mixture_is_not():
    found = aspect_ratio("tanh", 7)
    best = found.best_ratio
    at, left, right = (found.series(best * x) for x in (1.0, 0.99, 1.01))
    assert at > max(left, right)
    assert at == pytest.approx(found.series(), rel=1e-12)
    assert found.series(found.end) == pytest.approx(0, abs=1e-12)
    for law in ("gamma", "log-normal"):
        values = [found.mixture(best * x, law) for x in (0, 0.1, 0.5, 1.0, 1.5, 3.0)]
        assert values[0] == 0
        assert np.all(np.diff(values) > 0)
        assert values[3] > 1.5 * at
        # where the expansion holds both agree: what the series leaves out is of order v^4
        rest = [found.mixture(best * x, law) - found.series(best * x) for x in (0.025, 0.0125)]
        v = found.fluctuation(best * 0.025)
        assert rest[0] / rest[1] == pytest.approx(16, rel=(found.n_out + 8) * v)


def test_what_a_network_shares_is_what_the_series_says():
    """rgflow.information of a real network, of half the depth that r* says, as far as its order goes."""
    found = aspect_ratio("relu", 4)
    depth = 2 + int(found.best_ratio * 400 / 2)
    net = rg.MLP.uniform(n_in=1, width=400, depth=depth, n_out=4, activation="relu", C_W=2.0)
    from rgflow.predict.information.entropy import information

    ds = information(net, first_kernel=1.0, order=2)
    v = float(ds["fluctuation"][-1])
    # the product law of relu networks: (1 + 5/n)^(L-1) - 1, binomially; order 2 has two of its terms, nu L/n one
    terms = [comb(depth - 1, k) * (5 / 400) ** k for k in (1, 2, 3)]
    assert v == pytest.approx(terms[0] + terms[1], rel=1e-12)
    assert found.fluctuation((depth - 1) / 400) == pytest.approx(terms[0], rel=1e-12)
    assert (1 + 5 / 400) ** (depth - 1) - 1 - v == pytest.approx(terms[2], rel=5 * depth / 400)
    assert float(ds["between_neurons"][-1]) == pytest.approx(found.series(v / 5), rel=1e-9)


@pytest.mark.parametrize("skip", [0.3, 0.7, -0.9])
def test_residual_connections(skip):
    """K* = 0: (2/3)(1 - skip^4) in both closures. Relu, book: typed; with memory: the double sum over layers, typed."""
    tanh = aspect_ratio("tanh", layer=rg.Residual(skip=skip))
    assert float(tanh.nu) == pytest.approx(2 / 3 * (1 - skip**4), rel=1e-12)
    assert tanh.nu_book == tanh.nu
    relu = aspect_ratio("relu", layer=rg.Residual(skip=skip))
    left = 1 - skip**2
    assert float(relu.nu_book) == pytest.approx(left * (5 * left + 4 * skip**2), rel=1e-10)

    def g(c):
        return 2 / np.pi * ((1 + 2 * c**2) * np.arcsin(c) + 3 * c * np.sqrt(1 - c**2))

    c = skip ** np.arange(1.0, 2000)
    full = 2 * (1 - skip**4) + left**2 * (3 + 2 * g(c).sum())
    assert float(relu.nu) == pytest.approx(full, rel=1e-9)
    assert relu.best_ratio == pytest.approx(4 / 23 / full, rel=1e-9)
    if skip > 0:
        assert abs(float(relu.nu_book) / full - 1) > 0.1


# Cut-offs -------------------------------------------------------------------------------------------------------------


def test_the_coefficients_are_those_of_a_flow_at_a_width():
    """One flow serves every width: against rgflow.flow of a tuned network of that width."""
    n, depth = 40, 9
    net = rg.tune(rg.MLP.uniform(n_in=1, width=n, depth=depth, activation="tanh"), learning_rates=True)
    ds = rg.flow(net, first_kernel=1.0, tensors=["K", "Theta", "V", "A", "B", "P", "Q"])
    growth = aspect_ratio("tanh").growth(depth)
    np.testing.assert_allclose(growth.metric, ds["V"] / ds["K"] ** 2, rtol=1e-10)
    np.testing.assert_allclose(growth.tangent, (ds["A"] + 2 * ds["B"]) / ds["Theta"] ** 2, rtol=1e-10)
    for name in "PQ":
        np.testing.assert_allclose(growth.change[name], np.abs(ds[name]) / ds["Theta"] ** 2, rtol=1e-10)
    second = rg.flow(net, first_kernel=1.0, tensors=["V", "K_1", "K"], order=2)
    ratios = [abs(second["V_1"] / second["V"]).fillna(0), abs(second["K_1"] / second["K"]), ds["V"] / ds["K"] ** 2]
    np.testing.assert_allclose(growth.orders, np.max(ratios, axis=0), rtol=1e-10)
    assert growth.order == 2


def test_tangent_kernels_of_gelu_outgrow_nu():
    """At a half-stable point their variance tends to (2/15) nu l^3/(n d^2) with d = 1/(K* dchi_perp/dK).

    There relative metrics x_l are a random walk of variance nu/n a layer, chi_perp = 1 + x/d, and Theta_l the sum over
    layers of products of later chi_perp: delta Theta/Theta = sum_i i x_i/(d l), whose variance is d^-2 l^-2 times
    (nu/n) sum_k (l^2 - k^2)^2/4 -> (2/15) nu l^3/n. What is left out falls as d/l.
    """
    found, deepest = aspect_ratio("gelu"), 600
    h = 4.66677e-3  # half of dchi_perp/dK at K*, typed
    d = 1 / (2 * h * 3.56155281281)
    assert found.tangent_depth == pytest.approx(d, rel=1e-5)
    growth = found.growth(deepest)
    layer = np.arange(1, deepest + 1)
    nu = TYPED["gelu"][0]
    np.testing.assert_allclose(growth.metric, nu * (layer - 1), rtol=2e-7)  # exact at every depth
    relative = growth.tangent / (2 / 15 * nu * layer**3 / d**2)
    near, middle, far = (relative[deepest // k - 1] for k in (4, 2, 1))
    assert (middle - 1) / (far - 1) == pytest.approx(2, rel=4 * d / deepest)
    # without their terms in d/l and (d/l)^2 the next is left
    assert (8 * far - 6 * middle + near) / 3 == pytest.approx(1, abs=8 * (d / deepest) ** 3)
    # control: no such depth in the other classes, where both grow alike, nearer to doubling the deeper
    assert aspect_ratio("tanh").tangent_depth is None
    for name, nearer in (("tanh", True), ("gelu", False)):
        tangent = aspect_ratio(name).growth(deepest).tangent
        off = [abs(tangent[2 * l - 1] / tangent[l - 1] - 2) for l in (deepest // 4, deepest // 2)]
        assert (off[1] < off[0]) == nearer


def test_the_kurtosis_cut_off():
    assert aspect_ratio("relu").kurtosis_cutoff() == pytest.approx(1 / 15)
    assert aspect_ratio("tanh").kurtosis_cutoff(0.5) == pytest.approx(0.25)
    with pytest.raises(InputError, match="bound"):
        aspect_ratio("relu").kurtosis_cutoff(0)


# A depth for a width --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "n_out", "width"), [("relu", 1, 512), ("relu", 10, 512), ("linear", 3, 100)])
def test_the_depth_has_the_best_fluctuation(name, n_out, width):
    """Scale-invariant: V/(n K^2) = nu (L - 1)/n exactly; L is where the series, typed, is largest."""
    found = aspect_ratio(name, n_out)
    recommended = found.recommend(width)
    nu = float(found.nu)

    def typed(v):
        return v**2 - (20 + 3 * n_out) / 6 * v**3

    depths = np.arange(2, 200)
    assert recommended.depth == depths[np.argmax(typed(nu * (depths - 1) / width))]
    assert recommended.fluctuation == pytest.approx(nu * (recommended.depth - 1) / width, rel=1e-12)
    assert abs(recommended.depth - 1 - found.best_ratio * width) <= 1
    last = recommended.cutoffs["kurtosis"]
    assert last is not None
    assert 3 * nu * (last - 1) / width <= 1 < 3 * nu * last / width
    assert recommended.trusted
    assert recommended.ratio == recommended.depth / width


def test_the_depth_says_why():
    found = aspect_ratio("tanh", 10)
    recommended = found.recommend(128)
    text = str(recommended)
    assert text.startswith(f"{recommended.depth} layers for width 128")
    assert f"r* n = {found.best_ratio * 128:.1f}" in text
    assert "not an extremum of the information itself" in text
    one = str(aspect_ratio("gelu").recommend(1200))
    assert "tangent kernels fluctuate faster than nu" in one
    assert "continued" in one
    # v of a whole number of layers is off v* by half a step at most; at the maximum that counts in the square only
    step = float(np.max(np.diff(found.growth(recommended.flowed).metric))) / 128
    loss = 3 * (step / 2 / float(found.best_fluctuation)) ** 2
    assert found.series() * (1 - 1.1 * loss) < recommended.information <= found.series()
    assert recommended.mixture > 1.5 * recommended.information
    assert dict(recommended.bounds) == {"expansion": 0.5, "kurtosis": 1.0, "tangent kernel": 0.5}
    other = found.recommend(128, kurtosis=0.6, tangent=0.4)
    assert (other.bounds["kurtosis"], other.bounds["tangent kernel"]) == (0.6, 0.4)
    assert "passes 0.6 after" in str(other)
    assert "more than 0.4 of its mean" in str(other)


def test_recommendations_are_values():
    """Hashed, compared, copied and pickled."""
    recommended = aspect_ratio("tanh", 10).recommend(128)
    assert pickle.loads(pickle.dumps(recommended)) == recommended == copy.deepcopy(recommended)
    assert hash(recommended) == hash(aspect_ratio("tanh", 10).recommend(128))
    assert recommended != aspect_ratio("tanh", 10).recommend(129)


def test_very_wide_networks_go_by_nu():
    recommended = aspect_ratio("tanh").recommend(10**6)
    assert recommended.depth == round(aspect_ratio("tanh").best_ratio * 10**6)
    assert recommended.cutoffs["kurtosis"] is None
    assert recommended.trusted is None  # nobody has looked
    assert "is not known" in str(recommended)
    assert "by nu alone" in str(recommended)


def test_residual_networks_are_flowed_as_far_as_memory_allows():
    found = aspect_ratio("tanh", 10, layer=rg.Residual(skip=0.9))
    recommended = found.recommend(100)
    assert recommended.flowed == WITH_MEMORY
    assert recommended.depth == round(found.best_ratio * 100) > 20
    assert "looked for in 24 layers only" in str(recommended)
    assert found.growth(8).change == {}


def test_orthogonal_networks_have_no_best_depth():
    """Their fluctuations level off: nu = 0."""
    found = aspect_ratio("tanh", 10, layer=rg.Orthogonal())
    assert (found.nu, found.best_ratio) == (0, np.inf)
    assert "no depth over width is better" in str(found)
    with pytest.raises(InputError, match="nu = 0"):
        found.recommend(100)


# The ends of the domain -----------------------------------------------------------------------------------------------


def test_depths_beyond_trust_are_said():
    with pytest.warns(DomainWarning, match="tangent kernel from layer"):
        recommended = aspect_ratio("gelu").recommend(2000)
    assert not recommended.trusted
    with pytest.warns(DomainWarning, match="kurtosis from layer"):
        aspect_ratio("relu").recommend(512, kurtosis=0.1)


def test_narrow_networks_are_refused():
    """relu, one output: two layers have v = 5/n, and the series is negative beyond 6/23."""
    for width in (1, 10, 19):
        with pytest.raises(InputError, match="take width 20 or more"):
            aspect_ratio("relu").recommend(width)
    assert aspect_ratio("relu").recommend(20, kurtosis=5).depth == 2
    for width in (0, -3, 2.5, True, "64", 10**400):
        with pytest.raises(InputError, match="width"):
            aspect_ratio("relu").recommend(width)
    for name in ("kurtosis", "tangent"):
        with pytest.raises(InputError, match=name):
            aspect_ratio("relu").recommend(100, **{name: -1.0})


def test_what_has_no_aspect_ratio():
    for name in ("sigmoid", "softplus"):
        with pytest.raises(NoCriticalPoint, match=name):
            aspect_ratio(name)
    with pytest.raises(UnknownName):
        aspect_ratio("rleu")
    for n_out in (0, 1.5, True, 10**6 + 1, 10**400):
        with pytest.raises(InputError, match="n_out"):
            aspect_ratio("tanh", n_out)
    with pytest.raises(InputError, match="first_kernel"):
        aspect_ratio("tanh", first_kernel=-1.0)
    with pytest.raises(InputError, match="ratio"):
        aspect_ratio("tanh").series(-1.0)


# Networks -------------------------------------------------------------------------------------------------------------


def test_where_a_network_stands():
    net = rg.tune(rg.MLP([10, 64, 64, 32, 10], "tanh"))
    found = aspect_ratio(net)
    assert found.n_out == 10
    where = found.standing
    width = 3 / (2 / 64 + 1 / 32)
    assert (where.width, where.ratio) == pytest.approx((width, 4 / width))
    assert where.critical
    ds = rg.flow(net, first_kernel=1.0)
    assert where.fluctuation == pytest.approx(float(ds["V"][-1] / ds["K"][-1] ** 2) / 32, rel=1e-12)
    assert "this network" in str(found)
    off = aspect_ratio(rg.MLP([10, 64, 64, 10], "relu")).standing
    assert not off.critical
    assert "rgflow.tune(net)" in str(off)
    assert "beyond" in str(off)
    assert aspect_ratio("tanh").standing is None


def test_networks_of_other_layers():
    dense, residual = rg.Dense(C_W=0.75), rg.Residual(skip=0.5, C_W=0.75)
    net = rg.Network([dense, residual, residual, dense], [4, 16, 16, 16, 2], "tanh")
    found = aspect_ratio(net)
    assert float(found.nu) == pytest.approx(2 / 3 * (1 - 0.5**4), rel=1e-12)
    assert found.standing.fluctuation > 0
    mixed = rg.Network([dense, residual, dense, dense], [4, 16, 16, 16, 2], "tanh")
    with pytest.raises(InputError, match="several kinds"):
        aspect_ratio(mixed)
    with pytest.raises(InputError, match="no width"):
        aspect_ratio(rg.MLP([4, 2], "tanh"))
    with pytest.raises(InputError, match="its own layers"):
        aspect_ratio(net, 3)


def test_it_prints_itself():
    text = str(aspect_ratio("gelu"))
    for part in ("nu = 4.90423", "0.0354619", "I(1;1)", "continued", "half-stable", "truncated"):
        assert part in text, part
    assert repr(aspect_ratio("tanh", 10)) == "AspectRatio(tanh: nu = 0.666667, n_out = 10, r* = 0.12)"
    residual = str(aspect_ratio("relu", layer=rg.Residual(skip=0.8)))
    assert "as the book has it: 1.5696" in residual
