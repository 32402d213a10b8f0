"""The work: networks drawn layer by layer, measured at every layer, reduced batch by batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import permutations
from threading import Event

import numpy as np

import rgflow.sampling.kinds  # noqa: F401  (every kind says how it is drawn)
from rgflow.sampling import statistics
from rgflow.sampling.controls import Controls
from rgflow.sampling.draw import Array, Streams, Together
from rgflow.sampling.estimators import LETTERS, Measurement, refuse_too_narrow
from rgflow.sampling.first import FirstLayer
from rgflow.sampling.jets import first_layer as first_jets
from rgflow.sampling.normalized import refuse_without_mean
from rgflow.sampling.plan import Plan
from rgflow.sampling.routes import routes
from rgflow.sampling.signals import Signal, Start
from rgflow.sampling.stages import DrawnStages, NeuronStages, WeightStages, settled
from rgflow.sampling.tangent import TangentKernel
from rgflow.sampling.weightless import learned_controls, measured_layers, open_streams, pairs_of

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
    # Batches that are drawn together: small arrays would cost more in calls than in arithmetic.
    group = plan.group(chunk, sizes, threads)
    groups = range(0, len(sizes), group)
    controls = learned_controls(plan, first, sequence, chunk, sum(sizes)) if plan.collapsed else None

    def run(first_batch: int) -> list[Record]:
        batches = range(first_batch, min(first_batch + group, len(sizes)))
        ends = np.cumsum([sizes[batch] for batch in batches])
        total = int(ends[-1])
        record = {moment: np.empty((total, plan.net.depth - 1, *plan.entries(moment))) for moment in plan.moments}
        if controls:
            record["P"] = np.empty((total, *controls.covariance.shape[:2]))
        streams = [open_streams(plan, sequence, batch) for batch in batches]
        # Overflow is looked for in the results, where its layer is known.
        with np.errstate(over="ignore", invalid="ignore"):
            step = total if group > 1 else chunk
            for start in range(0, total, step):
                if stopped.is_set():
                    break
                count = min(step, total - start)
                rows = {name: x[start : start + count] for name, x in record.items()}
                together = Together(streams, [sizes[batch] for batch in batches]) if group > 1 else streams[0]
                _measure(plan, first, together, rows, count, controls)
                advance(count)
            parts = zip(ends, batches, strict=True)
            return [
                _batch_estimates(plan, {name: x[end - sizes[batch] : end] for name, x in record.items()}, controls)
                for end, batch in parts
            ]

    if threads == 1:
        for found in map(run, groups):
            yield from found
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[list[Record]]] = deque()
        try:
            for start in groups:
                # One more than there are threads, so that none is idle while the first is handed on.
                if len(waiting) > threads:
                    yield from waiting.popleft().result()
                waiting.append(pool.submit(run, start))
            while waiting:
                yield from waiting.popleft().result()
        except BaseException:
            # An interrupt, or a reader that has had enough, must not wait for the batches still in the queue.
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise


def _measure(
    plan: Plan,
    first: FirstLayer,
    streams: Streams | Together,
    record: Record,
    count: int,
    controls: Controls | None = None,
) -> None:
    """Draw ``count`` networks layer by layer and write what each contributes to every layer after the first."""
    if plan.collapsed:
        _measure_collapsed(plan, first, streams, record, count, controls)
        return
    for layer, _, measurement in drawn_layers(plan, first, streams, count):
        if measurement is not None:
            _write({moment: values[:, layer - 2] for moment, values in record.items()}, measurement, plan.pool)


def _measure_collapsed(
    plan: Plan,
    first: FirstLayer,
    streams: Streams | Together,
    record: Record,
    count: int,
    controls: Controls | None = None,
) -> None:
    """The same without weights."""
    foretold: list[Array] = []
    for hidden, found in measured_layers(plan, first, streams, count):
        if controls:
            found["P"] = controls.predictions(hidden, foretold)
        for moment, values in record.items():
            values[:, hidden.layer - 2] = found[moment]


def drawn_layers(
    plan: Plan, first: FirstLayer, streams: Streams | Together, count: int, *, to_the_end: bool = False
) -> Iterator[tuple[int, Signal | None, Measurement | None]]:
    """Layer by layer its number, the layer itself and, but for the first, what the one below it says about it.

    The last layer is measured and not drawn, unless ``to_the_end``.
    """
    net, widths = plan.net, plan.net.widths
    z = first.neurons(streams, count)
    tangent = None
    if plan.explicit:
        tangent = TangentKernel.first_layer(first.tangent, count, widths[1], plan.sides)
    below: Signal = Start(first_jets(streams, z, first.tangent_root, plan.sets), tangent)
    yield 1, below, None
    for layer in range(2, net.depth + 1):
        description, width = net.layers[layer - 1], widths[layer]
        stages: DrawnStages
        if plan.explicit:
            stages = WeightStages(net, streams, layer, count, plan.order, plan.pool)
        else:
            stages = NeuronStages(net, streams, layer, count)
        ways = routes(description, below, stages, width)
        where = f"layer {layer}, {description!r},"
        refuse_too_narrow(ways, width, plan.names, where)
        refuse_without_mean(stages.normalised, plan.names, where)
        measurement = Measurement(ways, widths[layer - 1], width)
        yield layer, None, measurement
        if layer < net.depth or to_the_end:
            below = settled(stages.output(ways, width), plan.sides if plan.explicit else [])
            yield layer, below, None


def _write(here: Record, measurement: Measurement, pool: int) -> None:
    """One layer's contributions; those of P..U averaged over the choices of different directions."""
    for moment, values in here.items():
        if moment in ("G", "Hbar"):
            values[...] = pairs_of(getattr(measurement, moment)())
        elif moment in LETTERS:
            choices = list(permutations(range(pool), LETTERS[moment]))
            values[...] = sum(getattr(measurement, moment)(*choice) for choice in choices) / len(choices)
        else:
            values[...] = getattr(measurement, moment)()


