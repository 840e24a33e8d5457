"""Order, manifests and resume: what of a run is done, what goes on, what starts anew.

A stage owns the folder `runs/<run>/<stage>`. Before it starts, `inputs.json` there says from what
it is made: its part of the recipe and the digests of the records it reads. When it is finished,
`manifest.json` says so. The same inputs again: a finished stage is skipped, an unfinished one
goes on in its folder. Other inputs: the old folder is moved to `runs/<run>/superseded`, because
nothing measured is ever lost, and the stage starts anew.
"""

from __future__ import annotations

import datetime
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from pipeline.errors import StageError, StorageError, UsageError
from pipeline.files.whole import (
    digest_of,
    digest_of_file,
    read_record,
    storage_errors,
    write_record,
)
from pipeline.files.workspace import run_dir
from pipeline.recipe.recipe import Recipe, save_recipe
from pipeline.work.progress import ProgressFactory

RECORD = "record.json"
_INPUTS = "inputs.json"
_MANIFEST = "manifest.json"
_TORCHRUN = (("WORLD_SIZE", "1"), ("RANK", "0"))


class Inputs(BaseModel):
    """From what a stage is made.

    Attributes:
        digest: Over everything below.
        settings: The parts of the recipe it depends on.
        records: Digest of each earlier stage's record it reads.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    digest: str
    settings: dict[str, Any]
    records: dict[str, str]


class Manifest(BaseModel):
    """A stage is finished.

    Attributes:
        inputs_digest: `Inputs.digest` it was made from.
        files: SHA-256 of each file it made, by path relative to its folder.
        finished_at: UTC, ISO 8601.
        seconds: Time the last call took; earlier, killed calls are not counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    stage: str
    inputs_digest: str
    files: dict[str, str]
    finished_at: str
    seconds: float


@dataclass(frozen=True)
class StageContext:
    """What a stage gets to work with.

    Attributes:
        recipe: The whole recipe.
        run: The run's folder.
        folder: The stage's own folder.
        progress: Makes a progress bar for a piece of work.
        tell: Tells the user a line before the work is done; None where nobody listens.
    """

    recipe: Recipe
    run: Path
    folder: Path
    progress: ProgressFactory
    tell: Callable[[str], None] | None = None

    def record_path(self, stage: str) -> Path:
        """Where another stage's record is."""
        return self.run / stage / RECORD

    def tell_all(self, lines: Iterable[str]) -> None:
        """Tells lines where somebody listens."""
        for line in lines:
            if self.tell:
                self.tell(line)


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline.

    Attributes:
        name: Verb and folder.
        needs: Stages whose records it reads.
        settings: The parts of the recipe it depends on, as JSON.
        work: Makes the record; resumes from its folder if called again after a kill.
        outside: Files outside its folder that must still be there for it to count as finished.
        by_many: Whether several processes, started by `torchrun`, may do its work together.
        check: Refuses a recipe before anything is done for it.
    """

    name: str
    needs: tuple[str, ...]
    settings: Callable[[Recipe], Mapping[str, Any]]
    work: Callable[[StageContext], BaseModel]
    outside: Callable[[Recipe], Sequence[Path]] = lambda recipe: ()
    by_many: bool = False
    check: Callable[[Recipe], None] = lambda recipe: None


@dataclass(frozen=True)
class StageOutcome:
    """How a stage went.

    Attributes:
        status: `done` by this call; `skipped` because it was finished before; `helped` where this
            process did its part and another one keeps the record.
        seconds: Time this call took.
    """

    stage: str
    status: Literal["done", "skipped", "helped"]
    seconds: float


def prepare_run(recipe: Recipe, name: str | None = None) -> Path:
    """Makes the run's folder and saves the resolved recipe in it.

    Raises:
        StorageError: It cannot be written.
    """
    run = run_dir(name or recipe.name)
    save_recipe(recipe, run / "recipe.yaml")
    return run


def run_stage(
    stage: Stage,
    recipe: Recipe,
    run: Path,
    progress: ProgressFactory,
    tell: Callable[[str], None] | None = None,
) -> StageOutcome:
    """Runs one stage, unless it is finished with these very inputs.

    Raises:
        StageError: A stage it needs has not been run.
        UsageError: A setting of the recipe is wrong, of whichever stage.
        UsageError: Several processes were started for a stage that one does.
        PipelineError: Whatever the stage itself raises.
    """
    start = time.monotonic()
    folder = run / stage.name
    inputs = _inputs(stage, recipe, run)
    if _is_finished(stage, recipe, folder, inputs):
        return StageOutcome(stage.name, "skipped", time.monotonic() - start)
    stage.check(recipe)
    context = StageContext(recipe, run, folder, progress, tell)
    if _is_helping(stage):
        stage.work(replace(context, tell=None))
        return StageOutcome(stage.name, "helped", time.monotonic() - start)
    _take_up(folder, inputs)
    write_record(folder / RECORD, stage.work(context))
    seconds = time.monotonic() - start
    manifest = Manifest(
        stage=stage.name,
        inputs_digest=inputs.digest,
        files=_digests(folder),
        finished_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        seconds=seconds,
    )
    write_record(folder / _MANIFEST, manifest)
    return StageOutcome(stage.name, "done", seconds)


def _is_helping(stage: Stage) -> bool:
    """Whether another process keeps this stage's record; told by what `torchrun` sets."""
    count, rank = (int(os.environ.get(name, default)) for name, default in _TORCHRUN)
    if count > 1 and not stage.by_many:
        raise UsageError(
            f"stage {stage.name} was started by torchrun in {count} processes; one does its work",
            hint="use torchrun for the verb train or retrain, and start the others without it",
        )
    return rank > 0


