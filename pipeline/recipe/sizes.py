"""The input sizes of a recipe: those it names, or three that its images decide.

An image is worth about as many pixels as it has: a network that is given fewer sees less, and one
that is given more computes more and sees the same. So the largest size is that of the images,
within bounds: small images gain from being enlarged, as networks of these spaces divide a side by
32, and no published one takes more than 224 pixels. The smallest is half of it, for a quarter of
the multiply-accumulates, so that tight limits leave something too; the third lies between them.

Sizes are a matter of the images alone, and so are limits that are multiples of what cream-14 takes:
they go by the first size, the middle one of the three, whichever sizes other limits leave out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pipeline.errors import InfeasibleError
from pipeline.recipe.recipe import Recipe
from pipeline.records.input_sizes import InputSizes
from pipeline.records.profile import ProfileRecord
from pipeline.space.search_space import RESOLUTIONS

if TYPE_CHECKING:
    from pipeline.images.image_data import ImageData
    from pipeline.training.hypernetwork.path_sampling import PathLimits

_STEP = RESOLUTIONS[0]
_LEAST_TOP, _MOST_TOP = 96, 224
# A large photograph takes a tenth of a second to decode.
_LOOKED_AT = 64


def sizes_of(recipe: Recipe, profile: ProfileRecord | None, data: ImageData) -> InputSizes:
    """The input sizes of a recipe, whether the limits leave something at them or not.

    Args:
        recipe: The recipe.
        profile: What its profile stage measured, which keeps its choice; None where it has not run.
        data: The recipe's images; their training split is looked at where it takes that.

    Raises:
        DataError: An image cannot be read.
    """
    if recipe.space.sizes:
        return InputSizes(resolutions=recipe.space.sizes)
    kept = profile.sizes if profile else None
    return kept if kept and kept.image_side is not None else _chosen(data)


def largest_size(data: ImageData) -> int:
    """The largest input size in pixels at which a network sees more of the images.

    Raises:
        DataError: An image cannot be read.
    """
    return max(_chosen(data).resolutions)


def _chosen(data: ImageData) -> InputSizes:
    sides = [min(it.pixels.shape[:2]) for it in data.originals("train", _LOOKED_AT)]
    side = statistics.median(sides)
    top = min(max(math.ceil(side / _STEP) * _STEP, _LEAST_TOP), _MOST_TOP)
    half = top // 2 // _STEP * _STEP
    middle = (top + half) // 2 // _STEP * _STEP
    return InputSizes(resolutions=(middle, top, half), image_side=side, images=len(sides))


def untrainable(
    recipe: Recipe, sizes: InputSizes, limits: PathLimits, num_classes: int
) -> dict[int, str]:
    """Input sizes to leave out, as there are no paths to train at them, and why.

    Args:
        recipe: The recipe.
        sizes: Its input sizes.
        limits: What paths may cost.
        num_classes: Classes of the data.

    Returns:
        Nothing where no size would be left: what to change is then told by who needs a path.
    """
    from pipeline.training.hypernetwork.path_sampling import PathSampler

    if len(sizes.resolutions) == 1:
        return {}
    sampler = PathSampler(recipe.space.space(), num_classes, recipe.seed, limits)
    left_out = {}
    for size in sizes.resolutions:
        try:
            sampler.path(0, size)
        except InfeasibleError as error:
            left_out[size] = error.message
    return left_out if len(left_out) < len(sizes.resolutions) else {}


def remarks_on_sizes(recipe: Recipe, sizes: InputSizes) -> Iterator[str]:
    """What is worth knowing of the input sizes of a recipe, in words; nothing where it is one."""
    if len(sizes.resolutions) == 1:
        return
    yield f"input sizes: {', '.join(map(str, sizes.resolutions))} pixels, {sizes.origin}"
    if recipe.limits.latency_of_cream_14 is not None:
        first = sizes.resolutions[0]
        yield f"limits.latency_of_cream_14 is a multiple of what cream-14 takes at {first} pixels"


def left_out_words(left_out: Mapping[int, str]) -> Iterator[str]:
    """Why input sizes are left out, a line each."""
    for size, why in left_out.items():
        yield f"{size} pixels are left out: {why}"
