"""Trials: networks trained for a while beside each other, with one recipe, and the worst dropped.

What is trained is kept: a network that goes on does so from its checkpoint, and the winner's whole
training (`pipeline.training.retraining.retraining.retrain`) goes on from the last one. So the
learning rate rises and then stays until the last rung, and falls only in what comes after it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

from pipeline.device.fingerprint import environment
from pipeline.device.target import usable_cores
from pipeline.files.json_lines import JsonLines
from pipeline.files.whole import digest_of
from pipeline.images.image_data import ImageData
from pipeline.network.supernet import load_supernet
from pipeline.network.timm_networks import TimmNetwork
from pipeline.records.candidates import Candidate, Limits
from pipeline.records.score_remarks import is_near_guessing
from pipeline.records.trial import Entrant, RungScore, TrialRecord
from pipeline.space.search_space import SearchSpace
from pipeline.training.compute import compute_here
from pipeline.training.retraining.alone import AnyNetwork, Hypernetwork
from pipeline.training.retraining.trying import try_out
from pipeline.training.scoring.network_score import (
    NetworkScore,
    paired_errors_nats,
    spread_of,
)
from pipeline.training.settings import HYPERNETWORK, RetrainSettings
from pipeline.trials.halving import best_of, promoted
from pipeline.work.progress import Progress, silent
from pipeline.work.workers import pool_of

_RUNGS = (1 / 8, 3 / 8)
_SHORT_EPOCHS = 8
_AVERAGED_SHARE = 1 / 50
"""Of the steps of a whole training, those that an average of weights spans."""
_SCORES = "scores.jsonl"


More = Callable[[Sequence[Entrant], Mapping[int, NetworkScore]], list[Entrant]]
"""Who else is to be tried, from all so far and their scores after the first rung, by place."""


def rungs_of(settings: RetrainSettings) -> tuple[float, ...]:
    """Shares of a whole training after which the worst are dropped; of a short one only one."""
    return _RUNGS if settings.epochs >= _SHORT_EPOCHS else _RUNGS[:1]


@dataclass(frozen=True)
class Training:
    """How networks are trained, in the trials and afterwards, and what from.

    Attributes:
        settings: Of the whole training.
        space: What the hypernetwork holds.
        num_classes: Of the images.
        data_of: Opens the images; other processes call it too.
        checkpoint: The hypernetwork; None where nothing of it is needed.
        scored: What its paths reach, to choose teachers from.
        seed: Of everything random.
        rungs: Shares of a whole training after which the worst are dropped, rising.
    """

    settings: RetrainSettings
    space: SearchSpace
    num_classes: int
    data_of: Callable[[], ImageData]
    checkpoint: Path | None
    scored: Sequence[Candidate]
    seed: int
    rungs: tuple[float, ...]

    @property
    def stable_share(self) -> float:
        """Share of the steps after which the learning rate falls."""
        return self.rungs[-1]

    def settings_of(self, entrant: Entrant, data: ImageData) -> RetrainSettings:
        """As the recipe has them, with an average of weights, without which steps are compared."""
        steps = data.num_train_batches(self.settings.batch_size) * self.settings.epochs
        averaged = max(1.0, _AVERAGED_SHARE * steps)
        return self.settings.model_copy(
            update={
                "warm_start": entrant.warm_start,
                "ema_decay": self.settings.ema_decay or 1 - 1 / averaged,
                # While the rate rises nothing can be told of networks.
                "warmup_share": min(self.settings.warmup_share, self.rungs[0] / 2),
            }
        )

    def entered(self, entrant: Entrant) -> Entrant:
        """An entrant that is known to begin warm or not."""
        return entrant.model_copy(update={"warm_start": self.begins_warm(entrant)})

    def begins_warm(self, entrant: Entrant) -> bool:
        """Whether the hypernetwork holds it, and the recipe asks for a warm start."""
        network = entrant.architecture
        return self.settings.warm_start and network is not None and network.is_held_by(self.space)

    def hypernetwork_of(self, entrant: Entrant) -> Hypernetwork:
        """What the entrant begins from or is taught by."""
        teacher = self.settings.teacher
        taught = teacher is not None and teacher.source == HYPERNETWORK
        if self.checkpoint is None or not (entrant.warm_start or taught):
            return Hypernetwork()
        return Hypernetwork(load_supernet(self.checkpoint), self.scored)

    def network_of(self, entrant: Entrant) -> AnyNetwork:
        """What is trained."""
        if entrant.architecture:
            return entrant.architecture
        assert entrant.timm is not None
        assert entrant.resolution is not None
        return TimmNetwork(entrant.timm, entrant.resolution, self.num_classes)


def trial(
    field: Sequence[Entrant],
    training: Training,
    *,
    limits: Limits,
    target: str,
    folder: Path,
    more: More | None = None,
    progress: Progress = silent,
) -> TrialRecord:
    """Trains the field up to each rung, drops the worst, and says who is best.

    Args:
        field: Networks within the limits, and those that could not take part.
        training: How.
        limits: What they are within, for the record.
        target: Whose latency decides between networks that cannot be told apart.
        folder: Takes a folder a network, with its checkpoint, and the scores; a call that was
            killed goes on there.
        more: Asked after the first rung, until it names nobody.
        progress: Told after each network of each rung.

    Raises:
        PipelineError: As `retrain`, or a training process died.
        StorageError: A file cannot be written.
    """
    start = time.monotonic()
    entrants = [training.entered(it) for it in field]
    shelf = [i for i, it in enumerate(entrants) if it.is_off_the_shelf]
    going = [i for i, it in enumerate(entrants) if not it.reason]
    results: dict[int, list[RungScore]] = {}
    journal = _Journal(folder / _SCORES)
    scores: dict[int, NetworkScore] = {}
    for number, share in enumerate(training.rungs):
        trained = partial(
            _trained, share=share, training=training, folder=folder, journal=journal,
            progress=progress,
        )  # fmt: skip
        scores = trained({i: entrants[i] for i in going})
        while not number and more and (named := more(entrants, scores)):
            going += range(len(entrants), len(entrants) + len(named))
            entrants += map(training.entered, named)
            scores |= trained({i: entrants[i] for i in going if i not in scores})
        is_last = number == len(training.rungs) - 1
        kept = going if is_last else promoted(scores, shelf)
        errors = paired_errors_nats([scores[i] for i in going])
        for place, i in enumerate(going):
            results.setdefault(i, []).append(
                RungScore(
                    share=share,
                    log_loss_nats=scores[i].log_loss_nats,
                    error_nats=None if errors is None else float(errors[place]),
                    accuracy_percent=scores[i].accuracy_percent,
                    images=scores[i].images,
                    kept=i in kept,
                )
            )
        for i in set(going) - set(kept):
            # Nobody goes on from there any more, and its score is kept.
            shutil.rmtree(folder_of(entrants[i], folder), ignore_errors=True)
        going = kept
    latency_ms = {i: entrants[i].measured_ms[target].typical for i in scores}
    return TrialRecord(
        limits=limits,
        entrants=tuple(
            it.model_copy(update={"rungs": tuple(results.get(i, ()))})
            for i, it in enumerate(entrants)
        ),
        rungs=training.rungs,
        epochs=training.settings.epochs,
        winner=best_of({i: it for i, it in scores.items() if i not in shelf}, latency_ms),
        off_the_shelf=best_of({i: it for i, it in scores.items() if i in shelf}, latency_ms),
        remarks=tuple(_remarks(list(scores.values()), training)),
        seconds=time.monotonic() - start,
        environment=environment(),
    )


def _remarks(scores: Sequence[NetworkScore], training: Training) -> Iterator[str]:
    spread = spread_of(scores, training.num_classes)
    if spread and is_near_guessing(spread):
        epochs = f"{training.rungs[-1] * training.settings.epochs:.2g}"
        yield (
            f"after {epochs} of {training.settings.epochs} epochs no network is clearly better than"
            f" guessing (best log-loss {spread.best_log_loss_nats:.3f} ±"
            f" {spread.best_error_nats:.3f} nats, {spread.best_accuracy_percent:.1f} % top-1), so"
            " who was chosen is chance; train for longer (retrain.epochs)"
        )


def folder_of(entrant: Entrant, folder: Path) -> Path:
    """Where an entrant's training is, below the folder of the trials."""
    return folder / "trainings" / _key(entrant)


