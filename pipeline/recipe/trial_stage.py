"""The stage `trial` of a recipe."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.device.fingerprint import environment
from pipeline.device.target import Target
from pipeline.files.whole import read_record
from pipeline.recipe.data import open_data, opening
from pipeline.recipe.recipe import Recipe
from pipeline.recipe.request import paths_within, read_models
from pipeline.recipe.resume import StageContext
from pipeline.recipe.sizes import largest_size, sizes_of
from pipeline.records.profile import ProfileRecord
from pipeline.records.search import SearchRecord
from pipeline.records.train import TrainRecord
from pipeline.records.trial import TrialRecord
from pipeline.records.verify import VerifyRecord
from pipeline.space.search_space import RESOLUTIONS
from pipeline.training.settings import HYPERNETWORK

if TYPE_CHECKING:
    from pipeline.images.image_data import ImageData
    from pipeline.training.hypernetwork.path_sampling import PathSampler
    from pipeline.trials.field import Ladder, Option
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
    from pipeline.trials.trial import Training, rungs_of

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
        rungs_of(settings),
    )


def _ladders(context: StageContext, verified: VerifyRecord, data: ImageData) -> Iterator[Ladder]:
    """The controls, each with the options that it may settle on."""
    from pipeline.network.timm_networks import TimmNetwork
    from pipeline.trials.field import Ladder, Option

    recipe = context.recipe
    profiled = read_record(context.record_path("profile"), ProfileRecord)
    top = max(largest_size(data), *sizes_of(recipe, profiled, data).resolutions)
    sizes = [size for size in reversed(RESOLUTIONS) if size <= top]
    for name in recipe.trial.controls:
        if name == "published":
            yield Ladder("published", _published(verified, sizes))
        elif name == "largest":
            yield Ladder("largest", _largest(context, verified, data.num_classes))
        elif name == "random":
            yield Ladder("random", _random(context, verified, data.num_classes))
        else:
            networks = [TimmNetwork(name, size, data.num_classes) for size in sizes]
            yield Ladder("off the shelf", [Option.of(network) for network in networks])


def _published(verified: VerifyRecord, sizes: Sequence[int]) -> list[Option]:
    """The published model nearest to the best candidate, at each size."""
    from pipeline.trials.benchmark import nearest_published
    from pipeline.trials.field import Option

    nearest = nearest_published(verified.candidates[verified.winner].candidate.architecture)
    return [Option.of(nearest.model_copy(update={"resolution": size})) for size in sizes]


def _largest(context: StageContext, verified: VerifyRecord, num_classes: int) -> list[Option]:
    """The largest within the limits as predicted, then those of the search by MACs."""
    from pipeline.trials.field import Option

    trained = read_record(context.record_path("train"), TrainRecord)
    searched = read_record(context.record_path("search"), SearchRecord)
    sampler = _sampler(context.recipe, verified, num_classes)
    extremes = [Option.of(sampler.extremes(size)[1]) for size in trained.resolutions]
    scored = [searched.evaluated[index] for index in searched.ranking]
    inside = sorted(scored, key=lambda it: -it.macs)[:_LARGEST_TRIED]
    others = [Option.of(it.architecture) for it in inside]
    return sorted(extremes, key=lambda it: -it.macs) + others


def _random(context: StageContext, verified: VerifyRecord, num_classes: int) -> list[Option]:
    """Networks drawn within the limits as predicted, at each size in turn."""
    from pipeline.trials.field import Option

    trained = read_record(context.record_path("train"), TrainRecord)
    sampler = _sampler(context.recipe, verified, num_classes)
    sizes = itertools.islice(itertools.cycle(trained.resolutions), _RANDOM_DRAWS)
    drawn = (sampler.draw(size, "trial", place) for place, size in enumerate(sizes))
    return [Option.of(network) for network in drawn]


def _sampler(recipe: Recipe, verified: VerifyRecord, num_classes: int) -> PathSampler:
    from pipeline.training.hypernetwork.path_sampling import PathSampler

    model = read_models(recipe)[recipe.target]
    limits = paths_within(verified.limits, model, recipe.target)
    return PathSampler(recipe.space.space(), num_classes, recipe.seed, limits)
