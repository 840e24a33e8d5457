"""Tables as flat files: what comes back is what was measured."""

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import app as cli
from pipeline.device.target import Target
from pipeline.errors import TableError, UnavailableError, UnknownNameError, UsageError
from pipeline.latency.table import LatencyTable, network_key
from pipeline.latency.table_export import export_table, table_rows
from pipeline.latency.table_files import table_to_write
from pipeline.measure.journal import Journal
from pipeline.measure.statistics import Visit
from pipeline.space.architecture import Architecture
from pipeline.space.operator_spec import parse_key

TARGET = Target.parse("synthetic/onnxruntime-fp32-b1-t1")
BLOCK = parse_key("ir_k5_s2_e6_i24_o40_r56_se0.25")
STEM = parse_key("cn_k3_s2_i3_o16_r224")
NETWORK = Architecture(
    space="cream", resolution=32, num_classes=10, stages=(("mb4_3x3",),) * 5, name="mine"
)
KEYS = (BLOCK.key, STEM.key, network_key(NETWORK))
PACKAGES = {"onnxruntime": "1.32.0", "torch": "2.14.1", "timm": "1.0.20"}

pytestmark = pytest.mark.usefixtures("workdir")


def a_table(
    *, sweeps: int = 3, keys: Sequence[str] = KEYS, packages: Mapping[str, str] = PACKAGES
) -> LatencyTable:
    """Two operators and a network, with made-up times."""
    header = {
        "device": TARGET.device,
        "target": TARGET.setting,
        "environment": {"packages": dict(packages)},
    }
    with Journal(table_to_write(TARGET), header) as journal:
        for sweep in range(sweeps):
            for index, key in enumerate(keys):
                journal.append(
                    Visit(
                        sweep=sweep,
                        key=key,
                        samples_ms=(0.1 / 3 + index, 0.2 + sweep),
                        control_before_ms=(1.0,),
                        control_after_ms=(1.0,),
                        at="2026-01-01T00:00:00.000+00:00",
                        precision="fp32",
                    )
                )
    return LatencyTable.read(TARGET)


def read_csv(path: Path) -> list[dict[str, Any]]:
    """Rows with numbers as numbers and empty cells as None."""

    def value(text: str) -> Any:
        if text == "":
            return None
        try:
            return json.loads(text)
        except ValueError:
            return text

    with path.open(newline="", encoding="utf-8") as file:
        return [{k: value(v) for k, v in row.items()} for row in csv.DictReader(file)]


def test_a_row_says_what_the_entry_and_its_operator_are() -> None:
    table = a_table()
    rows = {row["key"]: row for row in table_rows(table)}
    assert set(rows) == set(table.entries)
    assert len({tuple(row) for row in rows.values()}) == 1
    row, stats = rows[BLOCK.key], table.entries[BLOCK.key]
    assert (row["typical_ms"], row["std_ms"]) == (stats.typical, stats.std)
    assert (row["median_ms"], row["mean_ms"], row["min_ms"]) == (
        stats.median, stats.mean, stats.min,
    )  # fmt: skip
    assert (row["p90_ms"], row["p99_ms"]) == (stats.p90, stats.p99)
    assert (row["n"], row["visits"]) == (6, 3)
    assert (row["kind"], row["operator_kind"]) == ("operator", "ir")
    assert (row["kernel"], row["stride"], row["expansion"]) == (5, 2, 6)
    assert (row["in_channels"], row["out_channels"], row["resolution"]) == (24, 40, 56)
    assert row["se_ratio"] == 0.25
    assert (row["target"], row["device"]) == (TARGET.name, TARGET.device)
    assert (row["runtime"], row["onnxruntime_version"]) == ("onnxruntime", "1.32.0")
    assert "timm_version" not in row
    (network,) = (row for row in rows.values() if row["kind"] == "network")
    assert (network["key"], network["kernel"]) == (f"net:{NETWORK.short}", None)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_gives_back_what_was_written(form: str) -> None:
    rows = table_rows(a_table())
    path, count = export_table(TARGET, form)
    assert (path, count) == (Path(f"synthetic-onnxruntime-fp32-b1-t1.{form}"), 3)
    if form == "csv":
        assert read_csv(path) == rows
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        found = parquet.read_table(path)
        assert found.to_pylist() == rows
        # A column that is empty here has the type it has where it is not.
        types = {field.name: str(field.type) for field in found.schema}
        assert (types["p99_ms"], types["features"], types["se_ratio"]) == (
            "double", "int64", "double",
        )  # fmt: skip


def test_the_file_goes_where_it_is_wanted_and_replaces_what_is_there() -> None:
    a_table()
    out = Path("new/folder/mine.csv")
    for _ in range(2):
        assert export_table(TARGET, "csv", out) == (out, 3)
    assert len(read_csv(out)) == 3


def test_without_a_table_there_is_nothing_to_write() -> None:
    with pytest.raises(TableError, match="has no latency table"):
        export_table(Target.parse("none/onnxruntime-fp32-b1-t1"), "csv")
    a_table(sweeps=1)
    with pytest.raises(TableError, match="no entry") as caught:
        export_table(TARGET, "csv")
    assert "profile --target" in (caught.value.hint or "")
    assert not list(Path().glob("*.csv"))


def test_an_unknown_form_is_told_with_the_known_ones() -> None:
    a_table()
    with pytest.raises(UnknownNameError, match=r"'parket'; known: csv, parquet") as caught:
        export_table(TARGET, "parket")
    assert "parquet" in (caught.value.hint or "")
    assert issubclass(UnknownNameError, UsageError)


def test_parquet_without_its_package_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_table()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UnavailableError, match="pyarrow") as caught:
        export_table(TARGET, "parquet")
    assert "pip install" in (caught.value.hint or "")
    assert not list(Path().glob("*.parquet"))


def test_where_versions_were_not_kept_there_are_none() -> None:
    (row,) = table_rows(a_table(keys=[STEM.key], packages={}))
    assert not [column for column in row if column.endswith("_version")]


class TestCommandLine:
    def run(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            cli.main(["profile", "--target", TARGET.name, *arguments])
        return int(left.value.code or 0), capsys.readouterr().out

    def test_profile_exports_and_measures_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        before = a_table().path.read_bytes()
        code, out = self.run(capsys, "--export", "csv", "--out", "t.csv", "--json")
        assert (code, json.loads(out)) == (0, {"file": "t.csv", "format": "csv", "rows": 3})
        code, out = self.run(capsys, "--export", "csv")
        assert (code, out) == (0, "synthetic-onnxruntime-fp32-b1-t1.csv: 3 rows\n")
        assert LatencyTable.read(TARGET).path.read_bytes() == before

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--out", "t.csv"], "--export"),
            (["--export", "csv", "--recipe", "demo"], "--recipe"),
            (["--export", "xlsx"], "known: csv, parquet"),
        ],
    )
    def test_wrong_use(
        self, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
    ) -> None:
        code, out = self.run(capsys, *arguments, "--json")
        assert code == 2
        assert words in json.loads(out)["error"]["message"]
