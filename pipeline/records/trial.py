"""What `trial` tells: networks that were trained for a while beside each other."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.device.fingerprint import Environment
from pipeline.files.record import Record
from pipeline.measure.statistics import LatencyStats
from pipeline.records.candidates import Limits
from pipeline.space.architecture import Architecture

Kind = Literal["candidate", "further", "largest", "published", "random", "off the shelf"]
"""Why a network takes part: the search, or the first trials, chose it; or to compare with."""


class RungScore(Record):
    """What a network reached after a share of its training, on search-validation.

    Attributes:
        share: Of the steps of a whole training.
        error_nats: Standard error of the log-loss in comparisons with the others of the rung, which
            saw the same images; None of one alone.
        images: How many.
        kept: Whether it went on from here.
    """

    share: float
    log_loss_nats: float
    error_nats: float | None
    accuracy_percent: float
    images: int
    kept: bool


class Entrant(Record):
    """A network of the trials, or one that could not take part.

    Attributes:
        kinds: Why it takes part.
        architecture: None for a network of timm.
        timm: Its name there; None for a network of the search space.
        resolution: Side of its input in pixels.
        warm_start: Whether it began with the hypernetwork's weights.
        measured_ms: By target.
        reason: Why it could not take part; empty where it did.
        rungs: What it reached, as far as it went.
    """

    kinds: tuple[Kind, ...]
    architecture: Architecture | None = None
    timm: str | None = None
    resolution: int | None = None
    macs: int | None = None
    params: int | None = None
    warm_start: bool = False
    measured_ms: dict[str, LatencyStats] = Field(default_factory=dict)
    reason: str = ""
    rungs: tuple[RungScore, ...] = ()

    @property
    def label(self) -> str:
        """How tables call it."""
        if self.architecture:
            return self.architecture.label
        at = f" at {self.resolution} px" if self.resolution else ""
        return f"{self.timm}{at}"

    @property
    def is_off_the_shelf(self) -> bool:
        """Whether everybody can take it."""
        return self.timm is not None


class FusionRecord(Record):
    """What the first trials told of networks that were not tried.

    Attributes:
        inputs: What of a network helped to tell.
        error_nats: Root mean square error on trials left out of the fit.
        mean_error_nats: The same for a guess that knows only the mean of the others.
        trials: That it was fitted on last.
        chosen: Networks tried because of it.
    """

    inputs: tuple[str, ...]
    error_nats: float
    mean_error_nats: float
    trials: int
    chosen: int


class TrialRecord(Record):
    """Networks within the limits as measured, trained beside each other; the worst were dropped.

    Attributes:
        entrants: Candidates first, as the search ranks them.
        rungs: Shares of a whole training after which some were dropped.
        epochs: Of a whole training.
        winner: The network that is trained to the end and exported; None where there were no
            trials, and the best of those verified is.
        off_the_shelf: The best network of timm; None where none took part.
        fusion: None where the first trials chose no further ones.
        remarks: What should be known before the choice is believed, a sentence each.
    """

    limits: Limits
    entrants: tuple[Entrant, ...] = ()
    rungs: tuple[float, ...] = ()
    epochs: int
    winner: int | None = None
    off_the_shelf: int | None = None
    fusion: FusionRecord | None = None
    remarks: tuple[str, ...] = ()
    seconds: float
    environment: Environment
