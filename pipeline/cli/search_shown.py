"""What a search found, and what limits leave of a space, as a person reads it in a terminal.

Tables and sentences are those of the report. Off a terminal everything is plain text of a width
that suits a log file.
"""

from __future__ import annotations

import dataclasses
import os
import textwrap
from collections.abc import Collection, Iterator, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from pipeline.cli.terminal_plot import FRONT_SIGN, search_plot
from pipeline.records.candidates import Limits
from pipeline.records.search import SearchRecord
from pipeline.report.blocks import Cell, Table, columns
from pipeline.report.cells import accuracy_cell, number_cell, predicted_cell
from pipeline.report.formatting import (
    count,
    limit_count,
    limit_ms,
    notation,
    percent,
    plural,
    target_labels,
)
from pipeline.report.room_words import room_words
from pipeline.report.search_plot import searched_targets
from pipeline.report.search_tables import (
    cost_name,
    cost_words,
    nearest_table,
    sizes_table,
    targets_table,
)
from pipeline.report.search_words import (
    best_single_words,
    exact_texts,
    luck_words,
    margin_words,
    nearest_words,
    sharing_words,
)
from pipeline.search.explanation import Explanation, Share

_LOG_WIDTH = 100
_MOST_PLOT_WIDTH = 120
_LEAST_HEADING = 6
# Of the report's tables; the first two stand in other tables, the third in a sentence.
_NO_ROOM = frozenset({"Own network", "Its limit", "Mean errs by"})
_MOST_WINNERS, _MOST_FRONT = 5, 15
_MAGNITUDES = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"), (1e3, "thousand"))


def print_search(record: SearchRecord) -> None:
    """Prints what a search found: winners and front, a plot, and what is known about them."""
    console = _console()
    if record.ranking:
        _print_found(console, record)
        _print_plot(console, record)
    for words in _sentences(record):
        _print_words(console, words)
    for table in _tables(record):
        _print_table(console, table, without=_NO_ROOM)


def print_explanation(found: Explanation) -> None:
    """Prints what a space reaches, how much of it the limits leave, and whether anything."""
    console = _console()
    for words in found.sizes:
        _print_words(console, words)
    _print_table(console, _reachable_table(found))
    _print_words(console, found.message)
    number = _rounded(found.architectures)
    _print_words(
        console, f"Within all limits, of {number} architectures: {share_words(found.share)}."
    )
    _print_words(
        console,
        "At least one architecture is within all limits: proved."
        if found.feasible
        else "No architecture is within all limits: proved.",
    )
    if found.nearest:
        _print_words(console, nearest_words(found.nearest))
        _print_table(console, nearest_table(found.limits, found.nearest))


def share_words(share: Share) -> str:
    """A share with its interval and how it was found, e.g. `1 in 3.2 million (counted)`."""
    if share.how == "counted":
        how = "counted" if share.low == share.high else "counted with costs rounded, certain bounds"
    else:
        how = f"of {plural(share.samples, 'architecture')} drawn at random, 95 % confidence"
    if share.low == share.high:
        return f"{_part(share.low)} ({how})"
    if share.low <= 0:
        return f"at most {_part(share.high)} ({how})"
    return f"between {_part(share.low)} and {_part(share.high)} ({how})"


def _part(share: float) -> str:
    if share <= 0:
        return "none"
    return f"{100 * share:.3g} %" if share >= 1e-3 else f"1 in {_rounded(1 / share)}"


def _rounded(number: float) -> str:
    """A large number in words: `3.2 million`; beyond them `1.4e+27`."""
    if number >= 1e15:
        return f"{number:.1e}"
    for size, word in _MAGNITUDES:
        if number >= size:
            return f"{number / size:.3g} {word}"
    return f"{number:.0f}"


def _console() -> Console:
    console = Console()
    # Off a terminal rich assumes 80 columns, too few for a table of networks.
    known = console.is_terminal or "COLUMNS" in os.environ
    return console if known else Console(width=_LOG_WIDTH)


def _print_words(console: Console, words: str) -> None:
    """Prints a paragraph; numbers stay with their units, and names of targets whole."""
    lines = textwrap.wrap(words, console.width, break_on_hyphens=False, break_long_words=False)
    for line in lines:
        console.print(escape(_plain(line)), highlight=False, soft_wrap=True)


