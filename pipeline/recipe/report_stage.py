"""The stage `report` of a recipe: the records of its run, as far as they are there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from pipeline.files.whole import read_record
from pipeline.recipe.recipe import Recipe
from pipeline.recipe.resume import RECORD, StageContext
from pipeline.records.benchmark import BenchmarkRecord
from pipeline.records.export import ExportRecord
from pipeline.records.profile import ProfileRecord
from pipeline.records.retrain import RetrainRecord
from pipeline.records.search import SearchRecord
from pipeline.records.train import TrainRecord
from pipeline.records.trial import TrialRecord
from pipeline.records.verify import VerifyRecord

if TYPE_CHECKING:
    from pipeline.report import ReportInputs

_RECORDS: dict[str, type[BaseModel]] = {
    "profile": ProfileRecord,
    "train": TrainRecord,
    "search": SearchRecord,
    "verify": VerifyRecord,
    "trial": TrialRecord,
    "retrain": RetrainRecord,
    "export": ExportRecord,
    "benchmark": BenchmarkRecord,
}


def run_report(context: StageContext) -> BaseModel:
    """Writes the report of what has run."""
    from pipeline.report import write_report

    return write_report(report_inputs(context.recipe, context.run), context.folder)


def report_inputs(recipe: Recipe, run: Path) -> ReportInputs:
    """The records of a run that are there, for its report; a stage that has not run is None."""
    from pipeline.report import ReportInputs

    found = {
        stage: read_record(path, model)
        for stage, model in _RECORDS.items()
        if (path := run / stage / RECORD).exists()
    }
    inputs = ReportInputs.model_validate(
        {"name": run.name, "recipe": recipe.model_dump(mode="json"), **found}
    )
    return inputs.model_copy(update={"profile": _profile_of_chosen(inputs)})


def _profile_of_chosen(inputs: ReportInputs) -> ProfileRecord | None:
    """What was profiled at the chosen network's input size, on the searched target.

    Limits that are multiples of the reference's latency go by the first size all the same.
    """
    from pipeline.report import chosen_architecture

    profile, chosen = inputs.profile, chosen_architecture(inputs)
    if profile is None or chosen is None or inputs.verify is None:
        return profile
    size = chosen.resolution
    for record in profile.also:
        if (record.target, record.resolution) == (profile.target, size):
            reference = {
                "reference_latency_ms": profile.reference_latency_ms,
                "reference_name": f"{profile.reference_name} at {profile.resolution} pixels",
                "sizes": profile.sizes,
            }
            return record.model_copy(update=reference)
    return profile
