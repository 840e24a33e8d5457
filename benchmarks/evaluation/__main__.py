"""How much faster a generation is scored when networks that begin alike are computed together.

    python -m benchmarks.evaluation --check

Takes the first, the tenth and the last generation of a real search, which `generations.jsonl`
holds, and scores each together and one network at a time, in turns, with as many images as a
search takes by default. A generation is what the search scored in it: it asks for no network
twice, so nothing of it was known before. The floor is on the speed-up relative to what the MACs of
shared beginnings allow; the scores must be the same. The weights are fresh: time does not
depend on them.

    python -m benchmarks.evaluation --record

searches anew and replaces the file: a hypernetwork is trained briefly on Fashion-MNIST, and
searched with fewer images under a limit on MACs, by evolution alone, without a surrogate. Latency,
the search's second objective, is there a stand-in made of MACs and blocks, so that no table of this
machine is needed.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from benchmarks.command import judge, run, tell
from benchmarks.timing import timed
from pipeline.cli.console import progress_bars
from pipeline.device.target import host_slug
from pipeline.images.datasets import open_dataset
from pipeline.images.image_data import ImageData
from pipeline.network.supernet import Supernet, load_supernet
from pipeline.records.candidates import Limits
from pipeline.search.constraints import MACS, PARAMS, latency_key
from pipeline.search.cost_tables import CostTables
from pipeline.search.exact.linear import times
from pipeline.search.problem import Problem
from pipeline.search.scoring import OnScored
from pipeline.search.searching import search
from pipeline.search.settings import SearchSettings
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import parse_short
from pipeline.space.cost import macs_range, operator_macs, operator_params
from pipeline.space.encoding import Floats, Rows, SlotTable
from pipeline.space.search_space import get_space
from pipeline.training.hypernetwork.hypernetwork import train_hypernetwork
from pipeline.training.hypernetwork.path_sampling import PathLimits
from pipeline.training.scoring.evaluation import HypernetworkScorer
from pipeline.training.scoring.network_score import NetworkScore
from pipeline.training.scoring.prefix_cache import shared_macs_speedup
from pipeline.training.settings import ScoreSettings, TrainSettings
from pipeline.work.progress import ProgressFactory

FLOOR_OF_ALLOWED = 0.8
GENERATIONS_FILE = Path(__file__).with_name("generations.jsonl")

SPACE = get_space("cream").narrowed(max_depth=4)
RESOLUTION = 32
DATASET = "fashion-mnist"
NUM_CLASSES = 10
SEED = 0

RECORDED = (1, 10, 20)
POPULATION = 50
SEARCH = SearchSettings(
    population=POPULATION,
    candidates=POPULATION * RECORDED[-1],
    surrogate_share=0.0,
    patience=RECORDED[-1],
)
_SEARCHED = {"strategy", "population", "candidates", "surrogate_share", "mutation_probability"}
SEARCH_SCORE = ScoreSettings(images=500, recalibration_images=256)
TRAIN_IMAGES = 6000
TRAIN = TrainSettings(epochs=4)
_TOLD = {"method", "epochs", "batch_size", "learning_rate"}
# Of the way from the space's smallest network to its largest.
MACS_SHARE = 0.5
TARGET = "host/stand_in-fp32-b1"
MACS_A_MS = 20e6
BLOCK_MS = 0.02

Generations = dict[int, list[Architecture]]


def main(
    images: Annotated[int, typer.Option(min=1)] = ScoreSettings().images,
    calibration_images: Annotated[int, typer.Option(min=2)] = ScoreSettings().recalibration_images,
    networks: Annotated[int, typer.Option(min=2, help="Most of a generation.")] = SEARCH.population,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    record: Annotated[bool, typer.Option("--record", help="Search anew, time nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    check: Annotated[bool, typer.Option(help="Exit 1 below the floor.")] = False,
) -> None:
    """Prints the speed-up of each generation beside what its MACs allow."""
    if record:
        with progress_bars() as progress:
            _record(GENERATIONS_FILE, progress)
        return
    settings = ScoreSettings(images=images, recalibration_images=calibration_images)
    generations = {
        number: generation[:networks] for number, generation in _read(GENERATIONS_FILE).items()
    }
    with progress_bars() as progress:
        results = _measure(generations, settings, repeats, progress)
    told = {
        "device": host_slug(),
        "threads": torch.get_num_threads(),
        "images": images,
        "calibration_images": calibration_images,
        "repeats": repeats,
        "floor_of_allowed": FLOOR_OF_ALLOWED,
        "generations": results,
    }
    tell(told, _lines, as_json=as_json)
    judge([problem for result in results for problem in _missed(result)], check=check)


def _lines(told: dict[str, Any]) -> Iterator[str]:
    for result in told["generations"]:
        yield (
            f"generation {result['generation']:3d}: {result['networks']} networks, "
            f"alone {result['alone_s']:7.2f} s, together {result['together_s']:7.2f} s, "
            f"{result['speedup']:.2f} times as fast, MACs allow {result['allowed']:.2f}"
        )


def _missed(result: dict[str, Any]) -> list[str]:
    """The floors a generation misses, in words."""
    missed = []
    if result["of_allowed"] < FLOOR_OF_ALLOWED:
        missed.append(
            f"generation {result['generation']}: {result['speedup']:.2f} times as fast is "
            f"{result['of_allowed']:.2f} of what MACs allow, floor {FLOOR_OF_ALLOWED}"
        )
    if not result["same_scores"]:
        missed.append(f"generation {result['generation']}: scores differ")
    return missed


def _measure(
    generations: Generations, settings: ScoreSettings, repeats: int, progress: ProgressFactory
) -> list[dict[str, Any]]:
    """Times every generation both ways, in turns, so that a slow minute meets both."""
    data = open_dataset(DATASET, resolution=RESOLUTION, seed=SEED)
    scorer = HypernetworkScorer(Supernet(SPACE, NUM_CLASSES, seed=SEED), data, settings)
    scorer(next(iter(generations.values()))[0])
    told = progress("scoring generations both ways")
    pairs: dict[int, list[tuple[float, float]]] = {number: [] for number in generations}
    same = dict.fromkeys(generations, True)
    for repeat in range(repeats):
        for done, (number, networks) in enumerate(generations.items(), start=1):
            alone_s, alone = timed(_one_by_one, scorer, networks)
            together_s, together = timed(scorer.scores, networks)
            pairs[number].append((alone_s, together_s))
            same[number] &= alone == together
            told(repeat * len(generations) + done, repeats * len(generations))
    return [
        _result(number, networks, pairs[number]) | {"same_scores": same[number]}
        for number, networks in generations.items()
    ]


def _result(
    number: int, networks: Sequence[Architecture], pairs: Sequence[tuple[float, float]]
) -> dict[str, Any]:
    speedup = statistics.median(alone_s / together_s for alone_s, together_s in pairs)
    allowed = shared_macs_speedup(networks)
    return {
        "generation": number,
        "networks": len(networks),
        "alone_s": statistics.median(alone_s for alone_s, _ in pairs),
        "together_s": statistics.median(together_s for _, together_s in pairs),
        "speedup": speedup,
        "allowed": allowed,
        "of_allowed": speedup / allowed,
    }


def _one_by_one(scorer: HypernetworkScorer, networks: Sequence[Architecture]) -> list[NetworkScore]:
    return [scorer(network) for network in networks]


def _read(path: Path) -> Generations:
    """Recorded generations by number, from 1; the first line of the file says how it was made."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return {line["generation"]: list(map(parse_short, line["networks"])) for line in lines}


