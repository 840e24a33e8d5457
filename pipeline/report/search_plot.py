"""What a picture of a search shows, whatever its size: networks, lines, marks, and their range."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.records.candidates import Candidate
from pipeline.records.search import SearchRecord
from pipeline.records.verify import VerifiedCandidate
from pipeline.report.formatting import limit_ms, milliseconds, notation
from pipeline.report.inputs import ReportInputs
from pipeline.report.scale import spread
from pipeline.report.summary import Summary, winner_index

_REACH = 0.5
"""How far a published model may widen a picture, relative to what it shows without."""


@dataclass(frozen=True)
class Axis:
    """What accuracy is plotted against.

    Attributes:
        title: The axis' title.
        figure: The figure's title.
        most_rows: Of the figure's table.
        target: Whose latency it is; None where it is none.
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
    target: str | None
    predicted: Callable[[Candidate], float | None]
    measured: Callable[[VerifiedCandidate], float | None]
    show: Callable[[float], str]
    show_bound: Callable[[float], str]
    most: float | None
    least: float | None = None
    has_front: bool = False

    @property
    def bounds(self) -> tuple[float, ...]:
        """The limits that are set."""
        return tuple(bound for bound in (self.most, self.least) if bound is not None)


@dataclass(frozen=True)
class Mark:
    """A verified candidate, or the chosen one before there are any.

    Attributes:
        predicted: Where it was predicted to be, on the axis.
        measured: Where it was measured to be; None while it was not.
        within: Whether it is within every limit, measured.
    """

    name: str
    accuracy_percent: float
    predicted: float
    measured: float | None
    within: bool
    is_winner: bool

    @property
    def x(self) -> float:
        """Where it stands."""
        return self.predicted if self.measured is None else self.measured


@dataclass(frozen=True)
class Dot:
    """A network at its place.

    Attributes:
        place: Of its input size among those that were searched, smallest first.
        within: Whether it is within every limit, predicted.
    """

    x: float
    y: float
    place: int
    within: bool


@dataclass(frozen=True)
class PublishedMark:
    """A published model; at the bottom edge where its accuracy is not known."""

    name: str
    x: float
    y: float | None


@dataclass(frozen=True)
class Plotted:
    """Everything a picture shows.

    Attributes:
        sizes: Input sizes that were searched.
        front: The search's front, fastest first.
        exact: The surrogate's, where this axis is its other objective.
        own_best: The most accurate within this axis' target alone, where that was asked for.
        left_out: Published models too far away to be shown.
        x: Range of the horizontal axis.
        y: Range of accuracy, in percent.
        y_title: What accuracy it is.
    """

    sizes: tuple[int, ...]
    cloud: tuple[Dot, ...]
    front: tuple[tuple[float, float], ...]
    exact: tuple[tuple[float, float], ...]
    marks: tuple[Mark, ...]
    own_best: tuple[float, float] | None
    published: tuple[PublishedMark, ...]
    left_out: tuple[PublishedMark, ...]
    x: tuple[float, float]
    y: tuple[float, float]
    y_title: str


def searched_targets(search: SearchRecord) -> tuple[str, ...]:
    """The target the search was for, then the others that have predictions or limits."""
    predicted = (target for candidate in search.evaluated for target in candidate.latency_ms)
    return tuple(dict.fromkeys((search.target, *search.limits.latency_ms, *predicted)))


def latency_axis(search: SearchRecord, target: str) -> Axis:
    """Accuracy against the latency on a target."""
    is_searched = target == search.target
    return Axis(
        title="predicted latency, ms",
        figure=f"{'Accuracy' if is_searched else 'The same networks'} against latency on {target}",
        most_rows=500 if is_searched else 40,
        target=target,
        predicted=lambda c: c.latency_ms[target].typical if target in c.latency_ms else None,
        measured=lambda v: v.measured_ms[target].typical if target in v.measured_ms else None,
        show=milliseconds,
        show_bound=limit_ms,
        most=search.limits.latency_ms.get(target),
        has_front=is_searched,
    )


