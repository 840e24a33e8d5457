"""How a campaign times its subjects: how often, how long, and when it is enough."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.device.burst import BurstPlan
from pipeline.measure.statistics import MIN_SWEEPS


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

    @property
    def subject_burst(self) -> BurstPlan:
        """How a visit times its subject."""
        return BurstPlan(self.warm_runs, self.runs, self.burst_ms, self.max_runs)

    @property
    def control_burst(self) -> BurstPlan:
        """How a visit times the control network, before and after."""
        return BurstPlan(1, self.control_runs, 0.0, self.control_runs)

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
