"""Information of an ensemble: exact densities, a network that is a gamma mixture, real networks, and refusals."""

import math

import numpy as np
import pytest
import sympy as sp

import rgflow as rg
from rgflow.errors import AccuracyError, DomainWarning, InputError, OrderError
from rgflow.predict.information.entropy import information
from rgflow.predict.information.mixture import LAWS, mixture_information, mixture_negentropy
from rgflow.predict.information.series import largest, negentropy, per_pair, shared

M, V, SKEW = sp.Symbol("m", positive=True), sp.Symbol("v", positive=True), sp.Symbol("s")
INPUTS = np.array([[1.0, 0.5], [-0.3, 1.2]])
SHARED = ((0.02, 4.6202949168129040985e-5), (0.05, 2.6192826696020518794e-4), (0.1, 9.2143027677037097469e-4))


# The series, by hand --------------------------------------------------------------------------------------------------


def test_series_of_the_paper():
    """PDLT appendix A as its public code has it, typed by hand."""
    assert sp.expand(negentropy() - (M * (M + 2) * V**2 / 16 - M * (M + 2) * (M + 8) * V**3 / 48)) == 0
    for a, b in ((1, 1), (2, 3), (5, 5)):
        typed = sp.Rational(a * b, 8) * (V**2 - sp.Rational(20 + 3 * (a + b), 6) * V**3)
        assert sp.expand(shared(a, b) - typed) == 0
        N = sp.Symbol("N", positive=True)
        assert sp.expand(a * b * per_pair().subs(N, a + b) - typed) == 0
    N = sp.Symbol("N", positive=True)
    assert sp.simplify(largest()[0] - 4 / (20 + 3 * N)) == 0
    with pytest.raises(OrderError, match="order=5"):
        negentropy(5)
    with pytest.raises(InputError):
        shared(0, 1)


@pytest.mark.parametrize(("law", "skew"), [("gamma", 2), ("log-normal", 3)])
@pytest.mark.parametrize("m", [1, 2, 10])
def test_series_against_quadrature(law, skew, m):
    """The rest after v^4 falls by 32 where v is halved; without the term in v^4 by 16, and with a wrong skew too."""
    v = np.array([2.0, 1.0]) * 2e-3 / (m + 8)
    exact = np.array([mixture_negentropy(m, float(x), law)[0] for x in v])
    error = max(mixture_negentropy(m, float(x), law)[1] for x in v)

    def rest(order, s):
        series = sp.lambdify(V, negentropy(order).subs({M: m, SKEW: s}), "numpy")
        return exact - series(v)

    fine = rest(4, skew)
    assert abs(fine[0]) < 40 * abs(fine[1]) + 40 * error
    assert abs(fine[0]) < 0.02 * abs(rest(3, skew)[0]) + error
    coarse = rest(3, skew)
    assert 14 < coarse[0] / coarse[1] < 18
    assert abs(rest(4, skew + 1)[0]) > 3 * abs(fine[0])


# The mixture ----------------------------------------------------------------------------------------------------------


def test_mixtures_with_a_closed_form():
    """A gamma law of shape 1 in one dimension is Laplace's, one of shape 1/2 in two has the density e^-r/(2 pi r)."""
    assert mixture_negentropy(1, 1.0)[0] == pytest.approx((math.log(math.pi) - 1) / 2, rel=1e-10)
    assert mixture_negentropy(2, 2.0)[0] == pytest.approx(np.euler_gamma, rel=1e-10)
    for law in LAWS:
        assert mixture_negentropy(3, 0, law) == (0.0, 0.0)
    assert mixture_negentropy(2, 2.0, "log-normal")[0] < 0.5 * np.euler_gamma


def test_information_of_the_mixture():
    """1 + 1 neurons, gamma law: mpmath's quadrature, at 32 digits, of the density with Bessel's K_(1/v - m/2)."""
    for v, typed in SHARED:
        found, error = mixture_information(1, 1, v)
        assert error < 1e-8 * found
        assert abs(found - typed) < error + 1e-15 * found
        assert abs(float(shared(1, 1).subs(V, v)) / found - 1) > 0.01  # the series through v^3 does not


