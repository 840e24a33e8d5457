"""The one seam to inference engines: a runtime builds an artifact and opens sessions on it.

A runtime is one file in this folder with a class `Runtime`; `find` loads it by the file's name,
and nothing is imported before that. Runtimes know errors, devices and measuring only.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.device import Target
from pipeline.errors import UnknownNameError

Feed = Mapping[str, NDArray[np.generic]]


class Session(Protocol):
    """A model loaded and ready to run."""

    @property
    def precision_as_built(self) -> str:
        """The precision the engine really computes in."""

    def inputs(self) -> dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]]:
        """Shape and type of each input, the target's batch filled in."""

    def run(self, feed: Feed) -> dict[str, NDArray[np.generic]]:
        """Runs once and returns when the outputs are complete.

        Raises:
            MeasurementError: The feed does not fit the model; names the input, what was given
                and what is expected.
        """

    def bind(self, feed: Feed) -> None:
        """Sets the inputs that `run_bound` uses, so that timing excludes copying them in."""

    def run_bound(self) -> None:
        """Runs on the bound inputs and returns when the outputs are complete: what is timed."""


class Runtime(Protocol):
    """An inference engine."""

    def unavailable(self) -> str | None:
        """Why it cannot run on this machine, or None. Must never crash the process."""

    def version(self) -> str | None:
        """The engine's version, or None where it is not installed."""

    def build(self, model: Path, target: Target, into: Path) -> Path:
        """Makes the artifact that `open` takes.

        Args:
            model: Folder with `model.onnx`.
            target: What to build for.
            into: Folder for the artifact.

        Raises:
            UnavailableError: The engine cannot run here, or not in that precision.
            MeasurementError: The engine refuses the model; says which node and why.
        """

    def open(self, artifact: Path, target: Target) -> AbstractContextManager[Session]:
        """Loads an artifact.

        Raises:
            UnavailableError: The engine cannot run here.
            MeasurementError: The artifact does not load.
        """


def names() -> tuple[str, ...]:
    """Names of all runtimes, installed or not."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def find(name: str) -> Runtime:
    """The runtime of that name.

    Raises:
        UnknownNameError: There is no such file.
    """
    if name not in names():
        raise UnknownNameError.of("runtime", name, names())
    runtime: Runtime = importlib.import_module(f"{__name__}.{name}").Runtime()
    return runtime
