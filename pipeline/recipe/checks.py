"""What is wrong with a recipe, whichever images it has, told before anything is measured.

Forms are checked where a recipe is read. What needs more to be known is asked here of the rooms
that will have to do it: hours later they would refuse it themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.device import runtimes
from pipeline.device.target import HOST, Target, host_slug
from pipeline.errors import PipelineError, UnavailableError, UnknownNameError, UsageError
from pipeline.files.workspace import profile_files
from pipeline.latency.model import LatencyModel
from pipeline.latency.table_files import all_targets_with_tables
from pipeline.measure.measuring_process import check_measurable
from pipeline.recipe.recipe import OF_THE_SPACE, LimitsSection, Recipe
from pipeline.space.search_space import RESOLUTIONS

if TYPE_CHECKING:
    from pipeline.training.hypernetwork.path_sampling import PathLimits


def check_recipe(recipe: Recipe) -> None:
    """Refuses settings that one of the stages could not work by.

    Args:
        recipe: The recipe; what is quickly looked at goes first.

    Raises:
        PipelineError: As the stage would raise it; says which setting, and what would be right.
    """
    _check_strategy(recipe)
    _check_targets(recipe)
    _check_paths(recipe)
    check_from_training(recipe)


def check_from_training(recipe: Recipe) -> None:
    """The same of what is done once networks are chosen: no table is needed any more.

    Raises:
        PipelineError: As `check_recipe`.
    """
    _check_training(recipe)
    check_from_export(recipe)


def check_from_export(recipe: Recipe) -> None:
    """The same of what is done once a network is trained.

    Raises:
        PipelineError: As `check_recipe`.
    """
    for name in recipe.benchmark.targets:
        target = Target.parse(name)
        _check_device(target)
        # One that cannot run here is a row of the benchmark that says why.
        runtimes.find(target.runtime)
    _check_references(recipe)


def _check_strategy(recipe: Recipe) -> None:
    if recipe.search.strategy == "board" and recipe.train.method != "cream":
        raise UsageError(
            "search.strategy board searches the prioritized paths of train.method cream; "
            f"train.method is {recipe.train.method}",
            hint="--set train.method=cream, or --set search.strategy=evolution",
        )


def _check_targets(recipe: Recipe) -> None:
    for name in recipe.targets:
        target = Target.parse(name)
        # An unknown runtime, or a precision that it does not have.
        runtimes.model_file(target)
        if not target.is_here:
            _check_elsewhere(target, recipe)
        else:
            check_measurable(target)


def _check_elsewhere(target: Target, recipe: Recipe) -> None:
    """What is on another machine is predicted by its table, which must be there already."""
    _check_device(target)
    LatencyModel.read(target, allow_foreign=recipe.allow_foreign)
    sections = {"limits": recipe.limits, "train_limits": recipe.train_limits or recipe.limits}
    for section, limits in sections.items():
        if target.name in limits.multiples(recipe.target) and target.name != recipe.target:
            raise UsageError(
                f"{section}.latency_of_cream_14 is a multiple of what cream-14 takes on "
                f"{target.name}, which is measured by profiling there; this machine is "
                f"{host_slug()}",
                hint=f"give milliseconds: {section}.latency_ms",
            )


def _check_device(target: Target) -> None:
    known = {HOST, host_slug(), *profile_files()}
    known |= {it.device_slug for it in all_targets_with_tables()}
    if target.device not in known:
        raise UnknownNameError.of("device", target.device, known)


def _check_paths(recipe: Recipe) -> None:
    """That there are networks to train, and some to search, as far as MACs and weights decide."""
    from pipeline.training.hypernetwork.path_sampling import PathSampler

    space, prior = recipe.space.space(), tuple(sorted(recipe.train.operator_prior.items()))
    for limits in filter(None, (recipe.train_limits, recipe.limits)):
        sampler = PathSampler(space, 1, recipe.seed, _known_limits(limits), prior)
        # At the smallest size most networks are within limits, but for a fewest number of MACs.
        sizes = recipe.space.sizes or (RESOLUTIONS if limits.macs_min else RESOLUTIONS[:1])
        refused: list[PipelineError] = []
        for size in sorted(sizes):
            try:
                sampler.path(0, size)
            except PipelineError as error:
                refused.append(error)
        if len(refused) == len(sizes):
            raise refused[0]


def _known_limits(limits: LimitsSection) -> PathLimits:
    from pipeline.training.hypernetwork.path_sampling import PathLimits

    return PathLimits(macs_min=limits.macs_min, macs=limits.macs, params=limits.params)


def _check_training(recipe: Recipe) -> None:
    from pipeline.network.timm_networks import check_timm_name
    from pipeline.training.compute import compute_here
    from pipeline.training.context import check_sync_batch_norm
    from pipeline.training.retraining.alone import check_settings

    compute = compute_here()
    if recipe.train.sync_batch_norm:
        check_sync_batch_norm("train", compute)
    if recipe.train.compile and (reason := runtimes.find("torch_compile").unavailable()):
        raise UnavailableError(
            f"train.compile cannot compile here: {reason}", hint="--set train.compile=false"
        )
    check_settings(recipe.retrain, compute)
    for name in recipe.trial.controls:
        if name not in OF_THE_SPACE:
            check_timm_name(name, "control of trials", OF_THE_SPACE)


def _check_references(recipe: Recipe) -> None:
    from pipeline.trials.benchmark import check_reference

    for name in recipe.benchmark.references:
        check_reference(name)
