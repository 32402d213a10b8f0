"""``transformer_groups``: the learning rates of a transformer's groups of parameters, for an optimizer of PyTorch."""

from __future__ import annotations

from typing import Any

from torch import nn

from rgflow.checks import not_negative, positive
from rgflow.errors import InputError
from rgflow.nn.transformer.model import TransformerModel
from rgflow.transformer import transformer_scaling


def transformer_groups(
    model: nn.Module,
    learning_rate: float,
    optimizer: str = "adamw",
    *,
    s: Any = None,
    depth: bool | None = None,
    weight_decay: float = 0.0,
) -> list[dict[str, Any]]:
    """Parameter groups with a learning rate for each group of the transformer.

    The rate of the group G is learning_rate times lambda_G (SGD) or lambda_G |g| (AdamW), as
    :func:`rgflow.transformer_scaling` has them: every group then moves the output alike at any width, and with
    ``depth`` at any number of blocks.

    Parameters
    ----------
    model : TransformerModel
        Of :func:`rgflow.nn.build`.
    learning_rate : float
        Of order one; above 0.
    optimizer : "sgd" or "adamw"
    s, depth : optional
        Of the scaling. As the model was drawn, unless given; others change learning rates, not the weights.
    weight_decay : float
        Each group has weight_decay / factor, so that learning rate times weight decay is the same for all. AdamW takes
        off that share of the weights in a step; SGD adds it to the gradient.

    Returns
    -------
    list of dict
        For ``torch.optim.SGD`` or ``AdamW``: ``params``, ``lr``, ``weight_decay`` and the ``name`` of the group. What
        is frozen (Lambda_G = 0, or by the user) is left out.

    Raises
    ------
    InputError
        For another model, rates that are not positive, and a model without trained parameters.
    UnknownName
        For another optimizer.

    Source: Dinan, Yaida and Zhang, arXiv:2304.02034, equations (1.99) to (1.116), footnote 26; the depth is rgflow's.

    >>> import torch, rgflow as rg
    >>> net = rg.Transformer(width=64, heads=2, blocks=4, n_in=3, positions=4, n_out=5)
    >>> model = rg.nn.build(rg.transformer_scaling(net, depth=True), seed=0)
    >>> groups = rg.nn.transformer_groups(model, 0.5, weight_decay=1e-3)
    >>> [(group["name"], f"{group['lr']:.2g}") for group in groups][:3]
    [('patch', '0.021'), ('PE', '0.062'), ('Q', '0.00035')]
    >>> optimizer = torch.optim.AdamW(groups)
    """
    if not isinstance(model, TransformerModel):
        raise InputError(f"{type(model).__name__} is no model of a Transformer; give what rgflow.nn.build returned")
    positive("learning_rate", learning_rate)
    decay = not_negative("weight_decay", weight_decay)
    built = model.scaling
    scaling = transformer_scaling(built.net, built.s if s is None else s, built.depth if depth is None else depth)
    rates = scaling.learning_rates(optimizer, learning_rate)
    decays = scaling.weight_decays(optimizer, decay) if decay else dict.fromkeys(rates, 0.0)
    found = []
    for group, parameters in model.grouped().items():
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        if trained and rates[group] > 0:
            found.append({"params": trained, "lr": rates[group], "weight_decay": decays[group], "name": group})
    if not found:
        raise InputError("the model has no parameter that is trained; every Lambda is 0, or all of them are frozen")
    return found
