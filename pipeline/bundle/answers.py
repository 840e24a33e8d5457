"""A file's logits of images one a call, as a device computes them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.onnx_classifier import OnnxClassifier

Logits = NDArray[np.float32]


class Setting(NamedTuple):
    """How ONNX Runtime computes.

    Attributes:
        optimisation: Name in its `GraphOptimizationLevel`: how much is fused and laid out anew.
        threads: To compute on.
    """

    optimisation: str
    threads: int


AS_ON_A_DEVICE = Setting("ORT_ENABLE_ALL", 1)
OTHERS = (
    Setting("ORT_DISABLE_ALL", 1),
    Setting("ORT_ENABLE_BASIC", 1),
    Setting("ORT_ENABLE_EXTENDED", 1),
    Setting("ORT_ENABLE_ALL", 2),
)


def answers(
    onnx_file: Path, images: NDArray[np.float32], setting: Setting = AS_ON_A_DEVICE
) -> Logits:
    """Logits of shape (n, classes).

    Args:
        onnx_file: The file.
        images: Shape (n, 3, side, side), n at least 1.
        setting: How to compute; by default as `infer.py` does.

    Raises:
        ExportError: ONNX Runtime does not run the file so.
    """
    run = OnnxClassifier(onnx_file, threads=setting.threads, optimisation=setting.optimisation)
    return np.concatenate([run(image[None]) for image in images])
