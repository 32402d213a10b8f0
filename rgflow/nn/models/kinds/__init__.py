"""How each kind of layer is built in PyTorch, one file each; every file in this folder is loaded."""

from rgflow.discovery import load_modules

load_modules(__name__, __path__)
