"""Which images a run was trained and judged on, and how an image becomes an input."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.files.record import Record

MOST_SKIPPED_TOLD = 100


class Preprocessing(Record):
    """How an image becomes an input tensor; the same in training, export and deployment.

    Attributes:
        resolution: Side of the input in pixels.
        exif_transpose: Whether an image is first turned as its EXIF orientation says.
        transparent_over: What transparent images are laid over; None where there are none.
        pad: Pixels of zero padding on each side, before resizing.
        resize: Interpolation.
        antialias: Whether it averages over the pixels it drops, as Pillow's does.
        grayscale_to_rgb: Whether one channel is repeated to three.
        mean: Subtracted from pixel values scaled to 0..1, per channel.
        std: Divided by, per channel.
    """

    resolution: int
    exif_transpose: bool = False
    transparent_over: Literal["white"] | None = None
    pad: int = 0
    resize: Literal["bilinear", "bicubic"] = "bilinear"
    antialias: bool = False
    grayscale_to_rgb: bool = False
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class DatasetRecord(Record):
    """Which images were used.

    Attributes:
        name: What the recipe calls it.
        source: Where the files were found.
        checksum: SHA-256 over the files' content, and their names in a folder of images; None where
            the files were not read through.
        num_train: Images trained on.
        num_matching_validation: Images held out of train for the matching network.
        num_search_validation: Images held out of train, on which every choice is made.
        num_test: Images only reported on.
        images_by_class: Images of each class, in the order of `class_names`, by split; empty where
            it is not known before training.
        num_skipped: Files that cannot be read as images and are left out of every split.
        skipped: Why, by path within the data set; the first 100 of them.
        skipped_list: File with all of them, within the cache folder; None where there are none.
        other_files: Files that are no images by their suffix, by that suffix.
    """

    name: str
    source: str
    checksum: str | None
    class_names: tuple[str, ...]
    num_train: int
    num_matching_validation: int = 0
    num_search_validation: int
    num_test: int
    images_by_class: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    num_skipped: int = 0
    skipped: dict[str, str] = Field(default_factory=dict)
    skipped_list: str | None = None
    other_files: dict[str, int] = Field(default_factory=dict)
    preprocessing: Preprocessing
