"""Kernels: a System compiled, with its source at hand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from rgflow.activations import Activation, activation
from rgflow.algebra import System
from rgflow.codegen import store
from rgflow.codegen.source import module_source
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
        The whole generated module: equations as comments, inputs, brackets, the kernel, outputs.
    """

    table: Table
    source: str

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
        self.module.step(samples, work, state, offsets, brackets, bracket_offsets, hyper, tables, out)
        self._seal()
        return out

    def run(self, first: Any, hyper: Any, nodes: int) -> Any:
        """All layers for one input: (layers, 2, tensors); see :func:`rgflow.codegen.generic.run`."""
        if self.table.many:
            raise InputError("run is for kernels of one input; with many inputs go layer by layer with step")
        count = len(self.table.tensors)
        work = np.array([[i, 0, i] for i in range(count)], np.int64)
        offsets = np.arange(count, dtype=np.int64)
        bracket_offsets = np.arange(len(self.table.shapes), dtype=np.int64)
        history = self.module.run(first, hyper, nodes, work, offsets, bracket_offsets, self.module.TABLES)
        self._seal()
        return history

    def _seal(self) -> None:
        """After the first call: remember what Numba has compiled."""
        if "_sealed" not in self.__dict__:
            if hasattr(self.module.step, "py_func") and not store.sealed(self.module):
                store.seal(self.module)
            self.__dict__["_sealed"] = True

    def __repr__(self) -> str:
        return f"<Kernel of {', '.join(t.name for t in self.table.tensors)}: {len(self.source.splitlines())} lines>"


@lru_cache(maxsize=256)
def kernel(system: System, sigma: Activation | None, jit: bool = True) -> Kernel:
    """The kernel of a System; ``sigma`` with one input only; ``jit=False`` is the same program as plain Python."""
    table = lower(system)
    return Kernel(table, module_source(table, sigma, jit))


def compiled_kernel(system: System, sigma: str | Activation | None = None, jit: bool = True) -> Kernel:
    """A System's kernel for an activation given by name, formula or object."""
    if system.samples == "many":
        return kernel(system, None, jit)
    if sigma is None:
        raise InputError("activation is None; the kernel of one input evaluates brackets: give an activation such as 'tanh'")
    return kernel(system, activation(sigma), jit)