@pytest.mark.parametrize("given", [(0, 0.1), (1, -0.1), (1, 5.0), (1, float("nan")), (1, True), (1.5, 0.1)])
def test_mixture_refuses(given):
    with pytest.raises(InputError):
        mixture_negentropy(*given)
    with pytest.raises(InputError, match="law"):
        mixture_negentropy(1, 0.1, "normal")


# Networks -------------------------------------------------------------------------------------------------------------


def linear(n, outputs=3):
    return rg.MLP.uniform(n_in=2, width=n, depth=2, n_out=outputs, activation="linear")


def test_one_hidden_linear_layer_is_a_gamma_mixture():
    """G = K chi^2_n/n exactly, v = 2/n: the negentropy at order q in 1/n is off by n^-(q+2)."""
    for order in (1, 2):
        rest = []
        for n in (200, 400):
            ds = information(linear(n), first_kernel=1.0, order=order)
            own, error = mixture_negentropy(3, 2 / n)
            between, _ = mixture_information(1, 2, 2 / n)
            assert error < 1e-9 * own
            assert float(ds["fluctuation"][-1]) == pytest.approx(2 / n, rel=1e-12)
            rest.append([float(ds["negentropy"][-1]) - own, float(ds["between_neurons"][-1]) - between])
        np.testing.assert_allclose(np.divide(*rest), 2.0 ** (order + 2), rtol=0.1)


def test_one_hidden_linear_layer_between_two_inputs():
    """One output there is a Gaussian times one gamma variance: I_ab = I_ab of n = infinity + J_2 - 2 J_1, of v = 2/n.

    K_1 = 0, so that at both orders what is left out is n^-3 (at order 1 V_1, at order 2 the next of the series); the
    entropy has its second order of J at order 2, and is off by n^-4.
    """
    for order, powers in ((1, (3, 3)), (2, (3, 4))):
        rest = []
        for n in (200, 400):
            ds = information(linear(n, 1), INPUTS, order=order)
            J_1, J_2 = (mixture_negentropy(m, 2 / n)[0] for m in (1, 2))
            between = float(ds["mutual_information"][-1, 0, 1] - ds["mutual_information_infinite"][-1, 0, 1])
            own = float(ds["entropy"][-1, 0] - ds["entropy_infinite"][-1, 0])
            rest.append([between - (J_2 - 2 * J_1), own + J_1])
            assert abs(rest[-1][0]) < 0.05 * between  # control: of second order is what is found
        np.testing.assert_allclose(np.divide(*rest), 2.0 ** np.array(powers), rtol=10 * 2 / 200)


def test_fluctuation_of_deep_linear_networks():
    """v = (1 + 2/n)^(L-1) - 1; at order 2 what is left out is of the third order, at order 1 of the second."""
    for order in (1, 2):
        rest = []
        for n in (100, 200):
            net = rg.MLP.uniform(n_in=2, width=n, depth=5, n_out=1, activation="linear")
            ds = information(net, first_kernel=1.0, order=order)
            rest.append((1 + 2 / n) ** 4 - 1 - float(ds["fluctuation"][-1]))
        assert rest[0] / rest[1] == pytest.approx(2.0 ** (order + 1), rel=0.05)


def plain(sigma, n, depth, networks, seed):
    """Metrics of the last layer of real networks with C_b = 0, C_W = 1, from weights drawn one by one."""
    rng = np.random.default_rng(seed)
    found = np.empty((networks, 2, 2))
    for part in np.array_split(np.arange(networks), 20):
        z = np.einsum("ai,kij->kaj", INPUTS, rng.standard_normal((part.size, 2, n))) / np.sqrt(2)
        for _ in range(depth - 2):
            z = sigma(z) @ rng.standard_normal((part.size, n, n)) / np.sqrt(n)
        s = sigma(z)
        found[part] = s @ s.transpose(0, 2, 1) / n
    return found


@pytest.fixture(scope="module")
def sampled():
    return plain(np.tanh, 24, 4, 6000, 5)


def negentropy_of(variances, m):
    """From the mixture of the sampled variances themselves: x = |z|^2 on a grid of ln x."""
    y = np.linspace(-40 / m, math.log(60.0 + 10 * m), 300)
    scale = variances.mean()

    def density(G):
        log = m / 2 * (y - np.log(2 * G[:, None])) - np.exp(y) / (2 * G[:, None]) - math.lgamma(m / 2)
        return np.exp(log).mean(axis=0)

    p, phi = density(variances / scale), density(np.ones(1))
    return float(np.sum(p * np.log(p / phi) - p + phi) * (y[1] - y[0]))


