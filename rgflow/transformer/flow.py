"""``transformer_flow``: kernel and tangent kernel over pairs of tokens, from the stem through blocks to the head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.checks import whole
from rgflow.errors import AccuracyError, InputError
from rgflow.labelled import dataset
from rgflow.network.tokens import Tokens, tokens
from rgflow.network.transformer import Transformer
from rgflow.progress import progress_bar
from rgflow.seeds import seed_sequence, seed_text
from rgflow.transformer.blocks import transformer_chain
from rgflow.transformer.step import Values
from rgflow.version import __version__

if TYPE_CHECKING:
    import xarray

Array = NDArray[np.float64]
REPLICAS = 16  # independent flows, whose spread is the error
CONVENTIONS = (
    "leading order in 1/width and 1/heads (corrections O(H/n) and O(1/H)); block 0 is the stem, the last one the head; "
    "K is E[z z'] of one neuron, Theta sums Lambda/fan_in (dz/dw)(dz'/dw), by group of parameters in Theta_by_group; "
    "NAME_error is one standard error"
)


def transformer_flow(
    net: Transformer, inputs: Any, *, draws: int = 2**14, seed: Any = 0, progress: bool = False
) -> xarray.Dataset:
    r"""Kernel and tangent kernel of a transformer at initialisation, at leading order, for every pair of tokens.

    .. math:: K^{(\ell+1)} = K^{(\ell)} + \text{branch}, \qquad \Theta^{(\ell+1)} = \Theta^{(\ell)} + \text{branch}

    with the branches of :func:`rgflow.transformer_chain`, which are derived from the definition of a block. Tokens of
    all inputs are indices of one kernel; attention mixes those of an input. Averages over softmax rows are drawn.

    Parameters
    ----------
    net : Transformer
    inputs : array
        Patches (T, n_in) or (N, T, n_in); words (T,) or (N, T).
    draws : int
        Evaluations of softmax rows in an attention block, at least 16: 16 independent flows share them. Rounded up to
        16 times a power of two.
    seed : int, SeedSequence, Generator or None
    progress : bool

    Returns
    -------
    xarray.Dataset
        Dims ``block`` (0 the stem, last the head; coordinate ``kind``), ``token0``, ``token1`` and, if N inputs were
        given with an axis of their own, ``sample0``, ``sample1``: K, Theta and Theta_by_group (dim ``group``). With
        pooling also K_pooled, Theta_pooled and Theta_pooled_by_group, of the averaged outputs. Each has NAME_error, one
        standard error from the spread of the 16 flows; 0 where no softmax is drawn (one token, no queries, no
        attention). Averages over neurons are exact to ``attrs["quadrature_error"]``. Truncation error O(H/n) + O(1/H);
        a tied head is that of words that no token is.

    Raises
    ------
    InputError
        For inputs that the transformer does not take.
    KinkError
        For an activation that jumps.
    AccuracyError
        Where an average cannot be computed, and where the kernel overflows.

    Source: Dinan, Yaida and Zhang, arXiv:2304.02034, sections 2 and 3.

    >>> net = Transformer(width=64, heads=4, blocks=1, n_in=3, positions=4, C_Q=0.0)
    >>> ds = transformer_flow(net, np.eye(3))
    >>> ds.K.dims, ds.kind.values.tolist(), float(ds.K_error.max())
    (('block', 'token0', 'token1'), ['stem', 'attention', 'mlp', 'head'], 0.0)
    """
    shown = tokens(net, inputs)
    number = whole("draws", draws, REPLICAS)
    sequence = seed_sequence(seed)
    each = 1 << (-(-number // REPLICAS) - 1).bit_length()
    values = _start(net, shown, each, tuple(sequence.spawn(REPLICAS)))
    kernels, tangents = [values.K["z"]], [values.Theta["z"]]
    with progress_bar(progress, "blocks", len(net.blocks)) as advance, np.errstate(over="ignore", invalid="ignore"):
        for place, kind in enumerate(net.blocks, 1):
            values.through(transformer_chain(net, kind))
            values.K["z"], values.Theta["z"] = values.K["z'"], values.Theta["z'"]
            if not (np.isfinite(values.K["z"]).all() and np.isfinite(values.Theta["z"]).all()):
                raise AccuracyError(
                    f"kernels overflow at block {place}; lower variances and rates, or take norm='layer'"
                )
            kernels.append(values.K["z"])
            tangents.append(values.Theta["z"])
            advance(1)
    values.through(transformer_chain(net, "head"))
    kernels.append(values.K["out"])
    tangents.append(values.Theta["out"])
    about = {
        "kind": "transformer",
        "order": 0,
        "conventions": CONVENTIONS,
        "transformer": net.to_json(),
        "activation": net.activation.formula_text,
        "draws": each * REPLICAS,
        "seed": seed_text(sequence),
        "quadrature_error": values.worst,
        "rgflow_version": __version__,
    }
    return _dataset(net, shown, _estimates(net, shown, kernels, tangents), about)


def allowed(net: Transformer, length: int, inputs: int) -> NDArray[np.bool_]:
    """(A, A): whether a token attends to another; those of another input never are."""
    within = np.ones((length, length), bool)
    if net.mask == "causal":
        within = np.tril(within)
    return np.asarray(np.kron(np.eye(inputs, dtype=bool), within))


def _start(net: Transformer, shown: Tokens, draws: int, sequences: tuple[np.random.SeedSequence, ...]) -> Values:
    """The stem, of inputs that are not trained."""
    values = Values(net, allowed(net, shown.length, shown.inputs), draws, sequences)
    for name, overlap in (("input", shown.overlap), ("position", shown.position)):
        values.K[name] = overlap[None]
        values.Theta[name] = np.zeros((len(net.groups), 1, *overlap.shape))
    values.through(transformer_chain(net, "stem"))
    if not (np.isfinite(values.K["z"]).all() and np.isfinite(values.Theta["z"]).all()):
        raise InputError("inputs hold values so large that the kernel of the stem overflows; rescale them")
    return values


def _estimates(
    net: Transformer, shown: Tokens, kernels: list[Array], tangents: list[Array]
) -> dict[str, tuple[Array, Array]]:
    """Mean and standard error over replicas; with pooling of the averages over tokens of the last entries, too."""
    found = {
        "K": _stacked(kernels),
        "Theta": _stacked([tangent.sum(axis=0) for tangent in tangents]),
        "Theta_by_group": _stacked(tangents),
    }
    if net.pooling == "mean":
        # A sum over tokens is a map without parameters: y = sum_t z_t / T.
        mean = np.kron(np.eye(shown.inputs), np.full((1, shown.length), 1 / shown.length))
        last, tangent = mean @ kernels[-1] @ mean.T, mean @ tangents[-1] @ mean.T
        for name, array in (("K", last), ("Theta", tangent.sum(axis=0)), ("Theta_by_group", tangent)):
            value, error = _stacked([array])
            found[name.replace("_by", "_pooled_by") if "_by" in name else f"{name}_pooled"] = value[0], error[0]
    return found


def _stacked(arrays: list[Array]) -> tuple[Array, Array]:
    """Of arrays (..., R, A, A) for each block: mean over R and its standard error, (blocks, ..., A, A)."""
    values, errors = [], []
    for array in arrays:
        count = array.shape[-3]
        values.append(array.mean(axis=-3))
        errors.append(array.std(axis=-3, ddof=1) / np.sqrt(count) if count > 1 else np.zeros_like(values[-1]))
    return np.array(values), np.array(errors)


def _dataset(
    net: Transformer, shown: Tokens, found: dict[str, tuple[Array, Array]], about: dict[str, Any]
) -> xarray.Dataset:
    """Values and errors over blocks (blocks, [groups], A, A), of pooled outputs ([groups], N, N)."""
    variables: dict[str, Any] = {}
    for name, (value, error) in found.items():
        pooled = "pooled" in name
        front = [*([] if pooled else ["block"]), *(["group"] if name.endswith("group") else [])]
        variables[name] = shown.unfolded(value, front, pooled)
        variables[f"{name}_error"] = shown.unfolded(error, front, pooled)
    kinds = ["stem", *net.blocks, "head"]
    coordinates = {"block": list(range(len(kinds))), "kind": ("block", kinds), "group": list(net.groups)}
    return dataset(variables, coordinates, about)
