"""What the command line does with two measurements: tell what changed."""

from __future__ import annotations

from pipeline.comparison import Change, ComparisonRecord, SubjectComparison, compare
from pipeline.comparison_sides import ComparedSide, read_measured
from pipeline.console import note, print_json, print_line, print_table

_LISTED = 8
_COLUMNS = ("subject", "A ms", "B ms", "change %", "relative to control %", "p", "verdict")
_BASES = {
    "raw and relative": "a change counts if it stands out by itself and relative to the control "
    "network",
    "raw": "machine, software, target or control network differ (or no control network is known): "
    "the control network says nothing of the machine alone, so the change as measured counts, "
    "within what a whole machine moves by",
}


def compare_two(first: str, second: str, *, as_json: bool) -> int:
    """Compares two measurements and prints what changed.

    Returns:
        How many subjects are slower.
    """
    record = compare(read_measured(first), read_measured(second))
    if as_json:
        print_json(record)
    else:
        _render(record)
    return record.slower


def _render(record: ComparisonRecord) -> None:
    print_line(f"A: {_told(record.first)}")
    print_line(f"B: {_told(record.second)}")
    print_line(f"differing: {', '.join(record.differing) or 'no condition'}")
    print_line(f"control network: {_shown(record.control)}")
    print_line(_BASES[record.decided_by])
    print_table(
        "What B takes beyond A, with 95 % intervals; p is corrected for the number of subjects",
        _COLUMNS,
        [
            _row(subject)
            for subject in sorted(record.subjects, key=lambda s: s.raw.percent, reverse=True)
        ],
    )
    _list("only in A", record.only_in_first)
    _list("only in B", record.only_in_second)
    for side in (record.first, record.second):
        for name, why in side.failed.items():
            note(f"{side.given}: {name} failed: {why}")
    relative = record.mean_relative_percent
    told = "" if relative is None else f", {relative:+.2f} % relative to the control network"
    print_line(
        f"geometric mean {record.mean_change_percent:+.2f} %{told}: {record.slower} slower, "
        f"{record.faster} faster, {record.unchanged} without change beyond noise "
        f"(p < {record.significance:g}, at least {record.floor_percent:g} %)"
    )


def _told(side: ComparedSide) -> str:
    return f"{side.target}  {side.path}"


def _row(subject: SubjectComparison) -> list[str]:
    return [
        subject.name,
        f"{subject.first_ms:.4f}",
        f"{subject.second_ms:.4f}",
        _shown(subject.raw),
        _shown(subject.relative),
        f"{subject.p_adjusted:.2g}",
        subject.verdict,
    ]


def _shown(change: Change | None) -> str:
    if change is None:
        return "-"
    return f"{change.percent:+.2f} [{change.low_percent:+.2f}, {change.high_percent:+.2f}]"


def _list(title: str, names: tuple[str, ...]) -> None:
    if names:
        more = len(names) - _LISTED
        rest = f" … and {more} more (all with --json)" if more > 0 else ""
        print_line(f"{title}: {', '.join(names[:_LISTED])}{rest}")
