"""Training at order 1/n by discrete perturbation theory: against closed forms, real descents and quadrature.

The perturbation theory has three parts, and each is checked by something that shares nothing with it: what a step does
(gradient descent on an explicit function of a few parameters), what averages are (a sum over all values of a few
Gaussian variables, through the steps themselves), and what the cumulants of networks are (trained networks, in
test_oracle_trained_networks).
"""

import itertools
import runpy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sources import pdlt_training

import rgflow as rg
from oracles import discrete_training
from oracles.discrete_training import Training, spread

ROOT = Path(__file__).parents[2]
INPUTS = np.array([[1.0, 0.5], [-0.6, 1.2], [0.9, -0.8]])
ONE = np.array([[1.2], [-0.7]])
THREE = np.array([[1.2, -0.7, 0.4], [-0.7, 0.3, 1.1]])
LETTERS = ("Theta_1", "A", "B", "P", "Q", "R", "S", "T", "U")

# The benchmark of PDLT's last chapter: sin, three layers of weights, eta = share / lambda_max
BENCHMARK = {
    0.5: {
        "NTK mean": -0.0034053,
        "NTK fluctuation": 0.4413246,
        "dNTK": -0.0718404,
        "ddNTK I": 1.3962328,
        "ddNTK II": -1.2670996,
    },
    0.4: {"dNTK": -0.0754, "ddNTK I": 1.4059, "ddNTK II": -1.2994},
}


@cache
def tensors(hidden=2):
    net = rg.MLP([2, *[8] * hidden, 1], "sin", C_b=0.2, C_W=1.2, lambda_b=0.3, lambda_W=0.5)
    ds = rg.flow(net, inputs=INPUTS, tensors=[*LETTERS[1:], "K", "Theta", "D", "F"], order=1)
    return {name: ds[name].values[-1] for name in (*LETTERS, "K", "Theta", "K_1", "D", "F")}


def rate(share, hidden=2):
    return share / np.linalg.eigvalsh(tensors(hidden)["Theta"][:2, :2])[-1]


def close(a, b, digits):
    return np.max(np.abs(np.subtract(a, b))) <= 10.0**-digits


# The mean: closed forms -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", list(BENCHMARK))
def test_benchmark_of_the_last_chapter(share):
    """Every part, to the digits that are quoted."""
    infinite, parts = discrete_training.mean_parts(tensors(), ONE, 1, 2, rate(share), 300)
    _, closed = pdlt_training.mean_parts(tensors(), ONE, 2, rate(share))
    assert close(infinite, 0.89655833, 8)
    for name, value in BENCHMARK[share].items():
        digits = 7 if share == 0.5 else 4
        assert close(parts[name], value, digits), name
        assert close(closed[name], value, digits), name
    if share == 0.5:
        assert close(sum(parts.values()), 0.4952121, 7)


@pytest.mark.parametrize("y", [ONE, THREE], ids=["one output", "three outputs"])
@pytest.mark.parametrize("share", [0.5, 1.5])
def test_closed_forms_are_the_end_of_the_steps(y, share):
    """What is left after T steps is max |1 - eta lambda|^T times powers of T: 0.846^240 and 0.537^80, below 1e-15."""
    eta = rate(share)
    infinite, parts = discrete_training.mean_parts(tensors(), y, 1, 2, eta, 240 if share < 1 else 80)
    expected, closed = pdlt_training.mean_parts(tensors(), y, 2, eta)
    assert close(infinite, expected, 12)
    assert parts.keys() == closed.keys()
    for name, value in parts.items():
        assert close(value, closed[name], 11), name


@pytest.mark.parametrize("letter", LETTERS)
def test_control_every_letter_counts(letter):
    """Negative control: with a per cent more of one letter the steps leave the closed forms."""
    _, closed = pdlt_training.mean_parts(tensors(), THREE, 2, rate(1.5))
    wrong = tensors() | {letter: 1.01 * tensors()[letter]}
    _, parts = discrete_training.mean_parts(wrong, THREE, 1, 2, rate(1.5), 40)
    assert not close(sum(parts.values()), sum(closed.values()), 5)


def test_control_slips_of_public_code():
    """The factor 2 Z_B and the transposed Y3 agree with the right forms for one output only, or not at all."""
    eta = rate(0.5)
    Z = pdlt_training.projectors(tensors()["Theta"][:2, :2], eta)
    u = np.linalg.inv(tensors()["Theta"][:2, :2])
    assert close(Z["B"] + np.einsum("badc->abcd", Z["B"]), np.einsum("ac,bd->abcd", u, u), 12)
    assert not close(2 * Z["B"], np.einsum("ac,bd->abcd", u, u), 3)


