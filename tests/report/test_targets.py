"""Several targets in one benchmark: side by side, by their own clocks, and block by block."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.device.runtimes import REST
from pipeline.records.benchmark import (
    BenchmarkRecord,
    BenchmarkResult,
    DeviceTiming,
    EngineAnswers,
    TargetTiming,
)
from pipeline.report import ReportInputs
from pipeline.report.markdown import render_markdown
from pipeline.report.summary import summarise
from tests.report import made_up
from tests.report.made_up import changed, first_result
from tests.report.reading import Element, page_of, plain, rows_of, titled, words

INT8 = "host/onnxruntime-int8-b1-t1"
GPU = "host/tensorrt-fp16-b8"
BROKEN = "host/openvino-fp32-b1-t1"
WRONG = "host/openvino-int8-b1-t1"


def answered(agreement: float) -> EngineAnswers:
    return EngineAnswers(
        images=256,
        accuracy_percent=86 * agreement,
        file_accuracy_percent=86,
        agreement=agreement,
        wrong=agreement < 0.9,
    )


@pytest.fixture(scope="module")
def several() -> ReportInputs:
    """The chosen network on five targets: one has its own clock, one failed, one is wrong."""
    inputs, rng = made_up.inputs(), np.random.default_rng(3)
    chosen, *others = inputs.benchmark.results
    places = [placed.place for placed in chosen.architecture.operators()]
    layers = {place: 0.01 + 0.001 * number for number, place in enumerate(places)}
    device = DeviceTiming(
        compute_ms=made_up.stats(0.031, rng=rng),
        enqueue_ms=0.029,
        to_device_ms=0.012,
        to_host_ms=0.004,
        clock_sm_mhz=(1980, 2010),
        temperature_c=(51, 51),
        power_w=None,
        slowdown_reasons=("power limit",),
        warnings=("the host was busy handing work over",),
    )

    def on(target: str, typical: float | None, **changes: object) -> BenchmarkResult:
        figures = {
            "target": target,
            "predicted_ms": None,
            "latency_ms": made_up.stats(typical, rng=rng) if typical else None,
            "layers_ms": {},
        }
        return chosen.model_copy(update={**figures, **changes})

    record = inputs.benchmark.model_copy(
        update={
            "results": (
                chosen.model_copy(
                    update={"layers_ms": {**layers, REST: 0.02}, "answers": answered(1.0)}
                ),
                *others,
                on(INT8, 0.5235, precision_as_built="fp32+int8", layers_ms={**layers, REST: 0.05}),
                on(GPU, 0.1, precision_as_built="fp16", device=device, notes=("no CUDA graph",)),
                on(BROKEN, None, error="openvino is not installed", precision_as_built=None),
                on(WRONG, None, error="openvino computes it wrongly", answers=answered(0.475)),
            ),
            "others": {
                name: TargetTiming(
                    control=made_up.stats(0.3, rng=rng),
                    steadiness=made_up.steadiness(),
                    environment=made_up.environment(),
                )
                for name in (INT8, GPU)
            },
        }
    )
    return inputs.model_copy(update={"benchmark": record})


@pytest.fixture(scope="module")
def page(several: ReportInputs) -> Element:
    return page_of(several)


def test_the_chosen_network_stands_on_each_target(page: Element) -> None:
    rows = rows_of(titled(page, "benchmark", "on 5 targets"))
    assert [row[0] for row in rows] == [made_up.TARGET, INT8, GPU, BROKEN, WRONG]
    assert [row[1] for row in rows] == ["fp32", "fp32+int8", "fp16", "–", "–"]
    assert [row[3] for row in rows] == ["1.00 ×", "1.50 ×", "0.29 ×", "–", "–"]
    assert rows[0][4] == "2 865"
    assert rows[2][4] == "80 000"  # eight images a call
    assert [row[-1] for row in rows[3:]] == [
        "openvino is not installed",
        "openvino computes it wrongly",
    ]


def test_what_each_engine_answers_stands_beside_its_times(page: Element) -> None:
    table = titled(page, "benchmark", "on 5 targets")
    assert "asked for 256 images of search-validation" in plain(table.all("caption")[0].words)
    assert [row[5] for row in rows_of(table)] == ["100.0 %", "–", "–", "–", "47.5 %"]


def test_a_single_engine_is_asked_too(several: ReportInputs) -> None:
    found = page_of(
        changed(several, "benchmark", results=several.benchmark.results[:1]), "benchmark"
    )
    assert "100.0 % of them do" in words(found, "benchmark")


def test_a_limit_is_not_met_by_an_engine_that_answers_wrongly(several: ReportInputs) -> None:
    assert summarise(several).verdict == "met"
    why = "onnxruntime computes it wrongly on this machine"
    inputs = first_result(
        several, latency_ms=None, answers=answered(0.45), error=why, samples_ms=()
    )
    summary = summarise(inputs)
    (latency,) = (check for check in summary.limits if check.quantity == "latency")
    # Verification had a time for it, of the same engine.
    assert latency.verified_ms is not None
    assert (latency.verdict, latency.value) == ("not measured", None)
    assert summary.verdict == "not measured"
    assert summary.measured_ms is None
    words_of_page = words(page_of(inputs, "verdict"), "verdict")
    assert f"{made_up.TARGET} is given no latency: {why}." in words_of_page
    assert "that of its verification" not in words_of_page


def test_a_device_tells_its_own_times(page: Element) -> None:
    ((target, compute, enqueue, there, back, clock, temperature, power, slowed),) = rows_of(
        titled(page, "benchmark", "by the device's own clock")
    )
    assert target == GPU
    assert compute.startswith("0.031")
    assert (enqueue, there, back) == ("0.0290 ms", "0.0120 ms", "0.00400 ms")
    assert (clock, temperature, power) == ("1980 to 2010", "51", "not told")
    assert slowed == "power limit"
    assert f"{GPU}: the host was busy handing work over" in words(page, "benchmark")


def test_what_a_reader_must_know_stands_beside_the_times(page: Element) -> None:
    assert f"{GPU}: no CUDA graph" in words(page, "benchmark")
    # And the chosen network is not told twice.
    every = titled(page, "benchmark", "Latency of one call")
    assert [row[0] for row in rows_of(every)].count("made-up-cream") == 1


def test_blocks_have_a_time_on_each_target_and_what_is_of_none_is_shown(
    page: Element, several: ReportInputs
) -> None:
    table = titled(page, "model", "Time of each block")
    rows = rows_of(table)
    chosen = several.benchmark.results[0].architecture
    places = [placed.place for placed in chosen.operators()]
    assert [row[0] for row in rows] == [*places, "of no block"]
    assert rows[0][2:] == ["0.0100 ms", "0.0100 ms"]
    assert rows[-1][2:] == ["0.0200 ms", "0.0500 ms"]


def test_each_target_has_its_own_control_network(page: Element) -> None:
    method = words(page, "method")
    assert f"benchmark, {INT8}" in method
    assert f"benchmark, {GPU}" in method


def test_a_single_target_is_not_set_beside_itself(page: Element) -> None:
    alone = page_of(made_up.inputs(), "benchmark", "model")
    assert "by the device's own clock" not in words(alone, "benchmark")
    assert "targets, timed in turn" not in words(alone, "benchmark")
    assert "Time of each block" not in words(alone, "model")


def test_the_short_report_tells_of_all_targets(several: ReportInputs) -> None:
    text = render_markdown(several, summarise(several))
    for name in (INT8, GPU, BROKEN, WRONG):
        assert name.replace("_", r"\_") in text or name in text


def test_the_record_comes_back_as_it_was_written(several: ReportInputs) -> None:
    again = BenchmarkRecord.model_validate_json(several.benchmark.model_dump_json())
    assert again == several.benchmark
    assert again.targets == (made_up.TARGET, INT8, GPU, BROKEN, WRONG)
