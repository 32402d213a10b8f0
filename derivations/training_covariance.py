r"""PDLT, chapters 10, 11 and the last: the spread of trained networks, and what training does to the NTK, at order 1/n.

Assumptions: those of end_of_training, one output, gradient flow to its end, u = Theta^-1 on the training samples.

The way. A network whose tangent kernel H stays what it was ends at z_delta - H_da H^-1_ab (z_b - y_b). With
H = Theta + Delta and the hat of an index, O_^d = O_d - Theta_da u_ab O_b, this is to second order

    z_d = Theta_da u_ab y_b + z_^d - Delta_^da u_ab eps_b + Delta_^da u_ab Delta_bc u_cd eps_d,         eps = z - y,

and covariances over networks follow from the tables of letters: K_1, Theta_1, D, F, A, B. What learning adds starts at
dNTK and ddNTK. In modes of Theta the flow is eps_a(t) = exp(-theta_a t) eps_a, and to Taylor's third order about the
start (each direction pulled at its time, a gradient that has turned after what turned it)

    z_d   += dH_dab eps_a eps_b / (2 theta_a theta_b)  +  dH_adb eps_a eps_b / (theta_a (theta_a + theta_b)),

with the hat on d for what the training outputs take back. Its covariance with z_^d joins E[dH z] = P + Q + Q to one
more pair of outputs. The kernel itself becomes

    H_dd' -= (dH_dd'a + dH_d'da) eps_a / theta_a
    H_dd' += (ddI_dd'ab + ddI_d'dab) eps_a eps_b / (2 theta_a theta_b)  +  ddII_dd'ab eps_a eps_b / (theta_a theta_b)
           + (ddII_dad'b + ddII_d'adb) eps_a eps_b / (theta_a (theta_a + theta_b)).

Engine: rg.trained for the parts of the covariance and for ntk_change; rg.flow for the letters that the formulas take.

Source: PDLT, sections 10.2, 11.1, 11.2 and the last chapter, which give the mean; the covariance is typed from the
expansion above.
"""

import numpy as np

import rgflow as rg

