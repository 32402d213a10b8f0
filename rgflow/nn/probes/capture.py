"""One pass through a model that keeps the outputs of chosen modules, with the graph between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from rgflow.errors import InputError
from rgflow.nn.probes.blocks import INPUT
from rgflow.nn.smoothness.samples_apart import refuse_batch_norms

_RANDOM = (nn.modules.dropout._DropoutNd, nn.RReLU)


class _Enough(Exception):
    """All outputs have been seen."""


def checked_inputs(model: nn.Module, inputs: Any) -> Tensor:
    """Inputs (N, ...) as the model takes them: on its device, of its dtype if they are real numbers, finite.

    Raises InputError for what is no array, for none, NaN or infinity.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"{model!r} is not a torch module")
    try:
        given = inputs.detach() if isinstance(inputs, Tensor) else torch.as_tensor(inputs)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"inputs is not an array of numbers ({error}); give an array (N, ...)") from None
    if given.ndim < 1 or given.numel() == 0:
        raise InputError(f"inputs has shape {tuple(given.shape)}; give an array (N, ...) of at least one input")
    if given.is_complex():
        raise InputError(f"inputs are of {given.dtype}; models of real numbers are looked at")
    like = next((p for p in model.parameters() if p.is_floating_point()), None)
    if like is not None:
        given = given.to(like.device)
        given = given.to(like.dtype) if given.is_floating_point() else given
    if given.is_floating_point() and not bool(torch.isfinite(given).all()):
        raise InputError("inputs hold NaN or infinity; every value must be finite")
    return given.clone()


def check_separate(model: nn.Module) -> None:
    """InputError if inputs of a batch influence each other, or chance does: batch norms, Dropout while training."""
    refuse_batch_norms(model)
    for name, module in model.named_modules():
        if module.training and isinstance(module, _RANDOM) and getattr(module, "p", 1) != 0:
            raise InputError(
                f"{name or 'the model'} ({type(module).__name__}) draws at random; call model.eval() first"
            )


def outputs(
    model: nn.Module,
    modules: Mapping[str, nn.Module],
    inputs: Tensor,
    *,
    cut: bool = True,
    differentiable: bool = True,
    finite: bool = True,
    stop: bool = False,
    call: Callable[[Tensor], Any] | None = None,
) -> dict[str, Tensor]:
    """Outputs (N, ...) of the modules, in the order in which the model calls them; each may be differentiated.

    Parameters
    ----------
    model, modules, inputs
        As :func:`chosen` and :func:`checked_inputs` give them. The name "input" stands for the inputs themselves.
    cut : bool
        The first of them is a leaf: what is below keeps no graph, and gradients need no trained parameters.
    differentiable : bool
        False: no graph is kept at all.
    finite : bool
        Whether to refuse outputs that are NaN or infinite.
    stop : bool
        Leave the model once all of them have been called; whether one is called again is not looked at then.
    call : function of the inputs, optional
        Calls the model, if not ``model(inputs)``.

    Raises
    ------
    InputError
        If a module is not called, or twice; if it returns no tensor of N rows; if what it returns is not finite.
    """
    found: dict[str, Tensor] = {}

    def take(name: str) -> Callable[..., Any]:
        def hook(_: nn.Module, __: Any, returned: Any) -> Any:
            out = returned[0] if isinstance(returned, tuple) and returned else returned
            if name in found:
                raise InputError(f"the module {name!r} is called more than once; partial derivatives need one output")
            if not isinstance(out, Tensor) or not out.is_floating_point() or out.ndim < 2 or len(out) != len(inputs):
                got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
                raise InputError(
                    f"the module {name!r} returns {got}; it should be numbers ({len(inputs)}, ...){hint(x)}"
                )
            if cut and differentiable and not found:
                out = out.detach().requires_grad_()
            found[name] = out
            if stop and len(found) == len(modules):
                raise _Enough
            # what follows may write into its input (nn.ReLU(inplace=True)): let it be a copy
            passed = out.clone()
            return (passed, *returned[1:]) if isinstance(returned, tuple) else passed

        return hook

    x = inputs
    if INPUT in modules:
        if not x.is_floating_point():
            raise InputError(f"inputs are of {x.dtype}, by which nothing is differentiated; start at a module")
        found[INPUT] = x = x.detach().requires_grad_()
        x = x.clone()
    hooks = {module: take(name) for name, module in modules.items() if name != INPUT}
    with torch.set_grad_enabled(differentiable), _hooks(hooks), suppress(_Enough), taking(x):
        (call or model)(x)
    missing = [name for name in modules if name not in found]
    if missing:
        raise InputError(f"the model does not call the module {missing[0]!r} on these inputs; leave it out")
    for name, z in found.items():
        if finite and not bool(torch.isfinite(z).all()):
            raise InputError(
                f"the module {name!r} returns NaN or infinity; lower the scale of its weights or of those below"
            )
    return found


def hint(inputs: Tensor) -> str:
    """What a user may have meant whose model returns no row for each input."""
    if inputs.ndim > 3:
        return ""
    return f". inputs has shape {tuple(inputs.shape)}, {len(inputs)} inputs: if it is a single one, give inputs[None]"


@contextmanager
def taking(inputs: Tensor) -> Iterator[None]:
    """InputError for what torch raises while a model is called: it names neither the inputs nor their dtype."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, IndexError) as error:
        raise InputError(
            f"the model fails on inputs of shape {tuple(inputs.shape)} and {inputs.dtype} ({error}); give inputs as it "
            "takes them"
        ) from error


@contextmanager
def _hooks(hooks: Mapping[nn.Module, Callable[..., Any]]) -> Iterator[None]:
    handles = [module.register_forward_hook(hook) for module, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
