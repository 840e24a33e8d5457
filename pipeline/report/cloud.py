"""The picture of a search: a cloud of networks, its front, limits and what was verified."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.records import Candidate, SearchRecord, VerifiedCandidate
from pipeline.report import svg
from pipeline.report.formatting import percent
from pipeline.report.svg import Frame, Panel

_LETTER = 8.2  # widest likely width of a letter of a label, in pixels
WIDE, NARROW = Frame(900, 430), Frame(370, 360)


@dataclass(frozen=True)
class Axis:
    """What accuracy is plotted against.

    Attributes:
        title: The axis' title.
        figure: The figure's title.
        most_rows: Of the figure's table.
        predicted: A candidate's position; None where it has none.
        measured: A verified candidate's position.
        show: A position in words, with its unit.
        show_bound: The same for a limit.
        most: Upper limit.
        least: Lower limit.
        has_front: Whether the search's front is one of these two axes.
    """

    title: str
    figure: str
    most_rows: int
    predicted: Callable[[Candidate], float | None]
    measured: Callable[[VerifiedCandidate], float | None]
    show: Callable[[float], str]
    show_bound: Callable[[float], str]
    most: float | None
    least: float | None = None
    has_front: bool = False


@dataclass(frozen=True)
class Mark:
    """A verified candidate.

    Attributes:
        predicted: Where it was predicted to be, on the axis.
        measured: Where it was measured to be.
        within: Whether it is within every limit, measured.
    """

    name: str
    accuracy_percent: float
    predicted: float
    measured: float
    within: bool
    is_winner: bool


def draw(
    frame: Frame,
    search: SearchRecord,
    axis: Axis,
    cloud: Sequence[tuple[int, float, float]],
    marks: Sequence[Mark],
    label: str,
) -> Markup:
    """Draws the search.

    Args:
        frame: Size of the picture.
        search: Says who is feasible and who is on the front.
        axis: What accuracy is plotted against.
        cloud: Index, horizontal value and accuracy in percent of each network that has them.
        marks: The verified candidates.
        label: The picture in words.
    """
    if not cloud:
        return _nothing(frame, label)
    bounds = [bound for bound in (axis.most, axis.least) if bound is not None]
    xs = [x for _, x, _ in cloud] + [m.measured for m in marks] + bounds
    panel = Panel.inside(
        frame,
        svg.spread(xs, floor=0.0),
        _headroom(svg.spread([y for _, _, y in cloud])),
        top=50,
    )
    parts = [
        _beyond(panel, axis),
        panel.axes(axis.title, "top-1 on search-validation, %", title_gap=36),
    ]
    feasible = [panel.at(x, y) for i, x, y in cloud if search.evaluated[i].violation <= 0]
    over = [panel.at(x, y) for i, x, y in cloud if search.evaluated[i].violation > 0]
    parts.append(svg.crosses(over, "cloud-over"))
    parts.append(svg.dots(feasible, "cloud"))
    parts.append(_front(panel, search, axis))
    parts += [_bound(panel, bound, axis) for bound in bounds]
    parts += [_verified(panel, mark, axis) for mark in marks if not mark.is_winner]
    parts += [_winner(panel, mark, axis) for mark in marks if mark.is_winner]
    return svg.picture(frame, label, *parts)


def _headroom(domain: tuple[float, float]) -> tuple[float, float]:
    """More room on top, where the chosen network's label stands."""
    return domain[0], domain[1] + 0.08 * (domain[1] - domain[0])


def _nothing(frame: Frame, label: str) -> Markup:
    note = svg.text(frame.width / 2, 60, "no network was scored", "note", "middle")
    return svg.picture(Frame(frame.width, 110), label, note)


def _beyond(panel: Panel, axis: Axis) -> Markup:
    """Shades what the limits forbid."""
    parts = []
    if axis.most is not None:
        x = min(panel.x(axis.most), panel.right)
        parts.append(svg.rect(x, panel.top, panel.right - x, panel.bottom - panel.top, "beyond"))
    if axis.least is not None:
        x = max(panel.x(axis.least), panel.left)
        parts.append(
            svg.rect(panel.left, panel.top, x - panel.left, panel.bottom - panel.top, "beyond")
        )
    return svg.group(parts)


def _bound(panel: Panel, bound: float, axis: Axis) -> Markup:
    x = panel.x(bound)
    on_right_half = x > (panel.left + panel.right) / 2
    words = f"{'at least' if bound == axis.least else 'limit'} {axis.show_bound(bound)}"
    label = svg.text(
        x + (6 if not on_right_half else 0),
        panel.top - 6,
        words,
        "limit-label",
        "end" if on_right_half else "start",
    )
    return svg.group((svg.line(x, panel.top - 2, x, panel.bottom, "limit"), label))


def _front(panel: Panel, search: SearchRecord, axis: Axis) -> Markup:
    corners: list[tuple[float, float]] = []
    points = []
    for index in search.front:
        candidate = search.evaluated[index]
        x, y = axis.predicted(candidate), candidate.accuracy_percent
        if x is not None and y is not None:
            points.append((x, y))
    for x, y in sorted(points):
        if corners and y <= corners[-1][1]:
            continue
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    rings = [
        svg.disc(*panel.at(x, y), 3.6, "on-front", f"on the front\n{axis.show(x)}, {percent(y)}")
        for x, y in points
    ]
    if not axis.has_front or not corners:
        return svg.group(rings)
    return svg.group((svg.polyline([panel.at(x, y) for x, y in corners], "front"), *rings))


def _verified(panel: Panel, mark: Mark, axis: Axis) -> Markup:
    x, y = panel.at(mark.measured, mark.accuracy_percent)
    trail = svg.line(panel.x(mark.predicted), y, x, y, "trail")
    tip = _tip(mark, axis)
    shape = svg.diamond(x, y, 6, "within", tip) if mark.within else svg.cross(x, y, 5, "over", tip)
    return svg.group((trail, shape))


def _winner(panel: Panel, mark: Mark, axis: Axis) -> Markup:
    x, y = panel.at(mark.measured, mark.accuracy_percent)
    trail = svg.line(panel.x(mark.predicted), y, x, y, "trail")
    words = f"chosen: {axis.show(mark.measured)}, {percent(mark.accuracy_percent)}"
    # What is both faster and more accurate than the chosen one is rare: there is room on that side.
    if x - 14 - _LETTER * len(words) > panel.left:
        label = svg.text(x - 14, y - 20, words, "winner-label", "end")
    else:
        label = svg.text(panel.left + 2, y - 22, words, "winner-label")
    css = "winner" if mark.within else "winner is-over"
    return svg.group((trail, svg.diamond(x, y, 9.5, css, _tip(mark, axis)), label))


def _tip(mark: Mark, axis: Axis) -> str:
    verdict = "within the limits" if mark.within else "over a limit"
    return svg.tip(
        "chosen" if mark.is_winner else f"verified, {verdict}",
        mark.name,
        f"predicted {axis.show(mark.predicted)}, measured {axis.show(mark.measured)}",
        f"top-1 {percent(mark.accuracy_percent)} with shared weights",
    )
