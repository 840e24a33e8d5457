"""The strategies of the study of search quality, each with the same number of evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.search_quality.setup import Scores
from pipeline.records.candidates import Candidate
from pipeline.records.scores import AccuracyScale
from pipeline.records.search import SearchRecord, SurrogateFit
from pipeline.search.expectation import scored_candidates
from pipeline.search.problem import Problem, as_rows
from pipeline.search.repair import repair
from pipeline.search.scoring import Scoring
from pipeline.search.searching import search
from pipeline.search.settings import SearchSettings
from pipeline.space.architecture import Architecture
from pipeline.work.progress import Progress

RANDOM, PLAIN, SEEDED, EXACT, BOARD = (
    "random",
    "plain evolution",
    "seeded evolution",
    "exact",
    "board",
)
STRATEGIES = (RANDOM, PLAIN, SEEDED, EXACT)
_SETTINGS: dict[str, dict[str, Any]] = {
    PLAIN: {"surrogate_share": 0.0},
    SEEDED: {},
    EXACT: {"strategy": "exact"},
    BOARD: {"strategy": "board"},
}
_AT_ONCE = 50


@dataclass(frozen=True)
class Run:
    """One search.

    Attributes:
        networks: What was scored, in the order of asking; all within the limits.
        log_losses_nats: Their scores.
        chosen: The one of the lowest log-loss that is to be expected.
        fit: How well the surrogate explains scores left out of its fit; None without one.
    """

    networks: Sequence[Architecture]
    log_losses_nats: Sequence[float]
    chosen: Architecture
    fit: SurrogateFit | None = None

    @classmethod
    def of(cls, candidates: Sequence[Candidate], fit: SurrogateFit | None = None) -> Run:
        """What a search scored."""
        return cls(
            [it.architecture for it in candidates],
            [it.log_loss_nats for it in candidates if it.log_loss_nats is not None],
            max(candidates, key=_quality).architecture,
            fit,
        )

    def best_so_far(self, evaluations: int, scale: AccuracyScale) -> list[float]:
        """Lowest log-loss after each evaluation, told as an accuracy in percent.

        A search that ended early keeps what it has.
        """
        best = np.minimum.accumulate(self.log_losses_nats)[:evaluations]
        kept = np.pad(best, (0, evaluations - len(best)), mode="edge")
        return [scale.percent(float(nats)) for nats in kept]


def _quality(candidate: Candidate) -> float:
    return -np.inf if candidate.quality is None else candidate.quality


def searched(
    strategy: str,
    problem: Problem,
    scores: Scores,
    *,
    budget: int,
    seed: int,
    board: Sequence[Architecture],
    progress: Progress,
) -> Run | None:
    """Searches with one strategy.

    Args:
        strategy: One of `STRATEGIES`, or `BOARD`.
        problem: The request.
        scores: Where scores come from.
        budget: Most networks it may ask for.
        seed: Of its random numbers.
        board: Prioritized paths of the hypernetwork's training.
        progress: Told after every score.

    Returns:
        None where the strategy finds nothing within the limits.
    """
    if strategy == RANDOM:
        found: Run | None = _random(problem, scores, budget, seed, progress)
    else:
        settings = {"candidates": budget, "patience": budget, **_SETTINGS[strategy]}
        record = search(
            problem,
            settings=SearchSettings.model_validate(settings),
            score=scores.score,
            num_images=1,
            seed=seed,
            cache=scores.known,
            keep=scores.keep,
            board=board,
            progress=progress,
        )
        found = _scored_in(record)
    if found is not None:
        scores.note(found.networks)
    return found


def _random(problem: Problem, scores: Scores, budget: int, seed: int, progress: Progress) -> Run:
    """Distinct random networks, each walked into the limits."""
    rng = np.random.default_rng(seed)
    distinct: dict[bytes, Any] = {}
    while len(distinct) < budget:
        drawn = problem.variation.random(budget, rng)
        rows, left = repair(drawn, problem, rng)
        distinct.update((row.tobytes(), row) for row in rows[left <= 0])
    rows = as_rows(list(distinct.values())[:budget], 1 + problem.variation.slots)
    scoring = Scoring(problem, scores.score, scores.known, scores.keep, progress, budget)
    for start in range(0, budget, _AT_ONCE):
        scoring.quality_of(rows[start : start + _AT_ONCE])
    return Run.of(scored_candidates(problem, scoring.rows, scoring.scores))


def _scored_in(record: SearchRecord) -> Run | None:
    if not record.success:
        return None
    inside = [it for it in record.evaluated if it.violation <= 0]
    if len(inside) < len(record.evaluated):
        raise AssertionError("a search scores networks within the limits only")
    fits = record.exact.surrogates if record.exact else {}
    return Run.of(inside, next(iter(fits.values()), None))
