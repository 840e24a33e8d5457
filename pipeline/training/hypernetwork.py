"""Training of the hypernetwork: every step trains one path, drawn at random.

Single-path sampling: each step draws a depth for every stage and then operators, all uniformly,
and trains that network alone. Paths outside the MACs window of the request are never trained.
"""

from __future__ import annotations

import statistics
from pathlib import Path

from torch import Tensor

from pipeline.device import environment
from pipeline.errors import DataError
from pipeline.progress import Progress
from pipeline.records import TrainRecord
from pipeline.space import SearchSpace
from pipeline.supernet import Supernet, save_supernet
from pipeline.training.evaluation import HypernetworkScorer
from pipeline.training.finished import checkpoint_file, finish, finished_record, inputs_digest
from pipeline.training.fitting import Fit
from pipeline.training.image_data import ImageData
from pipeline.training.path_sampling import MacsWindow, PathSampler
from pipeline.training.settings import ScoreSettings, TrainSettings

CHECKPOINT = "supernet.safetensors"

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

    The accuracy of an epoch in the record is the mean over three fixed random paths; nothing is
    decided on it.

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
    monitored = [sampler.draw("monitored", number) for number in range(_MONITORED_PATHS)]
    supernet = Supernet(space, data.num_classes, seed=seed)
    score = HypernetworkScorer(supernet, data, _MONITOR)

    def forward(inputs: Tensor, epoch: int, step: int) -> Tensor:
        return supernet(inputs, sampler.draw(epoch, step))

    done = Fit(
        model=supernet,
        forward=forward,
        evaluate=lambda: statistics.fmean(map(score, monitored)),
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
