"""Training of the hypernetwork, by any of its methods.

Paths outside the limits are never trained. The methods are files of their own: `single_path`,
`cream`, `sandwich`.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.device.fingerprint import environment
from pipeline.errors import DataError
from pipeline.images.image_data import ImageData
from pipeline.network.supernet import Supernet, save_supernet
from pipeline.records.scores import ScoreSpread
from pipeline.records.train import PrioritizedPath, TrainRecord
from pipeline.space.search_space import SearchSpace
from pipeline.training.averages import WeightAverage
from pipeline.training.checkpoint import Progressed
from pipeline.training.context import (
    TrainingContext,
    check_sync_batch_norm,
    training_context,
)
from pipeline.training.finished import inputs_digest, trained_once
from pipeline.training.fitting import Fit
from pipeline.training.hypernetwork.cream import Cream
from pipeline.training.hypernetwork.held_out import HeldOut
from pipeline.training.hypernetwork.matching import Matching
from pipeline.training.hypernetwork.path_sampling import PathLimits, PathSampler
from pipeline.training.hypernetwork.paths import Paths
from pipeline.training.hypernetwork.sandwich import Sandwich
from pipeline.training.hypernetwork.single_path import SinglePath
from pipeline.training.scoring.evaluation import HypernetworkScorer
from pipeline.training.scoring.network_score import spread_of
from pipeline.training.settings import ScoreSettings, TrainSettings
from pipeline.work.progress import Progress

CHECKPOINT = "supernet.safetensors"

# The curve is the mean over a few fixed paths: one alone would say more about itself.
_MONITORED_PATHS = 3
# How far paths can be told apart shows in more of them, once, when training has ended.
_JUDGED_PATHS = 12
_MONITOR = ScoreSettings(images=1000, recalibration_images=512)


def train_hypernetwork(
    space: SearchSpace,
    data: ImageData,
    settings: TrainSettings,
    *,
    limits: PathLimits,
    folder: Path,
    seed: int,
    progress: Progress,
) -> TrainRecord:
    """Trains the hypernetwork, going on where an earlier call was killed.

    Started by `torchrun`, every process calls it and gets the same record; the first writes files.

    The accuracy of an epoch in the record is the mean over three random paths; nothing is decided
    on it.

    Args:
        space: The space, possibly narrowed.
        data: Images; their resolution is the first that is trained at. With images held out for
            matching where the settings ask for a matching network.
        settings: How, how long and how fast.
        limits: What a path may cost to be trained.
        folder: Takes `supernet.safetensors`, the log, and a checkpoint while training.
        seed: Of initialisation, paths, image order and augmentation.
        progress: Told about steps.

    Returns:
        The record; its checkpoint is relative to `folder`.

    Raises:
        InfeasibleError: No path lies within the limits.
        DataError: No images were held out for matching, or one cannot be read.
        PipelineError: The training diverged.
        StorageError: A checkpoint cannot be written.
    """
    with training_context(folder, seed, progress) as context:
        training = _HypernetworkTraining(space, data, settings, limits, context)
        training.check()
        return trained_once(context, training.inputs(), TrainRecord, training.train)


@dataclass(frozen=True)
class _HypernetworkTraining:
    """The arguments of `train_hypernetwork`, and where it runs."""

    space: SearchSpace
    data: ImageData
    settings: TrainSettings
    limits: PathLimits
    context: TrainingContext

    def inputs(self) -> str:
        """Digest of what the result depends on."""
        limits = self.limits
        costs = [limits.macs_min, limits.macs, limits.params, limits.latency_ms]
        return inputs_digest(
            "hypernetwork", self.space, self.data.record, self.settings, costs, self.context.seed
        )

    @property
    def resolution(self) -> int:
        return self.data.record.preprocessing.resolution

    def check(self) -> None:
        """Refuses what cannot be trained, before anything is written."""
        settings = self.settings
        if settings.sync_batch_norm:
            check_sync_batch_norm("train", self.context.compute)
        held_out, needed = self.data.record.num_matching_validation, settings.matching_images
        if held_out < needed:
            raise DataError(
                f"{held_out} images of {self.data.record.name} are held out of training; paths are "
                f"compared and matched on {needed}"
            )
        self._paths().check()

    def train(self, inputs: str) -> TrainRecord:
        """Trains to the end, and writes the weights."""
        context = self.context
        data = self.data.to(context.compute.device)
        supernet = self._supernet()
        decay = self.settings.ema_decay
        average = WeightAverage(supernet, decay) if decay > 0 else None
        paths = self._paths()
        learner = self._learner(supernet, paths, data)
        score = HypernetworkScorer(supernet, data, _MONITOR)
        monitored = paths.monitored(_MONITORED_PATHS)

        def evaluated(epoch: int) -> float:
            with _statistics_kept(supernet):
                return statistics.fmean(score(path).accuracy_percent for path in monitored)

        done = Fit(
            model=supernet,
            learner=learner,
            average=average,
            evaluate=evaluated,
            data=data,
            settings=self.settings,
            context=context,
            inputs=inputs,
            resolution_at=paths.resolution_at if len(paths.resolutions) > 1 else None,
        ).run()
        with _statistics_kept(supernet):
            last = score.scores(list(dict.fromkeys(paths.monitored(_JUDGED_PATHS))))
        if context.processes.is_first:
            save_supernet(supernet, context.folder / CHECKPOINT)
        return self._record(supernet, learner, done, spread_of(last, data.num_classes))

    def _supernet(self) -> Supernet:
        supernet = Supernet(
            self.space,
            self.data.num_classes,
            seed=self.context.seed,
            sharing=self.settings.sharing,
        )
        self.context.place(supernet, sync_batch_norm=self.settings.sync_batch_norm)
        keep_statistics(supernet, keep=False)
        if self.settings.compile:
            for block in supernet.operators():
                block.compile()
        return supernet

    def _paths(self) -> Paths:
        settings = self.settings
        sampler = PathSampler(
            self.space,
            self.data.num_classes,
            self.context.seed,
            self.limits,
            tuple(sorted(settings.operator_prior.items())),
        )
        return Paths(sampler, settings.sizes(self.resolution))

    def _learner(self, supernet: Supernet, paths: Paths, data: ImageData) -> SinglePath:
        settings, teaching = self.settings, self.settings.teaching
        common = (supernet, paths, self.context.compute, settings.label_smoothing)
        if settings.method == "sandwich":
            return Sandwich(*common, temperature=teaching.temperature)
        if settings.method == "single-path":
            return SinglePath(*common)
        steps = data.num_train_batches(settings.batch_size) * settings.epochs
        starts_at = round(teaching.start_share * steps)
        sizes = {size: data.at(size) for size in paths.resolutions}
        held_out = HeldOut.of(sizes, settings.matching_images, self.context.compute.device)
        matching = None
        if teaching.matching:
            matching = Matching.of(
                supernet,
                held_out,
                compute=self.context.compute,
                processes=self.context.processes,
                steps=steps - starts_at,
                seed=self.context.seed,
            )
        return Cream(
            *common,
            settings=teaching,
            held_out=held_out,
            matching=matching,
            processes=self.context.processes,
            starts_at=starts_at,
            steps=steps,
        )

    def _record(
        self,
        supernet: Supernet,
        learner: SinglePath,
        done: Progressed,
        scores: ScoreSpread | None,
    ) -> TrainRecord:
        boards = learner.boards if isinstance(learner, Cream) else {}
        return TrainRecord(
            method=self.settings.method,
            space=self.space.name,
            max_depth=self.space.max_depth,
            resolution=self.resolution,
            resolutions=self.settings.sizes(self.resolution),
            num_classes=self.data.num_classes,
            params=sum(parameter.numel() for parameter in supernet.parameters()),
            epochs=done.epochs,
            board=tuple(
                PrioritizedPath(
                    architecture=entry.architecture,
                    accuracy_percent=100 * entry.accuracy,
                    macs=entry.macs,
                    latency_ms=entry.latency_ms,
                )
                for board in boards.values()
                for entry in board.entries
            ),
            scores=scores,
            dataset=self.data.record,
            compute=self.context.compute.name,
            processes=self.context.processes.count,
            checkpoint=CHECKPOINT,
            seconds=done.seconds,
            environment=environment(),
        )


def keep_statistics(module: nn.Module, *, keep: bool) -> None:
    """Whether batch norm keeps running statistics in training, or only uses each batch's.

    Statistics gathered over many different paths fit none of them. Whoever evaluates a path takes
    its own; see `pipeline.training.scoring.evaluation`.
    """
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.track_running_stats = keep


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    keep_statistics(module, keep=True)
    try:
        yield
    finally:
        keep_statistics(module, keep=False)
