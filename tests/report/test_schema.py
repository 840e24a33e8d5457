"""The published schema of report.json is the one of today's records, and reports satisfy it."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.report import ReportInputs, render_report
from pipeline.report.schema import report_schema
from tests.checkout import ROOT
from tests.report import made_up, made_up_search

PUBLISHED = ROOT / "docs" / "schemas" / "report.schema.json"


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(PUBLISHED.read_text(encoding="utf-8")))


def report(inputs: ReportInputs) -> dict[str, Any]:
    document = json.loads(render_report(inputs, "json"))
    assert isinstance(document, dict)
    return document


def test_it_is_the_schema_of_today_s_records() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == report_schema(), (
        "records have other fields than docs/schemas says; write it again: make schemas"
    )


def test_the_command_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = tmp_path / "report.schema.json"
    monkeypatch.setattr("sys.argv", ["schema", str(written)])
    monkeypatch.delitem(sys.modules, "pipeline.report.schema")
    runpy.run_module("pipeline.report.schema", run_name="__main__")
    assert written.read_text(encoding="utf-8") == report_schema()


def test_it_is_a_schema_with_a_name_a_version_and_words(validator: Draft202012Validator) -> None:
    schema = validator.schema
    Draft202012Validator.check_schema(schema)
    assert isinstance(schema, dict)
    assert schema["$id"] == "urn:cream-pipeline:report:1"
    assert schema["properties"]["schema_version"]["const"] == 1
    assert all(part.get("description") for part in schema["$defs"].values())
    assert schema["$defs"]["Summary"]["properties"]["measured_ms"]["description"] == (
        "Typical latency as measured last."
    )


@pytest.mark.parametrize(
    "inputs",
    [
        made_up.inputs(),
        made_up_search.inputs(),
        ReportInputs(name="nothing has run", recipe={}),
    ],
    ids=["whole", "several targets", "empty"],
)
def test_reports_satisfy_it(validator: Draft202012Validator, inputs: ReportInputs) -> None:
    assert list(validator.iter_errors(report(inputs))) == []


def test_other_documents_do_not(validator: Draft202012Validator) -> None:
    document = report(made_up.inputs())
    document["summary"]["measured_ms"] = "0.349"
    document["inputs"]["benchmark"]["results"][0]["speed"] = 1
    del document["summary"]["verdict"]
    where = {error.json_path for error in validator.iter_errors(document)}
    assert where == {
        "$.summary", "$.summary.measured_ms", "$.inputs.benchmark",
    }  # fmt: skip
