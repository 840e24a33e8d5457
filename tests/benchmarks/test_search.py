"""The benchmarks of search: what they tell, their floors, and the statistics over seeds."""

import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer
from scipy.stats import ttest_1samp, ttest_rel
from typer.testing import CliRunner, Result

from pipeline.search.score_journal import ScoreJournal
from pipeline.space.encoding import encode
from pipeline.work.progress import silent
from tests.checkout import BENCHMARKS


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> ModuleType:
    """A benchmark as a module; benchmarks are scripts beside each other."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module(request.param)


def call(module: ModuleType, *options: str) -> Result:
    app = typer.Typer()
    app.command()(module.main)
    return CliRunner().invoke(app, list(options))


SPEED: dict[str, Any] = {
    "per_s": {
        "costs_one_target": 3e6,
        "costs_three_targets": 2e6,
        "evolution_100": 30_000.0,
        "evolution_1000": 50_000.0,
        "search_100": 5_000.0,
    },
    "exact": [
        {
            "seconds": 2.0,
            "best_percent": 70.0,
            "bound_above_best_percent": 0.0,
            "front_points": 300,
            "front_gap_percent": 0.0,
        }
    ],
    "exact_s": 2.0,
}


@pytest.mark.parametrize("benchmark", ["search_speed"], indirect=True)
def test_speeds_are_one_json_object(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "POPULATIONS", (100, 200))
    told = call(benchmark, "--json", "--rows", "1000", "--generations", "3", "--repeats", "1")
    assert told.exit_code == 0
    found = json.loads(told.stdout)
    assert set(found["per_s"]) == {*benchmark.FLOORS_PER_S, "evolution_200", "search_100"}
    assert min(found["per_s"].values()) > 0
    assert len(found["targets"]["costs_three_targets"]) == 3
    (proof,) = found["exact"]
    assert 0 <= proof["bound_above_best_percent"] < 1
    assert proof["front_points"] > 10
    assert found["exact_s"] == proof["seconds"]


@pytest.mark.parametrize("benchmark", ["search_speed"], indirect=True)
@pytest.mark.parametrize(
    ("part", "per_s", "exact_s", "missed"),
    [
        ("evolution_100", 30_000, 2.0, None),
        ("evolution_1000", 1, 2.0, None),
        ("evolution_100", 19_999, 2.0, "evolution 100: 19,999/s, floor 20,000"),
        ("costs_one_target", 9e5, 2.0, "costs one target: 900,000/s, floor 1,000,000"),
        ("costs_three_targets", 4e5, 2.0, "costs three targets: 400,000/s, floor 500,000"),
        ("search_100", 1, 10.2, "exact: 10.2 s, ceiling 10 s"),
    ],
)
def test_search_has_floors(
    benchmark: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    per_s: float,
    exact_s: float,
    missed: str | None,
) -> None:
    figures = {**SPEED, "per_s": {**SPEED["per_s"], part: per_s}, "exact_s": exact_s}
    monkeypatch.setattr(benchmark, "_measured", lambda *_: figures)
    told = call(benchmark, "--check")
    assert told.exit_code == (0 if missed is None else 1)
    assert (missed or "") in told.stderr
    assert "evolution 100" in told.stdout
    assert call(benchmark).exit_code == 0


@pytest.fixture
def made_up_study(
    monkeypatch: pytest.MonkeyPatch, benchmark: ModuleType, tmp_path: Path
) -> list[str]:
    """Scores that are free, in place of a hypernetwork's; lists every network that was scored."""
    setup = importlib.import_module("search_quality_setup")
    scored: list[str] = []

    def trained(study: Any, progress: Any) -> SimpleNamespace:
        rows = study.problem.variation.uniform()
        inside = rows[study.problem.violation(rows) <= 0][:4]
        board = [SimpleNamespace(architecture=it) for it in study.problem.architectures(inside)]
        return SimpleNamespace(board=board, seconds=1.0)

    @contextmanager
    def scores(study: Any, trained: Any, images: int) -> Iterator[Any]:
        def score(architectures: Any, on_scored: Any) -> list[float]:
            rows = encode(study.problem.space, architectures)
            percents = (50.0 + rows[:, 1:] @ np.linspace(1, 2, rows.shape[1] - 1)).tolist()
            for architecture, percent in zip(architectures, percents, strict=True):
                on_scored(architecture, percent)
            scored.extend(f"{images} {it.short}" for it in architectures)
            return percents

        yield setup.Scores(score, ScoreJournal(tmp_path / f"scores-{images}.jsonl"))

    monkeypatch.setattr(setup.Study, "trained", trained)
    monkeypatch.setattr(setup.Study, "scores", scores)
    return scored


