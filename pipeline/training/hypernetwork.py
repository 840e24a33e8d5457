"""Training of the hypernetwork: every step trains one path, drawn at random.

Single-path sampling: each step draws a depth for every stage and then operators, all uniformly,
and trains that network alone. Paths outside the MACs window of the request are never trained. In
the first part of the training only the operators that the others grow from are drawn; see
`pipeline.training.growth`.
"""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from pipeline.errors import DataError
from pipeline.fingerprint import environment
from pipeline.progress import Progress
from pipeline.records import TrainRecord
from pipeline.space import Architecture, SearchSpace
from pipeline.supernet import Supernet, save_supernet
from pipeline.training.evaluation import HypernetworkScorer
from pipeline.training.finished import checkpoint_file, finish, finished_record, inputs_digest
from pipeline.training.fitting import Fit
from pipeline.training.growth import beginnings, grow
from pipeline.training.image_data import ImageData
from pipeline.training.path_sampling import MacsWindow, PathSampler
from pipeline.training.settings import ScoreSettings, TrainSettings

CHECKPOINT = "supernet.safetensors"

# Share of the steps after which operators grow: later leaves them too few steps to part in, earlier
# gives them less to start from.
_GROWTH_AT = 0.4

# The curve is the mean over a few fixed paths: one alone would say more about itself.
_MONITORED_PATHS = 3
_MONITOR = ScoreSettings(images=1000, recalibration_images=512)


def train_hypernetwork(
    space: SearchSpace,
    data: ImageData,
    settings: TrainSettings,
    *,
    resolution: int,
    macs_window: MacsWindow,
    folder: Path,
    seed: int,
    progress: Progress,
) -> TrainRecord:
    """Trains the hypernetwork, going on where an earlier call was killed.

    The accuracy of an epoch in the record is the mean over three random paths, of the operators
    trained by then; nothing is decided on it.

    Args:
        space: The space, possibly narrowed.
        data: Images at `resolution`.
        settings: How long and how fast.
        resolution: Side of the input in pixels.
        macs_window: Fewest and most MACs of the paths to train; None where there is no limit.
        folder: Takes `supernet.safetensors`, and a checkpoint while training.
        seed: Of initialisation, paths, image order and augmentation.
        progress: Told about steps.

    Returns:
        The record; its checkpoint is relative to `folder`.

    Raises:
        InfeasibleError: No path lies within the window.
        DataError: The images are not at `resolution`, or one cannot be read.
        PipelineError: The training diverged.
        StorageError: A checkpoint cannot be written.
    """
    if data.record.preprocessing.resolution != resolution:
        raise DataError(
            f"images of {data.record.preprocessing.resolution} pixels given to train at "
            f"{resolution} pixels"
        )
    inputs = inputs_digest("hypernetwork", space, data.record, settings, macs_window, seed)
    if finished := finished_record(folder, inputs, TrainRecord):
        return finished
    sampler = PathSampler(space, resolution, data.num_classes, macs_window, seed)
    supernet = Supernet(space, data.num_classes, seed=seed)
    paths = _Paths(supernet, sampler, data.num_train_batches(settings.batch_size), settings.epochs)
    score = HypernetworkScorer(supernet, data, _MONITOR)
    done = Fit(
        model=supernet,
        forward=paths.forward,
        evaluate=lambda epoch: statistics.fmean(map(score, paths.monitored(epoch))),
        data=data,
        settings=settings,
        checkpoint=checkpoint_file(folder),
        inputs=inputs,
        seed=seed,
        progress=progress,
    ).run()
    save_supernet(supernet, folder / CHECKPOINT)
    record = TrainRecord(
        method="single-path",
        space=space.name,
        max_depth=space.max_depth,
        resolution=resolution,
        num_classes=data.num_classes,
        params=sum(parameter.numel() for parameter in supernet.parameters()),
        epochs=done.epochs,
        dataset=data.record,
        checkpoint=CHECKPOINT,
        seconds=done.seconds,
        environment=environment(),
    )
    finish(folder, inputs, record)
    return record


class _Paths:
    """Which path is trained at each step.

    Args:
        supernet: Grows when its time has come.
        sampler: Draws the paths after that.
        steps: Steps of an epoch.
        epochs: Epochs in all.

    Raises:
        InfeasibleError: No path lies within the sampler's window.
    """

    def __init__(self, supernet: Supernet, sampler: PathSampler, steps: int, epochs: int) -> None:
        self._supernet = supernet
        self._steps = steps
        self._growth_step = round(_GROWTH_AT * steps * epochs)
        self._after = sampler
        self._before = _before_growth(sampler)
        # An impossible window is told before anything is trained.
        sampler.draw("first")

    def forward(self, inputs: Tensor, epoch: int, step: int) -> Tensor:
        """Logits of the step's path."""
        if epoch * self._steps + step == self._growth_step:
            grow(self._supernet)
        return self._supernet(inputs, self._sampler(epoch, step).draw(epoch, step))

    def monitored(self, epoch: int) -> list[Architecture]:
        """The paths whose accuracy is told after an epoch: of the operators trained in it."""
        sampler = self._sampler(epoch, self._steps - 1)
        return [sampler.draw("monitored", number) for number in range(_MONITORED_PATHS)]

    def _sampler(self, epoch: int, step: int) -> PathSampler:
        grown = epoch * self._steps + step >= self._growth_step
        return self._after if grown else self._before


def _before_growth(sampler: PathSampler) -> PathSampler:
    """Draws among the operators that others grow from.

    They are the smallest, and grow into paths above the window's lower end; so that does not hold.
    """
    space = sampler.space
    operators = dict.fromkeys(beginnings(space).values())
    return replace(
        sampler,
        space=space.narrowed(operators=list(operators)),
        macs_window=(None, sampler.macs_window[1]),
    )
