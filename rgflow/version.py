"""The version of rgflow."""

__version__ = "0.1.0"
