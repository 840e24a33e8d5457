"""What else could have been taken: the sentence at the top, the table and the picture."""

from typing import Any

import pytest

from pipeline.report.alternative_words import alternative_words
from pipeline.report.inputs import ReportInputs
from pipeline.report.markdown import render_markdown
from pipeline.report.summary import summarise
from tests.report.made_up import changed, with_trial, without
from tests.report.reading import cells, headings, page_of, plain, rows_of, titled, words

ENDS = [
    # The winner has 92.41 % on 10,000 test images.
    (88.2, "4.21 points above the best off-the-shelf network within the limits"),
    (
        95.0,
        "Take mobilenetv3_small_100 at 64 px: 95.0 ± 0.2 % on test at 0.310 ms, 2.59 points above",
    ),
    (92.3, "as accurate as the best off-the-shelf network within the limits"),
    (92.6, "mobilenetv3_small_100 at 64 px is 1.11 times as fast."),
]


@pytest.mark.parametrize(("test_percent", "expected"), ENDS)
def test_after_whole_trainings_test_decides(
    inputs: ReportInputs, test_percent: float, expected: str
) -> None:
    told = plain(alternative_words(with_trial(inputs, test_percent)))
    assert expected in told
    assert "same data, same recipe, but begun from nothing" in told
    assert plain(summarise(with_trial(inputs, test_percent)).sentence).startswith(told)


def tried(inputs: ReportInputs, theirs: float, ours: float) -> ReportInputs:
    """With a trial in which two networks had such log-losses at its end."""
    run = with_trial(inputs, None)
    assert run.trial
    entrants = list(run.trial.entrants)
    for place, nats in ((0, ours), (4, theirs)):
        first, last = entrants[place].rungs
        last = last.model_copy(update={"log_loss_nats": nats})
        entrants[place] = entrants[place].model_copy(update={"rungs": (first, last)})
    return changed(run, "trial", entrants=tuple(entrants))


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [
        (0.60, 0.42, "its log-loss was lower by 0.1800 ± 0.0170 nats."),
        (0.43, 0.42, "they cannot be told apart yet. mobilenetv3_small_100 at 64 px is 1.11 times"),
        (0.30, 0.42, "was better, by 0.1200 ± 0.0170 nats; train both to the end"),
    ],
)
def test_before_that_the_trials_do(
    inputs: ReportInputs, theirs: float, ours: float, expected: str
) -> None:
    told = plain(alternative_words(tried(inputs, theirs, ours)))
    assert told.startswith("After 3.8 of 10 epochs the chosen network had 83.2 % of")
    assert expected in told


def test_where_none_is_within_the_limits_it_says_so(inputs: ReportInputs) -> None:
    told = plain(alternative_words(changed(inputs, "trial", off_the_shelf=None)))
    assert told == (
        "None of 3 off-the-shelf networks (mobilenetv3_small_100, lcnet_100, efficientnet_lite0) "
        "is within the limits at any input size."
    )


@pytest.mark.parametrize("change", [{"winner": None}, None])
def test_without_trials_nothing_is_claimed(
    inputs: ReportInputs, change: dict[str, Any] | None
) -> None:
    left = without(inputs, "trial")
    run = left if change is None else changed(inputs, "trial", **change)
    assert alternative_words(run) == ""
    assert summarise(run).sentence.startswith("The chosen network meets every limit")
    expected = "has not run" if change is None else "trial.candidates is 0"
    assert expected in words(page_of(run, "alternatives"), "alternatives")


def test_every_network_is_a_row_with_what_became_of_it(inputs: ReportInputs) -> None:
    page = page_of(with_trial(inputs), "alternatives")
    table = titled(page, "alternatives", "Networks of the trials")
    rows, titles = rows_of(table), headings(table)
    assert len(rows) == 7
    assert titles[4:6] == ["After 1.2 epochs", "After 3.8 epochs"]
    remarks = [row[-1] for row in rows]
    assert remarks[0].startswith("chosen; began with the hypernetwork")
    assert remarks[2].startswith("dropped after 1.2 epochs")
    assert remarks[5] == "dropped after 1.2 epochs"
    assert remarks[6].startswith("took no part: efficientnet_lite0@32c10: 0.91 ms")
    ends = [plain(row[6]) for row in rows]
    assert (ends[0], ends[4]) == ("92.4 ± 0.3 %", "88.2 ± 0.3 %")
    assert [it for place, it in enumerate(ends) if place not in (0, 4)] == ["–"] * 5
    assert cells(table.all("tr")[1])[1] == "candidate"
    nats = rows_of(titled(page, "alternatives", "Log-losses of the trials"))
    assert [plain(cell) for cell in nats[0][1:]] == ["0.6100 ± 0.0120", "0.4200 ± 0.0120"]
    assert len(nats) == 6
    assert nats[3][2] == "–"


def test_a_remark_of_the_trials_is_a_warning(inputs: ReportInputs) -> None:
    run = changed(with_trial(inputs), "trial", remarks=("who was chosen is chance",))
    assert "Who was chosen is chance." in words(page_of(run, "alternatives"), "alternatives")


def test_a_control_that_won_is_the_network_of_the_report(inputs: ReportInputs) -> None:
    run = without(with_trial(inputs), "retrain", "export", "benchmark")
    run = changed(run, "trial", winner=3)
    assert run.trial
    found = summarise(run)
    assert found.architecture == run.trial.entrants[3].architecture
    assert found.measured_ms == pytest.approx(0.21)


def test_markdown_has_it_too(inputs: ReportInputs) -> None:
    run = with_trial(inputs)
    text = render_markdown(run, summarise(run))
    assert "## What else you could have taken" in text
    assert "mobilenetv3\\_small\\_100" in text