@pytest.mark.slow
@pytest.mark.parametrize("benchmark", ["search_quality"], indirect=True)
def test_strategies_are_compared_at_equal_cost(
    benchmark: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    made_up_study: list[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(benchmark, "RESULTS", tmp_path / "published" / "results.json")
    monkeypatch.setattr(benchmark, "PICTURE", tmp_path / "published" / "picture.svg")
    options = ("--dataset", "digits", "--max-train", "300", "--images", "100", "--budget", "40")
    kept = ("--seeds", "2", "--folder", str(tmp_path))
    told = call(benchmark, *options, *kept, "--json", "--publish")
    assert told.exit_code == 0, told.stderr
    found = json.loads(told.stdout)
    assert set(found["strategies"]) == set(benchmark.STRATEGIES)
    for strategy in found["strategies"].values():
        assert all(count <= 40 for count in strategy["evaluations"])
        for curve in strategy["curves"]:
            assert curve == sorted(curve)
            assert curve[0][0] == 1
    seeded = found["strategies"]["seeded evolution"]
    assert seeded["best_percent"]["low"] <= seeded["best_percent"]["mean"]
    assert 12 <= seeded["surrogate"][0]["samples"] <= 40
    assert found["board_evaluations"] == 4
    assert set(found["at_board_evaluations"]) == {*benchmark.STRATEGIES, "board"}
    assert found["strategies"]["random"]["evaluations"] == [40, 40]
    assert len(made_up_study) == len(set(made_up_study)), "one is scored once, whoever asks"
    of_search = [it for it in made_up_study if it.startswith("100 ")]
    assert found["scores"]["distinct_networks"] == len(of_search)
    assert json.loads(benchmark.RESULTS.read_text()) == found
    assert benchmark.PICTURE.read_text().startswith("<?xml")

    before = len(made_up_study)
    again = call(benchmark, *options, *kept)
    assert again.exit_code == 0
    assert len(made_up_study) == before, "a run goes on with the scores that are there"
    assert "seeded evolution - random" in again.stdout


def made_up_result(seeded: float, unseeded: float) -> dict[str, Any]:
    means = {"random": 80.0, "plain evolution": unseeded, "seeded evolution": seeded, "exact": 90.0}
    return {"strategies": {name: {"best_percent": {"mean": it}} for name, it in means.items()}}


@pytest.mark.parametrize("benchmark", ["search_quality"], indirect=True)
@pytest.mark.parametrize(
    ("seeded", "plain", "missed"),
    [
        (82.0, 82.0, None),
        (81.0, 82.0, "seeded evolution: 81.00 % on average, plain evolution 82.00 %"),
        (79.0, 78.0, "seeded evolution: 79.00 % on average, random 80.00 %"),
    ],
)
def test_the_default_is_not_to_be_behind(
    benchmark: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    seeded: float,
    plain: float,
    missed: str | None,
) -> None:
    monkeypatch.setattr(benchmark, "_studied", lambda *_: made_up_result(seeded, plain))
    told = call(benchmark, "--folder", str(tmp_path), "--json", "--check")
    assert told.exit_code == (0 if missed is None else 1)
    assert (missed or "") in told.stderr
    assert call(benchmark, "--folder", str(tmp_path), "--json").exit_code == 0


@pytest.mark.parametrize("benchmark", ["search_quality_statistics"], indirect=True)
def test_intervals_are_students(benchmark: ModuleType) -> None:
    one, other = np.random.default_rng(0).normal(80, 1, (2, 5))
    mean = benchmark.mean_of(one)
    expected = ttest_1samp(one, 0).confidence_interval(0.95)
    assert (mean.low, mean.high) == pytest.approx((expected.low, expected.high))
    difference = benchmark.mean_difference(one, other)
    expected = ttest_rel(one, other).confidence_interval(0.95)
    assert (difference.low, difference.high) == pytest.approx((expected.low, expected.high))
    assert benchmark.mean_of([3.0]).told == {"mean": 3.0, "low": None, "high": None}


@pytest.mark.parametrize("benchmark", ["search_quality_statistics"], indirect=True)
def test_curves_are_told_by_their_rises(benchmark: ModuleType) -> None:
    curve = [1.0, 1.0, 2.5, 2.5, 2.5, 3.0]
    assert benchmark.steps(curve) == [(1, 1.0), (3, 2.5), (6, 3.0)]
    assert benchmark.unrolled(benchmark.steps(curve), 6) == curve


@pytest.mark.parametrize("benchmark", ["evaluation"], indirect=True)
def test_a_search_records_its_generations(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Scorer:
        def __init__(self, *_: object) -> None:
            pass

        def scores(self, architectures: Any, on_scored: Any) -> list[float]:
            percents = [float(len(it.short)) for it in architectures]
            for architecture, percent in zip(architectures, percents, strict=True):
                on_scored(architecture, percent)
            return percents

    monkeypatch.setattr(benchmark, "DATASET", "digits")
    monkeypatch.setattr(benchmark, "TRAIN_IMAGES", 300)
    monkeypatch.setattr(benchmark, "_trained", lambda *_: None)
    monkeypatch.setattr(benchmark, "HypernetworkScorer", Scorer)
    path = tmp_path / "generations.jsonl"
    benchmark._record(path, lambda title: silent)
    shipped, recorded = (benchmark._read(each) for each in (benchmark.GENERATIONS_FILE, path))
    for generations in (shipped, recorded):
        assert {number: len(of) for number, of in generations.items()} == {1: 50, 10: 50, 20: 50}
    made = json.loads(path.read_text().splitlines()[0])
    networks = [it for of in (*shipped.values(), *recorded.values()) for it in of]
    macs = benchmark._problem().costs(encode(benchmark.SPACE, networks))["macs"]
    assert macs.max() <= made["limits"]["macs"]
    assert made["best_percent"] == sorted(made["best_percent"])
    assert made["best_percent"][0] == max(len(it.short) for it in recorded[1])