def _inputs(stage: Stage, recipe: Recipe, run: Path) -> Inputs:
    records = {}
    for needed in stage.needs:
        path = run / needed / RECORD
        if not (run / needed / _MANIFEST).exists() or not path.exists():
            raise StageError(
                f"stage {stage.name} needs the record of {needed}, which is not in {run}",
                hint=f"python run_pipeline.py {needed} --recipe {recipe.name}, "
                f"or all that is missing: python run_pipeline.py run --recipe {recipe.name}",
            )
        records[needed] = digest_of_file(path)
    settings = dict(stage.settings(recipe))
    return Inputs(
        digest=digest_of([stage.name, settings, records]), settings=settings, records=records
    )


def _is_finished(stage: Stage, recipe: Recipe, folder: Path, inputs: Inputs) -> bool:
    manifest_path = folder / _MANIFEST
    if not manifest_path.exists():
        return False
    try:
        manifest = read_record(manifest_path, Manifest)
    except StorageError:
        return False
    return (
        manifest.inputs_digest == inputs.digest
        and all(path.exists() for path in stage.outside(recipe))
        and all(
            (folder / name).exists() and digest_of_file(folder / name) == digest
            for name, digest in manifest.files.items()
        )
    )


def _take_up(folder: Path, inputs: Inputs) -> None:
    """Goes on in a folder of the same inputs; moves one of other inputs out of the way."""
    path = folder / _INPUTS
    with storage_errors(folder):
        if folder.exists() and not (path.exists() and _same(path, inputs)):
            _supersede(folder)
        (folder / _MANIFEST).unlink(missing_ok=True)
    write_record(path, inputs)


def _same(path: Path, inputs: Inputs) -> bool:
    try:
        return read_record(path, Inputs).digest == inputs.digest
    except StorageError:
        return False


def _supersede(folder: Path) -> None:
    old = folder.parent / "superseded"
    old.mkdir(exist_ok=True)
    number = 1 + max(
        (int(path.name.rsplit("-", 1)[1]) for path in old.glob(f"{folder.name}-*")), default=0
    )
    shutil.move(folder, old / f"{folder.name}-{number}")


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): digest_of_file(path)
        for path in files
        if path.name not in (_INPUTS, _MANIFEST)
    }
