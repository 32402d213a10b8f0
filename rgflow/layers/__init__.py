"""From a layer's description to its laws: constants and integrand of the random metric, by dispatch on the kind."""

import rgflow.layers.kinds  # noqa: F401  (every kind registers its laws)
from rgflow.layers.law import Law, Part, forgets
from rgflow.layers.laws import laws

__all__ = ["Law", "Part", "forgets", "laws"]
