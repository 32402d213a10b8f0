"""Kernels: a System compiled, with its source at hand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from rgflow.activations import Activation
from rgflow.algebra import System
from rgflow.codegen import generic, store
from rgflow.codegen.source import module_source, step_source
from rgflow.codegen.table import Table, lower
from rgflow.errors import InputError


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


def kernel(system: System, sigma: Activation | None = None, jit: bool = True) -> Kernel:
    """The kernel of a System; with one input for an activation; ``jit=False`` is the same program as plain Python.

    Raises InputError for a System of one input without an activation.
    """
    if system.samples == "many":
        return _kernel(system, None, "", jit)
    if sigma is None:
        raise InputError("activation is None; the kernel of one input evaluates brackets: give one, such as 'tanh'")
    return _kernel(system, sigma, sigma.formula_text, jit)


@lru_cache(maxsize=256)
def _kernel(system: System, sigma: Activation | None, spelling: str, jit: bool) -> Kernel:
    """Equal activations may be spelt differently, and the source shows the spelling."""
    table = lower(system)
    return Kernel(table, module_source(table, sigma, jit), jit)
