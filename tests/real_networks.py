"""Sampled networks against the expansion: the remainder must fall with width at the claimed order.

For each comparison (a tensor component, theory through order q in its own corrections) sampled networks of widths
16, 32, 64 give y_n = sampled - theory with standard error s_n. The claim is y_n = a / n^(q+1), one amplitude a.

    chi-squared     of that fit, 2 degrees of freedom; the family of all comparisons is accepted at 1e-3 (Holm)
    slope           where |y_16| > 8 s_16, fitted as y_n = a n^b: b = -(q+1) +- 0.4
    last order      the theory without its last order must then be off by more than 5 standard errors

Plan, seeds and numbers of networks are fixed before looking. ``python tests/real_networks.py results.json`` runs the
full plan (about an hour on one core) and keeps its numbers.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import optimize, stats

import rgflow as rg

WIDTHS = (16, 32, 64)
DEPTH = 4
ONE, TWO = 1.0, [[1.0, 0.4], [0.4, 0.7]]
ENSEMBLES = {"tanh": {"C_b": 0.1, "C_W": 1.5}, "gelu": {"C_b": 0.1, "C_W": 1.5}}
# with two inputs: index choices in which neither all samples nor all pairs agree
COMPONENTS = {2: [(0, 0), (0, 1)], 4: [(0, 0, 1, 1), (0, 1, 0, 1), (0, 1, 1, 1)]}


@dataclass(frozen=True)
class Group:
    """Tensors measured on the same networks: so many at the first width n_1, networks (n_1/n)^fewer at width n."""

    tensors: tuple[str, ...]
    networks: int
    fewer: int = 0

    def at(self, ratio: int) -> int:
        """Number of networks at ratio times the first width."""
        return self.networks // ratio**self.fewer


FULL = (
    Group(("K",), 2_000_000),
    Group(("V",), 100_000),
    Group(("Theta",), 60_000),
    Group(("A", "B", "D", "F"), 40_000),
    Group(("P", "Q"), 30_000),
    Group(("R", "S", "T", "U"), 20_000),
)
SMALL = (
    Group(("K", "V"), 20_000),
    Group(("Theta", "A", "B", "D", "F"), 1_500),
    Group(("P", "Q"), 1_000),
)


@dataclass
class Comparison:
    """One tensor component through order q: what was measured and what the fits say; sigma names the ensemble."""

    sigma: str
    inputs: int
    tensor: str
    component: tuple[int, ...]
    q: int
    theory: list[float]
    without_last: list[float]
    sampled: list[float]
    standard_error: list[float]
    chi_squared: float = 0.0
    p_value: float = 1.0
    visible: float = 0.0
    slope: float | None = None
    slope_error: float | None = None
    rejection: float | None = None
    widths: tuple[int, ...] = WIDTHS

    @property
    def name(self) -> str:
        """As it is printed."""
        at = "".join(map(str, self.component))
        return f"{self.sigma} {self.tensor}{f'[{at}]' if at else ''} through order {self.q}"

    def fit(self) -> None:
        """Fit amplitude, and the slope where the remainder is visible."""
        n = np.array(self.widths, float)
        y, s = np.subtract(self.sampled, self.theory), np.array(self.standard_error)
        shape = n ** -(self.q + 1)
        amplitude = np.sum(y * shape / s**2) / np.sum(shape**2 / s**2)
        self.chi_squared = float(np.sum(((y - amplitude * shape) / s) ** 2))
        self.p_value = float(stats.chi2.sf(self.chi_squared, len(n) - 1))
        self.visible = float(abs(y[0]) / s[0])
        if self.visible > 8:
            found, covariance = optimize.curve_fit(
                lambda n, a, b: a * (n / self.widths[0]) ** b,
                n,
                y,
                p0=(y[0], -(self.q + 1.0)),
                sigma=s,
                absolute_sigma=True,
            )
            self.slope, self.slope_error = float(found[1]), float(np.sqrt(covariance[1, 1]))
        self.rejection = float(np.max(np.abs(np.subtract(self.sampled, self.without_last)) / s))


def theory_orders(
    net: rg.Network, first_kernel, tensors, highest: int, *, layer: int = -1, closure: str = "full"
) -> dict[str, list]:
    """For each letter X_q / n^q at the last layer (or another), q = 0, 1, .. up to total order ``highest``."""
    ds = rg.flow(net, first_kernel=first_kernel, tensors=list(tensors), order=highest, closure=closure)
    n = float(ds["fan_in"][layer])
    found = {}
    for letter in tensors:
        names = [f"{letter}_{q}" if q else letter for q in range(highest + 1)]
        found[letter] = [ds[name].values[layer] / n**q for q, name in enumerate(names) if name in ds]
    return found


def at_width(orders: dict[str, list], ratio: float) -> dict[str, list]:
    """These orders where all widths are ``ratio`` times as large: coefficients depend on ratios of widths only.

    The kept theory was flowed at every width by itself, and ``test_theory_needs_one_width`` flows again.
    """
    return {letter: [term / ratio**q for q, term in enumerate(terms)] for letter, terms in orders.items()}


def uniform(sigma: str, width: int) -> rg.MLP:
    """Networks of an ensemble."""
    return rg.MLP.uniform(n_in=2, width=width, depth=DEPTH, activation=sigma, **ENSEMBLES[sigma])


@functools.cache
def theory_at(sigma: str, inputs: int, width: int) -> dict[str, list]:
    """All letters of the full plan, whoever asks for which, so that one kernel is compiled for an ensemble."""
    letters = [letter for group in FULL for letter in group.tensors]
    return theory_orders(uniform(sigma, width), ONE if inputs == 1 else TWO, letters, 2)


def compare(sigma: str, first_kernel, plan, seed: int, report=lambda text: None) -> list[Comparison]:
    """All comparisons of one ensemble: every letter through its leading order and through its first correction."""
    inputs = 1 if np.ndim(first_kernel) == 0 else len(first_kernel)
    return compare_networks(
        sigma,
        lambda n: uniform(sigma, n),
        first_kernel,
        plan,
        entropy=lambda width, i: np.random.SeedSequence([seed, width, i, inputs, len(sigma)]),
        theory=lambda net, tensors: theory_at(sigma, inputs, net.widths[1]),
        report=report,
    )


def compare_networks(
    name: str, build, first_kernel, plan, *, entropy, theory, layer: int = -1, widths=WIDTHS, report=lambda text: None
) -> list[Comparison]:
    """The networks ``build(n)`` against ``theory(net, tensors)``, through every order it has that corrects another."""
    inputs = 1 if np.ndim(first_kernel) == 0 else len(first_kernel)
    results: dict[tuple, Comparison] = {}
    first = theory(build(widths[0]), [name for group in plan for name in group.tensors])
    for width in widths:
        net = build(width)
        orders = at_width(first, width / widths[0])
        for i, group in enumerate(plan):
            start = time.perf_counter()
            networks = group.at(width // widths[0])
            seed = entropy(width, i)
            mc = rg.sample(net, first_kernel=first_kernel, tensors=group.tensors, networks=networks, seed=seed)
            report(f"{name} N={inputs} n={width} {','.join(group.tensors)}: {time.perf_counter() - start:.0f} s")
            for letter in group.tensors:
                arguments = mc[letter].ndim - 1
                for component in COMPONENTS[arguments] if inputs > 1 else [()]:
                    terms = [float(np.asarray(t)[component]) for t in orders[letter]]
                    for q in range(1 if letter in ("K", "Theta") else 0, len(terms)):
                        row = results.setdefault(
                            (letter, component, q),
                            Comparison(name, inputs, letter, component, q, [], [], [], [], widths=tuple(widths)),
                        )
                        row.theory.append(sum(terms[: q + 1]))
                        row.without_last.append(sum(terms[:q]))
                        row.sampled.append(float(mc[letter].values[layer][component]))
                        row.standard_error.append(float(mc[f"{letter}_se"].values[layer][component]))
    for row in results.values():
        row.fit()
    return list(results.values())


def family_p_value(rows: list[Comparison]) -> float:
    """The smallest p-value of the family after Bonferroni's (and so Holm's first) correction."""
    return min(1.0, len(rows) * min(row.p_value for row in rows))


def main(path: str) -> None:
    """Run the full plan and keep its numbers."""
    rows: list[Comparison] = []
    for sigma in ENSEMBLES:
        for first_kernel in (ONE, TWO):
            rows += compare(sigma, first_kernel, FULL, seed=20261122, report=lambda text: print(text, flush=True))
            target = Path(path)
            target.write_text(
                json.dumps(
                    {
                        "widths": WIDTHS,
                        "depth": DEPTH,
                        "ensembles": ENSEMBLES,
                        "family_p_value": family_p_value(rows),
                        "rows": [asdict(r) for r in rows],
                    },
                    indent=1,
                )
            )


if __name__ == "__main__":
    main(sys.argv[1])
