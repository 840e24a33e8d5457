"""The learner of a network trained on its own: the labels, and a teacher where there is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from timm.loss import SoftTargetCrossEntropy
from torch import Tensor, nn

from pipeline.training.compute import Compute
from pipeline.training.distillation import distillation_loss, label_loss
from pipeline.training.learner import Stateless, TrainingStep
from pipeline.training.retraining.batch_variation import BatchVariation
from pipeline.training.settings import RetrainSettings


@dataclass
class Student(Stateless):
    """Computes a network's gradients.

    The teacher sees the very images that the network sees, varied and mixed as they are (Beyer et
    al., CVPR 2022).

    Attributes:
        network: What is trained.
        compute: Where, and in which precision.
        settings: How.
        vary: What each batch goes through first.
        teacher: Maps images to logits that decide a share of the loss; None: the labels alone
            decide.
    """

    network: nn.Module
    compute: Compute
    settings: RetrainSettings
    vary: BatchVariation
    teacher: Callable[[Tensor], Tensor] | None

    def gradients(self, images: Tensor, labels: Tensor, step: TrainingStep) -> Tensor:
        """See `Learner`; a batch is computed in as many parts as the settings say."""
        images, labels = self.vary(images, labels, step.at)
        parts = self.settings.accumulate
        total = torch.zeros((), device=images.device)
        for some, of in zip(images.chunk(parts), labels.chunk(parts), strict=True):
            with self.compute.forward():
                loss = self._loss(some, of) / parts
            self.compute.backward(loss)
            total += loss.detach()
        return total

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        on_labels = self._on_labels(logits, labels)
        taught = self.settings.teacher
        if self.teacher is None or taught is None:
            return on_labels
        with torch.no_grad():
            expected = self.teacher(images)
        on_teacher = distillation_loss(logits, expected, taught.temperature)
        return (1 - taught.weight) * on_labels + taught.weight * on_teacher

    def _on_labels(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.settings.mixes:
            loss: Tensor = SoftTargetCrossEntropy()(logits, labels)
            return loss
        return label_loss(logits, labels, self.settings.label_smoothing)
