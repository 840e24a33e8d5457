"""Why a chosen network leaves room within every limit, in a sentence."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

from pipeline.records.candidates import Candidate, Limits
from pipeline.records.search import SearchRecord
from pipeline.report.formatting import NBSP, nats, percent, plural
from pipeline.report.search_words import margin_deviations, points
from pipeline.space.architecture import Architecture

_FULL = 0.9
"""Share of a limit from which on nobody asks what the rest was for."""


def room_words(
    search: SearchRecord, chosen: Architecture | None, over: Collection[Architecture] = ()
) -> str:
    """Why nothing larger was chosen; empty where a limit is used up, or there is none.

    Args:
        search: Who was scored, and the limits.
        chosen: The network the sentence is about.
        over: Networks that were over a limit when they were measured.
    """
    ranked = [search.evaluated[index] for index in search.ranking]
    known = next((one for one in ranked if one.architecture == chosen), None)
    if known is None:
        return ""
    share = _used(known, search.limits)
    if share is None or share >= _FULL:
        return ""
    words = f"The chosen network uses {percent(100 * share)} of its tightest limit, as predicted."
    larger = [one for one in ranked if (_used(one, search.limits) or 0.0) >= _FULL]
    full = percent(100 * _FULL, 0)
    if not larger:
        return f"{words} No network was scored that keeps to all and uses {full} of one."
    kept = [one for one in larger if one.architecture not in over]
    words += f" Of {plural(len(larger), 'scored network')} within all that use {full} of one"
    if len(kept) < len(larger):
        words += f", {len(larger) - len(kept)} turned out to be over a limit when measured"
    if not kept:
        return f"{words}."
    if ranked.index(kept[0]) < ranked.index(known):
        # Somebody else than the search chose.
        return ""
    return f"{words}, the best is expected to be {_worse(kept[0], known)}"


def _used(candidate: Candidate, limits: Limits) -> float | None:
    """Largest share of an upper limit, with the margin that latencies keep; None without one."""
    return max(_shares(candidate, limits), default=None)


def _shares(candidate: Candidate, limits: Limits) -> Iterator[float]:
    if limits.macs:
        yield candidate.macs / limits.macs
    if limits.params:
        yield candidate.params / limits.params
    for target, limit in limits.latency_ms.items():
        if guess := candidate.latency_ms.get(target):
            yield (guess.typical + margin_deviations(limits) * guess.std) / limit


def _worse(best: Candidate, chosen: Candidate) -> str:
    if best.expected_nats is None or chosen.expected_nats is None:
        lost = (chosen.accuracy_percent or 0.0) - (best.accuracy_percent or 0.0)
        return f"{points(lost)} less accurate."
    lost = best.expected_nats - chosen.expected_nats
    std = math.hypot(best.expected_std_nats or 0.0, chosen.expected_std_nats or 0.0)
    return f"worse by {nats(lost)} ± {nats(std)}{NBSP}nats on other images."
