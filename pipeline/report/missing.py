"""What stands in for a section whose stage has not run."""

from __future__ import annotations

from pipeline.report.blocks import Missing
from pipeline.report.inputs import ReportInputs, StageName

_AFTER_SEARCH = ("verify", "trial", "retrain", "export", "benchmark")


def missing(inputs: ReportInputs, stage: StageName) -> Missing:
    """Says that a stage has not run, or chose nothing, and the command that goes on from there."""
    infeasible = inputs.search is not None and not inputs.search.success
    if infeasible and stage in _AFTER_SEARCH:
        return Missing(
            f"The {stage} stage did not run, because the search found no network within the"
            " limits. Loosen one in the recipe and run again.",
            inputs.command("run"),
        )
    if getattr(inputs, stage) is not None:
        why = "the search found none within the limits" if infeasible else "no stage says which"
        return Missing(
            f"No network is chosen: {why}. Change the recipe and run again.", inputs.command("run")
        )
    return Missing(f"The {stage} stage has not run.", inputs.command(stage))
