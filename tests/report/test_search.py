"""What the page says of a search with several targets, input sizes, proofs and comparisons."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.records.search import SearchRecord
from pipeline.report import ReportInputs, summarise
from pipeline.report.markdown import render_markdown
from pipeline.report.search_tables import nearest_table
from tests.report import made_up_search
from tests.report.made_up import changed, without
from tests.report.made_up_measuring import TARGET
from tests.report.made_up_search import ELSEWHERE, OTHER
from tests.report.reading import Element, headings, page_of, plain, rows_of, titled, words


@pytest.fixture(scope="module")
def everything() -> ReportInputs:
    return made_up_search.inputs()


@pytest.fixture(scope="module")
def search(everything: ReportInputs) -> SearchRecord:
    return everything.search


@pytest.fixture(scope="module")
def whole(everything: ReportInputs) -> Element:
    return page_of(everything)


def with_search(inputs: ReportInputs, **fields: object) -> Element:
    return page_of(changed(inputs, "search", **fields))


def plots(page: Element) -> list[Element]:
    """The wide picture of each figure of the front."""
    return [figure.all("svg", role="img")[0] for figure in page.by_id("front").all("figure")]


def legends(page: Element) -> list[list[str]]:
    return [
        [plain(item.words).strip() for item in figure.all("ul")[0].all("li")]
        for figure in page.by_id("front").all("figure")
    ]


def test_a_figure_for_each_target_and_the_front_on_the_searched_one(whole: Element) -> None:
    titles = [f.all("h3")[0].words for f in whole.by_id("front").all("figure")]
    assert titles == [
        f"Accuracy against latency on {TARGET}",
        f"The same networks against latency on {OTHER}",
        f"The same networks against latency on {ELSEWHERE}",
        "The same networks by MACs",
    ]
    lines = [len(plot.all("polyline", **{"class": "front"})) for plot in plots(whole)]
    assert lines == [1, 0, 0, 0]
    exact = [len(plot.all("polyline", **{"class": "exact-front"})) for plot in plots(whole)]
    assert exact == [1, 0, 0, 0]
    limits = [plain(plot.all("text", **{"class": "limit-label"})[0].words) for plot in plots(whole)]
    assert limits == ["limit 0.62 ms", "limit 0.4 ms", "limit 0.2 ms", "limit 40 M MACs"]
    first, *others = legends(whole)
    assert "exact front of the surrogate" in first
    assert all("exact front of the surrogate" not in legend for legend in others)
    assert f"on the front of accuracy and latency on {TARGET}" in others[0]


def test_input_sizes_differ_in_shape_and_the_legend_names_them(
    whole: Element, search: SearchRecord
) -> None:
    sizes = [c.architecture.resolution for c in search.evaluated if c.violation <= 0]
    for plot in plots(whole):
        for place, size in enumerate(made_up_search.SIZES):
            path = plot.all("path", **{"class": f"size-{place}"})[0].attributes["d"] or ""
            assert path.count("M") == sizes.count(size)
        assert plot.all("path", **{"class": "cloud"}) == []
    for legend in legends(whole):
        assert legend[:2] == ["64 pixels, scored, within every limit", "96 pixels, likewise"]
    keys = whole.by_id("front").all("svg", **{"class": "key"})
    assert keys[0].all("path", **{"class": "size-0"})
    assert keys[1].all("path", **{"class": "size-1"})


def test_published_models_stand_at_their_scores_or_at_the_bottom_edge(whole: Element) -> None:
    for plot in plots(whole):
        assert len(plot.all("polygon", **{"class": "published"})) == 4
        assert len(plot.all("polygon", **{"class": "published unscored"})) == 2
        names = [text.words for text in plot.all("text", **{"class": "published-label"})]
        assert sorted(names) == ["cream-114", "cream-14", "cream-287", "cream-43", "cream-481",
                                 "cream-604"]  # fmt: skip
    figure = whole.by_id("front").all("figure")[0]
    table = figure.all("details")[1].all("table")[0]
    rows = {row[0]: row for row in rows_of(table)}
    assert rows["cream-604"][1] == "not in the hypernetwork"
    assert "over" in rows["cream-604"][8]
    assert rows["cream-43"][8] == "within"


def test_a_published_model_far_away_is_named_in_the_caption(
    everything: ReportInputs, search: SearchRecord
) -> None:
    far = search.published[-1]
    guess = far.latency_ms[TARGET]
    slow = guess.model_copy(update={"typical": 30.0})
    moved = far.model_copy(update={"latency_ms": {**far.latency_ms, TARGET: slow}})
    page = with_search(everything, published=(*search.published[:-1], moved))
    assert "Too far away to be drawn: cream-604 (30.0 ms)" in words(page, "front")
    first = plots(page)[0]
    names = [text.words for text in first.all("text", **{"class": "published-label"})]
    assert "cream-604" not in names


def test_the_margin_of_a_confidence_is_told(whole: Element, everything: ReportInputs) -> None:
    front = words(whole, "front")
    assert "Latency limits are to hold with 90 % confidence" in front
    assert "1.28 times its standard uncertainty" in front
    assert f"ms on {OTHER}" in front
    certain = everything.search.limits.model_copy(update={"confidence": 0.5})
    assert "confidence" not in words(with_search(everything, limits=certain), "front")


def test_the_candidates_table_has_a_column_for_each_target(whole: Element) -> None:
    table = whole.by_id("front").all("table")[0]
    assert headings(table) == [
        "No.",
        "Top-1, %",
        "Log-loss, nats",
        "Expected top-1",
        *(f"Predicted on {target}" for target in (TARGET, OTHER, ELSEWHERE)),
        *(f"Measured on {target}" for target in (TARGET, OTHER)),
        "MACs",
        "Parameters",
        "Input, px",
        "Status",
        "Network",
    ]


def test_targets_of_one_device_are_headed_without_it(
    everything: ReportInputs, search: SearchRecord
) -> None:
    def here(candidate):
        known = {t: g for t, g in candidate.latency_ms.items() if t != ELSEWHERE}
        return candidate.model_copy(update={"latency_ms": known})

    limits = search.limits.model_copy(update={"latency_ms": {TARGET: 0.62, OTHER: 0.4}})
    evaluated = tuple(map(here, search.evaluated))
    page = with_search(everything, limits=limits, evaluated=evaluated)
    shown = headings(page.by_id("front").all("table")[0])
    assert shown[4:6] == ["Predicted on onnxruntime-fp32-b1-t1", "Predicted on openvino-int8-b1-t2"]


def test_the_winner_of_a_target_alone_is_marked_on_its_figure(whole: Element) -> None:
    own = [len(plot.all("polygon", **{"class": "own-best"})) for plot in plots(whole)]
    assert own == [1, 1, 0, 0]


def test_without_a_verification_the_choice_stands_where_it_is_predicted(
    everything: ReportInputs,
) -> None:
    page = page_of(without(everything, "verify", "retrain", "export", "benchmark"))
    for plot in plots(page):
        assert len(plot.all("polygon", **{"class": "winner"})) == 1
    labels = [plot.all("text", **{"class": "winner-label"})[0].words for plot in plots(page)]
    assert labels[0].startswith("chosen, predicted: ")
    assert labels[3].startswith("chosen: ")


def test_a_score_is_told_with_what_is_expected_by_it(whole: Element, search: SearchRecord) -> None:
    row = rows_of(whole.by_id("front").all("table")[0])[0]
    best = max((search.evaluated[i] for i in search.front), key=lambda it: it.accuracy_percent)
    assert row[1] == f"{best.accuracy_percent:.1f} %"
    assert row[2] == f"{best.log_loss_nats:.4f}"
    # 0.004 nats worse at 40 points a nat.
    assert row[3] == f"{best.accuracy_percent - 0.16:.1f} ± 0.2 %"
    axis = [text.words for text in plots(whole)[0].all("text")]
    assert "expected top-1 on search-validation, %" in axis
    assert "told as accuracy, 0.40 points for 0.01 nats." in words(whole, "front")


def test_luck_and_noise_are_told(whole: Element, search: SearchRecord) -> None:
    section = words(whole, "search")
    best = search.evaluated[search.ranking[0]]
    assert f"{made_up_search.REMARK[1:]}." in section
    assert "owes 0.0040 ± 0.0060 nats (0.16 points) to luck" in section
    expected = f"{best.log_loss_nats + 0.004:.4f} ± 0.0060 nats"
    assert f"Expected of the chosen one on other images: {expected}" in section
    facts = dict(rows_of(titled(whole, "search", "The search in numbers")))
    assert facts["… of which their errors make"] == "0.0090"
    assert facts["… and networks, of their variance"] == "64 %"


def test_scores_that_counted_hits_are_shown_as_they_are(everything: ReportInputs) -> None:
    hits = [
        it.model_copy(update={"log_loss_nats": None, "expected_nats": None})
        for it in everything.search.evaluated
    ]
    page = with_search(everything, evaluated=tuple(hits), scores=None, scale=None, luck=None)
    assert headings(page.by_id("front").all("table")[0])[1:3] == [
        "Top-1, %",
        f"Predicted on {TARGET}",
    ]
    axis = [text.words for text in plots(page)[0].all("text")]
    assert "top-1 on search-validation, %" in axis
    assert "nats" not in words(page, "front") + words(page, "search")


def test_what_training_says_of_scores_is_told_beside_its_curves(everything: ReportInputs) -> None:
    remark = "scores are near those of guessing, it is made up (train.epochs)"
    page = page_of(changed(everything, "train", remarks=(remark,)))
    assert f"{remark[1:]}." in words(page, "accuracy")


def test_what_is_proved_and_how_good_the_surrogate_is(whole: Element) -> None:
    section = words(whole, "search")
    assert (
        "Within the limits the surrogate's best has 87.39 %, and no network has more: proved."
        in (section)
    )
    assert "Its front has 1 204 networks (13 of them kept), and no other lies above it" in section
    assert "errs by 0.31 to 0.44 points" in section
    assert "gives away 0.17 points against its best" in section
    exact = titled(whole, "front", "Exact front of the surrogate")
    assert len(exact.all("tbody")[0].all("tr")) == 13


def test_a_gap_that_is_left_open_is_told(everything: ReportInputs, search: SearchRecord) -> None:
    page = with_search(
        everything, exact=made_up_search.exact_search(search.evaluated, complete=False)
    )
    section = words(page, "search")
    assert (
        "no network has more than 87.51 %: proved, with a gap of 0.12 points left open" in section
    )
    assert "no unknown one lies more than 0.20 points above it" in section


def test_input_sizes_and_what_the_best_single_one_would_have_lost(whole: Element) -> None:
    assert (
        "The best single input size is 64 pixels: its own front dominates 41.2 %, that of all"
        " sizes together 43.0 %. Searching it alone would have lost up to 0.90 points"
    ) in words(whole, "search")
    table = titled(whole, "search", "Input sizes, searched together")
    small, large = rows_of(table)
    assert (small[0], small[4:]) == (
        "64", ["41.20 %", "0.90 points", "0.31 points", "1.42 points", "0.81"],
    )  # fmt: skip
    assert large[5] == "3.10 points"
    assert table.all("tr", **{"class": "marked"})[0].all("td")[0].words == "64"


def test_a_winner_for_each_target_and_what_sharing_costs(whole: Element) -> None:
    assert f"costs 0.00 points on {TARGET}, 0.42 points on {OTHER}." in words(whole, "search")
    table = titled(whole, "search", "The best network of each target")
    rows = rows_of(table)
    assert [row[0] for row in rows] == [TARGET, OTHER, ELSEWHERE]
    assert [row[6] for row in rows] == ["0.00 points", "0.42 points", "–"]
    assert rows[2][2] == "none within"


def test_drop_outs_with_their_round_on_each_target(whole: Element) -> None:
    section = words(whole, "search")
    assert "4 candidates of the search measured on the device in 2 rounds; 2 dropped" in section
    table = titled(whole, "search", "Verified candidates")
    assert headings(table) == ["Rank", "Round", "Verdict", "Top-1", "MACs", "Why", "Network"]
    rows = rows_of(table)
    assert [row[1] for row in rows] == ["1", "1", "2", "2"]
    assert [row[2] for row in rows] == ["✕ dropped", "✕ dropped", "✓ chosen", "✓ within"]
    assert rows[1][5] == f"2.1 % over the limit on {OTHER}"
    there = titled(whole, "search", f"The same on {OTHER}, limit 0.4 ms")
    assert headings(there) == ["Rank", "Predicted when chosen", "Measured", "Room"]
    assert rows_of(there)[1][3] == "−2.1 %"


def test_the_prediction_beside_a_measurement_is_that_of_its_round(
    whole: Element, everything: ReportInputs
) -> None:
    third = everything.verify.candidates[2]
    here = titled(whole, "search", f"The same on {TARGET}, limit 0.62 ms")
    shown = float(rows_of(here)[2][1].split()[0])
    assert shown == pytest.approx(third.expected_ms[TARGET].typical, abs=6e-4)
    assert shown != pytest.approx(third.candidate.latency_ms[TARGET].typical, abs=6e-4)


def test_a_target_that_could_not_be_measured_is_told_with_why(whole: Element) -> None:
    sentence = (
        f"{ELSEWHERE} could not be measured here: no runtime tensorrt on this machine. There the"
        " prediction decides."
    )
    for section in ("verdict", "search"):
        assert sentence in words(whole, section)
    assert "? Not all limits measured" in words(whole, "verdict")
    assert "meets the limits that could be measured" in words(whole, "verdict")


def test_each_target_has_its_own_control_and_steadiness(whole: Element) -> None:
    method = words(whole, "method")
    assert f"verify, {TARGET} sweeps agreed" in method
    assert f"verify, {OTHER} the time was up, without agreeing" in method
    rows = rows_of(titled(whole, "method", "The control network"))
    assert [row[0] for row in rows] == [
        "profile", f"verify, {TARGET}", f"verify, {OTHER}", "benchmark",
    ]  # fmt: skip
    drifts = [row[2] for row in rows]
    assert drifts == ["–", "+1.0 %", "–", "+1.2 %"]


def test_the_curve_is_that_of_the_hypervolume(whole: Element) -> None:
    figure = whole.by_id("search").all("figure")[0]
    assert figure.all("h3")[0].words == "The front by generation"
    rows = rows_of(figure.all("table")[0])
    assert rows[0] == ["1", "31.00 %"]
    assert rows[-1] == ["6", "43.00 %"]


def test_an_infeasible_search_shows_the_nearest_against_each_limit(
    everything: ReportInputs,
) -> None:
    left = without(everything, "verify", "retrain", "export", "benchmark")
    page = page_of(
        left.model_copy(update={"search": made_up_search.infeasible_record()}), "front", "search"
    )
    assert "no network was scored" in words(page, "front")
    section = words(page, "search")
    assert "misses its worst limit by" in section
    rows = rows_of(titled(page, "search", "The nearest architecture"))
    assert rows[0] == ["MACs, at most", "9 M", "10.3 M", "✕ 14.45 %"]
    assert rows[1][3] == "✓ within"
    assert rows[2][3].startswith("✕ ")


def test_a_margin_counts_for_the_nearest_too() -> None:
    record = made_up_search.infeasible_record()
    guess = record.nearest.latency_ms[TARGET]
    limits = record.limits.model_copy(update={"latency_ms": {TARGET: guess.typical}})
    assert nearest_table(limits, record.nearest).rows[-1][3].text == "✓ within"
    sure = limits.model_copy(update={"confidence": 0.9})
    assert nearest_table(sure, record.nearest).rows[-1][3].text.startswith("✕ 1.92")


def test_markdown_tells_the_same(everything: ReportInputs) -> None:
    text = plain(render_markdown(everything, summarise(everything)))
    for phrase in (
        "no network has more: proved",
        made_up_search.REMARK[1:],
        "nats (0.16 points) to luck",
        "Searching it alone would have lost up to 0.90 points",
        "0.42 points on host/openvino-int8-b1-t2",
        "could not be measured here: no runtime tensorrt",
        f"The same on {OTHER}, limit 0.4 ms",
    ):
        assert phrase in text, phrase


def test_one_candidate_of_a_search_of_several_sizes(everything: ReportInputs) -> None:
    rng = np.random.default_rng(0)
    one = made_up_search.search_record(rng, count=40)
    first = one.ranking[0]
    with_search(
        everything.model_copy(update={"search": one}),
        evaluated=(one.evaluated[first],),
        ranking=(0,),
        front=(0,),
        per_target=(),
        resolutions=(),
        luck=None,
        hypervolume=(0.2,),
    )
