r"""PDLT (arXiv:2106.10165): every recursion for many inputs at leading order, typed by hand in derivative form.

Brackets: ``E(factors, pend)`` with factors = [(sample, written order), ...] and pend = [sample, ...]: the Gaussian
average over K of prod_{a in pend} d/dz_a [prod sigma^{(k)}(z_a)], where d/dz_a acts on every factor of the sample a.
Sums over beta, gamma run over the different samples of the bracket they act on; samples may be equal. With

    Omega_ab = lambda_W sigma_a sigma_b + C_W Theta_ab sigma'_a sigma'_b

(derivatives act on the sigmas, never on Theta). Order of the sample arguments: V, D, A: (1, 2, 3, 4); F, B: (1, 3, 2,
4); P, Q, R: (0, 1, 2, 3); S: (1, 2, 3, 4); T: (1, 3, 4, 2); U: (1, 4, 2, 3), the arguments of the functions below.

Sources: those of :mod:`sources.pdlt_one`; the book's forms, with indices raised by
inverse kernels, become these by Gaussian integration by parts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from sources.pdlt_one import HALF, Parameters, Value

Sample = Hashable
Factors = tuple[tuple[Sample, int], ...]
Function = tuple[tuple[Value, Factors], ...]
"""A linear combination of products of sigma^{(k)}(z_a)."""
Tensor = Mapping[tuple[Sample, ...], Value] | Callable[..., Value]


def sigmas(*factors: tuple[Sample, int]) -> Function:
    """The product of sigma^{(order)}(z_sample)."""
    return ((1, factors),)


def present(f: Function) -> list[Sample]:
    """The different samples in a function, in order of appearance."""
    return list(dict.fromkeys(a for _, factors in f for a, _ in factors))


def joined(f: Function, h: Function) -> Function:
    """The product f h."""
    return tuple((u * v, (*left, *right)) for u, left in f for v, right in h)


@dataclass(frozen=True)
class ManyInputs:
    """One step from layer l to l+1: call ``K(1, 2)``, ``V(1, 2, 3, 4)``, ... with samples for the tensors of layer l+1.

    E : evaluator of brackets at the kernel of layer l
    state : tensors of layer l by name, each a mapping from tuples of samples or a function of samples; a missing
        name is a tensor that is zero
    p : hyperparameters of layer l+1 and the width ratio r, which every fluctuation tensor of layer l carries
    """

    E: Callable[[Sequence[tuple[Sample, int]], Sequence[Sample]], Value]
    state: Mapping[str, Tensor]
    p: Parameters

    # the pieces -----------------------------------------------------------------------------------------------------

    def old(self, name: str, *samples: Sample) -> Value:
        """A tensor of layer l; fluctuations come with r."""
        tensor = self.state.get(name)
        if tensor is None:
            return 0
        value = tensor(*samples) if callable(tensor) else tensor[samples]
        return value if name in ("K", "Theta") else self.p.r * value

    def mean(self, f: Function, *pend: Sample) -> Value:
        """<d_pend f>."""
        return _sum(c * self.E(list(factors), list(pend)) for c, factors in f)

    def Omega(self, a: Sample, b: Sample) -> Function:
        """lambda_W sigma_a sigma_b + C_W Theta_ab sigma'_a sigma'_b."""
        return (
            (self.p.lambda_W, ((a, 0), (b, 0))),
            (self.p.C_W * self.old("Theta", a, b), ((a, 1), (b, 1))),
        )

    def legs(self, f: Function, count: int) -> Iterator[tuple[tuple[Sample, ...], Value]]:
        """(beta_1, ..., beta_count) and <d_beta_1 ... d_beta_count f>, over the samples of f."""
        for betas in product(present(f), repeat=count):
            yield betas, self.mean(f, *betas)

    def between(self, f: Function, h: Function) -> Value:
        """sum V_{(b1 b2)(b3 b4)} <d_b1 d_b2 f> <d_b3 d_b4 h>."""
        return _sum(self.old("V", *left, *right) * u * v for left, u in self.legs(f, 2) for right, v in self.legs(h, 2))

    def shift(self, f: Function) -> Value:
        """(1/2) sum K_1_{b1 b2} <d d f> + (1/8) sum V_{(b1 b2)(b3 b4)} <d d d d f>."""
        return HALF * _sum(self.old("K_1", *betas) * v for betas, v in self.legs(f, 2)) + Fraction(1, 8) * _sum(
            self.old("V", *betas) * v for betas, v in self.legs(f, 4)
        )

    # chapter 4 ------------------------------------------------------------------------------------------------------

    def K(self, i1: Sample, i2: Sample) -> Value:
        """Kernel."""
        return self.p.C_b + self.p.C_W * self.mean(sigmas((i1, 0), (i2, 0)))

    def V(self, i1: Sample, i2: Sample, i3: Sample, i4: Sample) -> Value:
        """Four-point vertex."""
        f, h = sigmas((i1, 0), (i2, 0)), sigmas((i3, 0), (i4, 0))
        source = self.mean(joined(f, h)) - self.mean(f) * self.mean(h)
        return self.p.C_W**2 * source + Fraction(1, 4) * self.p.C_W**2 * self.between(f, h)

    def K_1(self, i1: Sample, i2: Sample) -> Value:
        """Next-to-leading order of the kernel, G^{1} of the book (number not seen)."""
        return self.p.C_W * self.shift(sigmas((i1, 0), (i2, 0)))

    # chapter 8 ------------------------------------------------------------------------------------------------------

    def Theta(self, i1: Sample, i2: Sample) -> Value:
        """Mean of the neural tangent kernel (number not seen)."""
        return self.p.lambda_b + self.mean(self.Omega(i1, i2))

    def D(self, i1: Sample, i2: Sample, i3: Sample, i4: Sample) -> Value:
        """(z z)(NTK)."""
        C_W, f, Omega = self.p.C_W, sigmas((i1, 0), (i2, 0)), self.Omega(i3, i4)
        return (
            C_W * (self.mean(joined(f, Omega)) - self.mean(f) * self.mean(Omega))
            + Fraction(1, 4) * C_W * self.between(f, Omega)
            + HALF
            * C_W**2
            * _sum(self.old("D", *betas, i3, i4) * v for betas, v in self.legs(f, 2))
            * self.mean(sigmas((i3, 1), (i4, 1)))
        )

    def F(self, i1: Sample, i3: Sample, i2: Sample, i4: Sample) -> Value:
        """z, NTK across."""
        left, right = sigmas((i1, 0), (i3, 1)), sigmas((i2, 0), (i4, 1))
        carried = _sum(
            u * v * self.old("F", beta, i3, gamma, i4)
            for (beta,), u in self.legs(left, 1)
            for (gamma,), v in self.legs(right, 1)
        )
        return self.p.C_W**2 * (self.mean(joined(left, right)) * self.old("Theta", i3, i4) + carried)

    def B(self, i1: Sample, i3: Sample, i2: Sample, i4: Sample) -> Value:
        """NTK fluctuation, across."""
        left, right = sigmas((i1, 1), (i3, 1)), sigmas((i2, 1), (i4, 1))
        return self.p.C_W**2 * (
            self.mean(joined(left, right)) * self.old("Theta", i1, i2) * self.old("Theta", i3, i4)
            + self.mean(left) * self.mean(right) * self.old("B", i1, i3, i2, i4)
        )

    def A(self, i1: Sample, i2: Sample, i3: Sample, i4: Sample) -> Value:
        """NTK fluctuation, within."""
        C_W, f, h = self.p.C_W, self.Omega(i1, i2), self.Omega(i3, i4)
        slopes_12, slopes_34 = self.mean(sigmas((i1, 1), (i2, 1))), self.mean(sigmas((i3, 1), (i4, 1)))
        mixed = _sum(v * self.old("D", *betas, i3, i4) for betas, v in self.legs(f, 2)) * slopes_34
        mixed += _sum(v * self.old("D", *betas, i1, i2) for betas, v in self.legs(h, 2)) * slopes_12
        return (
            self.mean(joined(f, h))
            - self.mean(f) * self.mean(h)
            + Fraction(1, 4) * self.between(f, h)
            + C_W**2 * slopes_12 * slopes_34 * self.old("A", i1, i2, i3, i4)
            + HALF * C_W * mixed
        )

    def Theta_1(self, i1: Sample, i2: Sample) -> Value:
        """Next-to-leading order of the mean NTK, H^{1} of the book (number not seen)."""
        C_W, slopes = self.p.C_W, sigmas((i1, 1), (i2, 1))
        kappa = _sum(
            v
            * (
                self.old("D", beta, gamma, i1, i2)
                + self.old("F", beta, i1, gamma, i2)
                + self.old("F", gamma, i1, beta, i2)
            )
            for (beta, gamma), v in self.legs(slopes, 2)
        )
        return self.p.lambda_W / C_W * self.K_1(i1, i2) + C_W * (
            self.mean(slopes) * self.old("Theta_1", i1, i2)
            + self.old("Theta", i1, i2) * self.shift(slopes)
            + HALF * kappa
        )

    # chapter 11 -----------------------------------------------------------------------------------------------------

    def P(self, i0: Sample, i1: Sample, i2: Sample, i3: Sample) -> Value:
        """dNTK."""
        bent = self.mean(sigmas((i0, 2), (i3, 0)))
        carried = _sum(v * self.old("P", i0, i1, i2, gamma) for (gamma,), v in self.legs(sigmas((i0, 1), (i3, 0)), 1))
        return self._hessian_source(i0, i1, i2, i3) + self.p.C_W**2 * self.mean(sigmas((i1, 1), (i2, 1))) * (
            bent * self.old("B", i0, i0, i1, i2) + carried
        )

    def Q(self, i0: Sample, i1: Sample, i2: Sample, i3: Sample) -> Value:
        """dNTK."""
        C_W, last = self.p.C_W, sigmas((i2, 1), (i3, 0))
        carried = _sum(v * self.old("Q", i0, i1, i2, gamma) for (gamma,), v in self.legs(last, 1))
        bent = _sum(
            u * v * self.old("F", beta, i0, gamma, i2)
            for (beta,), u in self.legs(sigmas((i0, 2), (i1, 1)), 1)
            for (gamma,), v in self.legs(last, 1)
        )
        return (
            self._hessian_source(i0, i1, i2, i3)
            + self.p.lambda_W / C_W * self.F(i1, i0, i3, i2)
            + C_W**2 * self.mean(sigmas((i0, 1), (i1, 1))) * carried
            + C_W**2 * self.old("Theta", i0, i1) * bent
        )

    def _hessian_source(self, i0: Sample, i1: Sample, i2: Sample, i3: Sample) -> Value:
        f = sigmas((i0, 2), (i1, 1), (i2, 1), (i3, 0))
        return self.p.C_W**2 * self.mean(f) * self.old("Theta", i0, i1) * self.old("Theta", i0, i2)

    # last chapter ---------------------------------------------------------------------------------------------------

    def R(self, i0: Sample, i1: Sample, i2: Sample, i3: Sample) -> Value:
        """First ddNTK."""
        C_W = self.p.C_W
        bent = self.mean(sigmas((i0, 3), (i1, 1))) * self.old("B", i0, i0, i2, i3)
        bent += _sum(v * self.old("P", i0, i2, i3, gamma) for (gamma,), v in self.legs(sigmas((i0, 2), (i1, 1)), 1))
        source = self.mean(sigmas((i0, 3), (i1, 1), (i2, 1), (i3, 1)))
        return (
            self.p.lambda_W / C_W * self.P(i0, i2, i3, i1)
            + C_W**2 * source * self.old("Theta", i0, i1) * self.old("Theta", i0, i2) * self.old("Theta", i0, i3)
            + C_W**2
            * self.mean(sigmas((i2, 1), (i3, 1)))
            * (self.old("Theta", i0, i1) * bent + self.mean(sigmas((i0, 1), (i1, 1))) * self.old("R", i0, i1, i2, i3))
        )

    def S(self, i1: Sample, i2: Sample, i3: Sample, i4: Sample) -> Value:
        """Second ddNTK."""
        C_W, lambda_W = self.p.C_W, self.p.lambda_W
        slopes_12, slopes_34 = self.mean(sigmas((i1, 1), (i2, 1))), self.mean(sigmas((i3, 1), (i4, 1)))
        Theta_13, Theta_24 = self.old("Theta", i1, i3), self.old("Theta", i2, i4)
        inner = lambda_W * slopes_12 + C_W * self.old("Theta", i1, i2) * self.mean(sigmas((i1, 2), (i2, 2)))
        return (
            C_W * lambda_W * self.mean(sigmas((i1, 1), (i2, 1), (i3, 1), (i4, 1))) * Theta_13 * Theta_24
            + C_W * slopes_34 * inner * self.old("B", i1, i2, i3, i4)
            + self._two_hessians(i1, i2, i3, i4)
            + C_W**2 * slopes_12 * slopes_34 * self.old("S", i1, i2, i3, i4)
        )

    def T(self, i1: Sample, i3: Sample, i4: Sample, i2: Sample) -> Value:
        """Second ddNTK; a1 = lambda_W sigma_3 sigma'_1 + C_W Theta_13 sigma''_1 sigma'_3."""
        C_W, lambda_W = self.p.C_W, self.p.lambda_W
        a1: Function = (
            (lambda_W, ((i3, 0), (i1, 1))),
            (C_W * self.old("Theta", i1, i3), ((i1, 2), (i3, 1))),
        )
        a2: Function = (
            (lambda_W, ((i4, 0), (i2, 1))),
            (C_W * self.old("Theta", i2, i4), ((i2, 2), (i4, 1))),
        )
        slopes_13, slopes_24 = self.mean(sigmas((i1, 1), (i3, 1))), self.mean(sigmas((i2, 1), (i4, 1)))
        return (
            self.mean(joined(a1, a2)) * self.old("Theta", i1, i2)
            + _sum(
                u * v * self.old("F", beta, i1, gamma, i2)
                for (beta,), u in self.legs(a1, 1)
                for (gamma,), v in self.legs(a2, 1)
            )
            + C_W * slopes_24 * _sum(u * self.old("Q", i2, i4, i1, gamma) for (gamma,), u in self.legs(a1, 1))
            + C_W * slopes_13 * _sum(v * self.old("Q", i1, i3, i2, gamma) for (gamma,), v in self.legs(a2, 1))
            + C_W**2 * slopes_13 * slopes_24 * self.old("T", i1, i3, i4, i2)
        )

    def U(self, i1: Sample, i4: Sample, i2: Sample, i3: Sample) -> Value:
        """Second ddNTK."""
        slopes = self.mean(sigmas((i1, 1), (i4, 1))) * self.mean(sigmas((i2, 1), (i3, 1)))
        return self._two_hessians(i1, i2, i3, i4) + self.p.C_W**2 * slopes * self.old("U", i1, i4, i2, i3)

    def _two_hessians(self, i1: Sample, i2: Sample, i3: Sample, i4: Sample) -> Value:
        f = sigmas((i1, 2), (i2, 2), (i3, 1), (i4, 1))
        Thetas = self.old("Theta", i1, i2) * self.old("Theta", i1, i3) * self.old("Theta", i2, i4)
        return self.p.C_W**2 * self.mean(f) * Thetas


def _sum(terms: Iterable[Value]) -> Value:
    total: Value = 0
    for term in terms:
        total = total + term
    return total
