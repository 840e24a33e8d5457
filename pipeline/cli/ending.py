"""How a call of the command line ends: what is told, and the exit code.

Exit codes: 0 done, 1 a known error, 2 wrong usage or configuration, 130 interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from pipeline.errors import PipelineError, StorageError, UsageError

_INTERRUPTED = 130
# Typer carries its own copy of click, so the root of its errors has no public name of its own.
_CommandLineError: Any = typer.BadParameter.__mro__[2]


def exit_code(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Runs the command line, tells what went wrong, and returns its exit code."""
    from pipeline.cli.console import note, print_error

    as_json = "--json" in arguments
    try:
        result = app(args=list(arguments), prog_name="run_pipeline.py", standalone_mode=False)
    except PipelineError as error:
        print_error(error, as_json=as_json)
        return error.exit_code
    except _CommandLineError as error:
        told = UsageError(error.format_message(), hint=_usage_hint(app, arguments))
        print_error(told, as_json=as_json)
        return told.exit_code
    except (KeyboardInterrupt, typer.Abort):
        result = _INTERRUPTED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print_error(StorageError(f"{where}{error.strerror or error}"), as_json=as_json)
        return StorageError.exit_code
    if result == _INTERRUPTED:
        note("interrupted; the same command goes on where it stopped")
    return result if isinstance(result, int) else 0


def _usage_hint(app: typer.Typer, arguments: Sequence[str]) -> str:
    verbs = [command.callback.__name__ for command in app.registered_commands if command.callback]
    verb = next((word for word in arguments if word in verbs), None)
    return f"python run_pipeline.py {verb + ' ' if verb else ''}--help"
