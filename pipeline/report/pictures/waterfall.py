"""The picture of a waterfall: a line a block, its tile, and two bars from where the last ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.report.formatting import limit_ms as asked_ms
from pipeline.report.formatting import significant
from pipeline.report.pictures import svg
from pipeline.report.pictures.svg import Frame
from pipeline.report.scale import Scale

_ROW, _TOP, _FOOT = 32.0, 34.0, 46.0
_BAR = 11.0
_TILE, _VALUES = 74.0, 62.0
_LONGEST_LABEL = 12


@dataclass(frozen=True)
class Step:
    """One block, or what belongs to none.

    Attributes:
        label: The operator in the paper's notation.
        stage: Of a block.
        place: Module path of a block; empty for what is none.
        css: Colour class of its tile.
        predicted_ms: None where that is not known.
        measured_ms: Likewise.
    """

    label: str
    stage: str
    place: str
    css: str
    predicted_ms: float | None
    measured_ms: float | None


@dataclass(frozen=True)
class Bars:
    """All that is drawn; a total is None where no step has a time of that kind."""

    steps: tuple[Step, ...]
    predicted_ms: float | None
    measured_ms: float | None
    limit_ms: float | None

    @property
    def blocks(self) -> tuple[Step, ...]:
        """The steps that are blocks."""
        return tuple(step for step in self.steps if step.place)


@dataclass(frozen=True)
class Layout:
    """Of a picture.

    Attributes:
        width: In user units.
        stage_width: Room for stages' names; 0 leaves them out.
    """

    width: float
    stage_width: float


WIDE, NARROW = Layout(900.0, 62.0), Layout(370.0, 0.0)


def draw(layout: Layout, bars: Bars, label: str) -> Markup:
    """Draws a waterfall.

    Args:
        layout: Of the picture.
        bars: At least one of the totals is not None.
        label: The picture in words.
    """
    bottom = _TOP + _ROW * (len(bars.steps) + 1) + 6
    left = layout.stage_width + _TILE + 12
    x = Scale(*_range(bars), left, layout.width - _VALUES)
    parts = [
        _axis(x, bottom),
        *_headings(layout, bars),
        *_rows(layout, bars, x),
        _total(layout, bars, x),
        *_limit(bars, x, bottom),
    ]
    return svg.picture(Frame(layout.width, bottom + _FOOT), label, *parts)


def _range(bars: Bars) -> tuple[float, float]:
    """From 0, or from the lowest point of bars that go back, to beyond the end and the limit."""
    ends = [0.0]
    for kind in ("predicted_ms", "measured_ms"):
        at = 0.0
        for step in bars.steps:
            at += getattr(step, kind) or 0.0
            ends.append(at)
    ends += [total for total in (bars.predicted_ms, bars.measured_ms) if total is not None]
    longest = max(ends)
    if bars.limit_ms is not None and bars.limit_ms < 1.5 * longest:
        longest = max(longest, bars.limit_ms)
    return min(ends), 1.03 * longest


def _axis(x: Scale, bottom: float) -> Markup:
    parts = []
    for tick in x.ticks(max(3, round((x.end - x.start) / 90))):
        at = x(tick)
        parts.append(svg.line(at, _TOP - 6, at, bottom, "grid"))
        words = significant(tick).rstrip("0").rstrip(".") if tick else "0"
        parts.append(svg.text(at, bottom + 16, words, "tick", "middle"))
    parts.append(svg.line(x.start, bottom, x.end, bottom, "axis"))
    middle = (x.start + x.end) / 2
    title = "latency up to and with this block, ms"
    parts.append(svg.text(middle, bottom + 36, title, "axis-title", "middle"))
    return svg.group(parts)


def _headings(layout: Layout, bars: Bars) -> Iterator[Markup]:
    totals = (("measured", bars.measured_ms), ("predicted", bars.predicted_ms))
    shown = [kind for kind, total in totals if total is not None]
    for line, kind in enumerate(shown):
        yield svg.text(layout.width, _TOP - 10 - 13 * line, kind, "tick", "end")


def _rows(layout: Layout, bars: Bars, x: Scale) -> Iterator[Markup]:
    begun = {"predicted": 0.0, "measured": 0.0}
    stage = ""
    for number, step in enumerate(bars.steps):
        top = _TOP + _ROW * number
        if layout.stage_width and step.stage and step.stage != stage:
            yield svg.text(0, top + 17, step.stage, "stage-name")
        stage = step.stage
        yield _tile(step, layout.stage_width, top)
        for kind, ms in (("predicted", step.predicted_ms), ("measured", step.measured_ms)):
            if ms is not None:
                yield _bar(layout, x, top, kind, step, begun[kind], ms)
                begun[kind] += ms


def _tile(step: Step, left: float, top: float) -> Markup:
    words = step.label if len(step.label) <= _LONGEST_LABEL else step.stage
    box = svg.rect(left, top + 1, _TILE, 2 * _BAR + 2, "tile")
    return svg.group(
        (box, svg.text(left + _TILE / 2, top + 17, words, "tile-label", "middle")), step.css
    )


def _bar(
    layout: Layout, x: Scale, top: float, kind: str, step: Step, begun: float, ms: float
) -> Markup:
    y = top + 1 + (_BAR + 2 if kind == "measured" else 0)
    start, end = sorted((x(begun), x(begun + ms)))
    name = f"{step.label} ({step.place})" if step.place else step.label
    tip = svg.tip(name, f"{kind} {_shown(ms)} ms", f"up to here {_shown(begun + ms)} ms")
    bar = svg.rect(start, y, max(end - start, 1.0), _BAR, f"{kind}-bar", tip)
    value = svg.text(layout.width, y + 9.5, _shown(ms), "bar-value small", "end")
    # From a bar's end to where the next of its kind begins.
    link = svg.line(x(begun + ms), y, x(begun + ms), y + _ROW, "link")
    return svg.group((link, bar, value))


def _total(layout: Layout, bars: Bars, x: Scale) -> Markup:
    top = _TOP + _ROW * len(bars.steps)
    parts = [svg.text(layout.stage_width + _TILE, top + 17, "network", "row-name", "end")]
    for row, (kind, ms) in enumerate(
        (("predicted", bars.predicted_ms), ("measured", bars.measured_ms))
    ):
        if ms is not None:
            y = top + 1 + row * (_BAR + 2)
            tip = svg.tip("the whole network", f"{kind} {_shown(ms)} ms")
            parts.append(svg.rect(x(0.0), y, x(ms) - x(0.0), _BAR, f"{kind}-bar total", tip))
            value = _shown(ms)
            parts.append(svg.text(layout.width, y + 9.5, value, "bar-value small strong", "end"))
    return svg.group(parts)


def _limit(bars: Bars, x: Scale, bottom: float) -> Iterator[Markup]:
    if bars.limit_ms is not None and x.low < bars.limit_ms < x.high:
        at = x(bars.limit_ms)
        yield svg.line(at, _TOP - 8, at, bottom, "limit")
        yield svg.text(at - 5, _TOP - 10, f"limit {asked_ms(bars.limit_ms)}", "limit-label", "end")


def _shown(ms: float) -> str:
    return significant(ms).replace("-", "−")
