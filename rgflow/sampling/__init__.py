"""The independent witness: real networks drawn with NumPy, means and standard errors; imports no theory."""

from rgflow.sampling.sample import sample

__all__ = ["sample"]