def gather(inputs: ReportInputs, search: SearchRecord, summary: Summary, axis: Axis) -> Plotted:
    """Collects what a picture shows, and the range that shows it."""
    sizes = searched_sizes(search)
    cloud = tuple(_cloud(search, axis, sizes))
    marks = tuple(_marks(inputs, search, summary, axis))
    exact = tuple(_exact(search, axis))
    xs = [dot.x for dot in cloud] + [mark.x for mark in marks] + [x for x, _ in exact]
    ys = [dot.y for dot in cloud] + [y for _, y in exact]
    xs += axis.bounds
    published = tuple(_published(search, axis))
    near = tuple(mark for mark in published if _is_near(mark, xs, ys))
    shown_x = spread(xs + [mark.x for mark in near], floor=0.0)
    low, high = spread(ys + [mark.y for mark in near if mark.y is not None])
    return Plotted(
        sizes=sizes,
        cloud=cloud,
        front=tuple(_front(search, axis)),
        exact=exact,
        marks=marks,
        own_best=_own_best(search, axis),
        published=near,
        left_out=tuple(mark for mark in published if mark not in near),
        x=shown_x,
        # More room on top, where the chosen network's label stands.
        y=(low, high + 0.08 * (high - low)),
        y_title=("expected " if search.scale else "") + "top-1 on search-validation, %",
    )


def searched_sizes(search: SearchRecord) -> tuple[int, ...]:
    """Input sizes that were searched, smallest first."""
    sizes = {candidate.architecture.resolution for candidate in search.evaluated}
    return tuple(sorted(sizes | {result.resolution for result in search.resolutions}))


def _at(search: SearchRecord, axis: Axis, candidate: Candidate) -> tuple[float, float] | None:
    x, y = axis.predicted(candidate), search.expected_percent(candidate)
    return None if x is None or y is None else (x, y)


def _cloud(search: SearchRecord, axis: Axis, sizes: tuple[int, ...]) -> Iterator[Dot]:
    for candidate in search.evaluated:
        at = _at(search, axis, candidate)
        if at:
            place = sizes.index(candidate.architecture.resolution)
            yield Dot(*at, place, candidate.violation <= 0)


def _front(search: SearchRecord, axis: Axis) -> list[tuple[float, float]]:
    places = (_at(search, axis, search.evaluated[index]) for index in search.front)
    return sorted(place for place in places if place)


def _exact(search: SearchRecord, axis: Axis) -> Iterator[tuple[float, float]]:
    if search.exact and axis.has_front:
        for point in search.exact.front:
            yield point.latency_ms, point.surrogate_percent


def _own_best(search: SearchRecord, axis: Axis) -> tuple[float, float] | None:
    for winner in search.per_target:
        if winner.target == axis.target and winner.best is not None:
            return _at(search, axis, search.evaluated[winner.best])
    return None


def _published(search: SearchRecord, axis: Axis) -> Iterator[PublishedMark]:
    for candidate in search.published:
        x = axis.predicted(candidate)
        if x is not None:
            accuracy = search.expected_percent(candidate)
            yield PublishedMark(candidate.architecture.label, x, accuracy)


def _is_near(mark: PublishedMark, xs: list[float], ys: list[float]) -> bool:
    return _within_reach(mark.x, xs) and (mark.y is None or _within_reach(mark.y, ys))


def _within_reach(value: float, shown: list[float]) -> bool:
    if not shown:
        return False
    low, high = min(shown), max(shown)
    reach = _REACH * (high - low) or _REACH * abs(high)
    return low - reach <= value <= high + reach


def _marks(
    inputs: ReportInputs, search: SearchRecord, summary: Summary, axis: Axis
) -> Iterator[Mark]:
    if inputs.verify is None:
        yield from _unmeasured_choice(search, summary, axis)
        return
    winner = winner_index(inputs)
    for index, verified in enumerate(inputs.verify.candidates):
        candidate = verified.candidate
        at = _at(search, axis, candidate)
        if at is None:
            continue
        measured, within = axis.measured(verified), verified.verdict == "within"
        if candidate.architecture == summary.architecture:
            within = within and summary.verdict != "not met"
            last = next((c.value for c in summary.limits if c.target == axis.target), None)
            if axis.target is not None:
                measured = last or measured
        yield Mark(
            name=candidate.architecture.name or notation(candidate.architecture),
            accuracy_percent=at[1],
            predicted=at[0],
            measured=measured,
            within=within,
            is_winner=index == winner,
        )


def _unmeasured_choice(search: SearchRecord, summary: Summary, axis: Axis) -> Iterator[Mark]:
    """The chosen network while nothing was measured: where it is predicted to be."""
    for candidate in search.evaluated:
        at = _at(search, axis, candidate)
        if at and candidate.architecture == summary.architecture:
            yield Mark(
                name=candidate.architecture.name or notation(candidate.architecture),
                accuracy_percent=at[1],
                predicted=at[0],
                measured=None,
                within=candidate.violation <= 0,
                is_winner=True,
            )
            return
