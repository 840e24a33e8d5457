"""What the terminal says of a search and of limits: contents, and a width that a log can hold."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pipeline.cli.search_shown import print_explanation, print_search, share_words
from pipeline.records.search import SearchRecord
from pipeline.report.formatting import notation
from pipeline.search.explanation import Explanation, Share
from tests.report import made_up, made_up_search
from tests.report.made_up_measuring import TARGET
from tests.report.made_up_search import ELSEWHERE, LIMITS, OTHER

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def everything() -> SearchRecord:
    return made_up_search.search_record(np.random.default_rng(11))


def printed(record: SearchRecord, capture: Capture) -> str:
    print_search(record)
    return capture.readouterr().out


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def explanation(**changed: object) -> Explanation:
    fields = {
        "space": "cream",
        "limits": LIMITS,
        "target": TARGET,
        "architectures": 3_100_000_000,
        "reachable": {
            64: {"macs": (7.2e6, 6.8e7), f"latency_ms/{TARGET}": (0.21, 1.9)},
            96: {"macs": (47.2e6, 6.8e8), f"latency_ms/{OTHER}": (0.1, 0.3)},
        },
        "share": Share(low=0.123, high=0.123, how="counted"),
        "feasible": True,
        "nearest": None,
        "message": "there are some (made up)",
    }
    return Explanation.model_validate({**fields, **changed})


def test_winners_and_front_with_every_target(everything: SearchRecord, capsys: Capture) -> None:
    text = printed(everything, capsys)
    best = everything.evaluated[everything.ranking[0]]
    for shown in (f"{best.accuracy_percent:.1f} %", notation(best.architecture)):
        assert shown in text
    for target in (TARGET, OTHER, ELSEWHERE):
        assert target in text
    (row,) = [line for line in text.splitlines() if re.match(r"\s+1\s+o?\s+87\.0 %", line)]
    assert row.split()[4:6] == ["86.9", "%"]
    assert row.count("±") == 3
    assert row.rstrip().endswith("96")
    for index in everything.front:
        assert notation(everything.evaluated[index].architecture) in text


def test_facts_a_line_each(everything: SearchRecord, capsys: Capture) -> None:
    text = squeezed(printed(everything, capsys))
    for phrase in (
        everything.message,
        *everything.remarks,
        "owes 0.0040 ± 0.0060 nats (0.16 points) to luck",
        "no network has more: proved",
        "errs by 0.31 to 0.44 points",
        "gives away 0.17 points",
        "Latency limits are to hold with 90 % confidence",
        "best single input size is 64 pixels",
        "0.42 points on host/openvino-int8-b1-t2",
        "Input sizes, searched together",
        "none within",
    ):
        assert phrase in text, phrase


def test_it_fits_a_log_file(everything: SearchRecord, capsys: Capture) -> None:
    text = printed(everything, capsys)
    assert "\x1b" not in text
    assert "\u00a0" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_width_that_is_told_is_kept(
    everything: SearchRecord, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = printed(everything, capsys)
    assert max(map(len, text.splitlines())) <= 80
    assert "0.601" in text


def test_a_long_front_is_thinned_and_says_so(capsys: Capture) -> None:
    record = made_up.inputs().search
    assert record is not None
    long = record.model_copy(update={"front": record.ranking[:40]})
    text = printed(long, capsys)
    assert "15 of 40 points" in text
    assert notation(long.evaluated[long.front[39]].architecture)[:20] in text


def test_nothing_found_shows_the_nearest_and_no_plot(capsys: Capture) -> None:
    record = made_up_search.infeasible_record()
    assert record.nearest is not None
    text = squeezed(printed(record, capsys))
    assert record.message in text
    assert record.nearest.architecture.short in text
    assert "MACs, at most 9 M 10.3 M ✕ 14.45 %" in text
    assert "front" not in text


def test_a_single_candidate(everything: SearchRecord, capsys: Capture) -> None:
    bare = {"per_target": (), "resolutions": (), "exact": None, "published": (), "luck": None}
    one = everything.model_copy(
        update={
            **bare,
            "evaluated": (everything.evaluated[everything.ranking[0]],),
            "ranking": (0,),
            "front": (0,),
        }
    )
    text = printed(one, capsys)
    assert "1 of 1 points" in text
    assert "@ most accurate" in text


def test_names_that_look_like_markup_stay_text(capsys: Capture) -> None:
    record = made_up_search.infeasible_record().model_copy(update={"message": "[bold]not[/] bold"})
    assert "[bold]not[/] bold" in printed(record, capsys)


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (Share(low=0.123, high=0.123, how="counted"), "12.3 % (counted)"),
        (Share(low=3.1e-7, high=3.1e-7, how="counted"), "1 in 3.23 million (counted)"),
        (
            Share(low=3.1e-7, high=3.4e-7, how="counted"),
            "between 1 in 3.23 million and 1 in 2.94 million (counted with costs rounded, certain"
            " bounds)",
        ),
        (
            Share(low=0.0, high=3e-5, how="sampled", samples=100_000),
            "at most 1 in 33.3 thousand (of 100 000 architectures drawn at random, 95 %"
            " confidence)",
        ),
        (
            Share(low=0.11, high=0.13, how="sampled", samples=3000),
            "between 11 % and 13 % (of 3 000 architectures drawn at random, 95 % confidence)",
        ),
        (Share(low=0.0, high=0.0, how="counted"), "none (counted)"),
        (Share(low=1e-20, high=1e-20, how="counted"), "1 in 1.0e+20 (counted)"),
    ],
)
def test_a_share_in_words(share: Share, told: str) -> None:
    assert squeezed(share_words(share)) == told


def test_what_is_reachable_at_each_size_beside_the_limits(capsys: Capture) -> None:
    print_explanation(explanation())
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    lines = squeezed(text)
    assert "64 MACs 7.20 M 68.0 M at most 40 M in reach" in lines
    assert "96 MACs 47.2 M 680 M at most 40 M out of reach" in lines
    assert "0.100 ms 0.300 ms at most 0.4 ms holds for all" in lines
    assert "there are some (made up)" in lines
    assert "of 3.1 billion architectures: 12.3 % (counted)." in lines
    assert "At least one architecture is within all limits: proved." in lines


def test_limits_that_nothing_meets(capsys: Capture) -> None:
    nearest = made_up_search.infeasible_record().nearest
    assert nearest is not None
    limits = LIMITS.model_copy(update={"macs": 9e6, "macs_min": 8e6})
    share = Share(low=0, high=0, how="counted")
    found = explanation(limits=limits, feasible=False, nearest=nearest, share=share)
    print_explanation(found)
    text = squeezed(capsys.readouterr().out)
    assert "at least 8 M, at most 9 M" in text
    assert "No architecture is within all limits: proved." in text
    assert nearest.architecture.short in text
    assert "✕ 14.45 %" in text
