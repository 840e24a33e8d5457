"""The trainings of the study of retraining: hypernetworks, and networks by each method."""

from __future__ import annotations

import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipeline.images.datasets import open_dataset
from pipeline.images.image_data import ImageData
from pipeline.network.supernet import Supernet, load_supernet
from pipeline.records.candidates import Candidate
from pipeline.space.architecture import Architecture
from pipeline.space.cost import architecture_cost
from pipeline.space.search_space import get_space
from pipeline.training.hypernetwork.hypernetwork import train_hypernetwork
from pipeline.training.hypernetwork.path_sampling import PathLimits, PathSampler
from pipeline.training.retraining.retraining import retrain
from pipeline.training.scoring.evaluation import HypernetworkScorer
from pipeline.training.settings import RetrainSettings, ScoreSettings, TrainSettings
from pipeline.work.progress import silent

SPACE = get_space("cream").narrowed(max_depth=3)
# Room above the student for larger paths to teach it.
_MACS_OF_STUDENT = 2.0
_SCORED = 48
_SCORE = ScoreSettings(images=5000, recalibration_images=1024)


class Hypernetwork(BaseModel):
    """One hypernetwork to train, on paths of up to twice the student's multiply-accumulates."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    student: Architecture
    dataset: str
    max_train: int
    epochs: int
    seed: int


class HypernetworkResult(BaseModel):
    """Its weights, and what some of its paths reach with them.

    Attributes:
        checkpoint: File of its weights, relative to the folder of the journal.
        scored: The student, then random paths.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: Hypernetwork
    checkpoint: str
    scored: tuple[Candidate, ...]
    seconds: float


class Retrained(BaseModel):
    """One network to train.

    Attributes:
        max_train: Training images; None for all.
        hypernetwork: To start from or to be taught by; None where the settings need none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: Architecture
    dataset: str
    max_train: int | None
    settings: RetrainSettings
    seed: int
    hypernetwork: Hypernetwork | None = None


class RetrainedResult(BaseModel):
    """What came out; percent are top-1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: Retrained
    search_validation_percent: float
    test_percent: float
    teacher: str | None
    seconds: float


def trained_hypernetwork(question: Hypernetwork, scratch: Path) -> HypernetworkResult:
    """Trains a hypernetwork and scores some of its paths."""
    data = _images(question.student, question.dataset, question.max_train)
    limits = PathLimits(macs=_MACS_OF_STUDENT * architecture_cost(question.student).macs)
    kept = _kept(scratch, question)
    record = train_hypernetwork(
        SPACE,
        data,
        TrainSettings(epochs=question.epochs),
        limits=limits,
        folder=kept,
        seed=question.seed,
        progress=silent,
    )
    sampler = PathSampler(SPACE, data.num_classes, question.seed, limits, ())
    resolution = question.student.resolution
    drawn = (sampler.draw(resolution, "scored", number) for number in range(_SCORED))
    score = HypernetworkScorer(load_supernet(kept / record.checkpoint), data, _SCORE)
    distinct = list(dict.fromkeys([question.student, *drawn]))
    return HypernetworkResult(
        question=question,
        checkpoint=f"{kept.name}/{record.checkpoint}",
        scored=tuple(
            Candidate(
                architecture=path,
                accuracy_percent=percent,
                macs=(cost := architecture_cost(path)).macs,
                params=cost.params,
                latency_ms={},
                violation=0.0,
            )
            for path, percent in zip(distinct, score.scores(distinct), strict=True)
        ),
        seconds=record.seconds,
    )


def retrained(question: Retrained, scratch: Path) -> RetrainedResult:
    """Trains a network and evaluates it."""
    supernet, scored = _of_hypernetwork(question, scratch)
    record = retrain(
        question.architecture,
        _images(question.architecture, question.dataset, question.max_train),
        question.settings,
        supernet=supernet,
        scored=scored,
        folder=scratch,
        seed=question.seed,
        progress=silent,
    )
    shutil.rmtree(scratch)
    return RetrainedResult(
        question=question,
        search_validation_percent=record.accuracy_percent,
        test_percent=record.test_accuracy_percent,
        teacher=record.teacher,
        seconds=record.seconds,
    )


def _images(network: Architecture, dataset: str, max_train: int | None) -> ImageData:
    return open_dataset(dataset, resolution=network.resolution, seed=0, max_train=max_train)


def _kept(scratch: Path, question: Hypernetwork) -> Path:
    """Beside the scratch folders: networks are trained from it later."""
    return scratch.parent.parent / f"hypernetwork-{question.seed}"


def _of_hypernetwork(
    question: Retrained, scratch: Path
) -> tuple[Supernet | None, tuple[Candidate, ...]]:
    if question.hypernetwork is None:
        return None, ()
    journal = scratch.parent.parent / "hypernetworks.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines()
    answers = map(HypernetworkResult.model_validate_json, lines)
    answer = next(it for it in answers if it.question == question.hypernetwork)
    return load_supernet(journal.parent / answer.checkpoint), answer.scored
