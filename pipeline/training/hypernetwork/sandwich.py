"""Sandwich sampling: the largest path learns from the labels, and others from it.

The rule of slimmable networks and its in-place distillation (Yu and Huang, ICCV 2019; Yu et al.,
ECCV 2020, "BigNAS", section 3.1): the largest and the smallest path within the limits and two
random ones a step.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pipeline.training.distillation import distillation_loss, label_loss
from pipeline.training.hypernetwork.single_path import SinglePath
from pipeline.training.learner import TrainingStep

_RANDOM = 2


@dataclass
class Sandwich(SinglePath):
    """Trains four paths a step on the same images; see `SinglePath`.

    Attributes:
        temperature: Of the distillation loss.
    """

    temperature: float

    def _learn(self, images: Tensor, labels: Tensor, step: TrainingStep) -> Tensor:
        resolution = self.paths.resolution_at(step.at)
        sampler = self.paths.sampler
        smallest, largest = sampler.extremes(resolution)
        random = (sampler.path(_RANDOM * step.at + i, resolution) for i in range(_RANDOM))
        others = dict.fromkeys((smallest, *random))
        others.pop(largest, None)
        share = 1 / (1 + len(others))
        with self.compute.forward():
            taught = self.supernet(images, largest)
            loss = label_loss(taught, labels, self.label_smoothing) * share
        self.compute.backward(loss)
        total = loss.detach()
        for path in others:
            with self.compute.forward():
                logits = self.supernet(images, path)
                loss = distillation_loss(logits, taught, self.temperature) * share
            self.compute.backward(loss)
            total += loss.detach()
        return total
