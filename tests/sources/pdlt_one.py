r"""PDLT (arXiv:2106.10165): every recursion for one input at leading order, typed by hand.

Brackets: ``E(orders, pending)`` = <d^pending/dz^pending [sigma^{(k_1)} sigma^{(k_2)} ...]>_K with the written orders
k_i. In the book's letters

    g = <sigma^2> ,  chi_parallel = (C_W/2) <d^2[sigma^2]> ,  chi_perpendicular = C_W <sigma'^2> ,
    h = (1/2) d chi_perpendicular/dK = (C_W/4) <d^2[sigma'^2]> ,  h' = dh/dK = (C_W/8) <d^4[sigma'^2]> ,
    j/(8 K^2) = (C_W/8) <d^4[sigma^2]> .

Widths: a term with a fluctuation tensor of the layer below carries r = n_l/n_{l-1} once; primed tensors contain it.

Sources: chapter 4 for K, V and K_1; chapter 8 for Theta, Omega, D, F, A, B and Theta_1; chapter 11 for P and Q; the
last chapter for R, S, T and U. Equation numbers not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

Value = Any
"""A Fraction, a float, a SymPy expression: whatever the evaluator returns."""

HALF = Fraction(1, 2)
LETTERS = ("V", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U")
TENSORS = ("K", "Theta", "K_1", "Theta_1", *LETTERS)


@dataclass(frozen=True)
class Parameters:
    """C_b, C_W, lambda_b, lambda_W of layer l+1, and r = n_l/n_{l-1}."""

    C_b: Value
    C_W: Value
    lambda_b: Value
    lambda_W: Value
    r: Value = 1

    def __post_init__(self) -> None:
        # whole numbers become fractions: lambda_W / C_W stays exact
        for name, value in vars(self).items():
            if isinstance(value, int):
                object.__setattr__(self, name, Fraction(value))


def first_layer(first_kernel: Value, p: Parameters) -> dict[str, Value]:
    """Layer 1: Gaussian, Theta = lambda_b + lambda_W x.x/n_0 with x.x/n_0 = (K - C_b)/C_W; everything else is zero."""
    state = dict.fromkeys(TENSORS, first_kernel * 0)
    state["K"] = first_kernel
    state["Theta"] = p.lambda_b + p.lambda_W * (first_kernel - p.C_b) / p.C_W
    return state


def step(E: Callable[[tuple[int, ...], int], Value], state: Mapping[str, Value], p: Parameters) -> dict[str, Value]:
    """All tensors of layer l+1 from those of layer l (``state``); the brackets ``E`` are taken at state["K"]."""
    C_W, lambda_W, r = p.C_W, p.lambda_W, p.r
    Theta = state["Theta"]
    V, A, B, D, F, P, Q, R, S, T, U = (r * state[name] for name in LETTERS)
    K_1, Theta_1 = r * state["K_1"], r * state["Theta_1"]

    g = E((0, 0), 0)
    chi_parallel = HALF * C_W * E((0, 0), 2)
    chi_perp = C_W * E((1, 1), 0)
    h = Fraction(1, 4) * C_W * E((1, 1), 2)
    h_slope = Fraction(1, 8) * C_W * E((1, 1), 4)
    psi = lambda_W / C_W * chi_parallel + 2 * h * Theta
    # psi once more, as T has it: with sigma'' written, which differs at a kink
    psi_tilde = lambda_W * E((0, 1), 1) + C_W * Theta * E((1, 2), 1)

    Omega = lambda_W * g + C_W * Theta * E((1, 1), 0)
    square_Omega = lambda_W * E((0, 0, 0, 0), 0) + C_W * Theta * E((0, 0, 1, 1), 0)  # <sigma^2 Omega>
    Omega_Omega = (
        lambda_W**2 * E((0, 0, 0, 0), 0)
        + 2 * lambda_W * C_W * Theta * E((0, 0, 1, 1), 0)
        + C_W**2 * Theta**2 * E((1, 1, 1, 1), 0)
    )

    new: dict[str, Value] = {}
    new["K"] = p.C_b + C_W * g
    new["Theta"] = p.lambda_b + lambda_W * g + chi_perp * Theta
    new["V"] = C_W**2 * (E((0, 0, 0, 0), 0) - g**2) + chi_parallel**2 * V
    new["K_1"] = chi_parallel * K_1 + Fraction(1, 8) * C_W * E((0, 0), 4) * V
    new["D"] = C_W * (square_Omega - g * Omega) + chi_parallel * chi_perp * D + chi_parallel * psi * V
    new["F"] = C_W**2 * E((0, 0, 1, 1), 0) * Theta + chi_parallel**2 * F
    new["B"] = C_W**2 * E((1, 1, 1, 1), 0) * Theta**2 + chi_perp**2 * B
    new["A"] = Omega_Omega - Omega**2 + psi**2 * V + chi_perp**2 * A + 2 * chi_perp * psi * D
    new["Theta_1"] = (
        chi_perp * Theta_1 + lambda_W / C_W * new["K_1"] + Theta * (2 * h * K_1 + h_slope * V) + 2 * h * (D + 2 * F)
    )
    new["P"] = C_W**2 * E((0, 1, 1, 2), 0) * Theta**2 + chi_parallel * chi_perp * P + C_W * chi_perp * E((0, 2), 0) * B
    new["Q"] = (
        C_W**2 * E((0, 1, 1, 2), 0) * Theta**2
        + lambda_W / C_W * new["F"]
        + chi_parallel * chi_perp * Q
        # 2 h chi_parallel Theta F, 2 h = C_W <d[sigma' sigma'']> with sigma'' written as in the form of many inputs
        + C_W * E((1, 2), 1) * chi_parallel * Theta * F
    )
    new["R"] = (
        lambda_W / C_W * new["P"]
        + C_W**2 * E((1, 1, 1, 3), 0) * Theta**3
        + C_W * chi_perp * Theta * (E((1, 3), 0) * (B + P) + E((2, 2), 0) * P)
        + chi_perp**2 * R
    )
    new["S"] = (
        C_W * lambda_W * E((1, 1, 1, 1), 0) * Theta**2
        + chi_perp * (lambda_W * E((1, 1), 0) + C_W * Theta * E((2, 2), 0)) * B
        + C_W**2 * E((1, 1, 2, 2), 0) * Theta**3
        + chi_perp**2 * S
    )
    new["T"] = (
        lambda_W**2 * E((0, 0, 1, 1), 0) * Theta
        + 2 * C_W * lambda_W * E((0, 1, 1, 2), 0) * Theta**2
        + C_W**2 * E((1, 1, 2, 2), 0) * Theta**3
        + psi_tilde**2 * F
        + 2 * chi_perp * psi_tilde * Q
        + chi_perp**2 * T
    )
    new["U"] = C_W**2 * E((1, 1, 2, 2), 0) * Theta**3 + chi_perp**2 * U
    return new
