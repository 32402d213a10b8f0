"""``partial_jacobians``: how far the modules of a model move when one of them is moved, by random projections."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rgflow.checks import whole
from rgflow.errors import InputError
from rgflow.labelled import dataset
from rgflow.nn.probes import theory
from rgflow.nn.probes.blocks import INPUT, chosen
from rgflow.nn.probes.capture import check_separate, checked_inputs, outputs
from rgflow.nn.probes.ensemble import described_by, ensemble, undescribed
from rgflow.nn.probes.labels import measured
from rgflow.nn.probes.statistics import over_networks, over_projections
from rgflow.nn.smoothness.directions import draw, generator
from rgflow.nn.smoothness.samples_apart import squares
from rgflow.progress import progress_bar

if TYPE_CHECKING:
    import xarray

Array = NDArray[np.float64]
CONVENTIONS = (
    "J at a layer is (1/n) sum_ij (dz_j/dz0_i)^2 with n the entries of its output z for one input and z0 the output of "
    "the module start, averaged over inputs; chi_J is that of the next module with respect to this one"
)


def partial_jacobians(
    models: Any,
    inputs: Any,
    *,
    modules: Any = None,
    start: Any = None,
    projections: int = 8,
    exact: bool = False,
    networks: int | None = None,
    seed: Any = None,
    description: Any = None,
    order: int | None = None,
    progress: bool = False,
) -> xarray.Dataset:
    r"""Averaged partial Jacobian norms between modules of PyTorch models, beside the theory where it is known.

    .. math:: J^{l_0, l} = \frac{1}{n_l} \sum_{ij} \Big(\frac{\partial z^l_j}{\partial z^{l_0}_i}\Big)^2
              = \mathrm{E}_v \Big| \frac{\partial (v \cdot z^l)}{\partial z^{l_0}} \Big|^2,
              \qquad v \text{ uniform on the unit sphere of dimension } n_l

    n_l counts all entries that the module returns for one input (channels times pixels of a convolution). The mean of J
    is critical where it neither grows nor falls from module to module.

    Parameters
    ----------
    models : Module, list of Modules, function of a seed that returns one, or Network
        Any module; trained parameters are not needed, and nothing is changed. Of a description (rg.MLP, rg.Network)
        models are built anew.
    inputs : array (N, ...)
        As the model takes them.
    modules : list of names or modules, optional
        Outputs to look at. By default the layers of a model that was built, else its blocks with weight matrices.
    start : name, module or "input", optional
        z^{l0}; by default the first of the modules. Modules below it are not looked at.
    projections : int
        Random directions for every input and module.
    exact : bool
        All n_l directions instead: for small models, n_l backward passes for each module.
    networks, seed
        How many models to draw (10 by default), and the seed of models and directions.
    description : Network, optional
        What theory to stand beside modules that were not made by :func:`rgflow.nn.build`: a network with as many layers
        as there are modules.
    order : 0 or 1, optional
        Of the theory in 1/n; by default 1 for up to 8 inputs of different length, where it is offered.
    progress : bool

    Returns
    -------
    xarray.Dataset
        Dim ``layer`` (number of the layer in its description, or 1, 2, .. of the modules; 0 is the input) with the
        coordinate ``module``, and ``input``. ``J`` and ``chi_J`` averaged over inputs and models, ``J_se`` and
        ``chi_J_se``; ``J_of_input`` (layer, input). **The standard error of several models** is that of their mean,
        the inputs held; **of one model** it is that of the projections alone (0 if exact), so that the model may still
        lie ``J_spread_theory`` away from the mean over models. ``J_theory`` = J + J_1/n, ``J_theory_error`` the
        estimated size of what it leaves out; ``chi_J_theory`` at leading order, O(1/n). ``log_J`` is the mean over
        models of ln J, which lies below ln of the mean (by half the variance of ln J): what a typical model shows.

    Raises
    ------
    InputError
        For modules that are not called, called twice or return no numbers (N, ...); outputs that are not finite;
        BatchNorm or Dropout while training; inputs that hold NaN.
    UnknownName

    Source: Doshi, He, Gromov (arXiv:2111.12143), section 2 and their code's projections.

    >>> import rgflow as rg
    >>> net = rg.MLP.uniform(n_in=3, width=40, depth=3, activation="relu", C_W=2.0)
    >>> ds = partial_jacobians(rg.nn.build(net, seed=0), [[1.0, 0.5, -1.0]], exact=True)
    >>> ds["J"].dims, float(ds["J"][0]), ds["J_theory"].values.round(6).tolist()
    (('layer',), 1.0, [1.0, 1.0, 1.0])
    """
    found = ensemble(models, networks, seed)
    count = whole("projections", projections, 1)
    J, chi = [], []
    first: dict[str, Any] = {}
    with progress_bar(progress, "measuring models", found.networks) as advance:
        for model, probe in found:
            x = checked_inputs(model, inputs)
            check_separate(model)
            looked = chosen(model, modules)
            begin = _start(model, start)
            z = _from(begin, outputs(model, begin | looked, x))
            if not first:
                looked = {name: (begin | looked)[name] for name in z}
                first = {"model": model, "names": list(z), "looked": looked, "x": x}
            elif list(z) != first["names"]:
                raise InputError(f"the models call different modules: {first['names']} and {list(z)}")
            draws = None if exact else generator(probe)
            rows, steps = _one_model(z, count, draws)
            J.append(rows)
            chi.append(steps)
            advance(1)
    return _dataset(first, J, chi, exact, description, order, {"projections": 0 if exact else count, **found.about()})


def _start(model: nn.Module, start: Any) -> dict[str, nn.Module]:
    """The module that is moved, by name; nothing if it is the first of those looked at."""
    if start is None:
        return {}
    if isinstance(start, str) and start == INPUT and INPUT not in dict(model.named_modules()):
        return {INPUT: model}
    return chosen(model, [start])


def _from(begin: dict[str, nn.Module], z: dict[str, Tensor]) -> dict[str, Tensor]:
    """Outputs from the start on: what the model calls before it does not depend on it."""
    names = list(z)
    first = names.index(next(iter(begin))) if begin else 0
    return {name: z[name] for name in names[first:]}


def _one_model(z: Mapping[str, Tensor], projections: int, draws: torch.Generator | None) -> tuple[Array, Array]:
    """Squares |d(v.z^l)/dz^{l0}|^2 of one model: (modules, N, directions) with l0 the first, or the one below."""
    tensors = list(z.values())
    count = len(tensors[0])
    far = [np.ones((count, 1))]
    near = []
    for below, above in pairwise(tensors):
        at = [below] if below is tensors[0] else [tensors[0], below]
        found = np.stack([_squares(above, at, v) for v in directions(above, projections, draws)], axis=-1)
        if draws is None:  # the mean over an orthonormal basis is that over the sphere
            found = found.mean(axis=-1, keepdims=True)
        far.append(found[0])
        near.append(found[-1])
    widest = max(rows.shape[-1] for rows in far)
    return (
        np.stack([np.broadcast_to(rows, (count, widest)) for rows in far]),
        np.stack([*near, np.full((count, widest), np.nan)]) if near else np.full((1, count, 1), np.nan),
    )


def directions(z: Tensor, projections: int, draws: torch.Generator | None) -> Any:
    """Unit vectors in the space of one input's output, one for each input; without a generator a basis of it."""
    if draws is None:
        width = z[0].numel()
        for i in range(width):
            basis = torch.zeros_like(z).reshape(len(z), -1)
            basis[:, i] = 1.0
            yield basis.reshape(z.shape)
        return
    width = z[0].numel()
    for _ in range(projections):
        v = draw("sphere", 1, len(z), width, draws)[0] / sqrt(width)  # on the CPU: the same on every device
        yield v.reshape(z.shape).to(z)


