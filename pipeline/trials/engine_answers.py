"""What an engine answers, beside what the file that it runs says: a wrong answer has no latency.

Engines compute a file by kernels of their own, which differ between machines: sums of int8 may
saturate on one CPU, a register may lose its contents under one hypervisor, a layer may be built in
less precision than was meant. Times alone show nothing of it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.device.model_files import FP32, PROGRAM
from pipeline.device.runtimes import model_file
from pipeline.device.target import Target
from pipeline.export.classifier import reference_classifier
from pipeline.measure.measuring_process import MeasuringProcess
from pipeline.records.benchmark import EngineAnswers

# So many standard errors are chance once in 700 engines.
_DEVIATIONS = 3.0


class Exam(NamedTuple):
    """What engines are asked.

    Attributes:
        images: Shape (n, 3, side, side), as the network takes them.
        labels: Their classes, shape (n,).
        max_drop_percent: Most percentage points of top-1 accuracy that an engine may lose.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    max_drop_percent: float


def examine(target: Target, name: str, model: Path, exam: Exam) -> EngineAnswers:
    """Asks a target's engine, in a process of its own, and the file it reads.

    Args:
        target: Where the model runs.
        name: The model's, for messages.
        model: Folder with the file that the target's runtime reads.
        exam: The images.

    Raises:
        UnavailableError: The target is elsewhere, or its runtime cannot run here.
        MeasurementError: The engine refuses the model, or its process died.
        ExportError: The file does not run.
    """
    file = model_file(target)
    # The same network; a program is what ONNX was compared with when it was exported.
    said = reference_classifier(model / (FP32 if file == PROGRAM else file))(exam.images)
    with MeasuringProcess(target) as process:
        process.open(name, model)
        found = process.answers(name, exam.images)
    return compare(found, said, exam)


def compare(found: NDArray[np.float32], said: NDArray[np.float32], exam: Exam) -> EngineAnswers:
    """Judges logits by those the file says.

    Args:
        found: The engine's, shape (n, classes).
        said: The file's own.
        exam: The images that both are of.
    """
    top, expected = found.argmax(axis=1), said.argmax(axis=1)
    right, right_by_file = top == exam.labels, expected == exam.labels
    n = len(exam.labels)
    lost, gained = int((right_by_file & ~right).sum()), int((right & ~right_by_file).sum())
    drop_percent = 100 * (lost - gained) / n
    # Of a difference of two shares on the same images (McNemar).
    error_percent = 100 * math.sqrt(max(lost + gained - (lost - gained) ** 2 / n, 0)) / n
    return EngineAnswers(
        images=n,
        accuracy_percent=100 * float(right.mean()),
        file_accuracy_percent=100 * float(right_by_file.mean()),
        agreement=float((top == expected).mean()),
        wrong=bool(
            not np.isfinite(found).all()
            or drop_percent - _DEVIATIONS * error_percent > exam.max_drop_percent
        ),
    )
