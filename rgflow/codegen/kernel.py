"""Kernels: a System compiled, with its source at hand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from rgflow.activations import Activation, activation
from rgflow.algebra import System
from rgflow.codegen import generic, store
from rgflow.codegen.source import module_source, step_source
from rgflow.codegen.table import Table, lower
from rgflow.errors import AccuracyError, InputError


@dataclass(frozen=True)
class Kernel:
    """A System as a program.

    Attributes
    ----------
    table : Table
        Its rows.
    source : str
        The generated module: equations as comments, inputs, tables, brackets. The rows are run by the generic kernel
        of :mod:`rgflow.codegen.generic`.
    jit : bool
        False: everything runs as plain Python.
    """

    table: Table
    source: str
    jit: bool = True

    @cached_property
    def module(self) -> ModuleType:
        """The imported module; Numba compiles on the first call and caches beside the file."""
        return store.module(self.source)

    @property
    def path(self) -> str:
        """The file that holds the source."""
        return str(self.module.__file__)

    def step(
        self,
        samples: int,
        work: Any,
        state: Any,
        offsets: Any,
        brackets: Any,
        bracket_offsets: Any,
        hyper: Any,
        positive: bool = False,
    ) -> Any:
        """One layer; see :func:`rgflow.codegen.generic.step`. Returns the new state (components not in ``work`` are 0).

        ``positive`` takes the absolute value of every coefficient: the polynomial that bounds errors.
        """
        tables = self.module.TABLES
        if positive:
            tables = (*tables[:2], np.abs(tables[2]), *tables[3:])
        out = np.zeros_like(state)
        _step(self.jit)(samples, work, state, offsets, brackets, bracket_offsets, hyper, tables, out)
        return out

    def brackets(self, kernel: float, nodes: int) -> tuple[Any, Any]:
        """The brackets of one input at K, (M, 2) by a fine and a coarse rule, and the size (M,) of their integrands."""
        if self.table.many:
            raise InputError("the kernel of many inputs does not evaluate brackets; it takes them")
        values, scale = np.zeros((len(self.table.shapes), 2)), np.zeros(len(self.table.shapes))
        self.module.brackets_at(kernel, nodes, self.module.GROWTH_CUT, values, scale)
        _seal(self.module)
        return values, scale

    def run(self, first: Any, hyper: Any, nodes: int) -> tuple[Any, float]:
        """Flow of one input through all layers with two quadrature rules side by side.

        Parameters
        ----------
        first : array (tensors,)
            Tensors at layer 1.
        hyper : array (L - 1, 5)
            C_b, C_W, lambda_b, lambda_W, r for every further layer.
        nodes : int
            Nodes of the coarse rule on each side of zero, or panels between kinks.

        Returns
        -------
        history : array (L, 2, tensors)
            The flow with the fine rule and with the coarse one; their difference is the error of quadrature.
        spread : float
            The largest difference of both rules over all brackets, relative to the integral of the absolute value.

        Raises
        ------
        AccuracyError
            If K is not a finite, non-negative number at some layer.
        """
        count = len(self.table.tensors)
        work = np.array([[i, 0, i] for i in range(count)], np.int64)
        offsets = np.arange(count, dtype=np.int64)
        bracket_offsets = np.arange(len(self.table.shapes), dtype=np.int64)
        at_kernel = [tensor.name for tensor in self.table.tensors].index("K")
        history = np.zeros((len(hyper) + 1, 2, count))
        history[0] = first
        spread = 0.0
        for layer, constants in enumerate(hyper, start=1):
            for rule in (0, 1):
                kernel = float(history[layer - 1, rule, at_kernel])
                if not 0 <= kernel < np.inf:
                    raise AccuracyError(
                        f"K = {kernel} at layer {layer}: the flow runs away; choose a smaller C_W or fewer layers"
                    )
                values, scale = self.brackets(kernel, nodes)
                if not np.isfinite(values).all():
                    raise AccuracyError(
                        f"a Gaussian average at K = {kernel:.6g}, layer {layer}, is not finite: it overflows, or a "
                        "kink meets a vanishing kernel; choose other hyperparameters or inputs"
                    )
                apart = np.abs(values[:, 0] - values[:, 1]) / np.where(scale > 0, scale, 1.0)
                spread = max(spread, float(apart.max(initial=0.0)))
                column = np.ascontiguousarray(values[:, rule])
                history[layer, rule] = self.step(
                    1, work, history[layer - 1, rule], offsets, column, bracket_offsets, constants
                )
        return history, spread

    def __repr__(self) -> str:
        return f"<Kernel of {', '.join(t.name for t in self.table.tensors)}: {len(self.source.splitlines())} lines>"


def _step(jit: bool) -> Any:
    """The generic kernel, compiled or plain."""
    if not jit:
        return generic.step
    module = store.module(_step_text())

    def call(*arguments: Any) -> None:
        module.step(*arguments)
        _seal(module)

    return call


@lru_cache(maxsize=1)
def _step_text() -> str:
    return step_source()


def _seal(module: ModuleType) -> None:
    """After the first call: remember what Numba has compiled."""
    if not module.__dict__.get("_sealed"):
        if not store.sealed(module):
            store.seal(module)
        module.__dict__["_sealed"] = True


@lru_cache(maxsize=256)
def kernel(system: System, sigma: Activation | None, jit: bool = True) -> Kernel:
    """The kernel of a System; ``sigma`` with one input only; ``jit=False`` is the same program as plain Python."""
    table = lower(system)
    return Kernel(table, module_source(table, sigma, jit), jit)


def compiled_kernel(system: System, sigma: str | Activation | None = None, jit: bool = True) -> Kernel:
    """A System's kernel for an activation given by name, formula or object."""
    if system.samples == "many":
        return kernel(system, None, jit)
    if sigma is None:
        raise InputError("activation is None; the kernel of one input evaluates brackets: give one, such as 'tanh'")
    return kernel(system, activation(sigma), jit)
