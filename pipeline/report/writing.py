"""Writes a report: one page, a short Markdown text, and everything as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipeline.files import write_atomic, write_record
from pipeline.report.inputs import ReportFiles, ReportInputs
from pipeline.report.markdown import render_markdown
from pipeline.report.page import render_html
from pipeline.report.summary import Summary, summarise


class ReportDocument(BaseModel):
    """What report.json holds: the answer, and all it was derived from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    summary: Summary
    inputs: ReportInputs


def write_report(inputs: ReportInputs, into: Path) -> ReportFiles:
    """Writes report.html, report.md and report.json.

    Whatever record is missing, its section says which stage has not run and how to run it.

    Args:
        inputs: The records of a run.
        into: Folder for the files.

    Raises:
        StorageError: A file cannot be written.
    """
    summary = summarise(inputs)
    files = ReportFiles(
        html=into / "report.html", markdown=into / "report.md", json=into / "report.json"
    )
    write_atomic(files.html, render_html(inputs, summary))
    write_atomic(files.markdown, render_markdown(inputs, summary))
    write_record(files.json, ReportDocument(summary=summary, inputs=inputs))
    return files
