"""What a report is made of, and the files it becomes."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from pipeline.device.fingerprint import Environment
from pipeline.device.target import HOST
from pipeline.records.benchmark import BenchmarkRecord
from pipeline.records.export import ExportRecord
from pipeline.records.profile import ProfileRecord
from pipeline.records.retrain import RetrainRecord
from pipeline.records.search import SearchRecord
from pipeline.records.train import TrainRecord
from pipeline.records.trial import TrialRecord
from pipeline.records.verify import VerifyRecord

StageName = Literal[
    "profile", "train", "search", "verify", "trial", "retrain", "export", "benchmark"
]
STAGES: tuple[StageName, ...] = (
    "profile",
    "train",
    "search",
    "verify",
    "trial",
    "retrain",
    "export",
    "benchmark",
)


class ReportInputs(BaseModel):
    """The records of one run; a stage that has not run is None.

    Attributes:
        name: The run's name.
        recipe: The resolved recipe; its `name`, where it has one, stands in the commands.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    recipe: dict[str, Any]
    profile: ProfileRecord | None = None
    train: TrainRecord | None = None
    search: SearchRecord | None = None
    verify: VerifyRecord | None = None
    trial: TrialRecord | None = None
    retrain: RetrainRecord | None = None
    export: ExportRecord | None = None
    benchmark: BenchmarkRecord | None = None

    def command(self, verb: str) -> str:
        """The command line that runs a stage of this run, or all of them (`run`)."""
        recipe = str(self.recipe.get("name") or self.name)
        return f"python run_pipeline.py {verb} --recipe {shlex.quote(recipe)}"

    def environments(self) -> dict[str, Environment]:
        """Where each stage ran that says so, in the order of the pipeline."""
        records = {
            "profile": self.profile,
            "train": self.train,
            "verify": self.verify,
            "trial": self.trial,
            "retrain": self.retrain,
            "export": self.export,
            "benchmark": self.benchmark,
        }
        return {stage: record.environment for stage, record in records.items() if record}


def same_target(one: str, its_machine: Environment, other: str, other_machine: Environment) -> bool:
    """Whether two target names mean one target, `host` being an alias for the machine at hand."""
    return resolved_target(one, its_machine) == resolved_target(other, other_machine)


def resolved_target(target: str, machine: Environment) -> str:
    """A target's name with the machine's own in place of `host`."""
    device, slash, setting = target.partition("/")
    return f"{machine.device if device == HOST else device}{slash}{setting}"


with warnings.catch_warnings():
    # `json` is also a deprecated method of pydantic's models, which nothing here calls.
    warnings.filterwarnings("ignore", "Field name", UserWarning)

    class ReportFiles(BaseModel):
        """Where a report was written."""

        model_config = ConfigDict(frozen=True, extra="forbid")

        html: Path
        markdown: Path
        json: Path  # type: ignore[assignment]
