"""Sentences about a search: what they say where nothing, little or everything is known."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.records.candidates import Limits
from pipeline.records.search import ExactSearch, SurrogateFit
from pipeline.report import search_words
from tests.report import made_up, made_up_search
from tests.report.reading import plain


def exact(**changed: object) -> ExactSearch:
    rng = np.random.default_rng(3)
    record = made_up_search.search_record(rng, count=60)
    return record.exact.model_copy(update=changed)


def fit(error: float, mean: float = 1.0, tau: float = 0.5) -> SurrogateFit:
    return SurrogateFit(samples=100, error_percent=error, mean_error_percent=mean, kendall_tau=tau)


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.0, "0.00 points"), (1e-3, "less than 0.01 points"), (0.126, "0.13 points")],
)
def test_points(value: float, told: str) -> None:
    assert plain(search_words.points(value)) == told


def test_one_surrogate_has_figures_and_several_have_ranges() -> None:
    one = plain(search_words.surrogate_words(exact(surrogates={64: fit(0.3)})))
    assert "the scores of 100 networks. On" in one
    assert "errs by 0.30 points, a guess that knows only the others' mean by 1.00" in one
    assert one.endswith("(Kendall's τ) 0.50. What is proved is proved of the surrogate.")
    two = plain(search_words.surrogate_words(exact(surrogates={64: fit(0.3), 96: fit(0.4)})))
    assert "200 networks of 2 input sizes" in two
    assert "0.30 to 0.40 points" in two
    assert search_words.surrogate_words(exact(surrogates={})) == ""


def test_a_surrogate_no_better_than_the_mean_is_admitted() -> None:
    words = search_words.useless_surrogates(exact(surrogates={64: fit(0.3), 96: fit(1.1)}))
    assert words.startswith("At 96 pixels the surrogate is no better than a guess of the mean")
    assert search_words.useless_surrogates(exact(surrogates={64: fit(0.3)})) == ""


def test_a_choice_without_regret() -> None:
    assert "also the surrogate's best" in search_words.regret_words(exact(chosen_regret_percent=0))
    assert "0.30 points" in plain(search_words.regret_words(exact(chosen_regret_percent=0.3)))


def test_the_luck_of_the_best_score_and_who_is_chosen() -> None:
    search = made_up_search.search_record(np.random.default_rng(3), count=60)
    best, other = (search.evaluated[index] for index in search.ranking[:2])
    words = plain(search_words.luck_words(search))
    number = len(search.ranking)
    assert words.startswith(f"The best of {number} scores, a log-loss of {best.log_loss_nats:.4f} ")
    assert "owes 0.0040 ± 0.0060 nats (0.16 points) to luck" in words
    assert "Another one" not in words
    swapped = search.model_copy(update={"ranking": (search.ranking[1], search.ranking[0])})
    words = plain(search_words.luck_words(swapped))
    assert f"Another one is chosen, with a score of {other.log_loss_nats:.4f}." in words
    assert f"Expected of the chosen one on other images: {other.expected_nats:.4f} ±" in words
    assert search_words.luck_words(made_up.inputs().search) == ""


def test_what_was_not_asked_is_not_told() -> None:
    search = made_up.inputs().search
    assert search_words.best_single_words(search) == ""
    assert search_words.sharing_words(search) == ""
    assert search_words.margin_words(search) == ""


def test_a_single_size_that_loses_nothing() -> None:
    record = made_up_search.search_record(np.random.default_rng(3), count=60)
    best = record.resolutions[0].model_copy(update={"most_lost_percent": 0.0})
    changed = record.model_copy(update={"resolutions": (best, record.resolutions[1])})
    assert "would have lost nothing" in search_words.best_single_words(changed)


def test_a_margin_is_a_quantile_of_the_normal_distribution() -> None:
    assert search_words.margin_deviations(Limits(confidence=0.5)) == pytest.approx(0)
    assert search_words.margin_deviations(Limits(confidence=0.975)) == pytest.approx(1.96, abs=1e-3)
