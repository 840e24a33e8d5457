"""Measuring a few of a table's entries again, to see whether it still holds."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.device.runtimes import model_file
from pipeline.device.target import Target
from pipeline.errors import TableError
from pipeline.export.cache import export_all
from pipeline.files.whole import write_record
from pipeline.latency.drift import check_path, judge_changes
from pipeline.latency.table import NETWORK, LatencyTable
from pipeline.measure.bench import CONTROL
from pipeline.measure.campaign import CONTROL_NETWORK, run_campaign
from pipeline.measure.protocol import TimingProtocol
from pipeline.records.calibration import DriftCheck
from pipeline.space.architecture_file import parse_short, published
from pipeline.space.operator_spec import parse_key
from pipeline.work.progress import Progress, silent

_ENTRIES = 4
# Short enough that a check takes seconds; apart enough that one slow spell does not hold it all.
_PROTOCOL = TimingProtocol(sweeps=10, min_sweeps=8, sweep_interval_s=0.6, budget_s=12.0)


def check(
    target: Target, *, export_progress: Progress = silent, progress: Progress = silent
) -> DriftCheck:
    """Measures a few entries of a table again, and keeps what was found beside it.

    Args:
        target: Whose table.
        export_progress: Told while models are exported that are not in the cache.
        progress: Told after each visit.

    Raises:
        TableError: There is no table, or it is of another machine or of other software.
        UnavailableError: The target cannot be measured here.
        UnsteadyError: The machine does not hold still.
        StorageError: A file cannot be written.
    """
    start = time.monotonic()
    table = LatencyTable.read(target)
    differing = table.differences()
    if differing:
        raise TableError(
            f"{table.path} was measured under other conditions, so there is nothing to check: "
            + "; ".join(differing),
            hint=f"measure anew: python run_pipeline.py profile --target {target.name}",
        )
    keys = _chosen(table)
    jobs = [
        parse_short(key.removeprefix(NETWORK)) if key.startswith(NETWORK) else parse_key(key)
        for key in keys
    ]
    control, *models = export_all(
        [published(CONTROL_NETWORK), *jobs],
        batch=target.batch,
        file=model_file(target),
        progress=export_progress,
    )
    with tempfile.TemporaryDirectory() as scratch:
        found = run_campaign(
            dict(zip(keys, models, strict=True)),
            control,
            target,
            _PROTOCOL,
            Path(scratch) / "visits.jsonl",
            progress=progress,
        )
    change = {key: found.stats[key].typical / table.entries[key].typical for key in keys}
    assert found.control is not None  # where nothing is measured, the campaign raises
    change[CONTROL] = found.control.typical / table.control.typical
    record = judge_changes(table, change, seconds=time.monotonic() - start)
    write_record(check_path(target), record)
    return record


def _chosen(table: LatencyTable) -> list[str]:
    """A few entries from the fastest to the slowest: whole networks, where there are any.

    Predictions are of networks, and it is they that move with the machine; operators timed alone
    live in the cache and hardly do.
    """
    networks = [key for key in table.entries if key.startswith(NETWORK)]
    ordered = sorted(networks or table.entries, key=lambda key: table.entries[key].typical)
    if not ordered:
        raise TableError(
            f"{table.path} has no entry to check",
            hint=f"measure on: python run_pipeline.py profile --target {table.target.name}",
        )
    # The slowest would take the time that all others need together.
    faster = ordered[: len(ordered) // 2 + 1]
    places = np.linspace(0, len(faster) - 1, min(_ENTRIES, len(faster))).round().astype(int)
    return [faster[place] for place in places]
