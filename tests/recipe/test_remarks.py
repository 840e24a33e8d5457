"""What stages tell of scores: as the recipe scores, once, and in what they return."""

from pathlib import Path

from pipeline.recipe.recipe import read_recipe
from pipeline.recipe.remarks import told_remarks
from pipeline.recipe.resume import StageContext
from pipeline.records.scores import ScoreSpread
from pipeline.work.progress import silent
from tests.report.made_up import dataset

# Too noisy on 1,000 images, good enough on 3,000.
SPREAD = ScoreSpread(
    networks=12,
    images=1000,
    num_classes=10,
    std_nats=0.012,
    error_nats=0.01,
    best_log_loss_nats=1.0,
    best_error_nats=0.02,
    best_accuracy_percent=58.0,
)


def context(images: int, told: list[str] | None) -> StageContext:
    recipe = read_recipe("demo", [f"score.images={images}"])
    tell = None if told is None else told.append
    return StageContext(recipe, Path(), Path(), lambda title: silent, tell)


def test_remarks_are_told_and_returned() -> None:
    told: list[str] = []
    (remark,) = told_remarks(context(1000, told), SPREAD, dataset())
    assert told == [remark]
    assert "at least 2273 of the 6000 images" in remark
    assert told_remarks(context(1000, None), SPREAD, dataset()) == (remark,)


def test_of_scores_that_are_good_enough_or_unknown_nothing_is_told() -> None:
    told: list[str] = []
    assert told_remarks(context(3000, told), SPREAD, dataset()) == ()
    assert told_remarks(context(1000, told), None, dataset()) == ()
    assert told == []
