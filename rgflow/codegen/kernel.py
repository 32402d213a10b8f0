"""Kernels: a System compiled, with its source at hand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from rgflow.activations import Activation
from rgflow.algebra import System
from rgflow.brackets.kernel_forms import Closed
from rgflow.brackets.smooth import Entry
from rgflow.codegen import generic, store
from rgflow.codegen.forms import closed_forms
from rgflow.codegen.source import bracket_methods, module_source, specifications, step_source
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
    forms : tuple of ((sorted orders, pending), Closed)
        The brackets of one input that are in closed form.
    """

    table: Table
    source: str
    jit: bool = True
    forms: tuple[tuple[Entry, Closed], ...] = ()

    @property
    def methods(self) -> dict[Entry, str]:
        """How each bracket (orders, pending) of one input is found: "closed form" or "quadrature"."""
        return bracket_methods(self.table, dict(self.forms))

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
        """The brackets of one input at K, and the size (M,) of their integrands or of the terms of their closed forms.

        Values (M, 2) by a fine and a coarse rule of that many nodes; a closed form is both.
        """
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


def kernel(system: System, sigma: Activation | None = None, jit: bool = True, closed: bool = True) -> Kernel:
    """The kernel of a System; with one input for an activation.

    ``jit=False`` is the same program as plain Python; ``closed=False`` takes quadrature for every bracket.

    Raises InputError for a System of one input without an activation.
    """
    if system.samples == "many":
        return _kernel(system, None, "", jit, closed)
    if sigma is None:
        raise InputError("activation is None; the kernel of one input evaluates brackets: give one, such as 'tanh'")
    return _kernel(system, sigma, sigma.formula_text, jit, closed)


@lru_cache(maxsize=256)
def _kernel(system: System, sigma: Activation | None, spelling: str, jit: bool, closed: bool) -> Kernel:
    """Equal activations may be spelt differently, and the source shows the spelling."""
    table = lower(system)
    forms = closed_forms(sigma, specifications(table)) if sigma and closed else {}
    return Kernel(table, module_source(table, sigma, jit, forms), jit, tuple(forms.items()))
