"""What the fit recovers, and what it says of itself where there is nothing to recover."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import RidgeCV

from pipeline.search.surrogate import LEAST_SAMPLES, _Features, fit_surrogate
from tests.search.toys import make_toy


def predictions(surrogate, rows):
    found = np.empty(len(rows))
    for size, table in surrogate.tables.items():
        here = rows[:, 0] == size
        found[here] = table.totals(rows[here])
    return found


def additive(toy, rows, *, seed=0, own=0.0):
    """A sum as the model believes in: input size, depth, operators by stage; and each size's own.

    Slots after the first of a stage are alike, as effects of operators are.
    """
    rng = np.random.default_rng(seed)
    stages, depth, operators = len(toy.space.stages), toy.space.max_depth, len(toy.space.operators)
    everywhere, of_size = rng.normal(0, 1, operators), dict(zip(toy.sizes, (0, 4, 7), strict=False))
    found = np.array([40.0 + of_size[size] for size in rows[:, 0].tolist()])
    for stage in range(stages):
        effects = everywhere + rng.normal(0, 0.5, operators)
        depths = np.cumsum(rng.normal(0.5, 0.3, depth))
        for size in toy.sizes:
            here = rows[:, 0] == size
            effects_here = np.append(0.0, effects + own * rng.normal(0, 1, operators))
            codes = rows[here, 1 + stage * depth : 1 + (stage + 1) * depth]
            found[here] += effects_here[codes].sum(axis=1)
            found[here] += depths[(codes > 0).sum(axis=1) - 1]
    return found


@pytest.mark.parametrize(
    ("sizes", "own", "samples"), [((64,), 0.0, 250), ((64, 96), 0.0, 300), ((64, 96), 0.3, 400)]
)
def test_a_sum_over_blocks_is_recovered(sizes, own, samples):
    toy = make_toy(3, 4, sizes=sizes)
    rng = np.random.default_rng(1)
    rows = toy.variation.random(samples + 200, rng)
    accuracy = additive(toy, rows, own=own)
    known, unseen = rows[:samples], rows[samples:]
    surrogate = fit_surrogate(toy.space, known, accuracy[:samples])
    errors = predictions(surrogate, unseen) - accuracy[samples:]
    assert np.abs(errors).max() < 0.05 * accuracy.std()
    assert set(surrogate.fits) == set(surrogate.tables) == set(sizes)
    assert sum(fit.samples for fit in surrogate.fits.values()) == samples
    for fit in surrogate.fits.values():
        assert fit.error_nats < 0.02 * fit.mean_error_nats
        assert fit.kendall_tau > 0.98


@pytest.mark.parametrize("sizes", [(64,), (64, 96)])
def test_of_pure_noise_it_says_that_it_knows_nothing(sizes):
    toy, rng = make_toy(3, 4, sizes=sizes), np.random.default_rng(2)
    rows = toy.variation.random(400, rng)
    surrogate = fit_surrogate(toy.space, rows, rng.normal(50, 2, 400))
    for fit in surrogate.fits.values():
        assert fit.mean_error_nats == pytest.approx(2, rel=0.15)
        assert fit.error_nats > 0.95 * fit.mean_error_nats
        assert abs(fit.kendall_tau) < 0.15


def test_what_was_left_out_is_truly_unseen():
    """So few scores can be fitted perfectly; only what was left out tells that it is noise."""
    toy, rng = make_toy(3, 4), np.random.default_rng(3)
    rows = toy.variation.random(LEAST_SAMPLES, rng)
    (fit,) = fit_surrogate(toy.space, rows, rng.normal(50, 2, len(rows))).fits.values()
    assert fit.samples == LEAST_SAMPLES
    assert fit.error_nats > 0.7 * fit.mean_error_nats


def test_scores_that_are_all_the_same_have_no_rank_correlation():
    toy, rng = make_toy(2, 2), np.random.default_rng(4)
    rows = toy.variation.random(20, rng)
    surrogate = fit_surrogate(toy.space, rows, np.full(20, 61.5))
    (fit,) = surrogate.fits.values()
    assert fit.kendall_tau == 0
    assert fit.error_nats == pytest.approx(0, abs=1e-9)
    assert predictions(surrogate, rows) == pytest.approx(61.5)


def test_of_one_score_at_a_size_there_is_no_rank_correlation():
    toy = make_toy(2, 2, sizes=(64, 96))
    rows = toy.variation.random(20, np.random.default_rng(4))
    rows[:, 0] = [96] + 19 * [64]
    fit = fit_surrogate(toy.space, rows, toy.accuracies(rows)).fits[96]
    assert (fit.samples, fit.kendall_tau) == (1, 0)


@given(
    st.sampled_from([(64,), (64, 96), (32, 64, 224)]),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=15)
def test_tables_say_what_the_fitted_model_says(sizes, shape, seed):
    """The sum over slots is the regression's prediction, also of rows it was not fitted on."""
    toy, rng = make_toy(*shape, sizes=sizes), np.random.default_rng(seed)
    rows = toy.variation.random(60, rng)
    rows[: len(sizes), 0] = sizes
    accuracy = toy.accuracies(rows) + rng.normal(0, 1, 60)
    surrogate = fit_surrogate(toy.space, rows[:40], accuracy[:40], also_at=sizes)
    features = _Features(toy.space, tuple(sorted(sizes)))
    model = RidgeCV(np.logspace(-2, 4, 25)).fit(features.of(rows[:40]), accuracy[:40])
    assert predictions(surrogate, rows) == pytest.approx(model.predict(features.of(rows)), abs=1e-8)


def test_a_size_without_scores_has_what_the_others_share():
    toy = make_toy(3, 3, sizes=(64, 96, 128))
    rows = toy.variation.random(200, np.random.default_rng(5))
    known = rows[rows[:, 0] != 128]
    surrogate = fit_surrogate(toy.space, known, additive(toy, known), also_at=(64, 96, 128))
    assert set(surrogate.tables) == {64, 96, 128}
    assert set(surrogate.fits) == {64, 96}
    at = {}
    for size, table in surrogate.tables.items():
        row = known[:1].copy()
        row[:, 0] = size
        at[size] = float(table.totals(row)[0])
    assert min(at[64], at[96]) - 0.5 < at[128] < max(at[64], at[96]) + 0.5
