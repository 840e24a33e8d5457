"""Does the chosen network meet the limits, measured? Decided once, for page, Markdown and JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.device.model_files import KINDS
from pipeline.records.candidates import Limits
from pipeline.report import ReportInputs, summarise
from pipeline.report.limits import check_limits
from pipeline.report.sampling import sampling_std_percent
from pipeline.space.cost import architecture_cost
from tests.report import made_up
from tests.report.made_up import changed, without


def test_figures_of_a_complete_run(inputs: ReportInputs) -> None:
    summary = summarise(inputs)
    winner = inputs.verify.candidates[1].candidate
    assert summary.verdict == "met"
    assert summary.architecture == winner.architecture
    assert summary.name == "made-up-cream"
    assert summary.target == made_up.TARGET
    assert summary.limit_ms == made_up.LIMIT_MS
    assert summary.measured_ms == 0.349
    assert summary.predicted_ms == winner.latency_ms[made_up.TARGET]
    cost = architecture_cost(winner.architecture)
    assert (summary.macs, summary.params) == (cost.macs, cost.params)
    assert summary.shared_weights_accuracy_percent == winner.accuracy_percent
    assert summary.search_validation_accuracy_percent == 92.8
    assert summary.test_accuracy_percent == 92.41
    assert summary.test_accuracy_std_percent == pytest.approx(0.2648, abs=1e-3)
    assert summary.parity.top1_agreement == 1.0
    exported = [file.path for file in summary.files if file.path.startswith("runs/made-up/export/")]
    assert [path.rpartition("/")[2] for path in exported] == list(KINDS)
    assert len(exported) == len(KINDS)


def test_the_honesty_of_the_table_and_how_it_was_had(inputs: ReportInputs) -> None:
    summary = summarise(inputs)
    assert summary.honesty == inputs.profile.calibration.honesty
    assert summary.method == "isolated"
    assert [entry.method for entry in summary.methods] == ["isolated", "in_context"]
    bare = summarise(without(inputs, "profile"))
    assert (bare.honesty, bare.method, bare.methods) == (None, None, ())


def test_differences_of_a_table_of_elsewhere(inputs: ReportInputs) -> None:
    assert summarise(inputs).foreign == ()
    told = ("cpu was 'A', is 'B'",)
    assert summarise(changed(inputs, "search", foreign=told)).foreign == told


def test_the_benchmark_decides_over_verification(inputs: ReportInputs) -> None:
    check = summarise(inputs).main_check
    assert check.measured_by == "benchmark"
    assert check.margin_percent == pytest.approx(100 * (1 - 0.349 / made_up.LIMIT_MS))
    slower = summarise(made_up.inputs(winner_ms=0.37))
    assert slower.verdict == "not met"


def test_without_a_benchmark_verification_decides(inputs: ReportInputs) -> None:
    check = summarise(without(inputs, "benchmark")).main_check
    assert check.measured_by == "verify"
    assert check.verdict == "met"


def test_a_prediction_is_not_a_measurement(inputs: ReportInputs) -> None:
    summary = summarise(without(inputs, "verify", "trial", "retrain", "export", "benchmark"))
    assert summary.verdict == "not measured"
    assert summary.measured_ms is None
    assert summary.predicted_ms is not None
    assert "predicted" in summary.sentence


def test_a_reference_of_the_same_shape_is_not_the_chosen_network(inputs: ReportInputs) -> None:
    chosen = inputs.benchmark.results[0]
    slow = chosen.latency_ms.model_copy(update={"typical": 9.0})
    twin = chosen.model_copy(update={"name": "twin", "is_reference": True, "latency_ms": slow})
    assert summarise(changed(inputs, "benchmark", results=(twin, chosen))).measured_ms == 0.349


def test_host_and_the_machine_s_own_name_are_one_target(inputs: ReportInputs) -> None:
    own = made_up.TARGET.replace("host", "made-up-cpu-2c")
    results = tuple(r.model_copy(update={"target": own}) for r in inputs.benchmark.results)
    here = changed(inputs, "benchmark", results=results)
    assert summarise(here).main_check.measured_by == "benchmark"


def test_another_machine_s_host_is_another_target(inputs: ReportInputs) -> None:
    machine = replace(inputs.benchmark.environment, device="another-1c")
    elsewhere = changed(inputs, "benchmark", environment=machine)
    assert summarise(elsewhere).main_check.measured_by == "verify"


def test_retraining_of_another_network_lends_no_accuracy(inputs: ReportInputs) -> None:
    other = next(
        c.architecture
        for c in inputs.search.evaluated
        if c.architecture != inputs.retrain.architecture
    )
    summary = summarise(changed(inputs, "retrain", architecture=other))
    assert summary.test_accuracy_percent is None


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [
        (Limits(macs=1e6), "not met"),
        (Limits(macs=1e9), "met"),
        (Limits(macs_min=1e9), "not met"),
        (Limits(macs_min=1e6), "met"),
        (Limits(params=1e5), "not met"),
        (Limits(params=1e8), "met"),
        (Limits(latency_ms={made_up.TARGET: 0.349}), "met"),
        (Limits(latency_ms={made_up.TARGET: 0.3489}), "not met"),
        (Limits(latency_ms={"elsewhere/x-fp32-b1": 1.0}), "not measured"),
    ],
)
def test_each_limit_by_itself(inputs: ReportInputs, limits: Limits, verdict: str) -> None:
    architecture = summarise(inputs).architecture
    checks = check_limits(inputs, limits, architecture, architecture_cost(architecture))
    assert [check.verdict for check in checks] == [verdict]


def test_without_limits_there_is_nothing_to_meet(inputs: ReportInputs) -> None:
    summary = summarise(changed(inputs, "verify", limits=Limits()))
    assert summary.verdict == "no limits"
    assert "14.7" in summary.sentence


def test_sampling_error_of_an_accuracy() -> None:
    assert sampling_std_percent(50.0, 10_000) == pytest.approx(0.5)
    assert sampling_std_percent(100.0, 10_000) == 0.0
    assert sampling_std_percent(90.0, 0) is None
