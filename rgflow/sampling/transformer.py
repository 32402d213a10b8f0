"""``sample_transformer``: draw real transformers of finite width, measure kernel and tangent kernel of every block."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.checks import whole
from rgflow.errors import AccuracyError, InputError, KinkError, UnknownName
from rgflow.labelled import dataset
from rgflow.network.tokens import Tokens, tokens
from rgflow.network.transformer import BLOCKS as PARTS
from rgflow.network.transformer import Transformer
from rgflow.progress import progress_bar
from rgflow.sampling.attention import BLOCKS, Attention, Normed, Perceptron, drawn, overlaps, squared
from rgflow.seeds import seed_sequence, seed_text
from rgflow.version import __version__

if TYPE_CHECKING:
    import xarray

Array = NDArray[np.float64]
CONVENTIONS = (
    "means over networks of finite width; K is the average of z z' over neurons, Theta sums Lambda/fan_in "
    "(dz/dw)(dz'/dw) for single neurons, by group in Theta_by_group; NAME_se is one standard error"
)


def sample_transformer(
    net: Transformer,
    inputs: Any,
    *,
    tensors: Iterable[str] | str = ("K", "Theta"),
    networks: int = 100,
    seed: Any = None,
    neurons: int = 4,
    memory: int = 2**28,
    progress: bool = False,
) -> xarray.Dataset:
    """Kernel and exact tangent kernel of real transformers, their mean over random draws and its standard error.

    Every network is drawn at its own width, shown the inputs, and differentiated in reverse by all its parameters.

    Parameters
    ----------
    net : Transformer
    inputs : array
        Patches (T, n_in) or (N, T, n_in); words (T,) or (N, T).
    tensors : names
        "K", "Theta" or both; K alone needs no gradients.
    networks : int
        At least 2.
    seed : int, SeedSequence, Generator or None
        The same seed gives the same networks whatever ``memory`` is.
    neurons : int
        Output neurons whose tangent kernel is averaged in each network; at most those of the head.
    memory : int
        Bytes for the networks in work.
    progress : bool

    Returns
    -------
    xarray.Dataset
        The variables and dims of :func:`rgflow.transformer_flow`, with NAME_se in the place of NAME_error: all orders
        in 1/n. A tied head is measured at words that no token is.

    Raises
    ------
    InputError
        For values outside their domain, and a tied head if every word is a token.
    KinkError
        For the tangent kernel of MLP blocks with an activation that jumps.
    AccuracyError
        When a network overflows, or its LayerNorm divides zero by zero.

    >>> net = Transformer(width=16, heads=2, blocks=1, n_in=3, positions=4)
    >>> ds = sample_transformer(net, np.eye(3), networks=4, seed=1)
    >>> ds.Theta_by_group.dims
    ('block', 'group', 'token0', 'token1')
    """
    shown = tokens(net, inputs)
    theta = "Theta" in _names(tensors)
    if theta and "mlp" in net.blocks and not net.activation.continuous:
        raise KinkError(
            f"gradients of {net.activation.name} hold sigma', which is no function at its jump; ask for tensors='K'"
        )
    count = whole("networks", networks, 2)
    outputs = _outputs(net, shown)
    chosen = outputs[: min(whole("neurons", neurons, 1), net.width)]
    sequence = seed_sequence(seed)
    moments: dict[str, _Moments] = defaultdict(_Moments)
    size = max(1, whole("memory", memory, 1) // _bytes(net, shown, len(chosen)))
    with (
        progress_bar(progress, "sampling transformers", count) as advance,
        np.errstate(over="ignore", invalid="ignore"),
    ):
        for start in range(0, count, size):
            some = min(size, count - start)
            generators = [np.random.default_rng(child) for child in sequence.spawn(some)]
            measured = _measured(net, shown, generators, outputs, chosen if theta else None)
            for name, values in _with_pooled(net, shown, measured).items():
                moments[name].add(values)
            advance(some)
    if not all(np.isfinite(x).all() for moment in moments.values() for x in (moment.mean, moment.error)):
        raise AccuracyError(
            "a transformer overflows; lower C_U, C_X or the depth, rescale inputs, or take norm='layer'"
        )
    about = {
        "kind": "sampled transformer",
        "conventions": CONVENTIONS,
        "transformer": net.to_json(),
        "activation": net.activation.formula_text,
        "networks": count,
        "seed": seed_text(sequence),
        "rgflow_version": __version__,
    }
    return _dataset(net, shown, moments, about)


def _outputs(net: Transformer, shown: Tokens) -> NDArray[np.intp]:
    """The neurons of the head; of a tied one those whose word no token is."""
    outputs = np.arange(net.n_out)
    if net.tied:
        outputs = np.setdiff1d(outputs, shown.values)
        if not outputs.size:
            raise InputError("every word of the vocabulary is a token; a tied head is measured at other words")
    return outputs


def _bytes(net: Transformer, shown: Tokens, neurons: int) -> int:
    """Roughly what one network takes: its weights, and the gradients that are sent back."""
    starts = len(net.blocks) + 2
    tokens_ = shown.inputs * shown.length
    gradients = starts * neurons * tokens_ * shown.length * net.width * (2 * net.M + 6)
    grams = starts * neurons * (tokens_ * shown.length) ** 2
    return 8 * (sum(net.parameters.values()) + gradients + grams + tokens_ * net.width * 20 * starts)


def _measured(
    net: Transformer,
    shown: Tokens,
    generators: list[np.random.Generator],
    outputs: NDArray[np.intp],
    chosen: NDArray[np.intp] | None,
) -> dict[str, Array]:
    """Of each network K (M, blocks, A, A) and, of some neurons, Theta_by_group (M, blocks, groups, A, A), A = N T."""
    stem = {name: drawn(net, name, generators) for name in ("patch" if net.stem == "patch" else "WE", "PE")}
    z = _embedded(net, shown, stem)
    kernels = [overlaps(z) / net.width]
    layers: list[Attention | Perceptron] = []
    for kind in net.blocks:
        weights = {group: drawn(net, group, generators) for group in PARTS[kind]}
        layers.append(BLOCKS[kind](net, Normed(net, z), weights))
        z = layers[-1].forward()
        kernels.append(overlaps(z) / net.width)
    last = Normed(net, z)
    head = stem["WE"].swapaxes(-1, -2) / np.sqrt(net.width) if net.tied else drawn(net, "head", generators)
    bias = np.zeros((len(generators), net.n_out)) if net.tied else drawn(net, "bhead", generators)
    out = np.einsum("moj,matj->mato", head, last.s, optimize=True) + bias[:, None, None]
    kernels.append(overlaps(out[..., outputs]) / len(outputs))

    if chosen is None:
        return {"K": np.stack(kernels, axis=1)}
    theta = np.zeros((len(generators), len(kernels), len(net.groups), *kernels[0].shape[1:]))
    own = overlaps(last.s) / net.width
    if net.tied:
        theta[:, -1, net.groups.index("WE")] += net.Lambda_WE * own
    else:
        theta[:, -1, net.groups.index("head")] += net.Lambda_head * own
        theta[:, -1, net.groups.index("bhead")] += net.Lambda_bhead
    _send_back(net, shown, theta, layers, last.back(_at_each_token(head[:, chosen], shown)))
    return {"K": np.stack(kernels, axis=1), "Theta": theta.sum(axis=2), "Theta_by_group": theta}


def _send_back(
    net: Transformer, shown: Tokens, theta: Array, layers: list[Attention | Perceptron], gradient: Array
) -> None:
    """Add to theta what reaches every group from the head and, starting on the way down, from the stream of each block.

    gradient : (M, 1, neurons, N, T', T, n), of the head by the last stream
    """
    neurons, stem = gradient.shape[2], "patch" if net.stem == "patch" else "WE"
    single = _at_each_token(np.broadcast_to(np.eye(neurons, net.width), (len(theta), neurons, net.width)), shown)
    for place in range(len(layers), -1, -1):
        gradient = np.concatenate([gradient, single], axis=1)
        starts = [len(layers) + 1 - i for i in range(gradient.shape[1])]
        if place:
            gradient, read = layers[place - 1].back(gradient)
            found = {group: squared(by, overlaps(what)) / net.fan_in(group) for group, (by, what) in read.items()}
        else:
            found = {stem: squared(gradient, shown.overlap[None]), "PE": squared(gradient, shown.position[None])}
        for group, what in found.items():
            theta[:, starts, net.groups.index(group)] += net.value(f"Lambda_{group}") * what


def _embedded(net: Transformer, shown: Tokens, stem: dict[str, Array]) -> Array:
    """The stem, (M, N, T, n)."""
    place = stem["PE"][:, :, : shown.length].swapaxes(1, 2)[:, None]
    if net.stem == "words":
        found = np.moveaxis(stem["WE"][:, :, shown.values], 1, -1)
    else:
        found = np.einsum("mjp,atp->matj", stem["patch"], shown.values, optimize=True)
    return np.asarray(found + place)


def _at_each_token(rows: Array, shown: Tokens) -> Array:
    """Gradients (M, neurons, n) of an output by the token where it is read: (M, 1, neurons, N, T', T, n)."""
    eye = np.eye(shown.length)[:, :, None]
    full = rows[:, None, :, None, None, None, :] * eye
    return np.asarray(np.broadcast_to(full, (*full.shape[:3], shown.inputs, *full.shape[4:])))


class _Moments:
    """Running mean and standard error over networks, the first axis of what is added."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Any = 0.0
        self.squares: Any = 0.0

    def add(self, values: Array) -> None:
        more, mean = len(values), values.mean(axis=0)
        total = self.count + more
        apart = mean - self.mean
        self.squares = self.squares + ((values - mean) ** 2).sum(axis=0) + apart**2 * (self.count * more / total)
        self.mean = self.mean + apart * (more / total)
        self.count = total

    @property
    def error(self) -> Array:
        return np.asarray(np.sqrt(self.squares / (self.count - 1) / self.count))


def _names(tensors: Any) -> tuple[str, ...]:
    names = (tensors,) if isinstance(tensors, str) else tuple(tensors)
    for name in names:
        if name not in ("K", "Theta"):
            raise UnknownName("tensor of a sampled transformer", name, ("K", "Theta"))
    return names


def _with_pooled(net: Transformer, shown: Tokens, measured: dict[str, Array]) -> dict[str, Array]:
    """Of some networks (M, ...): what was measured, and with pooling that of the averaged output."""
    found = dict(measured)
    if net.pooling == "mean":
        split = (shown.inputs, shown.length) * 2
        for name, array in measured.items():
            last = array[:, -1].reshape(*array[:, -1].shape[:-2], *split).mean(axis=(-3, -1))
            found[name.replace("_by", "_pooled_by") if "_by" in name else f"{name}_pooled"] = last
    return found


def _dataset(net: Transformer, shown: Tokens, moments: dict[str, _Moments], about: dict[str, Any]) -> xarray.Dataset:
    variables: dict[str, Any] = {}
    for name, moment in moments.items():
        pooled = "pooled" in name
        front = [*([] if pooled else ["block"]), *(["group"] if name.endswith("group") else [])]
        for variable, array in ((name, moment.mean), (f"{name}_se", moment.error)):
            variables[variable] = shown.unfolded(array, front, pooled)
    kinds = ["stem", *net.blocks, "head"]
    coordinates = {"block": list(range(len(kinds))), "kind": ("block", kinds), "group": list(net.groups)}
    return dataset(variables, coordinates, about)
