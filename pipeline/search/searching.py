"""The search stage: from a request and a score to a record of what was found."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.errors import InfeasibleError
from pipeline.records.candidates import Candidate
from pipeline.records.scores import AccuracyScale, Luck
from pipeline.records.search import ResolutionResult, SearchRecord, TargetWinner
from pipeline.search.constraints import latency_key, show_cost
from pipeline.search.exact.exact_search import tell_exactly
from pipeline.search.expectation import scored_candidates
from pipeline.search.explaining import check_request, describe_infeasible, nearest_candidate
from pipeline.search.front import pareto_front
from pipeline.search.hypervolume import hypervolume
from pipeline.search.problem import Problem
from pipeline.search.scoring import Keep, Score, Scored, Scoring
from pipeline.search.settings import SearchSettings
from pipeline.search.strategies import Course, evolve, score_board, score_exact_front
from pipeline.space.architecture import Architecture
from pipeline.space.encoding import Floats, encode
from pipeline.training.scoring.network_score import scale_of, spread_of
from pipeline.work.progress import Progress, silent


def search(
    problem: Problem,
    *,
    settings: SearchSettings,
    score: Score,
    num_images: int,
    seed: int,
    cache: Mapping[str, Scored],
    keep: Keep,
    board: Sequence[Architecture] = (),
    progress: Progress = silent,
) -> SearchRecord:
    """Searches the best architectures within limits: those of the lowest log-loss to be expected.

    The record depends on the arguments only, its `seconds` aside. `score` is not asked for what is
    in `cache`, which changes nothing else, so a search that was killed and is run again with
    what it had scored ends in the same record.

    Args:
        problem: The request.
        settings: Strategy and budget.
        score: Scores several architectures at once, all on the same images; asked for no
            infeasible one and for none twice. It tells its second argument of each one as soon as
            that is scored, in any order.
        num_images: Images `score` looks at, for the record.
        seed: Of all random numbers.
        cache: Scores known already, by `Architecture.short`.
        keep: Told of each architecture `score` has scored as soon as it is there.
        board: Prioritized paths of the hypernetwork's training, the best first.
        progress: Told after every candidate.

    Returns:
        The record. Where nothing keeps to the limits, `success` is False, nothing was scored, and
        `message` says which limit is out of reach and what the nearest architecture has.

    Raises:
        UsageError: The limits make no sense, or a target's latency is not known.
    """
    started = time.monotonic()
    check_request(problem)
    alone = _targets_alone(problem) if settings.per_target else []
    scoring = Scoring(
        problem, score, cache, keep, progress, budget=settings.candidates * (1 + len(alone))
    )
    course = Course(problem, scoring, settings)
    nearest, message = None, ""
    try:
        _run(course, board, seed)
        for target in alone:
            _run(_course_alone(course, target), board, seed)
    except InfeasibleError as error:
        message = f"{error.message}; {error.hint}" if error.hint else error.message
        closest = nearest_candidate(problem)
        if closest.violation > 0:
            nearest, message = closest, describe_infeasible(problem, closest)
    scores = scoring.scores
    candidates = scored_candidates(problem, scoring.rows, scores)
    ranking = _ranking(candidates, problem.target)
    scale = scale_of(scores) if scores else None
    return SearchRecord(
        limits=problem.limits,
        target=problem.target,
        strategy=settings.strategy,
        success=bool(ranking),
        message=message or _told(candidates, ranking, course),
        evaluated=tuple(candidates),
        front=_front(candidates, problem.target),
        ranking=ranking,
        num_images=num_images,
        scores=spread_of(scores, problem.num_classes) if scores else None,
        scale=scale,
        luck=_luck(candidates, ranking, scale) if scale and ranking else None,
        hypervolume=tuple(course.hypervolume),
        reachable=problem.tables.reachable_over_all,
        exact=tell_exactly(problem, course.exact, scoring.rows[ranking[0]], scale)
        if scale and course.exact
        else None,
        resolutions=_resolutions(problem, candidates, ranking, scale) if scale else (),
        per_target=tuple(_winner(problem, candidates, ranking, target, scale) for target in alone)
        if scale and ranking
        else (),
        nearest=nearest,
        seed=seed,
        seconds=time.monotonic() - started,
    )


def _run(course: Course, board: Sequence[Architecture], seed: int) -> None:
    """One search, by its strategy; each begins with the same random numbers."""
    rng = np.random.default_rng(seed)
    if course.settings.strategy == "evolution":
        evolve(course, rng)
    elif course.settings.strategy == "exact":
        score_exact_front(course, rng)
    else:
        score_board(course, board)


def _targets_alone(problem: Problem) -> list[str]:
    """The targets that have a winner of their own: where several are limited."""
    limited = list(problem.limits.latency_ms)
    return limited if len(limited) > 1 else []


def _course_alone(course: Course, target: str) -> Course:
    problem = course.problem
    alone = problem.within(problem.limits_alone(target), target)
    return Course(alone, course.scoring, course.settings)


def _told(candidates: Sequence[Candidate], ranking: Sequence[int], course: Course) -> str:
    target = course.problem.target
    best = candidates[ranking[0]]
    latency = show_cost(latency_key(target), _latency_ms(best, target))
    unproved = f"; nothing is proved of the surrogate: {course.unproved}" if course.unproved else ""
    return (
        f"{len(candidates)} architectures scored, {course.ended}; the best has "
        f"{best.accuracy_percent:.2f} % top-1, a log-loss of {_log_loss_nats(best):.4f} nats, at "
        f"{latency} and {show_cost('macs', best.macs)} MACs{unproved}"
    )


def _front(candidates: Sequence[Candidate], target: str) -> tuple[int, ...]:
    inside = np.array([i for i, it in enumerate(candidates) if it.violation <= 0], dtype=int)
    quality, latency = _objectives([candidates[i] for i in inside], target)
    return tuple(int(inside[place]) for place in pareto_front(quality, latency))


def _ranking(candidates: Sequence[Candidate], target: str) -> tuple[int, ...]:
    """Those inside the limits, the best first; ties by latency, MACs, one-line form."""

    def key(index: int) -> tuple[float, float, int, str]:
        it = candidates[index]
        return (-_quality(it), _latency_ms(it, target), it.macs, it.architecture.short)

    inside = (index for index, it in enumerate(candidates) if it.violation <= 0)
    return tuple(sorted(inside, key=key))


def _luck(
    candidates: Sequence[Candidate], ranking: Sequence[int], scale: AccuracyScale
) -> Luck | None:
    """What of the best score within the limits is luck; None where no error is known."""
    best = min(ranking, key=lambda index: (_log_loss_nats(candidates[index]), index))
    expected, std_nats = candidates[best].expected_nats, candidates[best].expected_std_nats
    if expected is None or std_nats is None:
        return None
    nats = expected - _log_loss_nats(candidates[best])
    return Luck(
        best=best,
        nats=nats,
        std_nats=std_nats,
        percent=scale.percent_per_nat * nats,
        std_percent=scale.percent_per_nat * std_nats,
    )


def _winner(
    problem: Problem,
    candidates: Sequence[Candidate],
    ranking: Sequence[int],
    target: str,
    scale: AccuracyScale,
) -> TargetWinner:
    """The best candidate within one target's limit and those not about latency."""
    alone = problem.within(problem.limits_alone(target), target)
    rows = encode(problem.space, [it.architecture for it in candidates])
    inside = np.flatnonzero(alone.violation(rows) <= 0).tolist()
    best = min(inside, key=lambda index: (-_quality(candidates[index]), index))
    lost = _quality(candidates[best]) - _quality(candidates[ranking[0]])
    return TargetWinner(target=target, best=best, shared_lost_percent=scale.percent_per_nat * lost)


