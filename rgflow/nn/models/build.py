"""``build``: the PyTorch model of a network description, its parameters drawn as described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import torch
from torch import Tensor, nn

import rgflow.nn.models.kinds  # noqa: F401  (every kind is known to module_of)
from rgflow.errors import InputError
from rgflow.network import Network
from rgflow.nn.models.activations import torch_activation
from rgflow.nn.models.layers import Place, changed_by, module_of
from rgflow.sampling.draw import Streams
from rgflow.seeds import seed_sequence

if TYPE_CHECKING:
    from rgflow.network.transformer import Transformer
    from rgflow.nn.transformer.model import TransformerModel
    from rgflow.transformer import TransformerScaling


class Model(nn.Module):
    """A network of a description: z^1 = b + W x, then layer by layer.

    Attributes
    ----------
    net : Network or None
        The description; None once rgflow itself has given the parameters other scales.
    changed : str
        By what: "tune", "parametrize"; empty of a model as it was built.
    layers : ModuleList
        One module for each layer l = 1..L; the output of the l-th is z^l.
    """

    def __init__(self, net: Network, layers: list[nn.Module]):
        super().__init__()
        self._net = net
        self.layers = nn.ModuleList(layers)

    @property
    def net(self) -> Network | None:
        return None if self.changed else self._net

    @property
    def changed(self) -> str:
        return changed_by(self)

    def preactivations(self, x: Tensor) -> list[Tensor]:
        """z^1, ..., z^L at inputs x (..., n_0), each (..., n_l).

        >>> import rgflow as rg
        >>> [tuple(z.shape) for z in build(rg.MLP([3, 8, 2], "tanh"), seed=0).preactivations(torch.ones(5, 3))]
        [(5, 8), (5, 2)]
        """
        found = []
        for layer in self.layers:
            x = layer(x)
            found.append(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """z^L at inputs x (..., n_0)."""
        for layer in self.layers:
            x = layer(x)
        return x


@overload
def build(net: Network, *, seed: Any = ..., dtype: torch.dtype | None = ..., device: Any = ...) -> Model: ...
@overload
def build(
    net: Transformer | TransformerScaling, *, seed: Any = ..., dtype: torch.dtype | None = ..., device: Any = ...
) -> TransformerModel: ...
def build(
    net: Network | Transformer | TransformerScaling,
    *,
    seed: Any = None,
    dtype: torch.dtype | None = None,
    device: Any = None,
) -> Model | TransformerModel:
    r"""The PyTorch model of a network description.

    .. math:: W \sim N(0, C_W / \text{fan-in}), \qquad b \sim N(0, C_b)

    or as its layers say.

    Parameters
    ----------
    net : Network, Transformer or TransformerScaling
        :class:`rgflow.MLP` or :class:`rgflow.Network`, of any kinds of layers; :class:`rgflow.Transformer`, or what
        :func:`rgflow.transformer_scaling` made of one.
    seed : int, SeedSequence or Generator, optional
        The same seed gives the same numbers in every dtype (up to its rounding) and on every device. torch's global
        generator is not touched.
    dtype : torch.dtype, optional
        A floating dtype; torch's default if not given.
    device : optional

    Returns
    -------
    Model (TransformerModel)
        ``model(x)`` is z^L, ``model.preactivations(x)`` all of z^1..z^L, ``model.layers`` a module for each layer.
        Parameters whose entry of the learning-rate tensor is 0 are frozen, and a bias that is neither drawn nor
        trained is left out. :func:`rgflow.nn.groups` gives the learning rates.

    Raises
    ------
    InputError
        For anything that is no network, a dtype that is not floating, or a kind of layer that is not known here.

    Source: PDLT (arXiv:2106.10165), section 2.2.

    >>> import rgflow as rg
    >>> model = build(rg.MLP([3, 8, 2], "tanh", C_W=1.5), seed=0, dtype=torch.float64)
    >>> model(torch.zeros(3, dtype=torch.float64)).tolist()
    [0.0, 0.0]
    """
    if not isinstance(net, Network):
        return _transformer(net, seed, dtype, device)
    kind = torch.get_default_dtype() if dtype is None else dtype
    if not isinstance(kind, torch.dtype) or not kind.is_floating_point:
        raise InputError(f"dtype is {kind!r}; give a real floating dtype such as torch.float64")
    streams = Streams(seed_sequence(seed), batch=0)
    where = torch.empty(0).device if device is None else torch.device(device)
    sigma = torch_activation(net.activation)
    layers = []
    for number, layer in enumerate(net.layers, start=1):
        place = Place(number, net.widths[number - 1], net.widths[number], sigma, streams, kind, where)
        layers.append(module_of(layer, place))
    return Model(net, layers)


def _transformer(net: Any, seed: Any, dtype: torch.dtype | None, device: Any) -> TransformerModel:
    """Loaded here: other networks do without the derivations that a transformer's scaling rests on."""
    from rgflow.network.transformer import Transformer
    from rgflow.nn.transformer.model import build_transformer
    from rgflow.transformer import TransformerScaling

    if not isinstance(net, (Transformer, TransformerScaling)):
        raise InputError(
            f"{net!r} is not a network; give rgflow.MLP(...), rgflow.Network(...) or rgflow.Transformer(...)"
        )
    return build_transformer(net, seed=seed, dtype=dtype, device=device)
