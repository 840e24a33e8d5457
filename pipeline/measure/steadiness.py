"""How steady a machine was while it measured: why measuring stopped, and the slow spells seen."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from pipeline.measure.statistics import Visit, disagreement_percent

SPELL_PERCENT = 10.0
Stopped = Literal["agreed", "sweeps", "budget"]


class Steadiness(BaseModel):
    """What a campaign says about the machine it ran on.

    Attributes:
        stopped: Why it ended: sweeps agreed, all of them were made, or the time was up.
        sweeps: Sweeps made of every subject.
        disagreement_percent: How far sweeps apart in time disagree, over all subjects.
        spells: Slow spells: runs of visits whose control network was 10 % slower than at its best.
        disturbed_percent: Share of visits in them.
        longest_spell_s: Seconds from the first to the last visit of the longest.
        interrupted_percent: Share of visits in which something else ran on the core; None where
            it was not counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stopped: Stopped
    sweeps: int
    disagreement_percent: float
    spells: int
    disturbed_percent: float
    longest_spell_s: float
    interrupted_percent: float | None


class Spell(NamedTuple):
    """A slow spell: indices of its first and last visit, and the seconds between them."""

    first: int
    last: int
    duration_s: float


def find_spells(visits: Sequence[Visit]) -> list[Spell]:
    """Slow spells in visits, in the order they were made.

    A visit is disturbed where the control network, before and after it, was more than 10 % slower
    than at its best in the campaign; a spell is an unbroken run of disturbed visits.
    """
    if not visits:
        return []
    best_ms = min(min(*v.control_before_ms, *v.control_after_ms) for v in visits)
    limit_ms = best_ms * (1 + SPELL_PERCENT / 100)
    spells: list[Spell] = []
    first: int | None = None
    for index, visit in enumerate(visits):
        if min(*visit.control_before_ms, *visit.control_after_ms) > limit_ms:
            first = index if first is None else first
        elif first is not None:
            spells.append(_spell(visits, first, index - 1))
            first = None
    if first is not None:
        spells.append(_spell(visits, first, len(visits) - 1))
    return spells


def steadiness(
    visits: Sequence[Visit], groups: Mapping[str, Sequence[Visit]], stopped: Stopped
) -> Steadiness:
    """Sums up a campaign.

    Args:
        visits: Visits of the subjects asked for, in the order they were made.
        groups: The same by subject, each with at least three.
        stopped: Why it ended.
    """
    spells = find_spells(visits)
    switches = [visit.interruptions for visit in visits if visit.interruptions is not None]
    disturbed = sum(spell.last - spell.first + 1 for spell in spells)
    return Steadiness(
        stopped=stopped,
        sweeps=min(map(len, groups.values())),
        disagreement_percent=disagreement_percent(groups) or 0.0,
        spells=len(spells),
        disturbed_percent=100 * disturbed / len(visits),
        longest_spell_s=max((spell.duration_s for spell in spells), default=0.0),
        interrupted_percent=(
            100 * sum(count > 0 for count in switches) / len(switches) if switches else None
        ),
    )


def _spell(visits: Sequence[Visit], first: int, last: int) -> Spell:
    start, end = (datetime.datetime.fromisoformat(visits[i].at) for i in (first, last))
    return Spell(first, last, (end - start).total_seconds())
