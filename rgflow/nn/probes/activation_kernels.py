"""``activation_kernels``: inner products of the modules' outputs over inputs, beside the kernel of the theory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from rgflow.labelled import dataset
from rgflow.nn.probes import theory
from rgflow.nn.probes.blocks import chosen
from rgflow.nn.probes.capture import check_separate, checked_inputs, outputs
from rgflow.nn.probes.ensemble import described_by, ensemble, undescribed
from rgflow.nn.probes.labels import measured
from rgflow.nn.probes.statistics import over_networks
from rgflow.progress import progress_bar

if TYPE_CHECKING:
    import xarray

CONVENTIONS = (
    "K of a layer is (1/n) sum_i z_i(sample0) z_i(sample1) over the n entries of its output z, mean over models"
)


def activation_kernels(
    models: Any,
    inputs: Any,
    *,
    modules: Any = None,
    networks: int | None = None,
    seed: Any = None,
    description: Any = None,
    order: int | None = None,
    progress: bool = False,
) -> xarray.Dataset:
    r"""Kernels of modules' outputs over inputs, measured and predicted.

    .. math:: \hat K^l_{\alpha\beta} = \frac{1}{n_l} \sum_i z^l_{i\alpha} z^l_{i\beta}, \qquad
              \mathrm{E} \hat K = K + K_1/n + \dots

    Parameters
    ----------
    models, inputs, modules, networks, seed, description, progress
        As for :func:`rgflow.nn.partial_jacobians`.
    order : int, optional
        Of the theory; by default 1 for up to 8 inputs where it is offered, else 0.

    Returns
    -------
    xarray.Dataset
        Dims ``layer``, and ``sample0``, ``sample1`` (absent for one input). ``K``, mean over models; ``K_se`` its
        standard error (NaN for one model, whose distance from the mean has the size ``K_spread_theory``);
        ``K_of_network`` (network, layer, ..); ``K_theory``, at order 1 with ``K_theory_error``, and ``K_spread_theory``
        = sqrt(V_abab/n_{l-1} + (K_aa K_bb + K_ab^2)/n_l), the standard deviation over models.

    Raises
    ------
    InputError, UnknownName
        As for :func:`rgflow.nn.partial_jacobians`.

    Source: PDLT (arXiv:2106.10165), chapter 4.

    >>> import rgflow as rg
    >>> ds = activation_kernels(rg.MLP([3, 50, 50], "relu", C_W=2.0), [[1.0, 0.5, -1.0]], networks=100, seed=0)
    >>> ds["K"].dims, bool((abs(ds["K"] - ds["K_theory"]) < 4 * ds["K_se"]).all())
    (('layer',), True)
    """
    found = ensemble(models, networks, seed)
    kernels = []
    first: tuple[Any, ...] = ()
    with progress_bar(progress, "measuring models", found.networks) as advance:
        for model, _ in found:
            x = checked_inputs(model, inputs)
            check_separate(model)
            looked = chosen(model, modules)
            z = outputs(model, looked, x, differentiable=False)
            first = first or (model, {name: looked[name] for name in z}, x)
            kernels.append(np.stack([_kernel(one) for one in z.values()]))
            advance(1)
    model, looked, x = first
    values = np.stack(kernels)
    if len(x) == 1:
        values = values[..., 0, 0]
    dims = ("layer", *(f"sample{i}" for i in range(values.ndim - 2)))
    mean, error = over_networks(values)
    data: dict[str, Any] = {"K": (dims, mean), "K_se": (dims, error), "K_of_network": (("network", *dims), values)}
    net = described_by(model, description)
    numbers = None if net is None else theory.layer_numbers(model, net, looked)
    says = undescribed(model)
    if net is not None and numbers is not None:
        answer, says = theory.kernels(net, theory.shown(net, x), numbers, order)
        data |= {name: (dims, kernel) for name, kernel in (answer or {}).items()}
    coords = {"layer": numbers or list(range(1, len(looked) + 1)), "module": ("layer", list(looked))}
    return dataset(data, coords, measured("activation kernels", CONVENTIONS, net, {**found.about(), "theory": says}))


def _kernel(z: Tensor) -> Any:
    rows = z.detach().reshape(len(z), -1).double()
    return (rows @ rows.T / rows.shape[1]).cpu().numpy()
