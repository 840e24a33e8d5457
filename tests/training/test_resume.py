"""A run that was killed and called again ends with the bits of one that was not."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from pipeline.errors import CheckpointError, StorageError
from pipeline.network.weights import read_weights
from pipeline.records.retrain import RetrainRecord
from pipeline.records.train import TrainRecord
from pipeline.training import fitting
from tests.checkout import ROOT
from tests.training import killed_run
from tests.training.killed_run import Run, run_of

TIMES = {"seconds": True, "epochs": {"__all__": {"images_per_second"}}}


class KilledError(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture(scope="module", autouse=True)
def _checkpoints_within_epochs() -> Iterator[None]:
    """Rounds of two steps, and a checkpoint after each, as a training of hours would write."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.training.fitting._ROUND", 2)
        patch.setattr("pipeline.training.fitting._CHECKPOINT_EVERY_S", -1.0)
        patch.setattr("pipeline.training.hypernetwork.hypernetwork._MONITORED_PATHS", 1)
        yield


def _killed_at(step: int) -> Callable[..., None]:
    """Dies in the round that ends there, or behind it, before its checkpoint is written."""

    def progress(done: int, total: int, note: str = "") -> None:
        if done >= step:
            raise KilledError

    return progress


def _outcome(folder: Path, record: TrainRecord | RetrainRecord) -> tuple[object, bytes]:
    return record.model_dump(exclude=TIMES), (folder / record.checkpoint).read_bytes()


@pytest.fixture(
    scope="module",
    params=[
        "cream",
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in killed_run.SETTINGS
            if kind != "cream"
        ),
    ],
)
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def run(kind: str) -> Run:
    return run_of(kind)


def _dies_in_checkpoint(patch: pytest.MonkeyPatch, number: int) -> None:
    """When the file is written beside the last one and is about to take its place."""
    replaced = 0
    replace = Path.replace

    def dies(self: Path, target: Path) -> Path:
        nonlocal replaced
        replaced += target.name == "run.safetensors"
        if replaced == number:
            raise KilledError
        return replace(self, target)

    patch.setattr(Path, "replace", dies)


def _dies_in_evaluation(patch: pytest.MonkeyPatch, of_epoch: int) -> None:
    whole = fitting._Loop._evaluated

    def dies(self: fitting._Loop, epoch: int) -> float:
        if epoch == of_epoch:
            raise KilledError
        return whole(self, epoch)

    patch.setattr(fitting._Loop, "_evaluated", dies)


def test_killed_again_and_again(run: Run, tmp_path: Path):
    """Before the first checkpoint, within an epoch, while a file is written, in an evaluation.

    No step is trained twice but those of the last round, and none is told twice.
    """
    undisturbed = _outcome(tmp_path / "whole", run(tmp_path / "whole"))
    folder = tmp_path / "killed"
    for step in (1, 3):
        with pytest.raises(KilledError):
            run(folder, _killed_at(step))
    for dies in (partial(_dies_in_checkpoint, number=3), partial(_dies_in_evaluation, of_epoch=1)):
        with pytest.MonkeyPatch.context() as patch:
            dies(patch)
            with pytest.raises(KilledError):
                run(folder)
        (left,) = (folder / "checkpoint").iterdir()
        assert left.name == "run.safetensors"
        read_weights(left)
    seen: list[int] = []
    record = run(folder, lambda done, total, note="": seen.append(done))
    assert seen == [8, 9]
    assert _outcome(folder, record) == undisturbed
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    # Rounds of two steps in epochs of three.
    assert [line["step"] for line in lines if "loss" in line] == [2, 3, 5, 6, 8, 9]
    assert [line["step"] for line in lines if "accuracy_percent" in line] == [3, 6, 9]
    assert list((folder / "tensorboard").iterdir())


@pytest.fixture(scope="module")
def short(kind: str) -> Run:
    return run_of(kind, epochs=1)


@pytest.fixture(scope="module")
def ended(
    short: Run, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, TrainRecord | RetrainRecord]:
    """The folder of a short run, and its record."""
    folder = tmp_path_factory.mktemp("ended")
    return folder, short(folder)


def test_a_finished_run_keeps_its_record_and_drops_its_checkpoint(
    short: Run, ended: tuple[Path, TrainRecord | RetrainRecord]
):
    folder, record = ended
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["finished.json", "log.jsonl", "tensorboard", record.checkpoint]
    )
    assert short(folder, _killed_at(0)) == record


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_bytes(bytes(9))])
def test_a_finished_run_whose_weights_are_gone_is_trained_again(
    short: Run,
    ended: tuple[Path, TrainRecord | RetrainRecord],
    damage: Callable[[Path], object],
    tmp_path: Path,
):
    folder, record = ended
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    damage(tmp_path / record.checkpoint)
    with pytest.raises(KilledError):
        short(tmp_path, _killed_at(0))


@pytest.fixture
def checkpoint(run: Run, tmp_path: Path) -> Path:
    """What a killed run left in `tmp_path`."""
    with pytest.raises(KilledError):
        run(tmp_path, _killed_at(3))
    (file,) = (tmp_path / "checkpoint").iterdir()
    return file


@pytest.mark.usefixtures("checkpoint")
def test_other_settings_start_over(
    short: Run, ended: tuple[Path, TrainRecord | RetrainRecord], tmp_path: Path
):
    assert _outcome(tmp_path, short(tmp_path)) == _outcome(*ended)


def test_a_damaged_checkpoint_is_told(run: Run, checkpoint: Path, tmp_path: Path):
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=checkpoint.name):
        run(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(run: Run, tmp_path: Path):
    (tmp_path / "checkpoint").write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="checkpoint"):
        run(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["single-path", "cream", "retrain"])
def test_kill_minus_nine_at_any_moment(kind: str, tmp_path: Path):
    command = [sys.executable, killed_run.__file__, kind]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*command, str(whole)], env=environment, check=True)
    deaths = 0
    for seconds_in_training in (0.0, 0.3, 0.6, 0.1):
        process = subprocess.Popen([*command, str(killed)], env=environment)
        checkpoint = killed / "checkpoint" / "run.safetensors"
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
        while process.poll() is None:
            if checkpoint.exists() and checkpoint.stat().st_mtime_ns != before:
                time.sleep(seconds_in_training)
                process.send_signal(signal.SIGKILL)
                deaths += process.wait() == -signal.SIGKILL
            time.sleep(0.02)
    subprocess.run([*command, str(killed)], env=environment, check=True)
    assert deaths > 0
    (weights,) = whole.glob("*.safetensors")
    assert (killed / weights.name).read_bytes() == weights.read_bytes()
