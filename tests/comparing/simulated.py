"""Campaigns as machines make them: the fastest runs of visits, never below a floor, often near it.

Levels move between campaigns by themselves. Above its level a visit is slower by an exponential
part, and on a busy machine some visits are slower by half: the excesses of the committed tables and
of benchmarks on a busy machine look like this (docs/measuring.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.comparing.levels import CAMPAIGN_STD_PERCENT
from pipeline.comparing.measurements import ComparisonRecord
from pipeline.comparing.sides import ComparedSide, Measured
from pipeline.device.target import Target
from pipeline.files.record import plain
from pipeline.measure.campaign import environment_of
from pipeline.measure.journal import Journal
from pipeline.measure.statistics import LatencyStats, Visit
from tests.report.made_up_measuring import environment

NOISE = 0.012
DISTURBED_BY = 0.45
TARGET = Target.parse("synthetic/onnxruntime-fp32-b1-t1")
ENVIRONMENT = plain(replace(environment(), device=TARGET.device))
LEVELS_MS = {f"subject{number}": 0.02 * 1.3**number for number in range(20)}
SWEEPS = 12
UNCHANGED = "no change beyond noise"


def visits_ms(
    rng: np.random.Generator,
    level_ms: float,
    count: int,
    *,
    noise: float = NOISE,
    disturbed: float = 0.0,
    campaign_std: float = CAMPAIGN_STD_PERCENT / 100,
) -> NDArray[np.float64]:
    """The fastest run of each visit of one campaign.

    Args:
        rng: Where randomness comes from.
        level_ms: The latency of the undisturbed machine.
        count: How many visits.
        noise: Mean excess of an undisturbed visit.
        disturbed: Share of visits that something else ran beside.
        campaign_std: By how much the level moves between campaigns.
    """
    moved = level_ms * np.exp(campaign_std * rng.standard_normal())
    excess = noise * rng.standard_exponential(count)
    slow = rng.random(count) < disturbed
    return np.asarray(
        moved * np.exp(excess + slow * DISTURBED_BY * (1 + 0.3 * rng.standard_normal(count)))
    )


def stats_of(minima_ms: np.ndarray) -> LatencyStats:
    values = tuple(float(value) for value in minima_ms)
    return LatencyStats(
        typical=min(values),
        std=0.0,
        median=min(values),
        mean=min(values),
        min=min(values),
        p90=None,
        p99=None,
        cov=0.0,
        n=len(values),
        sweep_minima_ms=values,
    )


def campaign(
    seed: int,
    *,
    levels_ms: Mapping[str, float] = LEVELS_MS,
    changed: Mapping[str, float] | None = None,
    machine: float = 1.0,
    control_moved: float = 1.0,
    noise: Mapping[str, float] | None = None,
    **conditions: Any,
) -> Measured:
    """A campaign as they are: noise within it, and levels that move by themselves between them."""
    rng = np.random.default_rng(seed)

    def minima(level_ms: float, count: int) -> np.ndarray:
        return visits_ms(rng, machine * level_ms, count, **(noise or {}))

    found = {
        name: stats_of(minima(level * (changed or {}).get(name, 1.0), SWEEPS))
        for name, level in levels_ms.items()
    }
    told = {"target": TARGET.setting, "environment": ENVIRONMENT, **conditions}
    return Measured(
        kind="table",
        side=ComparedSide(given=f"t{seed}", path=f"t{seed}.jsonl", target=TARGET.name, failed={}),
        control_ms=tuple(minima(1.3 * control_moved, SWEEPS * len(levels_ms))),
        stats=found,
        identity={},
        conditions=told,
        environment=environment_of(told),
        runtime="onnxruntime",
    )


def verdicts(record: ComparisonRecord) -> dict[str, str]:
    return {subject.name: subject.verdict for subject in record.subjects}


def write_table(path: Path, seed: int, **options: Any) -> Path:
    made = campaign(seed, **options)
    header = {"device": TARGET.device, "control": "cream-43", **made.conditions}
    with Journal(path, header) as journal:
        for sweep in range(SWEEPS):
            for name, found in made.stats.items():
                control = made.control_ms[len(journal.visits)]
                journal.append(
                    Visit(
                        sweep=sweep,
                        key=name,
                        samples_ms=(found.sweep_minima_ms[sweep], 99.0),
                        control_before_ms=(control, 99.0),
                        control_after_ms=(99.0, control),
                        at="2026-01-01T00:00:00.000+00:00",
                        precision="fp32",
                    )
                )
    return path
