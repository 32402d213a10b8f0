"""The flow of transformers: against the paper's recursions, its limits, its errors and what it refuses."""

import pickle

import numpy as np
import pytest
from oracles import paper_transformer as paper

import rgflow as rg
from rgflow.network.transformer import Transformer
from rgflow.transformer import transformer_chain, transformer_flow
from rgflow.transformer.stages import Product

RNG = np.random.default_rng(20)
X = RNG.normal(size=(3, 6))
DISTINCT = {
    "Lambda_patch": 0.7,
    "Lambda_PE": 0.3,
    "Lambda_Q": 1.1,
    "Lambda_K": 0.9,
    "Lambda_V": 0.8,
    "Lambda_U": 1.2,
    "Lambda_W": 0.6,
    "Lambda_X": 0.5,
    "Lambda_head": 1.3,
    "Lambda_bhead": 0.4,
}
VARIANCES = {"C_Q": 1.5, "C_K": 1.2, "C_V": 0.8, "C_U": 1.3, "C_W": 1.1, "C_X": 0.9, "C_PE": 0.2, "C_bhead": 0.1}


def net(**changes):
    given = {"width": 64, "heads": 4, "blocks": 2, "n_in": 6, "positions": 5} | DISTINCT | VARIANCES
    return Transformer(**given | changes)


def distances(ds, name, expected):
    """Distances in standard errors, of the entries that have one."""
    off = (ds[name].values - expected) / np.where(ds[f"{name}_error"] > 1e-9, ds[f"{name}_error"], np.nan)
    return np.abs(off[np.isfinite(off)])


# The paper's recursions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", ["gelu", "tanh"])
def test_the_papers_recursions_of_two_tokens(sigma):
    """Softmax averages are drawn here and integrated there: within errors that are small."""
    here = net(activation=sigma)
    ds = transformer_flow(here, X[:2], draws=2**15, seed=3)
    K, Theta = paper.flow(here, X[:2])
    for name, expected in (("K", K), ("Theta", Theta)):
        assert distances(ds, name, expected).max() < 5  # 15 degrees of freedom, 40 entries
        # Errors of shifted Sobol points are far below those of as many random ones.
        assert np.all(ds[f"{name}_error"] < 1e-3 * np.abs(expected).max())
        assert np.abs(ds[name].values - expected).max() < 3e-3 * np.abs(expected).max()


def test_control_a_missing_share_is_seen(monkeypatch):
    """Without the slopes of softmax the tangent kernel is far from the paper's."""
    here = net()
    _, Theta = paper.flow(here, X[:2])
    shares = Product.shares.fget

    def fewer(self):
        return tuple(s for s in shares(self) if not any(f.what == "Theta" and f.stage == "q" for f in s.factors))

    monkeypatch.setattr(Product, "shares", property(fewer))
    ds = transformer_flow(here, X[:2], seed=3)
    assert distances(ds, "Theta", Theta).max() > 20


def test_the_slope_of_the_kernel():
    """In depth G grows by C_X <ss> + C_U C_V S each pair of blocks (claim of the paper), once tokens have aligned."""
    here = net(blocks=24)
    ds = transformer_flow(here, X[:2], draws=2**8, seed=1)
    G = ds.K.values[-2]
    after, _ = paper.attention(here, G, np.zeros((2, 2)))
    slope = (paper.mlp(here, after, np.zeros((2, 2)))[0] - G)[0, 0]
    K = ds.K.values[0:-1:2, 0, 0]
    fitted = np.polyfit(np.arange(13), K[12:], 1)[0]
    assert fitted == pytest.approx(slope, rel=0.02)
    assert abs(np.polyfit(np.arange(13), K[12:], 2)[0]) * 13 < 0.02 * slope  # linear
    # Without LayerNorm it grows exponentially (footnote 16).
    free = transformer_flow(here.changed(norm="none", blocks=8), X[:2], draws=2**9).K.values[1:-1:2, 0, 0]
    assert np.all(free[1:] / free[:-1] > 1.5)


