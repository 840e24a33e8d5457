"""The training loop: AdamW, one cycle of the learning rate, a checkpoint after each epoch.

Both trainings, of the hypernetwork and of a single network, are this loop; they differ in what a
step computes. Everything random derives from (seed, epoch, step), so a run that is killed and
called again ends with the same bits as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.errors import PipelineError
from pipeline.progress import Progress
from pipeline.records import EpochRecord
from pipeline.training.checkpoint import Progressed, load_progress, save_progress
from pipeline.training.image_data import ImageData
from pipeline.training.randomness import seed_for
from pipeline.training.settings import FitSettings
from pipeline.training.small_maps import SmallMaps

_REPORT_EVERY = 20
_WARMUP_SHARE = 0.2
_START_SHARE = 0.1
_MAX_GRADIENT_NORM = 5.0

Forward = Callable[[Tensor, int, int], Tensor]


@dataclass(frozen=True)
class Fit:
    """One training run.

    Attributes:
        model: What is trained, in place.
        forward: Logits of a batch, given its epoch and step.
        evaluate: Accuracy in percent after an epoch.
        data: Where the images come from.
        settings: How long and how fast.
        checkpoint: File that lets the run go on after it was killed.
        inputs: Digest of everything the result depends on; a checkpoint of other inputs is
            not taken up.
        seed: Of all randomness.
        progress: Told about every few steps.
    """

    model: nn.Module
    forward: Forward
    evaluate: Callable[[int], float]
    data: ImageData
    settings: FitSettings
    checkpoint: Path
    inputs: str
    seed: int
    progress: Progress

    def run(self) -> Progressed:
        """Trains, from the start or from the checkpoint.

        Raises:
            PipelineError: The loss is no longer a number.
            DataError: An image cannot be read.
            StorageError: The checkpoint cannot be written.
        """
        self.model.to(memory_format=torch.channels_last)
        optimizer = _optimizer(self.model, self.settings)
        done = load_progress(self.checkpoint, self.model, optimizer, inputs=self.inputs)
        with torch.random.fork_rng(devices=[]):
            for epoch in range(len(done.epochs), self.settings.epochs):
                start = time.perf_counter()
                record = self._epoch(epoch, optimizer)
                seconds = done.seconds + time.perf_counter() - start
                done = Progressed((*done.epochs, record), seconds)
                save_progress(self.checkpoint, self.model, optimizer, done, inputs=self.inputs)
        return done

    def _epoch(self, epoch: int, optimizer: torch.optim.Optimizer) -> EpochRecord:
        settings = self.settings
        steps = self.data.num_train_batches(settings.batch_size)
        total = steps * settings.epochs
        self.model.train()
        start = time.perf_counter()
        loss_sum, images = torch.zeros(()), 0
        learning_rate = 0.0
        batches = self.data.train_batches(settings.batch_size, seed=self.seed, epoch=epoch)
        for step, (inputs, labels) in enumerate(batches):
            at = epoch * steps + step
            learning_rate = settings.learning_rate * one_cycle(at / total)
            _set_learning_rate(optimizer, learning_rate)
            # Dropout draws from torch's global generator.
            torch.manual_seed(seed_for(self.seed, "dropout", epoch, step))
            loss_sum += self._step(inputs, labels, epoch, step, optimizer)
            images += len(labels)
            if step % _REPORT_EVERY == 0 or step == steps - 1:
                loss = _checked(loss_sum.item() / (step + 1), settings, epoch)
                rate = images / (time.perf_counter() - start)
                note = f"epoch {epoch + 1}/{settings.epochs}, loss {loss:.3f}, {rate:.0f} images/s"
                self.progress(at + 1, total, note)
        rate = images / (time.perf_counter() - start)
        return EpochRecord(
            epoch=epoch,
            loss=loss_sum.item() / steps,
            accuracy_percent=self.evaluate(epoch),
            learning_rate=learning_rate,
            images_per_second=rate,
        )

    def _step(
        self,
        inputs: Tensor,
        labels: Tensor,
        epoch: int,
        step: int,
        optimizer: torch.optim.Optimizer,
    ) -> Tensor:
        with SmallMaps():
            logits = self.forward(inputs, epoch, step)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.settings.label_smoothing)
        # Parameters outside the path keep no gradient, and the optimizer leaves them alone.
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), _MAX_GRADIENT_NORM)
        optimizer.step()
        return loss.detach()


def one_cycle(position: float) -> float:
    """Learning rate relative to its peak: a linear rise, then half a cosine down to zero.

    Args:
        position: Share of the run that is done, 0 to 1.
    """
    if position < _WARMUP_SHARE:
        return _START_SHARE + (1 - _START_SHARE) * position / _WARMUP_SHARE
    down = (position - _WARMUP_SHARE) / (1 - _WARMUP_SHARE)
    return 0.5 * (1 + math.cos(math.pi * down))


def _optimizer(model: nn.Module, settings: FitSettings) -> torch.optim.Optimizer:
    # Batch norm's scales and all biases are vectors; decay would only push them off.
    weights = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def _set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def _checked(loss: float, settings: FitSettings, epoch: int) -> float:
    if math.isfinite(loss):
        return loss
    raise PipelineError(
        f"training diverged in epoch {epoch + 1}: the loss is {loss} "
        f"with learning_rate {settings.learning_rate:g}",
        hint="lower learning_rate, for example to a third",
    )
