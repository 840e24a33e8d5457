"""Limits of two runs: met or not, as measured on either side."""

from __future__ import annotations

from typing import Literal

from pipeline.comparing.measurements import UNCHANGED
from pipeline.files.record import Record
from pipeline.report import ReportInputs, summarise
from pipeline.report.limits import LimitCheck, Quantity, limit_name

LimitOutcome = Literal[
    "met now", "not met now", "not met now, within noise", "as before", "not compared"
]


class LimitComparison(Record):
    """One limit, on both sides; None where a run does not have it.

    Attributes:
        quantity: What is limited.
        target: Where, for a latency.
        outcome: `not met now`: it was met in the first and is not in the second. `…, within
            noise`: the same, of a latency that did not change beyond noise, under limits that were
            asked for alike. `not compared`: a run does not have it, or has not measured it.
    """

    quantity: Quantity
    target: str | None
    first: LimitCheck | None
    second: LimitCheck | None
    outcome: LimitOutcome

    @property
    def what(self) -> str:
        """The limit in words."""
        return limit_name(self.quantity, self.target)


def compare_limits(
    first: ReportInputs, second: ReportInputs, latency_verdicts: dict[str, str]
) -> tuple[LimitComparison, ...]:
    """Compares each limit that either run has.

    Args:
        first: One run.
        second: The other.
        latency_verdicts: What the comparison of the model's latency says, by target without its
            device.
    """
    one, other = ({_place(c): c for c in summarise(run).limits} for run in (first, second))
    asked_alike = first.recipe.get("limits") == second.recipe.get("limits")
    return tuple(
        LimitComparison(
            quantity=(one.get(place) or other[place]).quantity,
            target=(one.get(place) or other[place]).target,
            first=one.get(place),
            second=other.get(place),
            outcome=_outcome(
                one.get(place),
                other.get(place),
                in_noise=asked_alike and latency_verdicts.get(place[1]) == UNCHANGED,
            ),
        )
        for place in {**one, **other}
    )


def _place(check: LimitCheck) -> tuple[str, str]:
    return check.quantity, (check.target or "").rpartition("/")[2]


def _outcome(
    first: LimitCheck | None, second: LimitCheck | None, *, in_noise: bool
) -> LimitOutcome:
    verdicts = {check.verdict if check else "not measured" for check in (first, second)}
    if first is None or second is None or "not measured" in verdicts:
        return "not compared"
    if first.verdict == second.verdict:
        return "as before"
    if second.verdict == "met":
        return "met now"
    return "not met now, within noise" if in_noise else "not met now"
