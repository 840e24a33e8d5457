"""The HTML page: complete, self-contained, escaped, and honest when something is missing."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from pipeline.records.candidates import Limits
from pipeline.records.input_sizes import InputSizes
from pipeline.report import ReportInputs, summarise
from pipeline.report.inputs import STAGES
from tests.report import made_up
from tests.report.made_up import changed, without
from tests.report.reading import Element, page_of, plain, rows_of, words

ORDER = [
    "verdict", "figures", "alternatives", "front", "prediction", "model", "latency", "benchmark",
    "accuracy", "parity", "search", "method",
]  # fmt: skip
MOST_BYTES = 2_000_000


def infeasible() -> ReportInputs:
    left = without(made_up.inputs(), "verify", "trial", "retrain", "export", "benchmark")
    evaluated = (c.model_copy(update={"violation": 3.0}) for c in left.search.evaluated[:20])
    return changed(
        left,
        "search",
        success=False,
        ranking=(),
        front=(),
        hypervolume=(),
        message="the nearest network takes 0.21 ms (made up)",
        evaluated=tuple(evaluated),
    )


def test_sections_stand_in_order_each_with_a_heading_and_a_link(page: Element) -> None:
    sections = [element.attributes["id"] for element in page.all("section")]
    assert sections == ORDER
    for element in page.all("section"):
        assert len(element.all("h2")) == 1
    links = [link.attributes["href"] for link in page.all("nav")[0].all("a")]
    assert links == [f"#{anchor}" for anchor in ORDER]
    assert len(page.all("h1")) == 1


def test_nothing_is_loaded_from_anywhere(html: str, page: Element) -> None:
    assert not re.findall(r"https?://|//[a-z0-9-]+\.[a-z]", html)
    assert "url(" not in html
    assert "@import" not in html
    for element in page.everything():
        assert element.tag not in {"iframe", "object", "embed", "base"}
        assert "src" not in element.attributes
        for name in ("href", "xlink:href"):
            assert (element.attributes.get(name) or "#").startswith(("#", "data:,"))
        assert "style" not in element.attributes  # the page's own policy forbids it
        assert not [name for name in element.attributes if name.startswith("on")]


def test_a_policy_forbids_everything_but_the_page_s_own_style_and_script(page: Element) -> None:
    policy = page.all("meta", http_equiv="Content-Security-Policy")[0].attributes["content"] or ""
    assert policy.startswith("default-src 'none'")
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/]{43}='", policy)) == 2
    assert "unsafe" not in policy


def test_size_and_ids(html: str, page: Element) -> None:
    assert len(html.encode()) < MOST_BYTES
    ids = Counter(e.attributes["id"] for e in page.everything() if "id" in e.attributes)
    assert [name for name, number in ids.items() if number > 1] == []


def test_every_plot_has_words_and_a_table(page: Element) -> None:
    figures = page.all("figure")
    assert len(figures) >= 9
    for figure in figures:
        plots = figure.all("svg", role="img")
        assert plots
        for plot in plots:
            assert len(plot.attributes["aria-label"] or "") > 20
            assert "viewbox" in plot.attributes
            assert "width" not in plot.attributes
        tables = figure.all("details")[0].all("table")
        assert len(tables) == 1
        assert len(tables[0].all("tr")) > 1
    outside = [svg for svg in page.all("svg") if svg.attributes.get("role") != "img"]
    assert all(svg.attributes.get("aria-hidden") == "true" for svg in outside)


def test_tables_are_whole_and_scroll_inside_their_own_frame(page: Element) -> None:
    framed = [table for frame in page.all("div", role="group") for table in frame.all("table")]
    assert len(framed) == len(page.all("table"))
    for frame in page.all("div", role="group"):
        assert frame.attributes["tabindex"] == "0"
        assert frame.attributes["aria-label"]
    for table in page.all("table"):
        headings = table.all("thead")[0].all("th", scope="col")
        assert headings
        for row in table.all("tr")[1:]:
            assert len(row.all("td")) == len(headings), table.all("caption")[0].words
        assert len(table.all("caption")) == 1


@pytest.mark.parametrize(
    ("section", "phrases"),
    [
        (
            "verdict",
            (
                "✓ Limits met",
                "0.349 ± 0.002 ms on host/onnxruntime-fp32-b1-t1 (limit 0.36 ms)",
                "14.7 M MACs (limit 16 M)",
                "92.4 % accuracy on test",
                "4.1 × 10⁻⁶",
            ),
        ),
        (
            "search",
            (
                "5 candidates of the search measured on the device; 1 dropped",
                "2.1 % over the limit of 0.36 ms",
                "✕ dropped",
                "✓ chosen",
            ),
        ),
        (
            "method",
            (
                "“Typical” is the one latency",
                "one MAC is two floating-point operations",
                "visits to each model",
                "Made-up CPU @ 2.0 GHz",
                "avx2 avx512f avx512_vnni",
                "onnxruntime 1.32.0",
                "+1.0 %",  # drift of the control network
                "python run_pipeline.py run --recipe made-up",
                "0123456789abcdef" * 4,
                "latency_tables/made-up-cpu-2c/onnxruntime-fp32-b1-t1.jsonl",
                "54 000",
                "ab" * 32,
            ),
        ),
    ],
)
def test_a_section_says_everything(page: Element, section: str, phrases: tuple[str, ...]) -> None:
    said = words(page, section)
    assert [phrase for phrase in phrases if phrase not in said] == []


def test_a_good_verdict_has_its_colour(page: Element) -> None:
    assert page.all("div", **{"class": "verdict good"})


def test_a_limit_not_met_is_said_in_words_and_colour() -> None:
    page = page_of(made_up.inputs(winner_ms=0.41))
    assert page.all("div", **{"class": "verdict bad"})
    assert "✕ Limits not met" in words(page, "verdict")
    assert "does not meet the limits" in words(page, "verdict")
    assert "13.9 % over the limit" in words(page, "figures")
    bad = [cell.words for cell in page.by_id("figures").all("td", **{"class": "bad"})]
    assert bad == ["✕ not met"]
    assert page.by_id("front").all("polygon", **{"class": "winner is-over"})


def test_a_margin_within_the_noise_is_told() -> None:
    page = page_of(made_up.inputs(winner_ms=0.359), "figures", "verdict")
    assert "✓ Limits met" in words(page, "verdict")
    assert "smaller than twice the uncertainty" in words(page, "verdict")
    assert "✓ met, narrowly" in words(page, "figures")


def test_an_infeasible_search_says_so_and_how_far_off() -> None:
    page = page_of(infeasible(), "benchmark", "front", "model", "verdict")
    verdict = words(page, "verdict")
    assert "✕ Not possible" in verdict
    assert "the nearest network takes 0.21 ms (made up)" in verdict
    assert "Change the recipe and run again" in words(page, "model")
    assert "the search found no network within the limits" in words(page, "benchmark")
    assert page.by_id("front").all("path", **{"class": "cloud-over"})


@pytest.mark.parametrize("stage", STAGES)
def test_a_missing_record_names_its_stage_and_command(inputs: ReportInputs, stage: str) -> None:
    page = page_of(without(inputs, stage))
    assert [element.attributes["id"] for element in page.all("section")] == ORDER
    boxes = [plain(box.words) for box in page.all("div", **{"class": "missing"})]
    assert any(f"The {stage} stage has not run." in box for box in boxes)
    assert any(f"python run_pipeline.py {stage} --recipe made-up" in box for box in boxes)


@pytest.mark.parametrize("number", range(len(STAGES)))
def test_a_run_that_was_stopped_anywhere_has_a_report(inputs: ReportInputs, number: int) -> None:
    page = page_of(without(inputs, *STAGES[number:]))
    for element in page.all("section"):
        assert len(plain(element.words)) > 30, element.attributes["id"]


def test_a_run_with_nothing_done_says_where_to_begin() -> None:
    page = page_of(ReportInputs(name="new", recipe={"name": "demo"}))
    assert "? Not measured yet" in words(page, "verdict")
    assert "python run_pipeline.py search --recipe demo" in words(page, "verdict")
    assert page.all("svg", role="img") == []


def test_hostile_names_are_text() -> None:
    hostile = tuple(f"<script>alert({i})</script>\"'><img src=x>" for i in range(10))
    full = made_up.inputs(class_names=hostile)
    page = page_of(full.model_copy(update={"name": "</title><script>alert(1)</script>"}))
    assert len(page.all("script")) == 1
    assert page.all("img") == []
    assert "<script>alert(3)</script>" in page.by_id("accuracy").words
    assert page.all("h1")[0].words == "</title><script>alert(1)</script>"


def test_a_hostile_recipe_name_is_quoted_in_commands() -> None:
    inputs = ReportInputs(name="x", recipe={"name": "a; rm -rf b"})
    assert inputs.command("run") == "python run_pipeline.py run --recipe 'a; rm -rf b'"


def test_the_network_is_drawn_in_the_paper_s_notation(inputs: ReportInputs, page: Element) -> None:
    architecture = summarise(inputs).architecture
    wide, narrow, *_ = page.by_id("model").all("svg", role="img")
    assert len(wide.all("rect", **{"class": "tile"})) == architecture.depth + 3
    assert len(narrow.all("rect", **{"class": "tile"})) == architecture.depth + 3
    labels = [text.words for text in wide.all("text", **{"class": "tile-label"})]
    assert labels[:3] == ["Conv 3×3", "DS 3×3", "MB6 3×3"]
    assert architecture.short in words(page, "model")
    assert rows_of(page.by_id("model").all("table")[0])[2][0] == "blocks.1.0"
    totals = plain(page.by_id("model").all("tfoot")[0].words)
    assert "14.7 M" in totals


def test_the_front_shows_limits_verified_candidates_and_the_winner(page: Element) -> None:
    front = page.by_id("front")
    plot = front.all("svg", role="img")[0]
    assert len(plot.all("line", **{"class": "limit"})) == 1
    assert len(plot.all("polygon", **{"class": "winner"})) == 1
    assert len(plot.all("polygon", **{"class": "within"})) == 3
    assert len(plot.all("path", **{"class": "over"})) == 1
    assert len(plot.all("polyline", **{"class": "front"})) == 1
    assert "limit 0.36 ms" in plain(plot.words)
    assert "limit 16 M MACs" in words(page, "front")
    assert "cream-14" not in front.words


def test_no_winner_at_verification(inputs: ReportInputs) -> None:
    over = tuple(c.model_copy(update={"verdict": "over"}) for c in inputs.verify.candidates)
    left = without(inputs, "trial", "retrain", "export", "benchmark")
    page = page_of(changed(left, "verify", candidates=over, winner=-1), "search")
    assert "no candidate is within the limits, measured" in words(page, "search")


def test_records_of_different_runs_are_noticed(inputs: ReportInputs) -> None:
    by_trials = changed(inputs, "trial", winner=1)
    by_verification = changed(without(inputs, "trial"), "verify", winner=2)
    for run, stage in ((by_trials, "the trials"), (by_verification, "verification")):
        told = words(page_of(run, "verdict"), "verdict")
        assert f"won {stage}: records of different runs are mixed" in told


def test_a_travelling_limit_says_where_its_milliseconds_come_from(inputs: ReportInputs) -> None:
    recipe = {"name": "made-up", "limits": {"latency_of_cream_14": 1.36, "latency_ms": None}}
    page = page_of(inputs.model_copy(update={"recipe": recipe}), "figures")
    assert "1.36 × the 0.264 ms of cream-14" in words(page, "figures")


def test_input_sizes_say_what_they_were_chosen_from(inputs: ReportInputs) -> None:
    sizes = InputSizes(resolutions=(64, 96, 32), image_side=28, images=64)
    trained = changed(inputs, "train", resolutions=(64, 32), left_out={96: "no path is so small"})
    text = words(page_of(changed(trained, "profile", sizes=sizes), "accuracy"), "accuracy")
    assert "64, 32 pixels; chosen from the images, whose shorter side is 28 pixels" in text
    assert "96 left out, as no path is so small" in text


def test_every_kind_of_limit(inputs: ReportInputs) -> None:
    limits = Limits(
        macs=16e6, macs_min=2e7, params=5e6, latency_ms={made_up.TARGET: 0.36, "other/x-fp32-b1": 1}
    )
    page = page_of(changed(inputs, "verify", limits=limits), "figures", "verdict")
    figures = words(page, "figures")
    assert "latency on other/x-fp32-b1 ? not measured" in figures
    assert "MACs, lower bound ✕ not met" in figures
    assert "parameters ✓ met" in figures
    assert "✕ Limits not met" in words(page, "verdict")


def test_one_epoch_one_generation_one_candidate(inputs: ReportInputs) -> None:
    one = changed(inputs, "train", epochs=inputs.train.epochs[:1])
    evaluated = inputs.search.evaluated[:1]
    page_of(
        changed(one, "search", hypervolume=(0.41,), evaluated=evaluated, front=(0,), ranking=(0,))
    )


def test_a_search_without_scores_draws_no_cloud(inputs: ReportInputs) -> None:
    unscored = tuple(
        c.model_copy(update={"accuracy_percent": None}) for c in inputs.search.evaluated[:5]
    )
    page = page_of(changed(inputs, "search", evaluated=unscored, front=(), ranking=()), "front")
    assert "no network was scored" in words(page, "front")