def test_deltas_of_the_table():
    """E[z1 z2 DH34] and the others as the table of conventions says them, index by index."""
    F, D = tensors()["F"], tensors()["D"]
    found = spread(2, [("01 23 0123", D), ("02 13 0213", F), ("03 12 0312", F)], 4).reshape((2, 3) * 4)
    for i in itertools.product(range(2), repeat=4):
        for a in itertools.product(range(3), repeat=4):
            expected = (
                (i[0] == i[1]) * (i[2] == i[3]) * D[a]
                + (i[0] == i[2]) * (i[1] == i[3]) * F[a[0], a[2], a[1], a[3]]
                + (i[0] == i[3]) * (i[1] == i[2]) * F[a[0], a[3], a[1], a[2]]
            )
            assert found[i[0], a[0], i[1], a[1], i[2], a[2], i[3], a[3]] == pytest.approx(
                expected, rel=1e-14, abs=1e-14
            )


# What a step does -----------------------------------------------------------------------------------------------------

M, N_TRAIN, STEPS = 3, 2, 5


def descend(z, v, A, B, y, eta, steps):
    """Gradient descent from phi = 0 on z_i(phi) = z_i + v_i.phi + phi A_i phi / 2 + B_i phi phi phi / 6; z and H."""

    def at(phi):
        slope = v + np.einsum("imn,n->im", A, phi) + np.einsum("imno,n,o->im", B, phi, phi) / 2
        value = z + v @ phi + np.einsum("imn,m,n->i", A, phi, phi) / 2
        return value + np.einsum("imno,m,n,o->i", B, phi, phi, phi) / 6, slope

    phi = np.zeros(v.shape[1], v.dtype)
    for _ in range(steps):
        value, slope = at(phi)
        phi = phi - eta * (value[: len(y)] - y) @ slope[: len(y)]
    value, slope = at(phi)
    return value, slope @ slope.T


def explicit():
    """An explicit function: A couples the gradients to directions that none of them has, so that dH vanishes for it."""
    rng = np.random.default_rng(3)
    v = np.zeros((M, 8))
    v[:, :M] = rng.standard_normal((M, M))
    A = np.zeros((M, 8, 8))
    A[:, :M, M:] = rng.standard_normal((M, M, 8 - M))
    A += A.transpose(0, 2, 1)
    bent = rng.standard_normal((M, 8, 8))
    B = sum(
        np.transpose(b, (0, *p)) for b in [rng.standard_normal((M, 8, 8, 8))] for p in itertools.permutations((1, 2, 3))
    )
    y = rng.standard_normal(N_TRAIN)
    z = rng.standard_normal(M)
    theta = v @ v.T
    run = Training({"K": np.eye(M), "Theta": theta}, y[:, None], 0.5 / np.linalg.eigvalsh(theta)[-1], STEPS)
    return run, z, v, A, bent + bent.transpose(0, 2, 1), B, y, z[:N_TRAIN] - y


def test_steps_are_gradient_descent_first_order_in_dH():
    """d/ds of a real descent with Hessians s A, by a complex step of size 1e-20: exact but for rounding."""
    run, z, v, _, A, B, y, eps = explicit()
    z_s, H_s = descend(z, v + 0j, 1e-20j * A, 0 * B, y, run.rate, STEPS)
    dH = np.einsum("jm,imn,kn->ijk", v, A, v)[..., None]
    z_2, H_1 = run.quadratic(dH)
    assert close(np.einsum("ibcd,b,c->i", z_2, eps, eps), z_s.imag / 1e-20, 10)
    assert close(np.einsum("ijbd,b->ij", H_1, eps), H_s.imag / 1e-20, 10)
    assert np.abs(z_s.imag / 1e-20).max() > 0.1


