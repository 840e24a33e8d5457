"""The images held out of training for the board and the matching network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from pipeline.images.image_data import Batch, ImageData
from pipeline.images.randomness import generator_for
from pipeline.training.settings import SHARED_IMAGES

_VALIDATION_BATCH = 128


@dataclass(frozen=True)
class HeldOut:
    """Images of `matching-validation` by input size, on the device that trains.

    Attributes:
        batches: All of each size, in the same order at every size.
    """

    batches: Mapping[int, Batch]

    @classmethod
    def of(cls, data: Mapping[int, ImageData], images: int, device: torch.device) -> HeldOut:
        """Loads them.

        Args:
            data: The data set by input size.
            images: How many.
            device: Where they are kept.

        Raises:
            DataError: None were held out, or one cannot be read.
        """
        batches = {}
        for resolution, of_size in data.items():
            pixels, labels = of_size.labelled_sample("matching-validation", images)
            batches[resolution] = (pixels.to(device), labels.to(device))
        return cls(batches)

    def shared(self, resolution: int) -> Batch:
        """The images on which all paths of a size are compared, the same ones in the whole run."""
        images, labels = self.batches[resolution]
        return images[:SHARED_IMAGES], labels[:SHARED_IMAGES]

    def drawn(self, resolution: int, seed: int, at: int) -> Batch:
        """A random batch for step `at`."""
        images, labels = self.batches[resolution]
        order = torch.randperm(len(labels), generator=generator_for(seed, "matching", at))
        chosen = order[:_VALIDATION_BATCH].to(labels.device)
        return images[chosen], labels[chosen]
