"""What `export` tells: the files of a model, and how they do."""

from __future__ import annotations

from pipeline.device.fingerprint import Environment
from pipeline.files.record import Record
from pipeline.records.dataset import Preprocessing
from pipeline.space.architecture import Architecture


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
