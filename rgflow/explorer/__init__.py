"""The explorer: a local web page on which every number of a network moves as its hyperparameters do.

``rgflow explore`` opens it (the extra ``explore``: Starlette, uvicorn, latex2mathml). What is shown is computed by the
engine; this room holds no physics.
"""

from rgflow.explorer.serve import explore

__all__ = ["explore"]