def _resolutions(
    problem: Problem,
    candidates: Sequence[Candidate],
    ranking: Sequence[int],
    scale: AccuracyScale,
) -> tuple[ResolutionResult, ...]:
    """Each input size beside all of them together, where there are several."""
    sizes = problem.tables.resolutions
    if len(sizes) < 2:
        return ()
    everyone = _objectives([candidates[index] for index in ranking], problem.target)
    found = []
    for size in sizes:
        own = [index for index in ranking if candidates[index].architecture.resolution == size]
        if not own:
            continue
        of_size = [candidates[index] for index in own]
        quality, latency = _objectives(of_size, problem.target)
        found.append(
            ResolutionResult(
                resolution=size,
                evaluated=sum(it.architecture.resolution == size for it in candidates),
                best=own[0],
                hypervolume=hypervolume(
                    -np.array([_log_loss_nats(it) for it in of_size]),
                    latency,
                    guessing_nats=problem.guessing_nats,
                    slowest_ms=problem.slowest_ms,
                ),
                most_lost_percent=scale.percent_per_nat * _most_lost(everyone, (quality, latency)),
            )
        )
    return tuple(found)


def _most_lost(everyone: tuple[Floats, Floats], own: tuple[Floats, Floats]) -> float:
    """Most nats by which the own front is below that of everyone, where it has a network."""
    lost = 0.0
    for latency_ms in everyone[1][everyone[1] >= own[1].min()]:
        best, of_own = (each[0][each[1] <= latency_ms].max() for each in (everyone, own))
        lost = max(lost, float(best - of_own))
    return lost


def _objectives(candidates: Sequence[Candidate], target: str) -> tuple[Floats, Floats]:
    """Qualities and latencies, shape (n,) each."""
    quality = np.array([_quality(it) for it in candidates], dtype=np.float64)
    latency = np.array([_latency_ms(it, target) for it in candidates], dtype=np.float64)
    return quality, latency


def _latency_ms(candidate: Candidate, target: str) -> float:
    return candidate.latency_ms[target].typical


def _quality(candidate: Candidate) -> float:
    return _scored(candidate.quality)


def _log_loss_nats(candidate: Candidate) -> float:
    return _scored(candidate.log_loss_nats)


def _scored(value: float | None) -> float:
    if value is None:
        raise AssertionError("every candidate of a search is scored")
    return value
