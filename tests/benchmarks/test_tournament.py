"""The tournament's verdicts, on planted answers."""

from typing import Any

import numpy as np
import pytest

from benchmarks.tournament.__main__ import Answer, Question, _lines, _missed, _told
from benchmarks.tournament.variants import ALONE, BLIND, DEFAULT, Won, distinct, recipe_of
from pipeline.recipe.checks import check_recipe
from pipeline.records.trial import Entrant
from pipeline.training.settings import RetrainSettings
from tests.report.made_up_measuring import stats
from tests.training.tiny import NETWORK

TARGET = "host/onnxruntime-fp32-b1-t1"


def entrant(latency_ms: float, **fields: Any) -> Entrant:
    measured = {TARGET: stats(latency_ms, rng=np.random.default_rng(0))}
    return Entrant(kinds=("candidate",), measured_ms=measured, resolution=32, **fields)


OURS = entrant(1.0, architecture=NETWORK)
OTHER = entrant(0.9, architecture=NETWORK.model_copy(update={"stages": (("mb4_3x3",),) * 5}))
SHELF = entrant(1.5, timm="lcnet_035")


def answers(it: Entrant, percents: list[float]) -> list[Answer]:
    return [
        Answer(
            question=Question(
                architecture=it.architecture, timm=it.timm, resolution=32, dataset="made up",
                settings=RetrainSettings(epochs=1), seed=seed,
            ),
            test_percent=percent, validation_percent=percent, seconds=100.0,
        )
        for seed, percent in enumerate(percents)
    ]  # fmt: skip


def told(ours: list[float], other: list[float], shelf: list[float]) -> dict[str, Any]:
    won = {
        DEFAULT: Won(OURS, (SHELF,), 7200.0),
        ALONE: Won(OTHER, (), 3600.0),
        BLIND: Won(OURS, (), 7200.0),
    }
    networks = distinct(won)
    assert list(networks) == [OURS.label, OTHER.label, SHELF.label]
    reached = {
        it.label: answers(it, of) for it, of in ((OURS, ours), (OTHER, other), (SHELF, shelf))
    }
    return _told(won, networks, reached, TARGET)


def test_a_winner_that_is_better_passes() -> None:
    found = told([60.0, 60.4, 60.2], [59.0, 59.6, 59.1], [55.0, 55.2, 55.4])
    assert list(_missed(found)) == []
    assert found["networks"][SHELF.label]["winner_is_faster"] == pytest.approx(1.5)
    assert found["networks"][SHELF.label]["winner_against"]["percent"] == pytest.approx(5.0)
    lines = "\n".join(_lines(found))
    assert "1.500 ms" in lines
    assert "chosen in 2.00 h" in lines


def test_one_that_is_behind_off_the_shelf_is_told() -> None:
    (missed,) = _missed(told([55.0, 55.2, 55.1], [54.0, 54.0, 54.0], [60.0, 60.1, 60.2]))
    assert missed.startswith("the winner may be behind lcnet_035 at 32 px by ")


def test_a_part_that_does_harm_is_told() -> None:
    (missed,) = _missed(told([60.0, 60.2, 60.1], [63.0, 63.1, 63.2], [50.0, 50.0, 50.0]))
    assert missed.startswith(f"{ALONE} is better than {DEFAULT}")


def test_its_recipe_is_one_that_can_be_used(workdir: Any) -> None:
    check_recipe(recipe_of(workdir, limit=1.0, epochs=6, hypernetwork_epochs=12))
