"""Names of a request for samples: the witness reads them as the theory does, without importing it."""

import numpy as np
import pytest

from rgflow.algebra import LETTERS, Tensor
from rgflow.errors import InputError, UnknownName
from rgflow.network import MLP
from rgflow.sampling import sample
from rgflow.sampling.names import JETS, validated_names


def test_the_tables_of_letters_agree():
    assert {letter: jets for letter, (jets, _) in LETTERS.items()} == JETS


@pytest.mark.parametrize("letter", JETS)
def test_jets_and_tensors_mean_their_letter(letter):
    tensor = Tensor.named(letter)
    for name in (letter, JETS[letter], f"G[{JETS[letter]}]", tensor):
        assert validated_names(name) == validated_names([name]) == (letter,)


def respelled(jets: str, rng: np.random.Generator) -> str:
    """The same jets in another order, with other directions and sample numbers."""
    letters = dict(zip("efg", rng.permutation(list("abcxyz")), strict=False))
    numbers = iter(rng.permutation(9) + 1)
    pairs = [[jet[1:] for jet in pair.split()] for pair in jets.split("|")]
    pairs = [[pair[i] for i in rng.permutation(2)] for pair in (pairs[i] for i in rng.permutation(len(pairs)))]
    return "|".join(" ".join(f"{next(numbers)}{''.join(letters[e] for e in jet)}" for jet in pair) for pair in pairs)


@pytest.mark.parametrize("letter", JETS)
def test_other_spellings_mean_the_letter_too(letter):
    rng = np.random.default_rng(0)
    for _ in range(20):
        name = respelled(JETS[letter], rng)
        assert validated_names([name]) == (Tensor.named(name).name,) == (letter,)


def test_spellings_of_one_tensor_are_one():
    assert validated_names(["V", "1 2|3 4", Tensor.named("V"), "K"]) == ("V", "K")
    ds = sample(MLP([2, 4, 4], "tanh"), first_kernel=1.0, tensors=["1 2|3 4"], networks=100, seed=1)
    assert set(ds.data_vars) == {"V", "V_se"}


@pytest.mark.parametrize("name", ["1 2|3 4|5e 6e", "1 2|3 4|5 6|7 8", "1 2|3e 4|5e 6", "G[1 2|3 4|5e 6e]"])
def test_what_is_not_sampled(name):
    with pytest.raises(InputError, match=r"not sampled; rg.sample measures K, Theta, V"):
        validated_names(name)


@pytest.mark.parametrize("name", ["K_1", "K_0", "1 2|3 4_1", "G[1 2]_2", Tensor.named("V_1")])
def test_coefficients_are_no_totals(name):
    with pytest.raises(InputError, match="one coefficient"):
        validated_names([name])


@pytest.mark.parametrize(
    ("name", "hint"),
    [("v", "did you mean 'V'"), ("NTK", "did you mean 'Theta'"), ("nngp", "did you mean 'K'"),
     ("Kernel", "did you mean 'K'"), ("G[1 2", "known"), ("1 2|", "known"), ("", "known"), (int, "known")],
)  # fmt: skip
def test_unknown_names(name, hint):
    for read in (validated_names, Tensor.named) if isinstance(name, str) and hint != "known" else (validated_names,):
        with pytest.raises(UnknownName, match=hint):
            read([name] if read is validated_names else name)
