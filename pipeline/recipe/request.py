"""From a recipe and its latency tables to the request a search works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.device.target import Target
from pipeline.errors import TableError, UsageError
from pipeline.latency.model import LatencyModel
from pipeline.recipe.recipe import LimitsSection, Recipe
from pipeline.records.candidates import Candidate, Limits
from pipeline.records.input_sizes import InputSizes
from pipeline.records.profile import ProfileRecord
from pipeline.search.constraints import MACS, PARAMS, latency_key, std_key, violation
from pipeline.search.cost_tables import CostTables
from pipeline.search.problem import Problem
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import published, published_models
from pipeline.space.cost import architecture_cost, operator_macs, operator_params
from pipeline.space.encoding import Floats, Rows, SlotTable
from pipeline.space.search_space import SearchSpace

if TYPE_CHECKING:
    from pipeline.training.hypernetwork.path_sampling import PathLimits


def read_models(recipe: Recipe) -> dict[str, LatencyModel]:
    """The latency model of each of the recipe's targets, its own first.

    Raises:
        TableError: One is missing or cannot be used; says how to measure it.
    """
    return {
        name: LatencyModel.read(Target.parse(name), allow_foreign=recipe.allow_foreign)
        for name in recipe.targets
    }


def read_problem(
    recipe: Recipe,
    models: Mapping[str, LatencyModel],
    limits: Limits,
    sizes: Sequence[int],
    num_classes: int,
) -> Problem:
    """The request of a recipe.

    Args:
        recipe: The recipe.
        models: The latency model of each of its targets.
        limits: In absolute units.
        sizes: Input sizes in pixels.
        num_classes: Classes of the data.

    Raises:
        TableError: A table does not hold the space at an input size.
    """
    space = recipe.space.space()
    sums = {
        size: {
            MACS: SlotTable.of(space, size, num_classes, operator_macs),
            PARAMS: SlotTable.of(space, size, num_classes, operator_params),
            **{
                latency_key(name): model.slot_table(space, size, num_classes)
                for name, model in models.items()
            },
        }
        for size in sizes
    }
    return Problem(
        space=space,
        num_classes=num_classes,
        limits=limits,
        target=recipe.target,
        tables=CostTables(sums),
        uncertainty={
            name: _Uncertainty(model, space, num_classes) for name, model in models.items()
        },
        foreign=frozenset(name for name, model in models.items() if model.foreign),
    )


@dataclass(frozen=True)
class _Uncertainty:
    """A latency model's uncertainty, of the rows of one space."""

    model: LatencyModel
    space: SearchSpace
    num_classes: int

    def std_ms(self, rows: Rows) -> Floats:
        return self.model.predict_batch(self.space, rows, self.num_classes)[1]

    def tangent(self, row: Rows) -> SlotTable:
        return self.model.std_tangent(self.space, row, self.num_classes)


def resolve_limits(
    section: LimitsSection, recipe: Recipe, sizes: InputSizes, profile: ProfileRecord | None
) -> Limits:
    """Limits in absolute units: a multiple of the reference becomes milliseconds.

    Args:
        section: The limits as the recipe gives them.
        recipe: Whose targets they are for.
        sizes: All input sizes of the recipe; the reference takes images of the first.
        profile: What the profile stage measured; None where it has not run.

    Raises:
        UsageError: A multiple is asked for on a target where the reference was not measured.
    """
    latency_ms = dict(section.latencies_ms(recipe.target))
    for name, multiple in section.multiples(recipe.target).items():
        latency_ms[name] = multiple * _reference_ms(name, recipe, sizes.resolutions[0], profile)
    return Limits(
        macs=section.macs,
        macs_min=section.macs_min,
        params=section.params,
        latency_ms={name: latency_ms[name] for name in recipe.targets if name in latency_ms},
        confidence=section.confidence,
    )


def _reference_ms(
    name: str, recipe: Recipe, resolution: int, profile: ProfileRecord | None
) -> float:
    for record in (profile, *profile.also) if profile else ():
        if (record.target, record.resolution) == (name, resolution):
            return record.reference_latency_ms
    raise UsageError(
        f"limits.latency_of_cream_14 needs cream-14 measured on {name} at {resolution} pixels, "
        "which was not done here",
        hint=f"measure it: python run_pipeline.py profile --recipe {recipe.name}; or give "
        "limits.latency_ms",
    )


def path_limits(
    recipe: Recipe, model: LatencyModel, sizes: InputSizes, profile: ProfileRecord | None
) -> PathLimits:
    """What the hypernetwork's paths may cost: the limits but those of other targets.

    Args:
        recipe: The recipe.
        model: The latency model of its target.
        sizes: Its input sizes.
        profile: What its profile stage measured; None where it has not run.

    Raises:
        UsageError: As `resolve_limits`.
    """
    limits = resolve_limits(recipe.train_limits or recipe.limits, recipe, sizes, profile)
    return paths_within(limits, model, recipe.target)


def paths_within(limits: Limits, model: LatencyModel, target: str) -> PathLimits:
    """Limits as paths are drawn by: those but latencies on other targets than the model's."""
    from pipeline.training.hypernetwork.path_sampling import PathLimits

    def predict_ms(space: SearchSpace, rows: Rows, num_classes: int) -> Floats:
        return model.predict_batch(space, rows, num_classes)[0]

    return PathLimits(
        macs_min=limits.macs_min,
        macs=limits.macs,
        params=limits.params,
        latency_ms=limits.latency_ms.get(target),
        predict_ms=predict_ms,
    )


def published_candidates(problem: Problem, models: Mapping[str, LatencyModel]) -> list[Candidate]:
    """The published Cream models at the first input size, as far as they are known.

    Returns:
        Without accuracies; with latencies of the targets whose tables hold them.
    """
    size = problem.tables.resolutions[0]
    named = [
        published(name, resolution=size, num_classes=problem.num_classes)
        for name in published_models()
    ]
    return [_published(problem, models, it) for it in named if it.space == problem.space.name]


def _published(
    problem: Problem, models: Mapping[str, LatencyModel], architecture: Architecture
) -> Candidate:
    latency_ms = {}
    for name, model in models.items():
        try:
            latency_ms[name] = model.predict(architecture)
        except TableError:
            # Deeper than what the table was calibrated on: it stands in no figure of this target.
            continue
    cost = architecture_cost(architecture)
    costs = {MACS: np.array([float(cost.macs)]), PARAMS: np.array([float(cost.params)])}
    for name, latency in latency_ms.items():
        costs[latency_key(name)] = np.array([latency.typical])
        costs[std_key(name)] = np.array([latency.std])
    known = {name: ms for name, ms in problem.limits.latency_ms.items() if name in latency_ms}
    limits = problem.limits.model_copy(update={"latency_ms": known})
    return Candidate(
        architecture=architecture,
        accuracy_percent=None,
        macs=cost.macs,
        params=cost.params,
        latency_ms=latency_ms,
        violation=float(violation(costs, limits)[0]),
    )
