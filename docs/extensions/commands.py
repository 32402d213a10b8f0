"""The command line's reference, from the help that the program itself prints."""

from __future__ import annotations

import re
from typing import Any

import typer


def program() -> Any:
    from rgflow.cli.app import app

    return typer.main.get_command(app)


def page() -> str:
    """The page, in Markdown: usage, what it does, its examples and its options, command by command."""
    group = program()
    context = group.context_class(group, info_name="rgflow")
    parts = ["# The command line", _help(group), *_options(group, context)]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        below = command.context_class(command, info_name=name, parent=context)
        usage = re.sub(r"\{(\w+)\}", lambda found: found[1].upper(), " ".join(command.collect_usage_pieces(below)))
        parts += [
            f"## rgflow {name}",
            f"```text\nrgflow {name} {usage}\n```",
            _help(command),
            *_options(command, below),
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _help(command: Any) -> str:
    """Paragraphs as text; those that the program does not wrap (after \\b) as they stand."""
    parts = []
    for paragraph in re.split(r"\n\s*\n", (command.help or "").strip()):
        if paragraph.lstrip().startswith("\b"):
            lines = paragraph.replace("\b", "").strip("\n").split("\n")
            head = [line for line in lines[:1] if not line.startswith(" ")]
            rest = "\n".join(line.removeprefix("  ") for line in lines[len(head) :])
            parts += [escaped(head[0]) if head else "", f"```text\n{rest}\n```"]
        else:
            parts.append(escaped(" ".join(paragraph.split())))
    return "\n\n".join(part for part in parts if part)


def _options(command: Any, context: Any) -> list[str]:
    rows = []
    for parameter in command.get_params(context):
        record = _record(parameter, context)
        if record is not None:
            names, says = record
            rows.append(f"| `{names.replace('|', chr(92) + '|')}` | {escaped(says).replace('|', chr(92) + '|')} |")
    return ["\n".join(["| option | meaning |", "|---|---|", *rows])] if rows else []


def _record(parameter: Any, context: Any) -> tuple[str, str] | None:
    if getattr(parameter, "hidden", False):
        return None
    found: Any = parameter.get_help_record(context)
    if found is None:
        if parameter.param_type_name != "argument":
            return None
        found = (parameter.make_metavar(context), "")
    names, says = found
    return names, says or str(getattr(parameter, "help", None) or "")


def escaped(text: str) -> str:
    """Text that Markdown shows as it stands."""
    return re.sub(r"([\\`*_<>\[\]$~])", r"\\\1", text)
