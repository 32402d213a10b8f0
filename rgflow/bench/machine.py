"""The machine: what it is, which processors we use, how much memory a process holds."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("numpy", "numba", "scipy", "xarray", "zarr", "distributed")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def processors() -> list[int]:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def confine(threads: int) -> None:
    """Let this process and its children use that many processors only, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, processors()[-threads:])


def environment(threads: int) -> dict[str, str]:
    """Variables that tell numerical libraries how many threads to use."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


def describe() -> dict[str, str]:
    """Processor, system and the packages that matter."""
    found = {"processor": _processor(), "processors": str(len(processors())), "system": platform.platform()}
    found["python"] = sys.version.split()[0]
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    known = dict(line.split(":", 1) for line in lines if ":" in line)
    name = next((value.strip() for key, value in known.items() if key.strip() == "model name"), platform.machine())
    flags = next((value.split() for key, value in known.items() if key.strip() == "flags"), [])
    wide = next((flag for flag in ("avx512f", "avx2", "sse4_2") if flag in flags), "")
    return f"{name} ({wide})" if wide else name


# Memory ---------------------------------------------------------------------------------------------------------------


def measures_memory() -> bool:
    """Whether the peak of a process can be set back (Linux)."""
    return os.access("/proc/self/clear_refs", os.W_OK)


def mark() -> int:
    """Bytes that this process holds; its peak counts from now on."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status("VmRSS")


def peak() -> int:
    """The most bytes that this process held since :func:`mark`."""
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
