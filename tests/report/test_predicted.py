"""Predicted against measured: honest about errors, uncertainties, and tables of elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.latency.honesty import left_out_line
from pipeline.records.calibration import Calibration, Honesty
from pipeline.records.candidates import LatencyPrediction
from pipeline.report import ReportInputs
from pipeline.report.markdown import MOST_CHARACTERS
from pipeline.report.sections.honesty import honesty_table
from pipeline.report.sections.points import points_on
from tests.report import made_up
from tests.report.made_up import changed, first_result
from tests.report.reading import Element, headings, page_of, plain, rows_of, words

DIFFERENCES = ("cpu was 'A', is 'B'", "onnxruntime was 1.31.0, is 1.32.0")


def calibration_of(inputs: ReportInputs) -> Calibration:
    return inputs.profile.calibration


def with_calibration(inputs: ReportInputs, **fields: object) -> ReportInputs:
    calibration = inputs.profile.calibration.model_copy(update=fields)
    return changed(inputs, "profile", calibration=calibration)


def with_foreign_prediction(inputs: ReportInputs, stage: str) -> ReportInputs:
    foreign = LatencyPrediction(typical=0.3, std=0.01, foreign=True)
    candidate = inputs.search.evaluated[0].model_copy(
        update={"latency_ms": {made_up.TARGET: foreign}}
    )
    if stage == "search":
        return changed(inputs, "search", evaluated=(candidate, *inputs.search.evaluated[1:]))
    if stage == "verify":
        *others, last = inputs.verify.candidates
        verified = last.model_copy(update={"candidate": candidate})
        return changed(inputs, "verify", candidates=(*others, verified))
    return first_result(inputs, predicted_ms=foreign)


def test_predictions_stand_beside_the_baseline_that_counts_macs(page: Element) -> None:
    prediction = words(page, "prediction")
    assert "errs by 1.2 % on average; a line fitted to MACs alone by 7.2 %" in prediction
    assert "noise of the measurement itself ±0.6 % (split-half)" in prediction
    assert "calibration network, predicted from the others" in prediction
    assert "has seen it" not in prediction
    plots = page.by_id("prediction").all("svg", role="img")
    for plot in plots[:2]:
        assert len(plot.all("circle", **{"class": "calibration"})) == 10
        assert len(plot.all("polygon", **{"class": "within"})) == 5
        assert len(plot.all("rect", **{"class": "benchmarked"})) == 1
        assert len(plot.all("line", **{"class": "own-std"})) == 16
    scatter, errors = plots[:2]
    assert len(scatter.all("polygon", **{"class": "noise-band"})) == 1
    assert len(errors.all("rect", **{"class": "noise-band"})) == 1
    counted = scatter.all("path", **{"class": "counted"})[0].attributes["d"] or ""
    assert counted.count("M") == 16
    assert errors.all("path", **{"class": "counted"}) == []


def test_each_point_stands_in_the_table_with_what_macs_alone_say(inputs: ReportInputs) -> None:
    points = points_on(inputs, made_up.TARGET)
    assert [p.origin for p in points] == ["calibration"] * 10 + ["verified"] * 5 + ["benchmark"]
    networks = inputs.profile.calibration.networks
    macs = np.array([float(network.macs) for network in networks])
    measured = np.array([network.measured_ms for network in networks])
    assert [p.counted_ms for p in points[:10]] == pytest.approx(left_out_line(macs, measured))
    assert points[0].predicted.std == networks[0].predicted_std_ms
    page = page_of(inputs, "prediction")
    table = page.by_id("prediction").all("figure")[0].all("table")[0]
    assert len(rows_of(table)) == len(points)
    assert headings(table)[4:6] == ["By MACs alone", "… error"]


def test_a_few_calibration_networks_give_no_line_through_macs(inputs: ReportInputs) -> None:
    few = with_calibration(inputs, networks=calibration_of(inputs).networks[:2])
    assert {point.counted_ms for point in points_on(few, made_up.TARGET)} == {None}
    page = page_of(few, "prediction")
    assert page.by_id("prediction").all("path", **{"class": "counted"}) == []


def test_the_honesty_block_has_every_figure_in_plain_words(page: Element) -> None:
    table = page.by_id("prediction").all("table")[2]
    assert "leave-one-out" in table.all("caption")[0].words
    rows = rows_of(table)
    values = {name: value for name, value, _ in rows}
    assert values == {
        "networks": "10",
        "mean absolute error (MAPE)": "1.2 %",
        "within 5 %": "100.0 %",
        "within 10 %": "100.0 %",
        "largest error": "2.0 %",
        "bias": "−0.4 %",
        "rank correlation (Kendall's τ)": "0.96",
        "near pairs in the right order": "83.3 %",
        "inside the 80 % interval": "70.0 %",
        "measured truth, split-half": "0.62 %",
        "MACs alone: mean absolute error": "7.2 %",
        "MACs alone: rank correlation": "0.91",
        "measured on": "2031-02-03",
        "cost": "143 s",
    }
    assert all(10 < len(meaning) <= MOST_CHARACTERS for _, _, meaning in rows)
    assert "give or take 13 points of chance" in words(page, "prediction")


def test_every_figure_of_the_honesty_block_is_shown(inputs: ReportInputs) -> None:
    honesty = calibration_of(inputs).honesty
    shown = {honesty_table(honesty, made_up.TARGET)}
    for name in Honesty.model_fields:
        if name not in ("schema_version", "date"):
            shown.add(honesty_table(honesty.model_copy(update={name: 99}), made_up.TARGET))
    assert len(shown) == len(Honesty.model_fields) - 1


def test_no_near_pairs_are_said_to_be_none(inputs: ReportInputs) -> None:
    honesty = calibration_of(inputs).honesty.model_copy(update={"pair10_percent": None})
    page = page_of(with_calibration(inputs, honesty=honesty), "prediction")
    assert "no such pair" in words(page, "prediction")


def test_the_method_and_the_error_of_the_other(inputs: ReportInputs, page: Element) -> None:
    prediction = words(page, "prediction")
    assert (
        "Chosen method: each operator timed alone, held-out error 1.23 %. The other: operators'"
        " times read from the runtime inside networks, 2.31 %."
    ) in prediction
    only = calibration_of(inputs).methods[:1]
    alone = words(page_of(with_calibration(inputs, methods=only), "prediction"), "prediction")
    assert "No other could be tried on this target" in alone


def test_operators_alone_and_in_a_network(inputs: ReportInputs, page: Element) -> None:
    def tables(page: Element) -> list[Element]:
        found = page.by_id("prediction").all("table")
        return [t for t in found if "largest corrections first" in t.all("caption")[0].words]

    (table,) = tables(page)
    rows = rows_of(table)
    assert len(rows) == 10
    assert headings(table)[1:3] == ["Alone", "In a network"]
    operators = calibration_of(inputs).operators_ms
    within = calibration_of(inputs).in_context_ms
    assert rows[0][0] == max(operators, key=lambda key: abs(within[key] - operators[key]))
    assert tables(page_of(with_calibration(inputs, operators_ms={}))) == []
    read = page_of(with_calibration(inputs, method="in_context"))
    assert "Told" in tables(read)[0].all("thead")[0].words


def test_a_table_worse_than_counting_is_admitted(inputs: ReportInputs) -> None:
    honesty = calibration_of(inputs).honesty.model_copy(update={"flops_mape_percent": 1.2})
    page = page_of(with_calibration(inputs, honesty=honesty), "prediction")
    assert "no better than counting here" in words(page, "prediction")


def test_a_table_of_another_machine_is_named_with_its_differences(inputs: ReportInputs) -> None:
    page = page_of(changed(inputs, "search", foreign=DIFFERENCES))
    for section in ("verdict", "prediction"):
        warnings = [plain(p.words) for p in page.by_id(section).all("p", **{"class": "warn"})]
        (warning,) = [text for text in warnings if "another machine" in text]
        assert "cpu was 'A', is 'B'; onnxruntime was 1.31.0, is 1.32.0." in warning


@pytest.mark.parametrize("stage", ["search", "verify", "benchmark"])
def test_a_foreign_prediction_without_differences_is_told_too(
    inputs: ReportInputs, stage: str
) -> None:
    page = page_of(with_foreign_prediction(inputs, stage), "verdict")
    assert "the records do not say in what they differ" in words(page, "verdict")


def test_a_table_that_holds_here_is_not_warned_of(page: Element) -> None:
    assert "another machine, or with other" not in page.words
