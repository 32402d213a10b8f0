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

import numpy as np

import rgflow as rg

INPUTS = np.array([[1.0, 0.5], [-0.6, 1.2], [0.9, -0.8]])  # two to train on, one to test
N, n = 2, 40
LETTERS = ("K", "Theta", "A", "B", "P", "Q", "R", "S", "T", "U")
NUMBERS = {
    "NTK mean": -0.0034053,
    "NTK fluctuation": 0.4413246,
    "dNTK": -0.0718404,
    "ddNTK I": 1.3962328,
    "ddNTK II": -1.2670996,
}


def network(outputs: int) -> rg.MLP:
    """sin, three layers of weights."""
    return rg.MLP([2, n, n, outputs], "sin", C_b=0.2, C_W=1.2, lambda_b=0.3, lambda_W=0.5)


def algorithm(theta: np.ndarray, eta: float) -> dict[str, np.ndarray]:
    """The sums over times as formulas in Theta and u; N = 2 samples, four or six indices."""
    one, u = np.eye(N), np.linalg.inv(theta)
    decay = one - eta * theta
    in_two = np.einsum("ac,bd->abcd", one, one) - np.einsum("ac,bd->abcd", decay, decay)
    in_three = np.einsum("ad,be,cf->abcdef", one, one, one) - np.einsum("ad,be,cf->abcdef", decay, decay, decay)
    X_II = eta * np.linalg.inv(in_two.reshape(N**2, -1)).reshape((N,) * 4)
    X_III = eta * np.linalg.inv(in_three.reshape(N**3, -1)).reshape((N,) * 6)
    uX = np.einsum("ci,bigh->bcgh", u, X_II)
    return {
        "X_II": X_II,
        "X_III": X_III,
        "Y_1": np.einsum("abde,cf->abcdef", X_II, u) - np.einsum("cg,abgdef->abcdef", u, X_III),
        "Y_2": np.einsum("ac,bd->abcd", u, u) - np.einsum("be,aecd->abcd", u, X_II),
        "Y_3": np.einsum("ad,be,cf->abcdef", u, u, u)
        - np.einsum("bg,agde,cf->abcdef", u, X_II, u)
        - np.einsum("ad,cg,bgef->abcdef", u, u, X_II)
        + np.einsum("bcgh,aghdef->abcdef", uX, X_III),
        "Y_4": np.einsum("ad,bcef->abcdef", u, X_II) - np.einsum("bcgh,aghdef->abcdef", X_II, X_III),
    }


def sums_over_times(theta: np.ndarray, eta: float, steps: int) -> dict[str, np.ndarray]:
    """The same, term by term."""
    E, decay = np.eye(N), np.eye(N) - eta * theta
    one, two, ordered = np.zeros((N, N)), np.zeros((N,) * 4), np.zeros((N,) * 4)
    found = {name: np.zeros((N,) * (4 if name in ("X_II", "Y_2") else 6)) for name in ("X_III", "Y_1", "Y_3", "Y_4")}
    for _ in range(steps):  # one, two, ordered: the sums over s < t of E_s, E_s E_s, and over r < s < t of E_s E_r
        found["X_III"] += eta * np.einsum("ad,be,cf->abcdef", E, E, E)
        found["Y_1"] += eta * np.einsum("ad,be,cf->abcdef", E, E, one)
        found["Y_3"] += eta * np.einsum("ad,bcef->abcdef", E, ordered)
        found["Y_4"] += eta * np.einsum("ad,bcef->abcdef", E, two)
        ordered = ordered + eta * np.einsum("ac,bd->abcd", E, one)
        two = two + eta * np.einsum("ac,bd->abcd", E, E)
        one = one + eta * E
        E = decay @ E
    return found | {"X_II": two, "Y_2": ordered}


