"""What was measured and how: percentiles with bounds, failures, steadiness, machines."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pipeline.device.gpu import Gpu
from pipeline.measure.protocol import TimingProtocol
from pipeline.report import ReportInputs, summarise
from pipeline.report.sections.timing import PROTOCOL_WORDS
from tests.report import made_up
from tests.report.made_up import changed, first_result
from tests.report.reading import Element, headings, page_of, rows_of, titled, words


@pytest.mark.parametrize(
    ("runs", "supported"),
    [
        (9, ()),
        (40, ("median",)),
        (96, ("median", "p90")),
        (200, ("median", "p90", "p95")),
        (672, ("median", "p90", "p95", "p99")),
    ],
)
def test_only_percentiles_the_sample_supports(runs: int, supported: tuple[str, ...]) -> None:
    page = page_of(made_up.inputs(runs=runs), "benchmark", "latency")
    table = page.by_id("benchmark").all("table")[0]
    values = dict(zip(headings(table), rows_of(table)[0], strict=True))
    plot = page.by_id("latency").all("svg", role="img")[0]
    for name, least in (("median", 11), ("p90", 64), ("p95", 130), ("p99", 662)):
        shown = values[name.capitalize() if name == "median" else name]
        if name in supported:
            assert re.fullmatch(r"0\.\d+, at most 0\.\d+ ms", shown)
        else:
            assert shown == f"under {least} runs"
        if name != "p99":  # beyond the right edge
            assert bool(plot.all("polygon", **{"class": f"stat-{name}"})) is (name in supported)


def test_bounds_of_percentiles_stand_in_captions(page: Element) -> None:
    assert (
        "Of made-up-cream, at 99 % confidence: half of runs at most 0.377 ms, 90 % of runs at most"
        " 0.425 ms, 95 % of runs at most 0.476 ms, 99 % of runs at most 0.623 ms."
    ) in words(page, "latency")
    assert (
        "“At most” is an upper bound at 99 % confidence, of independent runs. Runs a percentile"
        " needs for one: median 11, p90 64, p95 130, p99 662; with fewer there is none."
    ) in words(page, "benchmark")


def test_a_percentile_without_a_bound_is_shown_without_one(inputs: ReportInputs) -> None:
    bare = {f"{name}_bound": None for name in ("median", "p90", "p95", "p99")}
    stats = inputs.benchmark.results[0].latency_ms.model_copy(update=bare)
    page = page_of(first_result(inputs, latency_ms=stats), "benchmark", "latency")
    row = page.by_id("benchmark").all("tbody")[0].all("tr")[0]
    assert "at most" not in row.words
    assert "confidence" not in words(page, "latency")


def test_why_measuring_stopped_and_how_steady_the_machine_was(page: Element) -> None:
    assert rows_of(titled(page, "method", "slow spell")) == [
        ["profile", "sweeps agreed", "11", "0.43 %", "3", "4.2 %", "7.5 s", "12.5 %"],
        ["verify", "the time was up, without agreeing", "11", "1.90 %", "3", "4.2 %", "7.5 s",
         "not counted"],
        ["benchmark", "all sweeps were made, without agreeing", "24", "0.90 %", "none", "0.0 %",
         "–", "12.5 %"],
    ]  # fmt: skip


def test_a_stage_that_kept_no_steadiness_says_so(inputs: ReportInputs) -> None:
    method = words(page_of(changed(inputs, "verify", steadiness={}), "method"), "method")
    assert "verify not recorded – – – – – –" in method


def test_a_spell_of_a_single_visit_lasts_no_time(inputs: ReportInputs) -> None:
    steadiness = made_up.steadiness(spells=1, longest_spell_s=0.0)
    method = words(page_of(changed(inputs, "profile", steadiness=steadiness), "method"), "method")
    assert "one visit" in method


def test_every_setting_of_the_protocol_has_words() -> None:
    assert set(PROTOCOL_WORDS) == set(TimingProtocol.model_fields)


def test_a_failed_benchmark_is_a_row_with_its_reason(page: Element) -> None:
    row = next(r for r in page.by_id("benchmark").all("tr") if "lcnet_100" in r.words)
    assert "failed: node Conv_3 is not supported" in row.words
    assert "failed" in words(page, "benchmark")


def test_a_benchmark_in_which_the_chosen_network_failed(inputs: ReportInputs) -> None:
    failed = first_result(inputs, latency_ms=None, samples_ms=(), n=0, error="no such kernel")
    assert summarise(failed).main_check is not None
    page = page_of(failed, "benchmark", "latency", "verdict")
    assert "the latency is that of its verification" in words(page, "verdict")
    assert "The chosen network itself was not timed" in words(page, "latency")
    assert "failed: no such kernel" in words(page, "benchmark")


def test_machines_that_differ_get_a_column_each(inputs: ReportInputs) -> None:
    other = replace(inputs.benchmark.environment, cpu="Another CPU")
    page = page_of(changed(inputs, "benchmark", environment=other), "method")
    table = next(t for t in page.by_id("method").all("table") if "Another CPU" in t.words)
    assert headings(table) == [
        "What",
        "profile, train, verify, trial, retrain, export",
        "benchmark",
    ]


def test_a_gpu_s_momentary_clock_makes_no_other_machine(inputs: ReportInputs) -> None:
    fields = {"gpu": Gpu(name="Made-up GPU", clock_sm_mhz=300), "huge_pages": "madvise"}
    here = replace(inputs.benchmark.environment, **fields)
    gpu = Gpu(name="Made-up GPU", clock_sm_mhz=1980)
    later = replace(here, gpu=gpu)
    for stage in inputs.environments():
        inputs = changed(inputs, stage, environment=later if stage == "verify" else here)
    page = page_of(inputs, "method")
    table = next(t for t in page.by_id("method").all("table") if "Made-up GPU" in t.words)
    assert len(table.all("th")) == 2
    assert "huge pages madvise" in words(page, "method")


def test_a_machine_that_did_not_hold_still_is_told_at_the_top(inputs: ReportInputs) -> None:
    """A recipe may allow it; whoever reads the verdict must know."""
    assert "did not hold still" not in words(page_of(inputs, "verdict"), "verdict")
    shaken = made_up.steadiness(disagreement_percent=37.0)
    page = page_of(changed(inputs, "benchmark", steadiness=shaken), "verdict")
    assert (
        "The machine did not hold still (benchmark): sweeps apart in time disagree by 37.0 %, where"
        " 3 % is the most that is accepted unless a recipe allows more."
    ) in words(page, "verdict")
