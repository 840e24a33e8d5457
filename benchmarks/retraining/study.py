"""The trainings of the study of retraining: hypernetworks, and networks by each method."""

from __future__ import annotations

from pathlib import Path

from benchmarks.jobs import Entry
from benchmarks.trainings import SPACE, Training, trained, trained_hypernetwork
from pipeline.images.datasets import open_dataset
from pipeline.network.supernet import Supernet, load_supernet
from pipeline.records.candidates import Candidate
from pipeline.space.architecture import Architecture
from pipeline.space.cost import architecture_cost
from pipeline.training.hypernetwork.path_sampling import PathLimits, PathSampler
from pipeline.training.settings import TrainSettings

# Room above the student for larger paths to teach it.
_MACS_OF_STUDENT = 2.0
_SCORED = 48


class Hypernetwork(Entry):
    """One hypernetwork to train, on paths of up to twice the student's multiply-accumulates."""

    student: Architecture
    dataset: str
    max_train: int
    epochs: int
    seed: int


class HypernetworkResult(Entry):
    """Its weights, and what some of its paths reach with them.

    Attributes:
        checkpoint: File of its weights, relative to the folder of the journal.
        scored: The student, then random paths.
    """

    question: Hypernetwork
    checkpoint: str
    scored: tuple[Candidate, ...]
    seconds: float


class Retrained(Training):
    """One network to train by a method.

    Attributes:
        hypernetwork: To start from or to be taught by; None where the settings need none.
    """

    hypernetwork: Hypernetwork | None = None


class RetrainedResult(Entry):
    """What came out; percent are top-1."""

    question: Retrained
    search_validation_percent: float
    test_percent: float
    teacher: str | None
    seconds: float


def scored_hypernetwork(question: Hypernetwork, scratch: Path) -> HypernetworkResult:
    """Trains a hypernetwork and scores some of its paths."""
    resolution = question.student.resolution
    data = open_dataset(
        question.dataset, resolution=resolution, seed=0, max_train=question.max_train
    )
    limits = PathLimits(macs=_MACS_OF_STUDENT * architecture_cost(question.student).macs)
    kept = _kept(scratch, question)
    record, score = trained_hypernetwork(
        data, TrainSettings(epochs=question.epochs), limits, kept, seed=question.seed
    )
    sampler = PathSampler(SPACE, data.num_classes, question.seed, limits, ())
    drawn = (sampler.draw(resolution, "scored", number) for number in range(_SCORED))
    distinct = list(dict.fromkeys([question.student, *drawn]))
    return HypernetworkResult(
        question=question,
        checkpoint=f"{kept.name}/{record.checkpoint}",
        scored=tuple(
            Candidate(
                architecture=path,
                accuracy_percent=it.accuracy_percent,
                log_loss_nats=it.log_loss_nats,
                macs=(cost := architecture_cost(path)).macs,
                params=cost.params,
                latency_ms={},
                violation=0.0,
            )
            for path, it in zip(distinct, score.scores(distinct), strict=True)
        ),
        seconds=record.seconds,
    )


def retrained(question: Retrained, scratch: Path) -> RetrainedResult:
    """Trains a network and evaluates it."""
    supernet, scored = _of_hypernetwork(question, scratch)
    record = trained(question, scratch, supernet=supernet, scored=scored)
    return RetrainedResult(
        question=question,
        search_validation_percent=record.accuracy_percent,
        test_percent=record.test_accuracy_percent,
        teacher=record.teacher,
        seconds=record.seconds,
    )


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
