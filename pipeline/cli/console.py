"""What people and programs see: tables, progress bars, JSON, errors.

Results go to standard output, everything else to standard error. With `--json` standard output is
one JSON object and nothing more.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from pipeline.errors import PipelineError
from pipeline.work.progress import Progress, ProgressFactory

_PLAIN_INTERVAL_S = 10.0
_NOTE_LENGTH = 60


def print_json(value: BaseModel | dict[str, Any]) -> None:
    """Prints one JSON object on standard output."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table; columns of numbers, told by their `[unit]`-less titles, are right-aligned."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for index, column in enumerate(columns):
        numeric = all(_is_numeric(row[index]) for row in rows) and bool(rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    _console(stderr=False).print(table)


def print_line(text: str) -> None:
    """Prints one line of plain text on standard output."""
    _console(stderr=False).print(escape(text), soft_wrap=True, highlight=False)


def print_drawing(drawing: str) -> None:
    """Prints lines that escape sequences colour, with colours where the terminal has them."""
    _console(stderr=False).print(Text.from_ansi(drawing), soft_wrap=True, highlight=False)


def terminal_width() -> int:
    """Characters in a line of standard output."""
    return _console(stderr=False).width


def note(text: str) -> None:
    """Tells something by the way, on standard error."""
    _console(stderr=True).print(escape(text), soft_wrap=True, highlight=False)


def print_error(error: PipelineError, *, as_json: bool) -> None:
    """Prints a known error: what failed, and the next thing to try."""
    if as_json:
        told = {"type": type(error).__name__, "message": error.message, "hint": error.hint}
        print_json({"error": told})
        return
    console = _console(stderr=True)
    console.print(f"[bold red]error:[/] {escape(error.message)}", soft_wrap=True, highlight=False)
    if error.hint:
        console.print(f"[bold]try:[/]   {escape(error.hint)}", soft_wrap=True, highlight=False)


@contextmanager
def progress_bars() -> Iterator[ProgressFactory]:
    """Progress bars on a terminal, a line now and then elsewhere."""
    console = _console(stderr=True)
    if not console.is_terminal:
        yield _plain_progress
        return
    with Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
        console=console,
    ) as bars:

        def start(title: str) -> Progress:
            task = bars.add_task(title, total=None, note="", start=True)

            def advance(done: int, total: int, note: str = "") -> None:
                bars.update(task, completed=done, total=total, note=escape(note[:_NOTE_LENGTH]))

            return advance

        yield start


def _plain_progress(title: str) -> Progress:
    start = time.monotonic()
    last = 0.0
    first: int | None = None

    def advance(done: int, total: int, note: str = "") -> None:
        nonlocal last, first
        now = time.monotonic()
        # What an earlier run had done already says nothing of how fast this one is.
        first = done if first is None else first
        if done >= total or now - last >= _PLAIN_INTERVAL_S:
            last = now
            left = _left(done - first, total - done, now - start)
            shown = "".join(f"  {words}" for words in (note[:_NOTE_LENGTH], left) if words)
            sys.stderr.write(f"{title}: {done}/{total}{shown}\n")
            sys.stderr.flush()

    return advance


def _left(done: int, missing: int, seconds: float) -> str:
    """How long the rest takes at the pace so far; nothing where that is not known yet."""
    if done <= 0 or missing <= 0:
        return ""
    minutes, rest = divmod(round(seconds * missing / done), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} left"


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr)
    # Without a terminal rich assumes 80 columns and would break tables that a pipe can take whole.
    return console if console.is_terminal else Console(stderr=stderr, width=160)


def _is_numeric(text: str) -> bool:
    try:
        float(text.replace(",", "").split(" ")[0])
    except ValueError:
        return text in ("", "-")
    return True
