"""What every process of the explorer needs, loaded once: those that are forked from here begin at once."""

import numba  # noqa: F401
import scipy.ndimage  # noqa: F401
import sympy  # noqa: F401
import xarray  # noqa: F401

import rgflow.codegen
import rgflow.explorer.tasks
import rgflow.flow.run
import rgflow.sampling
import rgflow.universality.criticality
import rgflow.universality.tune  # noqa: F401
