"""Laws of the kinds of layers: every kind has them, and stages know their widths, numbers and populations."""

import pytest

import rgflow as rg
from rgflow.algebra import Jet
from rgflow.layers import laws
from rgflow.layers.stages import stages
from rgflow.network.layer import KINDS


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_laws_whose_symbols_are_its_hyperparameters(kind):
    layer = KINDS[kind]()
    used = set()
    for law in laws(layer):
        for edges in ((), (0,)):
            a = Jet(0, edges)
            used |= {"epsilon"} if law.scale else set()
            used |= set(law.constants(a, a)) | {s for part in law.integrand(a, a) for s in part.symbols}
    assert used == set(layer.hyperparameters())


def test_what_is_no_layer_has_no_laws():
    for wrong in (None, "dense", 3, rg.MLP([3, 1], "tanh")):
        with pytest.raises(rg.InputError, match="is not a layer"):
            laws(wrong)


def test_stages_of_branches():
    net = rg.Network(
        [rg.Linear(), rg.Branch(hidden=5), rg.Projection(C_P=0.5), rg.Residual(skip=0.3), rg.Linear()],
        [3, 8, 8, 6, 6, 1],
        "tanh",
    )
    found = stages(net)
    assert [stage.width for stage in found] == [8, 5, 8, 6, 6, 6, 1]
    assert [stage.fan_in for stage in found] == [3, 8, 5, 8, 6, 6, 6]
    assert [stage.layer for stage in found] == [1, 2, 2, 3, 3, 4, 5]
    assert [stage.last for stage in found] == [True, False, True, False, True, True, True]
    assert [stage.population for stage in found] == [0, 1, 0, 3, 4, 4, 6]
    assert found[5].product(("skip", "skip")) == pytest.approx(0.09)


def test_the_ratio_of_widths_of_an_orthogonal_layer():
    net = rg.Network([rg.Orthogonal(), rg.Orthogonal()], [4, 16, 8], "linear")
    assert [stage.value("narrowing") for stage in stages(net)] == [0.25, 1.0]


def test_reduced_blocks_hold_for_odd_activations():
    net = rg.Network([rg.Linear(), rg.Reduced(), rg.Linear()], [3, 8, 8, 1], "gelu")
    with pytest.raises(rg.InputError, match="odd activations, and gelu is not"):
        stages(net)
