"""The stages that train: `train` and `retrain` of a recipe."""

from __future__ import annotations

from pipeline.device.target import Target
from pipeline.files.whole import read_record
from pipeline.latency.model import LatencyModel
from pipeline.recipe.data import open_data
from pipeline.recipe.remarks import told_remarks
from pipeline.recipe.request import path_limits
from pipeline.recipe.resume import StageContext
from pipeline.recipe.sizes import left_out_words, sizes_of, untrainable
from pipeline.records.profile import ProfileRecord
from pipeline.records.retrain import RetrainRecord
from pipeline.records.search import SearchRecord
from pipeline.records.train import TrainRecord
from pipeline.records.verify import VerifyRecord
from pipeline.training.settings import HYPERNETWORK


def run_train(context: StageContext) -> TrainRecord:
    """Trains the hypernetwork of the space within the limits."""
    from pipeline.training.hypernetwork.hypernetwork import train_hypernetwork

    recipe = context.recipe
    profiled = read_record(context.record_path("profile"), ProfileRecord)
    data = open_data(
        recipe,
        matching_images=recipe.train.matching_images,
        progress=context.progress,
        tell=context.tell,
    )
    sizes = sizes_of(recipe, profiled, data)
    model = LatencyModel.read(Target.parse(recipe.target), allow_foreign=recipe.allow_foreign)
    limits = path_limits(recipe, model, sizes, profiled)
    left_out = untrainable(recipe, sizes, limits, data.num_classes)
    context.tell_all(left_out_words(left_out))
    first, *others = (size for size in sizes.resolutions if size not in left_out)
    record = train_hypernetwork(
        recipe.space.space(),
        data.at(first),
        recipe.train.model_copy(update={"resolutions": tuple(others)}),
        limits=limits,
        folder=context.folder,
        seed=recipe.seed,
        progress=context.progress("training the hypernetwork"),
    )
    remarks = told_remarks(context, record.scores, record.dataset)
    return record.model_copy(update={"left_out": left_out, "remarks": remarks})


def run_retrain(context: StageContext) -> RetrainRecord:
    """Trains the verified winner alone."""
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