def jackknife(statistic, data, parts=20):
    """A statistic of all draws and its standard error."""
    groups = np.array_split(np.arange(len(data)), parts)
    without = np.array([statistic(np.delete(data, group, axis=0)) for group in groups])
    return statistic(data), float(np.sqrt((parts - 1) / parts * np.sum((without - without.mean()) ** 2)))


def test_real_networks_at_one_input(sampled):
    """Negentropy of two neurons and what they know of each other; the theory's next term bounds its own error."""
    net = rg.MLP.uniform(n_in=2, width=24, depth=4, n_out=2, activation="tanh")
    ds = information(net, INPUTS[:1], order=2)
    G = sampled[:, 0, 0]

    def between(values):
        return negentropy_of(values, 2) - 2 * negentropy_of(values, 1)

    v = float(ds["fluctuation"][-1])
    skew = float(np.mean((G / G.mean() - 1) ** 3)) / v**2
    for name, statistic, theory in (
        ("negentropy", lambda values: negentropy_of(values, 2), negentropy(4).subs(M, 2)),
        ("between_neurons", between, shared(1, 1, 4)),
    ):
        value, error = jackknife(statistic, G)
        left_out = abs(float(theory.coeff(V, 4).subs(SKEW, skew))) * v**4
        assert abs(value - float(ds[name][-1])) < 4.5 * error + left_out, name
        assert error < 0.1 * value, name
        # control: half the fluctuation
        assert abs(value - float(theory.coeff(V, 2)) * (v / 2) ** 2) > 4.5 * error + left_out, name


def test_real_networks_between_two_inputs(sampled):
    """The mutual information of one output at two inputs, from the mixture's density on a grid."""
    net = rg.MLP.uniform(n_in=2, width=24, depth=4, n_out=1, activation="tanh")
    ds = information(net, INPUTS, order=2)
    side = np.linspace(-7, 7, 57)
    scale = np.sqrt(np.diagonal(sampled.mean(axis=0)))
    step = side[1] - side[0]
    first, second = (side[:, None] * scale[0]).reshape(-1, 1), (side[None, :] * scale[1]).reshape(1, -1)

    def density(G):
        det = G[:, 0, 0] * G[:, 1, 1] - G[:, 0, 1] ** 2
        a, b, c = G[:, 1, 1] / det, -G[:, 0, 1] / det, G[:, 0, 0] / det
        form = a[:, None, None] * first**2 + 2 * b[:, None, None] * first * second + c[:, None, None] * second**2
        return (np.exp(-form / 2) / (2 * np.pi * np.sqrt(det))[:, None, None]).mean(axis=0) * np.prod(scale)

    densities = np.array([density(sampled[part]) for part in np.array_split(np.arange(len(sampled)), 20)])

    def statistic(parts):
        p = parts.mean(axis=0)
        one, two = p.sum(axis=1) * step, p.sum(axis=0) * step
        assert abs(p.sum() * step**2 - 1) < 1e-3
        return float(np.sum(p * np.log(p / np.outer(one, two))) * step**2)

    value, error = jackknife(statistic, densities)
    theory, limit = (float(ds[name][-1, 0, 1]) for name in ("mutual_information", "mutual_information_infinite"))
    assert abs(value - theory) < 4.5 * error
    assert value - limit > 4.5 * error  # control: infinite width knows less

    def entropy(parts):
        one = parts.mean(axis=0).sum(axis=1) * step
        return float(np.log(scale[0]) - np.sum(one * np.log(one)) * step)

    value, error = jackknife(entropy, densities)
    theory, limit = (float(ds[name][-1, 0]) for name in ("entropy", "entropy_infinite"))
    assert abs(value - theory) < 4.5 * error
    assert abs(value - limit) > 4.5 * error  # control


