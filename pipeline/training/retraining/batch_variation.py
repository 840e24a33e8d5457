"""What varies a batch of images further, after each was cropped and mirrored: timm's ways."""

from __future__ import annotations

from timm.data.mixup import Mixup
from timm.data.random_erasing import RandomErasing
from torch import Tensor

from pipeline.images.randomness import seed_for, seeded_globals
from pipeline.training.settings import RetrainSettings


class BatchVariation:
    """Erases rectangles of images, and mixes images with each other.

    Zhong et al., AAAI 2020; Zhang et al., ICLR 2018 (mixup); Yun et al., ICCV 2019 (CutMix).

    Args:
        settings: How much of each.
        num_classes: Number of classes.
        seed: Of the run.
        part: This process's place among those that share each batch; each draws its own numbers.
    """

    def __init__(
        self, settings: RetrainSettings, num_classes: int, *, seed: int, part: int
    ) -> None:
        self._place = (seed, part)
        self._erase = None
        if settings.random_erasing:
            self._erase = RandomErasing(settings.random_erasing, mode="pixel", device="cpu")
        self._mix = None
        if settings.mixes:
            self._mix = Mixup(
                mixup_alpha=settings.mixup,
                cutmix_alpha=settings.cutmix,
                label_smoothing=settings.label_smoothing,
                num_classes=num_classes,
            )

    def __call__(self, images: Tensor, labels: Tensor, at: int) -> tuple[Tensor, Tensor]:
        """Varies a batch, the same way for the same step.

        Args:
            images: Shape (n, 3, r, r); changed in place.
            labels: Shape (n,).
            at: Number of the step in the run.

        Returns:
            Images; and labels of shape (n,), or where images are mixed their shares of the classes,
            smoothed, of shape (n, classes).
        """
        if self._erase is None and self._mix is None:
            return images, labels
        seed, part = self._place
        with seeded_globals(seed_for(seed, "batch variation", at, part)):
            if self._erase:
                images = self._erase(images)
            if self._mix:
                images, labels = self._mix(images, labels)
        return images, labels
