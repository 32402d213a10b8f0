"""How all commands behave: misspelt names bring the nearest ones, and wrong usage is one line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from rgflow.errors import UnknownName

# What parsers raise for wrong usage; the module that holds it is no public one and has moved.
USAGE: type[Exception] = typer.BadParameter.__mro__[2]


class Command(TyperCommand):
    """A command whose flags have no type in its help."""

    def get_params(self, ctx: Any) -> Any:
        """All parameters; a flag takes no value, so that none is named."""
        return _bare(super().get_params(ctx))


class Group(TyperGroup):
    """The program: a command that does not exist brings the nearest ones."""

    def get_params(self, ctx: Any) -> Any:
        """As in a command."""
        return _bare(super().get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first word names; wrong usage if there is none."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            ctx.fail(str(UnknownName("command", args[0], self.list_commands(ctx))))
        return super().resolve_command(ctx, args)


def _bare(parameters: list[Any]) -> list[Any]:
    for each in parameters:
        if getattr(each, "is_flag", False) and each.metavar is None:
            each.metavar = ""
    return parameters


def usage_text(error: Any) -> str:
    """What is wrong with a command line, and where its usage is explained, in one line."""
    context = getattr(error, "ctx", None)
    said = str(error.format_message()).strip()
    misspelt = getattr(error, "option_name", None)
    if misspelt and said.startswith("No such option"):
        said = unknown_option(misspelt, _options(context))
    said = said.replace("Value error, ", "")
    said = said[:1].lower() + said[1:].rstrip(".")
    return f"{said} ({context.command_path} --help)" if context is not None else said


def unknown_option(name: str, known: Iterable[str]) -> str:
    """The nearest options, if some are near.

    >>> unknown_option("--C_w", ["--C-W", "--depth"])
    "unknown option '--C_w'; did you mean '--C-W'?"
    >>> unknown_option("--frobnicate", ["--depth", "--width"])
    "unknown option '--frobnicate'"
    """
    near, _, hint = str(UnknownName("option", name, known)).partition("; ")
    return f"{near}; {hint}" if hint.startswith("did you mean") else near


def _options(context: Any) -> list[str]:
    if context is None:
        return []
    return [text for each in context.command.get_params(context) for text in each.opts if text.startswith("--")]
