"""From scores to what is told of the surrogate."""

import numpy as np
import pytest

from pipeline.records.scores import AccuracyScale
from pipeline.search.constraints import latency_key
from pipeline.search.exact.exact_search import best_and_front, search_exactly, tell_exactly
from pipeline.space.encoding import SlotTable
from tests.search.toys import CPU, make_toy


def test_from_scores_to_what_is_proved():
    toy = make_toy(2, 3, sizes=(64, 96))
    limits = toy.shares(macs=0.5, cpu=0.5, confidence=0.9)
    problem = toy.problem(limits)
    inside = toy.inside(limits)
    rng = np.random.default_rng(0)
    rows = inside[rng.choice(len(inside), 60, replace=False)]
    answer = search_exactly(problem, rows, toy.quality(rows))
    assert answer is not None
    values = np.concatenate(
        [answer.surrogate.tables[s].totals(inside[inside[:, 0] == s]) for s in (64, 96)]
    )
    assert answer.best.value == pytest.approx(values.max(), abs=1e-6)
    assert answer.front.surrogate[-1] == pytest.approx(answer.best.value, abs=1e-6)

    scale = AccuracyScale(log_loss_nats=2.0, accuracy_percent=50.0, percent_per_nat=30.0)
    told = tell_exactly(problem, answer, rows[0], scale)
    assert told.bound_percent >= told.best.surrogate_percent
    assert told.best.surrogate_percent == pytest.approx(50 + 30 * (answer.best.value + 2))
    of_chosen = answer.surrogate.tables[int(rows[0, 0])].totals(rows[:1])[0]
    assert told.chosen_regret_percent == pytest.approx(30 * (answer.best.value - of_chosen))
    assert told.chosen_regret_percent >= 0
    for size, fit in answer.surrogate.fits.items():
        assert told.surrogates[size].error_percent == 30 * fit.error_nats
        assert told.surrogates[size].mean_error_percent == 30 * fit.mean_error_nats
    assert set(told.surrogates) == {64, 96}
    assert told.front_points == len(told.front) == len(answer.front.rows)
    assert [point.architecture for point in told.front] == [
        toy.decode(row) for row in answer.front.rows
    ]
    costs = toy.tables(answer.front.rows)
    assert [point.latency_ms for point in told.front] == costs[latency_key(CPU)].tolist()
    assert [point.macs for point in told.front] == costs["macs"].tolist()


def test_the_spread_of_a_front_has_its_ends_and_the_most_accurate_first():
    toy = make_toy(3, 3)
    rows = toy.variation.random(60, np.random.default_rng(0))
    answer = search_exactly(toy.problem(), rows, toy.quality(rows))
    assert answer is not None
    count = len(answer.front.rows)
    assert count > 10
    few = answer.spread(5)
    assert few[0].tolist() == answer.front.rows[-1].tolist()
    assert few[-1].tolist() == answer.front.rows[0].tolist()
    assert len(np.unique(few, axis=0)) == 5
    assert answer.spread(10**6).tolist() == answer.front.rows[::-1].tolist()
    assert answer.spread(1).tolist() == answer.front.rows[-1:].tolist()


def test_too_few_scores_prove_nothing():
    toy = make_toy(2, 2)
    rows = toy.variation.random(11, np.random.default_rng(0))
    assert search_exactly(toy.problem(), rows, toy.quality(rows)) is None


@pytest.mark.parametrize("limits", [{}, {"macs": 0.3, "cpu": 0.5, "gpu": 0.4}])
def test_the_whole_space_has_a_proved_front(limits):
    """10²³ networks: the front's most accurate is the best of the integer program's own proof."""
    toy = make_toy(6, 6)
    rng = np.random.default_rng(2)
    effects = 0.1 * rng.normal(2, 1, (5, 1, 7)).repeat(6, axis=1).reshape(30, 7)
    effects[:, 0] = 0
    effects *= 0.9 ** (np.arange(30) % 6)[:, None]
    surrogate = SlotTable(64, 60.0, effects, 6).on_grid()
    problem = toy.problem(toy.shares(**limits))
    best, front = best_and_front(problem, {64: surrogate})
    assert front.gap_nats == 0
    assert front.surrogate[-1] == pytest.approx(best.value, abs=1e-5)
    assert (problem.violation(front.rows) == 0).all()
    rows = problem.variation.random(2000, rng)
    rows = rows[problem.violation(rows) == 0]
    latency = problem.tables(rows)[problem.latency]
    assert (surrogate.totals(rows) <= front.at(latency) + 1e-6).all()
