"""The description of a transformer: what it counts, how it is kept, and what it refuses."""

import copy
import pickle

import pytest

import rgflow as rg
from rgflow.network.transformer import Transformer

SMALL = {"width": 8, "heads": 2, "blocks": 2, "n_in": 3, "positions": 4}


def test_parameter_counts_of_the_paper():
    """ViT-B/16, BART-large and R2C2 (section 4); a decoder's attention to the encoder is one more attention block."""
    vit = Transformer(width=768, heads=12, blocks=12, n_in=16 * 16 * 3, positions=196, n_out=1000, pooling="mean")
    assert sum(vit.parameters.values()) == pytest.approx(86e6, rel=0.01)
    for n, heads, layers, vocabulary, positions, expected in (
        (1024, 16, 12, 50_265, 1024, 405e6),
        (2048, 32, 22, 50_265, 1024, 2.7e9),
    ):
        words = {"n_in": vocabulary, "positions": positions, "stem": "words", "tied": True}
        encoder = Transformer(width=n, heads=heads, blocks=layers, **words)
        decoder = encoder.changed(blocks=("attention", "attention", "mlp") * layers)
        both = sum(encoder.parameters.values()) + sum(decoder.parameters.values()) - decoder.parameters["WE"]
        assert both == pytest.approx(expected, rel=0.01)


def test_groups_shapes_and_fans():
    here = Transformer(**SMALL, n_out=5)
    assert here.blocks == ("attention", "mlp") * 2
    assert here.groups == ("patch", "PE", "Q", "K", "V", "U", "W", "X", "head", "bhead")
    assert [here.fan_in(group) for group in here.groups] == [3, 1, 8, 8, 8, 8, 8, 32, 8, 1]
    assert here.shape("W") == (32, 8)
    assert here.parameters["X"] == 2 * 8 * 32
    tied = Transformer(**SMALL, stem="words", tied=True)
    assert tied.n_out == 3
    assert "head" not in tied.groups
    assert Transformer(**SMALL | {"blocks": "mlp"}).groups == ("patch", "PE", "W", "X", "head", "bhead")
    assert Transformer(**SMALL | {"blocks": 0}).copies("PE") == 1


def test_kept_compared_and_written():
    here = Transformer(**SMALL, activation="z*tanh(z)", C_Q=0.5, Lambda_PE=0.0)
    assert pickle.loads(pickle.dumps(here)) == here == copy.deepcopy(here)
    assert hash(here) == hash(here.changed())
    assert Transformer.from_json(here.to_json()) == here
    assert here.changed(C_Q=1.0) != here
    assert (here.value("C_Q"), here.value("Lambda_PE")) == (0.5, 0.0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"heads": 3}, "divide the width 8"),
        ({"heads": 0}, "heads is 0"),
        ({"width": 8.0}, "width is 8.0"),
        ({"width": True}, "width is True"),
        ({"blocks": -1}, "blocks is -1"),
        ({"blocks": 10**9}, "at most"),
        ({"blocks": ("attention", "conv")}, "'conv'"),
        ({"blocks": [1]}, "a block is 1"),
        ({"positions": 0}, "positions"),
        ({"n_in": "3"}, "n_in"),
        ({"stem": "text"}, "'patch' or 'words'"),
        ({"mask": None}, "'full' or 'causal'"),
        ({"pooling": "max"}, "'none' or 'mean'"),
        ({"norm": "rms"}, "'layer' or 'none'"),
        ({"tied": True}, "stem='words'"),
        ({"tied": 1}, "True or False"),
        ({"tied": True, "stem": "words", "n_out": 2}, "3 words"),
        ({"eps": -1e-5}, "eps"),
        ({"C_Q": float("nan")}, "C_Q"),
        ({"Lambda_X": -1}, "Lambda_X"),
        ({"C_PE": "0.1"}, "C_PE"),
        ({"activation": "import os"}, "import os"),
    ],
)
def test_refused(changes, says):
    with pytest.raises(rg.RgflowError, match=says):
        Transformer(**SMALL | changes)


def test_unknown_names():
    with pytest.raises(rg.UnknownName, match="C_Q"):
        Transformer(**SMALL, C_q=1.0)
    here = Transformer(**SMALL)
    for wrong in (lambda: here.changed(widht=3), lambda: here.fan_in("WE"), lambda: here.value("C_WW")):
        with pytest.raises(rg.UnknownName):
            wrong()


@pytest.mark.parametrize("text", ["", "[]", '{"kind": "MLP"}', '{"kind": "Transformer", "width": 3}', None])
def test_other_text(text):
    with pytest.raises(rg.InputError):
        Transformer.from_json(text)
