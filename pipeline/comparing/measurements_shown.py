"""Compared measurements for people: a table a target, and what decided."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.comparing.measurements import ComparisonRecord, SubjectComparison
from pipeline.comparing.showing import Grid, Shown, show_change
from pipeline.comparing.sides import ComparedSide
from pipeline.comparing.targets import TargetsComparison

_LISTED = 8
_COLUMNS = ("subject", "A ms", "B ms", "change %", "relative to control %", "p", "verdict")
_BASES = {
    "raw and relative": "a change counts if it stands out by itself and relative to the control "
    "network",
    "raw": "machine, software, target or control network differ (or no control network is known): "
    "the control network says nothing of the machine alone, so the change as measured counts, "
    "within what a whole machine moves by",
}


def show_targets(found: TargetsComparison) -> Iterator[Shown]:
    """Everything of a comparison, target by target."""
    for record in found.targets:
        yield from _record(record)
    yield from (f"{target} is not compared: {why}" for target, why in found.not_compared.items())


def show_latencies(found: TargetsComparison) -> Iterator[Shown]:
    """Only the tables, as a part of something larger."""
    yield from (latency_table(record) for record in found.targets)
    yield from (f"{target} is not compared: {why}" for target, why in found.not_compared.items())


def latency_table(record: ComparisonRecord) -> Grid:
    """A row a subject, the slowest change first."""
    subjects = sorted(record.subjects, key=lambda subject: subject.raw.percent, reverse=True)
    target = record.first.target.rpartition("/")[2]
    return Grid(
        f"Latency on {target}: what B takes beyond A, with 95 % intervals; p is corrected for the "
        "number of subjects",
        _COLUMNS,
        [_row(subject) for subject in subjects],
    )


def _record(record: ComparisonRecord) -> Iterator[Shown]:
    yield f"A: {_told(record.first)}"
    yield f"B: {_told(record.second)}"
    yield f"differing: {', '.join(record.differing) or 'no condition'}"
    yield f"control network: {show_change(record.control)}"
    yield _BASES[record.decided_by]
    yield latency_table(record)
    yield from _listed("only in A", record.only_in_first)
    yield from _listed("only in B", record.only_in_second)
    for side in (record.first, record.second):
        yield from (f"{side.given}: {name} failed: {why}" for name, why in side.failed.items())
    relative = record.mean_relative_percent
    told = "" if relative is None else f", {relative:+.2f} % relative to the control network"
    floor = max(subject.floor_percent for subject in record.subjects)
    yield (
        f"geometric mean {record.mean_change_percent:+.2f} %{told}: {record.slower} slower, "
        f"{record.faster} faster, {record.unchanged} without change beyond noise "
        f"(p < {record.significance:g}, at least {floor:.2g} %)"
    )


def _told(side: ComparedSide) -> str:
    return f"{side.target}  {side.path}"


def _row(subject: SubjectComparison) -> list[str]:
    return [
        subject.name,
        f"{subject.first_ms:.4f}",
        f"{subject.second_ms:.4f}",
        show_change(subject.raw),
        show_change(subject.relative),
        f"{subject.p_adjusted:.2g}",
        subject.verdict,
    ]


def _listed(title: str, names: tuple[str, ...]) -> Iterator[str]:
    if names:
        more = len(names) - _LISTED
        rest = f" … and {more} more (all with --json)" if more > 0 else ""
        yield f"{title}: {', '.join(names[:_LISTED])}{rest}"
