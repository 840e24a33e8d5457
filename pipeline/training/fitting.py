"""The training loop: steps of an optimizer on a schedule, checkpoints on the way.

Both trainings, of the hypernetwork and of a single network, are this loop; they differ in what a
step computes (see `pipeline.training.learner`). Everything random derives from (seed, epoch, step),
so a run that is killed at any step and called again ends with the same bits as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.errors import PipelineError
from pipeline.images.epoch import Epoch
from pipeline.images.image_data import Batch, ImageData
from pipeline.images.randomness import seed_for
from pipeline.records.train import EpochRecord
from pipeline.training.averages import Average
from pipeline.training.checkpoint import Progressed, Trained, checkpoint_file
from pipeline.training.context import TrainingContext
from pipeline.training.learner import Learner, TrainingStep
from pipeline.training.optimizing import Schedule, make_optimizer
from pipeline.training.settings import FitSettings, Optimizer
from pipeline.training.training_log import TrainingLog

# Steps between two looks at what was found out; a GPU is waited for no more often than that.
_ROUND = 20
# What a killed run trains again at most, besides the round it was in.
_CHECKPOINT_EVERY_S = 60.0


@dataclass(frozen=True)
class Fit:
    """One training run.

    Attributes:
        model: What is trained, in place; it is on the device already.
        learner: Computes the gradients of a step.
        average: Moving average of the model's weights, where one is kept.
        evaluate: Accuracy in percent after an epoch.
        data: Where the images come from.
        settings: How long and how fast.
        context: Where it runs; its folder takes the log and the checkpoint that lets the run go on
            after it was killed.
        inputs: Digest of everything the result depends on; a checkpoint of other inputs is
            not taken up.
        resolution_at: Input size of each step of the run; None: that of the data.
        optimizer: By timm's name.
        warmup_share: Share of the steps in which the learning rate rises.
        stable_share: Share of them after which it falls; see `Schedule`.
    """

    model: nn.Module
    learner: Learner
    average: Average | None
    evaluate: Callable[[int], float]
    data: ImageData
    settings: FitSettings
    context: TrainingContext
    inputs: str
    resolution_at: Callable[[int], int] | None = None
    optimizer: Optimizer = "adamw"
    warmup_share: float = 0.2
    stable_share: float = 0.0

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.data.num_train_batches(self.settings.batch_size) * self.settings.epochs

    def run(self, until: int | None = None) -> Progressed:
        """Trains, from the start or from the checkpoint.

        Args:
            until: Step at which to stop, with a checkpoint to go on from; the model is not its
                average then, which `average.applied` makes it. None: to the end, where the average
                becomes the model.

        Raises:
            PipelineError: The loss is no longer a number.
            DataError: An image cannot be read.
            StorageError: The checkpoint cannot be written.
        """
        settings, context = self.settings, self.context
        optimizer = make_optimizer(
            self.model,
            self.optimizer,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        last = self.steps if until is None else until
        schedule = Schedule(
            optimizer, self.steps, warmup_share=self.warmup_share, stable_share=self.stable_share
        )
        scaler = context.compute.scaler
        trained = Trained(self.model, optimizer, self.average, self.learner, scaler)
        done = trained.load(checkpoint_file(context.folder), inputs=self.inputs)
        log_folder = context.folder if context.processes.is_first else None
        steps = self.steps // settings.epochs
        at = len(done.epochs) * steps + done.steps
        with torch.random.fork_rng(devices=[]), TrainingLog(log_folder, at) as log:
            parameters = list(self.model.parameters())
            now = time.perf_counter()
            loop = _Loop(self, trained, schedule, parameters, steps, last, log, saved_at=now)
            while len(done.epochs) * steps + done.steps < last:
                done = loop.epoch(done)
        if self.average and until is None:
            self.average.keep()
        return done


@dataclass
class _Loop:
    """The steps of a fit between two kills.

    Attributes:
        parameters: Of the model; to look for them takes as long as a small step.
        steps: Steps of an epoch.
        last: Step of the run at which to stop.
        saved_at: When the last checkpoint was written.
    """

    fit: Fit
    trained: Trained
    schedule: Schedule
    parameters: list[nn.Parameter]
    steps: int
    last: int
    log: TrainingLog
    saved_at: float

    def epoch(self, done: Progressed) -> Progressed:
        """Trains what is left of an epoch, or up to where to stop in it."""
        fit, epoch = self.fit, len(done.epochs)
        fit.model.train()
        batches = self._batches(epoch, done.steps)
        stop = min(self.steps, self.last - epoch * self.steps)
        while done.steps < stop:
            done = self._round(epoch, done, batches, stop)
        if stop < self.steps:
            self._save(done)
            return done
        start = time.perf_counter()
        record = EpochRecord(
            epoch=epoch,
            loss=done.losses / self.steps,
            accuracy_percent=self._evaluated(epoch),
            learning_rate=self.schedule.set((epoch + 1) * self.steps - 1),
            images_per_second=self._images_per_second(done),
        )
        self.log.tell(
            (epoch + 1) * self.steps, {"accuracy_percent": record.accuracy_percent or 0.0}
        )
        seconds = done.seconds + time.perf_counter() - start
        done = Progressed(epochs=(*done.epochs, record), seconds=seconds)
        self._save(done)
        return done

    def _round(
        self, epoch: int, done: Progressed, batches: Iterator[Batch], stop: int
    ) -> Progressed:
        fit, context, start = self.fit, self.fit.context, time.perf_counter()
        first, count = epoch * self.steps + done.steps, min(_ROUND, stop - done.steps)
        losses = torch.zeros((), device=context.compute.device)
        for at in range(first, first + count):
            losses += self._step(at, next(batches))
        context.processes.average([losses])
        figures = fit.learner.end_round()
        loss = _checked(losses.item() / count, fit.settings, epoch)
        taken = time.perf_counter() - start
        done = done.model_copy(
            update={
                "steps": done.steps + count,
                "losses": done.losses + losses.item(),
                "seconds": done.seconds + taken,
                "seconds_in_epoch": done.seconds_in_epoch + taken,
            }
        )
        self._tell(epoch, done, {"loss": loss, **figures})
        if time.perf_counter() - self.saved_at > _CHECKPOINT_EVERY_S:
            self._save(done)
        return done

    def _step(self, at: int, batch: Batch) -> Tensor:
        fit, context, optimizer = self.fit, self.fit.context, self.trained.optimizer
        epoch, step = divmod(at, self.steps)
        self.schedule.set(at)
        # Dropout draws from torch's global generator.
        torch.manual_seed(seed_for(context.seed, "dropout", epoch, step))
        # Parameters outside the path keep no gradient, and the optimizer leaves them alone.
        optimizer.zero_grad(set_to_none=True)
        loss = fit.learner.gradients(*batch, TrainingStep(at, optimizer))
        context.processes.average([p.grad for p in self.parameters if p.grad is not None])
        context.compute.step(optimizer, self.parameters)
        if fit.average:
            fit.average.update()
        return loss

    def _batches(self, epoch: int, start: int) -> Iterator[Batch]:
        fit, context, resolution_at = self.fit, self.fit.context, self.fit.resolution_at
        first = epoch * self.steps
        return iter(
            fit.data.train_batches(
                Epoch(
                    fit.settings.batch_size,
                    seed=context.seed,
                    number=epoch,
                    start=start,
                    part=(context.processes.rank, context.processes.count),
                    resolution_at=resolution_at and (lambda step: resolution_at(first + step)),
                )
            )
        )

    def _evaluated(self, epoch: int) -> float:
        fit = self.fit
        if fit.average is None:
            return fit.evaluate(epoch)
        with fit.average.applied():
            return fit.evaluate(epoch)

    def _images_per_second(self, done: Progressed) -> float:
        return done.steps * self.fit.settings.batch_size / done.seconds_in_epoch

    def _tell(self, epoch: int, done: Progressed, figures: dict[str, float]) -> None:
        fit, context = self.fit, self.fit.context
        at = epoch * self.steps + done.steps
        rate = self._images_per_second(done)
        known = {"learning_rate": self.schedule.set(at - 1), "images_per_second": rate}
        self.log.tell(at, {"epoch": epoch + 1, **figures, **known})
        note = f"epoch {epoch + 1}/{fit.settings.epochs}, loss {figures['loss']:.3f}"
        if "board_accuracy_percent" in figures:
            note += f", board {figures['board_accuracy_percent']:.1f} %"
        if context.processes.is_first:
            total = self.steps * fit.settings.epochs
            context.progress(at, total, f"{note}, {rate:.0f} images/s")

    def _save(self, done: Progressed) -> None:
        context = self.fit.context
        if context.processes.is_first:
            file = checkpoint_file(context.folder)
            self.trained.save(file, done, inputs=self.fit.inputs)
        self.saved_at = time.perf_counter()


def _checked(loss: float, settings: FitSettings, epoch: int) -> float:
    if math.isfinite(loss):
        return loss
    raise PipelineError(
        f"training diverged in epoch {epoch + 1}: the loss is {loss} "
        f"with learning_rate {settings.learning_rate:g}",
        hint="lower learning_rate, for example to a third",
    )
