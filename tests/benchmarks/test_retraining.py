"""The verdicts of the study of retraining, and its statistics."""

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from scipy.stats import ttest_1samp, ttest_rel
from typer.testing import CliRunner, Result

from tests.checkout import BENCHMARKS


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("retraining")


def call(
    benchmark: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    percents: dict[str, list[float]],
    *options: str,
) -> Result:
    """Runs the study with given accuracies in place of trainings."""
    study = importlib.import_module("retraining_study")
    asked: list[Any] = []

    def answered(questions: Any, work: Any, kind: Any, journal: Path, progress: Any) -> list[Any]:
        asked.extend(questions)
        if kind is study.HypernetworkResult:
            return []
        names = list(percents) if journal.name == "methods.jsonl" else ["recipe"]
        return [
            study.RetrainedResult(
                question=question,
                search_validation_percent=percents[names[place // 3]][place % 3],
                test_percent=percents[names[place // 3]][place % 3] - 0.5,
                teacher=None,
                seconds=1.0,
            )
            for place, question in enumerate(questions)
        ]

    monkeypatch.setattr(benchmark, "answered", answered)
    app = typer.Typer()
    app.command()(benchmark.main)
    return CliRunner().invoke(app, ["--folder", str(tmp_path), *options])


METHODS = {
    "scratch": [90.0, 90.2, 89.9],
    "warm start": [88.9, 89.4, 88.8],
    "warm start, taught": [89.0, 89.1, 89.2],
}


def test_every_method_trains_as_long_on_the_same_network(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = call(benchmark, monkeypatch, tmp_path, METHODS, "--only", "methods", "--json", "--check")
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
    benchmark: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    warm: list[float],
    beaten: bool,
) -> None:
    percents = {**METHODS, "warm start": warm}
    done = call(benchmark, monkeypatch, tmp_path, percents, "--only", "methods", "--check")
    assert done.exit_code == int(beaten)
    assert ("warm start beats scratch, the default" in done.stderr) == beaten
    without = call(benchmark, monkeypatch, tmp_path, percents, "--only", "methods")
    assert without.exit_code == 0


@pytest.mark.parametrize(("lowest", "code"), [(93.5, 0), (93.4, 1)])
def test_each_seed_of_the_recipe_has_to_reach_the_floor_on_test(
    benchmark: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    lowest: float,
    code: int,
) -> None:
    percents = {"recipe": [94.0, lowest, 94.2]}
    done = call(benchmark, monkeypatch, tmp_path, percents, "--only", "recipe", "--check")
    assert done.exit_code == code
    if code:
        assert "seed 1: 92.90 % on test; floor 93.0 %" in done.stderr


def test_an_unknown_method_is_told(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = call(benchmark, monkeypatch, tmp_path, METHODS, "--methods", "scrach")
    assert done.exit_code != 0
    assert "scrach" in str(done.exception)


def test_means_have_students_interval(benchmark: ModuleType) -> None:
    statistics = importlib.import_module("retraining_statistics")
    values = [90.1, 89.7, 90.6]
    low, high = ttest_1samp(values, 0.0).confidence_interval(0.95)
    mean = statistics.mean_of(values)
    assert (mean.percent, mean.low_percent, mean.high_percent) == pytest.approx(
        (sum(values) / 3, low, high)
    )
    assert statistics.mean_of([90.0]).low_percent is None
