"""``tangent_kernel_spread``: mean and fluctuation of the tangent kernel over networks, beside Theta, A and B."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError
from rgflow.labelled import dataset
from rgflow.nn.probes import theory
from rgflow.nn.probes.capture import check_separate, checked_inputs
from rgflow.nn.probes.ensemble import described_by, ensemble, undescribed
from rgflow.nn.probes.labels import measured
from rgflow.nn.probes.statistics import of_products, over_networks
from rgflow.nn.probes.tangent import FROZEN, Gradients, learning_rates, trained_as_described
from rgflow.progress import progress_bar

if TYPE_CHECKING:
    import xarray

Array = NDArray[np.float64]
CONVENTIONS = (
    "Theta is the mean over networks of (1/n_L) sum_i H_ii, Theta_spread its standard deviation; A[1,2,3,4] = n Cov("
    "H_ii;12, H_jj;34) and B[1,3,2,4] = n E[H_ij;12 H_ij;34] over outputs i != j, with n the fan-in of the last layer"
)
MOST_INPUTS = 6  # N^4 components


def tangent_kernel_spread(
    models: Any,
    inputs: Any,
    *,
    networks: int | None = None,
    seed: Any = None,
    groups: Any = None,
    description: Any = None,
    order: int | None = None,
    progress: bool = False,
) -> xarray.Dataset:
    r"""How the tangent kernel varies from network to network.

    .. math:: \mathrm{E}[\Delta H_{ij;12} \Delta H_{kl;34}] = \frac1n \big( \delta_{ij} \delta_{kl} A_{1234}
              + \delta_{ik} \delta_{jl} B_{1324} + \delta_{il} \delta_{jk} B_{1423} \big)

    Parameters
    ----------
    models : function of a seed that returns a Module, list of Modules, or Network
        At least three of them; of a Network that many are built, in double precision.
    inputs : array (N, ...)
        At most 6.
    networks : int
        50 by default.
    groups : function of a model, optional
        Returns its parameter groups or an optimizer; else as for :func:`rgflow.nn.tangent_kernel`.
    seed, description, order, progress
        As for :func:`rgflow.nn.partial_jacobians`.

    Returns
    -------
    xarray.Dataset
        Dims ``sample0``, .. (absent for one input): ``Theta``, ``Theta_se``, ``Theta_spread`` and ``Theta_theory`` with
        its error. Where the models come from a description, and have two outputs at least, ``A`` and ``B`` in the order
        of samples of PDLT, all orders in 1/n included, with ``A_se``, ``B_se`` (leaving out one network at a time), and
        ``A_theory``, ``B_theory`` at leading order with their estimated errors; ``Theta_spread_theory`` from them.

    Raises
    ------
    InputError

    Source: PDLT (arXiv:2106.10165), chapter 8.

    >>> import rgflow as rg
    >>> ds = tangent_kernel_spread(rg.MLP([3, 20, 4], "relu", C_W=2.0), [[1.0, 0.5, -1.0]], networks=60, seed=0)
    >>> [bool(abs(ds[name] - ds[f"{name}_theory"]) < 4 * ds[f"{name}_se"]) for name in ("Theta", "B")]
    [True, True]
    """
    found = ensemble(models, networks, seed, default=50)
    if found.networks < 3:
        raise InputError(f"{found.networks} models have no spread; give three at least")
    kernels = []
    first: tuple[Any, ...] = ()
    with progress_bar(progress, "measuring models", found.networks) as advance:
        for model, _ in found:
            x = checked_inputs(model, inputs)
            if len(x) > MOST_INPUTS:
                raise InputError(f"{len(x)} inputs have {len(x) ** 4} components of A; give {MOST_INPUTS} at most")
            check_separate(model)
            first = first or (model, x)
            rates = learning_rates(model, None if groups is None else groups(model))
            kernels.append(Gradients(model, x, rates).kernel().cpu().numpy())
            advance(1)
    model, x = first
    H = np.stack(kernels)
    n_out = H.shape[1]
    Theta, error = over_networks(np.einsum("miiab->mab", H) / n_out)
    spread = (np.einsum("miiab->mab", H) / n_out).std(axis=0, ddof=1)
    two: dict[str, Array] = {"Theta": Theta, "Theta_se": error, "Theta_spread": spread}
    four: dict[str, Array] = {}
    net = described_by(model, description)
    says = undescribed(model)
    if net is not None and description is None and not trained_as_described(model):
        says = FROZEN
    elif net is not None:
        several = n_out > 1
        four = _letters(H, net.fan_in[-1]) if several else {}
        answer, says = theory.tangent_kernels(net, theory.shown(net, x), order, ("A", "B") if several else ())
        for name, values in (answer or {}).items():
            (two if name.startswith("Theta") else four)[name] = values
        if "A_theory" in four:
            two["Theta_spread_theory"] = _spread(four["A_theory"], four["B_theory"], net.fan_in[-1], n_out)
    about = {**found.about(), "theory": says}
    return _dataset(two, four, len(x), measured("tangent kernel spread", CONVENTIONS, net, about))


def _letters(H: Array, fan_in: int) -> dict[str, Array]:
    """A and B from kernels (m, n_L, n_L, N, N), (N, N, N, N) each, with standard errors."""
    n_out = H.shape[1]
    pairs = n_out * (n_out - 1)
    diagonal = np.einsum("miiab->miab", H)
    away = diagonal - diagonal.mean(axis=0)
    all_of = away.sum(axis=1)
    # over i != j: all pairs less those of an output with itself
    apart = np.einsum("mab,mcd->mabcd", all_of, all_of) - np.einsum("miab,micd->mabcd", away, away)
    A, A_se = of_products(fan_in * apart / pairs)
    # E H_ij = 0 for i != j, so that plain products are unbiased
    crossed = np.einsum("mijab,mijcd->macbd", H, H) - np.einsum("miab,micd->macbd", diagonal, diagonal)
    B, B_se = over_networks(fan_in * crossed / pairs)
    return {"A": A, "A_se": A_se, "B": B, "B_se": B_se}


def _spread(A: Array, B: Array, fan_in: int, n_out: int) -> Array:
    """Standard deviation over networks of (1/n_L) sum_i H_ii;ab at leading order."""
    if A.ndim == 0:
        own = A + 2 * B / n_out
    else:
        own = np.einsum("abab->ab", A) + (np.einsum("aabb->ab", B) + np.einsum("abba->ab", B)) / n_out
    found: Array = np.sqrt(np.maximum(own, 0.0) / fan_in)
    return found


def _dataset(two: dict[str, Array], four: dict[str, Array], inputs: int, attrs: dict[str, Any]) -> xarray.Dataset:
    data: dict[str, Any] = {}
    for arguments, found in ((2, two), (4, four)):
        dims = () if inputs == 1 else tuple(f"sample{i}" for i in range(arguments))
        data |= {name: (dims, np.asarray(values).reshape((inputs,) * len(dims))) for name, values in found.items()}
    return dataset(data, {}, attrs)
