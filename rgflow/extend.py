"""What a kind of layer of your own is made of: a description, a law, and how it is drawn.

    Layer, real, size, choice   describe it: a frozen dataclass of hyperparameters, checked when it is made
    laws, Affine, Source        say what its random metric is made of: ``@laws.register``, one ``Affine`` for each stage
    routes, Routes, Weights     draw it, from the definition alone: ``@routes.register``

Every recursion, flow and sample follows. A kind lives as long as the process that defined it; define it again before
reading a file of one of its networks. Larger additions (products of hyperparameters, weights that are not Gaussian,
modules of PyTorch) follow the recipe "Add a layer" of CONTRIBUTING.

>>> from dataclasses import dataclass
>>> import rgflow as rg
>>> from rgflow import extend
>>> @dataclass(frozen=True)
... class Doubled(extend.Layer):
...     "z' = W sigma(z) + U sigma(z)"
...     C_U: float = 1.0
...     C_W: float = 1.0
...     lambda_U: float = 1.0
...     lambda_W: float = 1.0
>>> @extend.laws.register
... def _(layer: Doubled):
...     sources = (extend.Source("C_W", "lambda_W"), extend.Source("C_U", "lambda_U"))
...     return (extend.Affine("doubled", bias=("", ""), sources=sources),)
>>> print(rg.derive("Theta", layer=Doubled()))
Theta' = lambda_U <σσ> + lambda_W <σσ> + C_U Theta <σ'σ'> + C_W Theta <σ'σ'>

Source: the definition of a layer in docs/layers.md.
"""

from rgflow.layers import laws
from rgflow.layers.affine import Affine, Source
from rgflow.network import Layer
from rgflow.network.layer import choice, real, size
from rgflow.sampling.routes import Routes, Weights, routes

__all__ = ["Affine", "Layer", "Routes", "Source", "Weights", "choice", "laws", "real", "routes", "size"]
