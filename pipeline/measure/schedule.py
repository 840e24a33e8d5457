"""Measuring: the protocol, the schedule of visits, and when to stop.

Noise on a shared machine comes in spells of seconds, so repetition inside one burst says little.
Every subject is visited once a sweep, in random order, with bursts of a control network before and
after; sweeps are spread over the campaign, and it ends when sweeps apart in time agree.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from pipeline.device.burst import Burst, BurstPlan, Clock
from pipeline.errors import CrashedError
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import MIN_SWEEPS, Visit, by_key, disagreement_percent
from pipeline.measure.steadiness import Stopped


class Bench(Protocol):
    """Something subjects can be run on: a measuring process, or a fake one in tests."""

    def precision(self, key: str) -> str:
        """What the engine computes a subject in."""

    def control(self, key: str) -> str:
        """The control network that stands beside a subject: one on the same target."""

    def revive(self, key: str, error: CrashedError) -> frozenset[str]:
        """Goes on after a subject's process has died.

        Args:
            key: What it was asked to run.
            error: What is known of its death.

        Returns:
            The subjects that are given up, this one among them.
        """

    def warm(self, key: str, duration_ms: float) -> None:
        """Runs a subject untimed for that long."""

    def burst(self, key: str, plan: BurstPlan) -> Burst:
        """Runs a subject, timed."""


def is_finished(visits: Sequence[Visit], keys: Sequence[str], protocol: TimingProtocol) -> bool:
    """Whether nothing more is to be measured: sweeps agree, or all of them were made."""
    return _reason_to_stop(visits, keys, protocol) is not None


def why_stopped(visits: Sequence[Visit], keys: Sequence[str], protocol: TimingProtocol) -> Stopped:
    """Why a campaign that has ended did."""
    return _reason_to_stop(visits, keys, protocol) or "budget"


def measure(
    bench: Bench,
    keys: Sequence[str],
    protocol: TimingProtocol,
    *,
    seed: int,
    known: Sequence[Visit] = (),
    now: Callable[[], str],
    clock: Clock = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Visit]:
    """Visits every subject once a sweep, in random order, its control network around each.

    Ends after a whole sweep when `protocol.least_sweeps` are made and sweeps apart in time agree,
    when `protocol.sweeps` are made, or when `protocol.budget_s` is over and every subject has
    enough visits for a statistic. A subject whose process dies is given up, and the others go on.

    Args:
        bench: What runs the subjects.
        keys: The subjects.
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
    subjects = _Subjects(bench, protocol, list(keys), now)
    end, swept_at = clock() + protocol.budget_s, -np.inf
    for sweep in range(protocol.sweeps):
        pending = [key for key in _order(keys, seed, sweep) if (sweep, key) not in done]
        if not subjects.kept(pending):
            continue
        if sweep >= protocol.least_sweeps and is_finished(visits, subjects.keys, protocol):
            return
        wait_s = max(0.0, swept_at + protocol.sweep_interval_s - clock())
        if sweep >= MIN_SWEEPS and clock() + wait_s > end:
            return
        if np.isneginf(swept_at):
            subjects.warm(unfinished)
            subjects.run_control_of(pending)
        elif wait_s > 0:
            sleep(wait_s)
            subjects.run_control_of(pending)
        swept_at = clock()
        for key in pending:
            if sweep >= MIN_SWEEPS and clock() > end:
                return
            visit = subjects.visit(sweep, key)
            if visit is not None:
                visits.append(visit)
                yield visit


class _Subjects:
    """The subjects of a campaign, as long as they can be measured.

    Attributes:
        keys: Those that were not given up.
    """

    def __init__(
        self, bench: Bench, protocol: TimingProtocol, keys: list[str], now: Callable[[], str]
    ) -> None:
        self.keys = keys
        self._bench = bench
        self._protocol = protocol
        self._now = now
        self._control: tuple[str, list[float]] | None = None

    def kept(self, keys: Sequence[str]) -> list[str]:
        """Those of some subjects that were not given up."""
        return [key for key in keys if key in self.keys]

    def warm(self, keys: Sequence[str]) -> None:
        """Runs subjects and their control networks untimed."""
        controls = [self._bench.control(key) for key in keys]
        for key in dict.fromkeys([*controls, *keys]):
            try:
                self._bench.warm(key, self._protocol.warmup_ms)
            except CrashedError as error:
                self._revive(key, error)

    def visit(self, sweep: int, key: str) -> Visit | None:
        """Visits a subject; None where it was given up, or is now."""
        if key not in self.keys:
            return None
        try:
            return self._visit(sweep, key)
        except CrashedError as error:
            self._revive(key, error)
            return None

    def run_control_of(self, keys: Sequence[str]) -> None:
        """Runs the control network of the next subject that is visited."""
        for key in self.kept(keys)[:1]:
            try:
                self._control_burst(self._bench.control(key))
            except CrashedError as error:
                self._revive(key, error)

    def _visit(self, sweep: int, key: str) -> Visit:
        control = self._bench.control(key)
        before = (
            self._control[1]
            if self._control is not None and self._control[0] == control
            else self._control_burst(control)
        )
        burst = self._bench.burst(key, self._protocol.subject_burst)
        after = self._control_burst(control)
        return Visit(
            sweep=sweep,
            key=key,
            samples_ms=tuple(burst.samples_ms),
            control_before_ms=tuple(before),
            control_after_ms=tuple(after),
            at=self._now(),
            precision=self._bench.precision(key),
            state=burst.state,
            interruptions=burst.interruptions,
            device_ms=tuple(burst.device_ms),
            enqueue_ms=tuple(burst.enqueue_ms),
        )

    def _control_burst(self, control: str) -> list[float]:
        burst = self._bench.burst(control, self._protocol.control_burst)
        self._control = control, burst.samples_ms
        return burst.samples_ms

    def _revive(self, key: str, error: CrashedError) -> None:
        control = self._bench.control(key)
        given_up = self._bench.revive(key, error)
        self.keys = [kept for kept in self.keys if kept not in given_up]
        self._control = None
        self.warm([kept for kept in self.keys if self._bench.control(kept) == control])


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
