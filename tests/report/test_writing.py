"""Three files, whole; the JSON holds everything and reads back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import StorageError
from pipeline.files.whole import read_record
from pipeline.report import ReportFiles, ReportInputs, write_report
from pipeline.report.writing import ReportDocument
from tests.report import made_up


def test_three_files(tmp_path: Path) -> None:
    files = write_report(made_up.inputs(), tmp_path / "report")
    assert isinstance(files, ReportFiles)
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "report.html", "report.json", "report.md",
    ]  # fmt: skip
    assert files.html.read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    assert files.markdown == tmp_path / "report" / "report.md"
    assert ReportFiles.model_validate_json(files.model_dump_json()) == files


def test_json_holds_the_summary_and_all_inputs(tmp_path: Path) -> None:
    inputs = made_up.inputs()
    files = write_report(inputs, tmp_path)
    document = json.loads(files.json.read_text(encoding="utf-8"))
    assert set(document) == {"schema_version", "summary", "inputs"}
    summary = document["summary"]
    assert summary["verdict"] == "met"
    assert summary["limit_ms"] == made_up.LIMIT_MS
    assert summary["measured_ms"] == 0.349
    assert set(summary["predicted_ms"]) >= {"typical", "std"}
    assert summary["honesty"]["within_5_percent"] == 100.0
    assert summary["honesty"] == document["inputs"]["profile"]["calibration"]["honesty"]
    assert [entry["method"] for entry in summary["methods"]] == ["isolated", "in_context"]
    assert summary["foreign"] == []
    assert summary["macs"] > 1e6
    assert summary["params"] > 1e6
    assert summary["test_accuracy_percent"] == 92.41
    assert summary["parity"]["images"] == 256
    assert "0123456789abcdef" * 4 in [file["sha256"] for file in summary["files"]]
    assert len(document["inputs"]["benchmark"]["results"][0]["samples_ms"]) == 672
    assert read_record(files.json, ReportDocument).inputs == inputs


def test_the_same_inputs_give_the_same_files(tmp_path: Path) -> None:
    one = write_report(made_up.inputs(), tmp_path / "one")
    two = write_report(made_up.inputs(), tmp_path / "two")
    for first, second in ((one.html, two.html), (one.markdown, two.markdown), (one.json, two.json)):
        assert first.read_bytes() == second.read_bytes()


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way", encoding="utf-8")
    with pytest.raises(StorageError, match="file"):
        write_report(ReportInputs(name="x", recipe={}), blocked / "report")
