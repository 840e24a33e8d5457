"""What a section is made of: text, tables, figures. The template renders these and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from markupsafe import Markup

Tone = Literal["", "good", "bad", "warn", "muted"]


class Block:
    """A part of a section."""

    @property
    def kind(self) -> str:
        """What the template goes by."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Text(Block):
    """A paragraph; plain text is escaped, `Markup` is not."""

    text: str | Markup
    tone: Tone = ""


@dataclass(frozen=True)
class Missing(Block):
    """In place of what a stage that has not run would show."""

    reason: str
    command: str | None


@dataclass(frozen=True)
class Verdict(Block):
    """The one line at the top."""

    tone: Tone
    badge: str
    text: str


@dataclass(frozen=True)
class Card:
    """One key figure."""

    label: str
    value: str
    note: str = ""
    tone: Tone = ""


@dataclass(frozen=True)
class Cards(Block):
    """Key figures side by side."""

    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: What is read.
        order: What the column is sorted by; the text where it is None.
        tone: Good and bad are also said in words: colour is never the only sign.
        code: Whether it is set in a fixed pitch.
    """

    text: str
    order: float | None = None
    tone: Tone = ""
    code: bool = False


@dataclass(frozen=True)
class Column:
    """A column's heading; numbers are set to the right, long text may be broken into lines."""

    title: str
    numeric: bool = False
    wraps: bool = False


@dataclass(frozen=True)
class Table(Block):
    """A table; wide ones scroll inside their own frame.

    Attributes:
        caption: What it shows.
        columns: Headings.
        rows: Cells, as many a row as there are columns.
        marked: Indices of rows to set apart: the chosen network.
        totals: A last row that is not sorted with the others.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    marked: frozenset[int] = frozenset()
    totals: tuple[Cell, ...] | None = None

    @property
    def sortable(self) -> bool:
        """Whether there is anything to sort."""
        return len(self.rows) > 2


@dataclass(frozen=True)
class LegendItem:
    """A mark and what it means.

    Attributes:
        mark: A class of the style sheet.
        key: The mark as drawn, in a field of 22 by 14; the template draws it where this is None.
    """

    mark: str
    text: str
    key: Markup | None = None


@dataclass(frozen=True)
class Figure(Block):
    """A plot, and the same as a table.

    Attributes:
        title: Heading.
        wide: The picture.
        narrow: The same drawn for a phone; None where the picture is legible there as it is.
        table: What the plot shows, in numbers.
        legend: Marks and their meaning.
        caption: How to read it.
        full: Whether it takes the page's whole width.
        more: Further tables, for what else is drawn.
        shows_table: Whether the table is open from the start.
    """

    title: str
    wide: Markup
    table: Table
    narrow: Markup | None = None
    legend: tuple[LegendItem, ...] = ()
    caption: str | Markup = ""
    full: bool = False
    more: tuple[Table, ...] = ()
    shows_table: bool = False


@dataclass(frozen=True)
class Heading(Block):
    """A heading inside a section."""

    text: str


@dataclass(frozen=True)
class Code(Block):
    """Commands or data to copy."""

    label: str
    text: str
    folded: bool = False


@dataclass(frozen=True)
class Row(Block):
    """Blocks side by side where there is room."""

    blocks: tuple[Figure | Table, ...]


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        anchor: Its `id`.
        title: Its heading.
        short: The same in the table of contents.
        blocks: What it holds, in order.
        commands: What makes its numbers again.
    """

    anchor: str
    title: str
    short: str
    blocks: tuple[Block, ...] = field(default=())
    commands: tuple[str, ...] = ()


def columns(*titles: str) -> tuple[Column, ...]:
    """Columns from their titles: `#` before one makes it numeric, `~` lets its text wrap.

    Of a numeric column that wraps (`#~`) only the heading does.
    """
    return tuple(
        Column(
            title.lstrip("#~"),
            numeric=title.startswith("#"),
            wraps=title.startswith(("~", "#~")),
        )
        for title in titles
    )


def pairs_table(caption: str, rows: Sequence[tuple[str, str]]) -> Table:
    """A table of names and values."""
    cells = tuple((Cell(name), Cell(value)) for name, value in rows)
    return Table(caption, columns("~What", "~Value"), cells)
