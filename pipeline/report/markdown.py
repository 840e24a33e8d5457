"""The report in short, as Markdown that fits a pull-request comment."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.report.blocks import (
    Block,
    Cards,
    Figure,
    Heading,
    Missing,
    Row,
    Section,
    Table,
    Text,
    Verdict,
)
from pipeline.report.inputs import ReportInputs
from pipeline.report.percentiles import CONFIDENCE
from pipeline.report.sections import (
    accuracy,
    alternatives,
    benchmark,
    overview,
    prediction,
    search,
)
from pipeline.report.sections.timing import steadiness_table
from pipeline.report.summary import Summary

_SPECIAL = re.compile(r"([\\`*_\[\]|#~])")
_MOST_ROWS = 16
MOST_CHARACTERS = 120
# What a comment has no room for; the page has all of it.
_DROPPED = frozenset(
    {"Target", "Network", "Mean", "Scatter (CoV)", "Parameters", "Computes in", "Weights", "Error",
     "Number of images", "When verified", "Own network"}
)  # fmt: skip


def render_markdown(inputs: ReportInputs, summary: Summary) -> str:
    """The page in short: verdict, key figures, how far predictions are off, what was measured."""
    sections = (
        overview.verdict_section(inputs, summary),
        overview.key_figures_section(inputs, summary),
        alternatives.section(inputs, summary),
        prediction.short_section(inputs, summary),
        benchmark.benchmark_section(inputs, summary),
        accuracy.section(inputs, summary),
        overview.parity_section(inputs, summary),
        search.section(inputs, summary),
    )
    parts = [f"# {escape(inputs.name)}: deployment report"]
    for section in sections:
        parts += _section(section)
    parts += ["## How it was measured", *_method(inputs)]
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Plain text as Markdown on one line: no markup, no HTML, whatever it holds."""
    one_line = " ".join(text.split())
    if len(one_line) > MOST_CHARACTERS * 4:
        one_line = one_line[: MOST_CHARACTERS * 4] + "…"
    plain = one_line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", plain)


def code(text: str) -> str:
    """A code span around text that may itself hold backticks."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{fence}{space}{' '.join(text.split())}{space}{fence}"


def _section(section: Section) -> Iterator[str]:
    yield f"## {escape(section.title)}"
    for block in section.blocks:
        # A comment shows no pictures, but what the page shows beside one.
        shown = block.table if isinstance(block, Figure) and block.shows_table else block
        yield from _block(shown)


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Verdict):
        yield f"**{escape(block.badge)}** — {escape(block.text)}"
    elif isinstance(block, Text):
        yield escape(block.text)
    elif isinstance(block, Heading):
        yield f"### {escape(block.text)}"
    elif isinstance(block, Missing):
        yield f"> {escape(block.reason)}" + (f" {code(block.command)}" if block.command else "")
    elif isinstance(block, Cards):
        yield "\n".join(
            f"- {escape(card.label)}: **{escape(card.value)}**"
            + (f" ({escape(card.note)})" if card.note else "")
            for card in block.cards
        )
    elif isinstance(block, Table):
        yield _table(block)
    elif isinstance(block, Row):
        tables = [inner for inner in block.blocks if isinstance(inner, Table)]
        for inner in tables:
            # Side by side on the page, and told apart by their captions alone.
            if len(tables) > 1:
                yield escape(inner.caption)
            yield from _block(inner)


def _table(table: Table) -> str:
    kept = [i for i, column in enumerate(table.columns) if column.title not in _DROPPED]
    lines = [
        _line([table.columns[i].title for i in kept]),
        "|" + "|".join("---:" if table.columns[i].numeric else "---" for i in kept) + "|",
    ]
    lines += [_line([row[i].text for i in kept]) for row in table.rows[:_MOST_ROWS]]
    left_out = len(table.rows) - _MOST_ROWS
    more = f"\n\n… and {left_out} more rows in the page." if left_out > 0 else ""
    return "\n".join(lines) + more


def _line(texts: list[str]) -> str:
    short = [t if len(t) <= MOST_CHARACTERS else t[: MOST_CHARACTERS - 1] + "…" for t in texts]
    return f"| {' | '.join(map(escape, short))} |"


def _method(inputs: ReportInputs) -> Iterator[str]:
    machine = next(iter(inputs.environments().values()), None)
    if machine:
        versions = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
        yield escape(f"{machine.cpu}, {machine.cores} cores, {machine.os}; {versions}.")
    steady = steadiness_table(inputs)
    if steady:
        yield _table(steady)
    yield (
        f"± is one standard uncertainty; “at most” is an upper bound at {CONFIDENCE}. MACs are"
        " multiply-accumulates, which the field often calls FLOPs. Every latency is the protocol's"
        " “typical”; the page beside this file says how it is made."
    )
    yield f"Make it again: {code(inputs.command('run'))}"
