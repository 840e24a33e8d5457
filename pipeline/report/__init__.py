"""The report: the records of a run as one HTML file, a short Markdown text, and JSON."""

from pipeline.report.inputs import ReportFiles, ReportInputs
from pipeline.report.summary import Summary, summarise
from pipeline.report.writing import ReportFormat, render_report, write_report

__all__ = [
    "ReportFiles",
    "ReportFormat",
    "ReportInputs",
    "Summary",
    "render_report",
    "summarise",
    "write_report",
]
