"""How long the engine takes: derivation, import, flow, command line; medians, and ratios where a peer exists.

    python benchmarks/speed.py [runs]

Each time is that of a fresh process or of cleared caches; machines are noisy, so read medians, and ratios side by side.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

LETTERS = list("VABDFPQRSTU")


def derivation(names: list[str], samples: str) -> float:
    """Seconds to derive the closure of ``names`` with cold caches."""
    from rgflow.algebra import tensor
    from rgflow.derive import closure, derive, hypergraphs
    from rgflow.derive.derive import _derive

    assert derive
    for cached in (_derive, hypergraphs._bare_edges, hypergraphs._bare_graphs, hypergraphs._without_clusters):
        cached.cache_clear()
    tensor._dressed_form.cache_clear()
    start = time.perf_counter()
    closure(names, samples=samples)
    return time.perf_counter() - start


def process(arguments: list[str]) -> float:
    """Wall seconds of a whole process."""
    start = time.perf_counter()
    subprocess.run(arguments, check=True, capture_output=True)
    return time.perf_counter() - start


def vertex_by_cubature(kernel: np.ndarray, tolerance: float) -> tuple[float, float]:
    """<s1 s1 s2 s2> of GELU by scipy's adaptive cubature (the method of peers/adaptive_cubature.py): value, seconds."""
    from scipy.integrate import cubature
    from scipy.special import ndtr
    from scipy.stats import multivariate_normal

    density = multivariate_normal(cov=kernel).pdf
    start = time.perf_counter()
    found = cubature(
        lambda x: np.prod((x * ndtr(x)) ** 2, axis=1) * np.reshape(density(x), len(x)),
        [-np.inf] * 2, [np.inf] * 2, rtol=tolerance, rule="genz-malik",
    )  # fmt: skip
    return float(found.estimate), time.perf_counter() - start


def vertex_by_rgflow(kernel: np.ndarray) -> tuple[float, float]:
    """The same bracket by rgflow."""
    import rgflow as rg
    from rgflow.brackets import gaussian_moments

    sigma = rg.activation("gelu")
    start = time.perf_counter()
    values, _ = gaussian_moments(sigma, kernel[None], [(((0, 0), 0), ((0, 0), 0))])
    return float(values[0, 0]), time.perf_counter() - start


def brackets_of(sigma: str, names: list[str], nodes: int, calls: int = 50) -> tuple[float, float, int, int]:
    """Microseconds for all brackets of a system at K = 1, as its kernel takes them and by quadrature; closed, all."""
    from rgflow import activation
    from rgflow.codegen import CLOSED, kernel
    from rgflow.derive import closure

    system = closure(names)
    kernels = [kernel(system, activation(sigma), closed=closed) for closed in (True, False)]
    best = [np.inf, np.inf]
    for _ in range(40):  # in turn and many times, since a busy machine has slow spells
        for which, program in enumerate(kernels):
            out, scale = np.zeros((len(program.table.shapes), 2)), np.zeros(len(program.table.shapes))
            function, growth = program.module.brackets_at, program.module.GROWTH_CUT
            function(1.0, nodes, growth, out, scale)
            start = time.perf_counter()
            for _ in range(calls):
                function(1.0, nodes, growth, out, scale)
            best[which] = min(best[which], (time.perf_counter() - start) / calls * 1e6)
    methods = list(kernels[0].methods.values())
    return best[0], best[1], methods.count(CLOSED), len(methods)


def closed_forms() -> None:
    """Closed forms and quadrature side by side: the fewest nodes (panels at kinks) that a flow tries."""
    for sigma, nodes in (("relu", 1), ("linear", 24), ("sin", 24), ("erf", 24), ("gelu", 24)):
        for what, names in (("V", ["V", "K_1"]), ("eleven letters", [*LETTERS, "K_1", "Theta_1"])):
            closed, plain, count, every = brackets_of(sigma, names, nodes)
            print(
                f"brackets of {what}, {sigma}, {count} of {every} closed: {closed:.2f} us, all by quadrature "
                f"{plain:.2f} us, ratio {plain / closed:.1f}",
                flush=True,
            )


def report(what: str, times: list[float], bound: float | None) -> None:
    """One line: median, spread, and the promise."""
    promise = f"  (promised < {bound} s: {'kept' if statistics.median(times) < bound else 'BROKEN'})" if bound else ""
    print(f"{what:<66} {statistics.median(times):8.3f} s  [{min(times):.3f}, {max(times):.3f}]{promise}", flush=True)


def main(runs: int = 5) -> None:
    """Print the table."""
    for samples in ("one", "many"):
        report(
            f"derive eleven letters, K_1, Theta_1 ({samples})",
            [derivation([*LETTERS, "K_1", "Theta_1"], samples) for _ in range(runs)], 0.5,
        )  # fmt: skip
        report(f"derive K to 1/n^4 ({samples})", [derivation(["K_4"], samples) for _ in range(runs)], 3)
        report(
            f"derive eleven letters at next-to-leading order ({samples})",
            [derivation([f"{x}_1" for x in LETTERS], samples) for _ in range(runs)], 10,
        )  # fmt: skip
    report("import rgflow", [process([sys.executable, "-c", "import rgflow"]) for _ in range(runs)], None)
    bare = [process([sys.executable, "-c", "pass"]) for _ in range(runs)]
    inside = "import time; t = time.perf_counter(); import rgflow; print(time.perf_counter() - t)"
    imports = [
        float(subprocess.run([sys.executable, "-c", inside], check=True, capture_output=True, text=True).stdout)
        for _ in range(runs)
    ]
    report("  of which the interpreter alone", bare, None)
    report("  import statement alone", imports, 0.3)
    command = shutil.which("rgflow") or os.path.join(os.path.dirname(sys.executable), "rgflow")
    if os.path.exists(command):
        with tempfile.TemporaryDirectory() as cache:
            os.environ["RGFLOW_CACHE_DIR"] = cache
            flow = [command, "flow", "tanh", "--width", "128", "--depth", "32"]
            report("rgflow flow tanh --width 128 --depth 32, first time", [process(flow)], None)
            report("rgflow flow tanh --width 128 --depth 32, warm", [process(flow) for _ in range(runs)], 3)
    closed_forms()
    kernel = np.array([[1.2, 0.5], [0.5, 0.9]])
    vertex_by_rgflow(kernel)
    ours = [vertex_by_rgflow(kernel) for _ in range(runs)]
    peer = [vertex_by_cubature(kernel, 1e-3) for _ in range(runs)]
    ratio = statistics.median(p[1] / o[1] for p, o in zip(peer, ours, strict=True))
    print(
        f"<s1 s1 s2 s2> of gelu, two inputs: adaptive cubature (rtol 1e-3) takes {ratio:.0f} times as long, "
        f"relative difference {abs(peer[0][0] / ours[0][0] - 1):.1e}"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
