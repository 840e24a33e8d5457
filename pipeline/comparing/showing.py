"""What a comparison is shown as, for a terminal or as Markdown: lines, lists and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.comparing.levels import Change
from pipeline.report.markdown import escape


@dataclass(frozen=True)
class Listing:
    """Points under each other."""

    points: Sequence[str]


@dataclass(frozen=True)
class Grid:
    """A table: its title, and cells of text."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


Shown = str | Listing | Grid


def render_markdown(title: str, blocks: Iterable[Shown]) -> str:
    """A comparison as Markdown that fits a pull-request comment."""
    return "\n\n".join([f"## {escape(title)}", *map(_block, blocks)]) + "\n"


def _block(block: Shown) -> str:
    if isinstance(block, str):
        return escape(block)
    if isinstance(block, Listing):
        return "\n".join(f"- {escape(point)}" for point in block.points)
    lines = [f"**{escape(block.title)}**", ""]
    lines += [_row(block.columns), _row(["---"] * len(block.columns))]
    lines += [_row([escape(cell) for cell in row]) for row in block.rows]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def show_change(change: Change | None) -> str:
    """A change in percent with its interval."""
    if change is None:
        return "-"
    return f"{change.percent:+.2f} [{change.low_percent:+.2f}, {change.high_percent:+.2f}]"
