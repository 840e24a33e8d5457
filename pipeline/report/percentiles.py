"""Percentiles of single runs, each with the bound it is at most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from pipeline.measure.statistics import BOUND_CONFIDENCE, LatencyStats, runs_needed
from pipeline.report.blocks import Cell
from pipeline.report.formatting import NBSP, milliseconds, significant

Name = Literal["median", "p90", "p95", "p99"]
PERCENTS: dict[Name, int] = {"median": 50, "p90": 90, "p95": 95, "p99": 99}
CONFIDENCE = f"{100 * BOUND_CONFIDENCE:g}{NBSP}% confidence"


class Percentile(NamedTuple):
    """A percentile; None where the runs are too few.

    Attributes:
        bound_ms: What the true one is at most; None where the record keeps no bound.
    """

    name: Name
    ms: float | None
    bound_ms: float | None

    @property
    def words(self) -> str:
        """The percentile and its bound, e.g. `2.41, at most 2.45 ms`."""
        if self.ms is None:
            return f"under {runs_needed(PERCENTS[self.name])} runs"
        if self.bound_ms is None:
            return milliseconds(self.ms)
        return f"{significant(self.ms)}, at most {milliseconds(self.bound_ms)}"

    @property
    def cell(self) -> Cell:
        """The same in a table."""
        return Cell(self.words, self.ms, tone="muted" if self.ms is None else "")


def percentiles(stats: LatencyStats) -> Iterator[Percentile]:
    """All four, the median first."""
    for name in PERCENTS:
        yield Percentile(name, getattr(stats, name), getattr(stats, f"{name}_bound"))


def bounds_words(stats: LatencyStats) -> str:
    """What single runs take at most: `half of the runs at most 2.41 ms, 90 % at most …`."""
    return ", ".join(
        f"{'half' if p.name == 'median' else f'{PERCENTS[p.name]}{NBSP}%'} of runs at most"
        f" {milliseconds(p.bound_ms)}"
        for p in percentiles(stats)
        if p.bound_ms is not None
    )


def needed_words() -> str:
    """How many runs each percentile takes."""
    return ", ".join(f"{name} {runs_needed(percent)}" for name, percent in PERCENTS.items())
