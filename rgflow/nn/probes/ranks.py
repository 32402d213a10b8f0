"""``ranks``: in how many directions the representations of many inputs spread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rgflow.checks import positive
from rgflow.errors import InputError
from rgflow.labelled import dataset
from rgflow.nn.probes import theory
from rgflow.nn.probes.blocks import chosen
from rgflow.nn.probes.capture import check_separate, checked_inputs, outputs
from rgflow.nn.probes.ensemble import described_by, ensemble, undescribed
from rgflow.nn.probes.labels import measured
from rgflow.nn.probes.statistics import over_networks

if TYPE_CHECKING:
    import xarray

CONVENTIONS = (
    "of the matrix of outputs, inputs by entries, with singular values s: rank counts those above tolerance times the "
    "largest; effective_rank is exp of the entropy of s/sum s; participation is (sum s^2)^2 / sum s^4"
)
NAMES = ("rank", "effective_rank", "participation")


def ranks(
    models: Any,
    inputs: Any,
    *,
    modules: Any = None,
    tolerance: float | None = None,
    networks: int | None = None,
    seed: Any = None,
    description: Any = None,
) -> xarray.Dataset:
    """Numerical and effective ranks of the outputs of modules over many inputs.

    Parameters
    ----------
    models, inputs, modules, networks, seed, description
        As for :func:`rgflow.nn.partial_jacobians`.
    tolerance : float, optional
        Singular values up to this times the largest count as zero, between 0 and 1; by default max(N, n) times the
        resolution of the outputs' dtype, as torch.linalg.matrix_rank has it (single precision calls small what double
        does not), and at most the root of that resolution: 0.09 in bfloat16.

    Returns
    -------
    xarray.Dataset
        Dim ``layer``: ``rank``, ``effective_rank`` = exp(-sum p ln p) with p = s/sum s, ``participation`` =
        (sum s^2)^2/sum s^4, mean over models, with ``NAME_se`` (NaN for one model). ``participation_theory`` is that of
        the leading kernel, at infinite width; a layer of n neurons cannot pass n, and is near it where n is far larger.

    Raises
    ------
    InputError, UnknownName

    Source: Hajjar, Chizat, Giraud (arXiv:2110.15596), whose figure of ranks this is for; Roy, Vetterli (2007).

    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 20))
    >>> ranks(model, torch.randn(30, 4, generator=torch.Generator().manual_seed(0)))["rank"].values.tolist()
    [3.0, 4.0]
    """
    found = ensemble(models, networks, seed)
    cut = None if tolerance is None else positive("tolerance", tolerance)
    if cut is not None and cut >= 1:
        raise InputError(f"tolerance is {tolerance!r}, relative to the largest singular value; give a number below 1")
    rows = []
    first: tuple[Any, ...] = ()
    for model, _ in found:
        x = checked_inputs(model, inputs)
        check_separate(model)
        looked = chosen(model, modules)
        z = outputs(model, looked, x, differentiable=False)
        first = first or (model, {name: looked[name] for name in z}, x)
        rows.append([_ranks(one.detach().reshape(len(one), -1), cut) for one in z.values()])
    model, looked, x = first
    means, errors = over_networks(np.array(rows))
    data: dict[str, Any] = {}
    for i, name in enumerate(NAMES):
        data |= {name: ("layer", means[:, i]), f"{name}_se": ("layer", errors[:, i])}
    net = described_by(model, description)
    numbers = None if net is None else theory.layer_numbers(model, net, looked)
    says = undescribed(model)
    if net is not None and numbers is not None:
        answer, says = theory.kernels(net, theory.shown(net, x), numbers, 0)
        if answer is not None:
            data["participation_theory"] = ("layer", [_participation(K) for K in answer["K_theory"]])
    coords = {"layer": numbers or list(range(1, len(looked) + 1)), "module": ("layer", list(looked))}
    about = {**found.about(), "inputs": len(x), "theory": says}
    return dataset(data, coords, measured("ranks", CONVENTIONS, net, about))


def _ranks(z: torch.Tensor, tolerance: float | None) -> tuple[float, float, float]:
    values = torch.linalg.svdvals(z.double())
    largest = float(values[0])
    if largest == 0:
        return 0.0, 0.0, 0.0
    eps = torch.finfo(z.dtype).eps
    # max(N, n) eps passes 1 for bfloat16; rounding itself adds about eps times the largest
    cut = min(max(z.shape) * eps, eps**0.5) if tolerance is None else tolerance
    s = (values / largest).cpu().numpy()
    p = s[s > 0] / s.sum()
    return float((s > cut).sum()), float(np.exp(-(p * np.log(p)).sum())), float((s**2).sum() ** 2 / (s**4).sum())


def _participation(kernel: Any) -> float:
    K = np.atleast_2d(kernel)
    return float(np.trace(K) ** 2 / (K**2).sum())
