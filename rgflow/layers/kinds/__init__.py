"""The laws of the kinds of layers, one file each; every file in this folder is loaded."""

from rgflow.discovery import load_modules

load_modules(__name__, __path__)
