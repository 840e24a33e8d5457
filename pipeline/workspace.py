"""Where things lie: results in the working directory, shipped data beside the package.

Profiles and tables are looked for in the working directory first, then among those that ship with
the package. Whatever is written goes to the working directory; downloads and exported operators,
which any run can make again, go to the cache.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.cache_folder import CACHE_VARIABLE as CACHE_VARIABLE
from pipeline.cache_folder import cache_dir as cache_dir
from pipeline.device import HOST, Target, host_slug

_PACKAGE = Path(__file__).resolve().parent
_SHIPPED = (_PACKAGE / "shipped", _PACKAGE.parent)
TABLES = "latency_tables"
PROFILES = "profiles"
RUNS = "runs"


def run_dir(name: str) -> Path:
    """Folder of one run of the pipeline."""
    return Path(RUNS) / name


def table_to_write(target: Target) -> Path:
    """Where a target's latency table is written."""
    return Path(TABLES) / target.device_slug / f"{target.setting}.jsonl"


def table_to_read(target: Target) -> Path:
    """Where a target's table is: in the working directory, else shipped, else not there yet."""
    here = table_to_write(target)
    shipped = [root / here for root in _SHIPPED]
    return next((path for path in [here, *shipped] if path.exists()), here)


def all_targets_with_tables() -> list[Target]:
    """Targets whose table can be read; this machine's are named `host/…`."""
    found: dict[str, Target] = {}
    for root in [Path(), *_SHIPPED]:
        for path in sorted((root / TABLES).glob("*/*.jsonl")):
            device = HOST if path.parent.name == host_slug() else path.parent.name
            name = f"{device}/{path.stem}"
            if Target.is_name(name):
                found.setdefault(name, Target.parse(name))
    return list(found.values())


def profile_files() -> dict[str, Path]:
    """Device profiles by device name, the working directory's before the shipped ones."""
    found: dict[str, Path] = {}
    for root in [Path(), *_SHIPPED]:
        for path in sorted((root / PROFILES).glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found
