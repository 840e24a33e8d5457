"""The program's winner against what everybody can take, and against itself without its parts.

    python -m benchmarks.tournament --data FOLDER --check

Everything up to verification is done once, with one limit on latency in the middle of what the
space reaches. Then who is to be trained is decided in four ways: by trials; by trials that choose
further ones (fusion); by the hypernetwork alone; and by trials of random networks alone, for about
as many core-seconds. Every winner, and every network of timm at the largest input size within the
limit, is trained to the end from nothing, by one recipe, with several seeds, and compared on test,
seed by seed. Everything is kept as it is made, in `runs/tournament`: a study that was stopped goes
on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.command import judge, run, tell
from benchmarks.jobs import Entry, answered
from benchmarks.means import Mean, mean_difference, mean_of
from benchmarks.tournament.variants import (
    DEFAULT,
    Won,
    distinct,
    recipe_of,
    winners,
)
from pipeline.cli.console import progress_bars
from pipeline.images.datasets import open_dataset
from pipeline.network.timm_networks import TimmNetwork
from pipeline.records.trial import Entrant
from pipeline.space.architecture import Architecture
from pipeline.training.retraining.retraining import retrain, retrain_off_the_shelf
from pipeline.training.settings import RetrainSettings
from pipeline.work.progress import silent

FLOOR_PERCENT = -0.5


class Question(Entry):
    """One network to train to the end, of the space or of timm."""

    architecture: Architecture | None
    timm: str | None
    resolution: int
    dataset: str
    settings: RetrainSettings
    seed: int


class Answer(Entry):
    """What it reached; percent are top-1."""

    question: Question
    test_percent: float
    validation_percent: float
    seconds: float


def main(
    data: Annotated[Path, typer.Option(help="Folder of images, with train/ and val/.")] = Path(
        "imagewoof2-112"
    ),
    limit: Annotated[
        float, typer.Option(help="Of latency, times what cream-14 takes at 64 pixels.")
    ] = 1.0,
    seeds: Annotated[int, typer.Option(min=2, help="Of each whole training.")] = 3,
    epochs: Annotated[int, typer.Option(min=1, help="Of each whole training.")] = 6,
    hypernetwork: Annotated[int, typer.Option(min=1, help="Epochs of the hypernetwork.")] = 12,
    folder: Annotated[Path, typer.Option(help="Where everything is kept.")] = Path(
        "runs/tournament"
    ),
    as_json: Annotated[bool, typer.Option("--json")] = False,
    check: Annotated[
        bool,
        typer.Option(
            help="Exit 1 unless the winner is as accurate as the best of timm within the limit, "
            f"to {-FLOOR_PERCENT} points, or the default is beaten by a part taken away."
        ),
    ] = False,
) -> None:
    """Prints what every winner and every network of timm reaches, and what it cost to choose."""
    recipe = recipe_of(data, limit=limit, epochs=epochs, hypernetwork_epochs=hypernetwork)
    with progress_bars() as progress:
        won = winners(recipe, folder, progress)
        networks = distinct(won)
        questions = [
            Question(
                architecture=it.architecture,
                timm=it.timm,
                resolution=it.resolution or 0,
                dataset=data.name,
                settings=recipe.retrain,
                seed=seed,
            )
            for it in networks.values()
            for seed in range(seeds)
        ]
        answers = answered(
            questions,
            partial(_trained, data=data),
            Answer,
            folder / "trained.jsonl",
            progress("whole trainings"),
        )
    reached = {
        label: answers[place * seeds : (place + 1) * seeds] for place, label in enumerate(networks)
    }
    told = _told(won, networks, reached, recipe.target)
    tell(told, _lines, as_json=as_json)
    judge(_missed(told), check=check)


def _trained(question: Question, scratch: Path, *, data: Path) -> Answer:
    images = open_dataset(str(data), resolution=question.resolution, seed=0)
    common: dict[str, Any] = {"folder": scratch, "seed": question.seed, "progress": silent}
    if question.architecture:
        record: Any = retrain(
            question.architecture, images, question.settings, supernet=None, **common
        )
    else:
        network = TimmNetwork(question.timm or "", question.resolution, images.num_classes)
        record = retrain_off_the_shelf(network, images, question.settings, **common)
    return Answer(
        question=question,
        test_percent=record.test_accuracy_percent,
        validation_percent=record.accuracy_percent,
        seconds=record.seconds,
    )


def _told(
    won: dict[str, Won],
    networks: dict[str, Entrant],
    reached: dict[str, list[Answer]],
    target: str,
) -> dict[str, Any]:
    tests = {label: [it.test_percent for it in of] for label, of in reached.items()}
    latency_ms = {label: it.measured_ms[target].typical for label, it in networks.items()}
    mine = won[DEFAULT].entrant.label
    shelf = [label for label, it in networks.items() if it.is_off_the_shelf]
    best = max(shelf, key=lambda label: mean_of(tests[label]).percent, default=None)
    return {
        "winner": mine,
        "best_off_the_shelf": best,
        "networks": {
            label: {
                "test_percent": tests[label],
                "mean": asdict(mean_of(tests[label])),
                "latency_ms": latency_ms[label],
                "winner_against": asdict(mean_difference(tests[mine], tests[label])),
                "winner_is_faster": latency_ms[label] / latency_ms[mine],
                "core_seconds": sum(it.seconds for it in reached[label]),
            }
            for label in networks
        },
        "variants": {
            name: {
                "winner": it.entrant.label,
                "mean": asdict(mean_of(tests[it.entrant.label])),
                "against_default": asdict(mean_difference(tests[it.entrant.label], tests[mine])),
                "latency_ms": latency_ms[it.entrant.label],
                "seconds": it.seconds,
            }
            for name, it in won.items()
        },
    }


def _lines(told: dict[str, Any]) -> Iterator[str]:
    yield "top-1 on test after a whole training, percent; 95 % intervals over seeds (Student)"
    for label, it in told["networks"].items():
        role = "winner" if label == told["winner"] else ""
        against = "" if role else f"   winner {_interval(it['winner_against'], sign='+')}"
        figures = f"{it['latency_ms']:.3f} ms   {_interval(it['mean'])}"
        yield f"{label[:60]:60s} {figures}   {role}{against}"
    for name, it in told["variants"].items():
        yield (
            f"{name:20s} {it['winner'][:40]:40s} {_interval(it['mean'])}, chosen in "
            f"{it['seconds'] / 3600:.2f} h; against {DEFAULT}: "
            f"{_interval(it['against_default'], sign='+')}"
        )


def _interval(mean: dict[str, Any], sign: str = "") -> str:
    found = Mean(**mean)
    if found.low_percent is None or found.high_percent is None:
        return f"{found.percent:{sign}.2f}"
    return (
        f"{found.percent:{sign}.2f} [{found.low_percent:{sign}.2f}, {found.high_percent:{sign}.2f}]"
    )


def _missed(told: dict[str, Any]) -> Iterator[str]:
    best = told["best_off_the_shelf"]
    if best is not None:
        low = told["networks"][best]["winner_against"]["low_percent"]
        if low <= FLOOR_PERCENT:
            yield (f"the winner may be behind {best} by {-low:.2f} points; floor {-FLOOR_PERCENT}")
    for name, it in told["variants"].items():
        low = it["against_default"]["low_percent"]
        if low > 0:
            yield f"{name} is better than {DEFAULT}, by {low:.2f} points at least"


if __name__ == "__main__":
    run(main)
