"""The transformer: stem, residual blocks of attention and MLP, head; described and validated."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from rgflow.activations import Activation, activation
from rgflow.checks import whole
from rgflow.errors import InputError, UnknownName
from rgflow.network.layer import not_negative

GROUPS = ("patch", "WE", "PE", "Q", "K", "V", "U", "W", "X", "head", "bhead")
BLOCKS = {"attention": ("Q", "K", "V", "U"), "mlp": ("W", "X")}
_CHOICES = {
    "stem": ("patch", "words"),
    "mask": ("full", "causal"),
    "pooling": ("none", "mean"),
    "norm": ("layer", "none"),
}
_MOST_BLOCKS = 100_000


@dataclass(frozen=True)
class Transformer:
    r"""A transformer at initialisation: tokens t = 1..T, each a vector z_t of n entries; blocks read s = LayerNorm(z).

    .. math::
        \text{stem:} \quad & z_t = W^\mathrm{patch} x_t + b^\mathrm{PE}_t \\
        \text{attention:} \quad & z_t \to z_t + U \sum_u \Omega_{tu} V s_u, \qquad
        \Omega_t = \mathrm{softmax}_u \big( Q s_t \cdot K s_u / \sqrt{C} \big) \\
        \text{mlp:} \quad & z_t \to z_t + X \sigma(W s_t) \\
        \text{head:} \quad & W^\mathrm{head} s_t + b^\mathrm{head}

    The stem of words takes the column of the word t in W^WE instead of a patch. Attention is summed over H heads of C =
    n/H channels; the mlp has M n hidden neurons; the head is n^(-1/2) (W^WE)^T s_t if ``tied``.

    A weight is N(0, C_G / fan-in), learning-rate tensor Lambda_G / fan-in, for its group G. The fan-in is n for Q, K,
    V, U, W and the head, M n for X, the dimension of a patch for ``patch``, and 1 for WE, PE and biases.

    Parameters
    ----------
    width, heads : int
        n and H; H divides n.
    blocks : int or sequence of "attention" and "mlp"
        A number is that many pairs (attention, mlp).
    n_in : int
        Entries of a patch, or words of the vocabulary.
    positions : int
        The largest number of tokens, each with a positional embedding.
    n_out : int
        Neurons of the head; 1, and the vocabulary if ``tied``.
    activation : str, sympy expression or Activation
        sigma of the MLP blocks.
    M : int
        Hidden neurons of an MLP block, in units of n.
    stem : "patch" or "words"
    tied : bool
        The head is the transposed word embedding.
    mask : "full" or "causal"
        Every token attends to all, or to itself and those before it.
    pooling : "none" or "mean"
        Whether the output of the head is averaged over tokens.
    norm : "layer" or "none"
        LayerNorm without trained parameters, or s = z.
    eps : float
        Of LayerNorm: s = (z - mean)/sqrt(variance + eps).
    C_patch, C_WE, C_PE, C_Q, C_K, C_V, C_U, C_W, C_X, C_head, C_bhead : float
        Variances; not negative.
    Lambda_patch, ..., Lambda_bhead : float
        Learning-rate tensor; not negative.

    Raises
    ------
    InputError
        For sizes that are no positive integers, heads that do not divide the width, unknown blocks, a tied head without
        words, hyperparameters that are negative or not finite.
    UnknownName
        For a keyword that is no parameter.

    Source: Dinan, Yaida and Zhang, arXiv:2304.02034, section 1.

    >>> vit = Transformer(width=768, heads=12, blocks=12, n_in=768, positions=196, n_out=1000)
    >>> vit.channels, sum(vit.parameters.values())
    (64, 86444008)
    """

    width: int
    heads: int
    blocks: tuple[str, ...]
    n_in: int
    positions: int
    n_out: int = 1
    activation: Activation = "gelu"  # type: ignore[assignment]
    M: int = 4
    stem: str = "patch"
    tied: bool = False
    mask: str = "full"
    pooling: str = "none"
    norm: str = "layer"
    eps: float = 1e-5
    C_patch: float = 1.0
    C_WE: float = 1.0
    C_PE: float = 1.0
    C_Q: float = 1.0
    C_K: float = 1.0
    C_V: float = 1.0
    C_U: float = 1.0
    C_W: float = 1.0
    C_X: float = 1.0
    C_head: float = 1.0
    C_bhead: float = 0.0
    Lambda_patch: float = 1.0
    Lambda_WE: float = 1.0
    Lambda_PE: float = 1.0
    Lambda_Q: float = 1.0
    Lambda_K: float = 1.0
    Lambda_V: float = 1.0
    Lambda_U: float = 1.0
    Lambda_W: float = 1.0
    Lambda_X: float = 1.0
    Lambda_head: float = 1.0
    Lambda_bhead: float = 1.0

    def __new__(cls, *values: Any, **named: Any) -> Self:
        known = tuple(f.name for f in fields(cls))
        for name in named:
            if name not in known:
                raise UnknownName("parameter of a Transformer", name, known)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        put = object.__setattr__
        for name in ("width", "heads", "n_in", "positions", "n_out", "M"):
            put(self, name, whole(name, getattr(self, name), 1))
        put(self, "blocks", _blocks(self.blocks))
        put(self, "activation", activation(self.activation))
        for name, known in _CHOICES.items():
            if not isinstance(getattr(self, name), str) or getattr(self, name) not in known:
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be {' or '.join(map(repr, known))}")
        put(self, "eps", not_negative("eps", self.eps))
        for kind in ("C", "Lambda"):
            for group in GROUPS:
                name = f"{kind}_{group}"
                put(self, name, not_negative(name, getattr(self, name)))
        self._check_together()

    def _check_together(self) -> None:
        if self.width % self.heads:
            raise InputError(f"heads is {self.heads}; it must divide the width {self.width}")
        if not isinstance(self.tied, bool):
            raise InputError(f"tied is {self.tied!r}; it must be True or False")
        if self.tied:
            if self.stem != "words":
                raise InputError("tied=True, but there are no word embeddings to tie the head to; take stem='words'")
            if self.n_out not in (1, self.n_in):
                raise InputError(f"n_out is {self.n_out}; a tied head has one neuron for each of the {self.n_in} words")
            object.__setattr__(self, "n_out", self.n_in)

    @property
    def channels(self) -> int:
        """C = n/H, the channels of a head."""
        return self.width // self.heads

    @property
    def groups(self) -> tuple[str, ...]:
        """The parameter groups that this transformer has, from stem to head."""
        own = {"patch" if self.stem == "patch" else "WE", "PE"}
        own |= set() if self.tied else {"head", "bhead"}
        own |= {group for kind in set(self.blocks) for group in BLOCKS[kind]}
        return tuple(group for group in GROUPS if group in own)

    def fan_in(self, group: str) -> int:
        """By what variance and learning rate of a group are divided; UnknownName for a group it does not have."""
        self._known(group)
        inputs = {"patch": self.n_in, "WE": 1, "PE": 1, "X": self.M * self.width, "bhead": 1}
        return inputs.get(group, self.width)

    def shape(self, group: str) -> tuple[int, ...]:
        """Of one tensor of a group, outputs first: (M n, n) for W; there is one in every block of its kind."""
        self._known(group)
        n, hidden = self.width, self.M * self.width
        shapes: dict[str, tuple[int, ...]] = {
            "patch": (n, self.n_in),
            "WE": (n, self.n_in),
            "PE": (n, self.positions),
            "W": (hidden, n),
            "X": (n, hidden),
            "head": (self.n_out, n),
            "bhead": (self.n_out,),
        }
        return shapes.get(group, (n, n))

    def copies(self, group: str) -> int:
        """How many tensors of a group there are: blocks of its kind, 1 for stem and head."""
        self._known(group)
        kinds = [kind for kind, own in BLOCKS.items() if group in own]
        return self.blocks.count(kinds[0]) if kinds else 1

    @property
    def parameters(self) -> dict[str, int]:
        """Number of parameters of every group, all blocks together."""
        counts = {}
        for group in self.groups:
            counts[group] = self.copies(group)
            for size in self.shape(group):
                counts[group] *= size
        return counts

    def value(self, name: str) -> float:
        """A variance or learning rate by name, as C_Q or Lambda_PE; UnknownName otherwise."""
        kind, _, group = name.partition("_")
        if kind not in ("C", "Lambda") or group not in GROUPS:
            known = [f"{kind}_{group}" for kind in ("C", "Lambda") for group in GROUPS]
            raise UnknownName("hyperparameter of a Transformer", name, known)
        return float(getattr(self, name))

    def changed(self, **values: Any) -> Self:
        """The same transformer with some parameters changed, checked as when it was made."""
        for name in values:
            if name not in {f.name for f in fields(self)}:
                raise UnknownName("parameter of a Transformer", name, tuple(f.name for f in fields(self)))
        return replace(self, **values)

    def to_json(self) -> str:
        """The description as JSON text, the activation as its formula."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        found |= {"blocks": list(self.blocks), "activation": self.activation.formula_text}
        return json.dumps({"kind": "Transformer", **found})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The description that :meth:`to_json` wrote; InputError for anything else."""
        try:
            found = json.loads(text)
        except (TypeError, ValueError) as error:
            raise InputError(f"{text!r} is no JSON text of a Transformer ({error})") from None
        if not isinstance(found, dict) or found.pop("kind", None) != "Transformer":
            raise InputError(f"{text!r} does not describe a Transformer; give what Transformer.to_json wrote")
        lacking = {f.name for f in fields(cls)} - set(found)
        if lacking:
            raise InputError(f"the description of a Transformer lacks {', '.join(sorted(lacking))}")
        return cls(**found)

    def _known(self, group: str) -> None:
        if group not in self.groups:
            raise UnknownName("parameter group of this Transformer", group, self.groups)


def _blocks(given: Any) -> tuple[str, ...]:
    """A number of pairs (attention, mlp), or the kinds of the blocks."""
    if isinstance(given, str):
        given = (given,)
    if not isinstance(given, Iterable):
        number = whole("blocks", given, 0)
        if number > _MOST_BLOCKS:
            raise InputError(f"blocks is {number}; at most {_MOST_BLOCKS} pairs can be followed")
        return ("attention", "mlp") * number
    kinds = tuple(given)
    for kind in kinds:
        if not isinstance(kind, str) or kind not in BLOCKS:
            raise InputError(f"a block is {kind!r}; it must be 'attention' or 'mlp'")
    return kinds
