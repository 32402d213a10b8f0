r"""He, Doshi, Gromov, "AutoInit: Automatic Initialization via Jacobian Tuning" (arXiv:2206.13568).

Assumptions: one factor a for the weights of each block, which are not trained meanwhile; J of a block is that from the
output of the block below to its own, K the mean square of its output; relu without biases where nothing else is said.

What is minimised. The Jacobian log loss (1/2) sum (ln J)^2 over blocks, with a kernel term (1/2) sum (ln K'/K)^2 if
asked; the squared loss (1/2) sum (J - 1)^2 has the same minimum and the same curvature there, x^2 + x^3 + .. in x = ln
J: near it the two are one.

relu. J = <s's'> a^2 sigma_w^2 = a^2 sigma_w^2/2, so that d ln J/da = 2/a and a step of gradient descent is a -> a - (2
eta/a) ln J. Its fixed point a* = sqrt 2/sigma_w has J = 1; the derivative of the step there is 1 - 4 eta/a*^2, above -1
for eta < a*^2/2 = 1/sigma_w^2. From a = 1 one step leads to a* if eta = (1 - a*)/(2 ln(sigma_w^2/2)), which tends to
1/4 where sigma_w^2 tends to 2.

Engine: rg.derive("J"), rg.closed_form and rg.criticality for relu; for the losses and the step the functions that
rgflow.nn.tune is made of, on a module of PyTorch.

Sources: arXiv:2206.13568; equation numbers not seen.
"""

from functools import cache
from typing import Any

import numpy as np
import sympy as sp
from rows import check_rows, row

import rgflow as rg

a, sigma_w, eta = sp.symbols("a sigma_w eta", positive=True)
TUNED = "tests/nn/test_tune.py: modules of PyTorch, tuned and measured again"


@cache
def jacobian() -> sp.Expr:
    """J of a relu layer whose weights are multiplied by a, from the engine."""
    C_W, J = (sp.Symbol("C_W", nonnegative=True), sp.Symbol("J", real=True))
    return sp.diff(rg.closed_form(rg.derive("J"), "relu"), J).subs(C_W, a**2 * sigma_w**2)


@cache
def step() -> sp.Expr:
    """One step of gradient descent on (1/2) (ln J)^2."""
    return a - eta * sp.diff(sp.log(jacobian()) ** 2 / 2, a)


@cache
def critical() -> sp.Expr:
    """a at which a^2 sigma_w^2 is the critical C_W of relu."""
    return sp.sqrt(sp.nsimplify(rg.criticality("relu").C_W)) / sigma_w


@cache
def measure() -> Any:
    """Blocks of a relu network of C_W = 4, inputs and directions, as rgflow.nn.tune measures them."""
    import torch

    from rgflow.nn.probes.blocks import chosen
    from rgflow.nn.tuning.loss import Measure
    from rgflow.nn.tuning.scaled import scaled

    model = rg.nn.build(rg.MLP([8, 30, 30, 30, 5], "relu", C_W=4.0), seed=1, dtype=torch.float64)
    source = torch.Generator().manual_seed(0)
    x = torch.randn(6, 8, generator=source, dtype=torch.float64)
    blocks = scaled(model, chosen(model), x)
    ones = torch.ones(4, dtype=torch.float64)
    v = [torch.randn(2, *z.shape, generator=source, dtype=z.dtype) for z in blocks.outputs(x, ones, ones)]
    return Measure(blocks, x, [one / one.norm(dim=-1, keepdim=True) for one in v])


@cache
def measured() -> tuple[np.ndarray, np.ndarray]:
    """ln J of the blocks above the first, K of all."""
    import torch

    ones = torch.ones(4, dtype=torch.float64)
    logs, _, kernels = measure().logs(ones, ones)
    return logs.numpy(), kernels.numpy()


def loss(kernel: float) -> float:
    """What is minimised: half the sum of squares of the residuals."""
    import torch

    ones = torch.ones(4, dtype=torch.float64)
    r = measure().residuals(ones, ones, kernel).detach()
    return float(r @ r) / 2


@row("partial_jacobians/autoinit_loss", witness=TUNED)
def autoinit_loss() -> dict[str, float]:
    logs, _ = measured()
    typed = np.sum(logs**2) / 2
    assert abs(loss(0.0) / typed - 1) < 1e-12
    return {"Jacobian log loss of three blocks with C_W = 4": loss(0.0)}


