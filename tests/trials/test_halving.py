"""Who goes on after a rung, and who wins."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.scoring.network_score import NetworkScore
from pipeline.trials.halving import best_of, promoted


def score(losses: list[float]) -> NetworkScore:
    return NetworkScore.of(np.array(losses), hits=0)


def scores(*levels: float, noise: float = 0.0, images: int = 60) -> dict[int, NetworkScore]:
    random = np.random.default_rng(0)
    common = random.normal(2, 0.5, images)
    return {
        place: score(list(common + level + noise * random.normal(size=images)))
        for place, level in enumerate(levels)
    }


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12, unique=True), st.data())
def test_the_best_third_and_the_best_off_the_shelf_go_on(
    levels: list[float], data: st.DataObject
) -> None:
    shelf = data.draw(st.lists(st.sampled_from(range(len(levels))), unique=True))
    found = promoted({place: score([it] * 3) for place, it in enumerate(levels)}, shelf)
    ours = sorted((it, place) for place, it in enumerate(levels) if place not in shelf)
    theirs = sorted((levels[place], place) for place in shelf)
    expected = [place for _, place in ours[: math.ceil(len(ours) / 3)]]
    expected += [place for _, place in theirs[:1]]
    assert found == sorted(expected)


def test_the_clearly_best_wins_however_slow() -> None:
    found = scores(0.0, -0.3, 0.1, noise=0.05)
    assert best_of(found, {0: 1.0, 1: 9.0, 2: 0.1}) == 1


def test_of_those_that_cannot_be_told_apart_the_fastest_wins() -> None:
    found = scores(0.0, 0.001, 0.5, noise=0.2)
    assert best_of(found, {0: 2.0, 1: 1.0, 2: 0.1}) == 1


def test_what_all_images_have_in_common_decides_nothing() -> None:
    """Losses scatter over images by far more than networks differ, and still tell them apart."""
    found = scores(0.0, -0.02, noise=0.01, images=400)
    assert best_of(found, {0: 1.0, 1: 2.0}) == 1


@pytest.mark.parametrize("levels", [(), (0.5,)])
def test_few_are_no_contest(levels: tuple[float, ...]) -> None:
    found = scores(*levels)
    assert best_of(found, dict.fromkeys(found, 1.0)) == (0 if levels else None)
    assert promoted(found, []) == list(found)
