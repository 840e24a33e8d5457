"""A report as text and as files: one page, a short Markdown text, and everything as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipeline.files.whole import write_atomic
from pipeline.report.inputs import ReportFiles, ReportInputs
from pipeline.report.markdown import render_markdown
from pipeline.report.page import render_html
from pipeline.report.summary import Summary, summarise

ReportFormat = Literal["html", "md", "json"]


class ReportDocument(BaseModel):
    """What report.json holds: the answer, and all it was derived from.

    Attributes:
        schema_version: Raised when fields change; docs/schemas/ holds the schema.
        summary: The answer: verdict, limits and figures of the chosen network.
        inputs: The records of all stages that have run, with every sample.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    summary: Summary
    inputs: ReportInputs


def render_report(inputs: ReportInputs, form: ReportFormat) -> str:
    """A report in one format, as the content of a file.

    Whatever record is missing, its section says which stage has not run and how to run it.

    Args:
        inputs: The records of a run.
        form: One page (`html`), a text that fits a pull-request comment (`md`), or everything
            (`json`).
    """
    return _render(inputs, summarise(inputs), form)


def write_report(inputs: ReportInputs, into: Path) -> ReportFiles:
    """Writes report.html, report.md and report.json, as `render_report` makes them.

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
    write_atomic(files.html, _render(inputs, summary, "html"))
    write_atomic(files.markdown, _render(inputs, summary, "md"))
    write_atomic(files.json, _render(inputs, summary, "json"))
    return files


def _render(inputs: ReportInputs, summary: Summary, form: ReportFormat) -> str:
    if form == "html":
        return render_html(inputs, summary)
    if form == "md":
        return render_markdown(inputs, summary)
    return ReportDocument(summary=summary, inputs=inputs).model_dump_json(indent=2) + "\n"
