"""Timing: the protocol, the schedule of visits, and when to stop.

Noise on a shared machine comes in spells of seconds, so repetition inside one burst says little.
Every subject is visited once a sweep, in random order, with bursts of a control network before and
after; sweeps are spread over the campaign, and it ends when sweeps apart in time agree.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pipeline.latency_stats import MIN_SWEEPS, Visit, by_key, disagreement_percent
from pipeline.machine_state import MachineState
from pipeline.steadiness import Stopped

Clock = Callable[[], float]


class TimingProtocol(BaseModel):
    """How a campaign times its subjects.

    Attributes:
        sweeps: Visits to each subject, at most, spread over the campaign.
        min_sweeps: Visits to each subject, at least.
        agree_percent: The campaign ends when sweeps apart in time agree this well.
        unsteady_percent: A campaign whose sweeps disagree more than this is refused.
        budget_s: No visit begins after this many seconds, once a statistic can be made.
        sweep_interval_s: A sweep begins no sooner than this after the one before, so that a short
            campaign does not lie within one slow spell.
        warm_runs: Untimed runs at the start of a visit.
        runs: Timed runs of a visit, at least.
        burst_ms: Short subjects run on until the visit's timed runs fill this, up to `max_runs`.
        max_runs: Most timed runs of a visit.
        warmup_ms: Untimed running of a subject before its first visit, in milliseconds.
        control_runs: Timed runs of the control network on each side of a visit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sweeps: int = Field(default=15, ge=MIN_SWEEPS)
    min_sweeps: int = Field(default=9, ge=MIN_SWEEPS)
    agree_percent: float = Field(default=1.0, ge=0)
    unsteady_percent: float = Field(default=3.0, gt=0)
    budget_s: float = Field(default=900.0, gt=0)
    sweep_interval_s: float = Field(default=1.0, ge=0)
    warm_runs: int = Field(default=3, ge=0)
    runs: int = Field(default=8, ge=1)
    burst_ms: float = Field(default=2.0, ge=0)
    max_runs: int = Field(default=40, ge=1)
    warmup_ms: float = Field(default=50.0, ge=0)
    control_runs: int = Field(default=6, ge=1)

    @property
    def least_sweeps(self) -> int:
        """Sweeps before the campaign may end because they agree."""
        return min(self.min_sweeps, self.sweeps)

    def of_a_visit(self) -> dict[str, Any]:
        """What decides how a visit is made, and so which visits can be told together."""
        return self.model_dump(exclude=_WHEN_TO_STOP)


_WHEN_TO_STOP = {
    "sweeps",
    "min_sweeps",
    "agree_percent",
    "unsteady_percent",
    "budget_s",
    "sweep_interval_s",
}


class Burst(NamedTuple):
    """Timed runs, and what the machine did meanwhile.

    Attributes:
        samples_ms: Milliseconds of each timed run, in order.
        state: The machine after them; None where it was not read.
        interruptions: How often something else ran on the core meanwhile; None if not counted.
    """

    samples_ms: list[float]
    state: MachineState | None = None
    interruptions: int | None = None


class Bench(Protocol):
    """Something subjects can be run on: a measuring process, or a fake one in tests."""

    def precision(self, key: str) -> str:
        """What the engine computes a subject in."""

    def warm(self, key: str, duration_ms: float) -> None:
        """Runs a subject untimed for that long."""

    def burst(
        self, key: str, *, warm_runs: int, runs: int, burst_ms: float, max_runs: int
    ) -> Burst:
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


def is_finished(visits: Sequence[Visit], keys: Sequence[str], protocol: TimingProtocol) -> bool:
    """Whether nothing more is to be measured: sweeps agree, or all of them were made."""
    return _reason_to_stop(visits, keys, protocol) is not None


def why_stopped(visits: Sequence[Visit], keys: Sequence[str], protocol: TimingProtocol) -> Stopped:
    """Why a campaign that has ended did."""
    return _reason_to_stop(visits, keys, protocol) or "budget"


