"""The stage `export` of a recipe: the chosen network's files, checked."""

from __future__ import annotations

from pipeline.device.fingerprint import environment
from pipeline.device.model_files import KINDS, files_of
from pipeline.device.target import Target
from pipeline.files.whole import read_record
from pipeline.recipe.data import open_data
from pipeline.recipe.recipe import Recipe
from pipeline.recipe.resume import StageContext
from pipeline.records.export import ExportRecord
from pipeline.records.retrain import RetrainRecord


def run_export(context: StageContext) -> ExportRecord:
    """Writes the chosen network as files, and refuses those that lost too much accuracy."""
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
    files = exported_files(recipe)
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


def exported_files(recipe: Recipe) -> tuple[str, ...]:
    """Names of the files: of the precisions asked for, and what the benchmark targets read."""
    from pipeline.device.runtimes import model_file

    read = [model_file(Target.parse(name)) for name in recipe.benchmark_targets]
    return files_of(recipe.export.precisions, read)
