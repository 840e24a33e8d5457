"""Sandwich sampling: the largest path learns from the labels, and others from it.

The rule of slimmable networks and BigNAS (Yu et al. 2019 and 2020), with the largest and the
smallest path within the limits and one random path a step.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pipeline.training.distillation import distillation_loss, label_loss
from pipeline.training.hypernetwork.single_path import SinglePath
from pipeline.training.learner import TrainingStep


@dataclass
class Sandwich(SinglePath):
    """Trains three paths a step on the same images; see `SinglePath`.

    Attributes:
        temperature: Of the distillation loss.
    """

    temperature: float

    def _learn(self, images: Tensor, labels: Tensor, step: TrainingStep) -> Tensor:
        resolution = self.paths.resolution_at(step.at)
        smallest, largest = self.paths.sampler_at(step.at).extremes(resolution)
        others = dict.fromkeys((smallest, self.paths.path_at(step.at)))
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