def measure(
    bench: Bench,
    keys: Sequence[str],
    control: str,
    protocol: TimingProtocol,
    *,
    seed: int,
    known: Sequence[Visit] = (),
    now: Callable[[], str],
    clock: Clock = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Visit]:
    """Visits every subject once a sweep, in random order, the control network around each.

    Ends after a whole sweep when `protocol.least_sweeps` are made and sweeps apart in time agree,
    when `protocol.sweeps` are made, or when `protocol.budget_s` is over and every subject has
    enough visits for a statistic.

    Args:
        bench: What runs the subjects.
        keys: The subjects.
        control: Key of the control network.
        protocol: How often and how long.
        seed: Decides the order; the same for a campaign that goes on.
        known: Visits made before; they are not made again.
        now: UTC time as ISO 8601.
        clock: Seconds, monotonic; for the budget and the distance of sweeps.
        sleep: Waits that many seconds.

    Yields:
        Each visit as soon as it is made.
    """
    visits = list(known)
    done = {(visit.sweep, visit.key) for visit in visits}
    unfinished = [key for key in keys if not done >= {(s, key) for s in range(protocol.sweeps)}]
    end, swept_at = clock() + protocol.budget_s, -np.inf
    before: list[float] | None = None
    for sweep in range(protocol.sweeps):
        pending = [key for key in _order(keys, seed, sweep) if (sweep, key) not in done]
        if not pending:
            continue
        if sweep >= protocol.least_sweeps and is_finished(visits, keys, protocol):
            return
        wait_s = max(0.0, swept_at + protocol.sweep_interval_s - clock())
        if sweep >= MIN_SWEEPS and clock() + wait_s > end:
            return
        if before is None:
            _warm(bench, [control, *unfinished], protocol)
            before = _control_burst(bench, control, protocol)
        elif wait_s > 0:
            sleep(wait_s)
            before = _control_burst(bench, control, protocol)
        swept_at = clock()
        for key in pending:
            if sweep >= MIN_SWEEPS and clock() > end:
                return
            visit = _visit(bench, sweep, key, control, before, protocol, now)
            before = list(visit.control_after_ms)
            visits.append(visit)
            yield visit


def _visit(
    bench: Bench,
    sweep: int,
    key: str,
    control: str,
    before: Sequence[float],
    protocol: TimingProtocol,
    now: Callable[[], str],
) -> Visit:
    burst = bench.burst(
        key,
        warm_runs=protocol.warm_runs,
        runs=protocol.runs,
        burst_ms=protocol.burst_ms,
        max_runs=protocol.max_runs,
    )
    after = _control_burst(bench, control, protocol)
    return Visit(
        sweep=sweep,
        key=key,
        samples_ms=tuple(burst.samples_ms),
        control_before_ms=tuple(before),
        control_after_ms=tuple(after),
        at=now(),
        precision=bench.precision(key),
        state=burst.state,
        interruptions=burst.interruptions,
    )


def _warm(bench: Bench, keys: Sequence[str], protocol: TimingProtocol) -> None:
    for key in dict.fromkeys(keys):
        bench.warm(key, protocol.warmup_ms)


def _control_burst(bench: Bench, control: str, protocol: TimingProtocol) -> list[float]:
    runs = protocol.control_runs
    return bench.burst(control, warm_runs=1, runs=runs, burst_ms=0.0, max_runs=runs).samples_ms


def _order(keys: Sequence[str], seed: int, sweep: int) -> list[str]:
    order = np.random.default_rng([seed, sweep]).permutation(len(keys))
    return [keys[index] for index in order]


def _reason_to_stop(
    visits: Sequence[Visit], keys: Sequence[str], protocol: TimingProtocol
) -> Stopped | None:
    groups = _whole_sweeps(visits, keys)
    made = min(map(len, groups.values()), default=0)
    apart = disagreement_percent(groups)
    if made >= protocol.least_sweeps and apart is not None and apart <= protocol.agree_percent:
        return "agreed"
    return "sweeps" if made >= protocol.sweeps else None


def _whole_sweeps(visits: Sequence[Visit], keys: Sequence[str]) -> dict[str, list[Visit]]:
    """Visits of each subject in the sweeps that were made of every one.

    A campaign decides between sweeps whether to go on. One that was interrupted within a sweep
    must decide as it would have, so the sweep it was making does not count.
    """
    found = by_key(visits)
    made = [{visit.sweep for visit in found.get(key, ())} for key in keys]
    whole = set.intersection(*made) if made else set()
    return {key: [v for v in found.get(key, ()) if v.sweep in whole] for key in keys}