def _batch_estimates(plan: Plan, record: Record, controls: Controls | None) -> Record:
    """Unbiased estimates of one batch: (L-1, entries), pairs of inputs not yet spelled out."""
    n = np.asarray(plan.net.fan_in[1:], dtype=float)
    pairs = plan.inputs * (plan.inputs + 1) // 2
    part = {"G": slice(0, pairs), "Hbar": slice(pairs, None)}
    estimates: Record = {}
    for name in plan.names:
        if name in ("K", "Theta"):
            x = "G" if name == "K" else "Hbar"
            estimates[name] = statistics.mean(record[x])
            if controls:
                estimates[name] = estimates[name] - statistics.mean(record["P"][..., part[x]])
        elif name in ("V", "A", "D"):
            x, y = "Hbar" if name == "A" else "G", "G" if name == "V" else "Hbar"
            found = statistics.covariance(record[x], record[y])
            if controls:
                P = record["P"]
                found = found - statistics.covariance(P[..., part[x]], P[..., part[y]])
                found = found + controls.covariance[:, part[x], part[y]]
            if f"{name}2" in record:
                found = found + statistics.mean(record[f"{name}2"])
            estimates[name] = found * n[:, None, None]
        elif name == "V6":
            found = statistics.third_cumulant(record["G"])
            if "V3" in record:
                found = found + _two_and_one(record["G"], record["V2"]) + statistics.mean(record["V3"])
            estimates[name] = found * n[:, None, None, None] ** 2
        else:
            estimates[name] = statistics.mean(record[name])
    return estimates


def _two_and_one(G: Array, V2: Array) -> Array:
    """The law of total cumulance at third order: Cov(G_a, V2_bc) and its two others, (L-1, p, p, p)."""
    mixed = statistics.covariance(G, V2.reshape(*V2.shape[:2], -1)).reshape(*V2.shape[1:], -1)
    return mixed + mixed.transpose(0, 2, 1, 3) + mixed.transpose(0, 2, 3, 1)
