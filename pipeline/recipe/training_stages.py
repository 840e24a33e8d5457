"""The stages that train: `train` and `retrain` of a recipe."""

from __future__ import annotations

from pipeline.device.target import Target
from pipeline.files.whole import read_record
from pipeline.latency.model import LatencyModel
from pipeline.recipe.data import open_data
from pipeline.recipe.request import resolve_limits
from pipeline.recipe.resume import StageContext
from pipeline.records.profile import ProfileRecord
from pipeline.records.retrain import RetrainRecord
from pipeline.records.search import SearchRecord
from pipeline.records.train import TrainRecord
from pipeline.records.verify import VerifyRecord
from pipeline.space.encoding import Floats, Rows
from pipeline.space.search_space import SearchSpace
from pipeline.training.settings import HYPERNETWORK


def run_train(context: StageContext) -> TrainRecord:
    """Trains the hypernetwork of the space within the limits."""
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
