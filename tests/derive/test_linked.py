"""Derived lines of layers with a past or with several weights, against lines typed by hand."""

import pytest

import rgflow as rg
from rgflow.algebra import Jet, Linked, Tensor
from rgflow.algebra.response import Neuron, ask, joint
from rgflow.derive.noise import CROSSED, Contraction, covariance

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


def test_lines_of_several_inputs():
    """A different sample in each argument: d_1 acts on sigma_1, and the response is the sum over both samples."""
    found = str(rg.derive("V", samples="many", layer=rg.Residual())).splitlines()
    assert found[0] == "V[1,2,3,4] = n <δG[z1 z2] δG[z3 z4]> + n <η[z1 z2] δG[z3 z4]> + n <η[z3 z4] δG[z1 z2]>"
    assert found[2:] == [
        "δG[z1 z2]' = skip^2 δG[z1 z2] + C_W η[σ1σ2] + 1/2 C_W <∂1^2[σ1σ2]> δG[z1 z1] "
        "+ C_W <∂1∂2[σ1σ2]> δG[z1 z2] + 1/2 C_W <∂2^2[σ1σ2]> δG[z2 z2]"
    ]
    assert str(rg.derive("K", samples="many", layer=rg.Branch())).splitlines() == [
        "K[1,2]_h' = C_b + C_W K[1,2]",
        "K[1,2]' = C_a + K[1,2] + C_V <σ1σ2>_h",
    ]


@pytest.mark.parametrize("name", ONE_TIME)
def test_one_time(name):
    assert str(rg.derive(name, layer=rg.Residual(), closure="book")) == ONE_TIME[name]


def test_what_a_recursion_rests_on_is_said():
    said = "\n".join(rg.derive("V", layer=rg.Residual(), closure="book").assumptions)
    assert "past taken as Gaussian" in said
    assert "skip are those of layer l+1" in said
    assert "narrowing are those of layer l+1" in "\n".join(rg.derive("V", layer=rg.Orthogonal()).assumptions)
    assert "mean of a metric entry" in "\n".join(rg.derive("K_1").assumptions)


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


def test_latex_of_orders_samples_and_inner_neurons():
    found = rg.derive("Theta", samples="many", layer=rg.Branch()).latex()
    assert r"\Theta^{\prime}_{12;h} &= \lambda_b + C_W\,\Theta_{12} + \lambda_W\,K_{12}" in found
    assert r"\langle \sigma'_{1}\sigma'_{2}\rangle _h" in found
    found = rg.derive("K_1", layer=rg.Branch()).latex()
    assert r"K^{\{1\}\prime}_{h} &= C_W\,K^{\{1\}}" in found
    found = rg.derive("V", samples="many", layer=rg.Residual()).latex()
    assert r"\mathrm{skip}^2\,\delta G[z_{1}\,z_{2}] + C_W\,\eta [\sigma_{1}\sigma_{2}]" in found
    assert r"\langle \partial_{1}\partial_{2}[\sigma_{1}\sigma_{2}]\rangle" in found


def test_a_linear_layer_needs_no_brackets():
    assert str(rg.derive("V", layer=rg.Linear())) == "V' = 2 C_W^2 K^2 + r C_W^2 V"
    assert str(rg.derive("Theta", layer=rg.Linear())) == "Theta' = lambda_b + lambda_W K + C_W Theta"


def test_equal_cumulants_have_one_name():
    z, e, f, ef = Jet(0), Jet(0, (0,)), Jet(0, (1,)), Jet(0, (0, 1))
    assert joint((ef, f), (e, z)) == joint((e, ef), (z, f))
    one, other = Jet(0, (2,)), Jet(0, (3,))
    factors = ((0, 1),)
    assert ask(Neuron(factors, (), (other, one)), (Jet(0, (2, 3)), z)) == ask(Neuron(factors, (), (e, f)), (z, ef))
    assert joint((Jet(1), Jet(2)), (z, z)) != joint((Jet(1), Jet(1)), (z, z))
    assert Tensor.named("Q").pairs


def test_noise_of_plain_values_contracts_to_kernels():
    """<z z (l) z z (m)> - <z z><z z> = 2 K(l, m)^2; with an activation, K(l, m)^2 <d^2 g>."""
    plain, square = Neuron(jets=(Jet(0), Jet(0))), Neuron(((0, 0), (0, 0)))
    crossed = (Contraction(CROSSED, (0, 0)),) * 2
    assert [(term.kernels, term.connected) for term in covariance(plain, plain)] == [(crossed, False)] * 2
    (only,) = covariance(plain, square)
    assert (only.kernels, only.earlier.acting) == (crossed, (0, 0))
    (both,) = covariance(square, square)
    assert both.connected


def test_what_is_no_closure_is_refused():
    with pytest.raises(rg.InputError, match="closure is 'two'"):
        rg.derive("V", layer=rg.Residual(), closure="two")
    with pytest.raises(rg.InputError, match="2 weight matrices"):
        rg.derive("V", layer=rg.Branch(), closure="book")
    with pytest.raises(rg.InputError, match="2 weight matrices"):
        rg.closure("V", layer=rg.Branch())
    with pytest.raises(rg.InputError, match=r"V of residual layers has no recursion.*closure='book'"):
        rg.closure(["K", "V"], layer=rg.Residual())
    with pytest.raises(rg.InputError, match=r"V of residual layers has no recursion.*closure='book'"):
        rg.compiled("V", "tanh", layer=rg.Residual())
    assert "skip" in rg.compiled("V", "tanh", layer=rg.Residual(), closure="book").source
    assert rg.closure(["K", "Theta"], layer=rg.Residual()).names == ("K", "Theta")
    assert rg.closure("V", layer=rg.Residual(), closure="book").names == ("K", "V")
    with pytest.raises(rg.InputError, match="is not a layer"):
        rg.derive("V", layer="residual")
    with pytest.raises(rg.OrderError, match="orthogonal"):
        rg.derive("V_1", layer=rg.Orthogonal())
