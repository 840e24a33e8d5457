"""The stage `trial` of a recipe, and what of it the retraining of the winner goes on from."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.device.fingerprint import environment
from pipeline.device.target import Target
from pipeline.files.whole import read_record, storage_errors
from pipeline.recipe.data import open_data, opening
from pipeline.recipe.request import paths_within, read_models
from pipeline.recipe.resume import StageContext
from pipeline.recipe.sizes import largest_size, sizes_of
from pipeline.records.profile import ProfileRecord
from pipeline.records.search import SearchRecord
from pipeline.records.train import TrainRecord
from pipeline.records.trial import Entrant, TrialRecord
from pipeline.records.verify import VerifyRecord
from pipeline.space.search_space import RESOLUTIONS
from pipeline.training.settings import HYPERNETWORK

if TYPE_CHECKING:
    from pipeline.images.image_data import ImageData
    from pipeline.trials.field import Ladder
    from pipeline.trials.trial import Training

_RANDOM_DRAWS = 8
_LARGEST_TRIED = 12


def run_trial(context: StageContext) -> TrialRecord:
    """Trains candidates and controls beside each other; chooses who is trained to the end."""
    from pipeline.trials.field import Stand, candidates_within, climbed, merged
    from pipeline.trials.further import Further
    from pipeline.trials.trial import trial

    recipe, section, start = context.recipe, context.recipe.trial, time.monotonic()
    verified = read_record(context.record_path("verify"), VerifyRecord)
    if not section.candidates:
        return TrialRecord(
            limits=verified.limits,
            epochs=recipe.retrain.epochs,
            seconds=time.monotonic() - start,
            environment=environment(),
        )
    data = open_data(recipe, progress=context.progress, tell=context.tell)
    targets = dict.fromkeys([recipe.target, *verified.limits.latency_ms])
    stand = Stand(
        [Target.parse(name) for name in targets if name not in verified.unmeasured],
        recipe.verify.protocol,
        context.folder,
        recipe.seed,
        context.progress("exporting controls"),
        context.progress("measuring controls"),
    )
    controls = climbed(list(_ladders(context, verified, data)), verified.limits, stand)
    field = merged([*candidates_within(verified, section.candidates), *controls])
    training = training_of(context, data)
    searched = read_record(context.record_path("search"), SearchRecord)
    further = Further(
        [searched.evaluated[index] for index in searched.ranking],
        training,
        verified.limits,
        stand,
        section.budget,
        context.folder,
        context.progress("looking at untrained networks"),
    )
    found = trial(
        field,
        training,
        limits=verified.limits,
        target=recipe.target,
        folder=context.folder,
        more=further,
        progress=context.progress("trying networks out"),
    )
    context.tell_all(found.remarks)
    return found.model_copy(update={"fusion": further.record, "seconds": time.monotonic() - start})


def training_of(context: StageContext, data: ImageData) -> Training:
    """How networks of the run are trained on its images, in its trials and afterwards."""
    from pipeline.trials.trial import Training

    recipe, settings = context.recipe, context.recipe.retrain
    trained = read_record(context.record_path("train"), TrainRecord)
    searched = read_record(context.record_path("search"), SearchRecord)
    taught = settings.teacher is not None and settings.teacher.source == HYPERNETWORK
    needed = settings.warm_start or taught
    return Training(
        settings,
        recipe.space.space(),
        data.num_classes,
        opening(recipe),
        context.run / "train" / trained.checkpoint if needed else None,
        searched.evaluated if taught else (),
        recipe.seed,
    )


def take_up_trial(entrant: Entrant, trials: Path, folder: Path) -> None:
    """Copies what an entrant was trained so far, where its whole training has not begun.

    Args:
        entrant: Who goes on.
        trials: The folder of the stage `trial`.
        folder: Where the whole training is.

    Raises:
        StorageError: It cannot be copied.
    """
    from pipeline.training.checkpoint import checkpoint_file
    from pipeline.trials.trial import folder_of

    source, into = checkpoint_file(folder_of(entrant, trials)), checkpoint_file(folder)
    # A training that is finished has dropped its own.
    if into.exists() or (folder / "finished.json").exists() or not source.exists():
        return
    with storage_errors(into):
        into.parent.mkdir(parents=True, exist_ok=True)
        # Of several processes each may do it: what appears is whole, and the same.
        with tempfile.NamedTemporaryFile(dir=into.parent, delete=False) as copy:
            shutil.copyfile(source, copy.name)
        Path(copy.name).replace(into)


def _ladders(context: StageContext, verified: VerifyRecord, data: ImageData) -> Iterator[Ladder]:
    """The controls, each with the options that it may settle on."""
    from pipeline.network.timm_networks import TimmNetwork
    from pipeline.training.hypernetwork.path_sampling import PathSampler
    from pipeline.trials.benchmark import nearest_published
    from pipeline.trials.field import Ladder, Option

    recipe = context.recipe
    profiled = read_record(context.record_path("profile"), ProfileRecord)
    trained = read_record(context.record_path("train"), TrainRecord)
    searched = read_record(context.record_path("search"), SearchRecord)
    top = max(largest_size(data), *sizes_of(recipe, profiled, data).resolutions)
    falling = [size for size in reversed(RESOLUTIONS) if size <= top]
    for name in recipe.trial.controls:
        networks = [TimmNetwork(name, size, data.num_classes) for size in falling]
        yield Ladder("off the shelf", [Option.of(network) for network in networks])
    winner = verified.candidates[verified.winner].candidate.architecture
    nearest = nearest_published(winner)
    sized = [nearest.model_copy(update={"resolution": size}) for size in falling]
    yield Ladder("published", [Option.of(network) for network in sized])
    sampler = PathSampler(
        recipe.space.space(),
        data.num_classes,
        recipe.seed,
        paths_within(verified.limits, read_models(recipe)[recipe.target], recipe.target),
    )
    extremes = [sampler.extremes(size)[1] for size in trained.resolutions]
    scored = [searched.evaluated[index] for index in searched.ranking]
    inside = sorted(scored, key=lambda it: -it.macs)[:_LARGEST_TRIED]
    large = [Option.of(network) for network in extremes]
    large = sorted(large, key=lambda it: -it.macs) + [Option.of(it.architecture) for it in inside]
    yield Ladder("largest", large)
    sizes = itertools.islice(itertools.cycle(trained.resolutions), _RANDOM_DRAWS)
    drawn = [sampler.draw(size, "trial", place) for place, size in enumerate(sizes)]
    yield Ladder("random", [Option.of(network) for network in drawn])
