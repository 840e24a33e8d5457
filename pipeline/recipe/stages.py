"""What each stage of a recipe does: from the recipe and earlier records to its own record.

Heavy libraries are imported inside the stages, so that a run whose stages are all finished loads
none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from pipeline.device.fingerprint import environment
from pipeline.device.model_files import KINDS, files_of
from pipeline.device.target import Target
from pipeline.errors import UnknownNameError
from pipeline.files.whole import read_record
from pipeline.latency.model import LatencyModel, model_path
from pipeline.latency.table_files import table_to_write
from pipeline.recipe.data import open_data
from pipeline.recipe.recipe import Recipe
from pipeline.recipe.request import read_models, resolve_limits
from pipeline.recipe.resume import RECORD, Stage, StageContext
from pipeline.recipe.search_stage import run_search
from pipeline.records.benchmark import BenchmarkRecord
from pipeline.records.export import ExportRecord
from pipeline.records.profile import ProfileRecord
from pipeline.records.retrain import RetrainRecord
from pipeline.records.search import SearchRecord
from pipeline.records.train import TrainRecord
from pipeline.records.verify import VerifyRecord
from pipeline.space.encoding import Floats, Rows
from pipeline.space.search_space import SearchSpace
from pipeline.training.settings import HYPERNETWORK

if TYPE_CHECKING:
    from pipeline.report import ReportInputs
    from pipeline.trials.engine_answers import Exam

# Enough to see an engine that is wrong; how accurate the file is was measured on more.
_EXAM_IMAGES = 256


def stages() -> tuple[Stage, ...]:
    """All stages, in order."""
    return (
        Stage("profile", (), _for_profiling, _profile, _tables),
        Stage("train", ("profile",), _for_training, _train, by_many=True),
        Stage(
            "search",
            ("profile", "train"),
            _for_searching,
            run_search,
        ),
        Stage("verify", ("search",), _part("verify", "seed"), _verify),
        Stage(
            "retrain",
            ("train", "search", "verify"),
            _part("data", "retrain", "seed"),
            _retrain,
            by_many=True,
        ),
        Stage("export", ("retrain",), _for_exporting, _export),
        Stage(
            "benchmark", ("profile", "retrain", "export"), _part("benchmark", "seed"), _benchmark
        ),
        Stage("report", _BEFORE_REPORT, _everything, _report),
    )


_BEFORE_REPORT = ("profile", "train", "search", "verify", "retrain", "export", "benchmark")
_RECORDS: dict[str, type[BaseModel]] = {
    "profile": ProfileRecord,
    "train": TrainRecord,
    "search": SearchRecord,
    "verify": VerifyRecord,
    "retrain": RetrainRecord,
    "export": ExportRecord,
    "benchmark": BenchmarkRecord,
}


def find_stage(name: str) -> Stage:
    """The stage of that name.

    Raises:
        UnknownNameError: There is none.
    """
    by_name = {stage.name: stage for stage in stages()}
    if name not in by_name:
        raise UnknownNameError.of("stage", name, by_name)
    return by_name[name]


def _everything(recipe: Recipe) -> Mapping[str, Any]:
    return recipe.model_dump(mode="json")


def _for_profiling(recipe: Recipe) -> Mapping[str, Any]:
    sections = {"space", "data", "target", "profile", "seed"}
    sizes = recipe.train.sizes(recipe.space.resolution)
    settings = recipe.model_dump(mode="json", include=sections)
    return {**settings, "resolutions": sizes, "targets": recipe.targets}


def _for_training(recipe: Recipe) -> Mapping[str, Any]:
    sections = {"space", "data", "target", "train", "seed"}
    limits = recipe.train_limits or recipe.limits
    return {
        **recipe.model_dump(mode="json", include=sections),
        "limits": limits.model_dump(mode="json"),
    }


def _for_searching(recipe: Recipe) -> Mapping[str, Any]:
    settings = dict(_part("limits", "search", "score", "allow_foreign", "seed")(recipe))
    # Scores are the same with any number of workers.
    return {**settings, "score": {k: v for k, v in settings["score"].items() if k != "workers"}}


def _for_exporting(recipe: Recipe) -> Mapping[str, Any]:
    settings = dict(_part("data", "export", "seed")(recipe))
    # What was asked for is what is written, whether for its own sake or for the benchmark.
    export = {k: v for k, v in settings["export"].items() if k != "precisions"}
    return {**settings, "export": export, "files": _exported_files(recipe)}


def _part(*sections: str) -> Any:
    def settings(recipe: Recipe) -> Mapping[str, Any]:
        return recipe.model_dump(mode="json", include=set(sections))

    return settings


def _tables(recipe: Recipe) -> list[Path]:
    """The files that profiling makes outside its folder."""
    paths = [table_to_write(target) for target in _targets_here(recipe)]
    return [*paths, *map(model_path, paths)]


def _targets_here(recipe: Recipe) -> list[Target]:
    """The recipe's targets on this machine; tables of others are measured where they are."""
    targets = [Target.parse(name) for name in recipe.targets]
    return [target for target in targets if target.is_here or target.name == recipe.target]


