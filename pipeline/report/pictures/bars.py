"""Horizontal bars with their labels and values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.report.blocks import Figure, Table
from pipeline.report.pictures import svg
from pipeline.report.pictures.svg import Frame

_LABEL_CHARACTERS = 18


@dataclass(frozen=True)
class Bar:
    """One bar: its label, its length and what is written beside it."""

    label: str
    value: float
    shown: str
    css: str = "bar-main"


def bar_chart(
    title: str,
    bars: Sequence[Bar],
    *,
    unit: str,
    table: Table,
    caption: str = "",
    largest: float | None = None,
) -> Figure:
    """Bars from zero.

    Args:
        title: Heading of the figure.
        bars: At least one, drawn in order.
        unit: What is measured, with its unit.
        table: The same in numbers.
        caption: How to read it.
        largest: Right end of the scale; the largest value where it is None.
    """
    words = ", ".join(f"{bar.label} {bar.shown}" for bar in bars[:12])
    label = f"Bar chart, {unit}: {words}{' …' if len(bars) > 12 else ''}."
    height = 22 + 26 * len(bars)
    return Figure(
        title=title,
        wide=_draw(Frame(420, height), bars, unit, label, largest),
        table=table,
        caption=caption,
    )


def _draw(
    frame: Frame, bars: Sequence[Bar], unit: str, label: str, largest: float | None
) -> Markup:
    left, right = 128.0, frame.width - 64
    most = largest or max((bar.value for bar in bars), default=0.0) or 1.0
    parts = [svg.text(0, 12, unit, "axis-title")]
    for index, bar in enumerate(bars):
        y = 22.0 + 26 * index
        length = (right - left) * min(max(bar.value, 0.0) / most, 1.0)
        parts.append(svg.text(left - 8, y + 16, _shortened(bar.label), "bar-label", "end"))
        parts.append(svg.rect(left, y + 3, right - left, 18, "bar-ground"))
        parts.append(svg.rect(left, y + 3, length, 18, bar.css, f"{bar.label}\n{bar.shown}"))
        parts.append(svg.text(right + 6, y + 16, bar.shown, "bar-value"))
    return svg.picture(frame, label, *parts)


def _shortened(label: str) -> str:
    return label if len(label) <= _LABEL_CHARACTERS else label[: _LABEL_CHARACTERS - 1] + "…"
