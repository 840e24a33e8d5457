"""Trials: real trainings of a second, dropped, gone on with, and the same after an interruption."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.images.datasets import open_dataset
from pipeline.records.candidates import Limits
from pipeline.records.trial import Entrant, TrialRecord
from pipeline.space.architecture import Architecture
from pipeline.training.checkpoint import checkpoint_file
from pipeline.training.settings import RetrainSettings
from pipeline.trials import trial as trials
from pipeline.trials.trial import Training, folder_of, trial
from pipeline.work.progress import Progress, silent
from tests.checkout import ROOT
from tests.report.made_up_measuring import stats
from tests.training.tiny import NARROW, NETWORK

TARGET = "host/onnxruntime-fp32-b1-t1"


def entrant(kind: Any, latency_ms: float, **fields: Any) -> Entrant:
    measured = {TARGET: stats(latency_ms, rng=np.random.default_rng(0))}
    return Entrant(kinds=(kind,), measured_ms=measured, resolution=32, **fields)


def network(*operators: str) -> Architecture:
    return NETWORK.model_copy(update={"stages": tuple((name,) for name in operators)})


FIELD = [
    entrant("candidate", 1.0, architecture=NETWORK),
    entrant("candidate", 2.0, architecture=network(*["mb4_3x3"] * 5)),
    entrant("largest", 3.0, architecture=network(*["mb6_5x5"] * 5)),
    entrant("random", 3.0, architecture=network(*["mb4_3x3", "mb6_5x5"] * 2, "mb4_3x3")),
    entrant("off the shelf", 0.5, timm="lcnet_035"),
    Entrant(kinds=("off the shelf",), timm="resnet18", reason="over the limit"),
]


def training(**changes: Any) -> Training:
    settings = RetrainSettings.model_validate({"epochs": 4, "batch_size": 16, **changes})
    data_of = partial(open_dataset, "digits", resolution=32, seed=0, max_train=48)
    return Training(settings, NARROW, 10, data_of, None, (), seed=0, rungs=(1 / 4, 1 / 2))


def tried(folder: Path, progress: Progress = silent, **changes: Any) -> TrialRecord:
    return trial(
        FIELD,
        training(**changes),
        limits=Limits(latency_ms={TARGET: 4.0}),
        target=TARGET,
        folder=folder,
        progress=progress,
    )


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    """Trains in this process, one network after the other."""

    class Pool:
        def submit(self, work: Any, *arguments: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_result(work(*arguments))
            return future

    @contextmanager
    def pool_of(*_: Any) -> Iterator[Pool]:
        yield Pool()

    monkeypatch.setattr(trials, "pool_of", pool_of)


def without_time(record: TrialRecord) -> TrialRecord:
    return record.model_copy(update={"seconds": 0.0})


@pytest.mark.usefixtures("here")
def test_the_worst_are_dropped_and_the_best_of_each_kind_is_told(tmp_path: Path) -> None:
    record = tried(tmp_path)
    assert [len(it.rungs) for it in record.entrants[:5]].count(2) == 3
    assert [rung.share for rung in record.entrants[4].rungs] == [1 / 4, 1 / 2]
    assert record.off_the_shelf == 4
    assert record.winner in range(4)
    winner = record.entrants[record.winner]
    assert len(winner.rungs) == 2
    # Of four of the search space two went on, and they were the two best.
    first = sorted(range(4), key=lambda i: record.entrants[i].rungs[0].log_loss_nats)
    assert {i for i in range(4) if record.entrants[i].rungs[0].kept} == set(first[:2])
    assert record.entrants[5].rungs == ()
    images = {rung.images for it in record.entrants for rung in it.rungs}
    assert images == {training().data_of().record.num_search_validation}
    assert all(rung.error_nats for it in record.entrants for rung in it.rungs)
    # What may be gone on with is there, and nothing else.
    kept = {i for i, it in enumerate(record.entrants) if it.rungs and it.rungs[-1].kept}
    there = {
        i
        for i, it in enumerate(record.entrants)
        if checkpoint_file(folder_of(it, tmp_path)).exists()
    }
    assert there == kept


@pytest.mark.usefixtures("here")
def test_interrupted_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = tried(tmp_path / "whole")
    for after in (1, 3):

        def interrupt(done: int, total: int, note: str = "", after: int = after) -> None:
            if done == after:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            tried(tmp_path / "again", interrupt)
    lines = (tmp_path / "again" / "scores.jsonl").read_text()
    (tmp_path / "again" / "scores.jsonl").write_text(lines + '{"key": "cut')
    again = tried(tmp_path / "again")
    assert without_time(again) == without_time(whole)


@pytest.mark.usefixtures("here")
def test_where_nobody_learns_it_says_that_the_choice_is_chance(tmp_path: Path) -> None:
    (remark,) = tried(tmp_path, learning_rate=1e-9).remarks
    assert "after 2 of 4 epochs no network is clearly better than guessing" in remark
    assert "retrain.epochs" in remark


def test_only_what_the_hypernetwork_holds_begins_warm() -> None:
    warm = training(warm_start=True)
    outside = NETWORK.model_copy(update={"stages": (("mb4_3x3", "mb4_3x3"), *NETWORK.stages[1:])})
    begins = [
        warm.begins_warm(entrant("candidate", 1, architecture=it)) for it in (NETWORK, outside)
    ]
    assert begins == [True, False]
    assert not warm.begins_warm(FIELD[4])
    assert not training().begins_warm(FIELD[0])


def test_the_average_follows_the_number_of_steps() -> None:
    data = training().data_of()
    assert training().settings_of(FIELD[0], data).ema_decay == 0
    long = training(epochs=1000).settings_of(FIELD[0], data)
    assert long.ema_decay == pytest.approx(1 - 1 / 60)
    assert training(ema_decay=0.5).settings_of(FIELD[0], data).ema_decay == 0.5


PROGRAM = """
import sys
from pathlib import Path
from pipeline.files.whole import write_record
from tests.trials.test_trial import tried
if __name__ == "__main__":
    write_record(Path(sys.argv[1]) / "record.json", tried(Path(sys.argv[1])))
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_the_same(tmp_path: Path) -> None:
    """In processes of its own, which end with it."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def start(folder: Path) -> subprocess.Popen[bytes]:
        folder.mkdir(exist_ok=True)
        return subprocess.Popen([sys.executable, program, folder], cwd=ROOT, env=_environment())

    began = time.monotonic()
    assert start(tmp_path / "whole").wait() == 0
    took = time.monotonic() - began
    random = np.random.default_rng(1)
    for _ in range(6):
        process = start(tmp_path / "killed")
        try:
            if process.wait(timeout=took * random.uniform(0.2, 0.9)) == 0:
                break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert start(tmp_path / "killed").wait() == 0
    whole, killed = (
        TrialRecord.model_validate_json((tmp_path / name / "record.json").read_text())
        for name in ("whole", "killed")
    )
    assert without_time(killed) == without_time(whole)


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}
