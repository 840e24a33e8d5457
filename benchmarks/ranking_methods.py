"""The hypernetworks of the ranking study: how each is trained, and what it says of networks."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from ranking_truth import RESOLUTION, SPACE

from pipeline.progress import Progress
from pipeline.space import Architecture
from pipeline.supernet import load_supernet
from pipeline.training.datasets import open_dataset
from pipeline.training.evaluation import HypernetworkScorer
from pipeline.training.hypernetwork import train_hypernetwork
from pipeline.training.path_sampling import PathLimits
from pipeline.training.settings import ScoreSettings, TrainSettings

_SCORE = ScoreSettings(images=5000, recalibration_images=1024)
# A sandwich trains three paths with every image: it sees a third of the images for the same work.
_PATHS_A_STEP = {"sandwich": 3}

METHODS: dict[str, dict[str, Any]] = {
    "single-path": {"method": "single-path"},
    "cream": {"method": "cream"},
    "sandwich": {"method": "sandwich"},
}


class Scores(BaseModel):
    """What one hypernetwork says.

    Attributes:
        name: Its method.
        settings: How it was trained.
        scored: Top-1 on search-validation in percent, by `Architecture.short`.
        seconds: Of its training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    settings: TrainSettings
    dataset: str
    max_train: int
    seed: int
    scored: dict[str, float]
    seconds: float

    @property
    def percent(self) -> list[float]:
        """The scores in the order the networks were asked for."""
        return list(self.scored.values())


def settings_of(name: str, paths_an_image: float) -> TrainSettings:
    """How a method is trained so that every image meets so many paths."""
    changes = METHODS[name]
    epochs = paths_an_image / _PATHS_A_STEP.get(changes["method"], 1)
    return TrainSettings.model_validate({"epochs": max(1, round(epochs)), **changes})


def hypernetwork_scores(
    name: str,
    networks: Sequence[Architecture],
    *,
    dataset: str,
    max_train: int,
    paths_an_image: float,
    seed: int,
    journal: Path,
    progress: Progress,
) -> Scores:
    """Trains a hypernetwork and scores networks with it, unless the journal knows already."""
    settings = settings_of(name, paths_an_image)
    asked = (settings, dataset, max_train, seed)
    names = [network.short for network in networks]
    for known in _read(journal):
        is_same = (known.settings, known.dataset, known.max_train, known.seed) == asked
        if is_same and set(names) <= set(known.scored):
            return known.model_copy(update={"scored": {n: known.scored[n] for n in names}})
    images = open_dataset(
        dataset,
        resolution=RESOLUTION,
        seed=0,
        max_train=max_train,
        matching_images=settings.matching_images,
    )
    folder = journal.parent / f"{name}-{seed}"
    record = train_hypernetwork(
        SPACE,
        images,
        settings,
        limits=PathLimits(),
        folder=folder,
        seed=seed,
        progress=progress,
    )
    score = HypernetworkScorer(load_supernet(folder / record.checkpoint), images, _SCORE)
    found = Scores(
        name=name,
        settings=settings,
        dataset=dataset,
        max_train=max_train,
        seed=seed,
        scored={network.short: score(network) for network in networks},
        seconds=record.seconds,
    )
    with journal.open("a", encoding="utf-8") as file:
        file.write(found.model_dump_json() + "\n")
    shutil.rmtree(folder)
    return found


def _read(journal: Path) -> list[Scores]:
    if not journal.exists():
        return []
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    return [Scores.model_validate_json(line) for line in lines if line.endswith("\n")]
