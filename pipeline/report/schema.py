"""The schema of report.json: `python -m pipeline.report.schema FILE` writes it."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.files.json_schema import schema_text
from pipeline.files.whole import write_atomic
from pipeline.report.writing import ReportDocument


def report_schema() -> str:
    """The JSON Schema of what report.json holds, as the content of a file."""
    return schema_text(ReportDocument, "report")


if __name__ == "__main__":
    write_atomic(Path(sys.argv[1]), report_schema())
