"""The verdicts of the benchmarks of training, and the statistics of the ranking study."""

import importlib
import json
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import typer
from scipy.stats import kendalltau
from typer.testing import CliRunner, Result

from tests.checkout import BENCHMARKS


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> ModuleType:
    """A benchmark as a module; benchmarks are scripts beside each other."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module(request.param)
    monkeypatch.setattr(importlib.import_module("ranking_statistics"), "_RESAMPLES", 200)
    return module


def call(module: ModuleType, *options: str) -> Result:
    app = typer.Typer()
    app.command()(module.main)
    return CliRunner().invoke(app, list(options))


STEPS: dict[str, Any] = {
    "resolution": 32,
    "images_per_second": {"default-layout": 200.0, "single-path": 600.0, "cream": 450.0},
    "peak_memory_mib": {"default-layout": 900.0, "single-path": 900.0, "cream": 900.0},
    "cream_over_single_path": 600 / 450,
    "released_images_per_second": 200.0 * 122 / 206,
}


@pytest.mark.parametrize("benchmark", ["training_step"], indirect=True)
@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, None),
        ({"cream_over_single_path": 1.51}, "1.51 of a single-path step; floor 1.5"),
        ({"released_images_per_second": 151.0}, "2.98 times the released code's images/s"),
        ({"resolution": 64, "released_images_per_second": 220.0}, None),
        ({"resolution": 64, "released_images_per_second": 230.0}, "1.96 times the released"),
        ({"resolution": 96, "released_images_per_second": None}, None),
    ],
)
def test_a_training_step_has_floors(
    benchmark: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    missed: str | None,
) -> None:
    monkeypatch.setattr(benchmark, "on_cpu", lambda resolution, rounds: {**STEPS, **changes})
    told = call(benchmark, "--check")
    assert told.exit_code == (0 if missed is None else 1)
    assert (missed or "") in told.stderr
    as_json = call(benchmark, "--json")
    assert as_json.exit_code == 0
    assert json.loads(as_json.stdout)["images_per_second"]["cream"] == 450.0


@pytest.mark.parametrize("benchmark", ["training_step"], indirect=True)
def test_what_the_look_ahead_costs_counts_once_in_200_steps(benchmark: ModuleType) -> None:
    single, cream = [0.1] * 40, [0.13] * 40
    for due in (19, 39):
        cream[due] = 0.33
    found = benchmark._cream_step_s(cream, single, [0.2, 0.4])
    assert found == pytest.approx(0.13 + 0.2 / 200 + 0.3 / 20)


@pytest.mark.parametrize("benchmark", ["evaluation"], indirect=True)
@pytest.mark.parametrize(
    ("of_allowed", "same", "missed"),
    [(0.81, True, None), (0.79, True, "0.79 of what MACs allow"), (1.2, False, "differ")],
)
def test_prefix_caching_has_floors(
    benchmark: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    of_allowed: float,
    same: bool,
    missed: str | None,
) -> None:
    result = {
        "generation": 10,
        "networks": 50,
        "alone_s": 9.0,
        "together_s": 5.0,
        "speedup": 1.8,
        "allowed": 1.8 / of_allowed,
        "of_allowed": of_allowed,
        "same_accuracies": same,
    }
    monkeypatch.setattr(benchmark, "_measure", lambda *_: [result])
    told = call(benchmark, "--check")
    assert told.exit_code == (0 if missed is None else 1)
    assert (missed or "") in told.stderr


@pytest.mark.parametrize("benchmark", ["ranking_statistics"], indirect=True)
def test_agreement_is_with_the_mean_of_the_truth(benchmark: ModuleType) -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=(2, 30))
    runs = [truth.mean(0) * 2 + 1, -truth.mean(0), truth[0]]
    found = benchmark.agreement(truth, runs)
    expected = [1.0, -1.0, kendalltau(truth.mean(0), truth[0]).statistic]
    assert found.tau_by_run == pytest.approx(expected)
    assert found.tau == pytest.approx(np.mean(expected))
    low, high = found.tau_interval
    assert low < found.tau < high


@pytest.mark.parametrize("benchmark", ["ranking_statistics"], indirect=True)
def test_seeds_agree_as_pairs(benchmark: ModuleType) -> None:
    random = np.random.default_rng(1)
    one, other = random.normal(size=(2, 30))
    found = benchmark.seeds_agreement([one, other])
    assert found.tau == pytest.approx(kendalltau(one, other).statistic)
    assert benchmark.seeds_agreement([one, one + 5]).tau == pytest.approx(1.0)


@pytest.mark.parametrize("benchmark", ["ranking_statistics"], indirect=True)
def test_a_difference_has_a_paired_interval(benchmark: ModuleType) -> None:
    """Two methods that err alike differ surely, though each alone is uncertain."""
    random = np.random.default_rng(2)
    truth = random.normal(size=30)
    noise = random.normal(size=30)
    better, worse = truth + noise, truth + 1.6 * noise
    surely = benchmark.compared([truth], [better], [worse])
    assert 0 < surely.interval[0] < surely.tau < surely.interval[1]
    same = benchmark.compared([truth], [better], [better])
    assert same.tau == 0
    assert same.interval == (0, 0)


@pytest.mark.parametrize("benchmark", ["ranking"], indirect=True)
@pytest.mark.parametrize(("low", "fails"), [(0.01, True), (-0.01, False)])
def test_a_method_that_beats_the_default_fails_the_check(
    benchmark: ModuleType, capsys: pytest.CaptureFixture[str], low: float, fails: bool
) -> None:
    statistics = importlib.import_module("ranking_statistics")
    difference = statistics.Difference(0.2, (low, 0.4))
    told = {"methods": {"cream": {"against_single_path": difference}}}
    if not fails:
        benchmark._check(told)
        return
    with pytest.raises(typer.Exit):
        benchmark._check(told)
    assert "cream: tau is better" in capsys.readouterr().err


@pytest.mark.parametrize("benchmark", ["ranking"], indirect=True)
def test_any_first_part_of_the_design_spans_the_macs(benchmark: ModuleType) -> None:
    design = benchmark.spread_over_macs(benchmark.DESIGN, seed=0)
    costs = [benchmark.architecture_cost(network).macs for network in design]
    assert len(set(design)) == benchmark.DESIGN
    assert costs == sorted(costs)
    order = [costs[i * benchmark.STRIDE % benchmark.DESIGN] for i in range(12)]
    span = costs[-1] - costs[0]
    assert max(np.diff(sorted(order))) < 0.2 * span
    assert len({i * benchmark.STRIDE % benchmark.DESIGN for i in range(benchmark.DESIGN)}) == 36
