"""What TAB offers: activations, tensors, kinds of layers and subjects, each with a word on what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Offer = tuple[str, str]


def activations(incomplete: str) -> list[Offer]:
    """Activations of the catalogue.

    >>> [name for name, _ in activations("gel")]
    ['gelu', 'gelu_tanh']
    """
    from rgflow.activations.catalogue import CATALOGUE

    return _beginning(incomplete, ((name, entry.meaning) for name, entry in CATALOGUE.items()))


def tensors(incomplete: str) -> list[Offer]:
    """Letters, those of partial Jacobians, and first corrections.

    >>> [name for name, _ in tensors("Th")]
    ['Theta', 'Theta_1']
    """
    return _beginning(incomplete, _tensors(partial=True))


def tensor_list(incomplete: str) -> list[Offer]:
    """Letters behind the last comma.

    >>> [name for name, _ in tensor_list("K,Th")]
    ['K,Theta', 'K,Theta_1']
    """
    return _last_of_a_list(incomplete, lambda text: _beginning(text, _tensors(partial=False)))


def kinds(incomplete: str) -> list[Offer]:
    """Kinds of layers, in small letters.

    >>> [name for name, _ in kinds("res")]
    ['residual']
    """
    from rgflow.network import Network  # noqa: F401  (every kind is known by its name)
    from rgflow.network.layer import KINDS

    told = ((name.lower(), (kind.__doc__ or "").strip().partition("\n")[0]) for name, kind in KINDS.items())
    return _beginning(incomplete, sorted(told))


def subjects(incomplete: str) -> list[Offer]:
    """Subjects of ``rgflow bench``, behind the last comma.

    >>> [name for name, _ in subjects("grid,mem")]
    ['grid,memory']
    """
    from rgflow.bench.measure import SUBJECTS

    told = [(name, subject.title) for name, subject in SUBJECTS.items()]
    return _last_of_a_list(incomplete, lambda text: _beginning(text, told))


def how_to_suggest(incomplete: str) -> list[Offer]:
    """What ``rgflow variation --suggest`` takes."""
    told = (("variance", "variances that fall with depth"), ("width", "widths that fall with depth"))
    return _beginning(incomplete, told)


def citable(incomplete: str) -> list[Offer]:
    """Public names, families and activations.

    >>> [name for name, _ in citable("LayerN")], [name for name, _ in citable("mu")]
    (['LayerNorm'], ['mup'])
    """
    from importlib import import_module

    from rgflow.activations.catalogue import CATALOGUE
    from rgflow.scaling.families.presets import PRESETS

    roof = import_module("rgflow")  # loaded already: it is the roof that knows the public names
    names = [name for name in roof.__all__ if not name.startswith("_")]
    told = [(name, "") for name in names] + [(name, "a scaling family") for name in PRESETS]
    return _beginning(incomplete, [*told, *((name, entry.meaning) for name, entry in CATALOGUE.items())])


def _tensors(partial: bool) -> Iterable[Offer]:
    from rgflow.algebra import LETTERS
    from rgflow.algebra.partial import LETTERS_OF_PARTIAL

    yield from ((name, meaning) for name, (_, meaning) in LETTERS.items())
    if partial:
        yield from ((name, meaning) for name, (_, meaning) in LETTERS_OF_PARTIAL.items())
    yield from ((f"{name}_1", f"first correction of {name}") for name in LETTERS)


def _beginning(incomplete: str, offers: Iterable[Offer]) -> list[Offer]:
    return [(name, what) for name, what in offers if name.startswith(incomplete)]


def _last_of_a_list(incomplete: str, complete: Callable[[str], list[Offer]]) -> list[Offer]:
    """Completions of what stands behind the last comma, whole, and none of them twice."""
    before, comma, last = incomplete.rpartition(",")
    given = before.split(",")
    return [(f"{before}{comma}{name}", what) for name, what in complete(last) if name not in given]
