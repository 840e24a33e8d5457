"""Which images a run was trained and judged on, and how an image becomes an input."""

from __future__ import annotations

from typing import Literal

from pipeline.record import Record


class Preprocessing(Record):
    """How an image becomes an input tensor; the same in training, export and deployment.

    Attributes:
        resolution: Side of the input in pixels.
        pad: Pixels of zero padding on each side, before resizing.
        resize: Interpolation.
        grayscale_to_rgb: Whether one channel is repeated to three.
        mean: Subtracted from pixel values scaled to 0..1, per channel.
        std: Divided by, per channel.
    """

    resolution: int
    pad: int = 0
    resize: Literal["bilinear", "bicubic"] = "bilinear"
    grayscale_to_rgb: bool = False
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class DatasetRecord(Record):
    """Which images were used.

    Attributes:
        name: What the recipe calls it.
        source: Where the files were found.
        checksum: SHA-256 over the files' content, or None where they are too many to hash.
        num_train: Images trained on.
        num_matching_validation: Images held out of train for the matching network.
        num_search_validation: Images held out of train, on which every choice is made.
        num_test: Images only reported on.
    """

    name: str
    source: str
    checksum: str | None
    class_names: tuple[str, ...]
    num_train: int
    num_matching_validation: int = 0
    num_search_validation: int
    num_test: int
    preprocessing: Preprocessing
