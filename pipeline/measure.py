"""Timing: the protocol, the schedule of visits, and the statistics made of them.

Noise on a shared machine comes in spells of seconds, so repetition inside one burst says little.
Every subject is visited once a sweep, in random order, with bursts of a control network before and
after; sweeps are spread over the campaign.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import MeasurementError

MIN_SWEEPS = 3
RUNS_FOR_P90 = 64
RUNS_FOR_P99 = 662
# A standard deviation needs two values; three leave each a third of the visits.
_GROUPS = MIN_SWEEPS
Clock = Callable[[], float]


class TimingProtocol(BaseModel):
    """How a campaign times its subjects.

    Attributes:
        sweeps: Visits to each subject, spread over the campaign.
        warm_runs: Untimed runs at the start of a visit.
        runs: Timed runs of a visit, at least.
        burst_ms: Short subjects run on until the visit's timed runs fill this, up to `max_runs`.
        max_runs: Most timed runs of a visit.
        warmup_ms: Untimed running of a subject before its first visit, in milliseconds.
        control_runs: Timed runs of the control network on each side of a visit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sweeps: int = Field(default=12, ge=MIN_SWEEPS)
    warm_runs: int = Field(default=3, ge=0)
    runs: int = Field(default=8, ge=1)
    burst_ms: float = Field(default=2.0, ge=0)
    max_runs: int = Field(default=40, ge=1)
    warmup_ms: float = Field(default=50.0, ge=0)
    control_runs: int = Field(default=6, ge=1)


class Visit(BaseModel):
    """One burst on one subject: the unit that is journalled and never measured twice.

    Attributes:
        sweep: Which sweep it belongs to, from 0.
        key: The subject.
        samples_ms: Timed runs, in order.
        control_before_ms: The control network's runs just before.
        control_after_ms: … and just after.
        at: UTC time of the visit, ISO 8601.
        precision: What the engine computes the subject in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sweep: int
    key: str
    samples_ms: tuple[float, ...]
    control_before_ms: tuple[float, ...]
    control_after_ms: tuple[float, ...]
    at: str
    precision: str


class LatencyStats(BaseModel):
    """What a subject's visits say, in milliseconds.

    Attributes:
        typical: The one number tables, limits and comparisons use; see `reduce_visits`.
        std: Standard uncertainty of `typical`, from visits apart in time.
        median: Of all runs.
        mean: Of all runs.
        min: Of all runs.
        p90: None unless there are at least 64 runs.
        p99: None unless there are at least 662 runs.
        cov: Coefficient of variation of all runs (a ratio).
        n: Number of runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    typical: float
    std: float
    median: float
    mean: float
    min: float
    p90: float | None
    p99: float | None
    cov: float
    n: int


class Bench(Protocol):
    """Something subjects can be run on: a measuring process, or a fake one in tests."""

    def precision(self, key: str) -> str:
        """What the engine computes a subject in."""

    def warm(self, key: str, duration_ms: float) -> None:
        """Runs a subject untimed for that long."""

    def burst(
        self, key: str, *, warm_runs: int, runs: int, burst_ms: float, max_runs: int
    ) -> list[float]:
        """Runs a subject `warm_runs` times untimed, then timed; see `time_burst`."""


def time_burst(
    run: Callable[[], object],
    clock: Clock,
    *,
    warm_runs: int,
    runs: int,
    burst_ms: float,
    max_runs: int,
) -> list[float]:
    """Times one burst.

    Args:
        run: Runs the subject once, to completion.
        clock: Seconds, monotonic.
        warm_runs: Untimed runs first.
        runs: Timed runs, at least.
        burst_ms: Goes on until the timed runs fill this many milliseconds …
        max_runs: … or are this many.

    Returns:
        Milliseconds of each timed run.
    """
    for _ in range(warm_runs):
        run()
    samples_ms: list[float] = []
    total_ms = 0.0
    while len(samples_ms) < runs or (total_ms < burst_ms and len(samples_ms) < max_runs):
        start = clock()
        run()
        elapsed_ms = (clock() - start) * 1e3
        samples_ms.append(round(elapsed_ms, 6))
        total_ms += elapsed_ms
    return samples_ms