def _profile(context: StageContext) -> ProfileRecord:
    from pipeline.latency.profiling import profile

    recipe = context.recipe
    records = [
        profile(
            recipe.space.space(),
            target,
            resolution=resolution,
            num_classes=open_data(recipe, progress=context.progress).num_classes,
            protocol=recipe.profile.protocol,
            calibration_networks=recipe.profile.calibration_networks,
            seed=recipe.seed,
            export_progress=context.progress("exporting operators"),
            progress=context.progress(f"measuring operators at {resolution} pixels"),
        )
        for target in _targets_here(recipe)
        for resolution in recipe.train.sizes(recipe.space.resolution)
    ]
    return records[0].model_copy(update={"also": tuple(records[1:])})


def _train(context: StageContext) -> TrainRecord:
    from pipeline.training.hypernetwork.hypernetwork import train_hypernetwork
    from pipeline.training.hypernetwork.path_sampling import PathLimits

    recipe = context.recipe
    model = LatencyModel.read(Target.parse(recipe.target), allow_foreign=recipe.allow_foreign)
    limits = resolve_limits(
        recipe.train_limits or recipe.limits,
        recipe,
        read_record(context.record_path("profile"), ProfileRecord),
    )

    def predict_ms(space: SearchSpace, rows: Rows, num_classes: int) -> Floats:
        return model.predict_batch(space, rows, num_classes)[0]

    return train_hypernetwork(
        recipe.space.space(),
        open_data(
            recipe,
            matching_images=recipe.train.matching_images,
            progress=context.progress,
            tell=context.tell,
        ),
        recipe.train,
        limits=PathLimits(
            macs_min=limits.macs_min,
            macs=limits.macs,
            params=limits.params,
            latency_ms=limits.latency_ms.get(recipe.target),
            predict_ms=predict_ms,
        ),
        folder=context.folder,
        seed=recipe.seed,
        progress=context.progress("training the hypernetwork"),
    )


def _verify(context: StageContext) -> VerifyRecord:
    from pipeline.trials.verification import verify

    recipe, section = context.recipe, context.recipe.verify
    search = read_record(context.record_path("search"), SearchRecord)
    return verify(
        search,
        models=read_models(recipe),
        top_k=section.top_k,
        protocol=section.protocol,
        folder=context.folder,
        seed=recipe.seed,
        export_progress=context.progress("exporting candidates"),
        progress=context.progress("measuring candidates"),
    )


def _retrain(context: StageContext) -> RetrainRecord:
    from pipeline.network.supernet import load_supernet
    from pipeline.training.retraining.retraining import retrain

    recipe = context.recipe
    verified = read_record(context.record_path("verify"), VerifyRecord)
    trained = read_record(context.record_path("train"), TrainRecord)
    searched = read_record(context.record_path("search"), SearchRecord)
    settings = recipe.retrain
    taught = settings.teacher is not None and settings.teacher.source == HYPERNETWORK
    needed = settings.warm_start or taught
    winner = verified.candidates[verified.winner].candidate.architecture
    return retrain(
        winner,
        open_data(recipe, progress=context.progress, tell=context.tell).at(winner.resolution),
        settings,
        supernet=load_supernet(context.run / "train" / trained.checkpoint) if needed else None,
        scored=searched.evaluated,
        folder=context.folder,
        seed=recipe.seed,
        progress=context.progress("retraining the winner"),
    )


