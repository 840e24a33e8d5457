"""Benchmarks on several targets: which are compared, and why the others are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.comparing.sides import Measured, of_benchmark
from pipeline.comparing.targets import compare_measured
from pipeline.errors import UsageError
from pipeline.records.benchmark import BenchmarkRecord
from tests.comparing.made_up_runs import OTHER_TARGET, campaign
from tests.report.made_up_measuring import TARGET

FP32, INT8 = (target.partition("/")[2] for target in (TARGET, OTHER_TARGET))


def sides(record: BenchmarkRecord) -> tuple[Measured, ...]:
    return of_benchmark("given", Path("record.json"), record)


def on_one_target(record: BenchmarkRecord, target: str) -> BenchmarkRecord:
    results = tuple(it for it in record.results if it.target == target)
    return record.model_copy(update={"results": results})


def test_targets_are_matched_by_what_they_are() -> None:
    found = compare_measured(sides(campaign(1)), sides(campaign(2, model=1.2)))
    assert [it.first.target.rpartition("/")[2] for it in found.targets] == [FP32, INT8]
    assert [it.slower for it in found.targets] == [1, 1]
    assert found.slower == 2
    assert found.not_compared == {}


def test_a_target_of_one_side_is_told() -> None:
    found = compare_measured(sides(campaign(1)), sides(on_one_target(campaign(2), TARGET)))
    assert [it.first.target.rpartition("/")[2] for it in found.targets] == [FP32]
    assert found.not_compared == {INT8: "measured in A only"}


def test_a_target_that_failed_is_told_with_its_reason() -> None:
    record = campaign(2)
    failed = tuple(
        it.model_copy(update={"latency_ms": None, "error": "no such engine"})
        if it.target == OTHER_TARGET
        else it
        for it in record.results
    )
    broken = record.model_copy(update={"results": failed, "others": {}})
    found = compare_measured(sides(campaign(1)), sides(broken))
    assert found.not_compared == {INT8: "B: no such engine"}


def test_single_targets_are_compared_even_where_they_are_two() -> None:
    first, second = on_one_target(campaign(1), TARGET), on_one_target(campaign(2), OTHER_TARGET)
    second = second.model_copy(update={"control": campaign(2).others[OTHER_TARGET].control})
    (record,) = compare_measured(sides(first), sides(second)).targets
    assert record.decided_by == "raw"
    assert "target" in record.differing


def test_nothing_in_common_is_an_error() -> None:
    first = on_one_target(campaign(1), TARGET)
    other = tuple(it.model_copy(update={"name": f"other {it.name}"}) for it in first.results)
    second = first.model_copy(update={"results": other})
    with pytest.raises(UsageError, match="no subject in common"):
        compare_measured(sides(first), sides(second))