@pytest.mark.parametrize("first", [0.0, 1.0])
@pytest.mark.parametrize("second", [0.0, 1.0])
def test_steps_are_gradient_descent_first_order_in_ddH(first, second):
    """Hessians s A that leave dH zero and third derivatives s^2 B: the term s^2, by complex steps s = +-sqrt(1e-8 i).

    What is truncated is real in s^4 and of relative size 1e-16 in s^6; rounding leaves 1e-16/1e-8.
    """
    run, z, v, A, _, B, y, eps = explicit()
    A, B = second * A, first * B
    s = np.sqrt(1e-8j)
    ends = [descend(z, v + 0j, sign * s * A, s**2 * B, y, run.rate, STEPS) for sign in (1, -1)]
    z_s, H_s = (sum(end[i] for end in ends).imag / 2e-8 for i in range(2))
    bent = np.einsum("imn,kn->ikm", A, v)
    I, II = np.einsum("imno,jm,kn,lo->ijkl", B, v, v, v), np.einsum("ikm,jlm->ijkl", bent, bent)
    z_3, H_2 = run.cubic(I, II)
    scale = 1 + np.abs(z_3).max()
    assert close(np.einsum("ibcd,b,c,d->i", z_3, eps, eps, eps) / scale, z_s / scale, 6)
    assert close(np.einsum("ijbc,b,c->ij", H_2, eps, eps) / scale, H_s / scale, 6)
    assert (np.abs(z_s).max() > 0.01) == bool(first or second)


# What averages are ----------------------------------------------------------------------------------------------------


def iterate(z, H, dH, I, II, y, eta, steps):
    """The steps themselves on numbers, nothing truncated but derivatives beyond the ddNTKs; batches in front."""
    n = len(y)
    for _ in range(steps):
        e = z[:, :n] - y
        dHe = np.einsum("zijk,zk->zij", dH[..., :n], e)
        Ie = np.einsum("ijkl,zl->zijk", I[..., :n], e)
        IIe = np.einsum("ijkl,zl->zijk", II[..., :n], e)
        Iee, IIee = (np.einsum("zijk,zk->zij", t[..., :n], e) for t in (Ie, IIe))
        z, H, dH = (
            z
            - eta * np.einsum("zij,zj->zi", H[..., :n], e)
            + eta**2 / 2 * np.einsum("zij,zj->zi", dHe[..., :n], e)
            - eta**3 / 6 * np.einsum("zij,zj->zi", Iee[..., :n], e),
            H
            - eta * (dHe + dHe.transpose(0, 2, 1))
            + eta**2 / 2 * (Iee + Iee.transpose(0, 2, 1) + IIee + IIee.transpose(0, 2, 1)),
            dH - eta * (Ie + IIe + IIe.transpose(0, 1, 3, 2)),
        )
    return z, H


def random_cumulants():
    """A run whose cumulants are arbitrary (not those of any network), two of them of rank 2 in H."""
    rng = np.random.default_rng(11)
    root = rng.standard_normal((M, M)) + 2 * np.eye(M)
    theta = rng.standard_normal((M, M))
    theta = theta @ theta.T + np.eye(M)
    K_1, theta_1 = (x + x.T for x in rng.standard_normal((2, M, M)))
    values = {"K": root @ root.T, "Theta": theta, "K_1": K_1, "Theta_1": theta_1}
    y = rng.standard_normal(N_TRAIN)
    run = Training(values, y[:, None], 0.3 / np.linalg.eigvalsh(theta)[-1], STEPS)
    h = rng.standard_normal((2, M, M))
    h += h.transpose(0, 2, 1)
    mixed = rng.standard_normal((M,) * 4)
    mixed += mixed.transpose(1, 0, 2, 3)
    mixed += mixed.transpose(0, 1, 3, 2)
    dHz = rng.standard_normal((M,) * 4)
    dHz += dHz.transpose(0, 2, 1, 3)
    I = rng.standard_normal((M,) * 4)
    I = sum(I.transpose(0, *p) for p in itertools.permutations((1, 2, 3)))
    II = rng.standard_normal((M,) * 4)
    II += II.transpose(1, 0, 3, 2)
    run.cum_HH, run.cum_zzH = np.einsum("kij,klm->ijlm", h, h), mixed
    run.cum_dHz, run.mean_I, run.mean_II = dHz, I, II
    return run, root, h, y


