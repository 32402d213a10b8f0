"""The program as a process: exit codes, silence where nobody listens, no traceback, no colour in pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

import rgflow as rg

PROGRAM = [sys.executable, "-c", "from rgflow.cli import main; main()"]
SMALL = ["--width", "8", "--depth", "3", "--first-kernel", "1"]


def program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "COLUMNS": "80", **environment}
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, env=env, timeout=120, check=False)


def test_version():
    done = program("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"rgflow {rg.__version__}\n", "")


def test_alone_it_prints_help_with_examples(rgflow):
    alone, asked = rgflow(), rgflow("--help")
    assert alone.code == asked.code == 0
    for command in ("derive", "flow"):
        assert f"rgflow {command}" in alone.out
        assert f"rgflow {command}" in asked.out


@pytest.mark.parametrize("command", ["derive", "flow"])
def test_help_of_a_command_shows_examples_and_options(rgflow, command):
    done = rgflow(command, "--help")
    assert done.code == 0
    assert "Examples:" in done.out
    assert f"rgflow {command} " in done.out.split("Examples:")[1]
    assert max(map(len, done.out.splitlines())) <= 80


def test_help_and_version_load_nothing_heavy():
    heavy = ["sympy", "numba", "xarray", "matplotlib", "sklearn", "scipy.stats", "pandas"]
    code = (
        "import sys\nfrom rgflow.cli import app\n"
        "try:\n    app(['flow', '--help'], prog_name='rgflow')\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["derive"],
        ["derive", "V", "--samples", "three"],
        ["derive", "V", "--latex", "--sympy"],
        ["flow"],
        ["flow", "tanh", "--depth", "many"],
        ["flow", "tanh", "--check", "10"],
        ["flow", "tanh", "--seed", "-1"],
        ["flow", "tanh", "--no-such-option"],
    ],
)
def test_wrong_usage_is_exit_code_2(rgflow, arguments):
    done = rgflow(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert "Traceback" not in done.err
    assert done.err


def test_typed_errors_are_one_line_and_exit_code_1():
    done = program("derive", "Vv")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: unknown tensor 'Vv'; did you mean 'V'")
    assert done.stderr.count("\n") == 1


def test_no_colour_in_pipes_or_with_no_color():
    red = "\x1b[1;31m"
    assert "\x1b" not in program("derive", "V").stdout + program("derive", "Vv").stderr
    assert program("derive", "Vv", FORCE_COLOR="1").stderr.startswith(red)
    assert "31" not in program("derive", "Vv", FORCE_COLOR="1", NO_COLOR="1").stderr  # bold may stay, colour may not


def test_a_terminal_without_greek_letters_does_not_crash():
    done = program("derive", "V", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "V' = " in done.stdout
    assert "<ssss>" in done.stdout
    assert "?" not in done.stdout
    many = program("derive", "V", "--samples", "many", PYTHONIOENCODING="ascii").stdout
    assert "db1" in many
    assert "?" not in many
    assert "<σσσσ>" in program("derive", "V", PYTHONIOENCODING="utf-8").stdout
    table = program("flow", "tanh", *SMALL, "--check", "100", PYTHONIOENCODING="ascii").stdout
    assert "?" not in table
    assert "|" not in table
    assert "-" * 40 in table


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")
@pytest.mark.parametrize("arguments", [["derive", "V"], ["derive", "V_1", "--closure", "--latex"], ["--version"]])
def test_an_output_that_cannot_be_written_is_told(arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run([*PROGRAM, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write the output: No space left")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_leaves_is_met_with_silence():
    with subprocess.Popen(
        [*PROGRAM, "derive", "V_1", "--samples", "many", "--closure"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        process.stdout = None
        assert process.communicate(timeout=60)[1] == b""


def test_interrupt_is_exit_code_130():
    slow = ["flow", "tanh", *SMALL, "--check", "5000000"]
    # Where the tests run in the background of a shell, interrupts are ignored by what they start unless it says so.
    hearing = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    program = [*PROGRAM[:-1], hearing + PROGRAM[-1]]
    with subprocess.Popen([*program, *slow], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while "numerical error" not in process.stdout.readline():  # now it samples
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in said
