"""A latency table as a flat file, for spreadsheets and data frames: one row an entry.

Nothing is measured and nothing is lost that a row can hold; the raw runs stay in the journal.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.device.fingerprint import EXPORTER, RUNTIMES
from pipeline.device.target import Target
from pipeline.errors import TableError, UnavailableError, UnknownNameError
from pipeline.files.whole import write_atomic
from pipeline.latency.table import NETWORK, LatencyTable
from pipeline.measure.journal import read_journal
from pipeline.measure.statistics import LatencyStats
from pipeline.space.operator_spec import OperatorSpec, parse_key

Row = dict[str, Any]
_NO_TIMES = {"schema_version", "cov", "n", "sweep_minima_ms"}
_TIMES = {f"{name}_ms": name for name in LatencyStats.model_fields if name not in _NO_TIMES}
# `kind` tells operators from networks.
_OPERATOR_FIELDS = {
    {"kind": "operator_kind"}.get(field.name, field.name): field
    for field in dataclasses.fields(OperatorSpec)
}
_FLOATS = {*_TIMES, "cov", *(c for c, field in _OPERATOR_FIELDS.items() if field.type == "float")}
_INTEGERS = {"n", "visits", *(c for c, field in _OPERATOR_FIELDS.items() if field.type == "int")}


def export_table(target: Target, form: str, out: Path | None = None) -> tuple[Path, int]:
    """Writes a target's table, as it was measured, to a flat file.

    Args:
        target: Whose table.
        form: `csv` or `parquet`.
        out: Where to; `<device>-<setting>.<form>` in the working directory if left out.

    Returns:
        The file, and its number of rows.

    Raises:
        UnknownNameError: There is no such form.
        UnavailableError: The form needs a package that is not installed.
        TableError: There is no table, or it is damaged.
        StorageError: A file cannot be read or written.
    """
    write = _FORMS.get(form)
    if write is None:
        raise UnknownNameError.of("form of a table", form, _FORMS)
    table = LatencyTable.read(target)
    rows = table_rows(table)
    if not rows:
        raise TableError(
            f"{table.path} has no entry that is measured often enough to be used",
            hint=f"measure on: python run_pipeline.py profile --target {target.name}",
        )
    path = out or Path(f"{target.device_slug}-{target.setting}.{form}")
    write_atomic(path, write(rows))
    return path, len(rows)


def table_rows(table: LatencyTable) -> list[Row]:
    """One row an entry, all with the same columns; None where a column does not apply.

    Raises:
        TableError: The table is damaged.
        StorageError: It cannot be read.
    """
    header, _ = read_journal(table.path)
    constant = {
        "target": f"{table.target.device_slug}/{table.target.setting}",
        "device": table.target.device_slug,
        "runtime": table.target.runtime,
        **_versions(table.target.runtime, header.get("environment", {}).get("packages", {})),
    }
    return [
        {**_entry(key, stats), **_operator(key), **constant} for key, stats in table.entries.items()
    ]


def _versions(runtime: str, packages: Mapping[str, str]) -> dict[str, str]:
    """Versions of what decides latency: the runtime, and what wrote the graph."""
    engine = RUNTIMES[runtime].packages if runtime in RUNTIMES else (runtime.replace("_", "-"),)
    return {
        f"{name.replace('-', '_')}_version": packages[name]
        for name in dict.fromkeys((*engine, *EXPORTER))
        if name in packages
    }


def _entry(key: str, stats: LatencyStats) -> Row:
    return {
        "key": key,
        "kind": "network" if key.startswith(NETWORK) else "operator",
        **{column: getattr(stats, name) for column, name in _TIMES.items()},
        "cov": stats.cov,
        "n": stats.n,
        "visits": len(stats.sweep_minima_ms),
    }


def _operator(key: str) -> Row:
    if key.startswith(NETWORK):
        return dict.fromkeys(_OPERATOR_FIELDS)
    spec = parse_key(key)
    return {column: getattr(spec, field.name) for column, field in _OPERATOR_FIELDS.items()}


def _as_csv(rows: Sequence[Row]) -> bytes:
    """Numbers in full, so that reading them back gives the same; None is an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _as_parquet(rows: Sequence[Row]) -> bytes:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UnavailableError(
            "a table in parquet form needs the package pyarrow, which is not installed",
            hint="pip install 'cream-pipeline[parquet]', or --export csv",
        ) from None
    # Types are fixed, not guessed from values: a column that is empty in one table has its type.
    types = {column: _arrow_type(pyarrow, column) for column in rows[0]}
    table = pyarrow.Table.from_pylist(list(rows), schema=pyarrow.schema(list(types.items())))
    content = io.BytesIO()
    pyarrow.parquet.write_table(table, content)
    return content.getvalue()


def _arrow_type(pyarrow: Any, column: str) -> Any:
    if column in _FLOATS:
        return pyarrow.float64()
    return pyarrow.int64() if column in _INTEGERS else pyarrow.string()


_FORMS: Mapping[str, Callable[[Sequence[Row]], bytes]] = {
    "csv": _as_csv,
    "parquet": _as_parquet,
}
