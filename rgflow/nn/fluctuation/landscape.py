"""``landscape``: how steep and how anharmonic the loss is where training dwells, from a sweep of learning rates."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from rgflow.checks import not_negative, positive, whole
from rgflow.errors import InputError
from rgflow.labelled import dataset
from rgflow.nn.fluctuation.monitor import TOTAL, FluctuationMonitor
from rgflow.nn.training.data import Data
from rgflow.nn.training.epochs import Penalty
from rgflow.nn.training.fit import fit
from rgflow.nn.training.losses import Loss
from rgflow.progress import progress_bar
from rgflow.seeds import seed_sequence, seed_text

if TYPE_CHECKING:
    import xarray

Array = NDArray[np.float64]


def landscape(
    model: torch.nn.Module,
    data: Data,
    rates: Sequence[float],
    *,
    epochs: int | Sequence[int],
    batch: int = 100,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    loss: str | Loss = "cross_entropy",
    penalty: Penalty | None = None,
    order: str = "independent",
    seed: Any = 0,
    progress: bool = True,
) -> xarray.Dataset:
    r"""Train at one rate after the other and read the loss surface off the fluctuations.

    The second relation, with g the full gradient with weight decay, C = <g^B g^B> over mini-batches, H the Hessian:

    .. math:: G(\eta) = (1-\nu) \langle |g|^2 \rangle - \mu \langle v \cdot g \rangle
              = \frac{\eta}{2} \langle v \cdot H v \rangle + O(\text{third derivatives})

    where the right-hand side is (eta/2) Tr(H C) without momentum. A straight line through 0 is a harmonic surface with
    noise that does not change; its slope gives Tr(H C).

    Parameters
    ----------
    model : torch.nn.Module
        Where training begins; a copy of it is trained, from rate to rate.
    data : Data
    rates : sequence of float
        At least two different ones, in the order in which they are gone through: falling, as training does.
    epochs : int, or one for each rate
        The first half of each is thrown away; the full gradient is measured after every epoch.
    batch, loss, penalty, order, seed, progress
        As of :func:`fit`. The relation is that of independent mini-batches: shuffled noise cancels over an epoch, and
        after whole epochs G is too small.
    momentum, dampening, weight_decay : float
        As of torch.optim.SGD. Without weight decay parameters may have no stationary state.

    Returns
    -------
    xarray.Dataset
        Over ``rate``, each with a standard error ``NAME_se`` over the measurements, which leaves out their
        correlations: ``G``; ``O_L``, ``O_R``; ``FDR1`` = O_L/O_R - 1, which tells whether the state was stationary;
        ``TrHC`` = 2 G/eta (1-mu^2)/(1-nu)^2; ``hessian`` = <v.Hv>/<v.v> = G/O_R (1+mu)/(1-nu), the mean of the Hessian
        weighted with the noise; ``departure`` = TrHC/TrHC_0 - 1 from the line.
        Of all rates, from the line TrHC = TrHC_0 (1 + anharmonicity eta/eta_max), fitted with these errors:
        ``TrHC_0``, its limit of small rates, and ``anharmonicity``, by which part G at the largest rate departs from
        the straight line. Both H and C may vary; ``hessian`` alone is about H.

    Raises
    ------
    InputError
        For settings outside their domain, and a training that does not stay finite.

    References
    ----------
    S. Yaida, arXiv:1810.00004, section 3.2.
    """
    etas, lengths = _settings(rates, epochs)
    sequence = seed_sequence(seed)
    model = deepcopy(model)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=etas[0],
        momentum=not_negative("momentum", momentum),
        dampening=not_negative("dampening", dampening),
        weight_decay=not_negative("weight_decay", weight_decay),
    )
    monitor = FluctuationMonitor(optimizer, full_gradient=True, shift="mean")
    rows: list[dict[str, float]] = []
    with progress_bar(progress, "rates", len(etas)) as advance:
        for eta, length, own in zip(etas, lengths, sequence.spawn(len(etas)), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = eta
            history = fit(
                model,
                data,
                optimizer=optimizer,
                loss=loss,
                epochs=length,
                batch=batch,
                seed=own,
                order=order,
                penalty=penalty,
                monitors=[monitor],
                progress=False,
            )
            if history.attrs["stopped"]:
                raise InputError(f"at rate {eta} {history.attrs['stopped']}; give smaller rates")
            found = monitor.averages().sel(group=TOTAL)
            rows.append({str(name): float(found[name]) for name in found.data_vars})
            advance(1)
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    with np.errstate(all="ignore"):  # a model that did not move has nothing to divide by
        found_all = _surface(np.array(etas), table, momentum, dampening if momentum else 0.0)
    scalars = {name: value for name, value in found_all.items() if np.ndim(value) == 0}
    along = {name: (("rate",), value) for name, value in found_all.items() if name not in scalars}
    return dataset(
        along | {name: ((), value) for name, value in scalars.items()},
        {"rate": np.array(etas), "epochs": (("rate",), np.array(lengths))},
        {
            "kind": "landscape",
            "seed": seed_text(sequence),
            "batch": batch,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "order": order,
        },
    )


def _settings(rates: Sequence[float], epochs: int | Sequence[int]) -> tuple[list[float], list[int]]:
    etas = [positive("a rate", float(rate)) for rate in np.atleast_1d(np.asarray(rates, dtype=float))]
    if len(set(etas)) < 2:
        raise InputError(f"rates are {etas}; a line needs at least two different ones")
    given = [epochs] * len(etas) if isinstance(epochs, int) else list(epochs)
    if len(given) != len(etas):
        raise InputError(f"{len(given)} numbers of epochs for {len(etas)} rates; give one for each")
    return etas, [whole("epochs", length, 2) for length in given]


def _surface(eta: Array, table: dict[str, Array], mu: float, nu: float) -> dict[str, Any]:
    """From averages at each rate to the surface."""
    scale = 2 / eta * (1 - mu**2) / (1 - nu) ** 2
    trace, error = table["G"] * scale, table["G_se"] * scale
    level, tilt, covariance = straight_line(eta / eta.max(), trace, error)
    tilted = tilt / level
    relative = np.array([-tilt / level**2, 1 / level])
    hessian = table["G"] / table["O_R"] * (1 + mu) / (1 - nu)
    names = ("G", "O_L", "O_R", "FDR1")
    own = {name: table[name] for one in names for name in (one, f"{one}_se")}
    return own | {
        "TrHC": trace,
        "TrHC_se": error,
        "hessian": hessian,
        "hessian_se": np.abs(hessian) * np.hypot(table["G_se"] / table["G"], table["O_R_se"] / table["O_R"]),
        "departure": trace / level - 1,
        "departure_se": np.hypot(error / level, trace * np.sqrt(covariance[0, 0]) / level**2),
        "TrHC_0": level,
        "TrHC_0_se": np.sqrt(covariance[0, 0]),
        "anharmonicity": tilted,
        "anharmonicity_se": np.sqrt(relative @ covariance @ relative),
    }


def straight_line(x: Array, y: Array, error: Array) -> tuple[float, float, Array]:
    """Level, tilt and their covariance of y = level + tilt x, weighted with errors; NaN covariance without errors.

    >>> level, tilt, _ = straight_line(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0]), np.ones(3))
    >>> round(level, 12), round(tilt, 12)
    (1.0, 2.0)
    """
    known = bool(np.all(np.isfinite(error)) and np.all(error > 0))
    weight = 1 / error if known else np.ones_like(y)
    design = np.stack([np.ones_like(x), x], axis=1) * weight[:, None]
    inverse = np.linalg.inv(design.T @ design)
    level, tilt = inverse @ design.T @ (y * weight)
    covariance = np.asarray(inverse if known else np.full((2, 2), np.nan), dtype=np.float64)
    return float(level), float(tilt), covariance
