"""Where things lie: results in the working directory, shipped data beside the package.

Profiles and tables are looked for in the working directory first, then among those that ship with
the package. Whatever is written goes to the working directory; downloads and exported operators,
which any run can make again, go to the cache.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_SHIPPED = (_PACKAGE / "shipped", _PACKAGE.parent)
PROFILES = "profiles"
RUNS = "runs"


def roots() -> tuple[Path, ...]:
    """The working directory, then the folders of what ships."""
    return (Path(), *_SHIPPED)


def run_dir(name: str) -> Path:
    """Folder of one run of the pipeline."""
    return Path(RUNS) / name


def profile_files() -> dict[str, Path]:
    """Device profiles by device name, the working directory's before the shipped ones."""
    found: dict[str, Path] = {}
    for root in roots():
        for path in sorted((root / PROFILES).glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found
