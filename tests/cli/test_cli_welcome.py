"""What ``rgflow`` alone says: one screen, all commands, examples that parse."""

from __future__ import annotations

import re
import shlex
from functools import cache

import pytest
import typer
from typer.main import get_command

from rgflow.cli.app import COMMANDS, app
from rgflow.cli.commands import USAGE
from rgflow.cli.welcome import GROUPS, group_of

GIVEN = {command: example for rows in GROUPS.values() for command, example, _ in rows}
NAMES = [each.__name__ for each in COMMANDS]


def examples() -> list[str]:
    """Those of the screen, and of every command's help."""
    found = [f"rgflow {example}" for command, example in GIVEN.items() if command in NAMES]
    for each in COMMANDS:
        lines = (each.__doc__ or "").split("Examples:", 1)[1].splitlines()
        found += [re.split(r"\s{2,}|\s>\s", line.strip())[0] for line in lines if line.strip().startswith("rgflow ")]
    return found


def test_one_screen(rgflow):
    done = rgflow()
    lines = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert len(lines) <= 23, "24 rows, the last for the prompt"
    assert max(map(len, lines)) <= 80
    assert [name for name in NAMES if not any(line.startswith(f"  rgflow {name}") for line in lines)] == []


def test_every_command_has_its_group():
    assert set(NAMES) <= set(GIVEN)
    assert group_of("solve") == "Formulas"


@cache
def program_parser():
    return get_command(app)


def parsed(line: str) -> None:
    """The parser's answer to a line; nothing is run."""
    program, *words = shlex.split(line)
    assert program == "rgflow"
    group = program_parser()
    with group.make_context("rgflow", words) as context:
        name, command, rest = group.resolve_command(context, words)
        with command.make_context(name, rest, parent=context):
            pass


@pytest.mark.parametrize("line", examples())
def test_examples_are_commands(line):
    if line != "rgflow":
        parsed(line)


@pytest.mark.parametrize("line", ["rgflow derve V", "rgflow solve V", "rgflow flow tanh --dept 3"])
def test_control_what_is_no_command_is_seen(line):
    with pytest.raises((USAGE, typer.Exit)):
        parsed(line)


def test_examples_fit_into_a_line_of_help():
    assert [line for line in examples() if len(line) > 74] == []


def test_there_are_examples_of_every_command():
    told = examples()
    assert len(told) > 30
    assert all(any(line.startswith(f"rgflow {name}") for line in told) for name in NAMES)
