r"""What criticality is measured by: logarithms of adjacent partial Jacobians, and of ratios of kernels if asked.

.. math:: \mathcal{L}(a) = \tfrac12 \sum_l \big[\ln J^{l,l+1}\big]^2
          + \tfrac{\kappa}{2} \sum_l \big[\ln (K^{l+1}/K^l)\big]^2

J and K are means over inputs and random directions, so that ln J is ln of an estimate: with P directions for each of N
inputs it lies low by half its variance over them, O(1/(N P n)).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.nn.smoothness.samples_apart import squares
from rgflow.nn.tuning.scaled import Scaled


@dataclass(frozen=True)
class Measure:
    """Inputs and directions that are kept from step to step, so that the loss is one function of the scales.

    Attributes
    ----------
    blocks : Scaled
    inputs : Tensor (N, ...)
    directions : list over modules of (P, N, ...)
        Unit vectors in the space of the outputs; the first module's are not used.
    """

    blocks: Scaled
    inputs: Tensor
    directions: list[Tensor]

    @property
    def dtype(self) -> torch.dtype:
        """Of the outputs."""
        return self.directions[0].dtype

    def residuals(self, a: Tensor, a_b: Tensor, kernel: float) -> Tensor:
        """ln J^{l,l+1} of every block but the first, then sqrt(kernel) ln K^{l+1}/K^l; differentiable in the scales."""
        z = self.blocks.outputs(self.inputs, a, a_b)
        pairs = list(zip(z, z[1:], self.directions[1:], strict=False))
        logs = [norms(below, above, v, keep=True).mean().log() for below, above, v in pairs]
        if kernel:
            logs += [kernel**0.5 * (_kernel(above) / _kernel(below)).log() for below, above, _ in pairs]
        return torch.stack([log.to(a) for log in logs])

    def logs(self, a: Tensor, a_b: Tensor, *, finite: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        """ln J of every block but the first, its standard error over directions, and K of every module; no graph kept.

        The error is that of the mean over directions, the inputs held: relative, as ln J has it.
        """
        z = self.blocks.outputs(self.inputs, a, a_b, finite=finite)
        rows = [norms(b, above, v) for b, above, v in zip(z, z[1:], self.directions[1:], strict=False)]
        J = torch.stack([row.mean() for row in rows])
        spread = torch.stack([_error(row) for row in rows])
        return J.log(), spread / J, torch.stack([_kernel(one.detach()) for one in z])

    def block(self, k: int, a: Tensor, a_b: Tensor) -> float:
        """J^{k-1,k} alone; what lies above block k may be as it likes."""
        names = self.blocks.names
        below, above = self.blocks.outputs(self.inputs, a, a_b, names[k - 1 : k + 1], stop=True)
        return float(norms(below, above, self.directions[k]).mean())


def norms(below: Tensor, above: Tensor, v: Tensor, *, keep: bool = False) -> Tensor:
    """|d(v.z)/dz0|^2 of every direction and input, (P, N)."""
    rows = []
    for one in v:
        (found,) = torch.autograd.grad(above, below, one, create_graph=keep, retain_graph=True)
        rows.append(squares(found).double())
    return torch.stack(rows)


def _kernel(z: Tensor) -> Tensor:
    return z.double().pow(2).mean()


def _error(rows: Tensor) -> Tensor:
    if len(rows) == 1:
        return torch.full_like(rows[0, 0], torch.nan)
    return (rows.var(dim=0).sum() / len(rows)).sqrt() / rows.shape[1]
