"""The search's cloud of networks and its front: accuracy against what limits it."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.records.search import SearchRecord
from pipeline.report.blocks import Block, Figure, LegendItem, Section, Table, Text
from pipeline.report.formatting import NBSP, count, integer, limit_count, percent, plural
from pipeline.report.inputs import ReportInputs
from pipeline.report.missing import missing
from pipeline.report.pictures.cloud import NARROW, WIDE, draw
from pipeline.report.pictures.markers import MIDDLE, SIZE_CLASSES, size_key, star
from pipeline.report.search_plot import (
    Axis,
    Plotted,
    PublishedMark,
    gather,
    latency_axis,
    searched_targets,
)
from pipeline.report.search_words import margin_words, points
from pipeline.report.sections.candidates import candidates_table, exact_table, published_table
from pipeline.report.summary import Summary


def section(inputs: ReportInputs, summary: Summary) -> Section:
    """Accuracy against predicted latency, target by target, and against MACs where limited."""
    search = inputs.search
    blocks: list[Block] = []
    if search is None:
        blocks.append(missing(inputs, "search"))
    else:
        margin = margin_words(search)
        if margin:
            blocks.append(Text(margin))
        blocks += [_figure(inputs, search, summary, axis) for axis in _axes(search)]
    return Section("front", "What the search could choose from", "Front", tuple(blocks))


def _axes(search: SearchRecord) -> Iterator[Axis]:
    limits = search.limits
    for target in searched_targets(search):
        yield latency_axis(search, target)
    if limits.macs is not None or limits.macs_min is not None:
        yield Axis(
            title="million MACs",
            figure="The same networks by MACs",
            most_rows=40,
            target=None,
            predicted=lambda c: c.macs / 1e6,
            measured=lambda v: v.candidate.macs / 1e6,
            show=lambda value: count(1e6 * value) + " MACs",
            show_bound=lambda value: limit_count(1e6 * value) + " MACs",
            most=None if limits.macs is None else limits.macs / 1e6,
            least=None if limits.macs_min is None else limits.macs_min / 1e6,
        )


def _figure(inputs: ReportInputs, search: SearchRecord, summary: Summary, axis: Axis) -> Figure:
    plotted = gather(inputs, search, summary, axis)
    label = _label(search, axis, plotted)
    wide, narrow = (draw(frame, plotted, axis, label) for frame in (WIDE, NARROW))
    targets = searched_targets(search)
    return Figure(
        title=axis.figure,
        wide=wide,
        narrow=narrow,
        table=candidates_table(inputs, search, summary, axis.most_rows, targets),
        legend=tuple(_legend(search, axis, plotted)),
        caption=_caption(search, axis, plotted),
        full=True,
        more=tuple(_more(search, axis, targets)),
    )


def _more(search: SearchRecord, axis: Axis, targets: tuple[str, ...]) -> Iterator[Table]:
    if search.published:
        yield published_table(search, targets)
    if search.exact and axis.has_front:
        yield exact_table(search, search.exact)


def _legend(search: SearchRecord, axis: Axis, plotted: Plotted) -> Iterator[LegendItem]:
    yield from _cloud_legend(plotted)
    if plotted.front:
        words = "on the front of accuracy and latency"
        yield (
            LegendItem("front", "front")
            if axis.has_front
            else LegendItem("on-front", f"{words} on {search.target}" if axis.target else words)
        )
    if plotted.exact:
        yield LegendItem("exact-front", "exact front of the surrogate")
    if plotted.own_best:
        yield LegendItem("own-best", "best within this target's limit alone")
    if any(mark.y is not None for mark in plotted.published):
        words = "published Cream model, scored"
        yield LegendItem("published", words, star(*MIDDLE, "published"))
    if any(mark.y is None for mark in plotted.published):
        words = "published, not in the hypernetwork: latency only"
        yield LegendItem("unscored", words, star(*MIDDLE, "published unscored"))
    yield from _mark_legend(plotted)
    if axis.bounds:
        yield LegendItem("limit", "limit")


def _cloud_legend(plotted: Plotted) -> Iterator[LegendItem]:
    if len(plotted.sizes) > 1:
        for place, size in enumerate(plotted.sizes):
            words = f"{size} pixels, {'likewise' if place else 'scored, within every limit'}"
            yield LegendItem(SIZE_CLASSES[place], words, size_key(place))
    else:
        yield LegendItem("cloud", "scored, within every limit as predicted")
    if any(not dot.within for dot in plotted.cloud):
        yield LegendItem("cloud-over", "scored, over a limit as predicted")


def _mark_legend(plotted: Plotted) -> Iterator[LegendItem]:
    if any(mark.within and not mark.is_winner for mark in plotted.marks):
        yield LegendItem("within", "verified, within")
    if any(not mark.within for mark in plotted.marks):
        yield LegendItem("over", "verified, over a limit")
    if any(mark.is_winner for mark in plotted.marks):
        yield LegendItem("winner", "chosen")


def _label(search: SearchRecord, axis: Axis, plotted: Plotted) -> str:
    words = f"Scatter plot of {plural(len(plotted.cloud), 'network')}: accuracy against"
    words += f" {axis.title}."
    winner = next((mark for mark in plotted.marks if mark.is_winner), None)
    if winner:
        words += f" The chosen one has {percent(winner.accuracy_percent)} at {axis.show(winner.x)}."
    if axis.most is not None:
        words += f" Limit {axis.show_bound(axis.most)}."
    return words + f" {plural(len(search.front), 'network')} on the front. Numbers in the table."


def _caption(search: SearchRecord, axis: Axis, plotted: Plotted) -> str:
    unscored = len(search.evaluated) - len(plotted.cloud)
    words = (
        "Each point is a network with the hypernetwork's shared weights, scored on images held out"
        " of training; retrained, a network is better than its point."
    )
    if search.scale:
        words += (
            " Scores are log-losses; what is expected by them on other images is told as accuracy,"
            f" {points(search.scale.percent_per_nat / 100)} for 0.01{NBSP}nats."
        )
    if axis.target is not None and any(mark.measured is not None for mark in plotted.marks):
        words += (
            " Verified networks stand at their measured latency, with a line from where they were"
            " predicted."
        )
    if plotted.exact:
        words += (
            " The surrogate's front is what it says of networks mostly not scored: points may lie"
            " on either side."
        )
    if plotted.left_out:
        beyond = ", ".join(_beyond(mark, axis) for mark in plotted.left_out)
        words += f" Too far away to be drawn: {beyond}."
    if unscored:
        words += f" {integer(unscored)} without a score are left out."
    return words


def _beyond(mark: PublishedMark, axis: Axis) -> str:
    accuracy = "" if mark.y is None else f", {percent(mark.y)}"
    return f"{mark.name} ({axis.show(mark.x)}{accuracy})"
