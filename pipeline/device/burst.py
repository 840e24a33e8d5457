"""A burst: the runs of one visit, timed one by one in the process that holds the session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pipeline.device.machine_state import MachineState

Clock = Callable[[], float]


class Burst(NamedTuple):
    """Timed runs, and what the machine did meanwhile.

    Attributes:
        samples_ms: Milliseconds of each timed run, in order.
        state: The machine after them; None where it was not read.
        interruptions: How often something else ran on the core meanwhile; None if not counted.
        device_ms: Each timed run by the device's own clock; empty where it has none.
        enqueue_ms: The host's time until each run was handed over to the device; empty as well.
    """

    samples_ms: list[float]
    state: MachineState | None = None
    interruptions: int | None = None
    device_ms: Sequence[float] = ()
    enqueue_ms: Sequence[float] = ()


class BurstPlan(NamedTuple):
    """How many runs a burst has.

    Attributes:
        warm_runs: Untimed runs first.
        runs: Timed runs, at least.
        burst_ms: Goes on until the timed runs fill this many milliseconds …
        max_runs: … or are this many.
    """

    warm_runs: int
    runs: int
    burst_ms: float
    max_runs: int


def time_burst(
    run: Callable[[], object],
    clock: Clock,
    plan: BurstPlan,
    *,
    after: Callable[[], object] = lambda: None,
) -> list[float]:
    """Times one burst.

    Args:
        run: Runs the subject once, to completion.
        clock: Seconds, monotonic.
        plan: How many runs.
        after: Called after each timed run, and not timed.

    Returns:
        Milliseconds of each timed run.
    """
    for _ in range(plan.warm_runs):
        run()
    samples_ms: list[float] = []
    total_ms = 0.0
    while len(samples_ms) < plan.runs or (
        total_ms < plan.burst_ms and len(samples_ms) < plan.max_runs
    ):
        start = clock()
        run()
        elapsed_ms = (clock() - start) * 1e3
        samples_ms.append(round(elapsed_ms, 6))
        total_ms += elapsed_ms
        after()
    return samples_ms
