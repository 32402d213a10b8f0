"""``jacobian_norm``: how far the outputs of a model move with its input, measured exactly on a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rgflow.checks import whole
from rgflow.errors import InputError, UnknownName
from rgflow.labelled import dataset
from rgflow.nn.smoothness.samples_apart import connected, pulled, refuse_batch_norms, refuse_mixed, squares, tracked
from rgflow.progress import progress_bar

if TYPE_CHECKING:
    import xarray

Tensor = torch.Tensor
SIDES = ("auto", "outputs", "inputs")
NOT_FINITE = "look for NaN or infinity in the parameters of the model, or take a wider dtype"
CONVENTIONS = "norm is ||J||_F^2 = sum_ci (dz_c/dx_i)^2 of one input x, per unit of x as the model takes it"


def jacobian_norm(
    model: torch.nn.Module, X: Any, *, batch: int = 500, side: str = "auto", progress: bool = False
) -> xarray.Dataset:
    r"""The squared Frobenius norm of the input-output Jacobian of every input, exactly.

    .. math:: \|J(x)\|_F^2 = \sum_{c=1}^C \sum_{i=1}^{n_0} \Big(\frac{\partial z_c}{\partial x_i}\Big)^2

    The model is measured in the mode in which it is; put it into ``eval()`` first if dropout should rest.

    Parameters
    ----------
    model : torch.nn.Module
        Takes a batch (B, ...), returns one (B, ...): z, before a softmax.
    X : tensor or array (N, ...)
        Moved to the device and dtype of the model's first parameter.
    batch : int
        Inputs at a time.
    side : "auto", "outputs" or "inputs"
        Rows of J by C backward passes, or columns by n_0 passes (each a derivative of a backward pass); "auto": the
        fewer, a column counted twice.
    progress : bool
        Show a bar.

    Returns
    -------
    xarray.Dataset
        ``norm`` (sample); ``mean`` and ``mean_se`` over the inputs, NaN for one; ``rms``, the root of the mean.
        Exact up to rounding in the model's dtype.

    Raises
    ------
    InputError
        For samples that see one another (a batch norm in training mode), integer or empty inputs, outputs without a
        graph, a Jacobian that is not finite.
    UnknownName
        For another side.

    >>> import rgflow as rg
    >>> model = torch.nn.Linear(3, 2)
    >>> ds = rg.nn.jacobian_norm(model, torch.zeros(5, 3))
    >>> abs(float(ds["mean"]) - model.weight.square().sum().item()) < 1e-6
    True
    """
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"model is a {type(model).__name__}; give a torch.nn.Module")
    if side not in SIDES:
        raise UnknownName("side", side, SIDES)
    refuse_batch_norms(model)
    x = moved(model, X)
    size = whole("batch", batch, 1)
    with progress_bar(progress, "Jacobians", len(x)) as advance, torch.enable_grad():
        found = []
        for part in torch.split(x, size):
            found.append(_exact(model, part, side).cpu().double())
            advance(len(part))
    norm = torch.cat(found).numpy()
    if not np.isfinite(norm).all():
        at = int(np.flatnonzero(~np.isfinite(norm))[0])
        raise InputError(f"the Jacobian of the model at input {at} has ||J||_F^2 = {norm[at]}; {NOT_FINITE}")
    count = len(norm)
    mean = float(norm.mean())
    data = {
        "norm": (("sample",), norm, {"long_name": "||J||_F^2"}),
        "mean": ((), mean, {"long_name": "mean of ||J||_F^2 over the inputs"}),
        "mean_se": ((), float(norm.std(ddof=1) / count**0.5) if count > 1 else np.nan, {"long_name": "standard error"}),
        "rms": ((), mean**0.5, {"long_name": "root of the mean of ||J||_F^2"}),
    }
    return dataset(data, {"sample": np.arange(count)}, {"kind": "jacobian norm", "conventions": CONVENTIONS})


def moved(model: torch.nn.Module, X: Any) -> Tensor:
    """Inputs as a tensor on the device, and in the dtype, of the model; InputError for what is no batch of numbers."""
    try:
        x = torch.as_tensor(X)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"X is a {type(X).__name__}; give a tensor or array (N, ...)") from None
    if x.ndim < 2 or not x.numel() or not (x.dtype.is_floating_point):
        raise InputError(
            f"X has dtype {x.dtype} and shape {tuple(x.shape)}; give inputs (N, ...) of real numbers, N >= 1"
        )
    if not bool(torch.isfinite(x).all()):
        raise InputError("X holds NaN or infinity; every input must be finite")
    first = next((p for p in model.parameters() if p.dtype.is_floating_point), None)
    return x.detach() if first is None else x.detach().to(device=first.device, dtype=first.dtype)


def finite_outputs(z: Tensor, where: str) -> Tensor:
    """Outputs as they are; InputError that names the input if one is not finite: NaN has an argmax, but no class."""
    bad = ~torch.isfinite(z)
    if bool(bad.any()):
        row = int(bad.nonzero()[0, 0])
        value = z[row][bad[row]].reshape(-1)[0].item()
        raise InputError(f"the model output for input {row}{where} is {value}; {NOT_FINITE}")
    return z


def _exact(model: torch.nn.Module, part: Tensor, side: str) -> Tensor:
    x, z = connected(*_passed(model, part))
    refuse_mixed(x, z)
    outputs, inputs = z.shape[1], x[0].numel()
    if side == "outputs" or (side == "auto" and outputs <= 2 * inputs):
        rows = torch.eye(outputs, dtype=z.dtype, device=z.device)[:, None, :].expand(-1, len(z), -1)
        return torch.stack([squares(pulled(x, z, row, create_graph=False)) for row in rows]).sum(0)
    # J^T u is linear in u, so that its derivative along an input direction is a column of J, whatever u is
    u = torch.zeros_like(z, requires_grad=True)
    back = pulled(x, z, u, create_graph=True).reshape(len(x), -1)
    total = torch.zeros_like(squares(z.detach()))
    for i in range(inputs):
        (column,) = torch.autograd.grad(back[:, i].sum(), u, retain_graph=True)
        total += squares(column)
    return total


def _passed(model: torch.nn.Module, part: Tensor) -> tuple[Tensor, Tensor]:
    x = tracked(part)
    return x, model(x)
