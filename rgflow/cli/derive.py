"""``rgflow derive``: a recursion as a person reads it."""

from __future__ import annotations

import re
import textwrap
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rgflow.cli.answers.formulas import derive_answer
from rgflow.cli.completion import tensors
from rgflow.cli.kinds import KindOption, layer_of
from rgflow.cli.machine import print_json
from rgflow.cli.options import JsonOption
from rgflow.cli.steps import print_steps
from rgflow.errors import InputError

if TYPE_CHECKING:
    from rgflow.algebra import Linked, Recursion


class Samples(StrEnum):
    """How many inputs."""

    one = "one"
    many = "many"


def derive(
    name: Annotated[
        str,
        typer.Argument(
            help="K, Theta, V, A, B, D, F, P .. U, V6, J, V_J, or jets: '1 2|3e 4e'; _q for corrections: V_1, J_1.",
            autocompletion=tensors,
            show_default=False,
        ),
    ],
    samples: Annotated[
        Samples, typer.Option(help="One input, or a different sample in every argument.", show_choices=True)
    ] = Samples.one,
    layer: KindOption = None,
    book: Annotated[
        bool, typer.Option("--book", help="A layer with a skip: in one time, as if neurons did not remember.")
    ] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX and nothing else.")] = False,
    sympy: Annotated[bool, typer.Option("--sympy", help="Print the right-hand side as SymPy writes it.")] = False,
    closure: Annotated[bool, typer.Option("--closure", help="Print everything it depends on, too.")] = False,
    json: JsonOption = False,
    steps: Annotated[
        bool, typer.Option("--steps", help="Print its derivation: six steps, each an equality that was checked.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="With --steps: as Markdown, with its diagrams.")] = False,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FOLDER", help="With --steps: write its diagrams here.")
    ] = None,
) -> None:
    """Derive the layer-to-layer recursion of a tensor from the definition of a layer.

    \b
    Examples:
      rgflow derive V                         the four-point vertex, one input
      rgflow derive V_1 --latex               its first correction in 1/width
      rgflow derive Theta_1 --samples many
      rgflow derive "1 2|3e 4e" --closure     a tensor by its jets; all it needs
      rgflow derive "1 2|3e 4e_1"             its first correction
      rgflow derive V --samples many --steps  its derivation, step by step
      rgflow derive V --layer residual        linked lines: its neurons remember
      rgflow derive V --layer residual --book
    """
    if latex + sympy + json > 1:
        raise typer.BadParameter("give one of --latex, --sympy and --json")
    if (markdown or svg) and not steps:
        raise typer.BadParameter(f"{'--markdown' if markdown else '--svg'} belongs to --steps")
    if steps and (sympy or closure or json or (markdown and latex)):
        raise typer.BadParameter("--steps takes one of --markdown and --latex, and no --sympy, --closure or --json")
    from rgflow.algebra import Linked
    from rgflow.cli.screen import results
    from rgflow.derive import closure as closed
    from rgflow.derive import derive as derived

    kind = layer_of(layer, None, needed=False)
    try:
        asked = derived(name, samples=samples.value, layer=kind, closure="book" if book else "full")
    except InputError as error:
        raise InputError(f"{error} (leave out --book)" if book else str(error)) from None
    if steps:
        print_steps(asked, markdown, latex, svg)
        return
    if isinstance(asked, Linked):
        _print_lines(asked, latex, sympy, closure, json)
        return
    recursions: tuple[Recursion, ...] = (asked,)
    if closure:
        system = closed(name, samples.value, kind, "book" if book else "full")
        recursions = tuple(system)
    if json:
        print_json("derive", derive_answer(asked, recursions))
        return
    if latex:
        typer.echo(system.latex() if closure else recursions[0].latex())
        return
    if sympy:
        for rec in recursions:
            typer.echo(f"{rec.name} = {rec.to_sympy()}" if closure else str(rec.to_sympy()))
        return
    console = results()
    for i, rec in enumerate(recursions):
        if i:
            console.print()
        console.print(heading(rec), style="bold", soft_wrap=True)
        console.print(wrapped(str(rec), console.width), soft_wrap=True)
    console.print()
    console.print(remarks(recursions, console.width, book), style="dim", soft_wrap=True)


def _print_lines(found: Linked, latex: bool, sympy: bool, closure: bool, json: bool) -> None:
    """The lines of a tensor that has no recursion of its own; InputError for what only a recursion has."""
    from rgflow.cli.screen import results

    for given, option, instead in (
        (sympy, "--sympy", "take --latex"),
        (closure, "--closure", "leave it out, for they hold all that they answer to"),
    ):
        if given:
            book = ", or give --book for its recursion in one time" if len(found.stages) == 1 else ""
            raise InputError(
                f"{option}: {found.name} of a {found.layer} layer is no single recursion but lines that link layers; "
                f"{instead}{book}"
            )
    if json:
        print_json("derive", derive_answer(found, ()))
        return
    if latex:
        typer.echo(found.latex())
        return
    console = results()
    console.print(heading(found), style="bold", soft_wrap=True)
    for line in str(found).splitlines():
        console.print(wrapped(line, console.width), soft_wrap=True)
    console.print()
    console.print(remarks_on_lines(found, console.width), style="dim", soft_wrap=True)


