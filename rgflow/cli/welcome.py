"""What ``rgflow`` alone says: what one can do, with an example each, in one screen of 80 columns and 24 rows."""

from __future__ import annotations

TITLE = "deep random networks of finite width, derived and computed"

# By what a person wants: command, example without the program's name, what it is good for.
GROUPS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Formulas": (
        ("derive", "derive V --samples many", "recursions, as a paper prints them"),
        ("solve", "solve V relu", "the same solved in the layer"),
        ("book", "book", "all derivations as one document"),
        ("cite", "cite LayerNorm mup", "BibTeX of what was used"),
    ),
    "Numbers": (
        ("flow", "flow tanh --width 128 --depth 32", "tensors through depth, with trust"),
        ("sweep", "sweep tanh --C-W 0.5:3:50", "flows over grids"),
        ("explore", "explore", "the same to play with, in a browser"),
        ("bench", "bench --quick", "how fast this machine does it"),
    ),
    "Choices": (
        ("critical", "critical gelu --table", "how to initialise, and exponents"),
        ("aspect", "aspect tanh --width 512", "how deep for this width"),
        ("phase", "phase tanh --plot phase.png", "order, chaos and the line between"),
        ("variation", "variation tanh --depth 100", "residual blocks that vary with depth"),
    ),
}
EXAMPLE = 43  # columns of an example
MORE = (
    "rgflow COMMAND --help: options, examples; --json: results for other programs",
    "rgflow --install-completion: TAB completes commands, activations, tensors",
    "read more: docs/ and notebooks/; in Python: import rgflow as rg; help(rg.flow)",
)


def group_of(command: str) -> str:
    """The heading under which a command stands."""
    return next(title for title, rows in GROUPS.items() if any(name == command for name, _, _ in rows))


def print_welcome(known: set[str]) -> None:
    """The screen, with those commands that this installation has."""
    from rich.text import Text

    from rgflow.cli.screen import results
    from rgflow.version import __version__

    console = results()
    console.print(Text.assemble((f"rgflow {__version__}", "bold"), f": {TITLE}"), soft_wrap=True)
    for title, rows in GROUPS.items():
        console.print()
        console.print(title, style="bold", soft_wrap=True)
        for command, example, what in rows:
            if command in known:
                rest = example.removeprefix(command)
                line = Text.assemble("  rgflow ", (command, "bold cyan"), rest.ljust(EXAMPLE - 9 - len(command)))
                console.print(line.append(what, "dim"), soft_wrap=True)
    console.print()
    for text in MORE:
        console.print(text, style="dim", soft_wrap=True)
