"""The images of a recipe, opened once a process."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.files.cache_folder import cache_dir
from pipeline.recipe.recipe import Recipe
from pipeline.records.dataset import DatasetRecord
from pipeline.records.dataset_remarks import remarks
from pipeline.space.search_space import RESOLUTIONS
from pipeline.work.progress import ProgressFactory, unwatched

if TYPE_CHECKING:
    from pipeline.images.image_data import ImageData


@dataclass(frozen=True)
class _Asked:
    """Which images are asked for; who watches them being checked makes no difference."""

    dataset: str
    seed: int
    max_train: int | None
    matching_images: int
    progress: ProgressFactory = field(default=unwatched, compare=False)


@functools.lru_cache(maxsize=2)
def _opened(asked: _Asked) -> ImageData:
    from pipeline.images.datasets import open_dataset

    return open_dataset(
        asked.dataset,
        # Only the images can tell at which sizes they are wanted.
        resolution=RESOLUTIONS[0],
        seed=asked.seed,
        max_train=asked.max_train,
        matching_images=asked.matching_images,
        progress=asked.progress,
    )


def opening(recipe: Recipe) -> Callable[[], ImageData]:
    """What opens the recipe's images, in this process or another one."""
    return functools.partial(_opened, _asked(recipe, 0, unwatched))


def open_data(
    recipe: Recipe,
    *,
    matching_images: int = 0,
    progress: ProgressFactory = unwatched,
    tell: Callable[[str], None] | None = None,
) -> ImageData:
    """The recipe's images, at a size that means nothing: whoever feeds a network says which.

    Args:
        recipe: The recipe.
        matching_images: Training images to hold out for the matching network.
        progress: Told about images that are checked.
        tell: Told, a line each, what is worth knowing of them.
    """
    data = _opened(_asked(recipe, matching_images, progress))
    if tell:
        _tell(data.record, tell)
    return data


def _asked(recipe: Recipe, matching_images: int, progress: ProgressFactory) -> _Asked:
    data = recipe.data
    return _Asked(
        data.dataset,
        recipe.seed,
        data.max_train,
        matching_images,
        progress,
    )


def _tell(dataset: DatasetRecord, tell: Callable[[str], None]) -> None:
    for line in remarks(dataset):
        tell(f"{dataset.name}: {line}")
    if dataset.skipped_list:
        tell(f"all that is skipped: {cache_dir() / dataset.skipped_list}")
