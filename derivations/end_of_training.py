r"""PDLT, the last chapter: where gradient descent ends, at order 1/n: projectors, dNTK and ddNTKs in the mean.

Assumptions: those of chapters 8 and 11 and the last; mean squared error; N training samples with targets y, learning
rate eta below the limit of stability; T to infinity. Indices 1, 2, .. are training samples, delta is a test sample.

The way. By Taylor's theorem a step changes outputs, the NTK and the dNTK by

    z  -> z  - eta H eps + eta^2/2 dH eps eps - eta^3/6 ddI eps eps eps,                     eps = z - y
    H  -> H  - eta (dH + dH^T) eps + eta^2/2 (ddI + ddI^T + 2 ddII) eps eps
    dH -> dH - eta (ddI + ddII + ddII^T) eps,

and without the corrections eps(t) = E_t eps(0), E_t = (1 - eta Theta)^t. So what dH and ddI, ddII, of order 1/n, do to
z are sums over times of products of E: one time for each eps, equal if they act in one step, else ordered, as each step
acts on what earlier ones have changed. With u = Theta^-1 on the training samples,

    X_II = eta sum_t E_t E_t,  X_III = eta sum_t E_t E_t E_t              all in one step
    Y_2 = eta^2 sum_{t > s} E_t E_s,  Y_3 = eta^3 sum_{t > s > r} E_t E_s E_r        each in another
    Y_1 = eta^2 sum_{t > s} E_t E_t E_s,  Y_4 = eta^2 sum_{t > s} E_t E_s E_s         two in one

and geometric sums make them the formulas below. After training the test output has moved by what acted on it directly,
and by what the kernel turns of what acted on the training outputs: m_delta - Theta_delta u m. The averages over
initial networks are those of the tables of letters: E[dH z] is P and Q, E[ddI] is R, E[ddII] is S, T, U, and the
second order in the fluctuation of H itself is A and B.

Engine: rg.trained for the parts of the shift; rg.flow for the letters that the formulas take.

Source: PDLT, the last chapter; equation numbers not seen. The formulas are typed in the form that a perturbation theory
step by step confirms, for one output and for three; the numbers at the end were computed apart from this package.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property

import numpy as np
from rows import row

import rgflow as rg

INPUTS = np.array([[1.0, 0.5], [-0.6, 1.2], [0.9, -0.8]])  # two to train on, one to test
N, n = 2, 40
LETTERS = ("K", "Theta", "A", "B", "P", "Q", "R", "S", "T", "U")
ONE, THREE = np.array([[1.2], [-0.7]]), np.array([[1.2, -0.7, 0.4], [-0.7, 0.3, 1.1]])
WITNESS = "tests/oracles/test_oracle_training.py: perturbation theory step by step, and trained networks"
Array = np.ndarray


def network(outputs: int, hidden: int = 2) -> rg.MLP:
    """sin, three layers of weights."""
    return rg.MLP([2, *[n] * hidden, outputs], "sin", C_b=0.2, C_W=1.2, lambda_b=0.3, lambda_W=0.5)


@cache
def letters(hidden: int = 2) -> dict[str, Array]:
    ds = rg.flow(network(1, hidden), INPUTS, tensors=list(LETTERS), order=1)
    return {name: ds[name].values[-1] for name in (*LETTERS, "Theta_1")}


def limit(theta: Array) -> float:
    """1/(largest eigenvalue)."""
    return float(1 / np.linalg.eigvalsh(theta[:N, :N]).max())


# Sums over times ------------------------------------------------------------------------------------------------------


class Times:
    """The sums over times, term by term: what the formulas of the projectors stand for.

    400 steps with two samples: what is left of the sums is below the rounding.
    """

    def __init__(self, theta: Array, eta: float, steps: int = 400) -> None:
        self.theta, self.eta, self.one, self.u = theta, eta, np.eye(N), np.linalg.inv(theta)
        E, decay = np.eye(N), np.eye(N) - eta * theta
        one, two, ordered = np.zeros((N, N)), np.zeros((N,) * 4), np.zeros((N,) * 4)
        sums = {name: np.zeros((N,) * 6) for name in ("X_III", "Y_1", "Y_3", "Y_4")}
        for _ in range(steps):  # one, two, ordered: the sums over s < t of E_s, E_s E_s, and over r < s < t of E_s E_r
            sums["X_III"] += eta * np.einsum("ad,be,cf->abcdef", E, E, E)
            sums["Y_1"] += eta * np.einsum("ad,be,cf->abcdef", E, E, one)
            sums["Y_3"] += eta * np.einsum("ad,bcef->abcdef", E, ordered)
            sums["Y_4"] += eta * np.einsum("ad,bcef->abcdef", E, two)
            ordered = ordered + eta * np.einsum("ac,bd->abcd", E, one)
            two = two + eta * np.einsum("ac,bd->abcd", E, E)
            one = one + eta * E
            E = decay @ E
        self.sums = sums | {"X_II": two, "Y_2": ordered}

    def __getattr__(self, name: str) -> Array:
        return self.sums[name]


@cache
def times(share: float = 0.5) -> Times:
    theta = letters()["Theta"][:N, :N]
    return Times(theta, share * limit(theta))


def summed(name: str, formula: Callable[[Times], Array]) -> dict[str, Array]:
    """Held against the sums, at a small and at a large step; of an inverse its matrix."""
    for share in (0.5, 1.5):
        at = times(share)
        added = at.sums[name]
        if name.startswith("X"):
            size = round(added.size**0.5)
            added = np.linalg.inv(added.reshape(size, size))
        np.testing.assert_allclose(formula(at), added, rtol=1e-10, atol=1e-11)
    return {f"{name}, its first entry": times().sums[name].flat[0]}


def product(*factors: Array) -> Array:
    """As a matrix on several indices."""
    found = np.eye(1)
    for factor in factors:
        found = np.kron(found, factor)
    return found


@row("pdlt/projector_XII", witness=WITNESS)
def X_II():
    def typed(at):
        return product(at.theta, at.one) + product(at.one, at.theta) - at.eta * product(at.theta, at.theta)

    return summed("X_II", typed)


@row("pdlt/projector_XIII", witness=WITNESS)
def X_III():
    def typed(at):
        t, one, eta = at.theta, at.one, at.eta
        return (
            product(t, one, one) + product(one, t, one) + product(one, one, t)
            - eta * product(t, t, one) - eta * product(t, one, t) - eta * product(one, t, t)
            + eta**2 * product(t, t, t)
        )  # fmt: skip

    return summed("X_III", typed)


@row("pdlt/projector_Y1", witness=WITNESS)
def Y_1():
    def typed(at):
        return np.einsum("abde,cf->abcdef", at.X_II, at.u) - np.einsum("cg,abgdef->abcdef", at.u, at.X_III)

    return summed("Y_1", typed)


@row("pdlt/projector_Y2", witness=WITNESS)
def Y_2():
    def typed(at):
        return np.einsum("ac,bd->abcd", at.u, at.u) - np.einsum("be,aecd->abcd", at.u, at.X_II)

    return summed("Y_2", typed)


@row("pdlt/projector_Y3", witness=WITNESS)
def Y_3():
    def typed(at):
        return (
            np.einsum("ad,be,cf->abcdef", at.u, at.u, at.u)
            - np.einsum("bg,agde,cf->abcdef", at.u, at.X_II, at.u)
            - np.einsum("ad,cg,bgef->abcdef", at.u, at.u, at.X_II)
            + np.einsum("ci,bigh,aghdef->abcdef", at.u, at.X_II, at.X_III)
        )

    return summed("Y_3", typed)


@row("pdlt/projector_Y4", witness=WITNESS)
def Y_4():
    def typed(at):
        return np.einsum("ad,bcef->abcdef", at.u, at.X_II) - np.einsum("bcgh,aghdef->abcdef", at.X_II, at.X_III)

    return summed("Y_4", typed)


# The mean at the end of training --------------------------------------------------------------------------------------


class End:
    """What the formulas of the mean take: letters, targets (N, n_L), the step, and the projectors."""

    def __init__(self, letters: dict[str, Array], y: Array, eta: float, **other: Array) -> None:
        self.letters, self.y, self.eta, self.n_L = letters, y, eta, y.shape[1]
        self.K, self.Theta = letters["K"][:N, :N], letters["Theta"]
        self.u = np.linalg.inv(self.Theta[:N, :N])
        self.uu = np.einsum("ab,cd->abcd", self.u, self.u)
        self.times = Times(self.Theta[:N, :N], eta)
        self.other = other  # put in the place of a projector or of the labels' factor

    def __getattr__(self, name: str) -> Array:
        if name in PROJECTORS:
            return self.other[name] if name in self.other else PROJECTORS[name]().formula(self)
        return self.times.sums[name]

    @cached_property
    def both_orders(self) -> Array:
        return self.Z_B + np.einsum("badc->abcd", self.Z_B)

    @cached_property
    def all_orders(self) -> Array:
        return self.Z_IB + np.einsum("bcaefd->abcdef", self.Z_IB) + np.einsum("cabfde->abcdef", self.Z_IB)

    def minus(self, name: str, order: str, projector: Array, places: str, right: Array) -> Array:
        """-X_order Z^places right: x is delta; the last indices of the projector go with right."""
        tensor = self.letters[name][tuple(slice(None) if i == "x" else slice(0, N) for i in order)]
        tail = sorted(set(places) - set(order))
        return -np.einsum(f"{order},{places},{''.join(tail)}i->xi", tensor, projector, right)

    def left(self, m: Array) -> Array:
        """m_delta - Theta_delta u m: what the kernel turns of what acted on the training outputs is taken back."""
        return m[N:] - self.Theta[N:, :N] @ self.u @ m[:N]


@cache
def trained(outputs: int, share: float, hidden: int = 2):
    """The case and what the engine says of it: one or three outputs, a small or a large step."""
    y = ONE if outputs == 1 else THREE
    found = letters(hidden)
    at = End(found, y, share * limit(found["Theta"]))
    ds = rg.trained(network(outputs, hidden), train=(INPUTS[:N], y), test=INPUTS[N:], learning_rate=at.eta)
    return at, ds


def engine(ds, part: str) -> Array:
    return n * ds["mean_shift_part"].sel(part=part).values


def agree(part: str, formula: Array, ds) -> None:
    """The letters are good to 1e-10, and parts partly cancel."""
    np.testing.assert_allclose(formula, engine(ds, part), rtol=1e-7, atol=1e-9, err_msg=part)


class Part:
    """A part of the shift: a formula for m, held against rg.trained."""

    def __init__(self, name: str, formula: Callable[[End], Array]) -> None:
        self.name, self.formula = name, formula

    def check(self) -> None:
        for case in ((1, 0.5), (1, 1.5), (3, 0.5)):
            at, ds = trained(*case)
            agree(self.name, at.left(self.formula(at)), ds)

    def derived(self) -> dict[str, Array]:
        return {f"{self.name}, one output": engine(trained(1, 0.5)[1], self.name)[0]}


class Projector:
    """A sum over times within the parts: put into them, held against rg.trained."""

    def __init__(self, name: str, formula: Callable[[End], Array], *parts: str) -> None:
        self.name, self.formula, self.parts = name, formula, parts

    def check(self) -> None:
        for case in ((1, 0.5), (3, 0.5)):
            at, ds = trained(*case)
            other = End(at.letters, at.y, at.eta, **{self.name: self.formula(at)})
            for part in self.parts:
                agree(part, other.left(PARTS[part]().formula(other)), ds)

    def derived(self) -> dict[str, Array]:
        return {f"{part}, one output": engine(trained(1, 0.5)[1], part)[0] for part in self.parts}


@row("pdlt/projector_ZA", witness=WITNESS)
def Z_A():
    def typed(at):
        return at.Y_2

    return Projector("Z_A", typed, "dNTK")


@row("pdlt/projector_ZB", witness=WITNESS)
def Z_B():
    def typed(at):
        return at.Y_2 + at.eta / 2 * at.X_II

    return Projector("Z_B", typed, "dNTK")


@row("pdlt/projector_ZIA", witness=WITNESS)
def Z_IA():
    def typed(at):
        return -at.Y_3 - at.eta / 2 * at.Y_4

    return Projector("Z_IA", typed, "ddNTK I")


@row("pdlt/projector_ZIB", witness=WITNESS)
def Z_IB():
    def typed(at):
        return at.Z_IA - at.eta / 2 * at.Y_1 - at.eta**2 / 6 * at.X_III

    return Projector("Z_IB", typed, "ddNTK I")


@row("pdlt/projector_ZIIA", witness=WITNESS)
def Z_IIA():
    def typed(at):
        return -at.Y_3

    return Projector("Z_IIA", typed, "ddNTK II")


@row("pdlt/projector_ZIIB", witness=WITNESS)
def Z_IIB():
    def typed(at):
        return (
            -at.Y_3 - np.einsum("bacedf->abcdef", at.Y_3) - np.einsum("acbdfe->abcdef", at.Y_3)
            - at.eta * at.Y_4 - at.eta * at.Y_1
        )  # fmt: skip

    return Projector("Z_IIB", typed, "ddNTK II")


@row("pdlt/label_gamma", witness=WITNESS)
def gamma():
    def typed(at):
        y, K = at.y, at.K
        return (
            np.einsum("di,ef->defi", y, y @ y.T) + at.n_L * np.einsum("di,ef->defi", y, K)
            + np.einsum("ei,fd->defi", y, K) + np.einsum("fi,de->defi", y, K)
        )  # fmt: skip

    return Projector("gamma", typed, "ddNTK I", "ddNTK II")


PROJECTORS = {"Z_A": Z_A, "Z_B": Z_B, "Z_IA": Z_IA, "Z_IB": Z_IB, "Z_IIA": Z_IIA, "Z_IIB": Z_IIB, "gamma": gamma}


@row("pdlt/projector_identity", witness=WITNESS)
def identity():
    """Two steps act in one order, in the other, or as one step: together everything."""
    at = trained(1, 0.5)[0]
    ordered = at.times.sums["Y_2"] + at.eta / 2 * at.times.sums["X_II"]
    typed = np.einsum("ac,bd->abcd", at.u, at.u)
    np.testing.assert_allclose(ordered + np.einsum("badc->abcd", ordered), typed, rtol=1e-10)
    return {"Z_B both ways, its first entry": 2 * ordered.flat[0]}


@row("pdlt/trained_mean_ntk_fluctuation", witness=WITNESS)
def ntk_fluctuation():
    def typed(at):
        return (
            at.minus("A", "xabc", at.uu, "abcd", at.y)
            + at.minus("B", "xbac", at.uu, "abcd", at.y)
            + at.n_L * at.minus("B", "xcab", at.uu, "abcd", at.y)
        )

    return Part("NTK fluctuation", typed)


@row("pdlt/trained_mean_dntk", witness=WITNESS)
def dntk():
    def typed(at):
        y, n_L = at.y, at.n_L
        return (
            at.minus("P", "xabc", at.both_orders, "abcd", y)
            + at.minus("Q", "xabc", at.both_orders, "abcd", y)
            + n_L * at.minus("Q", "xbac", at.both_orders, "abcd", y)
            + n_L * at.minus("P", "axbc", at.Z_A, "abcd", y)
            + at.minus("Q", "axbc", at.Z_A, "abcd", y)
            + at.minus("Q", "abxc", at.Z_A, "abcd", y)
            + at.minus("P", "axbc", at.Z_A, "abdc", y)
            + n_L * at.minus("Q", "axbc", at.Z_A, "abdc", y)
            + at.minus("Q", "abxc", at.Z_A, "abdc", y)
        )

    return Part("dNTK", typed)


@row("pdlt/trained_mean_ddntk_one", witness=WITNESS)
def ddntk_one():
    def typed(at):
        return (
            at.minus("R", "xabc", at.all_orders, "abcdef", at.gamma)
            + at.minus("R", "axbc", at.Z_IA, "abcdef", at.gamma)
            + at.minus("R", "abcx", at.Z_IA, "abcefd", at.gamma)
            + at.minus("R", "acxb", at.Z_IA, "abcfde", at.gamma)
        )

    return Part("ddNTK I", typed)


@row("pdlt/trained_mean_ddntk_two", witness=WITNESS)
def ddntk_two():
    def typed(at):
        return (
            at.minus("S", "xabc", at.Z_IIB, "abcdef", at.gamma)
            + at.minus("T", "xabc", at.Z_IIB, "cabfde", at.gamma)
            + at.minus("U", "xabc", at.Z_IIB, "bcaefd", at.gamma)
            + at.minus("S", "abxc", at.Z_IIA, "abcefd", at.gamma)
            + at.minus("T", "axcb", at.Z_IIA, "abcdef", at.gamma)
            + at.minus("U", "acbx", at.Z_IIA, "abcfde", at.gamma)
        )

    return Part("ddNTK II", typed)


def ntk_mean():
    return Part("NTK mean", lambda at: at.letters["Theta_1"][:, :N] @ at.u @ at.y)


PARTS = {
    "NTK mean": ntk_mean, "NTK fluctuation": ntk_fluctuation, "dNTK": dntk, "ddNTK I": ddntk_one,
    "ddNTK II": ddntk_two,
}  # fmt: skip


def shift(at: End) -> dict[str, Array]:
    """n times each part of the shift of the mean prediction."""
    return {name: at.left(part().formula(at)) for name, part in PARTS.items()}


@row("pdlt/trained_mean", witness=WITNESS)
def trained_mean():
    """The whole: H = Theta + Theta_1/n in the leading term, and 1/n times what is left of m."""
    at, ds = trained(3, 0.5)
    m = sum(PARTS[part]().formula(at) for part in PARTS if part != "NTK mean")
    leading = at.Theta[:, :N] @ at.u @ at.y
    kernel = (at.letters["Theta_1"][:, :N] - at.Theta[:, :N] @ at.u @ at.letters["Theta_1"][:N, :N]) @ at.u @ at.y
    typed = leading[N:] + kernel[N:] / n + m[N:] / n - at.Theta[N:, :N] @ at.u @ m[:N] / n
    whole = (ds["mean_infinite"] + ds["mean_shift"]).values
    np.testing.assert_allclose(whole, typed, rtol=1e-8)
    return {"mean, three outputs, n = 40": whole[0]}


@row("pdlt/trained_mean_value_three_layers", witness=WITNESS)
def three_layers():
    typed = {
        "NTK mean": -0.0034053,
        "NTK fluctuation": 0.4413246,
        "dNTK": -0.0718404,
        "ddNTK I": 1.3962328,
        "ddNTK II": -1.2670996,
    }
    typed_mean = 0.89655833
    typed_total = 0.4952121
    _, ds = trained(1, 0.5)
    for name, value in typed.items():
        np.testing.assert_allclose(engine(ds, name)[0, 0], value, atol=1e-7)
    np.testing.assert_allclose(ds["mean_infinite"].values[0, 0], typed_mean, atol=1e-8)
    np.testing.assert_allclose(n * ds["mean_shift"].values[0, 0], typed_total, atol=1e-7)
    return {name: engine(ds, name)[0, 0] for name in typed}


def kernel_part(ds) -> float:
    """What a kernel that stays where it is does."""
    return float(engine(ds, "NTK mean")[0, 0] + engine(ds, "NTK fluctuation")[0, 0])


def representation_part(ds) -> float:
    """What the differentials of the kernel add: learning of representations."""
    return float(n * ds["mean_shift"].values[0, 0] - kernel_part(ds))


@row("pdlt/trained_mean_value_smaller_step", witness=WITNESS)
def smaller_step():
    typed = {"dNTK": -0.0754, "ddNTK I": 1.4059, "ddNTK II": -1.2994}
    typed_kernel = 0.438
    typed_representation = 0.031
    _, ds = trained(1, 0.4)
    for name, value in typed.items():
        np.testing.assert_allclose(engine(ds, name)[0, 0], value, atol=5.1e-5)
    np.testing.assert_allclose(kernel_part(ds), typed_kernel, atol=5.1e-4)
    np.testing.assert_allclose(representation_part(ds), typed_representation, atol=5.1e-4)
    return {name: engine(ds, name)[0, 0] for name in typed}


@row("pdlt/trained_mean_value_two_layers", witness=WITNESS)
def two_layers():
    typed_representation = -0.2115
    typed_kernel = 0.478
    _, ds = trained(1, 0.4, 1)
    np.testing.assert_allclose(representation_part(ds), typed_representation, atol=5.1e-5)
    np.testing.assert_allclose(kernel_part(ds), typed_kernel, atol=5.1e-4)
    return {"representation part": representation_part(ds), "kernel part": kernel_part(ds)}


@cache
def gradient_flow():
    return rg.trained(network(1), train=(INPUTS[:N], ONE), test=INPUTS[N:])


@row("pdlt/algorithm_dependence", witness=WITNESS)
def algorithm_dependence():
    """Of the five parts those with a projector move with the step; small steps go over into gradient flow."""
    typed_that_depend = {"dNTK": True, "ddNTK I": True, "ddNTK II": True, "NTK fluctuation": False, "NTK mean": False}
    small, large, tiny, flow = trained(1, 0.5)[1], trained(1, 1.5)[1], trained(1, 1e-6)[1], gradient_flow()
    for part, depends in typed_that_depend.items():
        moved = np.abs(engine(small, part) - engine(large, part)).max() > 1e-6
        assert moved == depends, part
        np.testing.assert_allclose(engine(tiny, part), engine(flow, part), rtol=1e-4, atol=1e-7)
    return {part: engine(flow, part)[0, 0] for part in typed_that_depend}


# As a script ----------------------------------------------------------------------------------------------------------


def end_of_training(found: dict[str, Array], y: Array, share: float) -> None:
    """Every part of the shift, from these letters."""
    at = End(found, y, share * limit(found["Theta"]))
    ds = rg.trained(network(y.shape[1]), train=(INPUTS[:N], y), test=INPUTS[N:], learning_rate=at.eta)
    typed = shift(at)
    for name, formula in typed.items():
        agree(name, formula, ds)
    np.testing.assert_allclose(n * ds["mean_shift"].values, sum(typed.values()), rtol=1e-7, atol=1e-9)
    parts = ", ".join(f"{name} {value[0, 0]:+.7f}" for name, value in typed.items())
    print(f"{y.shape[1]} outputs, eta = {share}/lambda_max: {parts}: equal to rg.trained")


if __name__ == "__main__":
    for projector in (X_II, X_III, Y_1, Y_2, Y_3, Y_4):
        projector()
    print("X_II, X_III, Y_1, Y_2, Y_3, Y_4: equal to sums over times")
    for y, share in ((ONE, 0.5), (ONE, 1.5), (THREE, 0.5)):
        end_of_training(letters(), y, share)
