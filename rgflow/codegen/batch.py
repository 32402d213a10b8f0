"""Kernels for many points at once: one input each, hyperparameters of their own, one call for all layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from types import ModuleType
from typing import Any

import numpy as np

from rgflow.activations import Activation
from rgflow.algebra import System
from rgflow.brackets.smooth import Entry
from rgflow.codegen import store
from rgflow.codegen.batch_layout import LANES, Layout
from rgflow.codegen.batch_module import module_source
from rgflow.codegen.batch_rules import Rules, bands, rules_of
from rgflow.codegen.forms import closed_forms
from rgflow.codegen.source import bracket_methods, specifications
from rgflow.codegen.table import Table, lower
from rgflow.errors import AccuracyError, InputError


@dataclass(frozen=True)
class Batch:
    """What many points went through.

    values : (T, kept layers, P), NaN from where a point stopped. brackets : (M, kept layers, P), those that made the
    layer, or None. code : (P,) 0 good, else why it stopped (:mod:`rgflow.codegen.batch_layers`). stopped : (P,) the
    layer whose tensors could not be had, 0 if none. doubt : (M,) error of the averages, relative to the integrals of
    their absolute terms.
    """

    values: Any
    brackets: Any
    code: Any
    stopped: Any
    doubt: Any


@dataclass(frozen=True)
class BatchKernel:
    """A System of one input as a program for many points.

    Attributes
    ----------
    layout : Layout
        The table of its rows, the activation, and what its work array holds.
    source : str
        The generated module.
    jit : bool
        False: everything runs as plain Python.
    """

    layout: Layout
    source: str
    jit: bool = True

    @property
    def table(self) -> Table:
        """The rows."""
        return self.layout.table

    @property
    def methods(self) -> dict[Entry, str]:
        """How each bracket is found: "closed form" or "quadrature"."""
        return bracket_methods(self.table, self.layout.forms)

    @cached_property
    def module(self) -> ModuleType:
        """The imported module; Numba compiles on the first call and caches beside the file."""
        return store.module(self.source)

    @property
    def path(self) -> str:
        """The file that holds the source."""
        return str(self.module.__file__)

    def rules(self, top: float, tolerance: float = 1e-13) -> Rules:
        """The quadrature of all kernels up to ``top``, or up to where averages can be had."""
        chosen, parity = self.layout.activation, self.layout.activation.parity
        return rules_of(chosen, parity, self.layout.summed, tuple(self.layout.entries), bands(top), tolerance)

    def brackets_at(self, kernels: Any, tolerance: float = 1e-13) -> tuple[Any, Any, Any]:
        """Brackets at many kernels, the integrals of their absolute terms, and the error relative to these.

        Parameters
        ----------
        kernels : (P,)
            K >= 0.

        Returns
        -------
        values, sizes : (M, P)
        doubt : (M,)

        Raises
        ------
        InputError, AccuracyError
        """
        kernels = np.asarray(kernels, dtype=np.float64)
        if kernels.ndim != 1 or not ((kernels >= 0) & np.isfinite(kernels)).all():
            raise InputError("kernels must be a row of finite numbers K >= 0")
        rules = self.rules(float(kernels.max(initial=0.0)), tolerance)
        if kernels.size and kernels.max() > rules.limit:
            raise AccuracyError(
                f"Gaussian averages of {self.layout.activation.name} cannot be had at K = {kernels.max():.6g}, only up "
                f"to {rules.limit:.6g}; choose smaller kernels"
            )
        padded = _padded(kernels[None, :])[0]
        values, sizes = (np.empty((len(self.layout.entries), padded.size)) for _ in range(2))
        with np.errstate(all="ignore"):  # of the plain program; the compiled one warns of nothing
            self.module.brackets_at(padded, rules.tops, rules.starts, rules.u, rules.w, values, sizes)
        _seal(self.module, "brackets_at")
        return values[:, : kernels.size], sizes[:, : kernels.size], rules.doubt

    def run(
        self,
        first: Any,
        by_layer: Any,
        by_point: Mapping[str, Any],
        kept: Iterable[int],
        *,
        tolerance: float = 1e-13,
        threads: int = 1,
        brackets: bool = False,
    ) -> Batch:
        """All points through all layers.

        Parameters
        ----------
        first : (T, P)
            Tensors of layer 1, as ``table.tensors`` lists them.
        by_layer : (H, L - 1)
            ``table.symbols`` and r = n_l/n_{l-1} of layers 2..L.
        by_point : mapping from symbol to (P,)
            Symbols that have their own value at each point, in every layer.
        kept : layers from 2..L, increasing
            Those to return.
        tolerance : float
            Of the averages, relative to the integrals of their absolute values.
        threads : int
        brackets : bool
            Whether to return the averages as well.
        """
        first, by_layer, layers = self._checked(first, by_layer, by_point, kept)
        points = first.shape[1]
        symbols = [*self.table.symbols, "r"]
        place = np.full(by_layer.shape[1], -1, np.int64)
        place[np.array(layers, np.int64) - 2] = np.arange(len(layers))
        which = np.full(len(symbols), -1, np.int64)
        which[[symbols.index(name) for name in by_point]] = np.arange(len(by_point))
        rows = [np.broadcast_to(np.asarray(row, np.float64), (points,)) for row in by_point.values()]
        own = _padded(np.array(rows).reshape(len(rows), points)) if rows else np.zeros((1, LANES))
        state = _padded(first)
        width = state.shape[1]
        out = np.full((len(state), len(layers), width), np.nan)
        found = np.full((len(self.layout.entries) if brackets else 0, len(layers), width), np.nan)
        code, stopped = np.zeros(width, np.int64), np.zeros(width, np.int64)

        def go(rules: Rules, blocks: Any) -> Any:
            wanted = np.zeros(blocks.size)
            with np.errstate(all="ignore"):
                self.module.run(
                    state, by_layer, which, own, place, rules.tops, rules.starts, rules.u, rules.w, rules.limit, blocks,
                    out, found, code, stopped, wanted,
                )  # fmt: skip
            return wanted

        rules = self._through(go, state, np.arange(width // LANES), tolerance, threads)
        _seal(self.module, "run")
        chosen = found[:, :, :points] if brackets else None
        return Batch(out[:, :, :points], chosen, code[:points], stopped[:points], rules.doubt)

    def _checked(
        self, first: Any, by_layer: Any, by_point: Mapping[str, Any], kept: Iterable[int]
    ) -> tuple[Any, Any, list[int]]:
        first = np.asarray(first, dtype=np.float64)
        by_layer = np.ascontiguousarray(by_layer, dtype=np.float64)
        symbols, count = [*self.table.symbols, "r"], len(self.table.tensors)
        if first.ndim != 2 or len(first) != count or not first.shape[1] or not np.isfinite(first).all():
            raise InputError(f"first has shape {first.shape}; it must hold {count} finite tensors at one point or more")
        if by_layer.ndim != 2 or len(by_layer) != len(symbols):
            raise InputError(
                f"by_layer has shape {by_layer.shape}; it must have a row for each of {', '.join(symbols)}"
            )
        if unknown := set(by_point) - set(symbols):
            raise InputError(f"by_point names {', '.join(sorted(unknown))}; this system knows {', '.join(symbols)}")
        layers = list(kept)
        if layers != sorted(set(layers)) or not set(layers) <= set(range(2, by_layer.shape[1] + 2)):
            raise InputError(f"kept is {layers}; it must be increasing layers from 2 to {by_layer.shape[1] + 1}")
        return first, by_layer, layers

    def _through(self, go: Any, state: Any, blocks: Any, tolerance: float, threads: int) -> Rules:
        """Blocks whose kernels outgrow the rules are run again with wider ones."""
        kernels = state[self.layout.kernel - self.layout.state]
        rules = self.rules(4.0 * float(kernels.max(initial=0.0)), tolerance)
        while True:
            if threads == 1 or blocks.size < 2 * threads:
                wanted = go(rules, blocks)
            else:
                with ThreadPoolExecutor(threads) as pool:
                    parts = np.array_split(blocks, min(blocks.size, 8 * threads))
                    wanted = np.concatenate(list(pool.map(partial(go, rules), parts)))
            blocks = blocks[wanted > 0]
            if not blocks.size:
                return rules
            top = max(4.0 * float(wanted.max()), 4.0 * float(rules.tops[-1]))
            rules = self.rules(top, tolerance)

    def __repr__(self) -> str:
        names = ", ".join(t.name for t in self.table.tensors)
        return f"<BatchKernel of {names}: {len(self.source.splitlines())} lines>"


def _padded(rows: Any) -> Any:
    """Rows (n, P) with the last column repeated to fill the last block."""
    rows = np.asarray(rows, dtype=np.float64)
    return np.ascontiguousarray(np.pad(rows, ((0, 0), (0, -rows.shape[1] % LANES)), mode="edge"))


def _seal(module: ModuleType, called: str) -> None:
    """After the first call of a function: remember what Numba has compiled."""
    if not module.__dict__.get(f"_sealed_{called}"):
        if not store.sealed(module):
            store.seal(module)
        module.__dict__[f"_sealed_{called}"] = True


def batch_kernel(system: System, sigma: Activation, jit: bool = True, closed: bool = True) -> BatchKernel:
    """The kernel of a System of one input for many points.

    ``jit=False`` is the same program as plain Python; ``closed=False`` takes quadrature for every bracket.

    Raises InputError for a System of many inputs.

    >>> from rgflow.activations import activation
    >>> from rgflow.derive import closure
    >>> kernel = batch_kernel(closure("V"), activation("tanh"), jit=False)
    >>> values, sizes, doubt = kernel.brackets_at([0.5, 1.0])
    >>> [kernel.table.shapes[0].orders, *(round(float(x), 12) for x in values[0])]
    [(0, 0), 0.273676307937, 0.394294490398]
    """
    if system.samples == "many":
        raise InputError("a batch runs points of one input; derive the system with samples='one'")
    return _kernel(system, sigma, sigma.formula_text, jit, closed)


@lru_cache(maxsize=64)
def _kernel(system: System, sigma: Activation, spelling: str, jit: bool, closed: bool) -> BatchKernel:
    table = lower(system)
    layout = Layout(table, sigma, closed_forms(sigma, specifications(table)) if closed else {})
    return BatchKernel(layout, module_source(layout, jit), jit)
