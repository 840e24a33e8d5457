"""What runtimes say of themselves, by the packages that are installed.

Nothing is imported for it: whether a runtime can run is asked on every command line, and engines
take seconds to import, or crash where there is no driver.
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import ClassVar

from pipeline.device.runtimes import file_read_by
from pipeline.device.target import Precision, Target
from pipeline.errors import UnavailableError

Files = Mapping[Precision, str]
"""The file of a model that a runtime runs in each precision it has."""


class PackagedRuntime(ABC):
    """A runtime whose engine is a package, and whose artifact is the model's file unless it builds.

    Attributes:
        distributions: Those that may have brought the engine; the first that is there tells the
            version.
        files: What it reads.
    """

    distributions: ClassVar[tuple[str, ...]]
    files: ClassVar[Files]

    @abstractmethod
    def unavailable(self) -> str | None:
        """Why it cannot run here, or None."""

    def version(self) -> str | None:
        """The installed version, whether or not it can run."""
        return version_of(self.distributions)

    def reads(self, precision: Precision) -> str | None:
        """Which file it runs in that precision."""
        return self.files.get(precision)

    def build(self, model: Path, target: Target, into: Path) -> Path:
        """Checks the precision; the file itself is the artifact.

        Raises:
            UnavailableError: It has no such precision.
        """
        del into
        return model / file_read_by(self, target)

    def require(self, target: Target) -> None:
        """Refuses a target where the runtime cannot run.

        Raises:
            UnavailableError: Says why.
        """
        reason = self.unavailable()
        if reason:
            raise UnavailableError(f"target {target.name}: {reason}")


def missing(package: str, install: str | None = None) -> str | None:
    """Why a package cannot be imported, or None where it is installed.

    Args:
        package: As it is imported.
        install: What installs it, if that is not `pip install` with the same name.
    """
    if importlib.util.find_spec(package) is None:
        return f"the package {package} is not installed ({install or f'pip install {package}'})"
    return None


def version_of(distributions: Iterable[str]) -> str | None:
    """Version of the first distribution that is installed; None where none is."""
    for distribution in distributions:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None


def folders_of(package: str) -> list[Path]:
    """Where a package's files are; nowhere if it is not installed."""
    spec = importlib.util.find_spec(package)
    return [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
