"""What the command lines of studies have in common: names, answers, verdicts, and errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable
from typing import Any

import typer

from pipeline.errors import PipelineError, UnknownNameError


def run(main: Callable[..., None]) -> None:
    """Runs a study as its command line says; an error is told without a traceback."""
    try:
        typer.run(main)
    except PipelineError as error:
        sys.exit(f"{error.message}\ntry: {error.hint}" if error.hint else error.message)


def chosen_methods(names: str, known: Collection[str]) -> list[str]:
    """The methods that an option names.

    Args:
        names: Joined by semicolons.
        known: What there is.

    Raises:
        UnknownNameError: A name is of no method.
    """
    chosen = [name.strip() for name in names.split(";")]
    for name in chosen:
        if name not in known:
            raise UnknownNameError.of("method", name, known)
    return chosen


def tell(
    told: dict[str, Any], lines: Callable[[dict[str, Any]], Iterable[str]], *, as_json: bool
) -> None:
    """Prints what a study found, as one JSON object or in lines."""
    text = json.dumps(told, default=vars) if as_json else "\n".join(lines(told))
    sys.stdout.write(f"{text}\n")


def judge(missed: Iterable[str], *, check: bool) -> None:
    """Says what was missed and ends with 1, where the study is asked to check and something was."""
    lines = [f"{line}\n" for line in missed]
    if check and lines:
        sys.stderr.write("".join(lines))
        raise typer.Exit(1)
