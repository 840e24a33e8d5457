"""Timing: the protocol, the schedule of visits, and the statistics made of them.

Noise on a shared machine comes in spells of seconds, so repetition inside one burst says little.
Every subject is visited once a sweep, in random order, with bursts of a control network before and
after; sweeps are spread over the campaign. `facts` behind the numbers: docs/measuring.md.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import MeasurementError


class TimingProtocol(BaseModel):
    """How a campaign times its subjects.

    Attributes:
        sweeps: Visits to each subject, spread over the campaign.
        warm_runs: Untimed runs at the start of a visit.
        runs: Timed runs of a visit.
        warmup_ms: Untimed running of a subject before its first visit, in milliseconds.
        control_runs: Timed runs of the control network on each side of a visit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sweeps: int = Field(default=12, ge=1)
    warm_runs: int = Field(default=3, ge=0)
    runs: int = Field(default=8, ge=1)
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
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sweep: int
    key: str
    samples_ms: tuple[float, ...]
    control_before_ms: tuple[float, ...]
    control_after_ms: tuple[float, ...]
    at: str


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
