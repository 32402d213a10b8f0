"""``groups``: the learning-rate tensor of a model that was built, as parameter groups of an optimizer."""

from __future__ import annotations

from typing import Any

from torch import nn

from rgflow.checks import positive
from rgflow.errors import InputError
from rgflow.nn.models.layers import Affine


def groups(model: nn.Module, learning_rate: float) -> list[dict[str, Any]]:
    r"""Parameter groups for gradient descent with the learning-rate tensor of the description.

    .. math:: \Delta \theta_\mu = -\eta\, \lambda_\mu \frac{\partial \mathcal{L}}{\partial \theta_\mu}

    with lambda_mu = lambda_b for biases and lambda_W / fan-in for weights.

    Parameters
    ----------
    model : Module
        Of :func:`rgflow.nn.build`, or holding such models.
    learning_rate : float
        eta, above 0.

    Returns
    -------
    list of dict
        One group for each trained parameter: ``params``, ``lr`` = eta lambda_mu, and its ``name``.

    Raises
    ------
    InputError
        If a trained parameter was not drawn by :func:`rgflow.nn.build`; :func:`rgflow.nn.parametrize` is for those,
        and has groups of its own for what it changed.

    Source: PDLT (arXiv:2106.10165), chapter 8.

    >>> import rgflow as rg
    >>> model = rg.nn.build(rg.MLP([4, 8, 2], "tanh", lambda_W=2.0), seed=0)
    >>> [(group["name"], group["lr"]) for group in groups(model, 0.1)][:2]
    [('layers.0.own.weight', 0.05), ('layers.0.own.bias', 0.1)]
    """
    eta = positive("learning_rate", learning_rate)
    found = [
        {"params": [parameter], "lr": eta * rate, "name": name}
        for name, (parameter, rate) in learning_rate_tensor(model).items()
        if rate > 0 and parameter.requires_grad
    ]
    if not found:
        raise InputError("the model has no parameter that is trained; every lambda of its description is 0")
    return found


def learning_rate_tensor(model: nn.Module) -> dict[str, tuple[nn.Parameter, float]]:
    """Name to parameter and its lambda_mu, frozen ones included (their rate is 0 if the description says so)."""
    if not isinstance(model, nn.Module):
        raise InputError(f"{model!r} is not a torch module; give what rgflow.nn.build returned")
    rates: dict[nn.Parameter, float] = {}
    for module in model.modules():
        if isinstance(module, Affine):
            if module.changed == "parametrize":
                raise InputError(
                    "the model was changed by rgflow.nn.parametrize, and the learning rates of its description are not "
                    "its own any more; take the groups that parametrize returned"
                )
            rates |= {parameter: module.rates[name] for name, parameter in module.named_parameters(recurse=False)}
    named = dict(model.named_parameters())
    strange = [name for name, parameter in named.items() if parameter not in rates and parameter.requires_grad]
    if strange:
        raise InputError(
            f"the parameter {strange[0]!r} was not drawn by rgflow.nn.build, so that its learning rate is not known; "
            "use rgflow.nn.parametrize for modules of your own"
        )
    return {name: (parameter, rates[parameter]) for name, parameter in named.items() if parameter in rates}
