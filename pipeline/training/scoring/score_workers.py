"""Scoring with the hypernetwork in several processes, to the same bits as in one.

How a sum is split among threads decides how it is rounded, so on a CPU every process computes with
one thread, this one too. Then a score depends neither on how many processes there are nor on which
candidates one of them is given.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from pipeline.device.target import usable_cores
from pipeline.errors import PipelineError, UsageError
from pipeline.images.image_data import ImageData
from pipeline.network.supernet import load_supernet
from pipeline.space.architecture import Architecture
from pipeline.space.cost import architecture_cost
from pipeline.training.compute import compute_here
from pipeline.training.scoring.evaluation import MOST_KEPT_BYTES, HypernetworkScorer, OnScored
from pipeline.training.scoring.network_score import NetworkScore
from pipeline.training.scoring.prefix_cache import shares
from pipeline.training.settings import ScoreSettings

_MOST_WORKERS = 8
# What one core does in ten seconds at 32 pixels. Workers are there after six or more, most of them
# torch's import.
_WORTH_WORKERS_MACS = 200e9


@contextmanager
def open_scorer(
    checkpoint: Path,
    data_of: Callable[[], ImageData],
    settings: ScoreSettings,
    *,
    resolutions: Sequence[int],
) -> Iterator[Callable[[Sequence[Architecture], OnScored], list[NetworkScore]]]:
    """Opens a hypernetwork for scoring, on the GPU where there is one.

    Args:
        checkpoint: A file of `pipeline.network.supernet.save_supernet`.
        data_of: Opens the images; workers call it too, so it is something to pickle, such as a
            `functools.partial` of `pipeline.images.datasets.open_dataset`.
        settings: How to score, and in how many processes.
        resolutions: Input sizes the hypernetwork was trained at.

    Yields:
        `ScoreWorkers.score`.

    Raises:
        UsageError: Several workers are asked for on a GPU.
        CheckpointError: The checkpoint holds no hypernetwork.
        StorageError: It cannot be read.
        DataError: The images cannot be opened.
    """
    workers = num_workers(settings)
    opening = _Opening(checkpoint, data_of, settings, tuple(resolutions), workers)
    scoring = ScoreWorkers(opening, workers)
    try:
        yield scoring.score
    finally:
        scoring.close()


def num_workers(settings: ScoreSettings) -> int:
    """How many processes are to score here.

    Raises:
        UsageError: Several are asked for on a GPU.
    """
    if compute_here().device.type == "cpu":
        return settings.workers or min(usable_cores(), _MOST_WORKERS)
    if settings.workers not in (None, 1):
        raise UsageError(
            f"score.workers is {settings.workers}; on a GPU one process scores",
            hint="set score.workers to 1, or leave it out",
        )
    return 1


@dataclass(frozen=True)
class _Opening:
    """All that a process needs to score."""

    checkpoint: Path
    data_of: Callable[[], ImageData]
    settings: ScoreSettings
    resolutions: tuple[int, ...]
    workers: int

    def scorer(self) -> HypernetworkScorer:
        return HypernetworkScorer(
            load_supernet(self.checkpoint).to(compute_here().device),
            self.data_of(),
            self.settings,
            resolutions=self.resolutions,
            most_kept_bytes=MOST_KEPT_BYTES // self.workers,
        )

    def macs(self, architectures: Sequence[Architecture]) -> int:
        """MACs of scoring networks one by one."""
        images = self.settings.images + self.settings.recalibration_images
        return images * sum(architecture_cost(it).macs for it in architectures)


class ScoreWorkers:
    """Scores in this process until workers are worth their start, and then in these.

    Which it is changes no score.

    Args:
        opening: The hypernetwork and the images.
        workers: How many to start; with one, this process scores.
    """

    def __init__(self, opening: _Opening, workers: int) -> None:
        self._opening = opening
        self._count = workers
        self._here = opening.scorer()
        self._macs = 0
        self._workers: list[_Worker] = []

    def score(
        self, architectures: Sequence[Architecture], on_scored: OnScored
    ) -> list[NetworkScore]:
        """Scores architectures.

        Args:
            architectures: Of any of the sizes.
            on_scored: Told of each, in this process, as soon as it is scored, in an order of its
                own; of one that stands twice only once.

        Returns:
            What each does on search-validation.

        Raises:
            ArchitectureError: The hypernetwork does not hold an architecture, or was not trained at
                its size; none is scored then.
            DataError: There are no images, or one cannot be read.
            PipelineError: A worker died, or a network's outputs are no numbers.
        """
        self._here.check(architectures)
        found: dict[Architecture, NetworkScore] = {}

        def tell(architecture: Architecture, score: NetworkScore) -> None:
            found[architecture] = score
            on_scored(architecture, score)

        distinct = list(dict.fromkeys(architectures))
        if self._is_worth_workers(distinct):
            self._score_in_workers(distinct, tell)
        else:
            with _one_thread():
                self._here.scores(distinct, tell)
        return [found[architecture] for architecture in architectures]

    def close(self) -> None:
        """Ends the workers; another call of `score` would start new ones."""
        while self._workers:
            self._workers.pop().end()

    def _is_worth_workers(self, distinct: Sequence[Architecture]) -> bool:
        self._macs += self._opening.macs(distinct)
        return self._count > 1 and (bool(self._workers) or self._macs > _WORTH_WORKERS_MACS)

    def _start(self, count: int) -> None:
        # A worker that an interrupt kept from being noted would never be ended.
        with _interrupts_held():
            while len(self._workers) < count:
                self._workers.append(_Worker(self._opening))

    def _score_in_workers(self, distinct: Sequence[Architecture], tell: OnScored) -> None:
        try:
            self._start(min(self._count, len(distinct)))
            busy: dict[object, _Worker] = {}
            divided = shares(distinct, len(self._workers))
            for worker, share in zip(self._workers, divided, strict=False):
                worker.send(share)
                busy[worker.link] = worker
            while busy:
                for link in connection.wait([worker.link for worker in busy.values()]):
                    scored = busy[link].receive()
                    if scored:
                        tell(*scored)
                    else:
                        del busy[link]
        except BaseException:
            # The others would go on with what nobody waits for.
            self.close()
            raise


class _Worker:
    """A process that scores the shares it is sent.

    Attributes:
        link: Where its answers come from: each scored architecture, and None after a share.
    """

    def __init__(self, opening: _Opening) -> None:
        context = get_context("spawn")
        self.link, its_end = context.Pipe()
        # No daemon: it may read images with processes of its own.
        self._process: BaseProcess = context.Process(
            target=_serve, args=(its_end, opening), name="scoring", daemon=False
        )
        self._process.start()
        its_end.close()  # else this end would not tell that the worker died

    def send(self, share: Sequence[Architecture]) -> None:
        try:
            self.link.send(share)
        except ConnectionError:
            raise self._death() from None

    def receive(self) -> tuple[Architecture, NetworkScore] | None:
        try:
            answer = self.link.recv()
        except (EOFError, ConnectionError):
            raise self._death() from None
        if isinstance(answer, PipelineError):
            raise answer
        scored: tuple[Architecture, NetworkScore] | None = answer
        return scored

    def end(self) -> None:
        """Ends the process at once; what it still computes is lost."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self.link.close()

    def _death(self) -> PipelineError:
        self._process.join()
        code = self._process.exitcode or 0
        cause = f"signal {-code}" if code < 0 else f"exit code {code}"
        return PipelineError(
            f"a scoring process died ({cause}), perhaps for want of memory",
            hint="what was scored is kept; run again, with fewer score.workers",
        )


def _serve(parent: Connection, opening: _Opening) -> None:
    """What a worker does."""
    torch.set_num_threads(1)
    # The parent was killed, and nobody waits for an answer.
    with suppress(EOFError, ConnectionError):
        try:
            share = parent.recv()
            scorer = opening.scorer()
            while True:
                scorer.scores(share, lambda *scored: parent.send(scored))
                parent.send(None)
                share = parent.recv()
        except PipelineError as error:
            parent.send(error)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Processes started within it never see a ctrl-C; this one sees it afterwards.

    A terminal sends it to all of them, but it is for the parent, which ends its workers.
    """
    # Its own start would let interrupts through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