def test_many_inputs_are_what_each_is():
    """Entropies of three inputs, one of them twice, equal those of one; information with itself is infinite."""
    net = rg.MLP.uniform(n_in=2, width=50, depth=3, n_out=4, activation="tanh")
    ds = information(net, np.array([*INPUTS, INPUTS[0]]), neurons=3)
    one = information(net, INPUTS[1], neurons=3)
    for name in ("entropy", "entropy_infinite", "negentropy", "between_neurons", "fluctuation"):
        np.testing.assert_allclose(ds[name][:, 1], one[name], rtol=1e-9, err_msg=name)
    own = ds["mutual_information"].values
    assert np.isinf(own[:, 0, 2]).all()
    assert np.isinf(np.einsum("laa->la", own)).all()
    np.testing.assert_allclose(own[:, 0, 1], own[:, 1, 2], rtol=1e-12)
    assert (ds.attrs["kind"], ds.attrs["neurons"]) == ("information", 3)
    assert "mutual_information" not in one
    gain = (
        information(net, INPUTS, neurons=6)["mutual_information_infinite"]
        / ds["mutual_information_infinite"][:, :2, :2]
    )
    np.testing.assert_allclose(gain[:, 0, 1], 2.0, rtol=1e-12)


def test_it_is_kept_with_its_network(tmp_path):
    net = linear(90)
    ds = information(net, INPUTS)
    rg.save(ds, tmp_path / "x.nc")
    again = rg.load(tmp_path / "x.nc")
    assert again.identical(ds)
    assert rg.Network.from_json(again.attrs["network"]) == net


def test_refusals_and_the_end_of_the_domain():
    net = rg.MLP.uniform(n_in=2, width=8, depth=12, n_out=1, activation="relu", C_W=2.0)
    with pytest.warns(DomainWarning, match=r"beyond 0.5: it passes that at layer 2"):
        information(net, first_kernel=1.0)
    for order in (0, 3, True, 1.0):
        with pytest.raises(InputError):
            information(net, first_kernel=1.0, order=order)
    with pytest.raises(InputError, match="what does not vary has no entropy"):
        information(linear(4), first_kernel=0.0)
    for neurons in (0, 10**400):
        with pytest.raises(InputError):
            information(linear(4), first_kernel=1.0, neurons=neurons)


def test_many_neurons_end_the_series_earlier():
    """v = 0.1 and 100 neurons: between_neurons has no meaning at either order, and it is said; with 2 it has."""
    for order in (1, 2):
        net = rg.MLP.uniform(n_in=2, width=100, depth=3, n_out=100, activation="relu", C_W=2.0)
        with pytest.warns(DomainWarning, match=r"what 100 neurons share over the first is 5\.[35], .* at layer 2"):
            ds = information(net, first_kernel=1.0, order=order)
        assert not ds["trusted"]
        exact = mixture_information(50, 50, 0.1, "log-normal")[0]
        assert abs(float(ds["between_neurons"][-1]) / exact - 1) > 1
        ds = information(net, first_kernel=1.0, order=order, neurons=2)
        assert ds["trusted"]
        assert dict(zip(ds["doubt"].values, ds["measure"].values, strict=True)) == pytest.approx(
            {"fluctuation": 0.1, "series": 26 / 6 * 0.1}, rel=0.03
        )


@pytest.mark.parametrize("name", ["tanh", "gelu"])
def test_near_inputs(name):
    """Turning both inputs changes rounding alone, which the numerical error bounds; what has no digit is refused."""
    net = rg.MLP.uniform(n_in=2, width=100, depth=3, n_out=2, activation=name, C_b=0.1)
    c, s = math.cos(0.3), math.sin(0.3)

    def turned(distance):
        x = np.array([[1.0, 0.5], [1.0, 0.5 + distance]])
        return [information(net, given) for given in (x, x @ [[c, s], [-s, c]])]

    def worst(pair):
        one, other = (ds["mutual_information"].values[:, 0, 1] for ds in pair)
        error = pair[0]["mutual_information_error"].values[:, 0, 1]
        assert np.all(abs(one - other) <= 2 * error)
        return np.max(error / one)

    assert worst(turned(0.1)) < worst(turned(0.01)) < 1e-4
    with pytest.warns(DomainWarning, match="relative error of information between inputs"):
        pair = turned(0.001)
    assert 1e-3 < worst(pair) < 1
    with pytest.raises(AccuracyError, match="inputs 0 and 1 are too near"):
        turned(0.0001)
