"""RandAugment (Cubuk et al., NeurIPS 2020) as timm has it, the same for the same seed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data.auto_augment import rand_augment_transform
from torch import Tensor

from pipeline.errors import UsageError
from pipeline.images.randomness import seed_for, seeded_globals

# What geometric operations leave empty; as timm's recipes for photographs.
_FILL = (124, 116, 104)
_TRIED = 50


def check_rand_augment(how: str) -> None:
    """Refuses a description that timm does not read.

    Raises:
        UsageError: Says which, and gives one that works.
    """
    try:
        transform = _transform(how, _FILL)
        # Some strengths are refused by the operation that would use them, when it is drawn.
        with seeded_globals(0):
            for _ in range(_TRIED):
                transform(Image.new("RGB", (8, 8)))
    except (AssertionError, ValueError, KeyError, IndexError, TypeError) as error:
        raise UsageError(
            f"retrain.rand_augment {how!r} is no RandAugment that timm reads"
            + (f": {error}" if str(error) else ""),
            hint="--set retrain.rand_augment=rand-m9-mstd0.5 (m: strength from 0 to 10, n: "
            "operations an image, mstd: spread of the strength, inc1: stronger is never weaker)",
        ) from None


def rand_augmented(image: Image.Image, how: str, seed: int) -> Image.Image:
    """One image, augmented.

    Args:
        image: RGB.
        how: timm's description, e.g. `rand-m9-mstd0.5`.
        seed: Of the choice of operations and their strength.
    """
    with seeded_globals(seed):
        augmented: Image.Image = _transform(how, _FILL)(image)
    return augmented


def rand_augmented_gray(pixels: Tensor, how: str, *place: int | str) -> Tensor:
    """A batch of gray images, each augmented on its own.

    Args:
        pixels: uint8 of shape (n, h, w), on any device.
        how: timm's description.
        place: What the randomness is for; see `seed_for`.

    Returns:
        The same shape, on the same device.
    """
    augmented = []
    with_zeros = _transform(how, (0, 0, 0))
    for row, each in enumerate(pixels.cpu().numpy()):
        with seeded_globals(seed_for(*place, row)):
            image = with_zeros(Image.fromarray(each).convert("RGB"))
        augmented.append(np.asarray(image.convert("L")))
    return torch.from_numpy(np.stack(augmented)).to(pixels.device)


@lru_cache(maxsize=8)
def _transform(how: str, fill: tuple[int, int, int]) -> Any:
    return rand_augment_transform(how, {"img_mean": fill})
