"""The benchmarks' verdicts: what is a floor, what is noise, and the exit code of each."""

import importlib
import json
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.records.calibration import Honesty
from tests.checkout import BENCHMARKS

GOOD: dict[str, Any] = {
    "networks": 60,
    "mape_percent": 0.8,
    "within_5_percent": 100.0,
    "within_10_percent": 100.0,
    "max_percent": 3.0,
    "bias_percent": 0.1,
    "kendall_tau": 0.985,
    "pair10_percent": 94.0,
    "coverage_percent": 80.0,
    "split_half_percent": 0.5,
    "flops_mape_percent": 4.0,
    "flops_kendall_tau": 0.93,
    "date": "2026-01-01",
    "cost_s": 60.0,
}


@pytest.fixture
def accuracy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark as a module; benchmarks are scripts beside each other."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("latency_accuracy")


def answer(
    accuracy: ModuleType, monkeypatch: pytest.MonkeyPatch, *options: str, **changes: object
) -> Any:
    """What the benchmark says of figures that are made up."""
    typer = importlib.import_module("typer")
    honesty = Honesty.model_validate({**GOOD, **changes}).model_dump(mode="json")
    found = {"honesty": honesty, "method": "isolated", "methods": {"isolated, calibrated": honesty}}
    monkeypatch.setattr(accuracy, "_with_fresh_table", lambda *_: found)
    app = typer.Typer()
    app.command()(accuracy.main)
    return CliRunner().invoke(app, ["--networks", "10", *options])


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({"mape_percent": 2.1}, "MAPE <= 2 %"),
        ({"mape_percent": 1.9, "flops_mape_percent": 2.4}, "MAPE <= 75 %"),
        ({"within_5_percent": 97.0}, "within 5 %"),
        ({"max_percent": 8.1}, "max <= 8 %"),
        ({"kendall_tau": 0.97}, "tau >= 0.98"),
        ({"pair10_percent": 90.0}, "pair10"),
        ({"coverage_percent": 50.0}, "80 % interval"),
        ({"coverage_percent": 100.0}, "80 % interval"),
        ({"cost_s": 91.0}, "table and calibration"),
    ],
)
def test_each_floor_is_checked(
    accuracy: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, float],
    missed: str,
) -> None:
    told = answer(accuracy, monkeypatch, "--check", **changes)
    assert told.exit_code == 1
    assert missed in told.stderr
    assert answer(accuracy, monkeypatch, **changes).exit_code == 0


def test_good_figures_pass_and_are_one_json_object(
    accuracy: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = answer(accuracy, monkeypatch, "--check", "--json")
    assert told.exit_code == 0
    assert json.loads(told.stdout)["honesty"]["mape_percent"] == GOOD["mape_percent"]


def test_a_noisy_truth_is_inconclusive_whatever_the_figures(
    accuracy: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = answer(accuracy, monkeypatch, "--check", split_half_percent=1.1, mape_percent=9.0)
    assert told.exit_code == 3
    assert "inconclusive: noise" in told.stderr
