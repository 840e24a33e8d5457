"""What a bundle says of itself: its `model.json`.

A figure that is not known is None, and beside it stands why and what would tell.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.files.record import Record
from pipeline.measure.steadiness import Steadiness
from pipeline.records.dataset import Preprocessing
from pipeline.report.limits import Quantity
from pipeline.space.architecture import Architecture

CARD = "model.json"
FORMAT: Literal["cream-pipeline-bundle"] = "cream-pipeline-bundle"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StageCard(_Part):
    """Blocks of one width, in the paper's notation.

    Attributes:
        place: Module path, e.g. `blocks.1`.
        operators: For example `MB6 5×5`.
        channels: Of the output.
        stride: Of the first block.
        resolution: Side of the input's feature map, in pixels.
    """

    place: str
    operators: tuple[str, ...]
    channels: int
    stride: int
    resolution: int


class ModelInput(_Part):
    """The tensor that each ONNX file takes, and the one it gives.

    Attributes:
        batch: Images a call; None for any number.
    """

    name: Literal["input"] = "input"
    output: Literal["logits"] = "logits"
    layout: Literal["NCHW"] = "NCHW"
    dtype: Literal["float32"] = "float32"
    channels: Literal[3] = 3
    resolution: int
    batch: int | None
    opset: int


class Tolerance(_Part):
    """How far a file's logits may be from those that it gave where the bundle was made.

    Where the two largest logits of an image are more than four times that apart, its class must be
    the same.

    Attributes:
        max_rms: Root-mean-square of the differences over all images, relative to the spread: the
            root-mean-square distance of logits from the mean of their image's.
        derivation: Where the number comes from.
    """

    max_rms: float
    derivation: str


class BundledFile(_Part):
    """One file of the model, and what it is worth on real images.

    Attributes:
        readers: Who runs it best.
        test_accuracy_percent: Top-1 on test, which decided nothing.
        test_images: How many those were.
        search_validation_accuracy_percent: Top-1 on the images that choices were made on.
        search_validation_images: How many those were.
        agreement_with_fp32: Share of the images of search-validation with the same top class, 0..1.
    """

    file: str
    precision: str
    title: str
    readers: str
    sha256: str
    size_bytes: int
    test_accuracy_percent: float
    test_images: int
    search_validation_accuracy_percent: float
    search_validation_images: int
    agreement_with_fp32: float
    tolerance: Tolerance


class Machine(_Part):
    """What a latency was measured on.

    Attributes:
        packages: Versions of the runtime's packages and of those that made the graph.
        settings: How the machine is set up, in words.
    """

    cpu: str
    cores: int
    os: str
    python: str
    packages: dict[str, str]
    settings: dict[str, str]


class PredictedLatency(_Part):
    """What a latency table said.

    Attributes:
        std_ms: Standard uncertainty.
        foreign: Whether the table was measured on another machine or with other software.
    """

    typical_ms: float
    std_ms: float
    foreign: bool


class MeasuredLatency(_Part):
    """What was measured.

    Attributes:
        typical_ms: Latency of an undisturbed run: the fastest of all, in visits apart in time.
        std_ms: Its standard uncertainty.
        median_ms: None where the runs are too few.
        runs: Timed.
        by: The stage that measured it.
        precision_as_built: What the runtime really computes in; None where it does not tell.
        steadiness: How still the machine held; None where that was not kept.
    """

    typical_ms: float
    std_ms: float
    median_ms: float | None
    runs: int
    by: Literal["benchmark", "verify"]
    precision_as_built: str | None
    machine: Machine
    steadiness: Steadiness | None


class TargetLatency(_Part):
    """One target: a setting of a device.

    Attributes:
        target: With the device's own name in place of `host`.
        file: Which file the target reads; it may be one that is left out.
        threads: None where the runtime decides.
        prediction_missing: Why there is no prediction, where there is none.
        measurement_missing: Why nothing was measured, where nothing was.
        doubts: What a reader of the figures must know.
    """

    target: str
    runtime: str
    precision: str
    batch: int
    threads: int | None
    file: str | None
    predicted: PredictedLatency | None
    prediction_missing: str | None
    measured: MeasuredLatency | None
    measurement_missing: str | None
    doubts: tuple[str, ...]


class LimitCard(_Part):
    """A limit that was asked for, and whether it is met as measured.

    Attributes:
        limit: In milliseconds for a latency, else a count.
        value: What was measured or counted; None where it was not.
        words: All of it, for people.
    """

    quantity: Quantity
    target: str | None
    limit: float
    value: float | None
    verdict: Literal["met", "not met", "not measured"]
    words: str


class TimmForm(_Part):
    """The network as timm builds it: `MobileNetV3(decode_arch_def(arch_def), …)`.

    Attributes:
        file: Its weights, under timm's names.
        arch_def: Block strings by stage, in the grammar of timm's `decode_arch_def`.
        stem_size: Channels of the first convolution.
        num_features: Width of the classifier's hidden layer.
    """

    file: str
    arch_def: tuple[tuple[str, ...], ...]
    stem_size: int
    num_features: int
    num_classes: int


class KeptImage(_Part):
    """An image of the test split, kept as a PNG file."""

    file: str
    label: str


class Vectors(_Part):
    """Images with the input and the logits that belong to them.

    Attributes:
        file: `inputs` of shape (n, 3, side, side), `labels` of shape (n,), and under each ONNX
            file's name its logits of shape (n, classes).
        preprocessing_max_abs: How far an input that is made anew may be from the one kept.
        preprocessing_derivation: Where that number comes from.
    """

    file: str
    images: tuple[KeptImage, ...]
    preprocessing_max_abs: float
    preprocessing_derivation: str


class TrainingCard(_Part):
    """On what the network was trained, and how.

    Attributes:
        dataset: Its name, without folders.
        licence: None where it is not known here.
        method: By which of the methods of training a network on its own.
        teacher: Who taught it besides the labels; None for nobody.
        compute: Device and precision; None where the record does not tell.
        settings: The recipe's section for training the network on its own.
    """

    dataset: str
    source: str
    checksum: str | None
    licence: str | None
    num_train: int
    num_search_validation: int
    num_test: int
    epochs: int
    warm_start: bool
    method: str
    teacher: str | None
    compute: str | None
    settings: dict[str, Any]
    test_accuracy_percent: float
    test_accuracy_by_class_percent: dict[str, float]


class Bundle(Record):
    """Everything a bundle says of itself.

    Attributes:
        made_by: This program and its version.
        native_size: Width and height of the data set's images, to which others are brought before
            padding; None where images are taken as they are.
        left_out: Files that an export can have and this bundle does not, and why.
        timm_missing: Why there is no form for timm, where there is none.
        software: Versions with which it was exported.
        sha256: Of every other file of the bundle.
        digest: SHA-256 of all other fields as JSON with sorted keys and no spaces; empty while the
            bundle is being made.
    """

    format: Literal["cream-pipeline-bundle"] = FORMAT
    made_by: str
    name: str
    recipe: str
    architecture: Architecture
    stages: tuple[StageCard, ...]
    macs: int
    params: int
    labels: tuple[str, ...]
    input: ModelInput
    preprocessing: Preprocessing
    native_size: tuple[int, int] | None
    files: tuple[BundledFile, ...]
    left_out: dict[str, str]
    latency: tuple[TargetLatency, ...]
    limits: tuple[LimitCard, ...]
    timm: TimmForm | None
    timm_missing: str | None
    vectors: Vectors
    training: TrainingCard
    software: dict[str, str]
    sha256: dict[str, str] = Field(default_factory=dict)
    digest: str = ""
