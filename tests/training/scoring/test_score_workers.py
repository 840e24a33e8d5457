"""Scores in one process and in several: the same bits, told one by one, and no process left."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
import torch

from pipeline.errors import ArchitectureError, CheckpointError, PipelineError, UsageError
from pipeline.images.datasets import open_dataset
from pipeline.network.operators import imitate_training, seeded
from pipeline.network.supernet import Supernet, save_supernet
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import SearchSpace
from pipeline.training.compute import Compute
from pipeline.training.hypernetwork.path_sampling import PathSampler
from pipeline.training.scoring import score_workers
from pipeline.training.scoring.network_score import NetworkScore
from pipeline.training.scoring.score_workers import num_workers, open_scorer
from pipeline.training.settings import ScoreSettings

DIGITS = partial(open_dataset, "digits", resolution=32, seed=0, max_train=320)
SETTINGS = ScoreSettings(images=100, recalibration_images=32)
SIZES = (32, 64)
Score = Callable[..., list[NetworkScore]]


@pytest.fixture(scope="module")
def checkpoint(space: SearchSpace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("supernet") / "supernet.safetensors"
    supernet = Supernet(space, 10, seed=0)
    with seeded(0):
        imitate_training(supernet)
    save_supernet(supernet, path)
    return path


@pytest.fixture(scope="module")
def candidates(space: SearchSpace) -> list[Architecture]:
    sampler = PathSampler(space, 10, seed=3)
    return [sampler.draw(SIZES[number % 4 == 3], number) for number in range(8)]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are started for however little there is to score."""
    monkeypatch.setattr(score_workers, "_WORTH_WORKERS_MACS", 0)


def _opened(checkpoint: Path, workers: int | None):
    settings = SETTINGS.model_copy(update={"workers": workers})
    return open_scorer(checkpoint, DIGITS, settings, resolutions=SIZES)


@pytest.fixture(scope="module")
def two(checkpoint: Path) -> Iterator[Score]:
    """Starting workers takes seconds, so tests share them."""
    with _opened(checkpoint, 2) as score:
        yield score
    assert multiprocessing.active_children() == []


def _unheard(architecture: Architecture, scored: NetworkScore) -> None:
    pass


@pytest.mark.usefixtures("at_once")
def test_two_workers_score_as_one_does(
    two: Score, checkpoint: Path, candidates: list[Architecture]
):
    with _opened(checkpoint, 1) as score:
        expected = score(candidates, _unheard)
        assert score(candidates[:1], _unheard) == expected[:1]
    assert len({it.log_losses for it in expected}) == len(candidates)
    told: list[tuple[Architecture, NetworkScore]] = []
    asked = [*candidates, candidates[0]]
    assert two(asked, lambda *it: told.append(it)) == [*expected, expected[0]]
    assert len(multiprocessing.active_children()) == 2
    assert len(told) == len(candidates)
    assert dict(told) == dict(zip(candidates, expected, strict=True))
    # Another grouping, by workers that have scored before.
    assert two(candidates[5:2:-1], _unheard) == expected[5:2:-1]
    assert two([], _unheard) == []


@pytest.mark.usefixtures("at_once")
def test_nothing_is_scored_where_one_was_not_trained_for(
    two: Score, candidates: list[Architecture]
):
    told: list[Architecture] = []
    for change in ({"resolution": 96}, {"num_classes": 3}):
        asked = [*candidates, candidates[0].model_copy(update=change)]
        with pytest.raises(ArchitectureError):
            two(asked, lambda architecture, scored: told.append(architecture))
    assert told == []


@pytest.mark.usefixtures("at_once")
def test_a_worker_that_dies_is_told_and_what_was_scored_is_kept(
    two: Score, candidates: list[Architecture]
):
    told: list[Architecture] = []

    def kill(architecture: Architecture, scored: NetworkScore) -> None:
        told.append(architecture)
        for process in multiprocessing.active_children():
            os.kill(process.pid or 0, signal.SIGKILL)

    with pytest.raises(PipelineError, match=r"died \(signal 9\)") as caught:
        two(candidates, kill)
    assert "score.workers" in (caught.value.hint or "")
    assert 1 <= len(told) < len(candidates)
    assert multiprocessing.active_children() == []


