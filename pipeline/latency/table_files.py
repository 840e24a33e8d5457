"""Where latency tables lie: in the working directory, else among those that ship."""

from __future__ import annotations

from pathlib import Path

from pipeline.device.target import HOST, Target, host_slug
from pipeline.files.workspace import roots

TABLES = "latency_tables"


def table_to_write(target: Target) -> Path:
    """Where a target's latency table is written."""
    return Path(TABLES) / target.device_slug / f"{target.setting}.jsonl"


def table_to_read(target: Target) -> Path:
    """Where a target's table is: in the working directory, else shipped, else not there yet."""
    here = table_to_write(target)
    return next((path for root in roots() if (path := root / here).exists()), here)


def all_targets_with_tables() -> list[Target]:
    """Targets whose table can be read; this machine's are named `host/…`."""
    found: dict[str, Target] = {}
    for root in roots():
        for path in sorted((root / TABLES).glob("*/*.jsonl")):
            device = HOST if path.parent.name == host_slug() else path.parent.name
            name = f"{device}/{path.stem}"
            if Target.is_name(name):
                found.setdefault(name, Target.parse(name))
    return list(found.values())
