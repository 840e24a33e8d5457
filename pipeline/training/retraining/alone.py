"""A network that is trained on its own: what it is, how it begins, and the run of its training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property

from torch import nn

from pipeline.errors import DataError, StageError, UsageError
from pipeline.images.image_data import Batch, ImageData, Split
from pipeline.images.rand_augment import check_rand_augment
from pipeline.network.network import build_network
from pipeline.network.supernet import Supernet
from pipeline.network.timm_networks import TimmNetwork, build_timm
from pipeline.records.candidates import Candidate
from pipeline.space.architecture import Architecture
from pipeline.training.averages import NetworkAverage
from pipeline.training.compute import Compute
from pipeline.training.context import TrainingContext, check_sync_batch_norm
from pipeline.training.finished import inputs_digest
from pipeline.training.fitting import Fit
from pipeline.training.retraining.batch_variation import BatchVariation
from pipeline.training.retraining.student import Student
from pipeline.training.retraining.teacher_network import (
    TeacherNetwork,
    check_teacher,
    larger_path,
    path_as_teacher,
    timm_as_teacher,
)
from pipeline.training.scoring.evaluation import Tally, network_score, tally
from pipeline.training.scoring.network_score import NetworkScore
from pipeline.training.settings import HYPERNETWORK, RetrainSettings, TeacherSettings

AnyNetwork = Architecture | TimmNetwork

_BATCH = 256


@dataclass(frozen=True)
class Hypernetwork:
    """What a network may begin from or be taught by.

    Attributes:
        supernet: Its weights; None where there are none.
        scored: What its paths reach, to choose the teacher from.
    """

    supernet: Supernet | None = None
    scored: Sequence[Candidate] = ()


@dataclass(frozen=True)
class Alone:
    """One training.

    Attributes:
        what: The network.
        data: Images at its resolution, of its number of classes.
        settings: How, how long and how fast.
        context: Where.
        network: As it is before the first step.
        teacher: Who teaches besides the labels.
        stable_share: Share of the steps after which the learning rate falls; see `Schedule`.
    """

    what: AnyNetwork
    data: ImageData
    settings: RetrainSettings
    context: TrainingContext
    network: nn.Module
    teacher: TeacherNetwork | None
    stable_share: float = 0.0

    @classmethod
    def of(
        cls,
        what: AnyNetwork,
        data: ImageData,
        settings: RetrainSettings,
        context: TrainingContext,
        hypernetwork: Hypernetwork,
        stable_share: float,
    ) -> Alone:
        """Builds the network and its teacher, and refuses what cannot be trained.

        A network of timm begins from nothing and has no path of the hypernetwork for a teacher.

        Raises:
            StageError: The settings ask for the hypernetwork and there is none, or none of its
                paths can teach.
            UsageError, UnknownNameError, CheckpointError: See `check_settings`.
            DataError: The images do not fit the network or the teacher, or one cannot be read.
            ArchitectureError: The hypernetwork does not hold the network.
        """
        _check_fit(what, data)
        check_settings(settings, context.compute, context.processes.count)
        network = _start(what, settings, hypernetwork.supernet, context.seed)
        teacher = _teacher(what, settings.teacher, data, hypernetwork)
        return cls(what, data, settings, context, network, teacher, stable_share)

    @cached_property
    def inputs(self) -> str:
        """Digest of what the result depends on; to be asked before the first step."""
        what = self.what if isinstance(self.what, Architecture) else asdict(self.what)
        weights = [digest_of_weights(self.network)]
        weights += [digest_of_weights(self.teacher.network)] if self.teacher else []
        # What was trained before it could stay at the peak holds.
        stable = [self.stable_share] if self.stable_share else []
        seed = self.context.seed
        return inputs_digest(
            "retrain", what, self.data.record, self.settings, seed, *weights, *stable
        )

    @cached_property
    def fit(self) -> Fit:
        """The run; the network, and the teacher, are where it takes place."""
        settings, context, network = self.settings, self.context, self.network
        teacher = self.teacher.network if self.teacher else None
        data = self._placed
        if settings.rand_augment:
            data = data.varied(settings.rand_augment)
        context.place(network, sync_batch_norm=settings.sync_batch_norm)
        if teacher is not None:
            context.place(teacher)
        rank = context.processes.rank
        vary = BatchVariation(settings, data.num_classes, seed=context.seed, part=rank)
        return Fit(
            model=network,
            learner=Student(network, context.compute, settings, vary, teacher),
            average=NetworkAverage(network, settings.ema_decay) if settings.ema_decay else None,
            evaluate=lambda epoch: self.tally("search-validation").percent,
            data=data,
            settings=settings,
            context=context,
            inputs=self.inputs,
            optimizer=settings.optimizer,
            warmup_share=settings.warmup_share,
            stable_share=self.stable_share,
        )

    def tally(self, split: Split) -> Tally:
        """What the network gets right, as it is."""
        with self._evaluating():
            return tally(self.network, self._batches(split), self.data.num_classes)

    def score(self) -> NetworkScore:
        """What the network does on search-validation, as it is."""
        with self._evaluating():
            label = self.what.label
            return network_score(self.network, self._batches("search-validation"), label)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """All processes have the mean of the statistics that each gathered on its images."""
        statistics = [b for b in self.network.buffers() if b.is_floating_point()]
        self.context.processes.average(statistics)
        self.network.eval()
        yield

    @cached_property
    def _placed(self) -> ImageData:
        return self.data.to(self.context.compute.device)

    def _batches(self, split: Split) -> Iterator[Batch]:
        return self._placed.batches(split, _BATCH)


def check_settings(settings: RetrainSettings, compute: Compute, count: int = 1) -> None:
    """Refuses settings that no network can be trained by, before anything is written.

    Args:
        settings: Of `retrain`.
        compute: Where it is to run.
        count: Processes that share each batch.

    Raises:
        UsageError: They ask for what this machine or this number of processes cannot do, or timm
            cannot read how images are to be varied.
        UnknownNameError: timm has no such teacher.
        CheckpointError: There is no such file of its weights.
    """
    if settings.sync_batch_norm:
        check_sync_batch_norm("retrain", compute)
    if settings.rand_augment:
        check_rand_augment(settings.rand_augment)
    if settings.teacher:
        check_teacher(settings.teacher)
    images = settings.batch_size // count // settings.accumulate
    if images < 2 or (settings.mixes and images % 2):
        raise UsageError(
            f"{settings.batch_size} images a step are {images} at once in each of "
            f"{count} processes; expected at least 2"
            + (", and an even number to mix" if settings.mixes else ""),
            hint="raise retrain.batch_size, or lower retrain.accumulate",
        )


def _start(
    what: AnyNetwork, settings: RetrainSettings, supernet: Supernet | None, seed: int
) -> nn.Module:
    """The network as it is before the first step."""
    if isinstance(what, TimmNetwork):
        return build_timm(what, seed=seed, dropout=settings.dropout)
    if not settings.warm_start:
        return build_network(what, seed=seed, dropout=settings.dropout)
    return _given(supernet, "start from").subnet(what, dropout=settings.dropout)


def _teacher(
    what: AnyNetwork,
    settings: TeacherSettings | None,
    data: ImageData,
    hypernetwork: Hypernetwork,
) -> TeacherNetwork | None:
    if settings is None:
        return None
    if settings.source != HYPERNETWORK:
        return timm_as_teacher(settings, data)
    if isinstance(what, TimmNetwork):
        return None
    holds = _given(hypernetwork.supernet, "be taught by")
    return path_as_teacher(holds, larger_path(hypernetwork.scored, what), data)


def _given(supernet: Supernet | None, what: str) -> Supernet:
    if supernet is None:
        raise StageError(
            f"retraining is to {what} the hypernetwork, and there is no hypernetwork",
            hint="train one: python run_pipeline.py train; or "
            "--set retrain.warm_start=false --set retrain.teacher=null",
        )
    return supernet


def _check_fit(what: AnyNetwork, data: ImageData) -> None:
    resolution = data.record.preprocessing.resolution
    if (resolution, data.num_classes) != (what.resolution, what.num_classes):
        raise DataError(
            f"{data.record.name} has {data.num_classes} classes at {resolution} pixels; "
            f"{what.label} expects {what.num_classes} at {what.resolution}",
            hint="set the architecture's num_classes and resolution to those of the images",
        )


def digest_of_weights(network: nn.Module) -> str:
    """SHA-256 over a network's weights and statistics, by name."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
