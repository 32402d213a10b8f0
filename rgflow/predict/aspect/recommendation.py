"""What was found: a depth for a width, and where a network that exists stands. They print themselves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recommendation:
    """A depth for a width; printing it says why.

    Attributes
    ----------
    width, depth : int
        n of the hidden layers, and L, the number of weight layers.
    fluctuation : float
        V/(n K^2) at the last layer.
    information : float
        I(n_1; n_2) there by the truncated series, in nats; of one output, of two neurons.
    mixture : float
        The information of a scale mixture (of a gamma law) with the same V/(n K^2), in nats.
    bounds : dict of str to float
        "expansion": of the ratio of successive orders; "kurtosis": of the excess kurtosis of an output; "tangent
        kernel": of the relative standard deviation of that of an output.
    cutoffs : dict of str to int or None
        For each bound the last layer within it; None if that is beyond ``flowed``.
    flowed : int
        Layers that were flowed.
    reasons : tuple of str
    """

    width: int
    depth: int
    fluctuation: float
    information: float
    mixture: float
    bounds_by_name: tuple[tuple[str, float], ...]
    cutoffs_by_name: tuple[tuple[str, int | None], ...]
    flowed: int
    reasons: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """L/n."""
        return self.depth / self.width

    @property
    def bounds(self) -> dict[str, float]:
        """What each cut-off is a cut-off of."""
        return dict(self.bounds_by_name)

    @property
    def cutoffs(self) -> dict[str, int | None]:
        """The last layers within the bounds."""
        return dict(self.cutoffs_by_name)

    @property
    def trusted(self) -> bool | None:
        """Whether no cut-off lies before the last layer; None if that is not known, for not all layers were flowed."""
        if any(last is not None and last < self.depth for last in self.cutoffs.values()):
            return False
        return True if self.depth <= self.flowed else None

    def __str__(self) -> str:
        return "\n".join([f"{self.depth} layers for width {self.width}", *(f"  - {text}" for text in self.reasons)])


@dataclass(frozen=True)
class Standing:
    """Where a network stands on the scale L/n.

    Attributes
    ----------
    width : float
        The harmonic mean of its hidden widths, which is what fluctuations see.
    ratio, best_ratio : float
        L over that width, and r*.
    critical : bool
        Whether its C_b and C_W are those of the critical point, for which r* holds.
    fluctuation : float or None
        V/(n K^2) at its own hyperparameters and widths; None where neurons remember and layers are many.
    """

    width: float
    ratio: float
    best_ratio: float
    critical: bool
    fluctuation: float | None

    def __str__(self) -> str:
        times = self.ratio / self.best_ratio
        side = "at" if 0.8 <= times <= 1.25 else "below" if times < 1 else "beyond"
        text = f"L/n = {self.ratio:.4g}, {times:.3g} times r*: {side} it"
        if self.fluctuation is not None:
            text += f"; V/(n K^2) = {self.fluctuation:.3g} at its last layer"
        if not self.critical:
            text += "; not at the critical point, so that nu and r* do not hold: rgflow.tune(net)"
        return text
