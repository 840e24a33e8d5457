"""The stages that measure: `profile`, `verify` and `benchmark` of a recipe.

Heavy libraries are imported inside, so that a run whose stages are all finished loads none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.device.target import Target
from pipeline.files.whole import read_record
from pipeline.recipe.data import open_data
from pipeline.recipe.recipe import Recipe
from pipeline.recipe.request import read_models
from pipeline.recipe.resume import StageContext
from pipeline.recipe.sizes import remarks_on_sizes, sizes_of
from pipeline.records.benchmark import BenchmarkRecord
from pipeline.records.export import ExportRecord
from pipeline.records.profile import ProfileRecord
from pipeline.records.search import SearchRecord
from pipeline.records.verify import VerifyRecord

if TYPE_CHECKING:
    from pipeline.trials.engine_answers import Exam

# Enough to see an engine that is wrong; how accurate the file is was measured on more.
_EXAM_IMAGES = 256


def targets_here(recipe: Recipe) -> list[Target]:
    """The recipe's targets on this machine; tables of others are measured where they are."""
    targets = [Target.parse(name) for name in recipe.targets]
    return [target for target in targets if target.is_here or target.name == recipe.target]


def run_profile(context: StageContext) -> ProfileRecord:
    """Measures the tables of the space at each input size, on each target of this machine."""
    from pipeline.latency.profiling import profile

    recipe = context.recipe
    data = open_data(recipe, progress=context.progress)
    sizes = sizes_of(recipe, None, data)
    context.tell_all(remarks_on_sizes(recipe, sizes))
    records = [
        profile(
            recipe.space.space(),
            target,
            resolution=resolution,
            num_classes=data.num_classes,
            protocol=recipe.profile.protocol,
            calibration_networks=recipe.profile.calibration_networks,
            seed=recipe.seed,
            export_progress=context.progress("exporting operators"),
            progress=context.progress(f"measuring operators at {resolution} pixels"),
        )
        for target in targets_here(recipe)
        for resolution in sizes.resolutions
    ]
    return records[0].model_copy(update={"also": tuple(records[1:]), "sizes": sizes})


def run_verify(context: StageContext) -> VerifyRecord:
    """Measures the best candidates of the search, until one is within the limits."""
    from pipeline.trials.verification import verify

    recipe, section = context.recipe, context.recipe.verify
    search = read_record(context.record_path("search"), SearchRecord)
    return verify(
        search,
        models=read_models(recipe),
        top_k=section.top_k,
        wanted=max(1, recipe.trial.candidates),
        protocol=section.protocol,
        folder=context.folder,
        seed=recipe.seed,
        export_progress=context.progress("exporting candidates"),
        progress=context.progress("measuring candidates"),
    )


def run_benchmark(context: StageContext) -> BenchmarkRecord:
    """Times the exported network beside reference networks, and asks engines what they answer."""
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
