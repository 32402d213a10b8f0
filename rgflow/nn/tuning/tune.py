"""``tune``: a module of PyTorch brought to criticality by what is measured of it, whatever its layers are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from rgflow.checks import not_negative, positive, whole
from rgflow.errors import AccuracyError, InputError, UnknownName
from rgflow.labelled import dataset
from rgflow.nn.models.layers import mark_changed
from rgflow.nn.probes.blocks import chosen
from rgflow.nn.probes.capture import check_separate, checked_inputs, outputs
from rgflow.nn.probes.labels import measured
from rgflow.nn.probes.partial_jacobians import directions
from rgflow.nn.smoothness.directions import generator
from rgflow.nn.tuning.loss import Measure
from rgflow.nn.tuning.scaled import Scaled, scaled
from rgflow.nn.tuning.search import descend, from_below, gauss_newton
from rgflow.progress import progress_bar
from rgflow.seeds import seed_sequence, seed_text

if TYPE_CHECKING:
    import xarray

METHODS = ("blocks", "newton", "descent")
CONVENTIONS = (
    "scale multiplies the weights of a block, scale_b its biases; log_J is ln of the partial Jacobian norm from the "
    "output of the block below to that of this one, NaN at the first, measured with other directions than it was tuned "
    "with; K the mean square of the output; _before: as the module was given"
)


@dataclass(frozen=True)
class Tuned:
    """What :func:`tune` did to a module.

    Attributes
    ----------
    table : xarray.Dataset
        Dim ``layer``, one entry for each block, with the coordinate ``module``: ``scale``, ``scale_b``,
        ``log_J_before``, ``log_J``, ``log_J_se``, ``K_before``, ``K``. Attributes ``loss_before`` and ``loss``, the
        Jacobian log loss 1/2 sum (ln J)^2 with fresh directions, ``method`` and ``seed``.

    ``print(tuned)`` tells it block by block.
    """

    table: xarray.Dataset

    def __str__(self) -> str:
        ds = self.table
        lines = [
            f"{ds.attrs['method']}: 1/2 sum (ln J)^2 from {ds.attrs['loss_before']:.4g} to {ds.attrs['loss']:.4g}",
            f"{'block':<24}{'scale':>10}{'biases':>10}{'ln J before':>13}{'ln J':>10}{'s.e.':>9}"
            f"{'K before':>12}{'K':>11}",
        ]
        for row in range(ds.sizes["layer"]):
            one = {name: ds[name].values[row] for name in ds.data_vars}
            lines.append(
                f"{ds['module'].values[row]!s:<24}{one['scale']:>10.5g}{one['scale_b']:>10.5g}"
                f"{one['log_J_before']:>13.4g}{one['log_J']:>10.2g}{one['log_J_se']:>9.1g}"
                f"{one['K_before']:>12.4g}{one['K']:>11.4g}"
            )
        return "\n".join(lines)


def tune(
    module: nn.Module,
    inputs: Any,
    *,
    modules: Any = None,
    first_kernel: float | None = None,
    kernel: float = 0.0,
    method: str | None = None,
    steps: int = 50,
    rate: float = 0.1,
    projections: int = 4,
    tolerance: float = 0.02,
    seed: Any = None,
    progress: bool = False,
) -> Tuned:
    r"""Scale the weights of a module, block by block, until its partial Jacobian norms neither grow nor fall.

    .. math:: \mathcal{L}(a) = \tfrac12 \sum_l \big[\ln J^{l,l+1}\big]^2
              + \tfrac{\kappa}{2} \sum_l \big[\ln (K^{l+1}/K^l)\big]^2

    is minimised over one factor a_l for the weights of each block (and one for its biases if kappa > 0), with J
    measured by random projections on these inputs and the drawn weights as they are. The factors are then multiplied
    into the parameters: the module keeps its kind and is changed in place. Nothing is assumed of its layers; what
    counts as a block ends at the output of one of ``modules``. A model of :func:`rgflow.nn.build` is no draw of its
    description afterwards: ``model.net`` is None.

    Parameters
    ----------
    module : Module
        Anything whose blocks follow each other: Linear, Conv2d, norms, residual blocks.
    inputs : array (N, ...)
        A batch as it will be trained on; 16 to 64 are enough for widths of a hundred.
    modules : list of names or modules, optional
        Ends of blocks; see :func:`rgflow.nn.partial_jacobians`. Weights of the first are not changed by J, which is
        measured between outputs.
    first_kernel : float, optional
        Bring the mean square of the first block's output to this number first, by its weights and biases.
    kernel : float
        kappa. With it biases count, too, and the minimum need not have J = 1.
    method : "blocks", "newton" or "descent", optional
        "blocks" (default without a kernel term): each block in turn from below, J of which depends on nothing above;
        one step where J goes as a^2. "newton" (default with one): Gauss-Newton in ln a of all blocks at once.
        "descent": a <- a - rate dL/da, the published algorithm, ``steps`` times.
    steps : int
        At most, of "newton" and "descent".
    rate : float
        Of "descent"; for ReLU it converges for rate < a*^2 / 2.
    projections : int
        Directions for every input and block.
    tolerance : float
        Of "blocks": |ln J| with fresh directions that is accepted beyond three standard errors.
    seed : int, SeedSequence, Generator or None
    progress : bool

    Returns
    -------
    Tuned
        ``.table`` (Dataset) and ``str()``: what was multiplied by what, and J and K before and after.

    Raises
    ------
    InputError
        **Leaving the module as it was**: a block without trained weights of its own, dead neurons (J = 0), a skip that
        alone carries J >= 1, a norm that takes the scale away, NaN, BatchNorm or Dropout in training mode; inputs as
        for :func:`rgflow.nn.partial_jacobians`.
    AccuracyError
        If J of a block does not come to 1 within the tolerance.

    Notes
    -----
    J is that of these weights and inputs, not its mean over networks: tuned networks of width n deviate from the
    critical C_W by O(1/sqrt(n)), each as it needs. ln J of an estimate lies low by half its relative variance.
    At J = 1 in every block kernels may still drift: K of tanh falls as l^(-1/2), not to a fixed point.

    Source: He, Doshi, Gromov, "AutoInit" (arXiv:2206.13568); Doshi, He, Gromov (arXiv:2111.12143).

    >>> import rgflow as rg
    >>> model = rg.nn.build(rg.MLP([64, 80, 80, 80], "relu", C_W=0.5), seed=0)
    >>> done = tune(model, rg.nn.digits().X[:32], seed=0)
    >>> abs(done.table["log_J"][1:]).max().item() < 0.05, done.table["scale"].values.round(1).tolist()
    (True, [1.0, 1.9, 1.9])
    """
    x = checked_inputs(module, inputs)
    check_separate(module)
    kappa, count, most = not_negative("kernel", kernel), whole("projections", projections, 1), whole("steps", steps, 1)
    how = _method(method, kappa)
    rate, allowed = positive("rate", rate), positive("tolerance", tolerance)
    sequence = seed_sequence(seed)
    fixed, fresh = (int(one.generate_state(1, np.uint32)[0]) for one in sequence.spawn(2))
    blocks = scaled(module, chosen(module, modules), x)
    if len(blocks.names) < 2:
        raise InputError(f"one block alone ({blocks.names[0]!r}) has no partial Jacobian; name two modules at least")
    shapes = outputs(module, blocks.modules, x, differentiable=False, finite=False)
    measure = Measure(blocks, x, _drawn(shapes, count, fixed))
    judge = Measure(blocks, x, _drawn(shapes, max(count, 2), fresh))
    ones = torch.ones(len(blocks.names), dtype=torch.float64, device=x.device)
    before = judge.logs(ones, ones, finite=False)
    a, a_b = _first(measure, ones, first_kernel)
    with progress_bar(progress, "tuning", len(ones) - 1 if how == "blocks" else most) as advance:
        if how == "blocks":
            a, a_b = from_below(measure, a, a_b, lambda: advance(1))
        elif how == "newton":
            a, a_b = gauss_newton(measure, a, a_b, kappa, most, lambda: advance(1))
        else:
            a, a_b = descend(measure, a, a_b, kappa, most, rate, lambda: advance(1))
    after = judge.logs(a, a_b)
    if how == "blocks":
        _accept(blocks, after, allowed)
    blocks.keep(a, a_b)
    mark_changed(module, "tune")
    about = {"method": how, "kernel": kappa, "projections": count, "inputs": len(x), "seed": seed_text(sequence)}
    return Tuned(_table(blocks, a, a_b, before, after, about))


def _method(method: str | None, kernel: float) -> str:
    if method is None:
        return "newton" if kernel else "blocks"
    if method not in METHODS:
        raise UnknownName("method", method, METHODS)
    if method == "blocks" and kernel:
        raise InputError(f"method 'blocks' solves J = 1 and knows no kernel term (kernel={kernel:g}); take 'newton'")
    return method


def _drawn(shapes: dict[str, Tensor], count: int, seed: int) -> list[Tensor]:
    """Directions for every module: unit vectors for each input."""
    draws = generator(seed)
    return [torch.stack(list(directions(z, count, draws))) for z in shapes.values()]


def _first(measure: Measure, ones: Tensor, first_kernel: float | None) -> tuple[Tensor, Tensor]:
    """Scales that bring the mean square of the first output to the number asked."""
    if first_kernel is None:
        return ones, ones
    wanted = positive("first_kernel", first_kernel)
    name = measure.blocks.names[0]
    if not measure.blocks.weights[0]:
        raise InputError(f"the first block {name!r} has no trained weights; first_kernel needs them")

    def K(a: Tensor) -> float:
        (z,) = measure.blocks.outputs(measure.inputs, a, a, [name])
        return float(z.detach().double().pow(2).mean())

    found = K(ones)
    if not found > 0:
        raise InputError(f"the first block {name!r} returns zero on these inputs; no scale brings it to {wanted:g}")
    a = ones.clone()
    a[0] = (wanted / found) ** 0.5
    reached = K(a)
    # linear in its weights and biases, up to the rounding of the outputs' dtype
    if abs(reached / wanted - 1) > 100 * torch.finfo(measure.dtype).eps:
        raise InputError(
            f"the mean square of {name!r} is {reached:.4g} instead of {wanted:g} after scaling: the first block is not "
            "linear in its weights; leave first_kernel out, or end the first block earlier"
        )
    return a, a.clone()


def _accept(blocks: Scaled, after: tuple[Tensor, Tensor, Tensor], tolerance: float) -> None:
    logs, errors, _ = after
    beyond = logs.abs() - 3 * errors
    worst = int(beyond.argmax())
    if not float(beyond[worst]) <= tolerance:
        raise AccuracyError(
            f"ln J of {blocks.names[worst + 1]!r} is {float(logs[worst]):.3g} +- {float(errors[worst]):.1g} with fresh "
            f"directions, not 0 within {tolerance:g}: it was tuned with too few; raise projections= or give more inputs"
        )


def _table(
    blocks: Scaled,
    a: Tensor,
    a_b: Tensor,
    before: tuple[Tensor, Tensor, Tensor],
    after: tuple[Tensor, Tensor, Tensor],
    about: dict[str, Any],
) -> xarray.Dataset:
    def padded(values: Tensor) -> Any:
        return np.concatenate([[np.nan], values.double().cpu().numpy()])

    scaled_b = [float(b) if own else np.nan for b, own in zip(a_b, blocks.biases, strict=True)]
    data = {
        "scale": ("layer", a.cpu().numpy()),
        "scale_b": ("layer", scaled_b),
        "log_J_before": ("layer", padded(before[0])),
        "log_J": ("layer", padded(after[0])),
        "log_J_se": ("layer", padded(after[1])),
        "K_before": ("layer", before[2].double().cpu().numpy()),
        "K": ("layer", after[2].double().cpu().numpy()),
    }
    coords = {"layer": list(range(1, len(a) + 1)), "module": ("layer", blocks.names)}
    losses = {f"loss{end}": 0.5 * float((logs**2).sum()) for end, (logs, *_) in (("_before", before), ("", after))}
    return dataset(data, coords, measured("tuned", CONVENTIONS, None, {**about, **losses}))
