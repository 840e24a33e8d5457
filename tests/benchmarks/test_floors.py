"""The floors of studies: `--check` says which was missed and fails; without it none does."""

import json
from pathlib import Path
from typing import Any

import pytest

import benchmarks.evaluation.__main__ as evaluation
import benchmarks.latency_accuracy.__main__ as latency_accuracy
import benchmarks.search_quality.__main__ as search_quality
import benchmarks.search_speed.__main__ as search_speed
from benchmarks import training_step
from benchmarks.ranking.__main__ import _missed as ranking_missed
from benchmarks.ranking.statistics import Agreement, Difference
from benchmarks.training_step import VARIANTS
from pipeline.records.calibration import Honesty
from tests.benchmarks.command_line import call


def latency(**changes: float) -> dict[str, Any]:
    """Errors of predicted latencies."""
    good = {
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
    honesty = Honesty.model_validate({**good, **changes}).model_dump(mode="json")
    return {"honesty": honesty, "method": "isolated", "methods": {"isolated, calibrated": honesty}}


def step(**changes: Any) -> dict[str, Any]:
    """Speeds of training steps."""
    return {
        "resolution": 32,
        "images_per_second": dict(zip(VARIANTS, (200.0, 600.0, 610.0, 450.0), strict=True)),
        "peak_memory_mib": dict.fromkeys(VARIANTS, 900.0),
        "entangled_over_separate": 0.98,
        "cream_over_single_path": 600 / 450,
        "cream_over_single_path_in_short_run": 600 / 420,
        "released_images_per_second": 200.0 * 122 / 206,
        **changes,
    }


def scoring(of_allowed: float, *, same: bool) -> list[dict[str, Any]]:
    """Times of one generation."""
    result = {
        "generation": 10,
        "networks": 50,
        "alone_s": 9.0,
        "together_s": 5.0,
        "speedup": 1.8,
        "allowed": 1.8 / of_allowed,
        "of_allowed": of_allowed,
        "same_scores": same,
    }
    return [result]


def speed(*, exact_s: float = 2.0, **per_s: float) -> dict[str, Any]:
    """Speeds of searches."""
    proof = {"seconds": exact_s, "bound_above_best_nats": 0.0}
    return {
        "per_s": {
            "costs_one_target": 3e6,
            "costs_three_targets": 2e6,
            "evolution_100": 30_000.0,
            "evolution_1000": 50_000.0,
            "search_100": 5_000.0,
            **per_s,
        },
        "exact": [{**proof, "front_points": 300, "front_gap_nats": 0.0}],
        "exact_s": exact_s,
    }


def quality(seeded: float, plain: float) -> dict[str, Any]:
    """Best scores of strategies."""
    means = {"random": 80.0, "plain evolution": plain, "seeded evolution": seeded, "exact": 90.0}
    found = {
        name: {"best_percent": {"mean": mean, "low": None}, "unseen_percent": None, "surrogate": []}
        for name, mean in means.items()
    }
    spread = {"least": 70.0, "most": 80.0, "std": 1.0}
    return {
        "budget": 150,
        "seeds": [0],
        "strategies": found,
        "differences": {},
        "board_evaluations": 0,
        "at_board_evaluations": {},
        "scores": {"distinct_networks": 500, "of_random_networks": spread},
    }


ACCURACY = (latency_accuracy, "_with_fresh_table", "--networks", "10")
STEP = (training_step, "on_cpu")
SCORING = (evaluation, "_measure")
SPEED = (search_speed, "_measured")
QUALITY = (search_quality, "_studied")


@pytest.mark.parametrize(
    ("study", "found", "missed"),
    [
        (ACCURACY, latency(), None),
        (ACCURACY, latency(mape_percent=2.1), "MAPE <= 2 %"),
        (ACCURACY, latency(mape_percent=1.9, flops_mape_percent=2.4), "MAPE <= 75 %"),
        (ACCURACY, latency(within_5_percent=97.0), "within 5 %"),
        (ACCURACY, latency(max_percent=8.1), "max <= 8 %"),
        (ACCURACY, latency(kendall_tau=0.97), "tau >= 0.98"),
        (ACCURACY, latency(pair10_percent=90.0), "pair10"),
        (ACCURACY, latency(coverage_percent=50.0), "80 % interval"),
        (ACCURACY, latency(coverage_percent=100.0), "80 % interval"),
        (ACCURACY, latency(cost_s=91.0), "table and calibration"),
        (STEP, step(), None),
        (STEP, step(entangled_over_separate=1.04), "1.04 of a separate one; floor 1.0"),
        (STEP, step(cream_over_single_path=1.51), "1.51 of a single-path step; floor 1.5"),
        (STEP, step(released_images_per_second=151.0), "2.98 times the released code's images/s"),
        (STEP, step(resolution=64, released_images_per_second=220.0), None),
        (STEP, step(resolution=64, released_images_per_second=230.0), "1.96 times the released"),
        (STEP, step(resolution=96, released_images_per_second=None), None),
        (SCORING, scoring(0.81, same=True), None),
        (SCORING, scoring(0.79, same=True), "0.79 of what MACs allow"),
        (SCORING, scoring(1.2, same=False), "differ"),
        (SPEED, speed(), None),
        (SPEED, speed(evolution_1000=1), None),
        (SPEED, speed(evolution_100=19_999), "evolution 100: 19,999/s, floor 20,000"),
        (SPEED, speed(costs_one_target=9e5), "costs one target: 900,000/s, floor 1,000,000"),
        (SPEED, speed(costs_three_targets=4e5), "costs three targets: 400,000/s, floor 500,000"),
        (SPEED, speed(search_100=1, exact_s=10.2), "exact: 10.2 s, ceiling 10 s"),
        (QUALITY, quality(82.0, 82.0), None),
        (QUALITY, quality(81.0, 82.0), "seeded evolution: 81.00 % on average, plain evolution 82"),
        (QUALITY, quality(79.0, 78.0), "seeded evolution: 79.00 % on average, random 80.00 %"),
    ],
)
def test_a_missed_floor_is_told_and_fails_the_check(
    study: tuple[Any, ...],
    found: Any,
    missed: str | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    module, measuring, *options = study
    monkeypatch.setattr(module, measuring, lambda *_: found)
    monkeypatch.chdir(tmp_path)
    told = call(module.main, "--check", *options)
    assert told.exit_code == (0 if missed is None else 1)
    assert (missed or "") in told.stderr
    without = call(module.main, "--json", *options)
    assert without.exit_code == 0
    assert json.loads(without.stdout)
    assert len(told.stdout.splitlines()) >= 1


def test_a_noisy_truth_is_inconclusive_whatever_the_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = latency(split_half_percent=1.1, mape_percent=9.0)
    monkeypatch.setattr(latency_accuracy, "_with_fresh_table", lambda *_: found)
    told = call(latency_accuracy.main, "--check", "--networks", "10")
    assert told.exit_code == 3
    assert "inconclusive: noise" in told.stderr


@pytest.mark.parametrize(
    ("tau", "low", "missed"),
    [(0.6, 0.1, []), (0.49, 0.1, ["0.49; floor 0.5"]), (0.6, -0.1, ["-0.10 to +0.40"])],
)
def test_a_best_method_below_the_floor_or_within_chance_of_macs_is_told(
    tau: float, low: float, missed: list[str]
) -> None:
    def method(tau: float, low: float, *, is_trained: bool) -> dict[str, Any]:
        return {
            "tau": {"all": Agreement(tau, (0.0, 1.0), (tau,), 10)},
            "against_more_macs": Difference(0.2, (low, 0.4)),
            "core_seconds": [60.0] * is_trained,
        }

    worse = method(tau - 0.1, -0.3, is_trained=True)
    rule = method(0.9, 0.5, is_trained=False)
    methods = {"worse": worse, "best": method(tau, low, is_trained=True), "deeper first": rule}
    told = ranking_missed({"methods": methods})
    assert len(told) == len(missed)
    assert all("best" in line and what in line for line, what in zip(told, missed, strict=True))
