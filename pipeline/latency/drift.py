"""Drift: does a table still hold on the machine it was measured on?

A check (`pipeline.latency.checking`) measures a few of the table's entries again, the control
network among them. If all moved by one factor (another clock, a busier host) predictions are
scaled by it; if they moved apart, the table is stale: something changed that no factor expresses.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.device.target import Target
from pipeline.errors import TableError
from pipeline.files.whole import read_record
from pipeline.latency.table import LatencyTable
from pipeline.latency.table_files import table_to_write
from pipeline.measure.campaign import utc_now
from pipeline.records.calibration import DriftCheck

FRESH_PERCENT = 1.0
STALE_SPREAD_PERCENT = 3.0
STALE_PERCENT = 25.0


def scale_of(table: LatencyTable) -> float:
    """What a table's predictions are multiplied by; 1 where it was never checked.

    A check of an earlier state of the table counts no more: measuring on has answered it.

    Raises:
        TableError: The last check found it stale.
        StorageError: The check's file cannot be read.
    """
    path = check_path(table.target)
    if not path.exists():
        return 1.0
    found = read_record(path, DriftCheck)
    if found.visits != table.num_visits:
        return 1.0
    if found.verdict == "stale":
        raise TableError(
            f"{table.path} is stale: checked at {found.at}, its entries had changed by "
            f"{_range(found)}, too much or too far apart to be scaled away",
            hint=f"move it away, then measure anew: python run_pipeline.py profile --target "
            f"{table.target.name}",
        )
    return found.scale


def check_path(target: Target) -> Path:
    """Where the last check of a target's table is, always in the working directory."""
    return table_to_write(target).with_name(f"{target.setting}.check.json")


def judge_changes(table: LatencyTable, change: dict[str, float], *, seconds: float) -> DriftCheck:
    """What changes of some of a table's entries say of all of it.

    Args:
        table: The table.
        change: Now divided by then, of each thing measured again.
        seconds: What that took.
    """
    logs = np.log(list(change.values()))
    factor, spread = float(np.exp(np.median(logs))), float(100 * np.std(logs, ddof=1))
    moved = abs(100 * (factor - 1))
    verdict: Literal["fresh", "scaled", "stale"] = "fresh"
    if spread > STALE_SPREAD_PERCENT or moved > STALE_PERCENT:
        verdict = "stale"
    elif moved > FRESH_PERCENT:
        verdict = "scaled"
    return DriftCheck(
        target=f"{table.target.device_slug}/{table.target.setting}",
        visits=table.num_visits,
        verdict=verdict,
        scale=factor if verdict == "scaled" else 1.0,
        change_percent={key: 100 * (value - 1) for key, value in change.items()},
        spread_percent=spread,
        at=utc_now(),
        seconds=seconds,
    )


def _range(found: DriftCheck) -> str:
    changes = found.change_percent.values()
    return f"{min(changes):+.1f} to {max(changes):+.1f} %"