def _record(path: Path, progress: ProgressFactory) -> None:
    data = open_dataset(DATASET, resolution=RESOLUTION, seed=SEED, max_train=TRAIN_IMAGES)
    supernet = _trained(data, progress)
    scorer = HypernetworkScorer(supernet, data, SEARCH_SCORE)
    asked: list[list[str]] = []

    def score(architectures: Sequence[Architecture], on_scored: OnScored) -> list[NetworkScore]:
        asked.append([architecture.short for architecture in architectures])
        return scorer.scores(architectures, on_scored)

    problem = _problem()
    found = search(
        problem,
        settings=SEARCH,
        score=score,
        num_images=SEARCH_SCORE.images,
        seed=SEED,
        cache={},
        keep=lambda architecture, scored: None,
        progress=progress("searching"),
    )
    log_losses = [it.log_loss_nats or 0.0 for it in found.evaluated]
    until = list(accumulate(map(len, asked)))
    made = {
        "made_by": "python -m benchmarks.evaluation --record",
        "space": SPACE.name,
        "max_depth": SPACE.max_depth,
        "train": {"dataset": DATASET, "images": TRAIN_IMAGES, **TRAIN.model_dump(include=_TOLD)},
        "score": SEARCH_SCORE.model_dump(exclude={"workers"}),
        "search": SEARCH.model_dump(include=_SEARCHED),
        "limits": problem.limits.model_dump(exclude_defaults=True),
        "seed": SEED,
        "best_log_loss_nats": [min(log_losses[: until[number - 1]]) for number in RECORDED],
    }
    lines = [made] + [{"generation": number, "networks": asked[number - 1]} for number in RECORDED]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def _trained(data: ImageData, progress: ProgressFactory) -> Supernet:
    with tempfile.TemporaryDirectory() as scratch:
        trained = train_hypernetwork(
            SPACE,
            data,
            TRAIN,
            limits=PathLimits(),
            folder=Path(scratch),
            seed=SEED,
            progress=progress("training the hypernetwork"),
        )
        return load_supernet(Path(scratch) / trained.checkpoint)


def _problem() -> Problem:
    """MACs at most halfway; the stand-in for latency is a sum over blocks, as a table's is."""
    smallest, largest = macs_range(SPACE, RESOLUTION, NUM_CLASSES)
    macs = SlotTable.of(SPACE, RESOLUTION, NUM_CLASSES, operator_macs)
    in_ms = times(macs, 1 / MACS_A_MS)
    in_ms.values[:, 1:] += BLOCK_MS
    tables = {
        MACS: macs,
        PARAMS: SlotTable.of(SPACE, RESOLUTION, NUM_CLASSES, operator_params),
        latency_key(TARGET): in_ms.on_grid(),
    }
    return Problem(
        space=SPACE,
        num_classes=NUM_CLASSES,
        limits=Limits(macs=smallest + MACS_SHARE * (largest - smallest)),
        target=TARGET,
        tables=CostTables({RESOLUTION: tables}),
        uncertainty={TARGET: _Certain(in_ms)},
    )


@dataclass(frozen=True)
class _Certain:
    """The stand-in is what it is."""

    in_ms: SlotTable

    def std_ms(self, rows: Rows) -> Floats:
        return np.zeros(len(rows))

    def tangent(self, row: Rows) -> SlotTable:
        del row
        return times(self.in_ms, 0.0)


if __name__ == "__main__":
    run(main)
