"""The truth of the ranking study: networks of a space, each trained alone, with several seeds.

A result is one line of a journal, written as soon as it is there; what is in the journal is not
trained again.
"""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from pipeline.cost import architecture_cost
from pipeline.device import usable_cores
from pipeline.progress import Progress, silent
from pipeline.space import Architecture, SearchSpace, get_space
from pipeline.training.datasets import open_dataset
from pipeline.training.randomness import seed_for
from pipeline.training.retraining import retrain
from pipeline.training.settings import RetrainSettings

SPACE = get_space("cream").narrowed(max_depth=3)
RESOLUTION = 32
CLASSES = 10

_DRAWS = 4000


class Question(BaseModel):
    """One network to train alone.

    Attributes:
        max_train: Training images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: Architecture
    dataset: str
    max_train: int
    settings: RetrainSettings
    seed: int


class Answer(BaseModel):
    """What came out; percent are top-1 on images it was not trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: Question
    search_validation_percent: float
    test_percent: float
    seconds: float

    @property
    def percent(self) -> float:
        """On both together: 5,000 and 10,000 images."""
        return (self.search_validation_percent + 2 * self.test_percent) / 3


def spread_over_macs(space: SearchSpace, n: int, *, seed: int) -> list[Architecture]:
    """Random networks at equal steps over the MACs that random networks of the space have.

    Depths are drawn first, so that shallow networks are among them.
    """
    random = np.random.default_rng(seed_for(seed, "ranking"))
    drawn = {_drawn(space, random) for _ in range(_DRAWS)}
    by_macs = sorted((architecture_cost(network).macs, network.short, network) for network in drawn)
    costs = np.array([cost for cost, _, _ in by_macs])
    chosen: dict[str, Architecture] = {}
    for wanted in np.linspace(costs[0], costs[-1], n):
        for index in np.argsort(np.abs(costs - wanted)):
            _, short, network = by_macs[index]
            if short not in chosen:
                chosen[short] = network
                break
    return list(chosen.values())


def _drawn(space: SearchSpace, random: np.random.Generator) -> Architecture:
    stages = tuple(
        tuple(
            str(name)
            for name in random.choice(space.operators, random.integers(1, space.max_depth + 1))
        )
        for _ in space.stages
    )
    return Architecture(space=space.name, resolution=RESOLUTION, num_classes=CLASSES, stages=stages)


def answers(questions: list[Question], journal: Path, progress: Progress = silent) -> list[Answer]:
    """Trains what the journal does not hold yet, one network a core.

    Returns:
        One answer a question, in their order.
    """
    known = {answer.question: answer for answer in read_answers(journal)}
    missing = [question for question in questions if question not in known]
    scratch = journal.parent / "scratch"
    # Fork would copy torch's threads in an unknown state.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(usable_cores(), mp_context=context) as pool:
        running = [
            pool.submit(_answer, question, scratch / str(number))
            for number, question in enumerate(missing)
        ]
        for future in as_completed(running):
            answer = future.result()
            with journal.open("a", encoding="utf-8") as file:
                file.write(answer.model_dump_json() + "\n")
            known[answer.question] = answer
            progress(len(known), len(questions), "networks trained alone")
    return [known[question] for question in questions]


def read_answers(journal: Path) -> Iterator[Answer]:
    """What a journal holds; a last line that was cut is dropped."""
    if not journal.exists():
        return
    for line in journal.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield Answer.model_validate_json(line)


def _answer(question: Question, folder: Path) -> Answer:
    # One thread each: two networks side by side train more images a second than one on two cores.
    torch.set_num_threads(1)
    data = open_dataset(
        question.dataset,
        resolution=question.architecture.resolution,
        seed=0,
        max_train=question.max_train,
    )
    record = retrain(
        question.architecture,
        data,
        question.settings,
        warm_start=None,
        folder=folder,
        seed=question.seed,
        progress=silent,
    )
    shutil.rmtree(folder)
    return Answer(
        question=question,
        search_validation_percent=record.accuracy_percent,
        test_percent=record.test_accuracy_percent,
        seconds=record.seconds,
    )
