"""What a request for limits comes to, before any network is scored."""

from __future__ import annotations

from typing import Literal

from pipeline.files.record import Record
from pipeline.records.candidates import Candidate, Limits


class Share(Record):
    """How many of a space's architectures are inside the limits.

    Attributes:
        low: Fewest, as a share of all, 0 to 1.
        high: Most.
        how: `counted`: the true share is certainly between the two, which are equal where sums
            are counted without rounding; `sampled`: with 95 % confidence.
        samples: Architectures drawn, where it was sampled.
    """

    low: float
    high: float
    how: Literal["counted", "sampled"]
    samples: int = 0


class Explanation(Record):
    """What can be reached, and what of it the limits leave.

    Attributes:
        architectures: How many the space has, all input sizes together.
        reachable: Smallest and largest value of each cost (`macs`, `params`,
            `latency_ms/<target>`), by input size.
        share: How many architectures are inside all limits.
        feasible: Whether there is one; this is proved, either way.
        nearest: Where there is none, the architecture with the smallest violation.
        message: The same in a sentence.
        sizes: Where there are several input sizes, which they are and why, a line each.
    """

    space: str
    limits: Limits
    target: str
    architectures: int
    reachable: dict[int, dict[str, tuple[float, float]]]
    share: Share
    feasible: bool
    nearest: Candidate | None
    message: str
    sizes: tuple[str, ...] = ()
