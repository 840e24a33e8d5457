"""What stands in for a section whose stage has not run."""

from __future__ import annotations

from pipeline.report.blocks import Missing
from pipeline.report.inputs import ReportInputs, StageName

_AFTER_SEARCH = ("verify", "retrain", "export", "benchmark")


def missing(inputs: ReportInputs, *stages: StageName) -> Missing:
    """Says which of the stages has not run, and the command that runs it."""
    stage = next((stage for stage in stages if getattr(inputs, stage) is None), stages[0])
    if stage in _AFTER_SEARCH and inputs.search and not inputs.search.success:
        return Missing(
            f"The {stage} stage did not run, because the search found no network within the"
            " limits. Loosen them in the recipe and run again.",
            inputs.command("run"),
        )
    return Missing(f"The {stage} stage has not run.", inputs.command(stage))
