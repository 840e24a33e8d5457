"""The three ways to choose what is scored: evolution, the exact front, the board."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.errors import ArchitectureError, InfeasibleError, SolverError
from pipeline.search.cost_tables import CostTables
from pipeline.search.evolution import Evolution
from pipeline.search.exact.exact_search import ExactAnswer, search_exactly
from pipeline.search.hypervolume import hypervolume
from pipeline.search.problem import Problem, as_rows
from pipeline.search.scoring import Scoring
from pipeline.search.seeds import seed_rows
from pipeline.search.settings import SearchSettings
from pipeline.search.surrogate import LEAST_SAMPLES, fit_tables
from pipeline.search.variation import Random
from pipeline.space.architecture import Architecture
from pipeline.space.encoding import Floats, Rows, encode

_SEEDED = 10
"""One in so many of a population comes from the exact front. Its networks are much alike and owe
their place to errors of the fit as well; more of them leave less to find out otherwise."""
_OF_THE_FRONT = 0.2
"""The upper part of the front, from which these come."""
_GROWTH = 1e-4
"""Relative growth of the hypervolume below which a generation brought nothing."""


@dataclass
class Course:
    """How a search went.

    Attributes:
        problem: The request.
        scoring: What was scored, here and for other requests.
        settings: Budget.
        hypervolume: After each generation.
        exact: What was proved, where a surrogate was fitted.
        ended: Why it ended, in words.
        unproved: Why nothing is proved, though there were scores to fit a surrogate on.
    """

    problem: Problem
    scoring: Scoring
    settings: SearchSettings
    hypervolume: list[float] = field(default_factory=list)
    exact: ExactAnswer | None = None
    ended: str = ""
    unproved: str = ""

    def __post_init__(self) -> None:
        self._scored_before = len(self.scoring.rows)
        self._seconds_before = self.scoring.seconds

    @property
    def room(self) -> int:
        """How many more architectures may be scored; 0 with a reason in `ended`."""
        left = self.settings.candidates - (len(self.scoring.rows) - self._scored_before)
        seconds = self.scoring.seconds - self._seconds_before
        if left <= 0:
            self.ended = "the whole budget"
        elif self.settings.seconds is not None and seconds > self.settings.seconds:
            left, self.ended = 0, f"the whole budget of {self.settings.seconds:g} s"
        return left

    def within(self) -> tuple[Rows, Floats]:
        """Everything scored that is inside this request's limits, and its quality in nats."""
        rows, quality = self.scoring.rows, self.scoring.quality
        inside = self.problem.violation(rows) <= 0 if len(rows) else np.zeros(0, dtype=bool)
        return rows[inside], quality[inside]

    def prove(self) -> None:
        """Fits the surrogate on what was scored within the limits, and searches it exactly."""
        self.exact, self.unproved = None, ""
        try:
            self.exact = search_exactly(self.problem, *self.within())
        except SolverError as error:
            # The search by scores does not depend on it; the record's message says it is missing.
            self.unproved = error.message

    def guess(self) -> Callable[[Rows], Floats] | None:
        """Qualities by a surrogate of what was scored so far; None while that is too little."""
        rows, quality = self.within()
        if len(rows) < LEAST_SAMPLES:
            return None
        sizes = self.problem.tables.resolutions
        tables = fit_tables(self.problem.space, rows, quality, also_at=sizes)
        guesses = CostTables({size: {"quality": table} for size, table in tables.items()})
        return lambda asked: guesses(asked)["quality"]

    def generation(self, evolution: Evolution, most: int) -> bool:
        """Scores up to `most` architectures; whether there were any."""
        rows = evolution.ask(most)
        if not len(rows):
            self.ended = "no further architecture was found within the limits"
            return False
        evolution.tell(rows, self.scoring.quality_of(rows))
        inside, quality = self.within()
        latency = self.problem.tables(inside)[self.problem.latency]
        share = hypervolume(
            quality,
            latency,
            guessing_nats=self.problem.guessing_nats,
            slowest_ms=self.problem.slowest_ms,
        )
        self.hypervolume.append(share)
        return True

    @property
    def has_stalled(self) -> bool:
        """Whether the front has not grown for as many generations as patience lasts."""
        curve, patience = self.hypervolume, self.settings.patience
        if len(curve) <= patience or curve[-1] > (1 + _GROWTH) * curve[-1 - patience]:
            return False
        self.ended = f"the front did not grow for {patience} generations"
        return True


