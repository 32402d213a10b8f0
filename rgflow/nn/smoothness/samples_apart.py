"""Jacobians of single samples are read off sums over the batch, which is right only if no sample sees another.

sum_b v_b . z_b has the gradient J_b^T v_b at x_b where z_b depends on x_b alone. A batch norm in training mode breaks
that: its gradient holds the derivatives of all other samples too.
"""

from __future__ import annotations

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from rgflow.errors import InputError

Tensor = torch.Tensor

REMEDY = (
    "the gradient of a sum over the batch is no Jacobian of one sample then; put such modules into eval() (batch norms "
    "with running statistics), or use LayerNorm or GroupNorm"
)


def refuse_batch_norms(model: torch.nn.Module) -> None:
    """InputError that names the modules of the model that normalise over the batch as they stand."""
    mixing = [
        f"{name or 'the model'} ({type(module).__name__})"
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and (module.training or module.running_mean is None)
    ]
    if mixing:
        raise InputError(f"{', '.join(mixing)} mixes the samples of a batch; {REMEDY}")


def refuse_mixed(x: Tensor, z: Tensor) -> None:
    """InputError if the first or last output of a batch moves with another input, whatever the model is made of.

    The last one too: the first of a sum that runs over the batch sees itself alone. Costs two backward passes. The
    graph of z is kept.
    """
    if len(x) < 2:
        return
    # unequal weights: a sum of all outputs may be fixed (a softmax) and hide what each of them does
    weights = torch.cos(torch.arange(1, z[0].numel() + 1, dtype=torch.float32)).to(dtype=z.dtype).to(z.device)
    for own, others in ((0, slice(1, None)), (-1, slice(None, -1))):
        scalar = (z[own].reshape(-1) * weights).sum()
        (found,) = torch.autograd.grad(scalar, x, retain_graph=True, allow_unused=True)
        if found is not None and bool((found[others].abs() > 0).any()):  # what is not a number tells nothing
            raise InputError(f"the output of one sample depends on the other samples of its batch; {REMEDY}")


def connected(x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """x, and z as (B, C); InputError unless z was computed from x with gradients, sample by sample."""
    for name, value in (("x", x), ("z", z)):
        if not isinstance(value, torch.Tensor):
            raise InputError(f"{name} is a {type(value).__name__}; give the tensors of inputs and of outputs")
        if not (value.dtype.is_floating_point and value.ndim):
            raise InputError(
                f"{name} has dtype {value.dtype} and shape {tuple(value.shape)}; give (batch, ...) of real numbers"
            )
    if len(x) != len(z) or not z.numel() or not x.numel():
        raise InputError(
            f"x has shape {tuple(x.shape)}, z {tuple(z.shape)}; give a batch of inputs and the outputs (logits) of each"
        )
    if not x.requires_grad:
        raise InputError("x does not require a gradient; call x.requires_grad_() before z = model(x)")
    if not z.requires_grad:
        raise InputError("z carries no graph: it was computed under no_grad, or detached, or before x.requires_grad_()")
    return x, z.reshape(len(z), -1)


def tracked(x: Tensor) -> Tensor:
    """The inputs as a leaf of a graph of their own; InputError for what has no gradient."""
    if not isinstance(x, torch.Tensor) or not x.dtype.is_floating_point or x.ndim < 1:
        what = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
        raise InputError(f"x is {what}; Jacobians are with respect to a tensor (batch, ...) of real numbers")
    return x.detach().requires_grad_()


def pulled(x: Tensor, z: Tensor, weights: Tensor, create_graph: bool, retain: bool = True) -> Tensor:
    """J_b^T v_b for every sample, in the shape of x; z (B, C) and weights v (B, C).

    InputError if z does not depend on x.
    """
    (found,) = torch.autograd.grad(
        z,
        x,
        grad_outputs=weights.to(dtype=z.dtype).to(z.device),
        create_graph=create_graph,
        retain_graph=retain,
        allow_unused=True,
    )
    if found is None:
        raise InputError("z does not depend on x; give the very x from which z = model(x) was computed")
    return found


def squares(g: Tensor) -> Tensor:
    """The sum of squares of every sample, (B,); half precision is added up in float32."""
    wide = g.float() if g.dtype in (torch.float16, torch.bfloat16) else g
    return wide.reshape(len(g), -1).square().sum(1)
