"""The files that an exported network leaves as, and what each is worth on real images.

`model.onnx` is made first; the others are made of the same network and judged against it. A file in
less precision whose accuracy falls too far is refused: nobody should find that out on the device.

An int8 file is judged by the ONNX standard's arithmetic, and not by what this machine's kernels
make of it: kernels differ between CPUs, and some are wrong. Whether an engine computes a file as
the standard says is asked where the engine is timed (`pipeline.trials.engine_answers`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pipeline.device.model_files import FP32, KINDS, PROGRAM
from pipeline.errors import DataError, ExportError
from pipeline.export.classifier import OnnxClassifier, reference_classifier
from pipeline.export.precision import Images, make_file
from pipeline.export.to_onnx import export_network
from pipeline.files.whole import digest_of_file, storage_errors
from pipeline.images.image_data import Batch, ImageData, Split
from pipeline.network.network import Network
from pipeline.records.export import ExportedFile

_BATCH = 128


def write_files(
    network: Network,
    folder: Path,
    files: Sequence[str],
    *,
    batch: int | None,
    calibration: Images | None,
) -> None:
    """Makes files of a network beside its `model.onnx`.

    Args:
        network: What `model.onnx` was made of.
        folder: Holds `model.onnx`.
        files: Which, `model.onnx` among them or not.
        batch: Images a call; None for any number.
        calibration: Images that int8 takes its ranges from; others need none.

    Raises:
        ExportError: One cannot be had.
        StorageError: A file cannot be written.
    """
    for file in files:
        if file == PROGRAM:
            export_network(network, folder, batch=batch, file=PROGRAM)
        elif file != FP32:
            make_file(folder, file, calibration)


def describe_files(
    folder: Path,
    files: Sequence[str],
    data: ImageData | None = None,
    *,
    images: int | None = None,
) -> tuple[ExportedFile, ...]:
    """What each file is, and how accurate where there are images.

    Each ONNX file is run on images of search-validation and of test, int8 by the standard's
    arithmetic; `model.pt2` is not, being the network itself.

    Args:
        folder: Holds the files.
        files: Which, `model.onnx` among them.
        data: At the network's input size.
        images: Most images of a split; None for all.

    Raises:
        ExportError: One does not run.
        DataError: A split is empty, or an image cannot be read.
        StorageError: A file cannot be read.
    """
    found: dict[str, _Found] = {}
    tested: dict[str, _Found] = {}
    if data is not None:
        threads = torch.get_num_threads()
        classifiers = {
            file: reference_classifier(folder / file, threads=threads)
            for file in files
            if file != PROGRAM
        }
        found = _judge(
            classifiers, first_batches(data, "search-validation", images), data.record.name
        )
        tested = _judge(classifiers, first_batches(data, "test", images), data.record.name)
    described = []
    for file in files:
        with storage_errors(folder / file):
            size_bytes = (folder / file).stat().st_size
        judged, in_test = found.get(file), tested.get(file)
        described.append(
            ExportedFile(
                file=file,
                precision=KINDS[file].precision,
                title=KINDS[file].title,
                sha256=digest_of_file(folder / file),
                size_bytes=size_bytes,
                accuracy_percent=judged.accuracy_percent if judged else None,
                test_accuracy_percent=in_test.accuracy_percent if in_test else None,
                agreement=judged.agreement if judged else None,
                images=judged.images if judged else None,
            )
        )
    return tuple(described)


def check_accuracy(
    files: Sequence[ExportedFile], name: str, *, max_drop_percent: float, calibration_images: int
) -> None:
    """Refuses files that are less accurate on search-validation than fp32 by too much.

    Args:
        files: From `describe_files`, with images.
        name: The model's, for the message.
        max_drop_percent: Most percentage points of top-1 accuracy to lose.
        calibration_images: How many int8 took its ranges from, for the hint.

    Raises:
        ExportError: One loses more; says by how much, and what to do.
    """
    reference = next((it.accuracy_percent for it in files if it.file == FP32), None)
    for it in files:
        if reference is None or it.accuracy_percent is None:
            continue
        drop = reference - it.accuracy_percent
        if drop > max_drop_percent:
            more = (
                f"calibrate on more images (export.calibration_images={4 * calibration_images}), "
                if it.precision == "int8"
                else ""
            )
            raise ExportError(
                f"{name}: {it.file} is {drop:.2f} points less accurate on search-validation than "
                f"fp32 ({it.accuracy_percent:.2f} % against {reference:.2f} %); "
                f"at most {max_drop_percent:g} is allowed",
                hint=f"{more}leave {it.precision} out of export.precisions, or allow more "
                "(export.max_accuracy_drop_percent)",
            )


class _Found(NamedTuple):
    accuracy_percent: float
    agreement: float
    images: int


def first_batches(data: ImageData, split: Split, most: int | None) -> Iterator[Batch]:
    """The first images of a split with their classes.

    Args:
        data: At the network's input size.
        split: Which.
        most: Of all batches together; None for all.

    Raises:
        DataError: An image cannot be read.
    """
    missing = most
    for images, labels in data.batches(split, _BATCH):
        if missing is not None:
            images, labels = images[:missing], labels[:missing]
            missing -= len(images)
        if len(images):
            yield images, labels
        if missing == 0:
            return


def _judge(
    classifiers: dict[str, OnnxClassifier], batches: Iterable[Batch], data: str
) -> dict[str, _Found]:
    """Runs all files on each batch, so that images are read once."""
    correct = dict.fromkeys(classifiers, 0)
    agreed = dict.fromkeys(classifiers, 0)
    total = 0
    for images, labels in batches:
        inputs = images.cpu().contiguous().numpy()
        top = {file: run(inputs).argmax(axis=1) for file, run in classifiers.items()}
        for file, classes in top.items():
            correct[file] += int(np.sum(classes == labels.cpu().numpy()))
            agreed[file] += int(np.sum(classes == top[FP32]))
        total += len(inputs)
    if not total:
        raise DataError(f"{data}: there are no images to measure the exported files on")
    return {
        file: _Found(100 * correct[file] / total, agreed[file] / total, total)
        for file in classifiers
    }