def evolve(course: Course, rng: Random) -> None:
    """Evolution, seeded by a surrogate's exact front and guided by the surrogate.

    The surrogate is fitted on the first scores, and again after each generation on all of them.
    What is proved in the end is proved of the last one.
    """
    evolution = _started(course, rng)
    samples = course.settings.samples
    evolution.plant(seed_rows(course.problem, samples, rng))
    if not course.settings.surrogate_share:
        _evolve(course, evolution, is_guided=False)
    elif _score(course, evolution, samples):
        course.prove()
        if course.exact:
            seeds = max(1, course.settings.population // _SEEDED)
            evolution.plant(course.exact.spread(seeds, _OF_THE_FRONT))
        _evolve(course, evolution, is_guided=True)
        course.prove()


def _evolve(course: Course, evolution: Evolution, *, is_guided: bool) -> None:
    """Generation after generation, until the budget is used or the front stalls."""
    sampled = len(course.hypervolume)
    while room := course.room:
        evolution.guide = course.guess() if is_guided else None
        if not course.generation(evolution, room):
            return
        # How the front grew while sampling says nothing of how the evolution goes.
        if len(course.hypervolume) - sampled > course.settings.patience and course.has_stalled:
            return


def score_exact_front(course: Course, rng: Random) -> None:
    """Half of the budget fits a surrogate, the other half scores its exact front."""
    evolution = _started(course, rng)
    samples = (course.settings.candidates + 1) // 2
    evolution.plant(seed_rows(course.problem, samples, rng))
    if not _score(course, evolution, samples):
        return
    course.prove()
    if course.exact is None:
        course.ended = "but no exact front" if course.unproved else "too few to fit a surrogate on"
        return
    if not (room := course.room):
        return
    planted = evolution.plant(course.exact.spread(room))
    if _score(course, evolution, planted) and course.room:
        course.ended = "the whole exact front"


def score_board(course: Course, board: Sequence[Architecture]) -> None:
    """The prioritized paths of the hypernetwork's training that are inside the limits.

    Raises:
        InfeasibleError: None of them is, or there is no board.
    """
    problem = course.problem
    rows = as_rows(
        [row for path in board for row in _held(problem, path)], 1 + problem.variation.slots
    )
    inside = rows[problem.violation(rows) <= 0] if len(rows) else rows
    if not len(inside):
        raise InfeasibleError(
            f"none of the {len(board)} prioritized paths is inside the limits",
            hint="train with train.method=cream and these limits, or use search.strategy=evolution",
        )
    course.scoring.quality_of(inside[: course.room])
    course.ended = "the whole board"


def _held(problem: Problem, path: Architecture) -> Rows:
    if path.resolution not in problem.tables.resolutions:
        return as_rows([], 1 + problem.variation.slots)
    try:
        return encode(problem.space, [path])
    except ArchitectureError:
        return as_rows([], 1 + problem.variation.slots)


def _started(course: Course, rng: Random) -> Evolution:
    """An evolution that knows everything that was scored before and is inside its limits."""
    settings = course.settings
    evolution = Evolution(
        course.problem,
        population=settings.population,
        mutation_probability=settings.mutation_probability,
        rng=rng,
    )
    rows, quality = course.within()
    if len(rows):
        evolution.learn(rows, quality)
    return evolution


def _score(course: Course, evolution: Evolution, count: int) -> bool:
    """Scores that many architectures, a population at a time; whether the search may go on."""
    before = len(course.scoring.rows)
    while (left := count - (len(course.scoring.rows) - before)) > 0:
        if not (room := course.room) or not course.generation(evolution, min(left, room)):
            return False
    return True
