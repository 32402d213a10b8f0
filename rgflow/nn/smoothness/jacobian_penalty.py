"""``JacobianPenalty``: keep the Jacobian of the outputs with respect to the input small while a model trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from rgflow.checks import not_negative, whole
from rgflow.errors import InputError
from rgflow.nn.smoothness.directions import draw, generator, known_directions, variance
from rgflow.nn.smoothness.samples_apart import connected, pulled, refuse_batch_norms, refuse_mixed, squares, tracked
from rgflow.seeds import seed_sequence, seed_text

Tensor = torch.Tensor
EXACT = "exact"


class JacobianPenalty:
    r"""Half the squared Frobenius norm of the input-output Jacobian, averaged over a batch, times a strength.

    .. math:: \frac{\lambda}{2 |B|} \sum_{\alpha \in B} \|J(x^\alpha)\|_F^2, \qquad
              \|J\|_F^2 = \sum_{c=1}^C \|\partial z_c/\partial x\|^2 = E_v\, \|\partial (v \cdot z)/\partial x\|^2
              \quad (E[v v^T] = 1)

    z are the outputs before a softmax. One backward pass for every projection, on top of which the loss is
    differentiated: a second derivative, which fused attention kernels and ``torch.compile`` lack (run attention under
    ``torch.nn.attention.sdpa_kernel(SDPBackend.MATH)``). For a linear model it is weight decay, (lambda/2) ||W||^2.

    Parameters
    ----------
    strength : float
        lambda, 0 or above; the gradient of the norm is per unit of x as the model takes it (pixels that were divided by
        0.3 have a Jacobian 0.3 times that per pixel).
    projections : int or "exact"
        Random directions for each sample and batch; "exact": all C outputs, without noise. One is usually enough: the
        error of a batch falls like (projections |B|)^(-1/2).
    directions : "sphere", "rademacher", "gaussian" or "orthonormal"
        Unit vectors times sqrt(C), the default of the source; signs; normal numbers; or unit vectors at right angles to
        one another, which are never worse than independent ones and exact at ``projections=C``. For one output all but
        the normal numbers are exact. See :func:`estimator_variance`.
    seed : int, SeedSequence, Generator or None
        Directions depend on it and on the number of calls before (``calls``), not on the device or dtype; no other
        generator is touched.

    Raises
    ------
    InputError
        For x without gradient, z without a graph, samples that see one another (found by two backward passes at the
        first call: a batch norm in training mode, say), integer inputs, or shapes that do not belong together. NaN in
        the weights or inputs gives a penalty that is NaN, on which :func:`rgflow.nn.fit` stops and says so.
    UnknownName
        For directions of no known kind.

    Source: Hoffman, Roberts, Yaida (arXiv:1908.02729), eqs. (2), (5) and algorithm 1; the factor C of the algorithm is
    there, and not in its running text.

    >>> x = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    >>> W = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]], dtype=torch.float64)
    >>> penalty = JacobianPenalty(0.1, projections="exact")
    >>> penalty(x, x @ W.T).item()  # 0.1/2 times 7
    0.35000000000000003

    In a loop of one's own, and in :func:`rgflow.nn.fit`:

    >>> import rgflow as rg
    >>> model = rg.nn.build(rg.MLP([3, 8, 2], "tanh"), seed=0)
    >>> x = torch.ones(4, 3).requires_grad_()
    >>> z = model(x)
    >>> loss = z.square().mean() + penalty(x, z)  # penalty(x, model) computes z itself, as fit(penalty=penalty) does
    >>> loss.backward()
    """

    def __init__(
        self,
        strength: float = 0.01,
        *,
        projections: int | str = 1,
        directions: str = "sphere",
        seed: Any = 0,
    ):
        self.strength = not_negative("strength", strength)
        if projections == EXACT:
            self.projections: int | str = EXACT
        elif isinstance(projections, str):
            raise InputError(f"projections is {projections!r}; give a number of directions, or 'exact'")
        else:
            self.projections = whole("projections", projections, 1)
        self.directions = known_directions(directions)
        self._seed = seed_sequence(seed)
        self.calls = 0
        """How often directions were drawn; set it to go on where another run stopped."""
        self._apart = False

    def __call__(self, x: Tensor, z: Tensor | torch.nn.Module, create_graph: bool = True) -> Tensor:
        """strength/2 times the mean over the batch: add it to the loss.

        Parameters
        ----------
        x : Tensor (B, ...)
            Inputs; with outputs as z, they require a gradient before z = model(x).
        z : Tensor (B, C) or (B, ...), or the model
            Outputs. Of a model they are computed here once more, with another mask of a dropout.
        create_graph : bool
            False: the number only, which cannot be differentiated again.
        """
        if isinstance(z, torch.nn.Module):
            refuse_batch_norms(z)
            x = tracked(x)
            with torch.enable_grad():
                outputs: Tensor = z(x)
        else:
            outputs = z
        return self.strength / 2 * self.squared_norms(x, outputs, create_graph).mean()

    def squared_norms(self, x: Tensor, z: Tensor, create_graph: bool = True) -> Tensor:
        """||J||_F^2 of every sample, (B,), exact or by this call's random directions; without strength and half."""
        x, z = connected(x, z)
        if not self._apart:
            refuse_mixed(x, z)
            self._apart = len(x) > 1
        outputs = z.shape[1]
        if self.projections == EXACT or (outputs == 1 and self.directions != "gaussian"):
            weights = torch.eye(outputs, dtype=z.dtype, device=z.device)[:, None, :].expand(-1, len(z), -1)
            return self._summed(x, z, weights, create_graph)
        count = int(self.projections)
        weights = draw(self.directions, count, len(z), outputs, generator(self._seed, self.calls))
        self.calls += 1
        return self._summed(x, z, weights.to(dtype=z.dtype), create_graph) / count

    @staticmethod
    def _summed(x: Tensor, z: Tensor, weights: Tensor, create_graph: bool) -> Tensor:
        return torch.stack([squares(pulled(x, z, v, create_graph)) for v in weights]).sum(0)

    def state_dict(self) -> dict[str, str | int]:
        """What the next draw depends on, for a checkpoint: the seed as text, and the number of calls."""
        return {"seed": seed_text(self._seed), "calls": self.calls}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another run stopped; InputError if that one had another seed."""
        seed = seed_text(self._seed)
        if set(state) != {"seed", "calls"} or state["seed"] != seed:
            raise InputError(
                f"the state {dict(state)!r} is of a penalty with another seed than {seed}; make it with that"
            )
        self.calls = whole("calls", state["calls"], 0)

    def __repr__(self) -> str:
        how = f"projections={self.projections!r}"
        if self.projections != EXACT:
            how += f", directions={self.directions!r}, seed={seed_text(self._seed)}"
        return f"JacobianPenalty({self.strength!r}, {how})"


def estimator_variance(J: Any, projections: int = 1, directions: str = "sphere") -> Tensor:
    r"""Variance of the estimate of ||J||_F^2 by random directions, given J.

    .. math:: \mathrm{Var}\, v^T A v = (a - 1) (\mathrm{Tr} A)^2 + 2 a \mathrm{Tr} A^2 + b \sum_i A_{ii}^2,
              \qquad A = J J^T

    with the fourth moment of the directions: a = C/(C + 2), b = 0 on the sphere, where it is
    2C/(C+2) Tr A^2 - 2/(C+2) (Tr A)^2; a = 1, b = 0 for normal numbers; a = 1, b = -2 for signs. Independent directions
    divide it by ``projections`` n, orthonormal ones also by (C - 1)/(C - n).

    Parameters
    ----------
    J : array or tensor (..., C, n_0)
        The Jacobian of each sample, inputs flattened.
    projections, directions : as for :class:`JacobianPenalty`

    Returns
    -------
    Tensor of shape (...), in the units of ||J||^4; of one sample. For the mean over a batch divide the mean by |B|.

    Raises InputError, UnknownName.

    Source: Hoffman, Roberts, Yaida (arXiv:1908.02729), appendix, for the sphere; the others from their fourth moments.

    >>> estimator_variance(torch.eye(2)).item(), estimator_variance(torch.eye(2), directions="gaussian").item()
    (0.0, 4.0)
    """
    kind = known_directions(directions)
    count = whole("projections", projections, 1)
    try:
        found = torch.as_tensor(J)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"J is a {type(J).__name__}; give an array (..., C, n_0)") from None
    if found.ndim < 2 or not found.dtype.is_floating_point or not found.numel():
        raise InputError(f"J has dtype {found.dtype} and shape {tuple(found.shape)}; give real numbers (..., C, n_0)")
    wide = found.detach().double()
    if not bool(torch.isfinite(wide).all()):
        raise InputError("J holds NaN or infinity; every entry of a Jacobian must be finite")
    return variance(wide @ wide.mT, count, kind)


__all__ = ["JacobianPenalty", "estimator_variance"]
