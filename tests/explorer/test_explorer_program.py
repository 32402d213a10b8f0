"""``rgflow explore`` as a program: it says where it is, answers, and ends cleanly."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

import rgflow as rg
from rgflow.explorer import explore

pytest.importorskip("starlette")
PROGRAM = [sys.executable, "-c", "from rgflow.cli import main; main()", "explore", "--no-browser"]


def refused(*more):
    done = subprocess.run([*PROGRAM, *more], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    return done.returncode, done.stderr


def test_it_serves_until_it_is_interrupted():
    program = subprocess.Popen(
        [*PROGRAM, "?activation=relu&C_W=2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    line = program.stdout.readline()
    where = re.search(r"http://127\.0\.0\.1:\d+/", line)[0]
    assert f"{where}?activation=relu&layer=dense&C_W=2&" in line
    with urllib.request.urlopen(where, timeout=20) as page:
        assert b"rgflow" in page.read()
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=20)
    assert (program.returncode, out, err) == (0, "", "")


def test_a_port_that_is_taken_is_said():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(rg.StoreError, match=f"port {port}.*try another port"):
            explore(port=port, browser=False)
    with pytest.raises(rg.InputError, match="65535"):
        explore(port=70000)


def test_a_link_that_is_none_is_refused():
    code, said = refused("?C_W=-2")
    assert (code, "between 0 and 100" in said) == (1, True)


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(rg.MissingExtra, match=r'pip install "rgflow\[explore\]"'):
        explore(browser=False)
