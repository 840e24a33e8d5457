"""The hypernetworks of the ranking study: how each is trained, and what it says of networks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from benchmarks.jobs import Entry
from benchmarks.ranking.truth import RESOLUTION
from benchmarks.trainings import SPACE, trained_hypernetwork
from pipeline.images.datasets import open_dataset
from pipeline.space.architecture import Architecture
from pipeline.training.hypernetwork.path_sampling import PathLimits
from pipeline.training.settings import TrainSettings

# A sandwich trains three paths with every image: it sees a third of the images for the same work.
_PATHS_A_STEP = {"sandwich": 3}
# All depths of a stage equally likely, instead of all networks.
_EVEN_DEPTHS = {name: 1 / len(SPACE.operators) for name in SPACE.operators}

# The methods compared, then what was tried besides.
METHODS: dict[str, dict[str, Any]] = {
    "single-path": {"method": "single-path"},
    "cream": {"method": "cream"},
    "sandwich": {"method": "sandwich"},
}
VARIATIONS: dict[str, dict[str, Any]] = {
    "single-path, no growth": {"method": "single-path", "growth_share": 0.0},
    "single-path, even depths": {"method": "single-path", "operator_prior": _EVEN_DEPTHS},
    "single-path, averaged": {"method": "single-path", "ema_decay": 0.95},
    "cream, even depths": {"method": "cream", "operator_prior": _EVEN_DEPTHS},
    "cream, no matching": {"method": "cream", "teaching": {"matching": None}},
    "cream, temperature 4": {"method": "cream", "teaching": {"temperature": 4.0}},
    "cream, board of 3": {"method": "cream", "teaching": {"board_size": 3}},
    "cream, late board": {"method": "cream", "teaching": {"start_share": 0.7}},
    "cream, matching every 20": {"method": "cream", "teaching": {"matching": {"every": 20}}},
    "sandwich, even depths": {"method": "sandwich", "operator_prior": _EVEN_DEPTHS},
}
KNOWN = {**METHODS, **VARIATIONS}


class Hypernetwork(Entry):
    """One hypernetwork to train, and the networks it scores."""

    settings: TrainSettings
    dataset: str
    max_train: int
    seed: int
    networks: tuple[Architecture, ...]


class HypernetworkResult(Entry):
    """What one hypernetwork says.

    Attributes:
        percent: Top-1 on search-validation, a network each.
        seconds: Of its training.
    """

    question: Hypernetwork
    percent: tuple[float, ...]
    seconds: float


def settings_of(name: str, paths_an_image: int) -> TrainSettings:
    """How a method is trained so that every image meets so many paths."""
    changes = KNOWN[name]
    epochs = max(1, round(paths_an_image / _PATHS_A_STEP.get(changes["method"], 1)))
    return TrainSettings.model_validate({"epochs": epochs, **changes})


def train_and_score(question: Hypernetwork, scratch: Path) -> HypernetworkResult:
    """Trains a hypernetwork and scores networks with it."""
    settings = question.settings
    images = open_dataset(
        question.dataset,
        resolution=RESOLUTION,
        seed=0,
        max_train=question.max_train,
        matching_images=settings.matching_images,
    )
    record, score = trained_hypernetwork(
        images, settings, PathLimits(), scratch, seed=question.seed
    )
    percent = tuple(score.scores(question.networks))
    shutil.rmtree(scratch)
    return HypernetworkResult(question=question, percent=percent, seconds=record.seconds)
