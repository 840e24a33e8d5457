"""The trainings of studies: networks, and hypernetworks with what their paths reach."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.jobs import Entry
from pipeline.images.datasets import open_dataset
from pipeline.images.image_data import ImageData
from pipeline.network.supernet import Supernet, load_supernet
from pipeline.records.candidates import Candidate
from pipeline.records.retrain import RetrainRecord
from pipeline.records.train import TrainRecord
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import get_space
from pipeline.training.hypernetwork.hypernetwork import train_hypernetwork
from pipeline.training.hypernetwork.path_sampling import PathLimits
from pipeline.training.retraining.retraining import retrain
from pipeline.training.scoring.evaluation import HypernetworkScorer
from pipeline.training.settings import RetrainSettings, ScoreSettings, TrainSettings
from pipeline.work.progress import silent

SPACE = get_space("cream").narrowed(max_depth=3)
_SCORE = ScoreSettings(images=5000, recalibration_images=1024)


class Training(Entry):
    """One network to train.

    Attributes:
        dataset: Name of the images; of a folder, that of the folder.
        max_train: Training images; None for all.
    """

    architecture: Architecture
    dataset: str
    max_train: int | None
    settings: RetrainSettings
    seed: int


def trained(
    question: Training,
    scratch: Path,
    *,
    data: Path | None = None,
    supernet: Supernet | None = None,
    scored: Sequence[Candidate] = (),
) -> RetrainRecord:
    """Trains a network and evaluates it.

    Args:
        question: The network, and how.
        scratch: Folder for what training leaves; it is gone afterwards.
        data: Folder of the images, where they are in one.
        supernet: To start from or to be taught by.
        scored: What its paths reach.
    """
    network = question.architecture
    images = open_dataset(
        str(data) if data else question.dataset,
        resolution=network.resolution,
        seed=0,
        max_train=question.max_train,
    )
    record = retrain(
        network,
        images,
        question.settings,
        supernet=supernet,
        scored=scored,
        folder=scratch,
        seed=question.seed,
        progress=silent,
    )
    shutil.rmtree(scratch)
    return record


def trained_hypernetwork(
    data: ImageData, settings: TrainSettings, limits: PathLimits, folder: Path, *, seed: int
) -> tuple[TrainRecord, HypernetworkScorer]:
    """Trains a hypernetwork of `SPACE`; the second is what scores its paths."""
    record = train_hypernetwork(
        SPACE, data, settings, limits=limits, folder=folder, seed=seed, progress=silent
    )
    return record, HypernetworkScorer(load_supernet(folder / record.checkpoint), data, _SCORE)
