"""Why a chosen network leaves room: what is said, by what was scored and measured."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.records.candidates import Candidate, LatencyPrediction, Limits
from pipeline.records.search import SearchRecord
from pipeline.report.room_words import room_words
from pipeline.space.architecture import Architecture
from tests.report.reading import plain

TARGET = "host/onnxruntime-fp32-b1-t1"
LIMITS = Limits(macs=10e6, latency_ms={TARGET: 1.0})


def network(name: str) -> Architecture:
    stages = (("mb4_3x3",),) * 4 + ((name,),)
    return Architecture(space="cream", resolution=32, num_classes=10, stages=stages)


SMALL, MIDDLE, LARGE = map(network, ("mb4_3x3", "mb4_5x5", "mb6_7x7"))


def scored(architecture: Architecture, macs: float, ms: float, loss: float) -> Candidate:
    return Candidate(
        architecture=architecture,
        accuracy_percent=50.0,
        log_loss_nats=loss,
        error_nats=0.01,
        expected_nats=loss,
        expected_std_nats=0.03,
        macs=int(macs),
        params=1000,
        latency_ms={TARGET: LatencyPrediction(typical=ms, std=0.04)},
        violation=0.0,
    )


def search(*candidates: Candidate, limits: Limits = LIMITS) -> SearchRecord:
    """A search whose candidates come the best first."""
    indices = tuple(range(len(candidates)))
    known: dict[str, Any] = {
        "limits": limits, "target": TARGET, "success": True, "message": "", "num_images": 100,
        "evaluated": candidates, "front": indices, "ranking": indices,
    }  # fmt: skip
    return SearchRecord.model_construct(**known)


CHOSEN = scored(SMALL, 5e6, 0.8, 1.2)
TWO_LARGER = search(CHOSEN, scored(MIDDLE, 9.5e6, 0.7, 1.24), scored(LARGE, 3e6, 0.95, 1.3))


def test_a_limit_that_is_used_up_needs_no_reason() -> None:
    assert room_words(search(scored(SMALL, 9e6, 0.1, 1.0)), SMALL) == ""
    assert room_words(search(scored(SMALL, 1e6, 0.9, 1.0)), SMALL) == ""


def test_the_margin_of_a_latency_limit_counts_as_used() -> None:
    candidate = scored(SMALL, 1e6, 0.86, 1.0)
    assert room_words(search(candidate), SMALL) != ""
    careful = LIMITS.model_copy(update={"confidence": 0.9})
    assert room_words(search(candidate, limits=careful), SMALL) == ""


@pytest.mark.parametrize(
    ("limits", "chosen"), [(Limits(), SMALL), (Limits(macs_min=1e6), SMALL), (LIMITS, None)]
)
def test_where_nothing_limits_or_is_chosen_nothing_is_said(
    limits: Limits, chosen: Architecture | None
) -> None:
    assert room_words(search(CHOSEN, limits=limits), chosen) == ""


def test_what_larger_ones_promise_is_told() -> None:
    words = plain(room_words(TWO_LARGER, SMALL))
    assert words == (
        "The chosen network uses 80.0 % of its tightest limit, as predicted. Of 2 scored networks "
        "within all that use 90 % of one, the best is expected to be worse by 0.0400 ± 0.0424 nats "
        "on other images."
    )


def test_those_over_a_limit_when_measured_are_not_the_reason() -> None:
    words = plain(room_words(TWO_LARGER, SMALL, [MIDDLE]))
    assert "1 turned out to be over a limit when measured, the best" in words
    assert "worse by 0.1000 ±" in words
    assert plain(room_words(TWO_LARGER, SMALL, [MIDDLE, LARGE])).endswith(
        "2 turned out to be over a limit when measured."
    )


def test_that_nothing_larger_was_scored_is_told() -> None:
    words = plain(room_words(search(CHOSEN), SMALL))
    assert words.endswith("No network was scored that keeps to all and uses 90 % of one.")


def test_of_a_network_that_the_search_did_not_choose_nothing_is_said() -> None:
    better = scored(MIDDLE, 9.5e6, 0.7, 1.1)
    assert room_words(search(better, CHOSEN), SMALL) == ""
    assert room_words(search(better, CHOSEN), SMALL, [MIDDLE]) != ""
