"""The in-context method: operators' times read from the runtime inside whole networks.

An operator alone keeps its weights in the cache and gets its input in the layout it likes; inside
a network the runtime's own profiler sees what it really takes, with the profiler's own weight on
it. Networks are profiled in passes apart in time; visits are kept in the table's journal under
`layers:`, one sample an operator of the network, in network order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.device.target import Target
from pipeline.errors import MeasurementError
from pipeline.latency.table import LAYERS
from pipeline.measure.bench import CONTROL
from pipeline.measure.campaign import conditions, differing_conditions, utc_now
from pipeline.measure.journal import Journal
from pipeline.measure.measuring_process import MeasuringProcess
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import Visit
from pipeline.space.architecture import Architecture
from pipeline.work.progress import Progress, silent

PASSES = 2
_WARM_RUNS = 3
# Engines tell whole microseconds, which short networks need more runs to average out.
_FEWEST_RUNS, _MOST_RUNS, _PROFILED_MS = 8, 30, 60.0


def layers_key(architecture: Architecture) -> str:
    """Under which key a journal holds the times of a network's operators."""
    return f"{LAYERS}{architecture.short}"


def measure_in_context(
    networks: Mapping[Architecture, Path],
    latency_ms: Mapping[Architecture, float],
    control: Path,
    target: Target,
    protocol: TimingProtocol,
    journal_path: Path,
    *,
    seed: int,
    progress: Progress = silent,
) -> None:
    """Profiles networks, going on where the journal ends.

    Args:
        networks: Folder with `model.onnx` of each.
        latency_ms: About what each takes.
        control: The control network's folder.
        target: Where they run; its runtime must tell the times of layers.
        protocol: How the journal's other visits are timed.
        journal_path: Where each visit is kept.
        seed: Decides the order of visits.
        progress: Told after each visit.

    Raises:
        UnavailableError: The target cannot be measured here, or its runtime does not tell.
        MeasurementError: A network is refused, or the measuring process died.
        StorageError: A visit could not be written.
    """
    header = conditions(target, protocol)
    with Journal(journal_path, header, differences=differing_conditions) as journal:
        pending = [
            (number, network)
            for number in range(PASSES)
            for network in _shuffled(list(networks), seed, number)
            if (number, layers_key(network)) not in journal.done
        ]
        if not pending:
            return
        with MeasuringProcess(target) as process:
            process.open(CONTROL, control)
            for index, (number, network) in enumerate(pending, start=1):
                visit = _visit(
                    process, network, networks[network], latency_ms[network], number, protocol
                )
                journal.append(visit)
                progress(index, len(pending), "layers of networks")


def in_context_ms(
    layers: Mapping[str, Sequence[Visit]],
    networks: Iterable[Architecture],
    alone_ms: Mapping[str, float],
) -> dict[str, float] | None:
    """Times of operators, averaged over all their places in the networks.

    Of the passes over a network the faster counts, place by place, as `typical` does for runs. An
    operator that none of the networks holds takes its time alone, times what the others take in
    the networks relative to alone.

    Args:
        layers: Visits by their journal key.
        networks: The networks to read.
        alone_ms: What each operator wanted takes alone.

    Returns:
        Milliseconds by operator; None where a network was not profiled.
    """
    found: dict[str, list[float]] = {}
    for network in networks:
        passes = [visit.samples_ms for visit in layers.get(layers_key(network), ())]
        if not passes:
            return None
        fastest = np.min(np.array(passes), axis=0)
        for placed, time_ms in zip(network.operators(), fastest.tolist(), strict=True):
            found.setdefault(placed.spec.key, []).append(time_ms)
    inside = {key: float(np.mean(found[key])) for key in alone_ms if key in found}
    if not inside:
        return None
    level = sum(inside.values()) / sum(alone_ms[key] for key in inside)
    return {key: inside.get(key, level * time_ms) for key, time_ms in alone_ms.items()}


def _runs(latency_ms: float) -> int:
    return int(np.clip(_PROFILED_MS / latency_ms, _FEWEST_RUNS, _MOST_RUNS))


def _visit(
    process: MeasuringProcess,
    network: Architecture,
    model: Path,
    latency_ms: float,
    number: int,
    protocol: TimingProtocol,
) -> Visit:
    key = layers_key(network)

    def control_ms() -> tuple[float, ...]:
        return tuple(process.burst(CONTROL, protocol.control_burst).samples_ms)

    before = control_ms()
    told = process.layer_times(key, model, warm_runs=_WARM_RUNS, runs=_runs(latency_ms))
    by_place_ms = told.by_place_ms
    places = [placed.place for placed in network.operators()]
    untold = [place for place in places if place not in by_place_ms]
    if untold:
        raise MeasurementError(
            f"{process.target.name} tells no time for {untold[0]} of {network.short}"
        )
    return Visit(
        sweep=number,
        key=key,
        samples_ms=tuple(by_place_ms[place] for place in places),
        control_before_ms=before,
        control_after_ms=control_ms(),
        at=utc_now(),
        precision=process.precision(CONTROL),
    )


def _shuffled(networks: list[Architecture], seed: int, number: int) -> list[Architecture]:
    order = np.random.default_rng([seed, number]).permutation(len(networks))
    return [networks[index] for index in order]
