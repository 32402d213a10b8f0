"""The work: networks drawn layer by layer, measured at every layer, reduced batch by batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import permutations
from threading import Event

import numpy as np

from rgflow.sampling import draw, statistics
from rgflow.sampling.draw import Array, Purpose, Streams
from rgflow.sampling.estimators import LETTERS, Measurement, metric
from rgflow.sampling.first import FirstLayer
from rgflow.sampling.jets import activate, propagate, tangents
from rgflow.sampling.jets import first_layer as first_jets
from rgflow.sampling.plan import Plan
from rgflow.sampling.tangent import TangentKernel

Record = dict[str, Array]


def all_batches(
    plan: Plan,
    first: FirstLayer,
    sequence: np.random.SeedSequence,
    sizes: Sequence[int],
    chunk: int,
    threads: int,
    advance: Callable[[int], None],
) -> Generator[Record, None, None]:
    """Unbiased estimates of every tensor asked for from each batch, in order; ``advance`` hears of every chunk.

    Few batches are in work or waiting at a time, however many there are.
    """
    stopped = Event()

    def run(batch: int) -> Record:
        record = {
            moment: np.empty((sizes[batch], plan.net.depth - 1, *plan.entries(moment))) for moment in plan.moments
        }
        streams = Streams(sequence, batch)
        # Overflow is looked for in the results, where its layer is known.
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, sizes[batch], chunk):
                if stopped.is_set():
                    break
                count = min(chunk, sizes[batch] - start)
                rows = {name: x[start : start + count] for name, x in record.items()}
                _measure(plan, first, streams, rows, count)
                advance(count)
            return _batch_estimates(plan, record)

    if threads == 1:
        yield from map(run, range(len(sizes)))
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Record]] = deque()
        try:
            for batch in range(len(sizes)):
                # One more than there are threads, so that none is idle while the first is handed on.
                if len(waiting) > threads:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(run, batch))
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            # An interrupt, or a reader that has had enough, must not wait for the batches still in the queue.
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise


def _measure(plan: Plan, first: FirstLayer, streams: Streams, record: Record, count: int) -> None:
    """Draw ``count`` networks layer by layer and write what each contributes to every layer after the first."""
    net, widths = plan.net, plan.net.widths
    z = draw.neurons(streams(Purpose.NEURONS, 1), first.root, count, widths[1])
    jets = first_jets(streams, z, first.tangent_root, plan.sets)
    if plan.explicit:
        tangent = TangentKernel.first_layer(first.tangent, count, widths[1], plan.sides)
    for layer in range(1, net.depth):
        dense, n, following = net.layers[layer], widths[layer], widths[layer + 1]
        last = layer == net.depth - 1
        derivatives = net.activation.derivatives(jets[()], plan.order)
        s = activate(derivatives, jets)
        here = {moment: values[:, layer - 1] for moment, values in record.items()}
        G = metric(s[()], dense)
        if "G" in here:
            here["G"][...] = _pairs(G)
        if not plan.explicit:
            if not last:
                root = draw.covariance_root(G)
                jets = {(): draw.neurons(streams(Purpose.NEURONS, layer + 1), root, count, following)}
            continue
        activated = tangent.activated(activate(derivatives[1:], jets))
        _write(here, Measurement(s, activated, dense), plan.pool)
        if not last:
            W = draw.weights(streams(Purpose.WEIGHTS, layer + 1), count, n, following, dense.C_W)
            b = draw.biases(streams(Purpose.BIASES, layer + 1), count, following, dense.C_b)
            directions = tangents(streams, layer + 1, dense, count, n, following, plan.pool)
            tangent = activated.next_layer(s, W, [eps_W for eps_W, _ in directions], dense)
            jets = propagate(s, W, directions, b)


def _write(here: Record, measurement: Measurement, pool: int) -> None:
    """One layer's contributions other than G; those of P..U averaged over the choices of different directions."""
    for moment, values in here.items():
        if moment == "Hbar":
            values[...] = _pairs(measurement.Hbar())
        elif moment in LETTERS:
            choices = list(permutations(range(pool), LETTERS[moment]))
            values[...] = sum(getattr(measurement, moment)(*choice) for choice in choices) / len(choices)
        elif moment != "G":
            values[...] = getattr(measurement, moment)()


def _pairs(matrix: Array) -> Array:
    """(m, N, N) to (m, unordered pairs)."""
    first, second = np.triu_indices(matrix.shape[-1])
    return matrix[:, first, second]


def _batch_estimates(plan: Plan, record: Record) -> Record:
    """Unbiased estimates of one batch: (L-1, entries), pairs of inputs not yet spelled out."""
    n = np.asarray(plan.net.widths[1:-1], dtype=float)
    estimates: Record = {}
    for name in plan.names:
        if name == "K":
            estimates[name] = statistics.mean(record["G"])
        elif name == "Theta":
            estimates[name] = statistics.mean(record["Hbar"])
        elif name in ("V", "A", "D"):
            x = record["Hbar" if name == "A" else "G"]
            y = record["G" if name == "V" else "Hbar"]
            estimates[name] = statistics.covariance(x, y) * n[:, None, None]
        elif name == "V6":
            estimates[name] = statistics.third_cumulant(record["G"]) * n[:, None, None, None] ** 2
        else:
            estimates[name] = statistics.mean(record[name])
    return estimates
