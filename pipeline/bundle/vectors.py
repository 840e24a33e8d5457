"""Test vectors: real images, the inputs that belong to them, and what each file answers.

A device that computes the same from the same images has the same model, preprocessing included.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.bundle.answers import Logits
from pipeline.bundle.card import KeptImage, Vectors
from pipeline.files.whole import write_atomic
from pipeline.images.image_data import Original
from pipeline.records.dataset import Preprocessing

# Of eight, int8's own scatter could hide a fault.
IMAGES = 16
_FOLDER = "vectors"
_FILE = f"{_FOLDER}/vectors.npz"
# A device resizes in float64 where training does in float32; a hundredth of a grey level is more
# than rounding comes to at 256 pixels, and too little to see.
_GREY_LEVELS = 0.01


def write_vectors(
    folder: Path,
    originals: Sequence[Original],
    inputs: NDArray[np.float32],
    logits: Mapping[str, Logits],
    labels: Sequence[str],
    how: Preprocessing,
) -> Vectors:
    """Writes the pictures as PNG, and the arrays in one file.

    Args:
        folder: The bundle's.
        originals: The images.
        inputs: What training makes of them, shape (n, 3, side, side).
        logits: Of them, shape (n, classes), by file.
        labels: Names of the classes.
        how: The preprocessing.

    Raises:
        StorageError: A file cannot be written.
    """
    images = []
    for number, original in enumerate(originals):
        name = f"{_FOLDER}/image-{number}.png"
        content = io.BytesIO()
        Image.fromarray(original.pixels).save(content, "PNG")
        write_atomic(folder / name, content.getvalue())
        images.append(KeptImage(file=name, label=labels[original.label]))
    arrays: dict[str, Any] = {
        "inputs": inputs,
        "labels": np.array([original.label for original in originals]),
        **logits,
    }
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_atomic(folder / _FILE, content.getvalue())
    return Vectors(
        file=_FILE,
        images=tuple(images),
        preprocessing_max_abs=_GREY_LEVELS / 255 / min(how.std),
        preprocessing_derivation=f"{_GREY_LEVELS} grey levels of 255, over the least std",
    )
