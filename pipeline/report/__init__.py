"""The report: the records of a run as one HTML file, a short Markdown text, and JSON.

In: `ReportInputs`: the records of the stages that have run, and the recipe.
Out: report.html, report.md, report.json, and the `Summary`, which says whether limits are met.
Door: what is exported here, and `limits`, `formatting`, `markdown`; of what a terminal shows too
    `blocks`, `cells`, `room_words`, `scale`, `search_plot`, `search_tables`, `search_words`
Never: torch, a measurement, a file of a run, anything loaded from elsewhere in the page.
"""

from pipeline.report.inputs import ReportFiles, ReportInputs, resolved_target
from pipeline.report.sampling import sampling_std_percent
from pipeline.report.summary import (
    Summary,
    chosen_architecture,
    summarise,
)
from pipeline.report.writing import ReportFormat, render_report, write_report

__all__ = [
    "ReportFiles",
    "ReportFormat",
    "ReportInputs",
    "Summary",
    "chosen_architecture",
    "render_report",
    "resolved_target",
    "sampling_std_percent",
    "summarise",
    "write_report",
]
