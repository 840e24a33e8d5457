"""The waterfall: its bars add up to both totals, and what is missing is told with a command."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from pipeline.device.runtimes import REST
from pipeline.report import ReportInputs
from pipeline.report.blocks import Figure, Missing, Text
from pipeline.report.formatting import NBSP
from pipeline.report.sections.waterfall import measured_times, predicted_times, waterfall_blocks
from pipeline.report.summary import Summary, summarise
from tests.report import made_up
from tests.report.made_up import changed, first_result, without


@pytest.fixture(scope="module")
def summary(inputs: ReportInputs) -> Summary:
    return summarise(inputs)


def shown(inputs: ReportInputs) -> tuple[list[Figure], list[str], list[Missing]]:
    blocks = list(waterfall_blocks(inputs, summarise(inputs)))
    return (
        [block for block in blocks if isinstance(block, Figure)],
        [str(block.text).replace(NBSP, " ") for block in blocks if isinstance(block, Text)],
        [block for block in blocks if isinstance(block, Missing)],
    )


def test_a_prediction_taken_apart_adds_up_to_the_calibration_s_own(
    inputs: ReportInputs, summary: Summary
) -> None:
    calibration = inputs.profile.calibration
    operators = list(summary.architecture.operators())
    whole_ms = calibration.offset_ms + calibration.per_block_ms * summary.architecture.depth
    whole_ms += sum(calibration.in_context_ms[placed.spec.key] for placed in operators)
    times = predicted_times(inputs, summary, summary.architecture)
    assert sum(times.by_place_ms.values()) == pytest.approx(whole_ms)
    assert times.by_place_ms[REST] == calibration.offset_ms
    scaled = changed(inputs, "search", table_scale={made_up.TARGET: 1.1})
    slower = predicted_times(scaled, summary, summary.architecture)
    assert sum(slower.by_place_ms.values()) == pytest.approx(1.1 * whole_ms)


def test_a_profiled_run_divides_the_latency_that_was_measured_without_it(
    inputs: ReportInputs,
) -> None:
    chosen = inputs.benchmark.results[0]
    times = measured_times(chosen)
    assert list(times.by_place_ms) == list(chosen.layers_ms)
    assert sum(times.by_place_ms.values()) == pytest.approx(chosen.latency_ms.typical)
    assert times.left_over_ms is None
    assert times.by_place_ms[REST] == pytest.approx(0.1 * chosen.latency_ms.typical)
    assert measured_times(inputs.benchmark.results[1]) is None


def test_the_table_ends_at_both_totals(inputs: ReportInputs, summary: Summary) -> None:
    (figure,), _, lacking = shown(inputs)
    assert lacking == []
    assert summary.measured_ms is not None
    places = [placed.place for placed in summary.architecture.operators()]
    assert [row[0].text for row in figure.table.rows[: len(places)]] == places
    predicted, measured = (figure.table.rows[-1][column].order for column in (4, 7))
    assert predicted == pytest.approx(summary.predicted_ms.typical)
    # Nothing measured is left over: the last time is the one that belongs to no block.
    assert measured is None
    assert figure.table.rows[-2][7].order == pytest.approx(summary.measured_ms)
    blocks = figure.table.rows[: len(places)]
    for column in (3, 6):
        assert sum(row[column].order or 0.0 for row in blocks) == pytest.approx(100.0)


def test_what_the_sum_leaves_over_is_a_bar_of_its_own(inputs: ReportInputs) -> None:
    (figure,), _, _ = shown(inputs)
    # A made-up prediction is not the sum of the made-up table.
    assert figure.table.rows[-1][1].text == "left over"
    assert "“left over” is the difference" in figure.caption
    assert ">left over<" in figure.wide


def test_bars_stand_where_the_one_before_ends(inputs: ReportInputs) -> None:
    (figure,), _, _ = shown(inputs)
    bars = re.findall(
        r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="[\d.]+" class="measured-bar">',
        figure.wide,
    )
    ends = [(float(x), float(x) + float(width)) for x, width in bars]
    assert len(ends) == len(figure.table.rows) - 1
    for (_, end), (start, _) in pairwise(ends):
        assert start == pytest.approx(end, abs=0.2)


def test_a_profiler_that_disturbs_is_not_believed(inputs: ReportInputs) -> None:
    _, (calm,), _ = shown(inputs)
    assert "believe the total" not in calm
    assert "10 % of it belongs to no block" in calm
    chosen = inputs.benchmark.results[0]
    slow = {place: 4 * ms for place, ms in chosen.layers_ms.items()}
    _, (words,), _ = shown(first_result(inputs, layers_ms=slow))
    assert "believe the total, and of single blocks' measured times only the coarse order" in words


def test_without_layer_times_the_prediction_stands_alone(inputs: ReportInputs) -> None:
    (figure,), words, (lacking,) = shown(first_result(inputs, layers_ms={}))
    assert words == []
    assert {row[5].text for row in figure.table.rows} == {"–"}
    assert "measured-bar" not in figure.wide
    assert "told no times of layers" in lacking.reason
    assert lacking.command == "python run_pipeline.py benchmark --recipe made-up"


def test_without_a_calibration_the_measurement_stands_alone(inputs: ReportInputs) -> None:
    (figure,), _, (lacking,) = shown(without(inputs, "profile"))
    assert "predicted-bar" not in figure.wide
    assert lacking.command == "python run_pipeline.py profile --recipe made-up"


def test_with_neither_there_is_no_picture(inputs: ReportInputs) -> None:
    figures, words, lacking = shown(without(inputs, "profile", "benchmark"))
    assert (figures, words) == ([], [])
    assert [block.command for block in lacking] == [
        "python run_pipeline.py profile --recipe made-up",
        "python run_pipeline.py benchmark --recipe made-up",
    ]


def test_a_calibration_of_another_input_size_predicts_no_blocks(inputs: ReportInputs) -> None:
    other = inputs.profile.calibration.model_copy(update={"resolution": 96})
    figures, _, (lacking,) = shown(changed(inputs, "profile", calibration=other))
    assert len(figures) == 1
    assert "another space or input size" in lacking.reason
