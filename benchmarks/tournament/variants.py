"""Who wins with all parts of the program, and without one of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.device.target import Target
from pipeline.files.whole import read_record, write_record
from pipeline.recipe.data import open_data
from pipeline.recipe.recipe import Recipe
from pipeline.recipe.request import paths_within, read_models
from pipeline.recipe.resume import RECORD, StageContext, run_stage
from pipeline.recipe.stages import find_stage
from pipeline.recipe.trial_stage import training_of
from pipeline.records.search import SearchRecord
from pipeline.records.train import TrainRecord
from pipeline.records.trial import Entrant, TrialRecord
from pipeline.records.verify import VerifyRecord
from pipeline.training.hypernetwork.path_sampling import PathSampler
from pipeline.trials.field import Ladder, Option, Stand, candidates_within, climbed
from pipeline.trials.trial import trial
from pipeline.work.progress import ProgressFactory

SIZES = (64, 96)
DEFAULT, FUSION, ALONE, BLIND = "trials", "trials and fusion", "no trials", "no hypernetwork"
VARIANTS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    FUSION: {"budget": 4},
    ALONE: {"candidates": 0},
    BLIND: {},
}
_BEFORE = ("profile", "train", "search", "verify")
_OPTIONS = 4
"""Random networks a place in the field may settle on: some are over the limit as measured."""


@dataclass(frozen=True)
class Won:
    """What a variant came to.

    Attributes:
        entrant: Its winner.
        off_the_shelf: Networks of timm within the limits.
        seconds: All that it took but profiling, on this machine.
    """

    entrant: Entrant
    off_the_shelf: tuple[Entrant, ...]
    seconds: float


def recipe_of(data: Path, *, limit: float, epochs: int, hypernetwork_epochs: int) -> Recipe:
    """The recipe of the study: photographs at two sizes, one limit on latency.

    Args:
        data: Folder of images.
        limit: As a multiple of what cream-14 takes at the smaller size.
        epochs: Of a whole training of one network.
        hypernetwork_epochs: Of the hypernetwork.
    """
    steady = {"protocol": {"unsteady_percent": 1000}}
    training = {"batch_size": 64, "learning_rate": 3e-3}
    return Recipe.model_validate(
        {
            "schema_version": 1,
            "name": "tournament",
            "data": {"dataset": str(data)},
            "space": {"name": "cream", "resolution": list(SIZES), "max_depth": 3},
            "limits": {"latency_of_cream_14": limit},
            "profile": steady,
            "train": {"epochs": hypernetwork_epochs, **training},
            "score": {"images": 5000, "recalibration_images": 1024},
            "search": {"candidates": 200},
            "verify": steady,
            "retrain": {"epochs": epochs, **training},
        }
    )


def winners(recipe: Recipe, folder: Path, progress: ProgressFactory) -> dict[str, Won]:
    """Runs what all variants have in common once, then the trials of each.

    Args:
        recipe: See `recipe_of`.
        folder: Takes a run a variant; what is finished is not done again.
        progress: Makes the progress of each piece of work.
    """
    common = folder / "common"
    for stage in _BEFORE:
        run_stage(find_stage(stage), recipe, common, progress)
    return {name: _won(name, recipe, folder, progress) for name in VARIANTS}


def _won(name: str, recipe: Recipe, folder: Path, progress: ProgressFactory) -> Won:
    common, run = folder / "common", folder / name.replace(" ", "-")
    for stage in _BEFORE:
        if not (run / stage).exists():
            shutil.copytree(common / stage, run / stage)
    section = recipe.trial.model_copy(update=VARIANTS[name])
    changed = recipe.model_copy(update={"trial": section})
    if name == BLIND:
        record = _blind(changed, run, progress)
    else:
        run_stage(find_stage("trial"), changed, run, progress)
        record = read_record(run / "trial" / RECORD, TrialRecord)
    trained = read_record(run / "train" / RECORD, TrainRecord)
    searched = read_record(run / "search" / RECORD, SearchRecord)
    scoring = 0.0 if name == BLIND else trained.seconds + searched.seconds
    shelf = (it for it in record.entrants if it.is_off_the_shelf and not it.reason)
    winner = _verified(run) if record.winner is None else record.entrants[record.winner]
    return Won(winner, tuple(shelf), scoring + record.seconds)


def _verified(run: Path) -> Entrant:
    return candidates_within(read_record(run / "verify" / RECORD, VerifyRecord), 1)[0]


def _blind(recipe: Recipe, run: Path, progress: ProgressFactory) -> TrialRecord:
    """Trials of random networks within the limit, as many as the other parts would have cost."""
    folder = run / "trial"
    path = folder / RECORD
    if path.exists():
        return read_record(path, TrialRecord)
    context = StageContext(recipe, run, folder, progress)
    verified = read_record(run / "verify" / RECORD, VerifyRecord)
    stand = Stand(
        [Target.parse(recipe.target)], recipe.verify.protocol, folder, recipe.seed,
        progress("exporting random networks"), progress("measuring random networks"),
    )  # fmt: skip
    data = open_data(recipe)
    ladders = list(_random_ladders(recipe, verified, data.num_classes, _affordable(recipe, run)))
    record = trial(
        [it for it in climbed(ladders, verified.limits, stand) if not it.reason],
        training_of(context, data),
        limits=verified.limits,
        target=recipe.target,
        folder=folder,
        progress=progress("trying random networks out"),
    )
    write_record(path, record)
    return record


def _affordable(recipe: Recipe, run: Path) -> int:
    """How many networks can be tried for what hypernetwork, search and trials cost."""
    default = read_record(run.parent / DEFAULT / "trial" / RECORD, TrialRecord)
    trained = read_record(run / "train" / RECORD, TrainRecord)
    searched = read_record(run / "search" / RECORD, SearchRecord)
    tried = sum(bool(it.rungs) for it in default.entrants)
    each = default.seconds / max(tried, 1)
    return max(tried, round((trained.seconds + searched.seconds + default.seconds) / each))


def _random_ladders(
    recipe: Recipe, verified: VerifyRecord, num_classes: int, count: int
) -> Iterator[Ladder]:
    models = read_models(recipe)
    limits = paths_within(verified.limits, models[recipe.target], recipe.target)
    sampler = PathSampler(recipe.space.space(), num_classes, recipe.seed, limits)
    for number in range(count):
        size = SIZES[number % len(SIZES)]
        drawn = [sampler.draw(size, "tournament", number, option) for option in range(_OPTIONS)]
        yield Ladder("random", [Option.of(network) for network in drawn])


def distinct(won: Mapping[str, Won]) -> dict[str, Entrant]:
    """Every network to train to the end, by its label: winners, then what stands beside them."""
    entrants = [it.entrant for it in won.values()]
    entrants += [shelf for it in won.values() for shelf in it.off_the_shelf]
    return {it.label: it for it in entrants}