def heading(rec: Recursion | Linked) -> str:
    """What the tensor is, and to which order."""
    from rgflow.algebra import LETTERS
    from rgflow.algebra.partial import LETTERS_OF_PARTIAL

    known = {**LETTERS, **LETTERS_OF_PARTIAL}
    meaning = known.get(rec.tensor.letter, ("", "the joint cumulant named by these jets"))[1]
    order = "leading order" if rec.order == 0 else f"correction of relative order 1/n^{rec.order}".replace("^1", "")
    return f"{rec.name}: {meaning}; {order}"


def wrapped(line: str, width: int) -> str:
    """An equation in at most ``width`` columns: one term per line when it does not fit into one, no bracket torn apart.

    >>> print(wrapped("V' = -C_W^2 <σσ>^2 + C_W^2 <σσσσ>", 24))
    V' =
        - C_W^2 <σσ>^2
        + C_W^2 <σσσσ>
    """
    if len(line) + 2 <= width:
        return f"  {line}"
    left, right = line.split(" = ", 1)
    right = f"- {right[1:]}" if right.startswith("-") else f"+ {right}"
    rows = [f"  {left} ="]
    for term in re.split(r" (?=[+-] )", right):
        whole = re.sub(r"<[^>]*>", lambda bracket: bracket[0].replace(" ", "\0"), term)
        parts = textwrap.wrap(
            whole,
            max(width, 24),
            initial_indent=" " * 4,
            subsequent_indent=" " * 10,
            break_long_words=False,
            break_on_hyphens=False,
        )
        rows += [part.replace("\0", " ") for part in parts]
    return "\n".join(rows)


def remarks(recursions: tuple[Recursion, ...], width: int, book: bool = False) -> str:
    """What the recursions rest on, and how to read them; ``book``: they are of PDLT's closure in one time."""
    last = recursions[-1]
    lines = ["a prime marks layer l+1; <..> is a Gaussian average at K, ∂ a derivative that acts on the whole bracket"]
    if last.samples == "many":
        lines.append("[1,2,..] are samples; β1, β2, .. are summed over all samples")
    symbols = {name for rec in recursions for term in rec.terms for name, _ in term.symbols}
    if "narrowing" in symbols:
        lines.append("narrowing = n_l / max(n_l, n_(l+1))")
    if book and "skip" in symbols:
        lines.append("in one time: a neuron's past is Gaussian but for its cumulants, which it is for linear layers")
    lines += last.assumptions if len(recursions) == 1 else _shared(recursions)
    if len(recursions) == 1:
        lines.append(f"depends on: {', '.join(last.depends_on) or 'nothing'}")
    return _listed([*lines, ORIGIN], width)


def remarks_on_lines(found: Linked, width: int) -> str:
    """How to read linked lines, and what they rest on."""
    lines = ["a prime marks the new layer; <..> with σ is a Gaussian average at K, ∂ acts on the whole bracket"]
    text = str(found)
    if "δG" in text:
        lines.append("δG[..] is the fluctuation of the metric of a new neuron, between the jets named; δG that of z z")
    if "η[" in text:
        lines.append(
            "η[f] is the noise of n neurons, the average of f - <f> over them; <..> of δG and η is over networks"
        )
    if re.search(r"z\d*_e", text):
        lines.append("z_e is z differentiated along the direction e")
    if found.samples == "many":
        lines.append("numbers after K, z, σ and ∂ are samples")
    if len(found.stages) > 1:
        lines.append("_h: of the neurons h within the block; on the right, what has no letter is of the layer below")
    return _listed([*lines, *found.assumptions, ORIGIN], width)


ORIGIN = "follows PDLT's conventions (arXiv:2106.10165), derived here from the layer alone"


def _listed(lines: list[str], width: int) -> str:
    return "\n".join(
        textwrap.fill(line, max(width, 24), initial_indent="  · ", subsequent_indent="    ", break_on_hyphens=False)
        for line in lines
    )


def _shared(recursions: tuple[Recursion, ...]) -> list[str]:
    """The assumptions that all of them make: those about one tensor's own power of n are left to its own page."""
    common = [text for text in recursions[0].assumptions if all(text in rec.assumptions for rec in recursions)]
    return [*common, "a tensor of level k and order q multiplies n_(l)^(1-k-q) in a joint cumulant of k metric entries"]
