"""What the stages hand to each other and to the report: one record a stage.

Records cross machines and days, so each has a schema version, is strict about its fields, carries
units in its names, and says on which data, device and software it was made. Nothing here needs
torch.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.calibration_record import Calibration
from pipeline.dataset_record import DatasetRecord, Preprocessing
from pipeline.fingerprint import Environment
from pipeline.latency_stats import LatencyStats
from pipeline.measure import TimingProtocol
from pipeline.record import Record
from pipeline.search_record import ExactSearch, ResolutionResult, TargetWinner
from pipeline.space import Architecture
from pipeline.steadiness import Steadiness


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


class ProfileRecord(Record):
    """A latency table was measured, or gone on with, on one target.

    Attributes:
        set_aside: Where a table went that was there before and made under other conditions.
        also: Other input sizes and targets of the same run.
    """

    target: str
    table: str
    set_aside: str | None = None
    space: str
    resolution: int
    num_classes: int
    protocol: TimingProtocol
    operators: int
    visits_measured: int
    visits_reused: int
    control: LatencyStats
    steadiness: Steadiness
    calibration: Calibration
    reference_latency_ms: float
    reference_name: str
    seconds: float
    environment: Environment
    also: tuple[ProfileRecord, ...] = ()


class EpochRecord(Record):
    """One pass over the training images.

    Attributes:
        loss: Mean training loss.
        accuracy_percent: Top-1 on search-validation after the epoch; None where not evaluated.
    """

    epoch: int
    loss: float
    accuracy_percent: float | None
    learning_rate: float
    images_per_second: float


class PrioritizedPath(Record):
    """A path of the board when training ended, the most accurate of its input size first.

    Attributes:
        accuracy_percent: Top-1 on the last training batches it was seen on.
        latency_ms: Predicted; None where no table was given.
    """

    architecture: Architecture
    accuracy_percent: float
    macs: int
    latency_ms: float | None


class TrainRecord(Record):
    """The hypernetwork was trained.

    Attributes:
        resolution: Input size of the search.
        resolutions: All input sizes it was trained at.
        board: Empty where the method has none.
        compute: Device and precision.
        processes: How many trained together.
    """

    method: Literal["single-path", "cream", "sandwich"]
    space: str
    max_depth: int
    resolution: int
    resolutions: tuple[int, ...]
    num_classes: int
    params: int
    epochs: tuple[EpochRecord, ...]
    board: tuple[PrioritizedPath, ...] = ()
    dataset: DatasetRecord
    compute: str
    processes: int = 1
    checkpoint: str
    seconds: float
    environment: Environment


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
        violation: Largest relative excess over a limit; 0 where all limits hold.
    """

    architecture: Architecture
    accuracy_percent: float | None
    macs: int
    params: int
    latency_ms: dict[str, LatencyPrediction]
    violation: float


class SearchRecord(Record):
    """A search under limits.

    Attributes:
        target: Whose latency makes the front, together with accuracy.
        strategy: How candidates were chosen.
        success: Whether a feasible architecture was found.
        message: Why the search ended, and for an infeasible request how far off the nearest is.
        evaluated: Every candidate scored, in the order of evaluation.
        front: Indices into `evaluated` of the feasible candidates no other feasible one beats in
            accuracy and in latency at once, fastest first.
        ranking: Indices of feasible candidates, most accurate first.
        num_images: Images of search-validation each candidate was scored on.
        hypervolume: Of the front after each generation: the share it dominates of the rectangle
            from the slowest allowed latency to 0 and from chance to 100 %.
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


class RetrainRecord(Record):
    """The winner was trained on its own.

    Attributes:
        method: How: by which of the methods of `pipeline.training.settings`.
        warm_start: Whether it began with the hypernetwork's weights.
        teacher: Who taught it besides the labels; None for nobody.
        accuracy_percent: Top-1 on search-validation.
        test_accuracy_percent: Top-1 on test, reported and never used to decide.
        test_accuracy_by_class_percent: The same for each class.
        compute: Device and precision; None in records of earlier versions.
        processes: How many trained together.
    """

    architecture: Architecture
    method: Literal["short", "paper"] = "short"
    warm_start: bool
    teacher: str | None = None
    epochs: tuple[EpochRecord, ...]
    accuracy_percent: float
    test_accuracy_percent: float
    test_accuracy_by_class_percent: dict[str, float]
    dataset: DatasetRecord
    compute: str | None = None
    processes: int = 1
    checkpoint: str
    seconds: float
    environment: Environment


class Parity(Record):
    """How far an exported model's outputs are from the network it was made of.

    Attributes:
        images: Number of images compared.
        data: Which images: a data set's name, or `random` for normal noise.
        max_abs: Largest absolute difference of a logit.
        max_rel: Largest difference of a logit relative to its image's largest logit.
        top1_agreement: Share of images with the same top class, 0 to 1.
    """

    images: int
    data: str
    max_abs: float
    max_rel: float
    top1_agreement: float


class ExportedFile(Record):
    """One file of an exported model, and how it does on real images.

    Attributes:
        file: Name of the file, beside the model's `onnx`.
        title: What kind of file it is, in words.
        accuracy_percent: Top-1 on search-validation, of int8 by the ONNX standard's arithmetic;
            None where there were no images, and for files that are not ONNX.
        test_accuracy_percent: The same on test, reported and never used to decide.
        agreement: Share of the images of search-validation with the same top class as in fp32, 0 to
            1.
        images: How many those were.
    """

    file: str
    precision: str
    title: str
    sha256: str
    size_bytes: int
    accuracy_percent: float | None = None
    test_accuracy_percent: float | None = None
    agreement: float | None = None
    images: int | None = None


class ExportedModel(Record):
    """One network as ONNX and in other files, and what is known about it.

    Attributes:
        onnx: Path of the file, relative to the record's folder.
        weights: `checkpoint <file>`, or `random (seed n)`.
        batch: Fixed batch size; None where it is dynamic.
        files: The ONNX file and those beside it; empty in records of earlier versions.
        calibration_images: Images that int8 took its ranges from; None without int8.
    """

    name: str
    architecture: Architecture
    onnx: str
    sha256: str
    size_bytes: int
    opset: int
    precision: str
    batch: int | None
    weights: str
    macs: int
    params: int
    parity: Parity
    preprocessing: Preprocessing | None
    files: tuple[ExportedFile, ...] = ()
    calibration_images: int | None = None


class ExportRecord(Record):
    """Models were exported."""

    models: tuple[ExportedModel, ...]
    seconds: float
    environment: Environment
