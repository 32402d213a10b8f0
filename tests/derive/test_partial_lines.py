"""Recursions of partial Jacobians as they are printed, and that they are those of a network that trains nothing."""

import pickle

import pytest
import sympy as sp

import rgflow as rg
from rgflow.algebra.partial import Partial, partial_named
from rgflow.derive.step import step
from rgflow.layers import laws
from rgflow.layers.probed import Probed

HIDDEN = "J_h' = C_W J\n"
LINES = {
    "Dense": "J' = C_W J <σ'σ'>",
    "Orthogonal": "J' = C_W J <σ'σ'>",
    "Linear": "J' = C_W J",
    "Residual": "J' = skip^2 J + C_W J <σ'σ'>",
    "Branch": HIDDEN + "J' = J + C_V J_h <σ'σ'>_h",
    "Gated": HIDDEN + "J' = J + gate^2 C_V J_h <σ'σ'>_h",
    "Reduced": HIDDEN + "J' = J + J_h <σ'σ'>_h",
    "Projection": HIDDEN + "J' = C_V J_h <σ'σ'>_h + C_P J",
}


@pytest.mark.parametrize("kind", LINES)
def test_the_line_of_every_kind(kind):
    assert str(rg.derive("J", layer=getattr(rg, kind)())) == LINES[kind]


def test_next_order_of_dense_layers():
    """Theta_1 and A with every rate zero, under letters of their own."""
    assert str(rg.derive("J_1")) == (
        "J_1' = r C_W J_1 <σ'σ'> + 1/2 r C_W D_J <∂^2[σ'σ']> + r C_W F_J <∂^2[σ'σ']>"
        " + 1/2 r C_W J K_1 <∂^2[σ'σ']> + 1/8 r C_W J V <∂^4[σ'σ']>"
    )
    assert set(rg.derive("J_1").depends_on) == {"K", "K_1", "V", "J", "J_1", "D_J", "F_J"}
    assert str(rg.derive("V_J")) == (
        "V_J' = C_W^2 J^2 <σ'σ'σ'σ'> - C_W^2 J^2 <σ'σ'>^2 + r C_W^2 V_J <σ'σ'>^2"
        " + r C_W^2 J D_J <σ'σ'> <∂^2[σ'σ']> + 1/4 r C_W^2 J^2 V <∂^2[σ'σ']>^2"
    )


@pytest.mark.parametrize(("name", "full"), [("J", "Theta"), ("J_1", "Theta_1"), ("V_J", "A")])
@pytest.mark.parametrize("samples", ["one", "many"])
def test_they_are_the_tangent_kernel_s_without_rates(name, full, samples):
    """Terms without a learning rate, one by one: the second way to drop them."""
    mine, whole = rg.derive(name, samples), rg.derive(full, samples)
    kept = [t for t in whole.terms if not any(symbol.startswith("lambda") for symbol, _ in t.symbols)]
    assert len(kept) < len(whole.terms)

    def plain(terms):
        return {(t.coefficient, t.symbols, t.r, t.brackets, _structures(t)) for t in terms}

    def _structures(t):
        return tuple((v.tensor.structure, v.tensor.order, v.indices) for v in t.tensors)

    assert plain(mine.terms) == plain(kept)


def test_latex_and_closed_forms():
    assert rg.derive("J").latex() == (
        r"J^{(\ell+1)} = C_W\,J^{(\ell)}\,\langle \sigma^{\prime}\sigma^{\prime} \rangle_K"
    )
    assert r"{V_J}^{(\ell+1)}" in rg.derive("V_J").latex()
    lines = rg.derive("J_1", layer=rg.Branch()).latex()
    assert r"\Theta" not in lines
    assert all(text in lines for text in (r"{D_J}_{h}", r"J^{\{1\}\prime}_{h}"))
    assert rg.derive("J", samples="many").latex().startswith(r"J^{(\ell+1)}_{12}")
    C_W, J = sp.Symbol("C_W", nonnegative=True), sp.Symbol("J", real=True)
    K = sp.Symbol("K", positive=True)
    assert rg.closed_form(rg.derive("J"), "relu") == C_W * J / 2
    assert sp.simplify(rg.closed_form(rg.derive("J"), "erf") - 4 * C_W * J / (sp.pi * sp.sqrt(1 + 4 * K))) == 0


def test_they_are_descriptions_like_any_other():
    for name in ("J", "J_1", "V_J"):
        for layer in (rg.Dense(), rg.Branch()):
            found = rg.derive(name, layer=layer)
            assert pickle.loads(pickle.dumps(found)) == found == rg.derive(partial_named(name), layer=layer)
            assert (hash(found), found.name) == (hash(rg.derive(name, layer=layer)), name)
    assert Partial(rg.Tensor.named("Theta").structure) != rg.Tensor.named("Theta")
    law = Probed(laws(rg.Residual())[0], source=True)
    assert pickle.loads(pickle.dumps(law)) == law


def test_wrong_names_and_orders():
    for wrong in ("J_", "J2", "W_J", "j"):
        with pytest.raises(rg.UnknownName):
            rg.derive(wrong)
    with pytest.raises(rg.OrderError, match="order"):
        rg.derive("J_1", layer=rg.Reduced())
    with pytest.raises(rg.InputError, match="closure"):
        rg.derive("J", closure="half")
    with pytest.raises(rg.InputError, match="weight matrices"):
        rg.derive("J_1", layer=rg.Branch(), closure="book")


def test_control_a_rate_that_is_kept_is_seen(monkeypatch):
    """The control: a law that keeps its rates has another recursion."""
    tensor, law = rg.Tensor.named("Theta"), Probed(laws(rg.Dense())[0])

    def rates():
        symbols = [symbol for term in step(tensor, "one", law) for symbol, _ in term.symbols]
        return [symbol for symbol in symbols if symbol.startswith("lambda")]

    assert rates() == []
    monkeypatch.setattr(Probed, "integrand", lambda self, a, b: self.law.integrand(a, b))
    assert rates() == ["lambda_W"]
