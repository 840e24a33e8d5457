"""Candidates of a search: what a network may cost, and what one is known to cost."""

from __future__ import annotations

from pydantic import Field

from pipeline.files.record import Record
from pipeline.space.architecture import Architecture


class LatencyPrediction(Record):
    """A predicted latency.

    Attributes:
        typical: Milliseconds, the statistic tables and measurements use.
        std: Standard uncertainty of the prediction, in milliseconds.
        foreign: Whether it comes from a table that was measured on another machine, or with other
            software, than where the prediction was made.
    """

    typical: float
    std: float
    foreign: bool = False


class Limits(Record):
    """What a network may cost; every limit holds at once.

    Attributes:
        macs: Most multiply-accumulates.
        macs_min: Fewest multiply-accumulates.
        params: Most parameters.
        latency_ms: Most milliseconds, per target.
        confidence: Probability, one-sided, with which a latency limit is to hold as predicted;
            0.5 goes by the prediction alone, more keeps a margin for its uncertainty.
    """

    macs: float | None = None
    macs_min: float | None = None
    params: float | None = None
    latency_ms: dict[str, float] = Field(default_factory=dict)
    confidence: float = Field(default=0.5, ge=0.5, lt=1)


class Candidate(Record):
    """An architecture with everything known about it before it is built.

    Attributes:
        accuracy_percent: Top-1 on search-validation with shared weights; None if not evaluated.
        log_loss_nats: Mean log-loss on the same images; None where only hits were counted.
        error_nats: Standard error of that in comparisons with other candidates, which saw the same
            images (`pipeline.training.scoring.network_score`); None where there are none.
        expected_nats: The log-loss expected on other images, from this one and from what the others
            tell of such networks (`pipeline.search.expectation`); None as above.
        expected_std_nats: Standard deviation of the expectation.
        violation: Largest relative excess over a limit; 0 where all limits hold.
    """

    architecture: Architecture
    accuracy_percent: float | None
    log_loss_nats: float | None = None
    error_nats: float | None = None
    expected_nats: float | None = None
    expected_std_nats: float | None = None
    macs: int
    params: int
    latency_ms: dict[str, LatencyPrediction]
    violation: float

    @property
    def quality(self) -> float | None:
        """What candidates of one search are ordered by, higher being better; None if not evaluated.

        Minus the expected log-loss, minus the log-loss where nothing else is known, top-1 where
        only hits were counted.
        """
        nats = self.log_loss_nats if self.expected_nats is None else self.expected_nats
        return self.accuracy_percent if nats is None else -nats
