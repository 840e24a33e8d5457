"""What changed between two runs, in one line each, and which of it is a regression.

A regression is a model that is slower on some target beyond noise, an accuracy that is lower
beyond noise, or a limit that was met and no longer is. A larger network or file is told and is
none by itself: what it costs shows in these.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.comparing.accuracies import AccuracyComparison
from pipeline.comparing.limits import LimitComparison
from pipeline.comparing.measurements import (
    FLOOR_PERCENT,
    UNCHANGED,
    ComparisonRecord,
    SubjectComparison,
)
from pipeline.comparing.models import ModelComparison, change_percent
from pipeline.comparing.targets import TargetsComparison
from pipeline.files.record import Record
from pipeline.report.formatting import count, file_size, milliseconds, percent, signed_percent
from pipeline.report.limits import LimitCheck, limit_words


class Finding(Record):
    """One thing that changed beyond noise, in words."""

    words: str
    is_regression: bool


def find(
    model: ModelComparison,
    latency: TargetsComparison | None,
    accuracies: tuple[AccuracyComparison, ...],
    limits: tuple[LimitComparison, ...],
) -> tuple[Finding, ...]:
    """Everything that changed, regressions first."""
    found = [
        *_of_model(model),
        *(it for record in (latency.targets if latency else ()) for it in _of_latency(record)),
        *_of_accuracies(accuracies),
        *_of_limits(limits),
    ]
    return tuple(sorted(found, key=lambda finding: not finding.is_regression))


def _of_model(model: ModelComparison) -> Iterator[Finding]:
    for difference in model.differences:
        yield _told(f"architecture, {difference}")
    counts = (
        ("MACs", model.first_macs, model.second_macs),
        ("parameters", model.first_params, model.second_params),
    )
    for what, before, after in counts:
        change = change_percent(before, after)
        if change and before is not None and after is not None:
            yield _told(f"{what} {count(before)} → {count(after)} ({signed_percent(change)})")
    for file in model.files:
        if file.first_bytes is None or file.second_bytes is None:
            yield _told(f"file {file.file} only in {'B' if file.first_bytes is None else 'A'}")
            continue
        change = file.change_percent or 0.0
        if abs(change) >= FLOOR_PERCENT:
            sizes = f"{file_size(file.first_bytes)} → {file_size(file.second_bytes)}"
            yield _told(f"file {file.file} {sizes} ({signed_percent(change)})")


def _of_latency(record: ComparisonRecord) -> Iterator[Finding]:
    # A network that is the same on both sides cannot change where nothing else did.
    certain = record.decided_by == "raw and relative"
    setting = record.first.target.rpartition("/")[2]
    for subject in record.subjects:
        if subject.verdict == UNCHANGED or (subject.is_reference and certain):
            continue
        slower = subject.verdict == "slower" and not subject.is_reference
        yield _told(_latency_words(subject, setting), is_regression=slower)


def _latency_words(subject: SubjectComparison, setting: str) -> str:
    raw = subject.raw
    return (
        f"{subject.name} is {subject.verdict} on {setting}: {milliseconds(subject.first_ms)} → "
        f"{milliseconds(subject.second_ms)} ({signed_percent(raw.percent)}, 95 % interval "
        f"{signed_percent(raw.low_percent)} to {signed_percent(raw.high_percent)})"
    )


def _of_accuracies(accuracies: tuple[AccuracyComparison, ...]) -> Iterator[Finding]:
    for it in accuracies:
        if it.verdict == UNCHANGED:
            continue
        words = (
            f"{it.what} is {'less' if it.verdict == 'lower' else 'more'} accurate on {it.split}: "
            f"{percent(it.first_percent, 2)} → {percent(it.second_percent, 2)} "
            f"({it.difference_points:+.2f} points, 95 % interval {it.low_points:+.2f} to "
            f"{it.high_points:+.2f})"
        )
        yield _told(words, is_regression=it.verdict == "lower")


def _of_limits(limits: tuple[LimitComparison, ...]) -> Iterator[Finding]:
    for it in limits:
        if it.first is None or it.second is None:
            yield _told(f"limit on {it.what} only in {'B' if it.first is None else 'A'}")
        elif it.outcome == "not met now":
            yield _told(f"a limit is no longer met: {_both(it.first, it.second)}", True)
        elif it.outcome == "met now":
            yield _told(f"a limit is met that was not: {_both(it.first, it.second)}")


def _both(first: LimitCheck, second: LimitCheck) -> str:
    return f"{limit_words(first)} → {limit_words(second)}"


def _told(words: str, is_regression: bool = False) -> Finding:
    return Finding(words=words, is_regression=is_regression)
