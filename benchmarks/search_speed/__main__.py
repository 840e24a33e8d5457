"""How many architectures a second a search looks at, and how long a proof takes.

    python -m benchmarks.search_speed --check

On the full space `cream` (six blocks a stage, 224 pixels, 1000 classes) with the shipped tables, on
any machine: scores are free here, so that what is left is the search itself.

* costs, one target and three: MACs, parameters and latencies of random rows in one call. This
  checkout has two tables at 224 pixels; the third is a copy of one, scaled, and named so.
* evolution: seeds, repairs, ask and tell under a limit on latency at the median of random
  networks, counted in candidates told. As a reference, once-for-all's evolution finder, with its
  table in a plain dictionary, scores 9,477 candidates a second on a machine like ours: our own
  measurement of its code.
* search: all of `pipeline.search.searching.search`, its record included, without a surrogate.
* exact: seconds for the network of highest surrogate with its proof, and for the whole front,
  under limits on MACs and on the latency of two targets, all in the medians of random networks,
  with the margin that a recipe has unless it says otherwise. The surrogate is fitted as in a
  search, on as many networks as one scores first by default; the log-losses it is fitted on are
  made up: they saturate with MACs, each operator has an effect in each stage, and there is noise.
  Each repeat has another surrogate; the slowest one counts.

All figures but that are medians of the repeats.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.command import judge, run, tell
from benchmarks.search_speed.problem import (
    ONNXRUNTIME,
    OPENVINO,
    SCALED,
    fitted_surrogate,
    problem_on,
    with_one_limit,
    with_three_limits,
)
from benchmarks.timing import timed
from pipeline.cli.console import progress_bars
from pipeline.device.target import host_slug
from pipeline.search.evolution import Evolution
from pipeline.search.exact.exact_search import best_and_front
from pipeline.search.problem import Problem
from pipeline.search.scoring import OnScored
from pipeline.search.searching import search
from pipeline.search.seeds import seed_rows
from pipeline.search.settings import SearchSettings
from pipeline.space.architecture import Architecture
from pipeline.space.encoding import Rows, SlotTable, encode
from pipeline.training.scoring.network_score import NetworkScore
from pipeline.work.progress import ProgressFactory

TARGETS = {
    "costs_one_target": (ONNXRUNTIME,),
    "costs_three_targets": (ONNXRUNTIME, OPENVINO, SCALED),
}
POPULATIONS = (100, 1000)
FLOORS_PER_S = {
    "costs_one_target": 1_000_000,
    "costs_three_targets": 500_000,
    "evolution_100": 20_000,
}
EXACT_CEILING_S = 10.0
ONCE_FOR_ALL_PER_S = 9_477


def main(
    rows: Annotated[int, typer.Option(min=1, help="Rows whose costs are computed.")] = 200_000,
    generations: Annotated[int, typer.Option(min=1, help="Of an evolution.")] = 80,
    repeats: Annotated[int, typer.Option(min=1, help="The median is told.")] = 5,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    check: Annotated[bool, typer.Option(help="Exit 1 below a floor or above a ceiling.")] = False,
) -> None:
    """Prints architectures a second of each part, and seconds of the exact search."""
    with progress_bars() as progress:
        told = _measured(rows, generations, repeats, progress)
    tell(told, _lines, as_json=as_json)
    judge(_missed(told), check=check)


def _measured(
    rows: int, generations: int, repeats: int, progress: ProgressFactory
) -> dict[str, Any]:
    """All parts in turns, so that a slow minute meets each of them."""
    unlimited = {name: problem_on(*targets) for name, targets in TARGETS.items()}
    drawn = {
        name: problem.variation.random(rows, np.random.default_rng(0))
        for name, problem in unlimited.items()
    }
    limited, exact = with_one_limit(), with_three_limits()
    accuracy = fitted_surrogate(limited, seed=0)
    told = progress("timing")
    per_s: dict[str, list[float]] = {}
    proofs = []
    for repeat in range(repeats):
        for name, problem in unlimited.items():
            per_s.setdefault(name, []).append(_costs_per_s(problem, drawn[name]))
        for population in POPULATIONS:
            per_s.setdefault(f"evolution_{population}", []).append(
                _evolution_per_s(limited, accuracy, population, generations, repeat)
            )
        per_s.setdefault("search_100", []).append(
            _search_per_s(limited, accuracy, generations, repeat)
        )
        proofs.append(_proof(exact, repeat))
        told(repeat + 1, repeats)
    return {
        "device": host_slug(),
        "space": limited.space.name,
        "rows": rows,
        "generations": generations,
        "repeats": repeats,
        "targets": TARGETS,
        "per_s": {name: statistics.median(values) for name, values in per_s.items()},
        "floors_per_s": FLOORS_PER_S,
        "once_for_all_per_s": ONCE_FOR_ALL_PER_S,
        "exact_limits": exact.limits.model_dump(exclude_none=True),
        "exact": proofs,
        "exact_s": max(proof["seconds"] for proof in proofs),
        "exact_ceiling_s": EXACT_CEILING_S,
    }


def _costs_per_s(problem: Problem, rows: Rows) -> float:
    return len(rows) / timed(problem.tables, rows)[0]


def _evolution_per_s(
    problem: Problem, accuracy: SlotTable, population: int, generations: int, seed: int
) -> float:
    """Candidates a second, from the first seed to the last one told."""
    rng = np.random.default_rng(seed)
    start, told = time.perf_counter(), 0
    evolution = Evolution(
        problem,
        population=population,
        mutation_probability=SearchSettings().mutation_probability,
        rng=rng,
    )
    evolution.plant(seed_rows(problem, population, rng))
    for _ in range(generations):
        asked = evolution.ask()
        evolution.tell(asked, accuracy.totals(asked))
        told += len(asked)
    return told / (time.perf_counter() - start)


def _search_per_s(problem: Problem, accuracy: SlotTable, generations: int, seed: int) -> float:
    """Candidates a second of a whole search, with its record."""

    def score(architectures: Sequence[Architecture], on_scored: OnScored) -> list[NetworkScore]:
        quality = accuracy.totals(encode(problem.space, architectures)).tolist()
        scores = [NetworkScore(2, (-nats, -nats), 0.0) for nats in quality]
        for architecture, scored in zip(architectures, scores, strict=True):
            on_scored(architecture, scored)
        return scores

    settings = SearchSettings(
        population=POPULATIONS[0],
        candidates=POPULATIONS[0] * generations,
        surrogate_share=0.0,
        patience=POPULATIONS[0] * generations,
    )
    taken_s, record = timed(
        search,
        problem,
        settings=settings,
        score=score,
        num_images=1,
        seed=seed,
        cache={},
        keep=lambda architecture, scored: None,
    )
    return len(record.evaluated) / taken_s


def _proof(problem: Problem, seed: int) -> dict[str, float]:
    """How long the best network and the front of a surrogate take, and what is proved."""
    surrogate = fitted_surrogate(problem, seed)
    taken_s, (best, front) = timed(best_and_front, problem, {surrogate.resolution: surrogate})
    return {
        "seconds": taken_s,
        "best_nats": best.value,
        "bound_above_best_nats": best.bound - best.value,
        "front_points": len(front.rows),
        "front_gap_nats": front.gap_nats,
    }


def _lines(told: dict[str, Any]) -> list[str]:
    lines = []
    for name, per_s in told["per_s"].items():
        floor = FLOORS_PER_S.get(name)
        beside = f"   floor {floor:9,}" if floor else ""
        lines.append(f"{name.replace('_', ' '):20s} {per_s:12,.0f} /s{beside}")
    lines.append(f"{'once-for-all':20s} {ONCE_FOR_ALL_PER_S:12,} /s   our measurement of its code")
    lines += [
        f"exact: {proof['seconds']:5.2f} s, bound {proof['bound_above_best_nats']:.4f} nats "
        f"above the best, {proof['front_points']} points of the front, its gap "
        f"{proof['front_gap_nats']:.4f} nats"
        for proof in told["exact"]
    ]
    return lines


def _missed(told: dict[str, Any]) -> list[str]:
    """The floors and the ceiling that are missed, in words."""
    missed = [
        f"{name.replace('_', ' ')}: {told['per_s'][name]:,.0f}/s, floor {floor:,}"
        for name, floor in FLOORS_PER_S.items()
        if told["per_s"][name] < floor
    ]
    if told["exact_s"] > EXACT_CEILING_S:
        missed.append(f"exact: {told['exact_s']:.1f} s, ceiling {EXACT_CEILING_S:g} s")
    return missed


if __name__ == "__main__":
    run(main)
