"""The search stage: from limits and callables to a record of what was found."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.encoding import decode
from pipeline.errors import InfeasibleError
from pipeline.progress import Progress, silent
from pipeline.records import Candidate, Limits, SearchRecord
from pipeline.search.constraints import (
    Costs,
    check_limits,
    latency_key,
    missed,
    out_of_reach,
    show_cost,
)
from pipeline.search.evolution import Evolution, SearchSettings
from pipeline.search.front import pareto_front
from pipeline.search.scoring import OnScored, Predict, Score, Scoring
from pipeline.search.seeds import seed_rows
from pipeline.search.variation import Random, Variation
from pipeline.space import SearchSpace


def search(
    space: SearchSpace,
    *,
    resolution: int,
    num_classes: int,
    limits: Limits,
    target: str,
    costs: Costs,
    predict: Predict,
    reachable: Mapping[str, tuple[float, float]],
    score: Score,
    num_images: int,
    settings: SearchSettings,
    seed: int,
    cache: Mapping[str, float],
    on_scored: OnScored,
    progress: Progress = silent,
) -> SearchRecord:
    """Searches the most accurate architectures within limits.

    The record depends on the arguments only, its `seconds` aside. `score` is not asked for what is
    in `cache`, which changes nothing else, so a search that was killed and is run again with
    what it had scored ends in the same record.

    Args:
        space: What is searched, possibly narrowed.
        resolution: Input side in pixels.
        num_classes: Classes of every candidate.
        limits: What every scored candidate keeps to, all at once.
        target: Whose latency makes the front, together with accuracy.
        costs: `macs`, `params` and `latency_ms/<target>` of n rows at once, shape (n,) each.
        predict: Latencies of one architecture, by target; the same as those of `costs`.
        reachable: Smallest and largest value of each cost in the space.
        score: Top-1 in percent on search-validation of several architectures at once; asked for
            no infeasible one and for none twice. It tells its second argument of each one as soon
            as that is scored, in any order.
        num_images: Images `score` looks at, for the record.
        settings: Sizes and rates.
        seed: Of all random numbers.
        cache: Accuracies known already, by `Architecture.short`.
        on_scored: Told of each architecture `score` has scored, with its accuracy, as soon as it
            is there.
        progress: Told after every candidate.

    Returns:
        The record. Where nothing keeps to the limits, `success` is False, nothing was scored, and
        `message` says which limit is out of reach or how far off the nearest architecture is.

    Raises:
        UsageError: The limits make no sense, or a target's latency is not known.
    """
    started = time.monotonic()
    check_limits(limits, target, known=costs(Variation.of(space, resolution).uniform()[:1]))
    scoring = Scoring(
        space=space,
        num_classes=num_classes,
        limits=limits,
        costs=costs,
        predict=predict,
        score=score,
        cache=cache,
        on_scored=on_scored,
        progress=progress,
        budget=settings.budget,
    )
    best_by_generation: list[float] = []
    try:
        _refuse_out_of_reach(space, resolution, limits, reachable)
        evolution = _started_inside(
            Variation.of(space, resolution), scoring, target, settings, np.random.default_rng(seed)
        )
        for _ in range(settings.generations):
            rows = evolution.ask()
            if not len(rows):
                break
            evolution.tell(rows, scoring.accuracies(rows))
            best_by_generation.append(scoring.best_percent)
        message = _told(scoring.candidates, target, settings)
    except InfeasibleError as error:
        message = error.message
    return SearchRecord(
        limits=limits,
        target=target,
        success=bool(scoring.candidates),
        message=message,
        evaluated=tuple(scoring.candidates),
        front=_front(scoring.candidates, target),
        ranking=_ranking(scoring.candidates, target),
        num_images=num_images,
        best_by_generation=tuple(best_by_generation),
        reachable=dict(reachable),
        seed=seed,
        seconds=time.monotonic() - started,
    )


def _refuse_out_of_reach(
    space: SearchSpace,
    resolution: int,
    limits: Limits,
    reachable: Mapping[str, tuple[float, float]],
) -> None:
    impossible = out_of_reach(limits, reachable)
    if impossible:
        raise InfeasibleError(
            f"no architecture of space {space.name} at {resolution} pixels has "
            + ", nor ".join(impossible)
        )


def _started_inside(
    variation: Variation, scoring: Scoring, target: str, settings: SearchSettings, rng: Random
) -> Evolution:
    """An evolution whose seeds are inside the limits.

    Raises:
        InfeasibleError: None was found; says which came nearest.
    """
    costs, limits = scoring.costs, scoring.limits
    seeds, left = seed_rows(variation, settings.population, costs=costs, limits=limits, rng=rng)
    if left[0] > 0:
        its_costs = {key: float(values[0]) for key, values in costs(seeds[:1]).items()}
        nearest = decode(scoring.space, seeds[0], scoring.num_classes)
        raise InfeasibleError(
            "each limit can be met alone, but no architecture was found within all of them; the "
            f"nearest, {nearest.short}, misses by {100 * left[0]:.2g} %: "
            + ", ".join(missed(its_costs, limits))
        )
    return Evolution(
        variation,
        seeds[left <= 0],
        costs=costs,
        limits=limits,
        target=target,
        settings=settings,
        rng=rng,
    )


def _told(candidates: Sequence[Candidate], target: str, settings: SearchSettings) -> str:
    best = candidates[_ranking(candidates, target)[0]]
    latency = show_cost(latency_key(target), _latency_ms(best, target))
    ended = (
        "the whole budget"
        if len(candidates) == settings.budget
        else f"of at most {settings.budget}; no further architecture was found within the limits"
    )
    return (
        f"{len(candidates)} architectures scored, {ended}; the most accurate has "
        f"{best.accuracy_percent:.2f} % at {latency} and {show_cost('macs', best.macs)} MACs"
    )


def _front(candidates: Sequence[Candidate], target: str) -> tuple[int, ...]:
    accuracy = np.array([_accuracy(candidate) for candidate in candidates])
    latency = np.array([_latency_ms(candidate, target) for candidate in candidates])
    return tuple(pareto_front(accuracy, latency))


def _ranking(candidates: Sequence[Candidate], target: str) -> tuple[int, ...]:
    """Most accurate first; ties by latency, then MACs, then the one-line form."""

    def key(index: int) -> tuple[float, float, int, str]:
        it = candidates[index]
        return (-_accuracy(it), _latency_ms(it, target), it.macs, it.architecture.short)

    return tuple(sorted(range(len(candidates)), key=key))


def _latency_ms(candidate: Candidate, target: str) -> float:
    return candidate.latency_ms[target].typical


def _accuracy(candidate: Candidate) -> float:
    if candidate.accuracy_percent is None:
        raise AssertionError("every candidate of a search is scored")
    return candidate.accuracy_percent
