"""Visits, and the statistics made of them.

A visit is one burst of timed runs of a subject; its statistics come from visits in sweeps that are
apart in time, because runs inside one burst share one moment of the machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.special import bdtr

from pipeline.device.machine_state import MachineState
from pipeline.errors import MeasurementError

MIN_SWEEPS = 3
BOUND_CONFIDENCE = 0.99
# Two thirds of the sweeps may lie in slow spells.
_REACHED_BY = 1 / 3


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
        state: The machine at the end of the burst; None where it was not kept.
        interruptions: How often something else ran on the core in the burst (involuntary context
            switches); None where it was not kept.
        device_ms: The timed runs by the device's own clock; empty where it has none.
        enqueue_ms: The host's time until each was handed over to the device; empty as well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sweep: int
    key: str
    samples_ms: tuple[float, ...]
    control_before_ms: tuple[float, ...]
    control_after_ms: tuple[float, ...]
    at: str
    precision: str
    state: MachineState | None = None
    interruptions: int | None = None
    device_ms: tuple[float, ...] = ()
    enqueue_ms: tuple[float, ...] = ()


class LatencyStats(BaseModel):
    """What a subject's visits say, in milliseconds.

    A percentile is None where the runs are too few for an upper bound at 99 % confidence that is
    not simply the slowest run (`runs_needed`): 11 runs for the median, 64 for p90, 130 for p95,
    662 for p99. The bound stands beside it.

    Attributes:
        typical: The one number tables, limits and comparisons use; see `reduce_visits`.
        std: Standard uncertainty of `typical`, from visits apart in time.
        mean: Of all runs.
        min: Of all runs.
        cov: Coefficient of variation of all runs (a ratio).
        n: Number of runs.
        sweep_minima_ms: The fastest run of each visit, in the order of sweeps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    typical: float
    std: float
    mean: float
    min: float
    median: float | None
    median_bound: float | None = None
    p90: float | None
    p90_bound: float | None = None
    p95: float | None = None
    p95_bound: float | None = None
    p99: float | None
    p99_bound: float | None = None
    cov: float
    n: int
    sweep_minima_ms: tuple[float, ...] = ()


def reduce_visits(visits: Sequence[Visit]) -> LatencyStats:
    """Reduces the visits of one subject.

    `typical` is the fastest of all runs: the latency of the undisturbed machine. Disturbances only
    ever add time, so of many runs in sweeps apart in time the fastest is the one they spared; slow
    spells do not move it as long as they leave one visit alone (docs/measuring.md).

    `std` is how near to it a third of the visits came: the fastest third's slowest minimum, less
    `typical`. Visits in slow spells do no harm as long as a third is spared; a level that hardly
    any sweep reached is not to be relied on.

    Args:
        visits: All of one subject.

    Raises:
        MeasurementError: There are fewer visits than a statistic needs.
    """
    if len(visits) < MIN_SWEEPS:
        raise MeasurementError(f"{len(visits)} visits are too few; {MIN_SWEEPS} are the least")
    minima = [min(visit.samples_ms) for visit in visits]
    runs = np.sort([sample for visit in visits for sample in visit.samples_ms])
    quantiles: dict[str, float | None] = {}
    for name, percent in (("median", 50), ("p90", 90), ("p95", 95), ("p99", 99)):
        quantiles[name], quantiles[f"{name}_bound"] = percentile(runs, percent)
    return LatencyStats(
        typical=min(minima),
        std=_missed_by(minima),
        mean=float(runs.mean()),
        min=float(runs[0]),
        cov=float(runs.std() / runs.mean()),
        n=len(runs),
        sweep_minima_ms=tuple(minima),
        **quantiles,
    )


def reduce_all(groups: Mapping[str, Sequence[Visit]]) -> dict[str, LatencyStats]:
    """Reduces the visits of many subjects of one campaign.

    The uncertainty of each is at least the campaign's own: a few values may agree by chance, while
    all subjects together tell well how far sweeps apart in time disagree.
    """
    reduced = {key: reduce_visits(group) for key, group in groups.items()}
    if not reduced:
        return {}
    common = float(np.sqrt(np.mean([(s.std / s.typical) ** 2 for s in reduced.values()])))
    return {
        key: stats.model_copy(update={"std": max(stats.std, common * stats.typical)})
        for key, stats in reduced.items()
    }


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


def disagreement_percent(groups: Mapping[str, Sequence[Visit]]) -> float | None:
    """How far sweeps apart in time disagree: root mean square over subjects of `std` ÷ `typical`.

    None where a subject has too few visits to tell.
    """
    if not groups or any(len(group) < MIN_SWEEPS for group in groups.values()):
        return None
    relative = []
    for group in groups.values():
        minima = [min(visit.samples_ms) for visit in group]
        relative.append(_missed_by(minima) / min(minima))
    return float(100 * np.sqrt(np.mean(np.square(relative))))


def split_half_percent(groups: Mapping[str, Sequence[Visit]]) -> float:
    """How far two halves of a measured truth disagree: the floor no predictor can beat.

    Even and odd visits of each subject give a `typical` each; the mean over subjects of their
    absolute relative difference.

    Raises:
        MeasurementError: A subject has a single visit.
    """
    differences = []
    for key, group in groups.items():
        minima = [min(visit.samples_ms) for visit in group]
        if len(minima) < 2:
            raise MeasurementError(f"{key}: two halves need two visits, given {len(minima)}")
        even, odd = min(minima[::2]), min(minima[1::2])
        differences.append(abs(even - odd) / ((even + odd) / 2))
    return float(100 * np.mean(differences))


def percentile(runs: NDArray[np.float64], percent: int) -> tuple[float | None, float | None]:
    """A percentile and its upper bound at 99 % confidence, both runs that were made.

    The bound is the order statistic X(k) with the smallest k such that a binomial count of n runs
    below the true quantile is less than k with 99 % probability (distribution-free; it takes runs
    as independent, which spells violate, so it is a lower limit of the doubt).

    Args:
        runs: Sorted, milliseconds.
        percent: Which, 1 to 99.

    Returns:
        (None, None) where the bound would be the slowest run or beyond.
    """
    n = len(runs)
    at_most = bdtr(np.arange(n), n, percent / 100)
    rank = 1 + int(np.searchsorted(at_most, BOUND_CONFIDENCE))
    if rank > n - 1:
        return None, None
    return float(np.percentile(runs, percent, method="higher")), float(runs[rank - 1])


@cache
def runs_needed(percent: int) -> int:
    """The least number of runs whose percentile has a bound; see `percentile`."""
    n = 2
    while percentile(np.zeros(n), percent)[0] is None:
        n += 1
    return n


def _missed_by(minima: Sequence[float]) -> float:
    """How near to the fastest run a third of the visits came, at least one other."""
    ordered = sorted(minima)
    return ordered[max(math.ceil(_REACHED_BY * len(ordered)), 2) - 1] - ordered[0]
