r"""How the observables of a family go with the depth L, at criticality, and the scale that width and depth share.

The powers of L are those of the universality classes (:func:`rgflow.criticality`): nothing is typed. Rates are such
that every layer has an equal share of the tangent kernel and the whole is of order one (:func:`rgflow.learning_rates`),
and the variance of the read-out such that outputs keep their size where the kernel vanishes with depth. Then, with K,
Theta, letters and cumulants kappa_3 at the last layer,

.. math:: \delta H/H \sim \frac{\max(A, B)^{1/2}}{\Theta}, \quad \frac{E[dH\,z]}{H^2} \sim
    \frac{\max(P, Q)}{\Theta^2}, \quad dH \sim \frac{(\kappa_3 K)^{1/2}}{\Theta^2}, \quad ddH \sim
    \frac{\max(R, S, T, U)\, K}{\Theta^3}.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.activations import Activation
from rgflow.activations import activation as find_activation
from rgflow.algebra import Tensor
from rgflow.errors import InputError
from rgflow.labelled import dataset
from rgflow.scaling.families.initial import SECOND, SPREAD, WITH_OUTPUT, squared_differential
from rgflow.scaling.families.powers import Power, between_zero_and_one
from rgflow.universality.laws import power_laws
from rgflow.universality.points import recommended
from rgflow.universality.rates import exponents as kernel_exponents

if TYPE_CHECKING:
    import xarray

HALF = Fraction(1, 2)


def depth_powers(activation: Any) -> dict[str, Fraction]:
    """Powers of L of the observables at a critical point, relative to output and tangent kernel.

    Raises NoCriticalPoint, NoClosedForm.

    >>> {name: str(power) for name, power in depth_powers("relu").items()}
    {'output': '0', 'NTK': '0', 'NTK spread': '1/2', 'dNTK output': '1', 'dNTK': '1', 'ddNTK': '1'}
    """
    return dict(_depth_powers(find_activation(activation)))


@lru_cache(maxsize=64)
def _depth_powers(activation: Activation) -> tuple[tuple[str, Fraction], ...]:
    third = squared_differential()
    laws = power_laws(recommended(activation), ("K", "Theta", *SPREAD, *WITH_OUTPUT, *SECOND, *third))
    rate = rate_power(activation)

    def power(*names: str) -> Fraction:
        """Of a sum of tensors; every rate brings its power of L along, one for each direction."""
        return max(
            _fraction(laws[name].exponent) + rate * _directions(name) for name in names if not laws[name].vanishes
        )

    K, theta = power("K"), power("Theta")
    found = {
        "output": Fraction(0),
        "NTK": theta,
        "NTK spread": power(*SPREAD) * HALF - theta,
        "dNTK output": power(*WITH_OUTPUT) - 2 * theta,
        "dNTK": (power(*third) + K) * HALF - 2 * theta,
        "ddNTK": power(*SECOND) + K - 3 * theta,
    }
    return tuple(found.items())


def rate_power(activation: Any) -> Fraction:
    """Power of L on all rates that keeps the tangent kernel of order one: p_perpendicular - 1.

    >>> rate_power("relu"), rate_power("tanh")
    (Fraction(-1, 1), Fraction(0, 1))
    """
    return _fraction(kernel_exponents(recommended(find_activation(activation)))[1]) - 1


def web(
    name: str, activation: Activation, g: Power, d: Fraction, n: Any, L: Any, s: Any, symbol: Any
) -> xarray.Dataset:
    """gamma = n^g L^d over widths and depths, for several s."""
    widths = _sizes("n", np.geomspace(16, 16384, 81) if n is None else n)
    depths = _sizes("L", np.geomspace(1, 1024, 81) if L is None else L)
    values = between_zero_and_one(s, symbol, (Fraction(0), HALF, Fraction(1)))
    gamma = [np.outer(depths ** float(d), widths ** float(g.at(v))) for v in values]
    coords = {"s": [float(v) for v in values], "depth": depths, "width": widths}
    attrs = {"kind": "scaling web", "family": name, "activation": activation.formula_text, "power_of_L": float(d)}
    return dataset({"gamma": (("s", "depth", "width"), np.array(gamma))}, coords, attrs)


def _sizes(name: str, values: Any) -> Any:
    found = np.atleast_1d(np.asarray(values, float))
    if found.ndim != 1 or found.size < 2 or not (np.isfinite(found) & (found > 0)).all():
        raise InputError(f"{name} is {values!r}; give two or more finite numbers above 0")
    return found


def _directions(name: str) -> int:
    """How many learning rates multiply a tensor: its directions, each of which occurs twice."""
    return sum(len(edges) for pair in Tensor.named(name).structure for edges in pair) // 2


def _fraction(value: Any) -> Fraction:
    return Fraction(int(value.p), int(value.q))
