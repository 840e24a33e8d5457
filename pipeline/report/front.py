"""The search's cloud of networks and its front: accuracy against what limits it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.records import Candidate, SearchRecord, VerifiedCandidate
from pipeline.report import svg
from pipeline.report.blocks import Block, Figure, LegendItem, Section
from pipeline.report.candidates import candidates_table
from pipeline.report.formatting import (
    count,
    integer,
    limit_count,
    limit_ms,
    milliseconds,
    notation,
    percent,
    plural,
)
from pipeline.report.inputs import ReportInputs
from pipeline.report.missing import missing
from pipeline.report.summary import Summary, winner_index
from pipeline.report.svg import Frame, Panel

_LETTER = 8.2  # widest likely width of a letter of a label, in pixels
_WIDE, _NARROW = Frame(900, 430), Frame(370, 360)


@dataclass(frozen=True)
class _Axis:
    """What accuracy is plotted against; its front is drawn only where it is one."""

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
class _Mark:
    """A verified candidate: where it was predicted and where it was measured."""

    name: str
    accuracy_percent: float
    predicted: float
    measured: float
    within: bool
    is_winner: bool


def section(inputs: ReportInputs, summary: Summary) -> Section:
    """Accuracy against predicted latency, and against MACs where they are limited too."""
    search = inputs.search
    if search is None:
        blocks: tuple[Block, ...] = (missing(inputs, "search"),)
    else:
        blocks = tuple(_figures(inputs, search, summary))
    return Section("front", "What the search could choose from", "Front", blocks)


def _figures(inputs: ReportInputs, search: SearchRecord, summary: Summary) -> Iterator[Figure]:
    limits = search.limits
    target = search.target
    latency = _Axis(
        title="predicted latency, ms",
        figure=f"Accuracy against latency on {target}",
        most_rows=500,
        predicted=lambda c: c.latency_ms[target].typical if target in c.latency_ms else None,
        measured=lambda v: v.measured_ms[target].typical if target in v.measured_ms else None,
        show=milliseconds,
        show_bound=limit_ms,
        most=limits.latency_ms.get(target),
        has_front=True,
    )
    yield _figure(inputs, search, summary, latency)
    if limits.macs is not None or limits.macs_min is not None:
        macs = _Axis(
            title="million MACs",
            figure="The same networks by MACs",
            most_rows=40,
            predicted=lambda c: c.macs / 1e6,
            measured=lambda v: v.candidate.macs / 1e6,
            show=lambda value: count(1e6 * value) + " MACs",
            show_bound=lambda value: limit_count(1e6 * value) + " MACs",
            most=None if limits.macs is None else limits.macs / 1e6,
            least=None if limits.macs_min is None else limits.macs_min / 1e6,
        )
        yield _figure(inputs, search, summary, macs)


def _figure(inputs: ReportInputs, search: SearchRecord, summary: Summary, axis: _Axis) -> Figure:
    cloud = [
        (index, x, candidate.accuracy_percent)
        for index, candidate in enumerate(search.evaluated)
        if (x := axis.predicted(candidate)) is not None and candidate.accuracy_percent is not None
    ]
    marks = list(_marks(inputs, axis))
    label = _label(search, axis, len(cloud), marks)
    wide, narrow = (
        _draw(frame, search, axis, cloud, marks, label) if cloud else _nothing(frame, label)
        for frame in (_WIDE, _NARROW)
    )
    return Figure(
        title=axis.figure,
        wide=wide,
        narrow=narrow,
        table=candidates_table(inputs, search, summary, axis.most_rows),
        legend=tuple(_legend(search, axis, marks)),
        caption=_caption(search, axis, len(cloud)),
        full=True,
    )


def _marks(inputs: ReportInputs, axis: _Axis) -> Iterator[_Mark]:
    winner = winner_index(inputs)
    for index, verified in enumerate(inputs.verify.candidates if inputs.verify else ()):
        candidate = verified.candidate
        x = axis.predicted(candidate)
        if x is None or candidate.accuracy_percent is None:
            continue
        measured = axis.measured(verified)
        yield _Mark(
            name=candidate.architecture.name or notation(candidate.architecture),
            accuracy_percent=candidate.accuracy_percent,
            predicted=x,
            measured=x if measured is None else measured,
            within=verified.verdict == "within",
            is_winner=index == winner,
        )


def _draw(
    frame: Frame,
    search: SearchRecord,
    axis: _Axis,
    cloud: list[tuple[int, float, float]],
    marks: list[_Mark],
    label: str,
) -> Markup:
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


def _beyond(panel: Panel, axis: _Axis) -> Markup:
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


def _bound(panel: Panel, bound: float, axis: _Axis) -> Markup:
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


def _front(panel: Panel, search: SearchRecord, axis: _Axis) -> Markup:
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


def _verified(panel: Panel, mark: _Mark, axis: _Axis) -> Markup:
    x, y = panel.at(mark.measured, mark.accuracy_percent)
    trail = svg.line(panel.x(mark.predicted), y, x, y, "trail")
    tip = _tip(mark, axis)
    shape = svg.diamond(x, y, 6, "within", tip) if mark.within else svg.cross(x, y, 5, "over", tip)
    return svg.group((trail, shape))


def _winner(panel: Panel, mark: _Mark, axis: _Axis) -> Markup:
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


def _tip(mark: _Mark, axis: _Axis) -> str:
    verdict = "within the limits" if mark.within else "over a limit"
    return svg.tip(
        "chosen" if mark.is_winner else f"verified, {verdict}",
        mark.name,
        f"predicted {axis.show(mark.predicted)}, measured {axis.show(mark.measured)}",
        f"top-1 {percent(mark.accuracy_percent)} with shared weights",
    )


def _legend(search: SearchRecord, axis: _Axis, marks: list[_Mark]) -> Iterator[LegendItem]:
    yield LegendItem("cloud", "scored, within every limit as predicted")
    if any(candidate.violation > 0 for candidate in search.evaluated):
        yield LegendItem("cloud-over", "scored, over a limit as predicted")
    yield (
        LegendItem("front", "front")
        if axis.has_front
        else LegendItem("on-front", "on the front of accuracy and latency")
    )
    if any(mark.within and not mark.is_winner for mark in marks):
        yield LegendItem("within", "verified, within")
    if any(not mark.within for mark in marks):
        yield LegendItem("over", "verified, over a limit")
    if any(mark.is_winner for mark in marks):
        yield LegendItem("winner", "chosen")
    if axis.most is not None or axis.least is not None:
        yield LegendItem("limit", "limit")


def _label(search: SearchRecord, axis: _Axis, shown: int, marks: list[_Mark]) -> str:
    words = f"Scatter plot of {plural(shown, 'network')}: accuracy against {axis.title}."
    winner = next((mark for mark in marks if mark.is_winner), None)
    if winner:
        words += (
            f" The chosen one has {percent(winner.accuracy_percent)} at"
            f" {axis.show(winner.measured)}."
        )
    if axis.most is not None:
        words += f" Limit {axis.show_bound(axis.most)}."
    return words + f" {plural(len(search.front), 'network')} on the front. Numbers in the table."


def _caption(search: SearchRecord, axis: _Axis, shown: int) -> str:
    unscored = len(search.evaluated) - shown
    words = (
        "Each point is a network with the hypernetwork's shared weights, scored on images held out"
        " of training; retrained, a network is better than its point."
    )
    if axis.has_front:
        words += (
            " Verified networks stand at their measured latency, with a line from where they were"
            " predicted."
        )
    if unscored:
        words += f" {integer(unscored)} without a score are left out."
    return words
