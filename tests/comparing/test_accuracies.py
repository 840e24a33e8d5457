"""Differences of accuracies: the test holds what it claims, and compares only what it may."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats as distributions

from pipeline.comparing.accuracies import AccuracyComparison, compare_accuracies, image_differences
from pipeline.comparing.measurements import SIGNIFICANCE
from pipeline.report import ReportInputs
from tests.report import made_up

IMAGES = 10_000  # of the made-up test split


def run(test_percent: float = 92.41, **of_images: Any) -> ReportInputs:
    """A complete run whose retrained network has that accuracy on test."""
    whole = made_up.inputs()
    dataset = whole.retrain.dataset.model_copy(update=of_images)
    run = made_up.changed(whole, "retrain", test_accuracy_percent=test_percent, dataset=dataset)
    return made_up.without(run, "export")


def on_test(first: ReportInputs, second: ReportInputs) -> AccuracyComparison:
    (found,) = [it for it in compare_accuracies(first, second) if it.split == "test"]
    return found


@pytest.mark.parametrize(
    ("percent", "verdict"),
    [(92.41, "no change beyond noise"), (92.9, "no change beyond noise"), (91.0, "lower"),
     (94.0, "higher")],
)  # fmt: skip
def test_only_what_sampling_does_not_explain_is_a_change(percent: float, verdict: str) -> None:
    found = on_test(run(), run(percent))
    assert found.verdict == verdict
    assert found.difference_points == pytest.approx(percent - 92.41)
    assert found.low_points < percent - 92.41 < found.high_points


def test_fewer_images_tell_less() -> None:
    few = {"num_test": 200}
    assert on_test(run(**few), run(91.0, **few)).verdict == "no change beyond noise"
    assert on_test(run(**few), run(70.0, **few)).verdict == "lower"


# Near 100 % the interval is known to hold the truth more often than it says.
@pytest.mark.parametrize(
    ("true_percent", "images", "most"), [(90.0, 1000, 0.98), (50.0, 100, 0.98), (99.0, 200, 1.0)]
)
def test_intervals_hold_the_truth_as_often_as_they_say(
    true_percent: float, images: int, most: float
) -> None:
    rng = np.random.default_rng(0)
    right = rng.binomial(images, true_percent / 100, (300, 2)) * 100 / images
    found = [
        on_test(run(first, num_test=images), run(second, num_test=images))
        for first, second in right
    ]
    covered = np.mean([it.low_points <= 0 <= it.high_points for it in found])
    assert 0.92 <= covered <= most
    alarms = sum(it.verdict != "no change beyond noise" for it in found)
    assert alarms <= distributions.binom.ppf(0.999, len(found), SIGNIFICANCE)


def test_perfect_accuracies_do_not_make_it_certain() -> None:
    found = on_test(run(100.0, num_test=20), run(95.0, num_test=20))
    assert found.verdict == "no change beyond noise"
    assert found.low_points < -5 < found.high_points


def test_each_file_is_compared_on_each_split() -> None:
    whole = made_up.inputs()
    found = compare_accuracies(whole, whole)
    assert {(it.what, it.split) for it in found} >= {
        ("the network", "test"),
        ("the network", "search-validation"),
        ("model.onnx", "test"),
        ("model.int8.onnx", "search-validation"),
    }
    assert {it.verdict for it in found} == {"no change beyond noise"}
    assert {it.p_adjusted for it in found} == {1.0}


def test_files_were_run_on_as_many_images_as_the_recipe_lets_them() -> None:
    whole = made_up.inputs()
    capped = whole.model_copy(update={"recipe": {"export": {"accuracy_images": 500}}})
    found = compare_accuracies(whole, capped)
    counts = {it.what: (it.first_images, it.second_images) for it in found if it.split == "test"}
    assert counts["model.onnx"] == (IMAGES, 500)
    assert counts["the network"] == (IMAGES, IMAGES)


@pytest.mark.parametrize(
    "of_images", [{"checksum": "cd" * 32}, {"num_test": 500}, {"name": "digits"}]
)
def test_other_images_are_not_compared(of_images: dict[str, Any]) -> None:
    first, second = run(), run(50.0, **of_images)
    assert compare_accuracies(first, second) == ()
    assert image_differences(first, second) == tuple(of_images)