# Limits that are simpler layers ---------------------------------------------------------------------------------------


def branches(here, kinds, activation):
    """The network of ordinary layers that a transformer without LayerNorm is, if tokens do not mix."""
    from rgflow.network import Dense
    from rgflow.network.kinds.branch import Branch
    from rgflow.network.kinds.linear import Linear

    zero = {"C_b": 0.0, "C_a": 0.0, "lambda_b": 0.0, "lambda_a": 0.0}
    names = {"mlp": "WX", "attention": "VU"}
    blocks = []
    for kind in kinds:
        V, U = names[kind]
        values = {
            "C_W": here.value(f"C_{V}"),
            "C_V": here.value(f"C_{U}"),
            "lambda_W": here.value(f"Lambda_{V}"),
            "lambda_V": here.value(f"Lambda_{U}"),
        }
        blocks.append(Branch(**zero, **values))
    first = Dense(C_b=0.0, C_W=here.C_patch, lambda_b=0.0, lambda_W=here.Lambda_patch)
    last = Linear(C_b=here.C_bhead, C_W=here.C_head, lambda_b=here.Lambda_bhead, lambda_W=here.Lambda_head)
    layers = [first, *blocks, last]
    return rg.Network(layers, [6, *[64] * (len(layers) - 1), 1], activation)


@pytest.mark.parametrize("sigma", ["tanh", "gelu", "relu"])
def test_without_layernorm_mlp_blocks_are_residual_branches(sigma):
    here = net(blocks=("mlp",) * 3, norm="none", C_PE=0.0, Lambda_PE=0.0, activation=sigma)
    ds = transformer_flow(here, X)
    plain = rg.flow(branches(here, here.blocks, sigma), inputs=X, tensors=["K", "Theta"], order=0)
    for name in ("K", "Theta"):
        np.testing.assert_allclose(ds[name].values, plain[name].values, rtol=1e-9, atol=1e-9)
        assert not ds[f"{name}_error"].any()


def test_one_token_is_a_linear_branch():
    """Attention of a single token has no choice: y = V s, whatever queries and keys are."""
    here = net(blocks=("attention",) * 3, norm="none", C_PE=0.0, Lambda_PE=0.0)
    ds = transformer_flow(here, X[:, None, :])  # three inputs of one token
    plain = rg.flow(branches(here, here.blocks, "linear"), inputs=X, tensors=["K", "Theta"], order=0)
    for name in ("K", "Theta"):
        np.testing.assert_allclose(ds[name].values[:, :, 0, :, 0], plain[name].values, rtol=1e-12)
        assert not ds[f"{name}_error"].any()
    for group in ("Q", "K"):
        assert not ds.Theta_by_group.sel(group=group).any()


@pytest.mark.parametrize("mask", ["full", "causal"])
def test_zero_queries_average_tokens(mask):
    """One head, C_Q = 0: Omega is uniform, so that a block is z + U V P s with the averages P of tokens."""
    here = net(blocks=("attention",) * 2, heads=1, C_Q=0.0, Lambda_Q=0.0, norm="none", mask=mask)
    ds = transformer_flow(here, X)
    P = np.ones((3, 3)) if mask == "full" else np.tril(np.ones((3, 3)))
    P /= P.sum(axis=1, keepdims=True)
    G, Theta = paper.stem(here, X)
    for block in (1, 2):
        rates = here.C_U * here.Lambda_V + here.C_V * here.Lambda_U
        G, Theta = G + here.C_U * here.C_V * P @ G @ P.T, Theta + P @ (rates * G + here.C_U * here.C_V * Theta) @ P.T
        np.testing.assert_allclose(ds.K[block], G, rtol=1e-12)
        np.testing.assert_allclose(ds.Theta[block], Theta, rtol=1e-12)
    assert not ds.K_error.any()
    assert not ds.Theta_error.any()


