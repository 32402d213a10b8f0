"""Kinds of layers that the program does not know: criticality is right for them, or says what their law must be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, make_dataclass

import pytest

import rgflow as rg
from rgflow.layers import laws
from rgflow.layers.affine import Affine, Source
from rgflow.layers.kinds.orthogonal import Haar
from rgflow.network.layer import KINDS, Layer, real
from rgflow.universality.points import SCALE_INVARIANT

BIAS = ("C_b", "lambda_b")


@dataclass(frozen=True)
class TwiceWeighted(Affine):
    """Two factors of the weights' hyperparameters: z' = b + gate W sigma(z) + ..."""

    factor: str = "gate"

    def integrand(self, a, b):
        return tuple(
            part if part.own else part._replace(symbols=(*part.symbols, self.factor, self.factor))
            for part in super().integrand(a, b)
        )


REFUSED = {
    "gated weights": (TwiceWeighted("toy", BIAS), ("gate",)),
    "a gate, and a carry of another name": (TwiceWeighted("toy", BIAS, carry=("keep", 1)), ("gate", "keep")),
    "a carry of another name": (Affine("toy", BIAS, carry=("keep", 1)), ("keep",)),
    "a carry of 1": (Affine("toy", BIAS, carry=("", 1)), ()),
    "weights of another name": (Affine("toy", BIAS, (Source("C_V"),)), ("C_V",)),
    "biases of another name": (Affine("toy", ("C_a", "lambda_b")), ("C_a",)),
    "a rate of another name": (Affine("toy", BIAS, (Source("C_W", "lambda_V"),)), ("lambda_V",)),
    "a rate of biases of another name": (Affine("toy", ("C_b", "lambda_a")), ("lambda_a",)),
    "plain values beside sigma": (Affine("toy", BIAS, (Source(), Source("C_P", "", linear=True))), ("C_P",)),
    "a carry and no activation": (Affine("toy", BIAS, (Source(linear=True),), carry=("skip", 1)), ("skip",)),
    "nothing but a carry": (Affine("toy", BIAS, (), carry=("skip", 1)), ("skip",)),
    "twice C_W": (TwiceWeighted("toy", BIAS, factor="C_W"), ()),
    "weights without a name": (Affine("toy", BIAS, (Source("", ""),)), ()),
    "a hyperparameter that K does not show": (Affine("toy", BIAS), ("kurtosis",)),
    "two sources": (Affine("toy", BIAS, (Source(), Source())), ()),
    "weights that are not Gaussian, and a carry": (Haar("toy", BIAS, carry=("skip", 1)), ("skip",)),
}


@pytest.fixture
def kind_with() -> Iterator:
    """A kind of layer with the given law and further hyperparameters; forgotten after the test."""
    registry = next(cell.cell_contents for cell in laws.dispatch.__closure__ if isinstance(cell.cell_contents, dict))
    before, made = dict(KINDS), []

    def make(law, *names):
        fields = [(name, float, real(0.6)) for name in names]
        own = [(name, float, 1.0) for name in ("C_b", "C_W", "lambda_b", "lambda_W")]
        kind = make_dataclass("ToyOfTheKernelStep", [*fields, *own], bases=(Layer,), frozen=True)
        laws.register(kind, lambda layer: (law,))
        made.append(kind)
        return kind

    yield make
    for kind in made:
        del registry[kind]
    laws._clear_cache()
    KINDS.clear()
    KINDS.update(before)


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_another_law_is_refused_with_the_form_it_must_have(kind_with, case, name):
    law, names = REFUSED[case]
    layer = kind_with(law, *names)()
    with pytest.raises(rg.NoCriticalPoint, match=r"ToyOfTheKernelStep.*C_b \+ C_W <ss> \+ skip\^2 K"):
        rg.criticality(name, layer)
    with pytest.raises(rg.NoCriticalPoint, match=r"C_b \+ C_W <ss>"):
        rg.solve("K", name, layer=layer)
    net = rg.Network([rg.Dense(), layer, rg.Dense()], [2, 4, 4, 1], name)
    for ask in (rg.tune, rg.learning_rates):
        with pytest.raises(rg.NoCriticalPoint, match="layer 2: ToyOfTheKernelStep"):
            ask(net)


def test_a_law_for_odd_activations_asks_for_one(kind_with):
    layer = kind_with(Affine("toy", BIAS, odd=True))()
    with pytest.raises(rg.NoCriticalPoint, match="odd activations, and relu is not"):
        rg.criticality("relu", layer)
    assert rg.criticality("tanh", layer).C_W == 1.0


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu"])
def test_a_law_of_that_form_needs_nothing_else(kind_with, name):
    """The control: under a name of its own, what residual layers are."""
    law = Affine("toy", BIAS, carry=("skip", 1))
    layer = kind_with(law, "skip")(skip=0.6)
    found, known = rg.criticality(name, layer), rg.criticality(name, rg.Residual(skip=0.6))
    assert (found.C_b, found.C_W, found.K_star) == (known.C_b, known.C_W, known.K_star)
    assert found.vertex_growth == known.vertex_growth
    assert "in a toy layer, skip = 0.6" in str(found)
    if known.universality_class == SCALE_INVARIANT:
        assert rg.solve("V", name, layer=layer).check(5).passed
