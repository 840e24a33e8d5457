"""The stages that train: `train` and `retrain` of a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.device.target import Target
from pipeline.files.whole import read_record
from pipeline.latency.model import LatencyModel
from pipeline.recipe.data import open_data
from pipeline.recipe.remarks import told_remarks
from pipeline.recipe.request import path_limits
from pipeline.recipe.resume import StageContext
from pipeline.recipe.sizes import left_out_words, sizes_of, untrainable
from pipeline.recipe.trial_stage import training_of
from pipeline.records.profile import ProfileRecord
from pipeline.records.retrain import OffTheShelfRecord, RetrainRecord
from pipeline.records.train import TrainRecord
from pipeline.records.trial import Entrant, TrialRecord
from pipeline.records.verify import VerifyRecord
from pipeline.space.architecture import Architecture

if TYPE_CHECKING:
    from pipeline.images.image_data import ImageData
    from pipeline.trials.trial import Training

_CONTROL = "off-the-shelf"


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
    """Trains the winner of the trials to the end, and what it stands beside."""
    tried = read_record(context.record_path("trial"), TrialRecord)
    if tried.winner is None:
        return _without_trials(context)
    from pipeline.training.finished import take_up
    from pipeline.training.retraining.retraining import retrain
    from pipeline.trials.trial import folder_of

    winner = tried.entrants[tried.winner]
    assert winner.architecture is not None  # those of timm only stand beside
    data = open_data(context.recipe, progress=context.progress, tell=context.tell)
    training = training_of(context, data)
    take_up(folder_of(winner, context.run / "trial"), context.folder)
    hypernetwork = training.hypernetwork_of(winner)
    record = retrain(
        winner.architecture,
        data.at(winner.architecture.resolution),
        training.settings_of(winner, data),
        supernet=hypernetwork.supernet,
        scored=hypernetwork.scored,
        folder=context.folder,
        seed=context.recipe.seed,
        progress=context.progress("retraining the winner"),
        stable_share=training.stable_share,
    )
    if tried.off_the_shelf is None or not context.recipe.trial.train_best_control:
        return record
    control = _off_the_shelf(context, tried.entrants[tried.off_the_shelf], training, data)
    return record.model_copy(update={"off_the_shelf": control})


def _off_the_shelf(
    context: StageContext, entrant: Entrant, training: Training, data: ImageData
) -> OffTheShelfRecord:
    from pipeline.training.finished import take_up
    from pipeline.training.retraining.retraining import retrain_off_the_shelf
    from pipeline.trials.trial import folder_of

    network, folder = training.network_of(entrant), context.folder / _CONTROL
    assert not isinstance(network, Architecture)
    take_up(folder_of(entrant, context.run / "trial"), folder)
    record = retrain_off_the_shelf(
        network,
        data.at(network.resolution),
        training.settings_of(entrant, data),
        folder=folder,
        seed=context.recipe.seed,
        progress=context.progress(f"training {entrant.label} beside it"),
        stable_share=training.stable_share,
    )
    return record.model_copy(update={"checkpoint": f"{_CONTROL}/{record.checkpoint}"})


def _without_trials(context: StageContext) -> RetrainRecord:
    """Trains the verified winner."""
    from pipeline.network.supernet import load_supernet
    from pipeline.training.retraining.retraining import retrain

    recipe = context.recipe
    verified = read_record(context.record_path("verify"), VerifyRecord)
    winner = verified.candidates[verified.winner].candidate.architecture
    data = open_data(recipe, progress=context.progress, tell=context.tell)
    training = training_of(context, data)
    return retrain(
        winner,
        data.at(winner.resolution),
        recipe.retrain,
        supernet=load_supernet(training.checkpoint) if training.checkpoint else None,
        scored=training.scored,
        folder=context.folder,
        seed=recipe.seed,
        progress=context.progress("retraining the winner"),
    )