def shift(letters: dict[str, np.ndarray], y: np.ndarray, eta: float) -> dict[str, np.ndarray]:
    """n times each part of the shift of the mean prediction, the formulas of the last chapter; y is (N, n_L)."""
    n_L = y.shape[1]
    K, theta = letters["K"][:N, :N], letters["Theta"][:N, :N]
    u, time = np.linalg.inv(theta), algorithm(theta, eta)
    Y_3 = time["Y_3"]
    Z_A = time["Y_2"]
    Z_B = Z_A + eta / 2 * time["X_II"]
    Z_IIA = -Y_3
    Z_IA = Z_IIA - eta / 2 * time["Y_4"]
    Z_IB = Z_IA - eta / 2 * time["Y_1"] - eta**2 / 6 * time["X_III"]
    Z_IIB = (
        Z_IIA - np.einsum("bacedf->abcdef", Y_3) - np.einsum("acbdfe->abcdef", Y_3) - eta * (time["Y_4"] + time["Y_1"])
    )
    Z_BB = Z_B + np.einsum("badc->abcd", Z_B)
    Z_III = Z_IB + np.einsum("bcaefd->abcdef", Z_IB) + np.einsum("cabfde->abcdef", Z_IB)
    gamma = np.einsum("di,ef->defi", y, y @ y.T + n_L * K) + np.einsum("ei,fd->defi", y, K)
    gamma = gamma + np.einsum("fi,de->defi", y, K)

    def minus(name: str, order: str, projector: np.ndarray, places: str, right: np.ndarray) -> np.ndarray:
        """-X_order Z^places right: d is delta; the last indices of the projector go with right."""
        tensor = letters[name][tuple(slice(None) if i == "x" else slice(0, N) for i in order)]
        tail = sorted(set(places) - set(order))
        return -np.einsum(f"{order},{places},{''.join(tail)}i->xi", tensor, projector, right)

    uu = np.einsum("ab,cd->abcd", u, u)
    direct = {
        "NTK fluctuation": minus("A", "xabc", uu, "abcd", y)
        + minus("B", "xbac", uu, "abcd", y)
        + n_L * minus("B", "xcab", uu, "abcd", y),
        "dNTK": minus("P", "xabc", Z_BB, "abcd", y)
        + minus("Q", "xabc", Z_BB, "abcd", y)
        + n_L * minus("Q", "xbac", Z_BB, "abcd", y)
        + n_L * minus("P", "axbc", Z_A, "abcd", y)
        + minus("Q", "axbc", Z_A, "abcd", y)
        + minus("Q", "abxc", Z_A, "abcd", y)
        + minus("P", "axbc", Z_A, "abdc", y)
        + n_L * minus("Q", "axbc", Z_A, "abdc", y)
        + minus("Q", "abxc", Z_A, "abdc", y),
        "ddNTK I": minus("R", "xabc", Z_III, "abcdef", gamma)
        + minus("R", "axbc", Z_IA, "abcdef", gamma)
        + minus("R", "abcx", Z_IA, "abcefd", gamma)
        + minus("R", "acxb", Z_IA, "abcfde", gamma),
        "ddNTK II": minus("S", "xabc", Z_IIB, "abcdef", gamma)
        + minus("T", "xabc", Z_IIB, "cabfde", gamma)
        + minus("U", "xabc", Z_IIB, "bcaefd", gamma)
        + minus("S", "abxc", Z_IIA, "abcefd", gamma)
        + minus("T", "axcb", Z_IIA, "abcdef", gamma)
        + minus("U", "acbx", Z_IIA, "abcfde", gamma),
        "NTK mean": letters["Theta_1"][:, :N] @ u @ y,
    }
    across = letters["Theta"][N:, :N] @ u
    return {name: m[N:] - across @ m[:N] for name, m in direct.items()}


def letters() -> dict[str, np.ndarray]:
    ds = rg.flow(network(1), INPUTS, tensors=list(LETTERS), order=1)
    return {name: ds[name].values[-1] for name in (*LETTERS, "Theta_1")}


def projectors(theta: np.ndarray, eta: float) -> None:
    """2 samples, 400 steps: what is left of the sums is below the rounding."""
    added = sums_over_times(theta, eta, 400)
    for name, formula in algorithm(theta, eta).items():
        np.testing.assert_allclose(formula, added[name], rtol=1e-11, atol=1e-12)
    print(f"{', '.join(sorted(added))}: equal to sums over times")


def end_of_training(found: dict[str, np.ndarray], y: np.ndarray, share: float) -> None:
    """Every part of the shift; the letters are good to 1e-10, and parts partly cancel."""
    eta = share / np.linalg.eigvalsh(found["Theta"][:N, :N]).max()
    ds = rg.trained(network(y.shape[1]), train=(INPUTS[:N], y), test=INPUTS[N:], learning_rate=eta)
    typed = shift(found, y, eta)
    across = found["Theta"][N:, :N] @ np.linalg.inv(found["Theta"][:N, :N])
    np.testing.assert_allclose(ds["mean_infinite"].values, across @ y, rtol=1e-9)
    for name, formula in typed.items():
        derived = n * ds["mean_shift_part"].sel(part=name).values
        np.testing.assert_allclose(derived, formula, rtol=1e-7, atol=1e-9, err_msg=name)
        if y.shape[1] == 1 and share == 0.5:
            np.testing.assert_allclose(formula, NUMBERS[name], atol=1e-7)
    np.testing.assert_allclose(n * ds["mean_shift"].values, sum(typed.values()), rtol=1e-7, atol=1e-9)
    parts = ", ".join(f"{name} {value[0, 0]:+.7f}" for name, value in typed.items())
    print(f"{y.shape[1]} outputs, eta = {share}/lambda_max: {parts}: equal to rg.trained")


if __name__ == "__main__":
    found = letters()
    theta = found["Theta"][:N, :N]
    for share in (0.5, 1.5):
        projectors(theta, share / np.linalg.eigvalsh(theta).max())
    one, three = np.array([[1.2], [-0.7]]), np.array([[1.2, -0.7, 0.4], [-0.7, 0.3, 1.1]])
    for y, share in ((one, 0.5), (one, 1.5), (three, 0.5)):
        end_of_training(found, y, share)
