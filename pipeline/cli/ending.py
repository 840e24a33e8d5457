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
    as_json = "--json" in arguments
    told: PipelineError
    try:
        result = app(args=list(arguments), prog_name="run_pipeline.py", standalone_mode=False)
    except PipelineError as error:
        told = error
    except _CommandLineError as error:
        told = UsageError(error.format_message(), hint=_usage_hint(app, arguments))
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        told = StorageError(f"{where}{error.strerror or error}")
    else:
        if result == _INTERRUPTED:
            return _interrupted()
        return result if isinstance(result, int) else 0
    # What tells errors takes longer to load than --help may take.
    from pipeline.cli.console import print_error

    print_error(told, as_json=as_json)
    return told.exit_code


def _interrupted() -> int:
    from pipeline.cli.console import note

    note("interrupted; the same command goes on where it stopped")
    return _INTERRUPTED


def _usage_hint(app: typer.Typer, arguments: Sequence[str]) -> str:
    verbs = [command.callback.__name__ for command in app.registered_commands if command.callback]
    verb = next((word for word in arguments if word in verbs), None)
    return f"python run_pipeline.py {verb + ' ' if verb else ''}--help"
