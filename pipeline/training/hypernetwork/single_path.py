"""Learning path by path: each step trains one path on the labels."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pipeline.network.supernet import Supernet
from pipeline.training.compute import Compute
from pipeline.training.distillation import label_loss
from pipeline.training.hypernetwork.paths import Paths
from pipeline.training.learner import Stateless, TrainingStep


@dataclass
class SinglePath(Stateless):
    """Trains the random path of each step.

    Attributes:
        supernet: Whose paths.
        paths: Which path each step takes.
        compute: Where, and in which precision.
        label_smoothing: Share of the target spread over all classes.
    """

    supernet: Supernet
    paths: Paths
    compute: Compute
    label_smoothing: float

    def gradients(self, images: Tensor, labels: Tensor, step: TrainingStep) -> Tensor:
        """See `Learner`."""
        return self._learn(images, labels, step)

    def _learn(self, images: Tensor, labels: Tensor, step: TrainingStep) -> Tensor:
        with self.compute.forward():
            logits = self.supernet(images, self.paths.path_at(step.at))
            loss = label_loss(logits, labels, self.label_smoothing)
        self.compute.backward(loss)
        return loss.detach()
