"""theta_c, from which parameters are counted in the first relation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from rgflow.nn.fluctuation.observables import wide


class Centre:
    """theta_c of a group: 0 (``how`` None), theta where averages began ("start"), or a mean since then ("mean").

    A mean that follows theta at every step would bring in a bias of relative size 1 / (steps times rate times
    curvature), since theta_c . g must vanish on average. So the mean is over the last stretch from step 2^(k-1) to
    2^k and is kept from there to 2^(k+1): within the later half of a run it changes once at most.
    """

    def __init__(self, how: str | None):
        self.how = how
        self.steps = 0
        self._kept: dict[Tensor, Tensor] = {}
        self._means: dict[Tensor, Tensor] = {}

    def from_it(self, parameter: Tensor) -> Tensor:
        """theta - theta_c."""
        theta = wide(parameter.detach())
        if self.how is None:
            return theta
        if parameter not in self._kept:
            self._kept[parameter] = theta.clone()
        if self.how == "mean":
            self._take_in(parameter, theta)
        return theta - self._kept[parameter]

    def _take_in(self, parameter: Tensor, theta: Tensor) -> None:
        begun = 1 << (max(self.steps, 1).bit_length() - 1)  # the largest power of two that is not above
        if self.steps == begun and parameter in self._means:
            self._kept[parameter] = self._means.pop(parameter)
        if parameter not in self._means:
            self._means[parameter] = theta.clone()
        else:
            mean = self._means[parameter]
            mean.add_(theta - mean, alpha=1.0 / (self.steps - begun + 1))

    def next(self) -> None:
        """A step was seen."""
        self.steps += 1

    def reset(self) -> None:
        """Begin anew with the parameters of the next step."""
        self.steps = 0
        self._kept, self._means = {}, {}

    def state_dict(self, parameters: Sequence[Tensor]) -> dict[str, Any]:
        """Steps, and the centre and the growing mean of each parameter of the group, or None."""
        return {"steps": self.steps, "kept": _listed(self._kept, parameters), "means": _listed(self._means, parameters)}

    def load_state_dict(self, state: Mapping[str, Any], parameters: Sequence[Tensor]) -> None:
        """What :meth:`state_dict` returned."""
        self.steps = int(state["steps"])
        self._kept, self._means = _found(state["kept"], parameters), _found(state["means"], parameters)


def _listed(table: dict[Tensor, Tensor], parameters: Sequence[Tensor]) -> list[Tensor | None]:
    return [table[parameter].clone() if parameter in table else None for parameter in parameters]


def _found(listed: Sequence[Tensor | None], parameters: Sequence[Tensor]) -> dict[Tensor, Tensor]:
    pairs = zip(parameters, listed, strict=True)
    return {parameter: kept.to(parameter.device).clone() for parameter, kept in pairs if kept is not None}
