"""The picture of a search: a cloud of networks, its front, limits and what was verified."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from pipeline.report.formatting import percent
from pipeline.report.pictures import svg
from pipeline.report.pictures.markers import size_marks, star
from pipeline.report.pictures.svg import Frame, Panel
from pipeline.report.search_plot import Axis, Mark, Plotted, PublishedMark

_LETTER = 8.2  # widest likely width of a letter of a label, in pixels
_SMALL_LETTER = 6.9  # the same for a published model's name
WIDE, NARROW = Frame(900, 430), Frame(370, 360)
_Box = tuple[float, float, float, float]


def draw(frame: Frame, plotted: Plotted, axis: Axis, label: str) -> Markup:
    """Draws the search.

    Args:
        frame: Size of the picture.
        plotted: What it shows.
        axis: What accuracy is plotted against.
        label: The picture in words.
    """
    if not plotted.cloud:
        return _nothing(frame, label)
    panel = Panel.inside(frame, plotted.x, plotted.y, top=50)
    parts = [
        _beyond(panel, axis),
        panel.axes(axis.title, plotted.y_title, title_gap=36),
        *_cloud(panel, plotted),
        *_published(panel, plotted.published, axis),
        *_exact(panel, plotted),
        _front(panel, plotted, axis),
        *(_bound(panel, bound, axis) for bound in axis.bounds),
        *_own_best(panel, plotted, axis),
        *(_verified(panel, mark, axis) for mark in plotted.marks if not mark.is_winner),
        *(_winner(panel, mark, plotted, axis) for mark in plotted.marks if mark.is_winner),
    ]
    return svg.picture(frame, label, *parts)


def _nothing(frame: Frame, label: str) -> Markup:
    note = svg.text(frame.width / 2, 60, "no network was scored", "note", "middle")
    return svg.picture(Frame(frame.width, 110), label, note)


def _cloud(panel: Panel, plotted: Plotted) -> Iterator[Markup]:
    over = [panel.at(dot.x, dot.y) for dot in plotted.cloud if not dot.within]
    yield svg.crosses(over, "cloud-over")
    for place in range(len(plotted.sizes)):
        within = [
            panel.at(dot.x, dot.y) for dot in plotted.cloud if dot.within and dot.place == place
        ]
        if len(plotted.sizes) == 1:
            yield svg.dots(within, "cloud")
        elif within:
            yield size_marks(within, place)


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


def _steps(points: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    """The corners of a front: up where a network is reached, level until the next."""
    corners: list[tuple[float, float]] = []
    for x, y in points:
        if corners and y <= corners[-1][1]:
            continue
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    return corners


def _front(panel: Panel, plotted: Plotted, axis: Axis) -> Markup:
    # A ring stands around a shape, which tells the input size, and in place of a dot.
    radius, css = (6.0, "on-front around") if len(plotted.sizes) > 1 else (3.6, "on-front")
    rings = [
        svg.disc(*panel.at(x, y), radius, css, f"on the front\n{axis.show(x)}, {percent(y)}")
        for x, y in plotted.front
    ]
    if not axis.has_front or not plotted.front:
        return svg.group(rings)
    line = svg.polyline([panel.at(x, y) for x, y in _steps(plotted.front)], "front")
    return svg.group((line, *rings))


def _exact(panel: Panel, plotted: Plotted) -> Iterator[Markup]:
    if plotted.exact:
        yield svg.polyline([panel.at(x, y) for x, y in _steps(plotted.exact)], "exact-front")


def _own_best(panel: Panel, plotted: Plotted, axis: Axis) -> Iterator[Markup]:
    if plotted.own_best:
        x, y = plotted.own_best
        tip = svg.tip("best within this target's limit alone", axis.show(x), percent(y))
        yield svg.diamond(*panel.at(x, y), 9.5, "own-best", tip)


def _published(panel: Panel, marks: tuple[PublishedMark, ...], axis: Axis) -> Iterator[Markup]:
    at = [
        (panel.x(mark.x), panel.bottom - 8 if mark.y is None else panel.y(mark.y)) for mark in marks
    ]
    taken: list[_Box] = [(x - 7, y - 7, x + 7, y + 7) for x, y in at]
    for mark, (x, y) in zip(marks, at, strict=True):
        known = "not in the hypernetwork" if mark.y is None else percent(mark.y)
        tip = svg.tip(f"published: {mark.name}", axis.show(mark.x), known)
        yield star(x, y, "published" if mark.y is not None else "published unscored", tip)
        yield _name(panel, mark.name, x, y, taken)


def _name(panel: Panel, name: str, x: float, y: float, taken: list[_Box]) -> Markup:
    """A name beside its mark, above or below, where it meets no other one."""
    width = _SMALL_LETTER * len(name)
    middle = min(max(x - width / 2, panel.left), panel.right - width)
    places = [(x + 9, y + 4), (x - 9 - width, y + 4), (middle, y - 10), (middle, y + 18)]
    places += [(x + 6, y - 8), (x - 6 - width, y - 8), (x + 6, y + 16), (x - 6 - width, y + 16)]
    places.append((middle, y - 24))
    inside = [
        (left, base)
        for left, base in places
        if panel.left <= left and left + width <= panel.right and base < panel.bottom
    ]
    free = (place for place in inside if not _meets(place, width, taken))
    left, base = next(free, (middle, y - 10))
    taken.append((left, base - 11, left + width, base + 3))
    return svg.text(left, base, name, "published-label")


def _meets(place: tuple[float, float], width: float, taken: list[_Box]) -> bool:
    left, base = place
    return any(
        left < right and low < left + width and base - 11 < bottom and top < base + 3
        for low, top, right, bottom in taken
    )


def _verified(panel: Panel, mark: Mark, axis: Axis) -> Markup:
    x, y = panel.at(mark.x, mark.accuracy_percent)
    trail = svg.line(panel.x(mark.predicted), y, x, y, "trail")
    tip = _tip(mark, axis)
    shape = svg.diamond(x, y, 6, "within", tip) if mark.within else svg.cross(x, y, 5, "over", tip)
    return svg.group((trail, shape))


def _winner(panel: Panel, mark: Mark, plotted: Plotted, axis: Axis) -> Markup:
    x, y = panel.at(mark.x, mark.accuracy_percent)
    trail = svg.line(panel.x(mark.predicted), y, x, y, "trail")
    state = ", predicted" if axis.target and mark.measured is None else ""
    words = f"chosen{state}: {axis.show(mark.x)}, {percent(mark.accuracy_percent)}"
    width = _LETTER * len(words)
    # What is both faster and more accurate than the chosen one is rare: there is room on that side.
    left = max(x - 14 - width, panel.left + 2)
    taken = [_around(panel, *place) for place in _places(plotted)]
    rows = [y - 20 - 7 * row for row in range(12)]
    free = (row for row in rows if row > panel.top + 10 and not _meets((left, row), width, taken))
    label = svg.text(left + width, next(free, rows[0]), words, "winner-label", "end")
    css = "winner" if mark.within else "winner is-over"
    return svg.group((trail, svg.diamond(x, y, 9.5, css, _tip(mark, axis)), label))


def _places(plotted: Plotted) -> Iterator[tuple[float, float]]:
    """Where marks are that no label should cover."""
    yield from plotted.front
    yield from ((mark.x, mark.accuracy_percent) for mark in plotted.marks)
    if plotted.own_best:
        yield plotted.own_best


def _around(panel: Panel, x: float, y: float) -> _Box:
    middle, height = panel.at(x, y)
    return middle - 7, height - 7, middle + 7, height + 7


def _tip(mark: Mark, axis: Axis) -> str:
    verdict = "within the limits" if mark.within else "over a limit"
    measured = "" if mark.measured is None else f", measured {axis.show(mark.measured)}"
    return svg.tip(
        "chosen" if mark.is_winner else f"verified, {verdict}",
        mark.name,
        f"predicted {axis.show(mark.predicted)}{measured}",
        f"accuracy {percent(mark.accuracy_percent)} with shared weights",
    )