@row("partial_jacobians/autoinit_kernel_loss", witness=TUNED)
def autoinit_kernel_loss() -> dict[str, float]:
    _, kernels = measured()
    typed = np.sum(np.log(kernels[1:] / kernels[:-1]) ** 2) / 2
    found = loss(1.0) - loss(0.0)
    assert abs(found / typed - 1) < 1e-12
    return {"kernel term of three blocks with C_W = 4": found}


@row("partial_jacobians/autoinit_square_loss", witness=TUNED)
def autoinit_square_loss() -> dict[str, sp.Expr]:
    """No more than a definition: its minimum is critical, and its curvature in ln a there is that of the log loss."""
    J = jacobian()
    typed = (J - 1) ** 2 / 2
    slope = (a * sp.diff(sp.log(J), a)).simplify()  # d ln J/d ln a: the log loss has curvature slope^2
    first = a * sp.diff(typed, a)
    curvature = (a * sp.diff(first, a)).subs(a, critical())
    assert sp.simplify(first.subs(a, critical())) == 0
    assert sp.simplify(curvature - slope**2) == 0
    return {"curvature in ln a": sp.simplify(slope**2), "minimum at a": critical()}


@row("partial_jacobians/autoinit_relu_jacobian", witness=TUNED)
def autoinit_relu_jacobian() -> sp.Expr:
    typed = a**2 * sigma_w**2 / 2
    assert sp.simplify(jacobian() - typed) == 0
    return jacobian()


@row("partial_jacobians/autoinit_relu_step", witness=TUNED)
def autoinit_relu_step() -> sp.Expr:
    """In the mean, and of a real module whose blocks have J of their own: one step of its descent, from a = 1.3."""
    import torch

    from rgflow.nn.tuning.search import descend

    J = jacobian()
    typed = a - 2 * eta / a * sp.log(J)
    assert sp.simplify(step() - typed) == 0
    start = torch.full((4,), 1.3, dtype=torch.float64)
    logs = measure().logs(start, torch.ones_like(start))[0].numpy()
    stepped = descend(measure(), start, torch.ones_like(start), 0.0, 1, 0.1, lambda: None)[0][1:].numpy()
    put = typed.subs(sp.log(J), sp.Symbol("logs")) if typed.has(sp.log(J)) else typed
    expected = sp.lambdify((a, eta, sp.Symbol("logs")), put)(1.3, 0.1, logs)
    np.testing.assert_allclose(stepped, expected, rtol=1e-12)
    return step()


@row("partial_jacobians/autoinit_fixed_point", witness=TUNED)
def autoinit_fixed_point() -> sp.Expr:
    typed = sp.sqrt(2) / sigma_w
    assert sp.simplify(critical() - typed) == 0
    assert sp.simplify(step().subs(a, typed) - typed) == 0
    return critical()


@row("partial_jacobians/autoinit_convergence", witness=TUNED)
def autoinit_convergence() -> dict[str, sp.Expr]:
    """The derivative of a step where it stands still, and the rate at which it is -1."""
    typed = 1 - 4 * eta / critical() ** 2
    typed_rates = critical() ** 2 / 2, 1 / sigma_w**2
    factor = sp.simplify(sp.diff(step(), a).subs(a, critical()))
    (rate,) = sp.solve(factor + 1, eta)
    assert sp.simplify(factor - typed) == 0
    assert all(sp.simplify(rate - one) == 0 for one in typed_rates)
    return {"factor": factor, "largest rate": rate}


@row("partial_jacobians/autoinit_one_shot", witness=TUNED)
def autoinit_one_shot() -> dict[str, sp.Expr]:
    typed = (1 - sp.sqrt(2) / sigma_w) / (2 * sp.log(sigma_w**2 / 2))
    typed_limit = sp.Rational(1, 4)
    (rate,) = sp.solve(step().subs(a, 1) - critical(), eta)
    assert sp.simplify(sp.logcombine(rate / typed) - 1) == 0
    assert sp.limit(rate, sigma_w, sp.sqrt(2)) == typed_limit
    return {"rate": rate, "rate at sigma_w^2 = 2": sp.limit(rate, sigma_w, sp.sqrt(2))}


if __name__ == "__main__":
    check_rows(globals())
