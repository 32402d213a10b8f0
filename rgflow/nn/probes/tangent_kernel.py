"""``tangent_kernel``: the neural tangent kernel of a model, exactly or by random directions of its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from rgflow.checks import whole
from rgflow.errors import InputError, UnknownName
from rgflow.labelled import dataset
from rgflow.nn.probes import theory
from rgflow.nn.probes.capture import check_separate, checked_inputs
from rgflow.nn.probes.ensemble import described_by, undescribed
from rgflow.nn.probes.labels import measured
from rgflow.nn.probes.tangent import FROZEN, Gradients, learning_rates, trained_as_described
from rgflow.nn.smoothness.directions import generator
from rgflow.progress import progress_bar
from rgflow.seeds import seed_sequence, seed_text

if TYPE_CHECKING:
    import xarray

CONVENTIONS = (
    "Theta is (1/n_L) sum_i H_ii, H_ij;ab = sum_mu lambda_mu dz_i(a)/dtheta_mu dz_j(b)/dtheta_mu of the outputs z, "
    "with lambda the learning rates of the parameters"
)


def tangent_kernel(
    model: nn.Module,
    inputs: Any,
    *,
    groups: Any = None,
    outputs: str = "mean",
    projections: int | None = None,
    seed: Any = None,
    description: Any = None,
    order: int | None = None,
    progress: bool = False,
) -> xarray.Dataset:
    r"""The neural tangent kernel of a model at inputs, beside its mean over networks where that is known.

    .. math:: H_{ij;\alpha\beta} = \sum_\mu \lambda_\mu \frac{\partial z_{i\alpha}}{\partial\theta_\mu}
              \frac{\partial z_{j\beta}}{\partial\theta_\mu}, \qquad
              \hat\Theta_{\alpha\beta} = \frac{1}{n_L} \sum_i H_{ii;\alpha\beta}

    With ``projections`` H is the covariance of the outputs' derivatives along random directions of the parameters,
    eps ~ N(0, lambda), which needs no gradient of any single output: for large models. One such direction gives
    Theta_ab with the variance

    .. math:: \frac{1}{n_L^2} \sum_{ij} \big( H_{ij;\alpha\alpha} H_{ij;\beta\beta}
              + H_{ij;\alpha\beta} H_{ij;\beta\alpha} \big)
              \approx \frac{\Theta_{\alpha\alpha} \Theta_{\beta\beta} + \Theta_{\alpha\beta}^2}{n_L}

    (the latter for wide networks), m directions with an m-th of it.

    Parameters
    ----------
    model : Module
    inputs : array (N, ...)
    groups : optimizer or parameter groups, optional
        Learning rates lambda; frozen parameters have none. By default the learning-rate tensor of a model of
        :func:`rgflow.nn.build`, else 1.
    outputs : "mean" or "all"
        "all" adds H with its dims ``output0``, ``output1``.
    projections : int, optional
        Random directions; without it the kernel is exact, for N times parameters up to some 10^8.
    seed, description, progress
        As for :func:`rgflow.nn.partial_jacobians`.
    order : int, optional
        Of the theory; by default 1 for up to 8 inputs where it is offered, else 0.

    Returns
    -------
    xarray.Dataset
        Dims ``sample0``, ``sample1`` (absent for one input): ``Theta``; with projections ``Theta_se``, measured over
        them, and ``Theta_se_wide``, the approximation above; ``Theta_theory``, at order 1 with ``Theta_theory_error``.
        One network deviates from the mean by O(1/sqrt(n)): see :func:`rgflow.nn.tangent_kernel_spread`.

    Raises
    ------
    InputError, UnknownName

    Source: Jacot, Gabriel, Hongler (arXiv:1806.07572); PDLT (arXiv:2106.10165), chapter 8.

    >>> import rgflow as rg
    >>> model = rg.nn.build(rg.MLP([3, 200, 4], "relu", C_W=2.0), seed=0)
    >>> ds = tangent_kernel(model, [[1.0, 0.5, -1.0]])
    >>> round(float(ds["Theta"]), 1), float(ds["Theta_theory"])
    (3.8, 3.5)
    """
    x = checked_inputs(model, inputs)
    check_separate(model)
    if outputs not in ("mean", "all"):
        raise UnknownName("choice of outputs", outputs, ("mean", "all"))
    gradients = Gradients(model, x, learning_rates(model, groups))
    sequence = seed_sequence(seed)
    data: dict[str, Any] = {}
    dims = () if len(x) == 1 else ("sample0", "sample1")
    if projections is None:
        H = gradients.kernel().cpu().numpy() if outputs == "all" else None
        Theta = np.einsum("iiab->ab", H) / gradients.outputs if H is not None else gradients.mean_kernel().cpu().numpy()
        data["Theta"] = Theta
    else:
        count = whole("projections", projections, 2)
        draws = generator(sequence)
        H = np.zeros(1) if outputs == "all" else None
        found = []
        with progress_bar(progress, "random directions", count) as advance:
            for moved in gradients.jets(draws, count):
                jets = moved.cpu().numpy()
                found.append(jets @ jets.T / gradients.outputs)
                if H is not None:
                    H = H + np.einsum("ai,bj->ijab", jets, jets) / count
                advance(1)
        values = np.stack(found)
        Theta = values.mean(axis=0)
        size = np.diagonal(Theta)
        wide = np.sqrt((size[:, None] * size + Theta**2) / (gradients.outputs * count))
        data |= {"Theta": Theta, "Theta_se": values.std(axis=0, ddof=1) / np.sqrt(count), "Theta_se_wide": wide}
    data = {name: (dims, values if dims else values[0, 0]) for name, values in data.items()}
    if H is not None:
        data["H"] = (("output0", "output1", *dims), H if dims else H[..., 0, 0])
    net = described_by(model, description)
    says = undescribed(model)
    if net is not None and groups is not None and description is None:
        says = "none: the learning rates are those of groups, not those of the description; give it as description="
    elif net is not None and description is None and not trained_as_described(model):
        says = FROZEN
    elif net is not None:
        answer, says = theory.tangent_kernels(net, theory.shown(net, x), order)
        data |= {name: (dims, values) for name, values in (answer or {}).items()}
    if not all(np.isfinite(values).all() for _, values in data.values() if values is not None):
        raise InputError("the tangent kernel is not finite; its gradients overflow: take double precision")
    about = {"projections": projections or 0, "seed": seed_text(sequence), "theory": says}
    return dataset(data, {}, measured("tangent kernel", CONVENTIONS, net, about))
