"""``robustness``: how many inputs a model still tells apart when they are disturbed, by noise or by an adversary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from rgflow.checks import positive, whole
from rgflow.errors import InputError, UnknownName
from rgflow.labelled import dataset
from rgflow.network.inputs import finite
from rgflow.nn.modes import resting
from rgflow.nn.smoothness.directions import generator
from rgflow.nn.smoothness.jacobian_norm import finite_outputs, moved
from rgflow.progress import progress_bar
from rgflow.seeds import seed_sequence, seed_text

if TYPE_CHECKING:
    import xarray

Tensor = torch.Tensor
UNITS = (0.0, 1.0)  # of the inputs themselves
ATTACKS = ("white_noise", "fgsm", "pgd")
MEANINGS = {
    "accuracy": "fraction of the disturbed inputs that are put into their class",
    "accuracy_se": "binomial standard error of accuracy, of the inputs and of the noise together",
    "change": "mean over the inputs of |z(x + disturbance) - z(x)|^2",
    "change_se": "standard error of change",
}


class _Units(NamedTuple):
    """Pixels p and what the model takes, x = (p - mean)/width; the domain of p."""

    mean: Tensor
    width: Tensor
    low: float
    high: float

    def clipped(self, p: Tensor) -> Tensor:
        return p.clamp(self.low, self.high)

    def inputs(self, p: Tensor) -> Tensor:
        return (p - self.mean) / self.width


def robustness(
    model: torch.nn.Module,
    X: Any,
    y: Any,
    attack: str | Sequence[str] = "white_noise",
    *,
    sizes: Any,
    steps: int = 20,
    step_size: float | None = None,
    pixels: tuple[Any, Any] = UNITS,
    clip: tuple[float, float] | None = None,
    batch: int = 500,
    seed: Any = 0,
    progress: bool = False,
) -> xarray.Dataset:
    r"""Accuracy on disturbed inputs, for each size of the disturbance.

    - ``white_noise``: p + N(0, size^2) in every pixel. To second order E|z(x + e) - z(x)|^2 = size^2 ||J||_F^2 per
      input, which ``change`` measures.
    - ``fgsm``: p + size * sign(gradient of the cross entropy): one step.
    - ``pgd``: from a random point of the cube |p' - p|_inf <= size, ``steps`` steps of step_size * sign(gradient), each
      put back into the cube; what is reached at the end counts.

    The model is measured in eval mode, and left in the mode in which it was; its gradients are not touched.

    Parameters
    ----------
    model : torch.nn.Module
        Takes (B, ...), returns logits (B, C).
    X : tensor or array (N, ...)
        Inputs as the model takes them.
    y : tensor or array (N,)
        Classes 0..C-1.
    attack : one of "white_noise", "fgsm", "pgd", or several
    sizes : sequence of numbers
        0 or above, in pixels: units of p, where X = (p - mean)/width.
    steps, step_size : int, float
        Of ``pgd``; the step size, in pixels, is 2.5 size/steps if not given.
    pixels : (mean, width)
        Numbers or arrays of the shape of one input; (0, 1): sizes are in the units of X.
    clip : (low, high), optional
        The domain of p: what is disturbed is put back into it. For images from 0 to 1, (0, 1).
    batch : int
        Inputs at a time.
    seed : int, SeedSequence or Generator
        Of the noise and of the random starts; the same noise, scaled, for every size, so that accuracies of neighbours
        differ by less than their standard errors say. It does not depend on device, dtype or ``batch``.
    progress : bool
        Show a bar.

    Returns
    -------
    xarray.Dataset
        Dims ``attack`` (absent for one name) and ``size``: ``accuracy``, ``accuracy_se``: sqrt(q(1 - q)/N) with
        q = (hits + 1/2)/(N + 1), which is not 0 at the ends; ``change``, ``change_se``. attrs ``clean_accuracy``.

    Raises
    ------
    InputError, UnknownName

    Source: Hoffman, Roberts, Yaida (arXiv:1908.02729); Goodfellow et al. (arXiv:1412.6572); Madry et al.
    (arXiv:1706.06083).

    >>> import rgflow as rg
    >>> model = torch.nn.Linear(2, 2, bias=False)
    >>> _ = model.load_state_dict({"weight": torch.eye(2)})
    >>> X, y = torch.tensor([[1.0, 0.0], [0.0, 3.0]]), torch.tensor([0, 1])
    >>> rg.nn.robustness(model, X, y, "fgsm", sizes=[0.0, 1.0, 2.0])["accuracy"].values.tolist()
    [1.0, 0.5, 0.0]
    """
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"model is a {type(model).__name__}; give a torch.nn.Module")
    names = _attacks(attack)
    amounts = _sizes(sizes)
    count = whole("steps", steps, 1)
    stride = None if step_size is None else positive("step_size", step_size)
    x = moved(model, X)
    labels = _labels(y, x)
    units = _units(pixels, clip, x)
    sequence = seed_sequence(seed)
    size = whole("batch", batch, 1)
    rows: list[list[tuple[Tensor, Tensor]]] = []
    with resting(model), progress_bar(progress, "attacks", len(names) * len(amounts)) as advance:
        clean = _logits(model, x, size, "")
        _check_logits(clean, labels)
        for number, name in enumerate(names):
            rows.append([])
            for amount in amounts:
                disturbed = _disturbed(model, x, labels, units, name, amount, count, stride, (sequence, number), size)
                z = _logits(model, disturbed, size, f", disturbed by {name} of size {amount:g},")
                rows[-1].append((z.argmax(1) == labels, (z - clean).cpu().double().square().sum(1)))
                advance(1)
    return _dataset(
        rows,
        attack,
        names,
        amounts,
        clean.argmax(1) == labels,
        {
            "kind": "robustness",
            "steps": count,
            "step_size": "2.5 size/steps" if stride is None else stride,
            "seed": seed_text(sequence),
            "clip": "none" if clip is None else f"{clip[0]} to {clip[1]}",
            "units": "pixels" if pixels is not UNITS else "units of the inputs",
        },
    )


# Disturbances ---------------------------------------------------------------------------------------------------------


def _disturbed(
    model: torch.nn.Module,
    x: Tensor,
    y: Tensor,
    units: _Units,
    name: str,
    amount: float,
    steps: int,
    stride: float | None,
    source: tuple[Any, int],
    size: int,
) -> Tensor:
    p = x * units.width + units.mean
    if amount == 0.0:
        return x
    drawn = generator(*source)
    if name == "white_noise":
        noise = torch.randn(p.shape, generator=drawn, dtype=torch.float64).to(dtype=p.dtype).to(p.device)
        return units.inputs(units.clipped(p + amount * noise))
    if name == "fgsm":
        return units.inputs(units.clipped(p + amount * _signs(model, units, p, y, size)))
    start = torch.rand(p.shape, generator=drawn, dtype=torch.float64).to(dtype=p.dtype).to(p.device) * 2 - 1
    step = 2.5 * amount / steps if stride is None else stride
    moving = units.clipped(p + amount * start)
    for _ in range(steps):
        moving = moving + step * _signs(model, units, moving, y, size)
        moving = units.clipped(torch.minimum(torch.maximum(moving, p - amount), p + amount))
    return units.inputs(moving)


def _signs(model: torch.nn.Module, units: _Units, p: Tensor, y: Tensor, size: int) -> Tensor:
    """The sign of the gradient of the cross entropy with respect to the pixels."""
    found = []
    for part, labels in zip(torch.split(p, size), torch.split(y, size), strict=True):
        with torch.enable_grad():
            leaf = part.detach().requires_grad_()
            z = model(units.inputs(leaf))
            # cross entropy = log(1 + e^m), whose gradient has the signs of that of m, which never rounds to nothing
            own = torch.nn.functional.one_hot(labels, z.shape[1]).bool()
            m = z.masked_fill(own, -torch.inf).logsumexp(1) - z[own]
            (gradient,) = torch.autograd.grad(m.sum(), leaf)
        found.append(gradient.sign())
    return torch.cat(found)


def _logits(model: torch.nn.Module, x: Tensor, size: int, how: str) -> Tensor:
    with torch.no_grad():
        return finite_outputs(torch.cat([model(part) for part in torch.split(x, size)]), how)


# What the user gave ---------------------------------------------------------------------------------------------------


def _attacks(attack: Any) -> tuple[str, ...]:
    try:
        names = (attack,) if isinstance(attack, str) else tuple(attack)
    except TypeError:
        raise InputError(f"attack is {attack!r}; give one or several of {', '.join(ATTACKS)}") from None
    for name in names:
        if name not in ATTACKS:
            raise UnknownName("attack", name, ATTACKS)
    if not names or len(set(names)) < len(names):
        raise InputError(f"attack is {attack!r}; give one or several of {', '.join(ATTACKS)}, each once")
    return names


def _sizes(sizes: Any) -> tuple[float, ...]:
    found = np.atleast_1d(finite("sizes", sizes, "fiu"))
    if found.ndim != 1 or (found < 0).any():
        raise InputError(f"sizes is {sizes!r}; give numbers, 0 or above")
    return tuple(map(float, found))


def _labels(y: Any, x: Tensor) -> Tensor:
    try:
        labels = torch.as_tensor(y)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"y is {y!r:.60}; give {len(x)} classes, integers") from None
    if labels.shape != (len(x),) or labels.dtype.is_floating_point or labels.dtype == torch.bool:
        raise InputError(f"y has dtype {labels.dtype} and shape {tuple(labels.shape)}; give {len(x)} classes, integers")
    return labels.to(device=x.device, dtype=torch.int64)


def _check_logits(z: Tensor, labels: Tensor) -> None:
    if z.ndim != 2 or len(z) != len(labels) or z.shape[1] < 2:
        raise InputError(
            f"the model returns shape {tuple(z.shape)} for {len(labels)} inputs; logits are (N, C), C >= 2"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= z.shape[1]:
        raise InputError(f"y holds classes from {low} to {high}; the model has the outputs 0..{z.shape[1] - 1}")


def _units(pixels: Any, clip: Any, x: Tensor) -> _Units:
    try:
        mean, width = (torch.as_tensor(each, device=x.device, dtype=x.dtype) for each in pixels)
        torch.broadcast_to(mean + width, x.shape[1:])
    except (TypeError, ValueError, RuntimeError):
        raise InputError(
            f"pixels is {pixels!r}; give (mean, width), numbers or arrays of the shape of one input"
        ) from None
    if not bool(torch.isfinite(mean).all() and torch.isfinite(width).all() and (width > 0).all()):
        raise InputError(f"pixels is {pixels!r}; both must be finite and the width above 0")
    if clip is None:
        return _Units(mean, width, -np.inf, np.inf)
    try:
        low, high = (float(each) for each in clip)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not low < high:
        raise InputError(f"clip is {clip!r}; give (low, high) with low < high")
    p = x * width + mean
    beyond = max(low - float(p.min()), float(p.max()) - high)
    if beyond > 1e-3 * (high - low):
        raise InputError(
            f"undisturbed inputs lie {beyond:.3g} outside of clip={clip!r}; pixels go from {float(p.min()):.4g} to "
            f"{float(p.max()):.4g}: say with pixels=(mean, width) how they were normalised"
        )
    return _Units(mean, width, low, high)


def _dataset(
    rows: list[list[tuple[Tensor, Tensor]]],
    attack: Any,
    names: tuple[str, ...],
    sizes: tuple[float, ...],
    clean: Tensor,
    about: dict[str, Any],
) -> xarray.Dataset:
    hits = np.array([[each[0].sum().item() for each in row] for row in rows])
    N = len(clean)
    q = (hits + 0.5) / (N + 1)
    moves = np.array([[each[1].mean().item() for each in row] for row in rows])
    spread = np.array([[each[1].std().item() if N > 1 else np.nan for each in row] for row in rows])
    found = {
        "accuracy": hits / N,
        "accuracy_se": np.sqrt(q * (1 - q) / N),
        "change": moves,
        "change_se": spread / N**0.5,
    }
    single = isinstance(attack, str)
    dims = ("size",) if single else ("attack", "size")
    data = {name: (dims, x[0] if single else x, {"long_name": MEANINGS[name]}) for name, x in found.items()}
    coords: dict[str, Any] = {"size": ("size", np.array(sizes), {"units": about.pop("units")})}
    coords["attack"] = ((), attack) if single else list(names)
    return dataset(data, coords, {**about, "inputs": N, "clean_accuracy": clean.cpu().double().mean().item()})
