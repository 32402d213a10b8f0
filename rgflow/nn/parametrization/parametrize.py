"""``parametrize``: initial variances and learning rates of a module of one's own, scaled with its width by a family."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from rgflow.checks import not_negative, positive
from rgflow.errors import InputError, UnknownName
from rgflow.nn.models.layers import mark_changed
from rgflow.nn.parametrization.axes import Used, uses
from rgflow.nn.parametrization.growth import growth_of
from rgflow.nn.parametrization.initial import Draw, Variances, draw
from rgflow.nn.parametrization.parametrized import Entry, Parametrized
from rgflow.nn.parametrization.powers import Scaling, depth_factor
from rgflow.nn.parametrization.report import Row
from rgflow.nn.parametrization.roles import MATRICES, with_roles
from rgflow.nn.parametrization.shared import attach, detach, group_of, main_use, multiplier
from rgflow.scaling.families.family import Family
from rgflow.scaling.families.family import family as find_family
from rgflow.seeds import seed_sequence

WEIGHTS = (*MATRICES, "embedding")
OPTIMIZERS = ("sgd", "adam", "adamw")


def parametrize(
    module: nn.Module,
    family: str | Family = "mup",
    *,
    base_width: int | nn.Module,
    learning_rate: float,
    width: int | None = None,
    roles: Mapping[str, str] | None = None,
    optimizer: str = "sgd",
    activation: Any = None,
    C_W: float | Mapping[str, float] | None = None,
    C_b: float | Mapping[str, float] | None = None,
    weight_decay: float = 0.0,
    depth: int | None = None,
    base_depth: int | None = None,
    seed: Any = None,
    initialise: bool = True,
) -> Parametrized:
    r"""Draw the parameters of a module anew and group them by learning rate, as a scaling family says.

    With r = n/n_base, and (a, b, c) of the group of a weight,

    .. math:: W \sim N\!\left(0,\; \frac{C_W}{\text{fan-in at base width}}\, r^{-2(a+b)}\right), \qquad
        \eta_W = \eta\, r^{-(2a+c)}

    (Adam: r^{-(a+c)}). The multiplier n^-a of the family is folded into both, so that the module's ``forward`` stays as
    it is. At base width all learning rates are the one given, and nothing but the initialisation changes.

    Parameters
    ----------
    module : Module
        Of Linear, Conv1d, Conv2d, Embedding, LayerNorm, MultiheadAttention in any containers. It is changed in place;
        parameters that do not require gradients are left as they are.
    family : str or Family
        "mup", "ntk", "standard", "ip", "ip-llr", "hybrid", or a value of :func:`rgflow.family`.
    base_width : int or Module
        n at which ``learning_rate`` was found; or the same module at that width: axes of different size are then those
        that grow. Given a number, sizes that are multiples of the width are taken to grow.
    learning_rate : float
        eta, at base width.
    width : int, optional
        n; by default the one size that is both made by a layer and read by another.
    roles : mapping from names to str, optional
        "input" (only what it makes grows), "hidden", "output" (only what it reads grows), "fixed", "embedding", "gain"
        or "bias", for what cannot be told, or is told wrongly.
    optimizer : "sgd", "adam" or "adamw"
    activation : str or Activation, optional
        Whose critical C_W and C_b are taken (:func:`rgflow.criticality`); needed unless C_W is given.
    C_W, C_b : float or mapping, optional
        Variance of weights times fan-in, of biases; a mapping from roles ("input", ...), "attention" or names.
        Attention has no activation: C_W = 1, C_b = 0.
    weight_decay : float
        At base width; for others such that the decay of a step, rate times weight decay, stays. Not for "adam", which
        divides it by the size of gradients: take "adamw".
    depth, base_depth : int, optional
        Of families whose rates depend on it (:meth:`Family.with_depth`): rates times (depth/base_depth)^depth_rate.
    seed : int, SeedSequence or Generator, optional
        The same seed gives the same numbers, whatever the family: only their scale differs. torch's global generator is
        not touched.
    initialise : bool
        False: leave all values (after loading a state), and only make groups.

    Returns
    -------
    Parametrized
        ``.groups`` for torch.optim, ``.table``, ``.first_step(optimizer)``; printed, what was done to every parameter
        and why.

    Raises
    ------
    InputError
        For what cannot be told (parameters of other modules, widths, axes), naming it and what to do; for numbers
        outside their domain, and where a power of the width leaves the range of the dtype.
    UnknownName, NoCriticalPoint

    Source: Yang and Hu (arXiv:2011.14522); Yang et al. (arXiv:2203.03466), for shared and vector parameters.

    >>> model = nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    >>> done = parametrize(model, "mup", base_width=16, learning_rate=0.1, activation="relu", seed=0)
    >>> [(row.name, row.role, row.learning_rate) for row in done.rows][::2]
    [('0.weight', 'input', 0.4), ('2.weight', 'hidden', 0.1), ('4.weight', 'output', 0.025)]
    >>> optimizer = torch.optim.SGD(done.groups)
    """
    found = uses(module)
    if not any(parameter.requires_grad for parameter in found):
        raise InputError("no parameter of the module requires gradients; there is nothing to train")
    eta, decay = positive("learning_rate", learning_rate), not_negative("weight_decay", weight_decay)
    _known_optimizer(optimizer, decay)
    growth = growth_of(found, base_width, width)
    assigned = with_roles(found, growth, roles)
    chosen = _family(family, optimizer, assigned)
    scaled = Scaling(chosen, growth, eta * depth_factor(chosen, depth, base_depth), eta * decay)
    variances = Variances.of(activation, C_W, C_b, [u for listed in assigned.values() for u in listed])
    if not growth.told:
        _roles_are_told(variances, assigned, roles or {})
    source = seed_sequence(seed)
    entries, planned = [], []
    for place, (parameter, listed) in enumerate(assigned.items()):
        entry, change = _entry(parameter, listed, scaled, variances, initialise)
        entries.append(entry)
        if change is not None:
            planned.append((parameter, change, place, main_use(listed).owner))
    # Everything was understood: only now is anything changed.
    mark_changed(module, "parametrize")
    for parameter, change, place, owner in planned:
        draw(parameter, change, source, place, owner)
    detach(module)
    handles = [handle for entry in entries for handle in attach(entry.used, entry.row.multiplier)]
    return Parametrized(module, chosen, optimizer, eta, growth, tuple(entries), tuple(handles))


def _entry(
    parameter: nn.Parameter, listed: list[Used], scaled: Scaling, variances: Variances, initialise: bool
) -> tuple[Entry, Draw | None]:
    used = main_use(listed)
    group, bias = group_of(used.role)
    others = [u.name for u in listed if u is not listed[0]]
    name = " = ".join([listed[0].name, *others])
    before = _size(parameter)
    if not parameter.requires_grad or used.role == "frozen":
        shape, n = tuple(parameter.shape), _fan_in(used)
        row = Row(name, shape, "frozen", n, before, before, 1.0, 0.0, 0.0, 0.0, "left as it is")
        return Entry(parameter, tuple(listed), "frozen", row), None
    rate, first = scaled.rate(group, bias), scaled.rate(group, bias, first=True)
    drawn = None
    if initialise:
        # Shared by an embedding and the output: as an output, at base width, or its outputs would be large.
        shown = max(listed, key=_fan_in)
        variances.used_for(shown, listed)
        drawn = _draw(shown, group, bias, scaled, variances)
    std = before if drawn is None else drawn.size
    _in_range(parameter, name, std, rate)
    row = Row(
        name, tuple(parameter.shape), used.role, _fan_in(used), before, std, multiplier(listed, scaled), rate, first,
        scaled.decay / rate, _why(used, group, bias, scaled, drawn),
    )  # fmt: skip
    return Entry(parameter, tuple(listed), group, row), drawn


def _draw(used: Used, group: str, bias: bool, scaled: Scaling, variances: Variances) -> Draw | None:
    """How it is drawn; None for what is left as it is."""
    r = used.reading
    assert r is not None
    if used.role == "gain":
        return Draw(mean=1.0, std=0.0) if isinstance(used.owner, nn.LayerNorm) else None
    if bias or r.kind == "bias":
        if isinstance(used.owner, nn.LayerNorm):
            return Draw(mean=0.0, std=0.0)
        return Draw(0.0, math.sqrt(variances.bias(used)) * scaled.std(group, bias))
    if r.kind == "gain":
        return Draw(mean=1.0 if used.name.endswith("weight") else 0.0, std=0.0)
    base_fan_in = Fraction(_fan_in(used)) / (scaled.growth.factor if used.inside else 1)
    return Draw(0.0, math.sqrt(variances.weight(used) / base_fan_in) * scaled.std(group, bias))


def _fan_in(used: Used) -> int:
    r = used.reading
    return 1 if r is None or r.kind != "matrix" else r.into * r.kernel


def _why(used: Used, group: str, bias: bool, scaled: Scaling, drawn: Draw | None) -> str:
    if group == "fixed":
        return "no axis grows"
    family = scaled.family
    std, rate = family.std_power(group, bias=bias), family.rate_power(group, bias=bias)
    parts = [] if drawn is None or drawn.std == 0 else [f"std ~ n^({std})"]
    parts.append(f"rate ~ n^({rate})")
    first = family.rate_power(group, first=True, bias=bias)
    if first != rate:
        parts.append(f"n^({first}) at the first step")
    if family.forget is not None and group == "hidden" and not bias:
        parts.append(f"initial part times n^({family.forget}) after it")
    a = (family.biases if bias else family.weights)[group].a
    if a:
        parts.append(f"multiplier n^({-a}) folded in")
    return ", ".join(parts)


# What was given -------------------------------------------------------------------------------------------------------


def _known_optimizer(optimizer: str, decay: float) -> None:
    if optimizer not in OPTIMIZERS:
        raise UnknownName("optimizer", optimizer, OPTIMIZERS)
    if optimizer == "adam" and decay:
        raise InputError(
            f"weight_decay is {decay!r} for 'adam', which divides it by the size of gradients, so that no choice keeps "
            "it at every width; take optimizer='adamw'"
        )


def _family(given: str | Family, optimizer: str, assigned: Mapping[nn.Parameter, list[Used]]) -> Family:
    kind = optimizer.removesuffix("w")
    if isinstance(given, Family):
        if given.optimizer != kind:
            raise InputError(
                f"the family {given.name!r} has rates for {given.optimizer!r}, the optimizer is {optimizer!r}"
            )
        return given
    return find_family(given, optimizer=kind, layers=_layers(given, assigned))


def _layers(name: str, assigned: Mapping[nn.Parameter, list[Used]]) -> int | None:
    """Weight layers between axes that grow: one input, the hidden ones, one output; None if there are fewer than 2.

    Raises InputError for several inputs or outputs, in a family whose exponents need the number.
    """
    used = [main_use(listed) for listed in assigned.values()]
    weights = [u for u in used if u.reading is not None and u.reading.kind in ("matrix", "embedding")]
    names: dict[str, list[str]] = {"input": [], "hidden": [], "output": [], "fixed": []}
    for u in weights:
        names.get(group_of(u.role)[0], []).append(u.name)
    for end in ("input", "output"):
        if len(names[end]) > 1 and name == "ip-llr":
            listed = ", ".join(map(repr, names[end]))
            raise InputError(
                f"the first step of {name!r} goes with the number of weight layers, which cannot be counted with "
                f"{len(names[end])} {end} matrices ({listed}); give rgflow.family({name!r}, layers=...)"
            )
    # At base width as a module of equal size no axis grows; all powers are then of 1, whatever the number.
    growing = min(len(names["input"]), 1) + len(names["hidden"]) + min(len(names["output"]), 1) or len(names["fixed"])
    return growing if growing >= 2 else None


def _roles_are_told(
    variances: Variances, assigned: Mapping[nn.Parameter, list[Used]], roles: Mapping[str, str]
) -> None:
    """Beside a module of its own size no axis grows: every role would be "fixed", and what is given by role ignored."""
    # A module may be called "output".
    names = {u.name.rpartition(".")[0] for listed in assigned.values() for u in listed}
    by_role = set(WEIGHTS) - names
    keys = [f"C_W[{key!r}]" for key in variances.C_W if key in by_role]
    keys += [f"C_b[{key!r}]" for key in variances.C_b if key in by_role]
    told = {*roles, *(f"{name}.weight" for name in roles)}
    unknown = [u.name for listed in assigned.values() for u in listed if u.role == "fixed" and u.name not in told]
    if keys and unknown:
        raise InputError(
            f"{keys[0]} is given by role, but the module at base width has the same sizes, which do not tell "
            f"the role of {unknown[0]!r}; give base_width as a number, roles=, or C_W and C_b by name"
        )


def _size(parameter: Tensor) -> float:
    """Root of the mean square; of no entries, or on the meta device, 0."""
    if parameter.is_meta or not parameter.numel():
        return 0.0
    return float(parameter.detach().to("cpu").double().square().mean().sqrt())


def _in_range(parameter: Tensor, name: str, std: float, rate: float) -> None:
    """A standard deviation below the smallest normal number would be drawn with lost digits, or zero."""
    limits = torch.finfo(parameter.dtype)
    if (std and not limits.tiny <= std <= limits.max) or not 0 < rate < math.inf:
        raise InputError(
            f"{name!r} of dtype {parameter.dtype} would have standard deviation {std:.3g} and learning rate {rate:.3g}"
            "; use a wider dtype, or a base width nearer to the width"
        )
