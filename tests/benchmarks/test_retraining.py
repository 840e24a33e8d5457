"""The verdicts of the study of retraining."""

import json
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import ttest_rel
from typer.testing import Result

import benchmarks.retraining.__main__ as retraining
from benchmarks.retraining.study import HypernetworkResult, RetrainedResult
from tests.benchmarks.command_line import call


def reached(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    percents: dict[str, list[float]],
    *options: str,
) -> Result:
    """Runs the study with given accuracies in place of trainings."""

    def answered(questions: Any, work: Any, kind: Any, journal: Path, progress: Any) -> list[Any]:
        if kind is HypernetworkResult:
            return []
        names = list(percents) if journal.name == "methods.jsonl" else ["recipe"]
        return [
            RetrainedResult(
                question=question,
                search_validation_percent=percents[names[place // 3]][place % 3],
                test_percent=percents[names[place // 3]][place % 3] - 0.5,
                teacher=None,
                seconds=1.0,
            )
            for place, question in enumerate(questions)
        ]

    monkeypatch.setattr(retraining, "answered", answered)
    return call(retraining.main, "--folder", str(tmp_path), *options)


METHODS = {
    "scratch": [90.0, 90.2, 89.9],
    "warm start": [88.9, 89.4, 88.8],
    "warm start, taught": [89.0, 89.1, 89.2],
}


def test_every_method_trains_as_long_on_the_same_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = reached(monkeypatch, tmp_path, METHODS, "--only", "methods", "--json", "--check")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["methods"]
    assert list(told["of"]) == list(METHODS)
    against = told["of"]["warm start"]["against_default"]
    paired = ttest_rel(METHODS["warm start"], METHODS["scratch"])
    low, high = paired.confidence_interval(0.95)
    assert against["percent"] == pytest.approx(-1.0)
    assert (against["low_percent"], against["high_percent"]) == pytest.approx((low, high))
    assert told["of"]["scratch"]["against_default"] is None


@pytest.mark.parametrize(
    ("warm", "beaten"),
    [
        ([90.9, 91.2, 90.8], True),  # by 0.9 to 1.0 with every seed
        ([93.0, 89.0, 91.0], False),  # by more, and not beyond noise
        ([90.0, 90.2, 89.8], False),
    ],
)
def test_the_default_must_not_be_beaten_beyond_noise(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    warm: list[float],
    beaten: bool,
) -> None:
    percents = {**METHODS, "warm start": warm}
    done = reached(monkeypatch, tmp_path, percents, "--only", "methods", "--check")
    assert done.exit_code == int(beaten)
    assert ("warm start beats scratch, the default" in done.stderr) == beaten
    without = reached(monkeypatch, tmp_path, percents, "--only", "methods")
    assert without.exit_code == 0


@pytest.mark.parametrize(("lowest", "code"), [(93.5, 0), (93.4, 1)])
def test_each_seed_of_the_recipe_has_to_reach_the_floor_on_test(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    lowest: float,
    code: int,
) -> None:
    percents = {"recipe": [94.0, lowest, 94.2]}
    done = reached(monkeypatch, tmp_path, percents, "--only", "recipe", "--check")
    assert done.exit_code == code
    if code:
        assert "seed 1: 92.90 % on test; floor 93.0 %" in done.stderr


def test_an_unknown_method_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = reached(monkeypatch, tmp_path, METHODS, "--methods", "scrach")
    assert done.exit_code != 0
    assert "scrach" in str(done.exception)
