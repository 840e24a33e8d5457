"""What `verify` tells: the best candidates, built and timed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.device.fingerprint import Environment
from pipeline.files.record import Record
from pipeline.measure.statistics import LatencyStats
from pipeline.measure.steadiness import Steadiness
from pipeline.records.candidates import Candidate, LatencyPrediction, Limits


class VerifiedCandidate(Record):
    """A candidate that was built and timed on every target that can be measured here.

    Attributes:
        expected_ms: What was predicted when it was chosen: the search's prediction, updated with
            what had been measured before, by target.
        round: In which selection it was chosen.
        verdict: `within` every limit or `over` one, as measured.
        reason: The limit it broke and by how much; empty where it is within.
    """

    candidate: Candidate
    expected_ms: dict[str, LatencyPrediction] = Field(default_factory=dict)
    measured_ms: dict[str, LatencyStats]
    round: int = 1
    verdict: Literal["within", "over"]
    reason: str


class VerifyRecord(Record):
    """The best candidates, measured; `winner` is the most accurate that is within the limits.

    Attributes:
        control: The control network's latency, by target.
        steadiness: How far sweeps disagreed, by target.
        unmeasured: Why a target with a limit could not be measured here; there predictions decide.
    """

    limits: Limits
    candidates: tuple[VerifiedCandidate, ...]
    winner: int
    control: dict[str, LatencyStats]
    steadiness: dict[str, Steadiness] = Field(default_factory=dict)
    unmeasured: dict[str, str] = Field(default_factory=dict)
    seconds: float
    environment: Environment
