"""The images of a recipe, opened once a process."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.recipe import Recipe

if TYPE_CHECKING:
    from pipeline.training.image_data import ImageData


@functools.lru_cache(maxsize=2)
def _opened(
    dataset: str, resolution: int, seed: int, max_train: int | None, matching_images: int
) -> ImageData:
    from pipeline.training.datasets import open_dataset

    return open_dataset(
        dataset,
        resolution=resolution,
        seed=seed,
        max_train=max_train,
        matching_images=matching_images,
    )


def opening(recipe: Recipe) -> Callable[[], ImageData]:
    """What opens the recipe's images, in this process or another one."""
    data = recipe.data
    arguments = (data.dataset, recipe.space.resolution, recipe.seed, data.max_train, 0)
    return functools.partial(_opened, *arguments)


def open_data(recipe: Recipe, *, matching_images: int = 0) -> ImageData:
    """The recipe's images at its space's input size.

    Args:
        recipe: The recipe.
        matching_images: Training images to hold out for the matching network.
    """
    data = recipe.data
    return _opened(
        data.dataset, recipe.space.resolution, recipe.seed, data.max_train, matching_images
    )
