"""``citation``: BibTeX for rgflow and for the papers whose theory stands behind what was used."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from rgflow.activations import activation
from rgflow.citation.behind import DATASETS, MODULES, PRESETS, VARIABLES
from rgflow.citation.papers import PAPERS, RGFLOW
from rgflow.errors import FormulaError, InputError, UnknownName
from rgflow.network import Network
from rgflow.network.layer import KINDS
from rgflow.network.transformer import Transformer

# Where results keep what they are of.
KEPT = ("net", "network", "transformer", "layer", "layers", "family", "recursions")


def citation(*objects: object) -> str:
    """BibTeX of rgflow and of the papers behind what was used.

    Without an argument rgflow itself; with some, rgflow and, once each, the papers from which the theory of those
    objects is taken. Definitions (activations, data) are not theory and have no entry.

    Parameters
    ----------
    *objects : anything that rgflow made or exports, or a name
        A Dataset (also one that :func:`rgflow.load` read: it carries what it is of), a network or layer, a
        transformer, a recursion, a family, a penalty, a monitor; a function or class of rgflow; or one of their names
        ("posterior", "nn.JacobianPenalty", "mup"), or an activation.

    Returns
    -------
    str
        Entries separated by blank lines, in a fixed order, for BibTeX and biblatex.

    Raises
    ------
    UnknownName
        For a text that names nothing.
    InputError
        For an object that rgflow did not make.

    >>> import rgflow as rg
    >>> net = rg.Network([rg.Dense(), rg.LayerNorm(), rg.Dense()], [3, 8, 8, 1], "tanh")
    >>> print(citation(net, rg.family("mup")))
    @misc{rgflow,
    ...
    @book{roberts2022principles,
    ...
    @inproceedings{doshi2023critical,
    ...
    @misc{yaida2022meta,
    ...
    @inproceedings{yang2021tensor,
    ...
    """
    used = {key for thing in objects for key in _papers(thing)}
    return "\n\n".join([RGFLOW.bibtex(), *(paper.bibtex() for key, paper in PAPERS.items() if key in used)])


def _papers(thing: Any) -> Iterator[str]:
    """Keys of the papers behind one object, some more than once."""
    if isinstance(thing, str):
        yield from _of_name(thing)
    elif _is_dataset(thing):
        yield from _of_dataset(thing)
    elif (module := _module_of(thing)) is not None:
        yield from _of_module(module)
        if not isinstance(thing, (type, ModuleType)):
            yield from _of_parts(thing)
    else:
        raise InputError(
            f"{thing!r:.100} is of type {type(thing).__name__}, which rgflow does not make; cite what its functions "
            "return, the functions themselves, or a name such as 'posterior'"
        )


def _of_module(module: str) -> tuple[str, ...]:
    while module not in MODULES:
        module = module.rpartition(".")[0]
    return MODULES[module]


def _of_parts(thing: Any) -> Iterator[str]:
    """What the networks, layers and families that it keeps rest on."""
    if type(thing).__module__ == "rgflow.scaling.families.family":
        yield from PRESETS.get(thing.name, ())
    for name in KEPT:
        part = getattr(thing, name, None)
        if name == "layer" and isinstance(part, str):
            part = next((kind for known, kind in KINDS.items() if known.casefold() == part), None)
        for each in part if isinstance(part, tuple) else (part,):
            if _module_of(each) is not None:
                yield from _papers(each)


def _is_dataset(thing: Any) -> bool:
    """Whether it is a Dataset or one of its variables, without loading xarray."""
    xarray = sys.modules.get("xarray")
    return xarray is not None and isinstance(thing, xarray.Dataset)


def _of_dataset(ds: Any) -> Iterator[str]:
    attrs: Mapping[str, Any] = ds.attrs
    kind = attrs.get("what") if attrs.get("kind") == "measured" else attrs.get("kind")
    if kind not in DATASETS:
        raise InputError(f"a Dataset of kind {kind!r} is not a result of rgflow; give one that rgflow.save would write")
    for module in (DATASETS[kind], *(where for name, where in VARIABLES.items() if name in ds)):
        yield from _of_module(module)
    if "network" in attrs:
        yield from _papers(Network.from_json(attrs["network"]))
    if "transformer" in attrs:
        yield from _papers(Transformer.from_json(attrs["transformer"]))
    if "family" in attrs:
        yield from PRESETS.get(attrs["family"], ())


def _module_of(thing: Any) -> str | None:
    """The module of rgflow that a function, a class, a module or an object is of, or None."""
    if isinstance(thing, ModuleType):
        found = thing.__name__
    else:
        found = getattr(thing, "__module__", None) or type(thing).__module__
    return found if isinstance(found, str) and found.partition(".")[0] == "rgflow" else None


def _of_name(name: str) -> Iterator[str]:
    """A public name of rgflow, a family or an activation."""
    roof = import_module("rgflow")  # loaded already: it is the roof that knows the public names
    known = set(roof.__all__) - {"__version__"}
    first, _, rest = name.partition(".")
    if first == "nn" and rest:
        known = {f"nn.{each}" for each in roof.nn.__all__}
    if name in known:
        yield from _papers(getattr(roof.nn, rest) if rest else getattr(roof, name))
    elif name in _families():
        yield from _papers("family")
        yield from PRESETS.get(name, ())
    else:
        try:
            activation(name)
        except (UnknownName, FormulaError):
            raise UnknownName("name to cite", name, known | set(_families())) from None


def _families() -> tuple[str, ...]:
    presets = import_module("rgflow.scaling.families.presets")
    return tuple(presets.PRESETS)
