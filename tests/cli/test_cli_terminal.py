"""The program on a terminal: colours where they are wanted, none where they are not, data apart from progress."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from importlib import import_module
from threading import Thread

import pytest

pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
PROGRAM = [sys.executable, "-c", "from rgflow.cli import main; main()"]
COLOUR = re.compile(r"\x1b\[[0-9;]*\b(3[0-7]|9[0-7]|38;[0-9;]*)m")
FLOW = ["flow", "tanh", "--width", "8", "--depth", "3", "--first-kernel", "1"]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return {**kept, "TERM": "xterm", "PYTHONIOENCODING": "utf-8", **more}


def on_terminal(*arguments: str, piped: bool = False, **more: str) -> tuple[str, str]:
    """What a pseudo-terminal shows; and standard output where that is a pipe instead."""
    ours, theirs = pty.openpty()
    pipe = subprocess.PIPE if piped else theirs
    shown: list[bytes] = []

    def read() -> None:
        while True:
            try:
                shown.append(os.read(ours, 65536))
            except OSError:  # the other end was closed
                return
            if not shown[-1]:
                return

    reader = Thread(target=read)
    reader.start()
    with subprocess.Popen(
        [*PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=pipe, stderr=theirs, env=environment(**more)
    ) as process:
        os.close(theirs)
        out = process.communicate(timeout=120)[0] or b""
    reader.join(timeout=10)
    os.close(ours)
    return b"".join(shown).decode(), out.decode()


def test_colours_on_a_terminal_and_none_if_unwanted():
    plain = ["unknown tensor 'Vv'"]
    assert COLOUR.search(on_terminal("derive", "Vv")[0])
    without = on_terminal("derive", "Vv", NO_COLOR="1")[0]
    assert not COLOUR.search(without)
    dumb = on_terminal("derive", "Vv", TERM="dumb")[0]
    assert "\x1b" not in dumb
    assert all(text in shown for text in plain for shown in (without, dumb))


def test_the_first_screen_is_coloured_and_fits():
    shown = on_terminal(COLUMNS="80")[0]
    assert COLOUR.search(shown)
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in shown.splitlines()) <= 80


def test_a_dumb_terminal_gets_the_tables_alone():
    """No cursor is moved, no spinner drawn."""
    shown = on_terminal(*FLOW, "--check", "100", TERM="dumb")[0]
    assert "\x1b" not in shown
    assert "100 sampled networks" in shown
    assert "sampling networks" not in shown


def test_json_in_a_pipe_and_progress_on_the_terminal():
    shown, out = on_terminal(*FLOW, "--check", "100", "--json", piped=True)
    assert json.loads(out)["sampled"]["networks"] == 100
    assert "sampling" in shown
    assert out.count("\n") == 1


def test_warnings_are_lines_on_standard_error(rgflow, monkeypatch):
    """Whoever warns: the place in the program and the line of source are left out."""
    import rgflow as rg

    def warning(*given):
        warnings.simplefilter("always")
        warnings.warn("near the end of its domain", rg.DomainWarning, stacklevel=1)
        raise rg.InputError("and then over it")

    monkeypatch.setattr(import_module("rgflow.citation"), "citation", warning)
    done = rgflow("cite")
    assert (done.code, done.out) == (1, "")
    assert done.err == "warning: near the end of its domain\nerror: and then over it\n"


@pytest.mark.parametrize("line", ["derive V_1 --samples many --closure", "derive A_1 --samples many --json"])
def test_only_the_first_line_is_read(line):
    program = f'"{sys.executable}" -c "from rgflow.cli import main; main()" {line} | head -n 1'
    done = subprocess.run(["sh", "-c", program], env=environment(), capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