def measure(
    bench: Bench,
    keys: Sequence[str],
    control: str,
    protocol: TimingProtocol,
    *,
    seed: int,
    done: Collection[tuple[int, str]] = (),
    now: Callable[[], str],
) -> Iterator[Visit]:
    """Visits every subject once a sweep, in random order, the control network around each.

    Args:
        bench: What runs the subjects.
        keys: The subjects.
        control: Key of the control network.
        protocol: How often and how long.
        seed: Decides the order; the same for a campaign that goes on.
        done: Visits (sweep, key) made before; they are not made again.
        now: UTC time as ISO 8601.

    Yields:
        Each visit as soon as it is made.
    """
    pending = [
        (sweep, key)
        for sweep in range(protocol.sweeps)
        for key in _order(keys, seed, sweep)
        if (sweep, key) not in done
    ]
    if not pending:
        return
    for key in dict.fromkeys([control, *(key for _, key in pending)]):
        bench.warm(key, protocol.warmup_ms)
    before = _control_burst(bench, control, protocol)
    for sweep, key in pending:
        samples = bench.burst(
            key,
            warm_runs=protocol.warm_runs,
            runs=protocol.runs,
            burst_ms=protocol.burst_ms,
            max_runs=protocol.max_runs,
        )
        after = _control_burst(bench, control, protocol)
        yield Visit(
            sweep=sweep,
            key=key,
            samples_ms=tuple(samples),
            control_before_ms=tuple(before),
            control_after_ms=tuple(after),
            at=now(),
            precision=bench.precision(key),
        )
        before = after


def _order(keys: Sequence[str], seed: int, sweep: int) -> list[str]:
    order = np.random.default_rng([seed, sweep]).permutation(len(keys))
    return [keys[index] for index in order]


def _control_burst(bench: Bench, control: str, protocol: TimingProtocol) -> list[float]:
    runs = protocol.control_runs
    return bench.burst(control, warm_runs=1, runs=runs, burst_ms=0.0, max_runs=runs)


def reduce_visits(visits: Sequence[Visit]) -> LatencyStats:
    """Reduces the visits of one subject.

    `typical` is the fastest of all runs: the latency of the undisturbed machine. Disturbances only
    ever add time, so of many runs in sweeps apart in time the fastest is the one they spared; slow
    spells do not move it as long as they leave one visit alone (docs/measuring.md).

    `std` is the standard deviation of the fastest runs of three groups of visits, every third
    visit in one: what this campaign would have found at other times of its own. Another campaign
    may differ by more, since what changes between sessions is not in it.

    Args:
        visits: All of one subject.

    Raises:
        MeasurementError: There are fewer visits than a statistic needs.
    """
    if len(visits) < MIN_SWEEPS:
        raise MeasurementError(f"{len(visits)} visits are too few; {MIN_SWEEPS} are the least")
    minima = [min(visit.samples_ms) for visit in visits]
    runs = np.array([sample for visit in visits for sample in visit.samples_ms])
    by_group = [min(minima[group::_GROUPS]) for group in range(_GROUPS)]
    return LatencyStats(
        typical=min(minima),
        std=float(np.std(by_group, ddof=1)),
        median=float(np.median(runs)),
        mean=float(runs.mean()),
        min=float(runs.min()),
        p90=_percentile(runs, 90, RUNS_FOR_P90),
        p99=_percentile(runs, 99, RUNS_FOR_P99),
        cov=float(runs.std() / runs.mean()),
        n=len(runs),
    )


def control_stats(visits: Sequence[Visit]) -> LatencyStats:
    """The control network's own statistics over a campaign.

    Raises:
        MeasurementError: There are fewer visits than a statistic needs.
    """
    after = [visit.model_copy(update={"samples_ms": visit.control_after_ms}) for visit in visits]
    return reduce_visits(after)


def by_key(visits: Iterable[Visit]) -> dict[str, list[Visit]]:
    """Visits of each subject."""
    groups: dict[str, list[Visit]] = {}
    for visit in visits:
        groups.setdefault(visit.key, []).append(visit)
    return groups


def _percentile(runs: NDArray[np.float64], percent: float, needed: int) -> float | None:
    """A percentile without interpolation, or None where the sample cannot support it."""
    if len(runs) < needed:
        return None
    return float(np.percentile(runs, percent, method="higher"))
