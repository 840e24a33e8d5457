"""The search's cloud of networks and its front: accuracy against what limits it."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.records import SearchRecord
from pipeline.report.blocks import Block, Figure, LegendItem, Section
from pipeline.report.candidates import candidates_table
from pipeline.report.cloud import NARROW, WIDE, Axis, Mark, draw
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
    latency = Axis(
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
        macs = Axis(
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


def _figure(inputs: ReportInputs, search: SearchRecord, summary: Summary, axis: Axis) -> Figure:
    cloud = [
        (index, x, candidate.accuracy_percent)
        for index, candidate in enumerate(search.evaluated)
        if (x := axis.predicted(candidate)) is not None and candidate.accuracy_percent is not None
    ]
    marks = list(_marks(inputs, summary, axis))
    label = _label(search, axis, len(cloud), marks)
    wide, narrow = (draw(frame, search, axis, cloud, marks, label) for frame in (WIDE, NARROW))
    return Figure(
        title=axis.figure,
        wide=wide,
        narrow=narrow,
        table=candidates_table(inputs, search, summary, axis.most_rows),
        legend=tuple(_legend(search, axis, marks)),
        caption=_caption(search, axis, len(cloud)),
        full=True,
    )


def _marks(inputs: ReportInputs, summary: Summary, axis: Axis) -> Iterator[Mark]:
    winner = winner_index(inputs)
    for index, verified in enumerate(inputs.verify.candidates if inputs.verify else ()):
        candidate = verified.candidate
        x = axis.predicted(candidate)
        if x is None or candidate.accuracy_percent is None:
            continue
        measured, within = axis.measured(verified), verified.verdict == "within"
        if candidate.architecture == summary.architecture:
            within = within and summary.verdict != "not met"
            if axis.has_front:
                measured = summary.measured_ms or measured
        yield Mark(
            name=candidate.architecture.name or notation(candidate.architecture),
            accuracy_percent=candidate.accuracy_percent,
            predicted=x,
            measured=x if measured is None else measured,
            within=within,
            is_winner=index == winner,
        )


def _legend(search: SearchRecord, axis: Axis, marks: list[Mark]) -> Iterator[LegendItem]:
    yield LegendItem("cloud", "scored, within every limit as predicted")
    if any(candidate.violation > 0 for candidate in search.evaluated):
        yield LegendItem("cloud-over", "scored, over a limit as predicted")
    if search.front:
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


def _label(search: SearchRecord, axis: Axis, shown: int, marks: list[Mark]) -> str:
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


def _caption(search: SearchRecord, axis: Axis, shown: int) -> str:
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