def test_zero_queries_that_learn():
    """With Lambda_Q > 0 the slopes at uniform rows enter: J = (1 - P)/T for every row."""
    here = net(blocks=("attention",), heads=1, C_Q=0.0, norm="none")
    ds = transformer_flow(here, X)
    G, _ = paper.stem(here, X)
    J = (np.eye(3) - 1 / 3) / 3
    expected = here.C_U * here.C_V * here.C_K * here.Lambda_Q * G * np.sum((J @ G @ J) * G)
    np.testing.assert_allclose(ds.Theta_by_group.sel(group="Q")[1], expected, rtol=1e-12)


# One input among others, masks, words ---------------------------------------------------------------------------------


def test_inputs_do_not_mix():
    here = net(blocks=1)
    both = transformer_flow(here, X.reshape(1, 3, 6)[[0, 0]] * np.array([1.0, 0.5])[:, None, None], draws=2**13)
    alone = transformer_flow(here, X, draws=2**13)
    off = both.K.values[:, 0, :, 0, :] - alone.K.values
    assert np.abs(off).max() < 5 * np.hypot(both.K_error.values[:, 0, :, 0, :], alone.K_error).max() + 1e-12
    assert both.K.dims == ("block", "sample0", "token0", "sample1", "token1")


def test_the_first_token_of_a_causal_mask_sees_itself():
    full, one = transformer_flow(net(mask="causal"), X), transformer_flow(net(), X[:1])
    np.testing.assert_allclose(full.Theta[:, 0, 0], one.Theta[:, 0, 0], rtol=1e-10)


def test_equal_words_at_different_positions():
    here = Transformer(
        width=8, heads=2, blocks=1, n_in=9, positions=4, stem="words", tied=True, C_PE=0.0, Lambda_PE=0.0
    )
    ds = transformer_flow(here, [3, 3, 1], draws=2**10)
    assert ds.group.values.tolist() == ["WE", "PE", "Q", "K", "V", "U", "W", "X"]
    for name in ("K", "Theta"):  # the same word twice, without positions: the same token
        np.testing.assert_allclose(ds[name][:, 0], ds[name][:, 1], rtol=1e-7)
    head = ds.Theta_by_group.sel(group="WE")
    N = 1 / (ds.K.values[-2, 0, 0] + here.eps)
    K, Theta = ds.K.values[-2, 0, 0] * N, head[-2, 0, 0] * N
    assert float(head[-1, 0, 0]) == pytest.approx(float(K + Theta), rel=1e-3)  # both places of W^WE


def test_pooling_averages_outputs():
    ds = transformer_flow(net(pooling="mean"), X, draws=2**8)
    assert float(ds.K_pooled) == pytest.approx(float(ds.K[-1].mean()))
    assert float(ds.Theta_pooled_by_group.sum()) == pytest.approx(float(ds.Theta[-1].mean()))


def test_relu_of_equal_tokens():
    """Kinks: equal tokens are one, those that nearly are have an error that says so."""
    here = net(activation="relu", C_PE=0.0, Lambda_PE=0.0, mask="full")
    ds = transformer_flow(here, X[[0, 0, 1]], draws=2**8)
    np.testing.assert_allclose(ds.Theta[:, 0], ds.Theta[:, 1], rtol=1e-6)


@pytest.mark.parametrize("sigma", ["gelu", "tanh"])
def test_many_tokens_go_together(sigma):
    """Series of many pairs against quadrature of single ones, also of tokens that nearly coincide."""
    from rgflow.transformer.averages import _one_by_one, token_averages

    z = np.random.default_rng(0).normal(size=(2, 40, 12))
    z[:, 1] = z[:, 0] * (1 + 1e-9)
    z[:, 2] = z[:, 0] + 1e-5 * z[:, 3]
    kernel = np.einsum("rtj,ruj->rtu", z, z) / 12
    sigma = rg.activation(sigma)
    *together, error = token_averages(sigma, kernel)
    *single, _ = _one_by_one(sigma, kernel)
    assert error < 1e-10
    for one, other in zip(together, single, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-11)


# Numbers and their errors ---------------------------------------------------------------------------------------------