INPUTS = np.array([[1.0, 0.5], [-0.6, 1.2], [0.9, -0.8], [0.2, 0.4]])  # two to train on, two to test
y = np.array([1.2, -0.7])
N, n = 2, 40
LETTERS = ("K", "Theta", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U")


def letters(net: rg.MLP) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Eigenvalues of Theta, and the letters on its modes, followed by hatted test samples and by plain ones."""
    ds = rg.flow(net, INPUTS, tensors=list(LETTERS), order=1)
    found = {name: ds[name].values[-1] for name in (*LETTERS, "K_1", "Theta_1")}
    theta, modes = np.linalg.eigh(found["Theta"][:N, :N])
    plain = np.eye(len(INPUTS))
    plain[:N, :N] = modes
    hat = plain.copy()
    hat[:N, N:] = -np.linalg.inv(found["Theta"][:N, :N]) @ found["Theta"][:N, N:]
    return theta, *({name: turned(array, basis) for name, array in found.items()} for basis in (hat, plain))


def turned(array: np.ndarray, basis: np.ndarray) -> np.ndarray:
    for axis in range(array.ndim):
        array = np.moveaxis(np.tensordot(array, basis, (axis, 0)), -1, axis)
    return array


def kernel_with_kernel(X: dict[str, np.ndarray]) -> np.ndarray:
    """E[Delta_12 Delta_34] of one output."""
    return X["A"] + X["B"].transpose(0, 2, 1, 3) + X["B"].transpose(0, 2, 3, 1)


def differential_with_output(X: dict[str, np.ndarray]) -> np.ndarray:
    """E[dH_012 z_3] of one output."""
    return X["P"] + X["Q"] + X["Q"].transpose(0, 2, 1, 3)


def covariance(X: dict[str, np.ndarray], theta: np.ndarray, eps: np.ndarray) -> dict[str, np.ndarray]:
    """n times the parts of the covariance; X with hats on test samples, eps = -y in modes."""
    test, train = slice(N, None), slice(N)
    u = 1 / theta
    second = np.outer(eps, eps) + X["K"][train, train]  # E[eps_a eps_b]
    K_t = X["K"][test, train]
    DF = X["D"] + X["F"].transpose(0, 2, 1, 3) + X["F"].transpose(0, 2, 3, 1)  # E[z_1 z_2 Delta_34]
    HH = kernel_with_kernel(X)
    found = {"prior": X["K_1"][test, test]}
    once = -np.einsum("xa,ya,a->xy", K_t, X["Theta_1"][test, train], u)
    found["NTK mean"] = once + once.T
    once = -np.einsum("xaya,a->xy", DF[test, train, test, train], u)
    found["NTK with prior"] = once + once.T
    twice = np.einsum("xayb,a,b,ab->xy", HH[test, train, test, train], u, u, second)
    once = np.einsum("xd,yaad,a,d->xy", K_t, HH[test, train, train, train], u, u)
    found["NTK fluctuation"] = twice + once + once.T
    # dNTK: each of eps_a, eps_b and z_x may be the partner of dH, the other two pair up
    C = differential_with_output(X)
    pair, chain = 1 / (2 * np.outer(theta, theta)), 1 / (theta[:, None] * (theta[:, None] + theta[None, :]))
    dH, turned_dH = C[test, train, train, :], C[train, test, train, :].transpose(1, 0, 2, 3)  # y a b with its partner
    weighted = pair[None, :, :, None] * dH + chain[None, :, :, None] * turned_dH
    once = np.einsum("yabx,ab->xy", weighted[..., test], second)
    once += np.einsum("yaba,xb->xy", weighted[..., train], K_t) + np.einsum("yabb,xa->xy", weighted[..., train], K_t)
    found["dNTK"] = once + once.T
    return found


def ntk_change(X: dict[str, np.ndarray], theta: np.ndarray, eps: np.ndarray) -> np.ndarray:
    """n times the change of the NTK between test samples; X without hats."""
    test, train = slice(N, None), slice(N)
    second = np.outer(eps, eps) + X["K"][train, train]
    C = differential_with_output(X)
    R, U, T = X["R"], X["U"], X["T"]
    first = R + R.transpose(0, 3, 1, 2) + R.transpose(0, 2, 3, 1)  # E[ddI_0123] = R_0123 + R_0231 + R_0312
    both = X["S"] + T.transpose(0, 3, 1, 2) + U.transpose(0, 2, 3, 1)  # E[ddII_1234] = S_1234 + T_1342 + U_1423
    pair, chain = 1 / np.outer(theta, theta), 1 / (theta[:, None] * (theta[:, None] + theta[None, :]))
    left = -np.einsum("xyaa,a->xy", C[test, test, train, train], 1 / theta)
    left += np.einsum("xyab,ab,ab->xy", first[test, test, train, train], pair / 2, second)
    left += np.einsum("xayb,ab,ab->xy", both[test, train, test, train], chain, second)
    return left + left.T + np.einsum("xyab,ab,ab->xy", both[test, test, train, train], pair, second)


def check(activation: str, hidden: int) -> None:
    """The letters are good to 1e-10."""
    net = rg.MLP([2, *[n] * hidden, 1], activation, C_b=0.2, C_W=1.2, lambda_b=0.3, lambda_W=0.5)
    theta, hatted, plain = letters(net)
    ds = rg.trained(net, train=(INPUTS[:N], y), test=INPUTS[N:])
    modes = np.linalg.eigh(rg.flow(net, INPUTS[:N], tensors="Theta", order=0)["Theta"].values[-1])[1]
    eps = -modes.T @ y
    for name, typed in covariance(hatted, theta, eps).items():
        derived = n * ds["covariance_shift_part"].sel(part=name).values[..., 0, 0]
        np.testing.assert_allclose(derived, typed, rtol=1e-8, atol=1e-10, err_msg=name)
    change = n * ds["ntk_change"].values[..., 0, 0]
    np.testing.assert_allclose(change, ntk_change(plain, theta, eps), rtol=1e-8, atol=1e-10)
    print(f"{activation}, {hidden} hidden: parts of the covariance, and the NTK moves by {change[0, 0]:+.4f}/n: equal")


if __name__ == "__main__":
    for activation, hidden in (("sin", 1), ("sin", 2), ("tanh", 1)):
        check(activation, hidden)
