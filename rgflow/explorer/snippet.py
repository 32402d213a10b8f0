"""A Python program that gives the numbers and the picture of a state, by the public names alone."""

from __future__ import annotations

from rgflow.explorer.first_order import TENSORS
from rgflow.explorer.state import State
from rgflow.network import Layer


def snippet(state: State, order: int, networks: int = 0, seed: int = 0) -> str:
    """The program as text.

    Parameters
    ----------
    state : State
    order : int
        The order in 1/n that the page shows.
    networks, seed : int
        Of the sampling check, if there was one.

    >>> from rgflow.explorer.state import state_of
    >>> print(snippet(state_of({"activation": "relu", "C_W": 2}), 1).splitlines()[4])
    net = rg.MLP.uniform(n_in=128, width=128, depth=32, activation='relu', C_W=2.0)
    """
    tensors = list(TENSORS) if order else ["K", "Theta"]
    first = f"first_kernel={state['first_kernel']!r}"
    lines = [
        '"""What the explorer of rgflow showed: the same numbers and the same picture."""',
        "import rgflow as rg",
        "from rgflow.plots import plot_flow, write_picture",
        "",
        *_network(state),
        f"ds = rg.flow(net, {first}, tensors={tensors}, order={order})  # coefficients, layer by layer",
    ]
    if order:
        lines.append("totals = rg.total(ds)  # K + K_1/n with the estimate of what is left out in K_error")
        lines.append("vertex = ds.V / (ds.fan_in * ds.K**2)  # the relative variance of the kernel, V/(nK^2)")
    lines.append(f'chi_perpendicular = rg.partial_jacobian(net, {first})["chi_J"]  # of the step to the next layer')
    sampled = ""
    if networks:
        sampled = ", mc"
        lines.append(
            f"mc = rg.sample(net, {first}, tensors={tensors}, networks={networks}, seed={seed})  # real networks"
        )
    lines += ["", f'write_picture(plot_flow(ds{sampled}), "flow.png")', 'rg.save(ds, "flow.nc")', ""]
    return "\n".join(lines)


def _network(state: State) -> list[str]:
    width, depth = state.width, state.depth
    if state.layer == "dense":
        given = _given(state.inner)
        return [
            f"net = rg.MLP.uniform(n_in={width}, width={width}, depth={depth}, activation={state.activation!r}{given})"
        ]
    return [
        f"end = rg.{_call(state.ends)}",
        f"layer = rg.{_call(state.inner)}",
        f"net = rg.Network([end, *[layer] * {depth - 2}, end], [{width}] * {depth + 1}, {state.activation!r})",
    ]


def _call(layer: Layer) -> str:
    return f"{type(layer).__name__}({_given(layer).removeprefix(', ')})"


def _given(layer: Layer) -> str:
    """The numbers that differ from those of the description."""
    plain = type(layer)()
    names = [*layer.hyperparameters(), *(["place"] if hasattr(layer, "place") else [])]
    return "".join(f", {n}={getattr(layer, n)!r}" for n in names if getattr(layer, n) != getattr(plain, n))
