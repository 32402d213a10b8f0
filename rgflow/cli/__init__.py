"""The command line: what a person types and reads. It computes nothing itself."""

from rgflow.cli.app import app, main

__all__ = ["app", "main"]
