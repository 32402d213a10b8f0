"""``decision_cells``: into which classes a model divides the plane through three inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rgflow.checks import not_negative, whole
from rgflow.errors import InputError
from rgflow.labelled import dataset
from rgflow.nn.modes import resting
from rgflow.nn.smoothness.jacobian_norm import finite_outputs, moved

if TYPE_CHECKING:
    import xarray


def decision_cells(
    model: torch.nn.Module, points: Any, *, resolution: int = 150, margin: float = 0.5, batch: int = 2000
) -> xarray.Dataset:
    """The class of every point of a plane of inputs: a small Jacobian makes cells that reach far from the inputs.

    Parameters
    ----------
    model : torch.nn.Module
        Takes (B, ...), returns logits (B, C); measured in eval mode and left as it was.
    points : tensor or array (3, ...)
        Three inputs that are not on one line.
    resolution : int
        Points along each side, at least 2.
    margin : float
        How far the picture reaches beyond the three inputs, in units of their extent.
    batch : int
        Points at a time.

    Returns
    -------
    xarray.Dataset
        Dims ``u``, ``v``, coordinates in the plane in units of |x|, with the first input at (0, 0) and the second on
        the u axis: ``class``; ``margin``, the difference of the two largest logits. ``point_u``, ``point_v`` (point)
        are the inputs.

    Raises InputError.

    Source: Hoffman, Roberts, Yaida (arXiv:1908.02729), figure 1.

    >>> cells = decision_cells(torch.nn.Linear(2, 2), torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), resolution=5)
    >>> dict(cells.sizes)
    {'u': 5, 'v': 5, 'point': 3}
    """
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"model is a {type(model).__name__}; give a torch.nn.Module")
    side, beyond, size = whole("resolution", resolution, 2), not_negative("margin", margin), whole("batch", batch, 1)
    x = moved(model, points)
    if len(x) != 3:
        raise InputError(f"points has {len(x)} inputs; three span a plane")
    flat = x.reshape(3, -1).cpu().double()
    along = flat[1] - flat[0]
    first = along / along.norm()
    across = flat[2] - flat[0]
    height = across - (across @ first) * first
    if not bool(along.norm() > 0) or not bool(height.norm() > 1e-6 * across.norm()):
        raise InputError("the three points lie on one line; give three that span a plane")
    second = height / height.norm()
    u = np.array([0.0, float(along.norm()), float(across @ first)])
    v = np.array([0.0, 0.0, float(height.norm())])
    reach = beyond * max(np.ptp(u), np.ptp(v))
    grid_u, grid_v = (np.linspace(each.min() - reach, each.max() + reach, side) for each in (u, v))
    steps = torch.from_numpy(np.stack(np.meshgrid(grid_u, grid_v, indexing="ij"), axis=-1).reshape(-1, 2))
    found = []
    with resting(model), torch.no_grad():
        for part in torch.split(steps, size):
            at = flat[0] + part[:, :1] * first + part[:, 1:] * second
            found.append(model(at.to(dtype=x.dtype).to(x.device).reshape(len(part), *x.shape[1:])).cpu().double())
    z = finite_outputs(torch.cat(found), " of the plane")
    if z.ndim != 2 or z.shape[1] < 2:
        raise InputError(f"the model returns shape {tuple(z.shape)} for {len(steps)} inputs; logits are (N, C), C >= 2")
    best = z.topk(2, dim=1)
    data = {
        "class": (
            ("u", "v"),
            best.indices[:, 0].reshape(side, side).numpy(),
            {"long_name": "class of the largest logit"},
        ),
        "margin": (("u", "v"), (best.values[:, 0] - best.values[:, 1]).reshape(side, side).numpy(), {}),
        "point_u": (("point",), u, {}),
        "point_v": (("point",), v, {}),
    }
    return dataset(data, {"u": grid_u, "v": grid_v}, {"kind": "decision cells", "classes": z.shape[1]})
