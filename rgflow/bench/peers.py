"""Whom we are measured beside: programs a user would run instead, as far as this machine has them.

They stand in ``benchmarks/peers`` of the sources; a package without its sources is measured beside NumPy alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from rgflow.bench.child import Child

OTHER_PYTHON = "RGFLOW_PEERS_PYTHON"  # an interpreter that has neural-tangents
# what the head of base_c_blk.c says; the fastest of those tried
FLAGS = ("-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math", "-fopenmp")


def folder() -> Path | None:
    """Where the other programs are."""
    place = Path(__file__).resolve().parents[2] / "benchmarks" / "peers"
    return place if (place / "bench_nt.py").exists() else None


def neural_tangents() -> Child | None:
    """neural-tangents in a process of its own, or None."""
    where, python = folder(), os.environ.get(OTHER_PYTHON)
    if python is None and find_spec("neural_tangents") is not None:
        python = sys.executable
    if where is None or python is None:
        return None
    return Child([python, str(where / "bench_nt.py"), "serve"])


def no_neural_tangents() -> str:
    """The line in its place."""
    if folder() is None:
        return "its program stands in benchmarks/peers of the sources, which are not here"
    return f"no neural-tangents here; {OTHER_PYTHON}=/path/to/python names an interpreter that has it"


def cubature() -> list[str] | None:
    """The command of adaptive cubature for four inputs, or None (SciPy has it since 1.15)."""
    where = folder()
    try:
        from scipy.integrate import cubature as found
    except ImportError:
        return None
    return [sys.executable, str(where / "adaptive_cubature.py")] if where and found else None


@lru_cache(maxsize=1)
def grid_in_c() -> Path | None:
    """The program in C, compiled for this machine, or None without a compiler."""
    where, compiler = folder(), shutil.which("gcc") or shutil.which("cc")
    if where is None or compiler is None:
        return None
    program = Path(tempfile.mkdtemp(prefix="rgflow_bench_")) / "grid"
    for flags in (FLAGS, tuple(flag for flag in FLAGS if not flag.startswith("-mprefer"))):
        command = [compiler, *flags, str(where / "base_c_blk.c"), "-o", str(program), "-lm"]
        if subprocess.run(command, capture_output=True).returncode == 0:
            return program
    return None
