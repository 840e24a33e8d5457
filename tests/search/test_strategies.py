"""The ways to choose what is scored, and when they end."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import SolverError
from pipeline.records.candidates import Limits
from pipeline.search import scoring, strategies
from pipeline.search.exact.exact_search import search_exactly
from pipeline.search.scoring import Scored, Scoring
from pipeline.search.settings import SearchSettings
from pipeline.search.strategies import Course, evolve, score_exact_front
from pipeline.space.encoding import encode
from tests.search.toys import CPU, GPU, certain, make_toy

WHOLE, MIDDLE = make_toy(), make_toy(4, 4)
LIMITS = Limits(macs=40e6, latency_ms={CPU: 8.0})


def course_of(toy, limits, **chosen):
    given_settings = SearchSettings(**chosen)
    problem = toy.problem(limits)
    scores = Scoring(
        problem,
        toy.score,
        {},
        keep=lambda architecture, scored: None,
        progress=lambda done, total, note="": None,
        budget=given_settings.candidates,
    )
    return Course(problem, scores, given_settings)


def never(architectures, on_scored):
    raise AssertionError(f"{len(architectures)} architectures were scored")


def all_alike(architectures, on_scored):
    for architecture in architectures:
        on_scored(architecture, certain(50.0))
    return [certain(50.0)] * len(architectures)


def cached(toy, rows, seconds):
    accuracy = toy.accuracies(rows).tolist()
    return {
        toy.decode(row).short: Scored(certain(percent), seconds)
        for row, percent in zip(rows, accuracy, strict=True)
    }


# Budgets.


@given(
    st.sampled_from(["evolution", "exact"]),
    st.integers(2, 60),
    st.integers(2, 25),
    st.sampled_from([0.0, 0.3, 0.9]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=5)
def test_no_more_are_scored_than_asked(
    strategy, candidates, population, surrogate_share, per_target, seed
):
    toy = make_toy(2, 3)
    chosen = SearchSettings(
        strategy=strategy,
        candidates=candidates,
        population=population,
        surrogate_share=surrogate_share,
        per_target=per_target,
    )
    limits = toy.shares(cpu=0.6, gpu=0.5)
    record = toy.search(limits, settings=chosen, seed=seed)
    assert record.success
    most = candidates * (3 if per_target else 1)
    assert len(toy.scored) == len(record.evaluated) <= most
    if strategy == "evolution":
        assert len(record.evaluated) >= candidates
        assert record.message.startswith(f"{len(record.evaluated)} architectures scored, the whole")
    assert max(toy.calls) <= population


def test_the_generation_that_exceeds_the_seconds_is_the_last(monkeypatch):
    now = [1000.0]

    def slow(architectures, on_scored):
        scores = [certain(50.0 + len(it.short) / 100) for it in architectures]
        for architecture, score in zip(architectures, scores, strict=True):
            now[0] += 1.0
            on_scored(architecture, score)
        return scores

    monkeypatch.setattr(scoring, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for seconds, expected in ((5.0, 10), (25.0, 30), (29.9, 30), (30.0, 40), (1e6, 60)):
        chosen = SearchSettings(
            candidates=60, population=10, surrogate_share=0.0, seconds=seconds, patience=50
        )
        record = WHOLE.search(LIMITS, settings=chosen, score=slow)
        assert len(record.evaluated) == expected
        told = "the whole budget" + (f" of {seconds:g} s" if expected < 60 else "")
        assert f"scored, {told};" in record.message


@pytest.mark.parametrize("strategy", ["evolution", "exact"])
def test_seconds_that_were_spent_before_a_search_was_killed_count(strategy):
    """All is known, so no time is spent; what is known took a second each."""
    toy = make_toy(2, 2)
    chosen = SearchSettings(
        strategy=strategy, candidates=300, population=10, surrogate_share=0.1, seconds=24.5
    )
    known = cached(toy, toy.everything, 1.0)
    record = toy.search(toy.shares(macs=0.6), settings=chosen, score=never, cache=known)
    assert len(record.evaluated) == 30
    assert "the whole budget of 24.5 s" in record.message


def test_a_front_that_does_not_grow_ends_the_evolution():
    chosen = SearchSettings(candidates=4000, population=10, patience=3, surrogate_share=0.0)
    record = make_toy(3, 3).search(LIMITS, settings=chosen, score=all_alike)
    curve = record.hypervolume
    assert len(record.evaluated) < 2000
    assert "the front did not grow for 3 generations" in record.message
    assert len(curve) == len(record.evaluated) / 10 > 3
    assert list(curve) == sorted(curve)
    assert curve[-1] <= (1 + 1e-4) * curve[-4]
    # Before its end it did grow in every such stretch.
    assert all(curve[i] > (1 + 1e-4) * curve[i - 3] for i in range(3, len(curve) - 1))


def test_patience_begins_when_the_samples_are_scored():
    """However little the samples brought, their seeds are scored."""
    course = course_of(
        WHOLE, LIMITS, candidates=400, population=10, patience=1, surrogate_share=0.5
    )
    course.scoring.score = all_alike
    evolve(course, np.random.default_rng(0))
    assert len(course.hypervolume) >= 20 + 2
    assert course.ended == "the front did not grow for 1 generations"


def test_a_small_space_runs_out():
    toy = make_toy(1, 2)
    record = toy.search(Limits(), settings=SearchSettings(candidates=100, surrogate_share=0.0))
    assert len(record.evaluated) == 32
    assert "no further architecture was found within the limits" in record.message


# Evolution, seeded.


def test_the_best_of_the_exact_front_of_the_first_scores_come_next():
    course = course_of(MIDDLE, LIMITS, candidates=100, population=40, surrogate_share=0.4)
    evolve(course, np.random.default_rng(0))
    rows = course.scoring.rows
    assert len(rows) == 100
    early = search_exactly(course.problem, rows[:40], MIDDLE.quality(rows[:40]))
    assert early is not None
    assert rows[40].tolist() == early.front.rows[-1].tolist()
    seeds = early.spread(4, 0.2)
    assert rows[40:44].tolist() == seeds.tolist()
    known = {row.tobytes() for row in early.front.rows[-len(early.front.rows) // 5 - 1 :]}
    assert {row.tobytes() for row in seeds} <= known


def test_what_is_proved_in_the_end_is_proved_of_all_scores():
    course = course_of(MIDDLE, LIMITS, candidates=60, population=20, surrogate_share=0.2)
    evolve(course, np.random.default_rng(0))
    assert course.exact is not None
    assert sum(fit.samples for fit in course.exact.surrogate.fits.values()) == 60
    again = search_exactly(course.problem, *course.within())
    assert course.exact.best.row.tolist() == again.best.row.tolist()
    assert course.exact.front.rows.tolist() == again.front.rows.tolist()


def test_the_surrogate_guides_to_more_accurate_networks():
    """This accuracy is nearly a sum over blocks, so its guesses are good."""
    medians = []
    for share in (0.0, 0.2):
        course = course_of(
            MIDDLE, LIMITS, candidates=100, population=20, surrogate_share=share, patience=50
        )
        evolve(course, np.random.default_rng(1))
        accuracies = [score.accuracy_percent for score in course.scoring.scores]
        medians.append(np.median(accuracies[40:]))
    assert medians[1] > medians[0] + 1


@pytest.mark.parametrize(("surrogate_share", "candidates"), [(0.0, 60), (0.3, 11)])
def test_without_a_surrogate_or_enough_scores_nothing_is_proved(surrogate_share, candidates):
    course = course_of(WHOLE, LIMITS, candidates=candidates, surrogate_share=surrogate_share)
    assert course.guess() is None
    evolve(course, np.random.default_rng(0))
    assert course.exact is None
    assert course.unproved == ""
    assert len(course.scoring.rows) == candidates


@pytest.mark.parametrize("strategy", ["evolution", "exact"])
def test_a_solver_that_fails_costs_the_proof_and_not_the_search(monkeypatch, strategy):
    def failing(problem, rows, quality):
        raise SolverError("the solver gave up")

    monkeypatch.setattr(strategies, "search_exactly", failing)
    chosen = SearchSettings(strategy=strategy, candidates=60)
    record = make_toy().search(LIMITS, settings=chosen)
    assert record.success
    assert record.exact is None
    assert record.message.endswith("nothing is proved of the surrogate: the solver gave up")
    assert len(record.evaluated) == (60 if strategy == "evolution" else 30)


@pytest.mark.parametrize("failing_at", [1, 2])
def test_of_two_proofs_the_last_one_counts(monkeypatch, failing_at):
    calls = []

    def failing_once(*arguments):
        calls.append(arguments)
        if len(calls) == failing_at:
            raise SolverError("the solver gave up")
        return search_exactly(*arguments)

    monkeypatch.setattr(strategies, "search_exactly", failing_once)
    record = make_toy(2, 3).search(LIMITS, settings=SearchSettings(candidates=60))
    assert len(calls) == 2
    assert (record.exact is None) == (failing_at == 2)
    assert ("nothing is proved" in record.message) == (failing_at == 2)


# The exact front.


def test_half_of_the_candidates_fit_and_the_front_is_the_other_half():
    course = course_of(WHOLE, LIMITS, strategy="exact", candidates=81, population=20)
    score_exact_front(course, np.random.default_rng(0))
    assert course.exact is not None
    assert sum(fit.samples for fit in course.exact.surrogate.fits.values()) == 41
    rows = course.scoring.rows
    on_front = {row.tobytes() for row in course.exact.front.rows}
    assert 41 < len(rows) <= 81
    assert {row.tobytes() for row in rows[41:]} <= on_front
    if len(on_front) > 60:
        assert course.exact.best.row.tobytes() in {row.tobytes() for row in rows}
        assert len(rows) > 75


def test_a_short_exact_front_is_scored_whole_and_nothing_else():
    toy = make_toy(2, 2)
    limits = toy.shares(macs=0.5)
    course = course_of(toy, limits, strategy="exact", candidates=600, population=20)
    score_exact_front(course, np.random.default_rng(0))
    assert course.exact is not None
    rows = course.scoring.rows
    on_front = {row.tobytes() for row in course.exact.front.rows}
    assert on_front <= {row.tobytes() for row in rows}
    assert {row.tobytes() for row in rows[300:]} <= on_front
    assert len(rows) < 400
    assert course.ended == "the whole exact front"


def test_too_few_scores_for_a_surrogate_are_told():
    record = make_toy().search(LIMITS, settings=SearchSettings(strategy="exact", candidates=16))
    assert record.success
    assert record.exact is None
    assert len(record.evaluated) == 8
    assert record.message.startswith("8 architectures scored, too few to fit a surrogate on; the")


# The board.

BOARD = SearchSettings(strategy="board", candidates=50)


def a_board(toy, count, seed=0):
    rows = toy.variation.random(count, np.random.default_rng(seed))
    return [toy.decode(row) for row in np.unique(rows, axis=0)]


def test_of_a_board_exactly_those_inside_the_limits_are_scored():
    toy = make_toy(3, 3)
    limits = toy.shares(macs=0.5, gpu=0.6)
    board = a_board(toy, 40)
    record = toy.search(limits, settings=BOARD, board=board)
    beyond = toy.problem(limits).violation(encode(toy.space, board))
    expected = [it for it, excess in zip(board, beyond, strict=True) if excess <= 0]
    assert 5 < len(expected) < len(board)
    assert [c.architecture for c in record.evaluated] == expected
    assert record.strategy == "board"
    assert record.hypervolume == ()
    assert record.message.startswith(f"{len(expected)} architectures scored, the whole board; ")


def test_of_a_long_board_the_first_are_scored():
    toy = make_toy(3, 3)
    board = a_board(toy, 40)
    chosen = SearchSettings(strategy="board", candidates=7)
    record = toy.search(Limits(), settings=chosen, board=board)
    assert [c.architecture for c in record.evaluated] == board[:7]


def test_what_the_request_does_not_hold_is_dropped_from_a_board():
    toy, wider = make_toy(2, 3), make_toy(3, 6, sizes=(64, 96))
    own = a_board(toy, 6)
    others = a_board(wider, 30)
    other_size = a_board(make_toy(2, 3, sizes=(96,)), 4)
    held = [
        it
        for it in others
        if it.resolution == 64
        and all(len(stage) <= 2 and set(stage) <= set(toy.space.operators) for stage in it.stages)
    ]
    board = [*others, *own, *other_size, *own[:3]]
    record = toy.search(Limits(), settings=BOARD, board=board)
    assert [c.architecture for c in record.evaluated] == [*held, *own]
    assert len(set(toy.scored)) == len(toy.scored)


@pytest.mark.parametrize("count", [0, 5])
def test_a_board_with_nothing_inside_the_limits_is_an_answer_that_says_what_to_do(count):
    """There are networks inside the limits, so nothing is called the nearest."""
    toy = make_toy(3, 3)
    limits = Limits(macs=toy.reachable["macs"][0])
    board = a_board(toy, count) if count else []
    record = toy.search(limits, settings=BOARD, board=board, score=never)
    assert not record.success
    assert record.evaluated == record.ranking == record.front == ()
    assert record.nearest is None
    told = f"none of the {count} prioritized paths is inside the limits; train with train.method="
    assert record.message.startswith(told)
    assert "search.strategy=evolution" in record.message


def test_with_a_board_limits_that_nothing_meets_are_named():
    toy = make_toy(3, 3)
    limits = Limits(macs=0.9 * toy.reachable["macs"][0])
    record = toy.search(limits, settings=BOARD, board=a_board(toy, 5), score=never)
    assert record.nearest is not None
    assert "MACs at most" in record.message
    assert record.nearest.architecture.short in record.message


def test_a_board_has_winners_by_target():
    toy = make_toy(3, 3)
    limits = toy.shares(cpu=0.5, gpu=0.4)
    chosen = SearchSettings(strategy="board", candidates=50, per_target=True)
    record = toy.search(limits, settings=chosen, board=a_board(toy, 60))
    assert [winner.target for winner in record.per_target] == [CPU, GPU]
    for winner in record.per_target:
        assert winner.best is not None
        own = record.evaluated[winner.best].latency_ms[winner.target].typical
        assert own <= limits.latency_ms[winner.target]
        assert winner.shared_lost_percent >= 0
