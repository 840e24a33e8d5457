"""Every error this package raises on purpose.

    PipelineError                    exit 1   a known failure, told in one message
    ├── UsageError                   exit 2   what was asked cannot be asked
    │   ├── ConfigError                       a recipe, profile or space file that does not read
    │   ├── UnknownNameError                  no such operator, space, model, runtime, data set …
    │   └── ArchitectureError                 an architecture its space does not hold
    ├── DataError                             images missing, empty, damaged
    ├── CheckpointError                       weights that do not load
    ├── TableError                            a latency table that cannot be used
    │   └── MissingEntriesError               … because operators were never measured
    ├── UnavailableError                      a runtime or device this machine does not have
    ├── ExportError                           a model that does not export, or differs once exported
    ├── MeasurementError                      a timing that cannot be made or trusted
    │   ├── UnsteadyError                     … because the machine does not hold still
    │   └── CrashedError                      … because the measuring process died
    ├── InfeasibleError                       limits that no architecture meets
    ├── SolverError                           a solver that ends without an answer
    ├── StageError                            a stage whose input is not there yet
    └── StorageError                          a file that cannot be read or written (disk full, …)

A message says what failed, what was given and what was expected; the hint is the next command
or edit to try.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST_LISTED, _NEAREST = 60, 4


class PipelineError(Exception):
    """A known failure.

    Args:
        message: What failed, what was given, what was expected.
        hint: What to try next.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(cls: type[PipelineError], message: str, hint: str | None) -> PipelineError:
    """Errors cross process boundaries; the keyword-only hint needs this to be unpickled."""
    return cls(message, hint=hint)


class UsageError(PipelineError):
    """What was asked cannot be asked."""

    exit_code = 2


class ConfigError(UsageError):
    """A recipe, profile or space file that does not read."""


class UnknownNameError(UsageError):
    """A name that is not among the known ones."""

    @classmethod
    def of(cls, what: str, given: str, known: Iterable[str]) -> UnknownNameError:
        """Builds the message, with the nearest known name as the hint; of many, the nearest."""
        names = sorted(known)
        near = difflib.get_close_matches(given, names, n=_NEAREST, cutoff=0.5)
        listed = ", ".join(names) if names else "none"
        if len(names) > _MOST_LISTED:
            some = near or names[:_NEAREST]
            listed = f"{len(names)} names, {'the nearest' if near else 'such as'} {', '.join(some)}"
        return cls(
            f"unknown {what} {given!r}; known: {listed}",
            hint=f"did you mean {near[0]!r}?" if near else None,
        )


class ArchitectureError(UsageError):
    """An architecture its search space does not hold."""


class DataError(PipelineError):
    """Images that are missing, empty or damaged."""


class CheckpointError(PipelineError):
    """Weights that do not load."""


class TableError(PipelineError):
    """A latency table that cannot be used."""


class MissingEntriesError(TableError):
    """A latency table that lacks operators that were asked of it."""


class UnavailableError(PipelineError):
    """A runtime or device this machine does not have."""


class ExportError(PipelineError):
    """A model that does not export, or that differs from its source once exported."""


class MeasurementError(PipelineError):
    """A timing that cannot be made or trusted."""


class UnsteadyError(MeasurementError):
    """A machine that does not hold still long enough for a target to be measured on it."""


class CrashedError(MeasurementError):
    """A measuring process that died at what it was asked to do."""


class InfeasibleError(PipelineError):
    """Limits that no architecture of the space meets."""


class SolverError(PipelineError):
    """A solver that ends without an answer."""


class StageError(PipelineError):
    """A stage whose input is not there yet."""


class StorageError(PipelineError):
    """A file that cannot be read or written."""
