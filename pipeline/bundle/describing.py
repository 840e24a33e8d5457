"""Makes a bundle's card of a run's records and of what was computed for the bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline import __version__
from pipeline.bundle.card import (
    Bundle,
    BundledFile,
    ModelInput,
    StageCard,
    TimmForm,
    Tolerance,
    TrainingCard,
    Vectors,
)
from pipeline.bundle.latency import limit_cards, target_latencies
from pipeline.device.model_files import KINDS, PROGRAM
from pipeline.errors import StageError
from pipeline.records.dataset import DatasetRecord
from pipeline.records.export import ExportedFile, ExportedModel
from pipeline.records.retrain import RetrainRecord
from pipeline.report import ReportInputs, Summary
from pipeline.space.architecture import Architecture

# What these data sets are published under.
_LICENCES = {
    "fashion-mnist": "MIT (Fashion-MNIST, © 2017 Zalando SE)",
    "digits": "CC BY 4.0 (Optical Recognition of Handwritten Digits, UCI Machine Learning "
    "Repository)",
}
_HUGGING_FACE = "hfds/"


class Made(NamedTuple):
    """What was computed for the bundle.

    Attributes:
        tolerances: By file.
        timm: The form for timm, or why there is none.
        native_size: Width and height of the data set's gray images; None for photographs.
    """

    tolerances: Mapping[str, Tolerance]
    vectors: Vectors
    timm: TimmForm | str
    native_size: tuple[int, int] | None


def describe(
    inputs: ReportInputs,
    summary: Summary,
    exported: ExportedModel,
    trained: RetrainRecord,
    made: Made,
) -> Bundle:
    """The card without digests.

    Raises:
        StageError: The export's record does not say how accurate its files are.
    """
    if exported.preprocessing is None:
        raise StageError("the export's record holds no preprocessing; expected a recipe's export")
    architecture, data = exported.architecture, trained.dataset
    record = inputs.verify or inputs.export or trained
    where = record.environment
    has_form = isinstance(made.timm, TimmForm)
    return Bundle(
        made_by=f"cream-pipeline {__version__}",
        name=exported.name,
        recipe=str(inputs.recipe["name"]),
        architecture=architecture,
        stages=_stages(architecture),
        macs=exported.macs,
        params=exported.params,
        labels=data.class_names,
        input=ModelInput(
            resolution=architecture.resolution, batch=exported.batch, opset=exported.opset
        ),
        preprocessing=exported.preprocessing,
        native_size=made.native_size,
        files=tuple(
            _file(file, made.tolerances[file.file], inputs, data) for file in bundled(exported)
        ),
        left_out=_left_out(exported, inputs),
        latency=target_latencies(inputs, architecture, where),
        limits=limit_cards(summary, where),
        timm=made.timm if isinstance(made.timm, TimmForm) else None,
        timm_missing=None if has_form else str(made.timm),
        vectors=made.vectors,
        training=_training(trained, inputs),
        software=_software(inputs),
    )


def bundled(exported: ExportedModel) -> list[ExportedFile]:
    """The files of an export that a bundle takes: those that ONNX Runtime runs."""
    return [file for file in exported.files if file.file != PROGRAM]


def _left_out(exported: ExportedModel, inputs: ReportInputs) -> dict[str, str]:
    written = {file.file for file in exported.files}
    found = (
        {PROGRAM: "needs PyTorch; it is in the run's export folder"} if PROGRAM in written else {}
    )
    for file, kind in KINDS.items():
        if file not in written:
            found[file] = (
                f"not exported; {inputs.command('export')} "
                f"--set 'export.precisions=[fp32, {kind.precision}]' writes it"
            )
    return found


def _file(
    file: ExportedFile, tolerance: Tolerance, inputs: ReportInputs, data: DatasetRecord
) -> BundledFile:
    test, validation = file.test_accuracy_percent, file.accuracy_percent
    if test is None or validation is None or file.agreement is None or file.images is None:
        raise StageError(
            f"the export's record does not say how accurate {file.file} is",
            hint=f"move the run's export folder away and {inputs.command('export')}",
        )
    most = inputs.recipe["export"]["accuracy_images"]
    return BundledFile(
        file=file.file,
        precision=file.precision,
        title=file.title,
        readers=KINDS[file.file].readers,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        test_accuracy_percent=test,
        test_images=min(most or data.num_test, data.num_test),
        search_validation_accuracy_percent=validation,
        search_validation_images=file.images,
        agreement_with_fp32=file.agreement,
        tolerance=tolerance,
    )


def _stages(architecture: Architecture) -> tuple[StageCard, ...]:
    stages: dict[str, list[Any]] = {}
    for placed in architecture.operators():
        if placed.choice:
            stages.setdefault(placed.place.rpartition(".")[0], []).append(placed)
    return tuple(
        StageCard(
            place=place,
            operators=tuple(block.choice.label for block in blocks),
            channels=blocks[0].spec.out_channels,
            stride=blocks[0].spec.stride,
            resolution=blocks[0].spec.resolution,
        )
        for place, blocks in stages.items()
    )


def _training(trained: RetrainRecord, inputs: ReportInputs) -> TrainingCard:
    data = trained.dataset
    return TrainingCard(
        dataset=_public_name(data.name),
        source=data.source,
        checksum=data.checksum,
        licence=_LICENCES.get(data.name),
        num_train=data.num_train,
        num_search_validation=data.num_search_validation,
        num_test=data.num_test,
        epochs=len(trained.epochs),
        warm_start=trained.warm_start,
        method=trained.method,
        teacher=trained.teacher and _without_folders(trained.teacher),
        compute=trained.compute,
        settings=_without_folders(inputs.recipe["retrain"]),
        test_accuracy_percent=trained.test_accuracy_percent,
        test_accuracy_by_class_percent=trained.test_accuracy_by_class_percent,
    )


def _software(inputs: ReportInputs) -> dict[str, str]:
    record = inputs.export
    found = {"cream-pipeline": __version__}
    if record:
        found |= {"python": record.environment.python, **record.environment.packages}
    return found


def _public_name(name: str) -> str:
    """A data set's name; of a folder, where it lies is nobody's business."""
    return name if name.startswith(_HUGGING_FACE) else Path(name).name


def _without_folders(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(("/", "~")):
        return Path(value).name
    if isinstance(value, Mapping):
        return {key: _without_folders(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_without_folders(each) for each in value]
    return value