def _print_table(console: Console, table: Table, without: Collection[str] = ()) -> None:
    """Prints a table of the report.

    Args:
        console: Where to.
        table: What is printed, its caption above it.
        without: Titles of columns there is no room for.
    """
    kept = [i for i, column in enumerate(table.columns) if column.title not in without]
    shown = RichTable(
        header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    for index in kept:
        column = table.columns[index]
        cells = [_plain(row[index].text) for row in table.rows]
        title = _plain(column.title)
        shown.add_column(
            escape(_folded(title, max(map(len, cells), default=0)) if column.numeric else title),
            justify="right" if column.numeric else "left",
            overflow="fold",
        )
    for place, row in enumerate(table.rows):
        style = "bold" if place in table.marked else ""
        shown.add_row(*(escape(_plain(row[index].text)) for index in kept), style=style)
    console.print()
    _print_words(console, table.caption)
    console.print(shown, highlight=False)


def _folded(title: str, width: int) -> str:
    """A heading in lines about as wide as its column, broken where a target's name may be."""
    width = max(width, _LEAST_HEADING)
    lines = textwrap.wrap(title.replace("/", "/ "), width, break_long_words=False)
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Spaces that a search in a log file finds."""
    return text.replace("\u00a0", " ").replace("\u202f", " ")


def _print_found(console: Console, record: SearchRecord) -> None:
    table = _found_table(record)
    if len(searched_targets(record)) == 1:
        _print_table(console, table)
        return
    # Latencies of several targets leave no room for what the networks are made of.
    _print_table(console, table, without=("Network",))
    others = [column.title for column in table.columns if column.title not in ("Rank", "Network")]
    networks = dataclasses.replace(table, caption="What they are made of: (expansion, kernel)")
    _print_table(console, networks, without=others)


def _found_table(record: SearchRecord) -> Table:
    rank = {index: place for place, index in enumerate(record.ranking, start=1)}
    shown = _thinned(record.front, _MOST_FRONT)
    indices = sorted({*record.ranking[:_MOST_WINNERS], *shown}, key=lambda i: rank.get(i, i))
    targets = searched_targets(record)
    labels = target_labels(targets)
    on = f" on {targets[0]}" if len(targets) == 1 else ""
    caption = (
        f"The best networks and the front ({len(shown)} of {len(record.front)} points,"
        f" marked {FRONT_SIGN}); latency predicted, ms{on}"
    )
    titles = [f"#{labels[target]}" if len(targets) > 1 else "#ms" for target in targets]
    return Table(
        caption,
        columns("#Rank", "Front", "#Top-1", *(["#Expected"] if record.scale else []), *titles,
                "#MACs", "#Params", "#px", "Network"),
        tuple(_found_row(record, index, rank.get(index), targets) for index in indices),
    )  # fmt: skip


def _found_row(
    record: SearchRecord, index: int, rank: int | None, targets: Sequence[str]
) -> tuple[Cell, ...]:
    candidate = record.evaluated[index]
    latencies = [predicted_cell(candidate, target) for target in targets]
    return (
        Cell("-" if rank is None else str(rank)),
        Cell(FRONT_SIGN if index in record.front else ""),
        accuracy_cell(candidate),
        *([number_cell(record.expected_percent(candidate), percent)] if record.scale else []),
        *(Cell(_plain(cell.text).removesuffix(" ms")) for cell in latencies),
        Cell(count(candidate.macs)),
        Cell(count(candidate.params)),
        Cell(str(candidate.architecture.resolution)),
        Cell(notation(candidate.architecture)),
    )


def _thinned(front: Sequence[int], most: int) -> list[int]:
    """At most so many points, both ends among them."""
    if len(front) <= most:
        return list(front)
    last = len(front) - 1
    return [front[round(place * last / (most - 1))] for place in range(most)]


def _sentences(record: SearchRecord) -> Iterator[str]:
    yield record.message
    yield from record.remarks
    yield luck_words(record)
    if record.ranking:
        yield room_words(record, record.evaluated[record.ranking[0]].architecture)
    if record.exact:
        yield from (text.text for text in exact_texts(record.exact))
    yield margin_words(record)
    yield best_single_words(record)
    yield sharing_words(record)
    if record.nearest:
        yield nearest_words(record.nearest)


def _tables(record: SearchRecord) -> Iterator[Table]:
    if record.nearest:
        yield nearest_table(record.limits, record.nearest)
    if record.resolutions:
        yield sizes_table(record)
    if record.per_target:
        yield targets_table(record)


def _print_plot(console: Console, record: SearchRecord) -> None:
    plot = search_plot(record, min(console.width, _MOST_PLOT_WIDTH))
    console.print()
    console.print(plot.title, markup=False, highlight=False)
    console.print(Text.from_ansi(plot.drawing), highlight=False)
    for words in plot.legend:
        _print_words(console, words)
    console.print()


def _reachable_table(found: Explanation) -> Table:
    rows = tuple(
        (
            Cell(str(resolution)),
            Cell(cost_name(key)),
            Cell(cost_words(key, low)),
            Cell(cost_words(key, high)),
            Cell(_limit(found.limits, key)),
            Cell(_reach(found.limits, key, low, high)),
        )
        for resolution, costs in sorted(found.reachable.items())
        for key, (low, high) in costs.items()
    )
    return Table(
        f"What {found.space} reaches at each input size",
        columns("#px", "Cost", "#Smallest", "#Largest", "Limit", "Limit by itself"),
        rows,
    )


def _bounds(limits: Limits, key: str) -> tuple[float | None, float | None]:
    """The lower and the upper limit on a cost."""
    if key == "macs":
        return limits.macs_min, limits.macs
    if key == "params":
        return None, limits.params
    return None, limits.latency_ms.get(key.removeprefix("latency_ms/"))


def _limit(limits: Limits, key: str) -> str:
    show = limit_ms if key.startswith("latency_ms/") else limit_count
    low, high = _bounds(limits, key)
    words = [f"at least {show(low)}"] if low is not None else []
    words += [f"at most {show(high)}"] if high is not None else []
    return ", ".join(words) or "none"


def _reach(limits: Limits, key: str, low: float, high: float) -> str:
    least, most = _bounds(limits, key)
    if least is None and most is None:
        return ""
    if (most is not None and low > most) or (least is not None and high < least):
        return "out of reach"
    binds = (most is not None and high > most) or (least is not None and low < least)
    return "in reach" if binds else "holds for all"
