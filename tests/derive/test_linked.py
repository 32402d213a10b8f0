"""Derived lines of layers with a past or with several weights, against lines typed by hand."""

import pytest

import rgflow as rg
from rgflow.algebra import Linked, Tensor
from rgflow.algebra.response import Neuron, ask, joint
from rgflow.derive.noise import covariance

LINES = {
    ("Residual", "V"): [
        "V = n <δG δG> + 2 n <η[z z] δG>",
        "n <η[f](l) η[g](m)> = <f(z^l) g(z^m)> - <f(z^l)> <g(z^m)>",
        "δG' = skip^2 δG + C_W η[σσ] + 1/2 C_W <∂^2[σσ]> δG",
    ],
    ("Residual", "K_1"): [
        "n <η[f](l) η[g](m)> = <f(z^l) g(z^m)> - <f(z^l)> <g(z^m)>",
        "K_1' = skip^2 K_1 + 1/2 C_W <∂^2[σσ]> K_1 + 1/2 C_W n <η[∂^2[σσ]] δG> + 1/8 C_W <∂^4[σσ]> V",
    ],
    ("Branch", "K"): ["K_h' = C_b + C_W K", "K' = C_a + K + C_V <σσ>_h"],
    ("Branch", "Theta"): [
        "Theta_h' = lambda_b + C_W Theta + lambda_W K",
        "Theta' = lambda_a + Theta + C_V Theta_h <σ'σ'>_h + lambda_V <σσ>_h",
    ],
    ("Reduced", "K"): ["K_h' = C_b + C_W K", "K' = K + <σσ>_h"],
    ("Projection", "K"): ["K_h' = C_b + C_W K", "K' = C_a + C_V <σσ>_h + C_P K"],
    ("Projection", "V"): [
        "V = n <δG δG>",
        "n <η[f](l) η[g](m)> = <f(z^l) g(z^m)> - <f(z^l)> <g(z^m)>",
        "δG_h' = C_W η[z z] + C_W δG",
        "δG' = C_V η[σσ]_h + 1/2 C_V <∂^2[σσ]>_h δG_h + C_P η[z z] + C_P δG",
    ],
}
ONE_TIME = {
    # PDLT, appendix B (the published recursion of V, in which skip is gamma)
    "V": "V' = C_W^2 <σσσσ> - C_W^2 <σσ>^2 + 2 C_W skip^2 K^2 <∂^2[σσ]> + r skip^4 V + r C_W skip^2 V <∂^2[σσ]> "
    "+ 1/4 r C_W^2 V <∂^2[σσ]>^2",
    "K": "K' = C_b + skip^2 K + C_W <σσ>",
    "K_1": "K_1' = r skip^2 K_1 + 1/2 r C_W K_1 <∂^2[σσ]> + 1/8 r C_W V <∂^4[σσ]>",
}


@pytest.mark.parametrize(("kind", "name"), LINES)
def test_lines(kind, name):
    found = rg.derive(name, layer=getattr(rg, kind)())
    assert isinstance(found, Linked)
    assert str(found).splitlines() == LINES[kind, name]
    assert found.name == name
    assert len(found.assumptions) >= 4


@pytest.mark.parametrize("name", ONE_TIME)
def test_one_time(name):
    assert str(rg.derive(name, layer=rg.Residual(), closure="book")) == ONE_TIME[name]


def test_orthogonal_layers_gain_the_fourth_cumulant_of_their_weights():
    dense, haar = (rg.derive("V", samples="many", layer=layer) for layer in (rg.Dense(), rg.Orthogonal()))
    gained = [term for term in haar.terms if term not in dense.terms]
    assert len(gained) == 2
    assert len(haar.terms) == len(dense.terms) + 2
    assert "- C_W^2 narrowing <σ1 σ3> <σ2 σ4> - C_W^2 narrowing <σ1 σ4> <σ2 σ3>" in str(haar)
    assert "- C_W^2 narrowing Theta^2 <σ'σ'>^2" in str(rg.derive("B", layer=rg.Orthogonal()))
    for name in ("K_1", "Theta_1", "P", "Q"):  # Gaussian tangents: nothing of their own
        one, other = rg.derive(name), rg.derive(name, layer=rg.Orthogonal())
        assert one.terms == other.terms, name


def test_latex_holds_no_marks_of_the_text():
    for kind, name in LINES:
        text = rg.derive(name, layer=getattr(rg, kind)()).latex()
        assert not set("δησ∂<>") & set(text), text
        assert text.count("{") == text.count("}")


def test_a_linear_layer_needs_no_brackets():
    assert str(rg.derive("V", layer=rg.Linear())) == "V' = 2 C_W^2 K^2 + r C_W^2 V"
    assert str(rg.derive("Theta", layer=rg.Linear())) == "Theta' = lambda_b + lambda_W K + C_W Theta"


def test_equal_cumulants_have_one_name():
    assert joint(((0, 1), (1,)), ((0,), ())) == joint(((0,), (0, 1)), ((), (1,)))
    assert ask(Neuron((1,), 0, ((3,), (2,))), ((2, 3), ())) == ask(Neuron((1,), 0, ((0,), (1,))), ((), (0, 1)))
    assert Tensor.named("Q").pairs


def test_noise_of_plain_values_contracts_to_kernels():
    """<z z (l) z z (m)> - <z z><z z> = 2 K(l, m)^2; with an activation, K(l, m)^2 <d^2 g>."""
    found = covariance(Neuron(jets=((), ())), Neuron(jets=((), ())))
    assert [(term.kernels, term.connected) for term in found] == [((0, 2, 0), False)] * 2
    (only,) = covariance(Neuron(jets=((), ())), Neuron((0, 0)))
    assert (only.kernels, only.earlier.pending) == ((0, 2, 0), 2)
    (both,) = covariance(Neuron((0, 0)), Neuron((0, 0)))
    assert both.connected


def test_what_is_no_closure_is_refused():
    with pytest.raises(rg.InputError, match="closure is 'two'"):
        rg.derive("V", layer=rg.Residual(), closure="two")
    with pytest.raises(rg.InputError, match="2 weight matrices"):
        rg.derive("V", layer=rg.Branch(), closure="book")
    with pytest.raises(rg.InputError, match="2 weight matrices"):
        rg.closure("V", layer=rg.Branch())
    with pytest.raises(rg.InputError, match="is not a layer"):
        rg.derive("V", layer="residual")
    with pytest.raises(rg.OrderError, match="orthogonal"):
        rg.derive("V_1", layer=rg.Orthogonal())
