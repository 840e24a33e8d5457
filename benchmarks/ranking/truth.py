"""The truth of the ranking study: its networks, each trained alone, with several seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Literal
from unittest.mock import patch

import typer
from torch import nn

from benchmarks.jobs import Entry, answered
from benchmarks.trainings import Training, trained
from pipeline.network.network import Network, build_network
from pipeline.network.operators import last_norms_of_residuals
from pipeline.space.architecture import Architecture
from pipeline.training.retraining import alone
from pipeline.training.settings import RetrainSettings
from pipeline.work.progress import Progress

Images = Annotated[
    Path, typer.Option(help="Folder of images of ten classes, with train/ and val/.")
]
Results = Annotated[Path, typer.Option(help="Where results are kept.")]
Epochs = Annotated[int, typer.Option(min=1, help="Of each network alone.")]

Start = Literal["identity", "ones"]
STARTS: tuple[Start, ...] = ("identity", "ones")


class AloneQuestion(Training):
    """One network to train alone.

    Attributes:
        start: Of the residual blocks: as the identity, as the program starts them, or with scales
            of one, as it did before.
    """

    start: Start = "identity"


class AloneResult(Entry):
    """What came out; percent are top-1.

    Attributes:
        test_percent: On images that nothing else looks at.
        by_epoch_percent: On search-validation, after each epoch.
        loss_by_epoch: On training images.
    """

    question: AloneQuestion
    test_percent: float
    by_epoch_percent: tuple[float, ...]
    loss_by_epoch: tuple[float, ...]
    seconds: float


def trained_alone(
    networks: Sequence[Architecture],
    *,
    starts: Sequence[Start],
    seeds: int,
    epochs: int,
    data: Path,
    folder: Path,
    progress: Progress,
) -> list[AloneResult]:
    """Trains each network with each start and seed, where the folder does not have it yet.

    Returns:
        By seed, then network, then start.
    """
    questions = [
        AloneQuestion(
            architecture=network,
            dataset=data.name,
            max_train=None,
            settings=RetrainSettings(epochs=epochs, batch_size=64, learning_rate=3e-3),
            seed=seed,
            start=start,
        )
        for seed in range(seeds)
        for network in networks
        for start in starts
    ]
    work = partial(train_alone, data=data)
    return answered(questions, work, AloneResult, folder / "alone.jsonl", progress)


def train_alone(question: AloneQuestion, scratch: Path, *, data: Path) -> AloneResult:
    """Trains one network and evaluates it.

    Args:
        question: The network, and how.
        scratch: Folder for what training leaves.
        data: Folder of the images that the question names.
    """
    with nullcontext() if question.start == "identity" else _scales_of_one():
        record = trained(question, scratch, data=data)
    return AloneResult(
        question=question,
        test_percent=record.test_accuracy_percent,
        by_epoch_percent=tuple(it.accuracy_percent or 0.0 for it in record.epochs),
        loss_by_epoch=tuple(it.loss for it in record.epochs),
        seconds=record.seconds,
    )


@contextmanager
def _scales_of_one() -> Iterator[None]:
    """Within it, networks are built as they were before they began as the identity."""

    def built(architecture: Architecture, *, seed: int, dropout: float = 0.0) -> Network:
        network = build_network(architecture, seed=seed, dropout=dropout)
        for norm in last_norms_of_residuals(network):
            nn.init.ones_(norm.weight)
        return network

    with patch.object(alone, "build_network", built):
        yield
