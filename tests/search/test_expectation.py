"""What is expected of scores: between score and guess, better to choose by, and honest of luck."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.search.expectation import Expectation, posterior, scored_candidates
from pipeline.training.scoring.network_score import NetworkScore, paired_errors_nats
from tests.search.toys import certain, make_toy

NATS = st.floats(-5, 5)
SCORED = st.lists(st.tuples(NATS, st.floats(0, 2), NATS), min_size=2, max_size=30)


def of(scored, known=None) -> tuple[np.ndarray, np.ndarray, np.ndarray, Expectation]:
    scores, errors, guesses = np.array(scored, dtype=float).T
    return scores, errors, guesses, posterior(scores, errors, guesses, known or len(scores))


@given(SCORED)
@settings(max_examples=60)
def test_what_is_expected_lies_between_score_and_guess(scored):
    scores, errors, guesses, found = of(scored)
    low, high = np.minimum(scores, guesses), np.maximum(scores, guesses)
    assert (found.mean >= low - 1e-9).all()
    assert (found.mean <= high + 1e-9).all()
    assert (found.std <= errors).all()


@given(SCORED)
@settings(max_examples=60)
def test_a_score_without_an_error_is_what_is_expected(scored):
    scored[0] = (scored[0][0], 0.0, scored[0][2])
    scores, _, _, found = of(scored)
    assert found.mean[0] == scores[0]
    assert found.std[0] == 0
    none = of([(score, 0.0, guess) for score, _, guess in scored])
    assert none[3].mean.tolist() == scores.tolist()


def test_the_larger_an_error_the_less_its_score_counts():
    scores, _, guesses, found = of([(1.0, error, 0.0) for error in (0.1, 0.5, 1.0, 2.0)])
    assert (np.diff(found.mean) < 0).all()
    assert (np.diff(found.std) > 0).all()
    shrinkage = (scores - found.mean) / (scores - guesses)
    assert 0 < shrinkage.min() < shrinkage.max() < 1


@pytest.mark.parametrize(("known", "most"), [(1, 0.0), (2, 0.0), (4, 0.5), (40, 0.95)])
def test_a_score_counts_for_something_however_little_it_differs_from_a_guess(known, most):
    _, _, _, found = of([(1e-6, 1.0, 0.0)] * 40, known)
    assert 1 - found.mean[0] / 1e-6 == pytest.approx(most)


def planted(rng, toy, count):
    """Networks whose log-losses are nearly a sum over blocks, and noisy scores of them.

    Images are as hard for all networks, which makes for nothing in comparisons.
    """
    rows = np.unique(toy.variation.random(3 * count, rng), axis=0)
    rows = rows[rng.permutation(len(rows))[:count]]
    effects = np.append(0.0, rng.normal(0, 0.03, len(toy.space.operators)))
    truth = 1.5 + effects[rows[:, 1:]].sum(axis=1) + rng.normal(0, 0.02, count)
    losses = truth[:, None] + rng.normal(0, 1, 100) + 0.8 * rng.normal(size=(count, 100))
    return rows, truth, [NetworkScore.of(each, 0) for each in losses]


def assert_honest(luck, told, std):
    """Told about as large as it is on average, well within what it is told to be uncertain by."""
    assert np.mean(told) == pytest.approx(np.mean(luck), rel=0.2)
    assert abs(np.mean(told) - np.mean(luck)) < np.mean(std)


def test_choosing_by_what_is_expected_beats_the_best_score_and_tells_its_luck():
    toy, rng = make_toy(3, 3), np.random.default_rng(0)
    regrets, luck, told, std = [], [], [], []
    for _ in range(15):
        rows, truth, scores = planted(rng, toy, 100)
        candidates = scored_candidates(toy.problem(), rows, scores)
        log_losses = np.array([it.log_loss_nats for it in candidates])
        expected = np.array([it.expected_nats for it in candidates])
        best, chosen = int(log_losses.argmin()), int(expected.argmin())
        regrets.append((truth[best] - truth.min(), truth[chosen] - truth.min()))
        # Which images these were moved all scores alike; that is nobody's luck.
        luck.append(truth[best] - log_losses[best] + (log_losses - truth).mean())
        told.append(expected[best] - log_losses[best])
        std.append(candidates[best].expected_std_nats)
    by_score, by_expectation = np.mean(regrets, axis=0)
    assert by_expectation < 0.7 * by_score
    assert np.mean(luck) > 0.1
    assert_honest(luck, told, std)


def test_without_a_surrogate_the_mean_tells_luck_as_well():
    """Errors differ, so that the best score is often that of a large one."""
    rng = np.random.default_rng(0)
    regrets, luck, told, std = [], [], [], []
    for _ in range(2000):
        errors = np.where(np.arange(11) < 3, 0.1, 0.02)
        truth = rng.normal(1.5, 0.04, 11)
        scores = truth + errors * rng.normal(size=11)
        found = posterior(scores, errors, np.full(11, scores.mean()), known=10)
        best, chosen = int(scores.argmin()), int(found.mean.argmin())
        regrets.append((truth[best] - truth.min(), truth[chosen] - truth.min()))
        luck.append(truth[best] - scores[best])
        told.append(found.mean[best] - scores[best])
        std.append(found.std[best])
    by_score, by_expectation = np.mean(regrets, axis=0)
    assert by_expectation < 0.8 * by_score
    assert_honest(luck, told, std)


def test_candidates_carry_score_error_and_expectation():
    toy, rng = make_toy(3, 4), np.random.default_rng(1)
    rows, _, scores = planted(rng, toy, 20)
    candidates = scored_candidates(toy.problem(), rows, scores)
    assert [it.architecture for it in candidates] == [toy.decode(row) for row in rows]
    assert [it.log_loss_nats for it in candidates] == [it.log_loss_nats for it in scores]
    assert [it.accuracy_percent for it in candidates] == [it.accuracy_percent for it in scores]
    assert [it.error_nats for it in candidates] == paired_errors_nats(scores).tolist()
    assert all(it.expected_std_nats < it.error_nats for it in candidates)
    assert all(it.quality == -it.expected_nats for it in candidates)


def test_of_a_single_network_nothing_more_is_known():
    toy = make_toy(2, 2)
    (candidate,) = scored_candidates(toy.problem(), toy.everything[:1], [certain(60.0)])
    assert candidate.accuracy_percent == 60.0
    assert candidate.error_nats is candidate.expected_nats is candidate.expected_std_nats is None
    assert candidate.quality == -candidate.log_loss_nats