def _squares(above: Tensor, at: list[Tensor], v: Tensor) -> Array:
    found = torch.autograd.grad(above, at, v, retain_graph=True, allow_unused=True)
    if any(gradient is None for gradient in found):
        raise InputError("a module does not depend on the start; name modules on one path through the model")
    return np.stack([squares(gradient).double().cpu().numpy() for gradient in found])


def _dataset(
    first: dict[str, Any],
    J: list[Array],
    chi: list[Array],
    exact: bool,
    given: Any,
    order: int | None,
    about: dict[str, Any],
) -> xarray.Dataset:
    model, names, x = first["model"], first["names"], first["x"]
    net = described_by(model, given)
    numbers = None
    if net is not None and names[0] != INPUT:
        numbers = theory.layer_numbers(model, net, first["looked"])
    data: dict[str, Any] = {}
    for name, rows in (("J", J), ("chi_J", chi)):
        values = np.stack(rows)  # (networks, modules, N, directions)
        of_inputs = values.mean(axis=-1)
        mean, error = over_networks(of_inputs.mean(axis=-1))
        if len(values) == 1:
            error = np.zeros_like(mean) if exact else over_projections(values[0])
        data |= {name: ("layer", mean), f"{name}_se": ("layer", error)}
        if name == "J":
            data["J_of_input"] = (("layer", "input"), of_inputs.mean(axis=0))
            with np.errstate(divide="ignore"):
                data["log_J"] = ("layer", np.log(of_inputs.mean(axis=-1)).mean(axis=0))
    says = undescribed(model)
    if net is not None and numbers is not None:
        answer, says = theory.jacobians(net, theory.shown(net, x), numbers[0], numbers, order)
        data |= {name: ("layer", values) for name, values in (answer or {}).items()}
    layers = numbers or list(range(0 if names[0] == INPUT else 1, len(names) + (names[0] != INPUT)))
    coords = {"layer": layers, "module": ("layer", names), "input": list(range(len(x)))}
    about = {**about, "start": names[0], "exact": int(exact), "theory": says}
    return dataset(data, coords, measured("partial jacobians", CONVENTIONS, net, about))