def _export(context: StageContext) -> ExportRecord:
    import time

    from pipeline.export.artefacts import check_accuracy, describe_files, write_files
    from pipeline.export.parity import check_parity, measure_parity
    from pipeline.export.to_onnx import describe_export, export_network
    from pipeline.network.network import build_network, load_checkpoint

    start = time.monotonic()
    recipe, section = context.recipe, context.recipe.export
    trained = read_record(context.record_path("retrain"), RetrainRecord)
    name = f"{recipe.name}-{recipe.space.name}"
    architecture = trained.architecture.model_copy(update={"name": name})
    data = open_data(recipe).at(architecture.resolution)
    network = build_network(architecture, seed=recipe.seed)
    load_checkpoint(network, context.run / "retrain" / trained.checkpoint)
    folder = export_network(network, context.folder, batch=section.batch)
    onnx_file = folder / "model.onnx"
    images = data.sample("search-validation", section.parity_images)
    parity = measure_parity(network, onnx_file, images, data.record.name)
    check_parity(parity, name)
    exported = describe_export(
        network,
        onnx_file,
        record_folder=context.folder,
        weights=f"checkpoint {trained.checkpoint}",
        parity=parity,
        preprocessing=data.record.preprocessing,
    )
    files = _exported_files(recipe)
    calibration = None
    if any(KINDS[file].precision == "int8" for file in files):
        calibration = data.sample("train", section.calibration_images).contiguous().numpy()
    write_files(network, folder, files, batch=section.batch, calibration=calibration)
    described = describe_files(folder, files, data, images=section.accuracy_images)
    check_accuracy(
        described,
        name,
        max_drop_percent=section.max_accuracy_drop_percent,
        calibration_images=section.calibration_images,
    )
    exported = exported.model_copy(
        update={
            "files": described,
            "calibration_images": None if calibration is None else len(calibration),
        }
    )
    seconds = time.monotonic() - start
    return ExportRecord(models=(exported,), seconds=seconds, environment=environment())


def _exported_files(recipe: Recipe) -> tuple[str, ...]:
    from pipeline.device.runtimes import model_file

    read = [model_file(Target.parse(name)) for name in recipe.benchmark_targets]
    return files_of(recipe.export.precisions, read)


def _benchmark(context: StageContext) -> BenchmarkRecord:
    from pipeline.latency.prediction import predictions_of
    from pipeline.trials.benchmark import (
        BenchmarkSubject,
        benchmark,
        nearest_published,
        reference_subject,
    )

    recipe = context.recipe
    exported = read_record(context.record_path("export"), ExportRecord).models[0]
    network = exported.architecture
    names = dict.fromkeys([*recipe.benchmark.references, nearest_published(network).label])
    groups: dict[Target, list[BenchmarkSubject]] = {}
    for target in map(Target.parse, recipe.benchmark_targets):
        (predicted,), reason = predictions_of([network], target, allow_foreign=recipe.allow_foreign)
        winner = BenchmarkSubject(
            name=exported.name,
            model=context.run / "export",
            weights=exported.weights,
            architecture=network,
            predicted=predicted,
            notes=(f"without a prediction: {reason}",) if reason else (),
        )
        groups[target] = [winner]
    main = Target.parse(recipe.target)
    groups[main] += [
        reference_subject(name, network.resolution, network.num_classes, main) for name in names
    ]
    return benchmark(
        groups,
        protocol=recipe.benchmark.protocol,
        folder=context.folder,
        exam=_exam(recipe, network.resolution),
        seed=recipe.seed,
        progress=context.progress("benchmarking"),
    )


def _exam(recipe: Recipe, resolution: int) -> Exam:
    import numpy as np

    from pipeline.export.artefacts import first_batches
    from pipeline.trials.engine_answers import Exam

    data = open_data(recipe).at(resolution)
    batches = list(first_batches(data, "search-validation", _EXAM_IMAGES))
    return Exam(
        images=np.concatenate([images.cpu().contiguous().numpy() for images, _ in batches]),
        labels=np.concatenate([labels.cpu().numpy() for _, labels in batches]),
        max_drop_percent=recipe.export.max_accuracy_drop_percent,
    )


def _report(context: StageContext) -> BaseModel:
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
    """What was profiled at the chosen network's input size, on the searched target."""
    profile, verified = inputs.profile, inputs.verify
    if profile is None or verified is None:
        return profile
    size = verified.candidates[verified.winner].candidate.architecture.resolution
    records = (profile, *profile.also)
    fitting = (it for it in records if (it.target, it.resolution) == (profile.target, size))
    return next(fitting, profile)
