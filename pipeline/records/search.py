"""What `search` tells: every candidate, the front and the winners."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.files.record import Record
from pipeline.records.candidates import Candidate, Limits
from pipeline.records.scores import AccuracyScale, Luck, ScoreSpread
from pipeline.space.architecture import Architecture


class SurrogateFit(Record):
    """How well a sum over blocks explains hypernetwork scores; as accuracy, by the search's scale.

    Attributes:
        samples: Scored networks it was fitted on.
        error_percent: Root mean square error on networks left out of the fit, in points.
        mean_error_percent: The same for a guess that knows only the mean of the others.
        kendall_tau: Rank correlation of left-out guesses with the scores.
    """

    samples: int
    error_percent: float
    mean_error_percent: float
    kendall_tau: float


class FrontPoint(Record):
    """A network as the exact search sees it.

    Attributes:
        surrogate_percent: Accuracy as the surrogate has it, by the search's scale.
        latency_ms: Predicted on the searched target.
    """

    architecture: Architecture
    surrogate_percent: float
    latency_ms: float
    macs: int


class ExactSearch(Record):
    """What is proved of the surrogate within the limits, by input size and over all of them.

    Attributes:
        surrogates: The fits, by input size.
        best: The network of highest surrogate found; it is inside every limit.
        bound_percent: No network inside the limits has a surrogate above this; equal to the best's
            where the proof is complete.
        front: Networks that none inside the limits beats in surrogate and in latency at once,
            fastest first; thinned where there are very many.
        front_points: How many there are, before thinning.
        front_gap_percent: Most points by which an unknown network could lie above the front.
        chosen_regret_percent: Points of surrogate that the most accurate network by score gives
            away against the best.
        seconds: Time of the exact search, fitting included, scoring not.
    """

    surrogates: dict[int, SurrogateFit]
    best: FrontPoint
    bound_percent: float
    front: tuple[FrontPoint, ...]
    front_points: int
    front_gap_percent: float
    chosen_regret_percent: float
    seconds: float


class ResolutionResult(Record):
    """One input size among several that were searched together.

    Attributes:
        evaluated: Candidates scored at this size.
        best: Index of the best of them.
        hypervolume: Of its own scores, in the units of `SearchRecord.hypervolume`.
        most_lost_percent: Most points, at any latency, by which its own front is below that of all
            sizes together, as expected.
    """

    resolution: int
    evaluated: int
    best: int
    hypervolume: float
    most_lost_percent: float


class TargetWinner(Record):
    """The winner of one target searched for on its own, and what sharing one network costs it.

    Attributes:
        best: Index of the best candidate within this target's limit and those that are not about
            latency; None where there is none.
        shared_lost_percent: Points by which the network within all limits is expected to be less
            accurate.
    """

    target: str
    best: int | None
    shared_lost_percent: float | None


class SearchRecord(Record):
    """A search under limits.

    Candidates are ordered by `Candidate.quality`: by their log-loss, less what of it is luck.
    Accuracies that no hits were counted for are log-losses told by `scale`.

    Attributes:
        target: Whose latency makes the front, together with accuracy.
        strategy: How candidates were chosen.
        success: Whether a feasible architecture was found.
        message: Why the search ended, and for an infeasible request how far off the nearest is.
        evaluated: Every candidate scored, in the order of evaluation.
        front: Indices into `evaluated` of the feasible candidates no other feasible one beats in
            quality and in latency at once, fastest first.
        ranking: Indices of feasible candidates, the best first.
        num_images: Images of search-validation each candidate was scored on.
        scores: How far the scores are apart; None where they are hits, or of a single network.
        scale: How log-losses are told as accuracies; None where scores are hits.
        luck: What of the best score is luck; None as `scores`, and where nothing is feasible.
        remarks: What should be known before the scores are believed, a sentence each.
        hypervolume: Of the scores after each generation: the share they dominate of the rectangle
            from the slowest allowed latency to 0 and from guessing (a log-loss of ln(classes)) to
            certainty (0).
        reachable: Smallest and largest value of each cost, over all input sizes.
        exact: What is proved with the surrogate; None where none was fitted.
        resolutions: Each input size, where several were searched.
        per_target: Winners of the targets one by one, where they were asked for.
        published: Published Cream models at the space's input size, for comparison; without an
            accuracy where the hypernetwork does not hold them.
        nearest: Where nothing is inside the limits, the architecture with the smallest violation.
        foreign: In what tables' machine and software differ from those here; empty where they hold
            here.
        table_scale: What each target's predictions were multiplied by, as the table's last check
            found.
    """

    limits: Limits
    target: str
    strategy: Literal["evolution", "exact", "board"] = "evolution"
    success: bool
    message: str
    evaluated: tuple[Candidate, ...]
    front: tuple[int, ...]
    ranking: tuple[int, ...]
    num_images: int
    scores: ScoreSpread | None = None
    scale: AccuracyScale | None = None
    luck: Luck | None = None
    remarks: tuple[str, ...] = ()
    hypervolume: tuple[float, ...]
    reachable: dict[str, tuple[float, float]]
    exact: ExactSearch | None = None
    resolutions: tuple[ResolutionResult, ...] = ()
    per_target: tuple[TargetWinner, ...] = ()
    published: tuple[Candidate, ...] = ()
    nearest: Candidate | None = None
    foreign: tuple[str, ...] = ()
    table_scale: dict[str, float] = Field(default_factory=dict)
    seed: int
    seconds: float

    def expected_percent(self, candidate: Candidate) -> float | None:
        """The accuracy that one of the search's candidates is shown with: its quality as such."""
        if self.scale is None or candidate.quality is None:
            return candidate.accuracy_percent
        return self.scale.percent(-candidate.quality)
