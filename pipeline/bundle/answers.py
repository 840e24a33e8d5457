"""A file's logits of images one a call, as a device computes them or as the file says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.export.classifier import AS_FAST_AS_IT_CAN, OnnxClassifier

Logits = NDArray[np.float32]

# How much ONNX Runtime may fuse and lay out anew: the first is what `infer.py` asks for.
AS_DEVICES_DO = (AS_FAST_AS_IT_CAN, "ORT_ENABLE_EXTENDED", "ORT_ENABLE_BASIC")


def answers(
    onnx_file: Path, images: NDArray[np.float32], optimisation: str = AS_FAST_AS_IT_CAN
) -> Logits:
    """Logits of shape (n, classes).

    Args:
        onnx_file: The file.
        images: Shape (n, 3, side, side), n at least 1.
        optimisation: Name in ONNX Runtime's `GraphOptimizationLevel`.

    Raises:
        ExportError: ONNX Runtime does not run the file so.
    """
    run = OnnxClassifier(onnx_file, threads=1, optimisation=optimisation)
    return np.concatenate([run(image[None]) for image in images])