def _key(entrant: Entrant) -> str:
    """Short, and the same for the same network at any place."""
    network = entrant.architecture
    named = network.short if network else [entrant.timm, entrant.resolution]
    return digest_of([named, entrant.warm_start])[:16]


class _Journal:
    """Scores as they are made.

    Attributes:
        known: By network and share of its training.
    """

    def __init__(self, path: Path) -> None:
        self._lines = JsonLines(path)
        try:
            self.known = {
                (str(it["key"]), float(it["share"])): NetworkScore.from_json(it)
                for it in self._lines.known
            }
        except (ValueError, KeyError, TypeError):
            raise self._lines.damaged() from None

    def append(self, key: str, share: float, score: NetworkScore) -> None:
        self._lines.append({"key": key, "share": share, **asdict(score)})


def _trained(
    entrants: Mapping[int, Entrant],
    *,
    share: float,
    training: Training,
    folder: Path,
    journal: _Journal,
    progress: Progress,
) -> dict[int, NetworkScore]:
    """The score of each after a share of its training, where the journal does not have it yet."""
    known = journal.known
    scores = {i: known[key] for i, it in entrants.items() if (key := (_key(it), share)) in known}
    missing = {i: it for i, it in entrants.items() if i not in scores}
    what = f"to {share * training.settings.epochs:.3g} of {training.settings.epochs} epochs"
    progress(len(scores), len(entrants), what)
    if not missing:
        return scores
    count = min(len(missing), usable_cores() if compute_here().device.type == "cpu" else 1)
    with pool_of(count, partial(torch.set_num_threads, 1)) as pool:
        running = {
            pool.submit(_tried, it, share, training, folder_of(it, folder)): i
            for i, it in missing.items()
        }
        for future in as_completed(running):
            i = running[future]
            scores[i] = future.result()
            journal.append(_key(entrants[i]), share, scores[i])
            progress(len(scores), len(entrants), f"{what}: {entrants[i].label}")
    return scores


def _tried(entrant: Entrant, share: float, training: Training, folder: Path) -> NetworkScore:
    data = training.data_of()
    network = training.network_of(entrant)
    return try_out(
        network,
        data.at(network.resolution),
        training.settings_of(entrant, data),
        hypernetwork=training.hypernetwork_of(entrant),
        share=share,
        stable_share=training.stable_share,
        folder=folder,
        seed=training.seed,
        progress=silent,
    )