def averaged(run, root, h, y):
    """d/ds of mean, covariance and NTK when every cumulant of order 1/n is s times its value, by a complex step.

    z and two more Gaussian variables on all points of a quadrature that is exact for what is of first order in s.
    """
    s = 1e-8j
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    weights = weights / weights.sum()
    axes = [(nodes, weights)] * M + [(np.array([1.0, -1.0]), np.array([0.5, 0.5]))] * 2
    g = np.array(list(itertools.product(*[a for a, _ in axes])))
    w = np.prod(np.array(list(itertools.product(*[b for _, b in axes]))), axis=1)
    inverse = np.linalg.inv(root @ root.T)
    z = g[:, :M] @ root.T
    u = z @ inverse  # K^{-1} z
    pairs = np.einsum("za,zb->zab", u, u) - inverse
    first = run.tensors["K_1"] @ inverse / 2
    H = run.Theta + s * run.tensors["Theta_1"] + s / 2 * np.einsum("zab,abij->zij", pairs, run.cum_zzH)
    H = H + np.sqrt(s) * np.einsum("zk,kij->zij", g[:, M:], h)
    dH = s * np.einsum("ijkd,zd->zijk", run.cum_dHz, u)
    end, kernel = iterate(z + s * z @ first.T, H, dH, s * run.mean_I, s * run.mean_II, y, run.rate, STEPS)
    mean = w @ end
    second = np.einsum("z,zi,zj->ij", w, end, end) - np.outer(mean, mean)
    change = np.einsum("z,zij->ij", w, kernel - H)
    return tuple((x.real, x.imag / 1e-8) for x in (mean, second, change))


def test_averages_of_everything_at_once():
    """Mean, covariance and change of the NTK for arbitrary cumulants: 1e-16/1e-8 of rounding, times a hundred terms."""
    run, root, h, y = random_cumulants()
    mean, covariance, change = averaged(run, root, h, y)
    for (infinite, shift), (leading, found) in ((run.mean, mean), (run.covariance, covariance)):
        total = sum(shift.values())
        assert close(infinite, leading, 10)
        assert close(total / np.abs(total).max(), found / np.abs(total).max(), 6)
        assert np.linalg.norm(found) > 0.1
    total = sum(run.ntk_change.values())
    assert close(total / np.abs(total).max(), change[1] / np.abs(total).max(), 6)


@pytest.mark.parametrize("name", ["cum_HH", "cum_zzH", "cum_dHz", "mean_I", "mean_II"])
def test_control_every_cumulant_counts(name):
    """Negative control: a per cent more of one of them is noticed in the covariance."""
    run, root, h, y = random_cumulants()
    _, (_, found), _ = averaged(run, root, h, y)
    wrong, *_ = random_cumulants()
    setattr(wrong, name, 1.01 * getattr(wrong, name))
    total = sum(wrong.covariance[1].values())
    assert not close(total / np.abs(total).max(), found / np.abs(total).max(), 5)


def test_outputs_turn_together():
    """For y -> y O the mean turns and the covariance turns twice; exact for any number of steps."""
    turn = np.linalg.qr(np.random.default_rng(5).standard_normal((3, 3)))[0]
    eta = rate(0.5)
    for steps in (1, 7):
        _, mean = discrete_training.mean(tensors(), THREE, 20, 2, eta, steps)
        _, turned = discrete_training.mean(tensors(), THREE @ turn, 20, 2, eta, steps)
        assert close(mean @ turn, turned, 12)
        _, covariance = discrete_training.covariance(tensors(), THREE, 20, 2, eta, steps)
        _, turned = discrete_training.covariance(tensors(), THREE @ turn, 20, 2, eta, steps)
        assert close(turn.T @ covariance @ turn, turned, 12)
        assert np.abs(covariance[0, 0] - np.diag(np.diag(covariance[0, 0]))).max() > 1e-4


def test_before_training_the_covariance_is_that_of_the_network():
    """No step: K + K_1/n; and at infinite width, after many, the formula of chapter 10."""
    infinite, shift = discrete_training.covariance(tensors(), ONE, 20, 2, 0.1, 0)
    assert close(infinite[0, 0], tensors()["K"][2, 2], 14)
    assert close(shift[0, 0], tensors()["K_1"][2, 2] / 20, 14)
    K, theta = tensors()["K"], tensors()["Theta"]
    regression = np.array([*(-theta[2, :2] @ np.linalg.inv(theta[:2, :2])), 1.0])
    infinite, _ = discrete_training.covariance(tensors(), ONE, 20, 2, rate(0.5), 300)
    assert close(infinite[0, 0], regression @ K @ regression, 12)


# The derivation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", ["P", "U"])
def test_control_a_slip_in_the_derivation_is_noticed(letter, monkeypatch):
    """Negative control: the script's formulas with a per cent more of one letter are not what rg.trained says."""
    monkeypatch.syspath_prepend(ROOT / "derivations")
    script = runpy.run_path(str(ROOT / "derivations" / "end_of_training.py"))
    found = tensors() | {letter: 1.01 * tensors()[letter]}
    with pytest.raises(AssertionError, match="NTK"):
        script["end_of_training"](found, ONE, 0.4)
