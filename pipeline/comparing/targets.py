"""Measurements on one or several targets, compared target by target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field

from pipeline.comparing.measurements import ComparisonRecord, Pair, compare_pairs
from pipeline.comparing.sides import Kind, Measured
from pipeline.errors import UsageError
from pipeline.files.record import Record

_WORDS: dict[Kind, str] = {"table": "a latency table", "benchmark": "a benchmark"}


class TargetsComparison(Record):
    """Two tables, or two benchmarks, compared.

    Attributes:
        targets: One comparison a target, p corrected for the subjects of all of them.
        not_compared: Why a target is not among them.
        slower: Subjects that are slower, on all targets.
    """

    targets: tuple[ComparisonRecord, ...]
    not_compared: dict[str, str] = Field(default_factory=dict)
    slower: int


def compare_measured(first: Sequence[Measured], second: Sequence[Measured]) -> TargetsComparison:
    """Compares two measurements of the same kind.

    Args:
        first: One side, a target at a time; of at least one target.
        second: The other.

    Raises:
        UsageError: They are of different kinds, or have no subject in common.
        MeasurementError: A side lacks the fastest runs of visits.
    """
    one, other = first[0], second[0]
    if one.kind != other.kind:
        raise UsageError(
            f"{one.side.given} is {_WORDS[one.kind]} and {other.side.given} is "
            f"{_WORDS[other.kind]}; only two of a kind can be compared",
            hint="two targets or tables, or two runs or benchmark records",
        )
    found = compare_targets(first, second)
    if not found.targets:
        sizes = [sum(len(it.stats) for it in side) for side in (first, second)]
        raise UsageError(
            f"{one.side.given} and {other.side.given} have no subject in common "
            f"({sizes[0]} and {sizes[1]} subjects)"
        )
    return found


def compare_targets(first: Sequence[Measured], second: Sequence[Measured]) -> TargetsComparison:
    """Compares what can be compared, and says of the rest why not.

    Targets are matched by what they are apart from the device; where each side has only one, those
    are.

    Raises:
        MeasurementError: A side lacks the fastest runs of visits.
    """
    pairs = list(_matched(first, second))
    comparable = [pair for pair in pairs if pair[0].stats.keys() & pair[1].stats.keys()]
    missing = dict(_unmatched(first, second, pairs))
    missing |= {pair[0].setting: _why_not(pair) for pair in pairs if pair not in comparable}
    targets = compare_pairs(comparable) if comparable else ()
    return TargetsComparison(
        targets=targets, not_compared=missing, slower=sum(it.slower for it in targets)
    )


def _matched(first: Sequence[Measured], second: Sequence[Measured]) -> Iterator[Pair]:
    if len(first) == len(second) == 1:
        yield first[0], second[0]
        return
    there = {side.setting: side for side in second}
    yield from ((side, there[side.setting]) for side in first if side.setting in there)


def _unmatched(
    first: Sequence[Measured], second: Sequence[Measured], pairs: Sequence[Pair]
) -> Iterator[tuple[str, str]]:
    matched = {side.setting for pair in pairs for side in pair}
    for name, sides in (("A", first), ("B", second)):
        yield from (
            (it.setting, f"measured in {name} only") for it in sides if it.setting not in matched
        )


def _why_not(pair: Pair) -> str:
    failures = [
        f"{name}: {why}"
        for name, side in zip("AB", pair, strict=True)
        for why in dict.fromkeys(side.side.failed.values())
        if not side.stats
    ]
    return "; ".join(failures) or "no subject in common"
