"""What the study of search quality searches: a hypernetwork, limits, and scores that are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from benchmarks.trainings import SPACE
from pipeline.device.target import Target
from pipeline.files.whole import digest_of
from pipeline.images.datasets import open_dataset
from pipeline.images.image_data import ImageData
from pipeline.latency.model import LatencyModel
from pipeline.records.candidates import Limits
from pipeline.records.train import TrainRecord
from pipeline.search.constraints import MACS, PARAMS, latency_key
from pipeline.search.cost_tables import CostTables
from pipeline.search.problem import Problem
from pipeline.search.score_journal import ScoreJournal
from pipeline.search.scoring import Score, Scored
from pipeline.space.architecture import Architecture
from pipeline.space.cost import macs_range, operator_macs, operator_params
from pipeline.space.encoding import Floats, Rows, SlotTable
from pipeline.space.search_space import SearchSpace
from pipeline.training.hypernetwork.hypernetwork import train_hypernetwork
from pipeline.training.hypernetwork.path_sampling import PathLimits
from pipeline.training.scoring.network_score import NetworkScore
from pipeline.training.scoring.score_workers import open_scorer
from pipeline.training.settings import ScoreSettings, TrainSettings
from pipeline.work.progress import Progress

RESOLUTION = 32
TARGET = "intel-xeon-processor-2c/onnxruntime-fp32-b1-t1"
TABLE_CLASSES = 1000
"""Of the shipped calibration. A classifier of other size changes every network's latency by the
same constant, which no comparison here sees."""
_OF_THE_RANGE = 0.5
"""Limits on MACs and latency, as a share of the way from the space's least to its most."""


@dataclass(frozen=True)
class Study:
    """What is trained and how it is scored.

    Attributes:
        dataset: Name of the images.
        max_train: Training images.
        train: How the hypernetwork is trained.
        score: How a network is scored.
        hypernetwork: Seed of its training.
        folder: Where the hypernetwork and the scores are kept.
    """

    dataset: str
    max_train: int
    train: TrainSettings
    score: ScoreSettings
    hypernetwork: int
    folder: Path

    @cached_property
    def images(self) -> ImageData:
        """The images, with those held out that the board's matching network looks at."""
        return self._opening(matching_images=self.train.matching_images)()

    @cached_property
    def problem(self) -> Problem:
        """The request: MACs and latency at most in the middle of their ranges."""
        model = LatencyModel.read(Target.parse(TARGET), allow_foreign=True)
        latency = model.slot_table(SPACE, RESOLUTION, TABLE_CLASSES)
        classes = self.images.num_classes
        tables = {
            MACS: SlotTable.of(SPACE, RESOLUTION, classes, operator_macs),
            PARAMS: SlotTable.of(SPACE, RESOLUTION, classes, operator_params),
            latency_key(TARGET): latency,
        }
        limit_ms = _between(latency.extreme(largest=False)[0], latency.extreme(largest=True)[0])
        return Problem(
            space=SPACE,
            num_classes=classes,
            limits=Limits(
                macs=_between(*macs_range(SPACE, RESOLUTION, classes)),
                latency_ms={TARGET: limit_ms},
                # No margin: the hypernetwork is trained within the same limits, so that all of its
                # board is within them.
                confidence=0.5,
            ),
            target=TARGET,
            tables=CostTables({RESOLUTION: tables}),
            uncertainty={TARGET: _Uncertainty(model)},
        )

    def trained(self, progress: Progress) -> TrainRecord:
        """The hypernetwork, trained within the limits where it is not there yet."""
        limits, latency = self.problem.limits, self.problem.tables.sums[RESOLUTION]

        def predict_ms(space: SearchSpace, rows: Rows, num_classes: int) -> Floats:
            del space, num_classes
            return latency[latency_key(TARGET)].totals(rows)

        return train_hypernetwork(
            SPACE,
            self.images,
            self.train,
            limits=PathLimits(
                macs=limits.macs, latency_ms=limits.latency_ms[TARGET], predict_ms=predict_ms
            ),
            folder=self._hypernetwork_folder,
            seed=self.hypernetwork,
            progress=progress,
        )

    @contextmanager
    def scores(self, trained: TrainRecord, images: int) -> Iterator[Scores]:
        """The hypernetwork's scores, on so many images of search-validation.

        They are kept by what they depend on, so those of another hypernetwork are never mixed in.
        """
        settings = self.score.model_copy(update={"images": images})
        made_of = [trained.model_dump(mode="json"), settings.model_dump(exclude={"workers"})]
        journal = ScoreJournal(self.folder / f"scores-{digest_of(made_of)[:12]}.jsonl")
        checkpoint = self._hypernetwork_folder / trained.checkpoint
        opening = self._opening(matching_images=0)
        with open_scorer(checkpoint, opening, settings, resolutions=trained.resolutions) as score:
            yield Scores(score, journal)

    @property
    def _hypernetwork_folder(self) -> Path:
        return self.folder / f"hypernetwork-{self.hypernetwork}"

    def _opening(self, *, matching_images: int) -> Callable[[], ImageData]:
        return partial(
            open_dataset,
            self.dataset,
            resolution=RESOLUTION,
            seed=0,
            max_train=self.max_train,
            matching_images=matching_images,
        )


@dataclass
class Scores:
    """Scores that all strategies and seeds share.

    A network's score is the same whoever asks for it, so it is made once. Each strategy is charged
    for every network it asks for, new or not.

    Attributes:
        score: Makes them.
        journal: Keeps them.
        asked: Networks any strategy asked for, and their scores.
    """

    score: Score
    journal: ScoreJournal
    asked: dict[str, NetworkScore] = field(default_factory=dict)

    @property
    def known(self) -> dict[str, Scored]:
        """All there are, by `Architecture.short`."""
        return self.journal.known

    def keep(self, architecture: Architecture, scored: Scored) -> None:
        """Takes a new one."""
        self.journal.append(architecture, scored)
        self.journal.known[architecture.short] = scored

    def note(self, architectures: Sequence[Architecture]) -> None:
        """Counts networks that were scored as asked for."""
        self.asked.update((it.short, self.known[it.short].score) for it in architectures)

    def of(self, architectures: Sequence[Architecture]) -> list[NetworkScore]:
        """Scores of networks, made where they are not known."""
        missing = [it for it in dict.fromkeys(architectures) if it.short not in self.known]
        self.score(missing, lambda it, score: self.keep(it, Scored(score, 0.0)))
        return [self.known[it.short].score for it in architectures]


@dataclass(frozen=True)
class _Uncertainty:
    """The table's uncertainty of the space's rows."""

    model: LatencyModel

    def std_ms(self, rows: Rows) -> Floats:
        return self.model.predict_batch(SPACE, rows, TABLE_CLASSES)[1]

    def tangent(self, row: Rows) -> SlotTable:
        return self.model.std_tangent(SPACE, row, TABLE_CLASSES)


def _between(least: float, most: float) -> float:
    return least + _OF_THE_RANGE * (most - least)