@pytest.mark.slow
@pytest.mark.usefixtures("at_once")
def test_an_error_in_a_worker_is_that_of_this_process(
    checkpoint: Path, candidates: list[Architecture], tmp_path: Path
):
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(checkpoint.read_bytes())
    with _opened(copy, 2) as score:
        copy.write_bytes(b"damaged")
        with pytest.raises(CheckpointError, match=copy.name):
            score(candidates[:1], _unheard)
        assert multiprocessing.active_children() == []


def test_workers_start_once_there_is_enough_to_score(
    checkpoint: Path, candidates: list[Architecture], monkeypatch: pytest.MonkeyPatch
):
    started: list[object] = []
    monkeypatch.setattr(score_workers, "_Worker", started.append)
    with _opened(checkpoint, 2) as score:
        score(candidates, _unheard)
    assert started == []


def test_threads_are_one_while_scoring_and_as_before_afterwards(
    checkpoint: Path, candidates: list[Architecture]
):
    during: list[int] = []
    torch.set_num_threads(2)
    try:
        with _opened(checkpoint, 1) as score:
            score(candidates[:2], lambda *_: during.append(torch.get_num_threads()))
            with pytest.raises(ZeroDivisionError):
                score(candidates[:2], lambda *_: 1 // 0)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert during == [1, 1]


def test_how_many_workers_there_are(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(score_workers, "compute_here", lambda: Compute(torch.device("cpu")))
    monkeypatch.setattr(score_workers, "usable_cores", lambda: 3)
    assert num_workers(ScoreSettings()) == 3
    assert num_workers(ScoreSettings(workers=5)) == 5
    monkeypatch.setattr(score_workers, "usable_cores", lambda: 64)
    assert num_workers(ScoreSettings()) == 8
    monkeypatch.setattr(score_workers, "compute_here", lambda: Compute(torch.device("cuda")))
    assert num_workers(ScoreSettings()) == num_workers(ScoreSettings(workers=1)) == 1
    with pytest.raises(UsageError, match=r"score\.workers is 2; on a GPU"):
        num_workers(ScoreSettings(workers=2))


_SCORING = f"""
import signal
import sys
from functools import partial
from pathlib import Path
from pipeline.space.architecture_file import parse_short
from pipeline.images.datasets import open_dataset
from pipeline.training.scoring import score_workers
from pipeline.training.settings import ScoreSettings

if __name__ == "__main__":
    # Whoever was started in the background ignores ctrl-C, and hands that down.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    score_workers._WORTH_WORKERS_MACS = 0
    digits = partial(open_dataset, "digits", resolution=32, seed=0)
    settings = ScoreSettings(workers=2)
    candidates = list(map(parse_short, sys.argv[2:]))
    opened = score_workers.open_scorer(Path(sys.argv[1]), digits, settings, resolutions={SIZES})
    with opened as score:
        print("opened", flush=True)
        while True:
            score(candidates, lambda *it: print("scored", flush=True))
"""


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ctrl-C", "kill -9"])
@pytest.mark.parametrize(("lines", "seconds"), [(1, 0.0), (1, 2.0), (4, 0.0)])
def test_no_process_is_left(
    how: str, lines: int, seconds: float, checkpoint: Path, candidates: list[Architecture]
):
    """As workers are started, while they import torch, and once something was scored."""
    with subprocess.Popen(
        [sys.executable, "-c", _SCORING, str(checkpoint), *(it.short for it in candidates)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        told = list(islice(run.stdout, lines))
        time.sleep(seconds)
        if how == "ctrl-C":
            os.killpg(run.pid, signal.SIGINT)
        else:
            run.kill()
        # Workers have the pipe too, so this waits for their end.
        words = run.stderr.read()
    assert told == ["opened\n", *["scored\n"] * (lines - 1)]
    # The parent's own traceback, and none of the workers'.
    assert words.count("Traceback") == (how == "ctrl-C"), words
    deadline = time.monotonic() + 10
    while _is_there(run.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _is_there(run.pid)
