"""``rgflow book``: every formula of the source papers beside what is derived for it, as one document."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rgflow.cli.paths import writable
from rgflow.errors import InputError


def book(
    out: Annotated[Path, typer.Option(help="The HTML document to write.")] = Path("book.html"),
    latex: Annotated[Path | None, typer.Option(help="Write LaTeX source to this .tex file, too.")] = None,
    derivations: Annotated[
        Path | None, typer.Option(help="The folder of the derivations; by default that of the clone rgflow runs from.")
    ] = None,
) -> None:
    """Build the book of derivations: run them all and print what they derive, beside the formulas of the papers.

    \b
    Examples:
      rgflow book                              book.html, in some tens of seconds
      rgflow book --out docs/book.html --latex book.tex

    Exit code 1 if a formula of a paper is not what is derived; the book is written all the same and shows which.
    """
    writable(out, (".html",), "--out")
    writable(latex, (".tex",), "--latex")
    from rgflow.book import build, html
    from rgflow.book import latex as latex_source
    from rgflow.book.listed import read
    from rgflow.cli.screen import messages, results
    from rgflow.progress import progress_bar
    from rgflow.whole import write_whole

    folder = derivations if derivations is not None else _of_the_clone()
    total = sum(len(paper.formulas) for paper in read(folder / "list"))
    with progress_bar(messages().is_terminal, "deriving", total) as advance:
        found = build(folder, advance)
    write_whole(out, html(found).encode())
    if latex is not None:
        write_whole(latex, latex_source(found).encode())
    count = found.count()
    results().print(
        f"{out}: {count['derived']} of {found.results} results of theory derived ({found.coverage:.1%}), "
        f"{count['measured']} of {found.experiments} outcomes of experiments measured again",
        soft_wrap=True,
    )
    if found.failed:
        for entry in found.failed:
            messages().print(f"failed: {entry.formula.name}: {entry.failure}", style="red", soft_wrap=True)
        raise typer.Exit(1)


def _of_the_clone() -> Path:
    """derivations/ beside the package, as in a clone with an editable installation, or in the working directory."""
    import rgflow.version

    beside = Path(rgflow.version.__file__).parents[1]
    for root in (beside, Path.cwd()):
        if (root / "derivations" / "list").is_dir():
            return root / "derivations"
    raise InputError("no derivations here; run this in a clone of the repository, or give --derivations FOLDER")
