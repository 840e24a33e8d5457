"""What is said of scores that say little, and the setting that would change it."""

import math

import pytest

from pipeline.records.score_remarks import score_remarks
from pipeline.records.scores import ScoreSpread

TOLD = ScoreSpread(
    networks=48,
    images=900,
    num_classes=10,
    std_nats=0.05,
    error_nats=0.01,
    best_log_loss_nats=1.0,
    best_error_nats=0.02,
    best_accuracy_percent=58.0,
)
# As noisy as can be: nothing of the spread is the networks' own.
NOISE = {"std_nats": 0.0100, "error_nats": 0.0102}
GUESSING = math.log(10)


def told(images: int = 900, available: int = 902, **changes: float) -> list[str]:
    return list(score_remarks(TOLD.model_copy(update=changes), images, available))


@pytest.mark.parametrize(
    ("changes", "images", "available", "words", "setting"),
    [
        # The best is hardly better than guessing, by its log-loss or by its hits.
        ({"best_log_loss_nats": 2.31}, 900, 902, "near those of guessing", "train.epochs"),
        ({"best_log_loss_nats": 2.27}, 900, 902, "near those of guessing", "train.epochs"),
        ({"best_accuracy_percent": 11.9}, 900, 902, "near those of guessing", "train.epochs"),
        # That more images would help is of no use there.
        ({"best_log_loss_nats": 2.27, "error_nats": 0.04}, 900, 9000, "guessing", "train.epochs"),
        # Networks differ, but not as much as their errors: more images, if there are as many.
        ({"std_nats": 0.012}, 900, 9000, "mostly noise", "score.images"),
        ({"std_nats": 0.012}, 900, 2100, "mostly noise", "score.images"),
        # There are not: networks that part more, by learning more, or by being of other sizes.
        ({"std_nats": 0.012}, 900, 1900, "mostly noise", "space.resolution"),
        ({"std_nats": 0.012, "best_log_loss_nats": 1.6}, 900, 1900, "noise", "train.epochs"),
        (NOISE, 900, 10**9, "mostly noise", "space.resolution"),
        (NOISE | {"best_log_loss_nats": 2.1}, 900, 10**9, "mostly noise", "train.epochs"),
    ],
)
def test_scores_that_say_little_are_told_with_what_would_change_it(
    changes: dict[str, float], images: int, available: int, words: str, setting: str
):
    (line,) = told(images, available, **changes)
    assert words in line
    assert f"({setting})" in line
    assert line.count("(train.") + line.count("(score.") + line.count("(space.") == 1
    assert "\n" not in line


@pytest.mark.parametrize(
    ("changes", "images", "available"),
    [
        ({}, 900, 902),
        ({"best_log_loss_nats": 2.25}, 900, 902),
        ({"best_accuracy_percent": 12.1}, 900, 902),
        ({"std_nats": 0.0142}, 900, 902),
        # Judged on few images, but a search scores on more.
        ({"std_nats": 0.012}, 5000, 5000),
    ],
)
def test_of_scores_that_tell_networks_apart_nothing_is_said(
    changes: dict[str, float], images: int, available: int
):
    assert told(images, available, **changes) == []


def test_more_images_than_there_are_do_not_count():
    assert told(5000, 900, std_nats=0.012)
    assert not told(5000, 5000, std_nats=0.012)


def test_figures_are_those_of_the_scores():
    (line,) = told(900, 9000, std_nats=0.012)
    # 0.012² − 0.01² of the networks' own; the errors' as much at 900 · 0.01² / 0.000044 images.
    assert line == (
        "scores are mostly noise: those of 48 networks spread by 0.0120 nats where the error of a "
        "score alone makes 0.0100; score on at least 2046 of the 9000 images there are "
        "(score.images)"
    )
    (line,) = told(best_log_loss_nats=GUESSING - 0.03, best_accuracy_percent=15.0)
    assert line == (
        "scores are near those of guessing: the best log-loss is 2.273 ± 0.020 nats (guessing: "
        "2.303), with 15.0 % top-1 (guessing: 10.0 %); train the hypernetwork longer (train.epochs)"
    )


def test_reliability_is_the_networks_own_share_of_the_variance():
    assert TOLD.reliability_at(900) == pytest.approx(0.96)
    assert TOLD.reliability_at(3600) == pytest.approx(0.99, abs=1e-3)
    alike = TOLD.model_copy(update={"std_nats": 0.0, "error_nats": 0.0})
    assert alike.reliability_at(900) == 0
