"""What retraining is worth: from scratch, warm start, a teacher; and what the recipe reaches.

    python -m benchmarks.retraining --check

Two parts, or one of them with `--only`:

* `methods` trains one network by each method for as many epochs, with several seeds, on part of
  Fashion-MNIST. Warm start and teacher come from a hypernetwork of its own for each seed; the
  teacher is the most accurate of its paths that are larger. Methods are compared seed by seed, on
  search-validation: the default must not be beaten beyond noise.
* `recipe` retrains the network that the recipe fashion-mnist found, as that recipe does, with
  several seeds; the floor is on its accuracy on test.

Every answer is kept as it is made: a study that was stopped goes on. The answers that
docs/retraining.md shows are kept in `benchmarks/retraining/results`; `--folder` reads them there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import typer

from benchmarks.command import chosen_methods, judge, run, tell
from benchmarks.jobs import answered
from benchmarks.means import Mean, mean_difference, mean_of
from benchmarks.retraining.methods import DEFAULT, KNOWN, METHODS, needs_hypernetwork, settings_of
from benchmarks.retraining.study import (
    Hypernetwork,
    HypernetworkResult,
    Retrained,
    RetrainedResult,
    retrained,
    scored_hypernetwork,
)
from pipeline.cli.console import progress_bars
from pipeline.recipe.recipe import read_recipe
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import parse_short, published
from pipeline.work.progress import ProgressFactory

DATASET = "fashion-mnist"
RECIPE = "fashion-mnist"
FLOOR_PERCENT = 93.0
# What the recipe found on two cores of an Intel Xeon; see docs/retraining.md.
RECIPES_NETWORK = (
    "cream@64c10:mb4_3x3,mb4_5x5/mb4_3x3,mb6_7x7/mb4_5x5,mb4_5x5/mb4_3x3,mb4_3x3/mb4_5x5,mb4_5x5"
)

Part = Literal["methods", "recipe"]


def main(
    only: Annotated[Part | None, typer.Option(help="One part alone.")] = None,
    names: Annotated[
        str, typer.Option("--methods", help=f"Joined by semicolons; known: {'; '.join(KNOWN)}.")
    ] = ";".join(METHODS),
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    epochs: Annotated[int, typer.Option(min=1, help="Of each method.")] = 4,
    resolution: Annotated[int, typer.Option(help="Input side of the methods in pixels.")] = 32,
    max_train: Annotated[int, typer.Option(min=1, help="Images the methods train on.")] = 15_000,
    network: Annotated[
        str, typer.Option(help="What the recipe retrains: SPACE@RESOLUTION:OPERATORS.")
    ] = RECIPES_NETWORK,
    folder: Annotated[Path, typer.Option(help="Where answers are kept.")] = Path("runs/retraining"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    check: Annotated[
        bool,
        typer.Option(
            help="Exit 1 if the default method is beaten beyond noise, or a seed of the recipe "
            f"stays below {FLOOR_PERCENT} % on test."
        ),
    ] = False,
) -> None:
    """Prints what each method, and the recipe, reach."""
    folder.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {}
    missed: list[str] = []
    with progress_bars() as progress:
        if only != "recipe":
            size = published("cream-14", resolution=resolution, num_classes=10)
            student = size.model_copy(update={"name": None})
            design = Design(student, DATASET, max_train, epochs, seeds)
            told["methods"] = _methods(chosen_methods(names, KNOWN), design, folder, progress)
            missed += _beaten(told["methods"])
        if only != "methods":
            told["recipe"] = _recipe(parse_short(network), seeds, folder, progress)
            missed += _below_floor(told["recipe"])
    tell(told, _lines, as_json=as_json)
    judge(missed, check=check)


class Design(NamedTuple):
    """What all methods have in common."""

    student: Architecture
    dataset: str
    max_train: int
    epochs: int
    seeds: int


def _methods(
    names: list[str], design: Design, folder: Path, progress: ProgressFactory
) -> dict[str, Any]:
    student, dataset, max_train, epochs, seeds = design
    hypernetworks = [
        Hypernetwork(
            student=student, dataset=dataset, max_train=max_train, epochs=epochs, seed=seed
        )
        for seed in range(seeds)
    ]
    questions = [
        Retrained(
            architecture=student,
            dataset=dataset,
            max_train=max_train,
            settings=settings_of(name, epochs),
            seed=seed,
            hypernetwork=hypernetworks[seed] if needs_hypernetwork(name) else None,
        )
        for name in names
        for seed in range(seeds)
    ]
    needed = [of for of in hypernetworks if any(of == it.hypernetwork for it in questions)]
    answered(
        needed,
        scored_hypernetwork,
        HypernetworkResult,
        folder / "hypernetworks.jsonl",
        progress("hypernetworks"),
    )
    answers = answered(
        questions, retrained, RetrainedResult, folder / "methods.jsonl", progress("methods")
    )
    runs = {name: answers[i * seeds : (i + 1) * seeds] for i, name in enumerate(names)}
    baseline = runs.get(DEFAULT)
    return {
        "network": student.short,
        "dataset": dataset,
        "max_train": max_train,
        "epochs": epochs,
        "default": DEFAULT,
        "of": {
            name: {
                **_told(of),
                "teachers": sorted({it.teacher for it in of if it.teacher}),
                "against_default": None
                if baseline is None or of is baseline
                else mean_difference(_validation(of), _validation(baseline)),
            }
            for name, of in runs.items()
        },
    }


def _recipe(
    network: Architecture, seeds: int, folder: Path, progress: ProgressFactory
) -> dict[str, Any]:
    recipe = read_recipe(RECIPE)
    questions = [
        Retrained(
            architecture=network,
            dataset=recipe.data.dataset,
            max_train=recipe.data.max_train,
            settings=recipe.retrain,
            seed=seed,
        )
        for seed in range(seeds)
    ]
    answers = answered(
        questions, retrained, RetrainedResult, folder / "recipe.jsonl", progress("the recipe")
    )
    common = {"network": network.short, "dataset": DATASET, "epochs": recipe.retrain.epochs}
    return {**common, **_told(answers)}


def _beaten(told: dict[str, Any]) -> list[str]:
    return [
        f"{name} beats {told['default']}, the default, by {against.percent:.2f} points on "
        f"search-validation, 95 % interval {against.low_percent:.2f} to {against.high_percent:.2f}"
        for name, method in told["of"].items()
        if (against := method["against_default"]) and against.low_percent > 0
    ]


def _below_floor(told: dict[str, Any]) -> list[str]:
    return [
        f"recipe {RECIPE}, seed {seed}: {percent:.2f} % on test; floor {FLOOR_PERCENT} %"
        for seed, percent in enumerate(told["test_percent"])
        if percent < FLOOR_PERCENT
    ]


def _validation(answers: list[RetrainedResult]) -> list[float]:
    return [answer.search_validation_percent for answer in answers]


def _told(answers: list[RetrainedResult]) -> dict[str, Any]:
    test = [answer.test_percent for answer in answers]
    return {
        "search_validation_percent": _validation(answers),
        "test_percent": test,
        "search_validation": mean_of(_validation(answers)),
        "test": mean_of(test),
        "seconds": [answer.seconds for answer in answers],
    }


def _lines(told: dict[str, Any]) -> list[str]:
    lines = []
    if methods := told.get("methods"):
        lines.append(
            f"{methods['network']}, {methods['max_train']} images of {methods['dataset']}, "
            f"{methods['epochs']} epochs"
        )
        for name, found in methods["of"].items():
            lines.append(_line(name, found))
            if against := found["against_default"]:
                lines.append(f"{'':32s} against {methods['default']}: {_shown(against, '+')}")
    if recipe := told.get("recipe"):
        lines.append(f"{recipe['network']}, {recipe['dataset']}, {recipe['epochs']} epochs")
        lines.append(_line(f"recipe {RECIPE}", recipe))
    return lines


def _line(name: str, found: dict[str, Any]) -> str:
    validation, test = _shown(found["search_validation"]), _shown(found["test"])
    return f"{name:32s} search-validation {validation}   test {test}"


def _shown(mean: Mean, sign: str = "") -> str:
    if mean.low_percent is None or mean.high_percent is None:
        return f"{mean.percent:{sign}.2f} %"
    return (
        f"{mean.percent:{sign}.2f} % [{mean.low_percent:{sign}.2f}, {mean.high_percent:{sign}.2f}]"
    )


if __name__ == "__main__":
    run(main)