def test_seeds_and_draws():
    first, again, other = (transformer_flow(net(), X, draws=2**10, seed=s) for s in (5, 5, 6))
    assert first.identical(again)
    off = np.abs(first.Theta - other.Theta) / np.hypot(first.Theta_error, other.Theta_error)
    assert 0 < np.nanmax(off.values) < 6
    more = transformer_flow(net(), X, draws=2**14, seed=5)
    # Random points would halve the error with four times the draws; these do at least that.
    assert float(more.Theta_error.max()) < float(first.Theta_error.max()) / 3


def test_contractions_against_explicit_slopes():
    """Averages over rows, by explicit Jacobians of softmax."""
    from rgflow.transformer.softmax import _contracted

    rng = np.random.default_rng(2)
    rows = rng.random((5, 4, 4))
    rows /= rows.sum(axis=2, keepdims=True)
    V, Y = ((lambda m: m @ m.T)(rng.normal(size=(4, 4))) for _ in range(2))
    J = np.einsum("dta,ab->dtab", rows, np.eye(4)) - np.einsum("dta,dtb->dtab", rows, rows)
    square, slope = _contracted(rows, V[None], Y[None], V)
    np.testing.assert_allclose(square[0], np.einsum("nta,ab,nub->tu", rows, V, rows))
    np.testing.assert_allclose(slope[0], np.einsum("ntab,ac,nuce,be->tu", J, V, J, Y))


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (np.zeros((0, 6)), "empty"),
        (np.zeros((3, 0, 6)), "empty"),
        (np.zeros((6, 6)), "6 tokens; this transformer has 5 positions"),
        (np.zeros((3, 5)), "patches"),
        (np.zeros(6), "patches"),
        ([[1.0] * 6, [np.nan] * 6], "NaN"),
        (np.full((2, 6), 1e200), "overflow"),
        ("text", "real numbers"),
        (None, "real numbers"),
    ],
)
def test_bad_patches(inputs, says):
    with pytest.raises(rg.InputError, match=says):
        transformer_flow(net(), inputs)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ([0, 9], "word 9"),
        ([-1, 0], "word -1"),
        ([0.0, 1.0], "integers"),
        ([True, False], "integers"),
        ([[0, 1], [2]], "words"),
        ([], "empty"),
        (3, "takes words"),
        (np.ma.masked_equal([1, 2], 2), "masked"),
    ],
)
def test_bad_words(inputs, says):
    here = Transformer(width=8, heads=2, blocks=1, n_in=9, positions=4, stem="words")
    with pytest.raises(rg.InputError, match=says):
        transformer_flow(here, inputs)


def test_bad_arguments():
    with pytest.raises(rg.InputError, match="draws"):
        transformer_flow(net(), X, draws=3)
    with pytest.raises(rg.InputError, match="give a Transformer"):
        transformer_flow(rg.MLP([2, 2], "tanh"), X)
    with pytest.raises(rg.InputError, match="seed"):
        transformer_flow(net(), X, seed="a")
    with pytest.raises(rg.AccuracyError, match="overflow at block"):
        transformer_flow(net(norm="none", C_V=1e200, C_U=1e200, blocks=4), X)
    with pytest.raises(rg.AccuracyError, match="vanishes"):
        transformer_flow(net(eps=0.0, C_PE=0.0), np.zeros((2, 6)))


# As one reads it ------------------------------------------------------------------------------------------------------


def test_rules_can_be_read():
    found = transformer_chain(net(), "mlp")
    assert found.lines()[0] == "K_z' = K_z + C_X <σσ>_w"
    assert "Theta_l = Theta_q K_k + K_q Theta_k" in str(transformer_chain(net(), "attention"))
    assert r"\langle\partial\Omega\,\partial\Omega\rangle" in transformer_chain(net(), "attention").latex()
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(rg.UnknownName, match="mlp"):
        transformer_chain(net(), "MLP")
    with pytest.raises(rg.InputError, match="give a Transformer"):
        transformer_chain(rg.MLP([2, 2], "tanh"), "mlp")
