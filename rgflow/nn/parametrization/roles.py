"""The role of every parameter in a scaling family, from the axes that grow; what cannot be told is refused by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from rgflow.errors import InputError, UnknownName
from rgflow.nn.parametrization.axes import Reading, Used
from rgflow.nn.parametrization.growth import Growth

MATRICES = ("input", "hidden", "output", "fixed")
ROLES = (*MATRICES, "embedding", "gain", "bias")
REMEDY = "give its role by name, roles={{{name!r}: ...}} with one of " + ", ".join(map(repr, ROLES))
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
FREEZE = "or freeze it (requires_grad_(False)), and it is left as it is"


def with_roles(
    found: Mapping[nn.Parameter, list[Used]], growth: Growth, roles: Mapping[str, str] | None
) -> dict[nn.Parameter, list[Used]]:
    """Every use with its role.

    Raises
    ------
    UnknownName
        For a role, or a name in ``roles``, that nothing carries.
    InputError
        For a parameter whose role cannot be told, naming it and what to do.
    """
    given = _given(found, roles)
    assigned: dict[nn.Parameter, list[Used]] = {}
    by_name: dict[str, Used] = {}
    for parameter, listed in found.items():
        assigned[parameter] = []
        for used in listed:
            if used.reading is None and used.name not in given and not parameter.requires_grad:
                role = replace(used, role="frozen")
            elif used.name in given:
                role = _told(used, parameter, given[used.name], growth)
            else:
                role = _inferred(used, parameter, growth)
            assigned[parameter].append(role)
            by_name[used.name] = role
    if growth.base is None:
        _unambiguous(assigned, growth, given)
    return {p: [_bias(used, by_name, growth) for used in listed] for p, listed in assigned.items()}


def _given(found: Mapping[nn.Parameter, list[Used]], roles: Mapping[str, str] | None) -> dict[str, str]:
    """Roles by the names of parameters; the name of a module stands for its weight."""
    names = [used.name for listed in found.values() for used in listed]
    given = {}
    if roles is not None and not isinstance(roles, Mapping):
        raise InputError(f"roles is {roles!r}; give a mapping from names of parameters to one of {', '.join(ROLES)}")
    for name, role in (roles or {}).items():
        if role not in ROLES:
            raise UnknownName("role", role, ROLES)
        full = name if name in names else f"{name}.weight"
        if full not in names:
            raise UnknownName("parameter", name, names)
        given[full] = role
    return given


def _told(used: Used, parameter: Tensor, role: str, growth: Growth) -> Used:
    """The role that the user gave, with the axes of the module's own reading or torch's (out, in, *kernel)."""
    r = used.reading
    kind = "matrix" if role in MATRICES else role
    inside = role in ("hidden", "output")
    if kind == "matrix" and isinstance(used.owner, nn.Embedding | nn.EmbeddingBag):
        # It picks one row: its fan-in is 1 at every width.
        r, inside = Reading("matrix", parameter.shape[1]), False
    elif kind == "matrix" and isinstance(used.owner, TRANSPOSED) and parameter.ndim > 2:
        r = _transposed(used)
    elif kind == "matrix" and (r is None or r.kind != "matrix"):
        if parameter.ndim < 2:
            shape = tuple(parameter.shape)
            raise InputError(f"{used.name!r} has shape {shape} and is no matrix; its role is not {role!r}")
        r = Reading("matrix", parameter.shape[0], parameter.shape[1], math.prod(parameter.shape[2:]))
    elif kind in ("embedding", "gain", "bias"):
        r = Reading(kind, parameter.shape[-1] if parameter.ndim else 1)
    return replace(used, reading=r, role=role, inside=inside)


def _transposed(used: Used) -> Reading:
    """Weights (in, out, *kernel); strided, a point of the output reads only some points of the kernel."""
    owner = used.owner
    assert isinstance(owner, TRANSPOSED)
    sizes = list(zip(owner.kernel_size, owner.stride, strict=True))
    if owner.groups != 1 or any(d != 1 for d in owner.dilation) or any(k % s for k, s in sizes):
        raise InputError(
            f"{used.name!r} of {type(owner).__name__} has groups, dilation, or a stride that does not divide its "
            f"kernel, so that its neurons have no one fan-in; {FREEZE.removeprefix('or ')}"
        )
    return Reading("matrix", owner.out_channels, owner.in_channels, math.prod(k // s for k, s in sizes))


def _inferred(used: Used, parameter: Tensor, growth: Growth) -> Used:
    r = used.reading
    if r is None:
        what = f"{used.name!r} of {type(used.owner).__name__}, shape {tuple(parameter.shape)}, is not understood"
        raise InputError(f"{what}; {REMEDY.format(name=used.name)}, {FREEZE}")
    out, into = _growing(used, parameter, growth)
    if r.kind != "matrix":
        return replace(used, role=r.kind if out else "fixed")
    role = {(False, True): "input", (True, True): "hidden", (True, False): "output", (False, False): "fixed"}[into, out]
    return replace(used, role=role, inside=into)


def _growing(used: Used, parameter: Tensor, growth: Growth) -> tuple[bool, bool]:
    """Whether what it makes and what it reads grow."""
    r = used.reading
    assert r is not None
    if growth.base is None:
        return growth.grows(r.out), r.kind == "matrix" and growth.grows(r.into)
    changed = [a != b for a, b in zip(parameter.shape, growth.base[used.name], strict=True)]
    return (changed[0], changed[1]) if r.kind == "matrix" else (changed[-1], False)


def _unambiguous(assigned: Mapping[nn.Parameter, list[Used]], growth: Growth, given: Mapping[str, str]) -> None:
    """Sizes alone must tell: one width, an input and an output that are not multiples of it."""
    inferred = [u for p, listed in assigned.items() for u in listed if u.name not in given and p.requires_grad]
    matrices = [(u, u.reading) for u in inferred if u.reading is not None and u.reading.kind == "matrix"]
    made = {r.out: u.name for u, r in matrices}
    ends = [u.role for u, _ in matrices if u.role in ("input", "output")]
    inner = {r.out for u, r in matrices if u.role != "output"}
    for used, r in matrices:
        # One input and one output of equal sizes are the ends of a network, not neurons between its layers.
        outer = ends == ["input", "output"] and used.role == "input" and r.into not in inner
        if not outer and r.into in made and r.into != 1 and not growth.grows(r.into):
            raise InputError(
                f"{r.into} neurons, made by {made[r.into]!r} and read by {used.name!r}, are no multiple of the width "
                f"{growth.width}, and it cannot be told whether they grow with it; {REMEDY.format(name=used.name)}, or "
                "give base_width= the same module at base width"
            )
    roles = {u.role for listed in assigned.values() for u in listed}
    needed = (("reads the input", {"input", "embedding"}), ("makes the output", {"output"}))
    lacking = [what for what, names in needed if not roles & names]
    if inferred and lacking and not given:
        raise InputError(
            f"all axes are multiples of the width {growth.width}, so that no parameter {' and none '.join(lacking)}; "
            'say which, roles={name: "input"} and roles={name: "output"}, or give base_width= the same module at base '
            "width"
        )


def _bias(used: Used, by_name: Mapping[str, Used], growth: Growth) -> Used:
    """A bias goes with its weight."""
    if used.role != "bias" and not (used.role == "fixed" and used.reading and used.reading.kind == "bias"):
        return used
    r = used.reading
    assert r is not None
    prefix = used.name.rpartition(".")[0]
    beside = by_name.get(f"{prefix}.{r.of}" if prefix else r.of) if r.of else None
    role = beside.role if beside is not None and beside.role in MATRICES else "hidden"
    if beside is None and used.role == "fixed":
        return used
    return replace(used, role="fixed" if role == "fixed" else f"{role} bias")
