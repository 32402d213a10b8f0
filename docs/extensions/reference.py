"""The reference: one page for each room of public names, and what their functions return."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from extensions.docstrings import prepared

# Room, title, what it is for, and the modules whose public names stand there; the longest prefix decides.
ROOMS = (
    ("deriving", "Deriving", "From a layer to its recursions.", ("rgflow.algebra", "rgflow.derive")),
    ("layers", "Activations, layers, networks", "What a network is.", ("rgflow.activations", "rgflow.network")),
    ("formulas", "Closed forms and kernels", "From a recursion to a formula and to a program.",
     ("rgflow.brackets", "rgflow.codegen", "rgflow.flow.compiled")),
    ("flows", "Flows and sweeps", "Numbers with depth, for one network or for very many.",
     ("rgflow.flow", "rgflow.gram", "rgflow.sweeps")),
    ("universality", "Criticality and solutions in depth", "What recursions say without being iterated.",
     ("rgflow.universality",)),
    ("predictions", "Predictions", "What networks do before, during and after learning, to order 1/n.",
     ("rgflow.predict",)),
    ("scaling", "Scaling", "How width, variances, rates and depth go together.", ("rgflow.scaling",)),
    ("transformers", "Transformers", "Transformers at initialisation.", ("rgflow.transformer",)),
    ("sampling", "Sampled networks", "Real networks, drawn without any of the theory.", ("rgflow.sampling",)),
    ("pytorch", "PyTorch", "Models, probes, penalties, monitors and training; the extra ``torch``.", ("rgflow.nn",)),
    ("pictures", "Pictures", "Functions of ``rgflow.plots``: they take axes and return them.", ("rgflow.plots",)),
    ("extending", "Extending rgflow", "A kind of layer of one's own.", ("rgflow.extend",)),
    ("errors", "Errors", "Each names the object, the offending value and the remedy.", ("rgflow.errors",)),
    ("files", "Files, citations and the rest", "What is kept, quoted and looked at.", ("rgflow",)),
)  # fmt: skip


@dataclass
class Room:
    """A page: public names by the module that exports them, and the classes of what functions return."""

    title: str
    says: str
    names: list[tuple[str, str]] = field(default_factory=list)
    returned: dict[str, type] = field(default_factory=dict)


def modules() -> dict[str, ModuleType]:
    """The package, and the modules that are public names of it."""
    import rgflow.plots

    inside = {f"rgflow.{name}": getattr(rgflow, name) for name in (*rgflow.__all__, "plots")}
    return {"rgflow": rgflow} | {path: thing for path, thing in inside.items() if isinstance(thing, ModuleType)}


def public() -> Iterator[tuple[str, str, Any]]:
    """Every public name: the module that exports it, the name, the object."""
    for path, module in modules().items():
        for name in module.__all__:
            thing = getattr(module, name)
            if name != "__version__" and not isinstance(thing, ModuleType):
                yield path, name, thing


def room_of(module: str) -> str:
    rows = ((len(prefix), room) for room, _, _, prefixes in ROOMS for prefix in prefixes if _within(module, prefix))
    return max(rows)[1]


def _within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(f"{prefix}.")


def rooms() -> dict[str, Room]:
    found = {name: Room(title, says) for name, title, says, _ in ROOMS}
    listed = list(public())
    known = {id(thing) for _, _, thing in listed}
    for path, name, thing in listed:
        room = found[room_of(thing.__module__ if path == "rgflow" else path)]
        room.names.append((path, name))
        for kind in returned(thing):
            if id(kind) not in known:
                known.add(id(kind))
                room.returned[f"{kind.__module__}.{kind.__qualname__}"] = kind
    return found


def returned(thing: Any) -> Iterator[type]:
    """The classes of rgflow that a function is annotated to return."""
    if not inspect.isfunction(thing):
        return
    annotation = thing.__annotations__.get("return", "")
    for part in str(annotation).split("|"):
        kind = thing.__globals__.get(part.strip())
        if inspect.isclass(kind) and kind.__module__.startswith("rgflow."):
            yield kind


def first_sentence(thing: Any) -> str:
    """The law in one line."""
    says = (inspect.getdoc(thing) or "").split("\n\n")[0].split("\n")
    return " ".join(" ".join(prepared(says)).split())


def page(room: Room) -> str:
    """The page of a room, in reStructuredText."""
    lines = [
        room.title,
        "=" * len(room.title),
        "",
        room.says,
        "",
        *(f".. automodule:: {path}" for path in {path for path, _ in room.names} - {"rgflow"}),
        "",
        f".. currentmodule:: {room.names[0][0]}",
        "",
        ".. list-table::",
        "   :class: names",
        "   :widths: 30 70",
        "",
    ]
    found = modules()
    for path, name in room.names:
        full = f"{path}.{name}"
        says = first_sentence(getattr(found[path], name))
        lines += [f"   * - :py:obj:`{full.removeprefix('rgflow.')} <{full}>`", f"     - {says}"]
    for path, name in room.names:
        thing = getattr(found[path], name)
        lines += ["", *_entry(f"{path}.{name}", thing)]
    if room.returned:
        lines += ["", "What they return", "-" * 16]
        for full, kind in room.returned.items():
            lines += ["", *_entry(full, kind)]
    return "\n".join(lines) + "\n"


def _entry(full: str, thing: Any) -> list[str]:
    module, _, name = full.rpartition(".")
    if inspect.isclass(thing):
        kind = "autoexception" if issubclass(thing, BaseException) else "autoclass"
        options = [] if kind == "autoexception" else ["   :members:"]
        options += [] if thing.__bases__ == (object,) else ["   :show-inheritance:"]
        return [f".. currentmodule:: {module}", "", f".. {kind}:: {name}", *options]
    return [f".. currentmodule:: {module}", "", f".. autofunction:: {name}"]


def index(found: dict[str, Room]) -> str:
    lines = ["Reference", "=========", "", "Every public name, by what it is for. ``import rgflow as rg``.", ""]
    for room in found.values():
        full = (f"{path}.{name}" for path, name in room.names)
        names = ", ".join(f":py:obj:`{each.removeprefix('rgflow.')} <{each}>`" for each in full)
        lines += [f"**{room.title}.** {room.says} {names}", ""]
    lines += [".. toctree::", "   :hidden:", ""]
    return "\n".join(lines + [f"   {name}" for name in (*found, "commands")]) + "\n"
