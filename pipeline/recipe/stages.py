"""The stages of a recipe in order: what each needs, and which settings decide it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.errors import UnknownNameError
from pipeline.latency.model import model_path
from pipeline.latency.table_files import table_to_write
from pipeline.recipe.checks import check_from_export, check_from_training, check_recipe
from pipeline.recipe.export_stage import exported_files, run_export
from pipeline.recipe.measuring_stages import run_benchmark, run_profile, run_verify, targets_here
from pipeline.recipe.recipe import Recipe
from pipeline.recipe.report_stage import run_report
from pipeline.recipe.resume import Stage
from pipeline.recipe.search_stage import run_search
from pipeline.recipe.training_stages import run_retrain, run_train
from pipeline.recipe.trial_stage import run_trial


def stages() -> tuple[Stage, ...]:
    """All stages, in order; all but the report refuse a recipe that one of them could not use."""
    working = (
        Stage("profile", (), _for_profiling, run_profile, _tables),
        Stage("train", ("profile",), _for_training, run_train, by_many=True),
        Stage("search", ("profile", "train"), _for_searching, run_search),
        Stage("verify", ("search",), _for_verifying, run_verify),
        Stage(
            "trial",
            ("profile", "train", "search", "verify"),
            _part("data", "retrain", "trial", "seed"),
            run_trial,
        ),
        Stage(
            "retrain",
            ("train", "search", "verify", "trial"),
            _for_retraining,
            run_retrain,
            by_many=True,
        ),
        Stage("export", ("retrain",), _for_exporting, run_export),
        Stage(
            "benchmark", ("profile", "retrain", "export"), _part("benchmark", "seed"), run_benchmark
        ),
    )
    before_report = tuple(stage.name for stage in working)
    return (
        *(replace(stage, check=_CHECKS.get(stage.name, check_recipe)) for stage in working),
        Stage("report", before_report, _everything, run_report),
    )


_CHECKS = {
    "trial": check_from_training,
    "retrain": check_from_training,
    "export": check_from_export,
    "benchmark": check_from_export,
}


def find_stage(name: str) -> Stage:
    """The stage of that name.

    Raises:
        UnknownNameError: There is none.
    """
    by_name = {stage.name: stage for stage in stages()}
    if name not in by_name:
        raise UnknownNameError.of("stage", name, by_name)
    return by_name[name]


def _everything(recipe: Recipe) -> Mapping[str, Any]:
    return recipe.model_dump(mode="json")


def _for_profiling(recipe: Recipe) -> Mapping[str, Any]:
    settings = _with_sizes(recipe, "space", "data", "target", "profile", "seed")
    return {**settings, "resolutions": recipe.space.sizes, "targets": recipe.targets}


def _for_training(recipe: Recipe) -> Mapping[str, Any]:
    settings = _with_sizes(recipe, "space", "data", "target", "train", "seed")
    limits = recipe.train_limits or recipe.limits
    return {**settings, "limits": limits.model_dump(mode="json")}


def _with_sizes(recipe: Recipe, *sections: str) -> dict[str, Any]:
    """Parts of a recipe with input sizes where recipes once had them: what was made then holds."""
    settings = recipe.model_dump(mode="json", include=set(sections))
    first, *others = recipe.space.sizes or (None,)
    settings["space"]["resolution"] = first
    if "train" in settings:
        settings["train"]["resolutions"] = others
    return settings


def _for_searching(recipe: Recipe) -> Mapping[str, Any]:
    settings = dict(_part("limits", "search", "score", "allow_foreign", "seed")(recipe))
    # Scores are the same with any number of workers.
    return {**settings, "score": {k: v for k, v in settings["score"].items() if k != "workers"}}


def _for_verifying(recipe: Recipe) -> Mapping[str, Any]:
    # With one or none it is done as it was before there were trials.
    wanted = {"wanted": recipe.trial.candidates} if recipe.trial.candidates > 1 else {}
    return {**_part("verify", "seed")(recipe), **wanted}


def _for_retraining(recipe: Recipe) -> Mapping[str, Any]:
    control = {"train_best_control": recipe.trial.train_best_control}
    return {**_part("data", "retrain", "seed")(recipe), **control}


def _for_exporting(recipe: Recipe) -> Mapping[str, Any]:
    settings = dict(_part("data", "export", "seed")(recipe))
    # What was asked for is what is written, whether for its own sake or for the benchmark.
    export = {k: v for k, v in settings["export"].items() if k != "precisions"}
    return {**settings, "export": export, "files": exported_files(recipe)}


def _part(*sections: str) -> Any:
    def settings(recipe: Recipe) -> Mapping[str, Any]:
        return recipe.model_dump(mode="json", include=set(sections))

    return settings


def _tables(recipe: Recipe) -> list[Path]:
    """The files that profiling makes outside its folder."""
    paths = [table_to_write(target) for target in targets_here(recipe)]
    return [*paths, *map(model_path, paths)]
