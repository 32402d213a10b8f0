"""From a System to a kernel: rows, Numba source, store of compiled modules. It emits programs and knows no networks."""

from rgflow.codegen.kernel import Kernel, kernel
from rgflow.codegen.source import CLOSED, QUADRATURE
from rgflow.codegen.table import Table, lower

__all__ = ["CLOSED", "QUADRATURE", "Kernel", "Table", "kernel", "lower"]
