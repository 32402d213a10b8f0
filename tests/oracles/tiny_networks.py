r"""Tiny networks by brute force: outputs, gradients and higher derivatives as explicit polynomials of the parameters.

Every weight and bias is an independent Gaussian variable; z, the NTK, dNTK and ddNTK are built from their definitions
by differentiating polynomials, and averaged monomial by monomial with E[theta^{2p}] = (2p-1)!! var^p. Exact, slow
(widths 1 and 2, two or three layers), and it knows nothing of layers, jets or recursions: the check of the oracles.

Source of the definitions: PDLT (arXiv:2106.10165) chapters 2, 8, 11 and its last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

Monomial = tuple[tuple[int, int], ...]
Polynomial = dict[Monomial, Fraction]
"""Monomial ((variable, power), ...) with rising variables -> coefficient."""


def plus(a: Polynomial, b: Polynomial) -> Polynomial:
    """a + b."""
    out = dict(a)
    for monomial, value in b.items():
        out[monomial] = out.get(monomial, Fraction(0)) + value
    return out


def times(a: Polynomial, b: Polynomial) -> Polynomial:
    """a * b."""
    out: Polynomial = {}
    for left, u in a.items():
        for right, v in b.items():
            powers = dict(left)
            for variable, power in right:
                powers[variable] = powers.get(variable, 0) + power
            monomial = tuple(sorted(powers.items()))
            out[monomial] = out.get(monomial, Fraction(0)) + u * v
    return out


def compose(sigma: Sequence[Fraction | int], z: Polynomial) -> Polynomial:
    """sigma(z), sigma given by its coefficients."""
    out: Polynomial = {}
    for value in reversed(sigma):
        out = plus(times(out, z), {(): Fraction(value)})
    return out


def derivative(a: Polynomial, variable: int) -> Polynomial:
    """d a / d variable."""
    out: Polynomial = {}
    for monomial, value in a.items():
        powers = dict(monomial)
        power = powers.pop(variable, 0)
        if power:
            if power > 1:
                powers[variable] = power - 1
            out[tuple(sorted(powers.items()))] = power * value
    return out


@dataclass(frozen=True)
class TinyNetwork:
    """An MLP of polynomial activation, widths n_0..n_L, every sample an exact rational input vector.

    C_b, C_W, lambda_b, lambda_W: one number per layer.
    """

    widths: tuple[int, ...]
    sigma: tuple[Fraction | int, ...]
    inputs: tuple[tuple[Fraction | int, ...], ...]
    C_b: tuple[Fraction | int, ...]
    C_W: tuple[Fraction | int, ...]
    lambda_b: tuple[Fraction | int, ...]
    lambda_W: tuple[Fraction | int, ...]

    def kernel(self, a: int, b: int) -> Fraction:
        """K of layer 1 for two samples."""
        dot = sum((Fraction(x) * y for x, y in zip(self.inputs[a], self.inputs[b], strict=True)), Fraction(0))
        return Fraction(self.C_b[0]) + Fraction(self.C_W[0]) * dot / self.widths[0]

    @cached_property
    def parameters(self) -> list[tuple[Fraction, Fraction]]:
        """(variance, learning rate) of every parameter: layer by layer, neuron by neuron, bias then weights."""
        out = []
        for layer, (fan_in, width) in enumerate(zip(self.widths, self.widths[1:], strict=False)):
            bias = (Fraction(self.C_b[layer]), Fraction(self.lambda_b[layer]))
            weight = (Fraction(self.C_W[layer]) / fan_in, Fraction(self.lambda_W[layer]) / fan_in)
            out += [bias, *[weight] * fan_in] * width
        return out

    @cached_property
    def outputs(self) -> list[list[Polynomial]]:
        """outputs[sample][neuron] of the last layer."""
        return [self._forward(x) for x in self.inputs]

    def _forward(self, x: Sequence[Fraction | int]) -> list[Polynomial]:
        signal: list[Polynomial] = [{(): Fraction(value)} for value in x]
        variable = 0
        for layer, width in enumerate(self.widths[1:]):
            if layer:
                signal = [compose(self.sigma, z) for z in signal]
            z_next = []
            for _ in range(width):
                # a bias that is always zero and never learns is left out, which keeps the polynomials short
                z: Polynomial = {((variable, 1),): Fraction(1)} if any(self.parameters[variable]) else {}
                for j, s in enumerate(signal, start=1):
                    z = plus(z, times({((variable + j, 1),): Fraction(1)}, s))
                variable += len(signal) + 1
                z_next.append(z)
            signal = z_next
        return signal

    def mean(self, a: Polynomial) -> Fraction:
        """E[a] over the independent Gaussian parameters."""
        total = Fraction(0)
        for monomial, value in a.items():
            for variable, power in monomial:
                if power % 2:
                    break
                value *= self.parameters[variable][0] ** (power // 2)
                for odd in range(1, power, 2):
                    value *= odd
            else:
                total += value
        return total

    def z(self, i: int, a: int) -> Polynomial:
        """z_{i;a}."""
        return self.outputs[a][i]

    def gradient(self, i: int, a: int) -> list[Polynomial]:
        """dz_{i;a}/dtheta_mu."""
        return [derivative(self.z(i, a), mu) for mu in range(len(self.parameters))]

    def ntk(self, i: tuple[int, int], a: tuple[int, int]) -> Polynomial:
        """H_{i1 i2; a1 a2}."""
        out: Polynomial = {}
        for u, v, (_, rate) in zip(self.gradient(i[0], a[0]), self.gradient(i[1], a[1]), self.parameters, strict=True):
            out = plus(out, times({(): rate}, times(u, v)))
        return out

    def dntk(self, i: tuple[int, int, int], a: tuple[int, int, int]) -> Polynomial:
        """dH_{i0 i1 i2; a0 a1 a2} = sum lambda lambda d2z_0 dz_1 dz_2."""
        bent = self._hessian_times(self.z(i[0], a[0]), self._velocity(i[2], a[2]))
        return _dot(bent, self._velocity(i[1], a[1]))

    def ddntk_1(self, i: tuple[int, int, int, int], a: tuple[int, int, int, int]) -> Polynomial:
        """ddI_{i0 i1 i2 i3} = sum lambda lambda lambda d3z_0 dz_1 dz_2 dz_3."""
        out: Polynomial = {}
        second, third = self._velocity(i[2], a[2]), self._velocity(i[3], a[3])
        for mu, velocity in enumerate(self._velocity(i[1], a[1])):
            slope = derivative(self.z(i[0], a[0]), mu)
            if slope and velocity:
                out = plus(out, times(velocity, _dot(self._hessian_times(slope, third), second)))
        return out

    def ddntk_2(self, i: tuple[int, int, int, int], a: tuple[int, int, int, int]) -> Polynomial:
        """ddII_{i1 i2 i3 i4} = sum over mu of lambda (Hess_1 lambda dz_3)_mu (Hess_2 lambda dz_4)_mu."""
        left = self._hessian_times(self.z(i[0], a[0]), self._velocity(i[2], a[2]))
        right = self._hessian_times(self.z(i[1], a[1]), self._velocity(i[3], a[3]))
        rates: list[Polynomial] = [{(): rate} for _, rate in self.parameters]
        return _dot(left, [times(rate, term) for rate, term in zip(rates, right, strict=True)])

    def _velocity(self, i: int, a: int) -> list[Polynomial]:
        return [times({(): rate}, d) for d, (_, rate) in zip(self.gradient(i, a), self.parameters, strict=True)]

    def _hessian_times(self, f: Polynomial, velocity: Sequence[Polynomial]) -> list[Polynomial]:
        """sum over nu of d2f/dtheta_mu dtheta_nu velocity_nu, for every mu."""
        slopes = [derivative(f, mu) for mu in range(len(self.parameters))]
        return [_dot([derivative(slope, nu) for nu in range(len(velocity))], velocity) for slope in slopes]


def _dot(a: Sequence[Polynomial], b: Sequence[Polynomial]) -> Polynomial:
    out: Polynomial = {}
    for left, right in zip(a, b, strict=True):
        if left and right:
            out = plus(out, times(left, right))
    return out
