"""``width_check``: how activations and what training adds to them go with the width, beside the derived exponents."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from rgflow.checks import whole
from rgflow.errors import InputError
from rgflow.labelled import dataset
from rgflow.nn.probes.blocks import chosen
from rgflow.nn.probes.capture import checked_inputs, taking
from rgflow.nn.probes.exponents import derived, slopes
from rgflow.nn.probes.labels import measured
from rgflow.nn.training.losses import loss_function
from rgflow.progress import progress_bar
from rgflow.scaling.families.family import Family
from rgflow.seeds import seed_sequence, seed_text

if TYPE_CHECKING:
    import xarray

Array = NDArray[np.float64]
WEIGHTED = (nn.Linear, _ConvNd)
CONVENTIONS = (
    "root mean squares over inputs and entries: size of a module's output at the start; change of it after so many "
    "steps; own what the module's own updates make of its input at the start, own_moved of its input now; own_relative "
    "is own over size. NAME_exponent is the power of the width, fitted to each run; NAME_exponent_derived that of the "
    "family"
)


def width_check(
    factory: Callable[[int, int], Any],
    data: Any,
    *,
    widths: Iterable[int] = (64, 128, 256, 512),
    runs: int = 3,
    steps: int = 1,
    loss: Any = "cross_entropy",
    modules: Any = None,
    family: str | Family | None = None,
    activation: Any = "relu",
    seed: Any = None,
    progress: bool = False,
) -> xarray.Dataset:
    """Train models of several widths for a few steps and fit how what happens inside scales: a coordinate check.

    Parameters
    ----------
    factory : function of (width, seed)
        Returns a model and its optimizer, ``(model, optimizer)``; schedulers that hang on the optimizer do their work.
    data : (X, y)
        One batch, or a Data of :func:`rgflow.nn.digits`: its training set as one batch.
    widths : integers
        Two at least.
    runs : int
        Seeds; the same for every width.
    steps : int
        Of the optimizer, all on the same batch.
    loss : as for :func:`rgflow.nn.fit`
    modules : list of names or modules, optional
        Linear layers and convolutions; by default all of the model, in its order.
    family : str or Family, optional
        Whose derived exponents to stand beside: as many layers as modules; with ``activation``. A name stands
        for the family of the factory's optimizer, SGD or Adam; a Family must be of it.
    seed : int, SeedSequence, Generator or None
    progress : bool

    Returns
    -------
    xarray.Dataset
        Dims ``layer`` (1, 2, .. with the coordinate ``module``), ``width``, ``run``, ``step`` (1, 2, ..): ``size``
        (layer, width, run), the output last; ``change``, ``own``, ``own_relative``, ``own_moved`` (step, layer, width,
        run); ``loss`` before each step. ``NAME_exponent`` is the mean over runs of the slopes of ln NAME in ln width,
        ``NAME_exponent_se`` the standard error over runs (from the fit's residuals for one), ``NAME_exponent_derived``
        NaN where nothing is derived, -inf where it is zero at all widths.

    Raises
    ------
    InputError, UnknownName
        For a factory that returns something else, fewer than two widths, a family of other depth.

    Notes
    -----
    Total changes reach their exponents slowly: the first layer's part has a large prefactor (the squared length of the
    input) and swamps that of the others at widths of a thousand. Own contributions show theirs at once.

    Source: Yang and Hu (arXiv:2011.14522); Hajjar, Chizat, Giraud (arXiv:2110.15596).

    >>> import rgflow as rg
    >>> def factory(width, seed):
    ...     model = rg.nn.build(rg.MLP([3, width, 3], "relu", lambda_b=0.0), seed=seed)
    ...     return model, torch.optim.SGD(rg.nn.groups(model, 0.1))
    >>> batch = torch.eye(3), torch.arange(3)
    >>> ds = width_check(factory, batch, widths=[16, 32, 64], runs=2, seed=0)
    >>> ds["own"].dims, ds["module"].values.tolist()
    (('step', 'layer', 'width', 'run'), ['layers.0.own', 'layers.1.own'])
    """
    sizes = [whole("width", width, 1) for width in widths]
    if len(set(sizes)) < 2:
        raise InputError(f"widths is {sizes}; slopes need two different widths at least")
    count, most = whole("runs", runs, 1), whole("steps", steps, 1)
    X, y = _batch(data)
    sequence = seed_sequence(seed)
    seeds = [int(word) for word in sequence.generate_state(count, np.uint32)]
    found: dict[str, list[Array]] = {}
    names: list[str] = []
    known: dict[str, Array] = {}
    with progress_bar(progress, "training models", len(sizes) * count) as advance:
        for width in sizes:
            for run in seeds:
                model, optimizer = _made(factory, width, run)
                looked = _weighted(model, modules)
                if names and list(looked) != names:
                    raise InputError(f"the models have different modules: {names} and {list(looked)}")
                if not names:
                    known = derived(family, len(looked), activation, most, optimizer)
                names = list(looked)
                one = _trained(model, optimizer, looked, X, y, loss_function(loss), most)
                for name, values in one.items():
                    found.setdefault(name, []).append(values)
                advance(1)
    data_of: dict[str, Any] = {}
    for name, rows in found.items():
        values = np.stack(rows, axis=-1).reshape(*rows[0].shape, len(sizes), count)
        lead = {"size": ("layer",), "loss": ("step",)}.get(name, ("step", "layer"))
        data_of[name] = ((*lead, "width", "run"), values)
        if name != "loss":
            slope, error = slopes(values, np.log(sizes))
            data_of |= {f"{name}_exponent": (lead, slope), f"{name}_exponent_se": (lead, error)}
            if name in known:
                data_of[f"{name}_exponent_derived"] = (lead, known[name])
    coords = {
        "layer": list(range(1, len(names) + 1)),
        "module": ("layer", names),
        "width": sizes,
        "run": list(range(count)),
        "step": list(range(1, most + 1)),
    }
    about = {
        "seed": seed_text(sequence),
        "family": "" if family is None else family if isinstance(family, str) else family.name,
    }
    return dataset(data_of, coords, measured("width check", CONVENTIONS, None, about))


# What the user gave ---------------------------------------------------------------------------------------------------


def _batch(data: Any) -> tuple[Any, Any]:
    if hasattr(data, "X") and hasattr(data, "y"):
        return data.X, data.y
    if not isinstance(data, (tuple, list)) or len(data) != 2 or not isinstance(data[1], Tensor):
        raise InputError("data is no pair (X, y) of a batch and its targets as tensors, nor a Data of rgflow.nn")
    return data[0], data[1]


def _made(factory: Any, width: int, seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    if not callable(factory) or isinstance(factory, nn.Module):
        raise InputError(f"factory is {factory!r}; give a function of (width, seed)")
    made = factory(width, seed)
    good = isinstance(made, (tuple, list)) and len(made) == 2 and isinstance(made[0], nn.Module)
    if not good or not isinstance(made[1], torch.optim.Optimizer):
        raise InputError(f"the factory returned {type(made).__name__}; it should return (model, optimizer)")
    return made[0], made[1]


def _weighted(model: nn.Module, modules: Any) -> dict[str, nn.Module]:
    if modules is None:
        modules = [name for name, module in model.named_modules() if isinstance(module, WEIGHTED)]
        if not modules:
            raise InputError(f"{type(model).__name__} has no linear layers or convolutions to look at")
    found = chosen(model, modules)
    for name, module in found.items():
        if not isinstance(module, WEIGHTED):
            raise InputError(
                f"{name!r} is a {type(module).__name__}; own updates are looked at of Linear and Conv layers"
            )
    return found


# One model ------------------------------------------------------------------------------------------------------------


def _trained(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    looked: dict[str, nn.Module],
    X: Any,
    y: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    steps: int,
) -> dict[str, Array]:
    x = checked_inputs(model, X)
    target = y.to(x.device)
    first = {name: _weight(module).clone() for name, module in looked.items()}
    begin = _pass(model, looked, x)
    size = {name: _rms(z) for name, (_, z) in begin.items()}
    rows: dict[str, list[list[float]]] = {name: [] for name in ("change", "own", "own_relative", "own_moved")}
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(model(x), target)
        losses.append(float(value.detach()))
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        now = _pass(model, looked, x)
        own, moved = [], []
        for name, module in looked.items():
            update = _weight(module) - first[name]
            own.append(_rms(_apply(module, update, begin[name][0])))
            moved.append(_rms(_apply(module, update, now[name][0])))
        rows["change"].append([_rms(now[name][1] - begin[name][1]) for name in looked])
        rows["own"].append(own)
        rows["own_relative"].append(
            [a / size[name] if size[name] else np.nan for a, name in zip(own, looked, strict=True)]
        )
        rows["own_moved"].append(moved)
    found = {"size": np.array(list(size.values())), **{name: np.array(values) for name, values in rows.items()}}
    return {**found, "loss": np.array(losses)}


@torch.no_grad()
def _pass(model: nn.Module, looked: dict[str, nn.Module], x: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """What every module reads and writes."""
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def take(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, read: tuple[Tensor, ...], written: Tensor) -> None:
            if name in found:
                raise InputError(f"the module {name!r} is called more than once; leave it out, as modules=[...]")
            found[name] = (read[0].clone(), written.clone())

        return hook

    with ExitStack() as stack:
        for name, module in looked.items():
            stack.callback(module.register_forward_hook(take(name)).remove)
        with taking(x):
            model(x)
    missing = [name for name in looked if name not in found]
    if missing:
        raise InputError(f"the model does not call {missing[0]!r} on this batch; leave it out, as modules=[...]")
    return found


def _weight(module: nn.Module) -> Tensor:
    weight: Any = module.weight
    return weight.detach()  # type: ignore[no-any-return]


def _apply(module: nn.Module, weight: Tensor, x: Tensor) -> Tensor:
    """What a linear module with this weight and no bias makes of x."""
    if isinstance(module, _ConvNd):
        return module._conv_forward(x, weight, None)
    return nn.functional.linear(x, weight)


def _rms(z: Tensor) -> float:
    return float(z.double().pow(2).mean().sqrt())
