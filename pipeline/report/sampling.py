"""How sure an accuracy is that was counted on a number of images."""

from __future__ import annotations


def sampling_std_percent(accuracy_percent: float, images: int) -> float | None:
    """Standard error of an accuracy on so many images drawn at random, in percentage points."""
    share = accuracy_percent / 100
    return 100 * (share * (1 - share) / images) ** 0.5 if images and 0 <= share <= 1 else None
