"""A run that was killed and called again ends with the bits of one that was not."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.errors import CheckpointError, StorageError
from pipeline.network.weights import read_weights
from pipeline.records.retrain import RetrainRecord
from pipeline.records.train import TrainRecord
from pipeline.training import fitting

SCRIPT = Path(__file__).with_name("killed_run.py")
_spec = importlib.util.spec_from_file_location("killed_run", SCRIPT)
assert _spec is not None
assert _spec.loader is not None
killed_run = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(killed_run)

TIMES = {"seconds": True, "epochs": {"__all__": {"images_per_second"}}}
Run = Callable[..., TrainRecord | RetrainRecord]


class KilledError(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture(scope="module", autouse=True)
def _checkpoints_within_epochs() -> Iterator[None]:
    """Rounds of two steps, and a checkpoint after each, as a training of hours would write."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.training.fitting._ROUND", 2)
        patch.setattr("pipeline.training.fitting._CHECKPOINT_EVERY_S", 0.0)
        patch.setattr("pipeline.training.hypernetwork.hypernetwork._MONITORED_PATHS", 1)
        yield


def _killed_at(step: int) -> Callable[..., None]:
    def progress(done: int, total: int, note: str = "") -> None:
        if done >= step:
            raise KilledError

    return progress


def _outcome(folder: Path, record: TrainRecord | RetrainRecord) -> tuple[object, bytes]:
    return record.model_dump(exclude=TIMES), (folder / record.checkpoint).read_bytes()


@pytest.fixture(scope="module", params=["cream", pytest.param("retrain", marks=pytest.mark.slow)])
def run(request: pytest.FixtureRequest) -> Run:
    found: Run = killed_run.RUNS[request.param]
    return found


@pytest.fixture(scope="module")
def undisturbed(run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[object, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return _outcome(folder, run(folder))


@pytest.mark.parametrize("steps", [(1,), (13, 20)])
def test_killed_and_called_again(
    run: Run, undisturbed: tuple[object, bytes], steps: tuple[int, ...], tmp_path: Path
):
    for step in steps:
        with pytest.raises(KilledError):
            run(tmp_path, _killed_at(step))
    assert _outcome(tmp_path, run(tmp_path)) == undisturbed


def test_no_step_is_trained_twice_but_those_of_the_last_round(run: Run, tmp_path: Path):
    with pytest.raises(KilledError):
        run(tmp_path, _killed_at(15))
    seen: list[int] = []
    run(tmp_path, lambda done, total, note="": seen.append(done))
    assert seen == [16, 18, 20, 22, 24]


def test_killed_while_a_checkpoint_is_written(
    run: Run, undisturbed: tuple[object, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The file is written beside the last one and only then takes its place."""
    replaced = 0
    replace = Path.replace

    def dies(self: Path, target: Path) -> Path:
        nonlocal replaced
        replaced += target.name == "run.safetensors"
        if replaced == 4:
            raise KilledError
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dies)
        with pytest.raises(KilledError):
            run(tmp_path)
    (left,) = (tmp_path / "checkpoint").iterdir()
    assert left.name == "run.safetensors"
    read_weights(left)
    assert _outcome(tmp_path, run(tmp_path)) == undisturbed


def test_killed_during_evaluation(
    run: Run, undisturbed: tuple[object, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    evaluated = 0

    def dies(self: object, epoch: int) -> float:
        nonlocal evaluated
        evaluated += 1
        if epoch == 1:
            raise KilledError
        return whole(self, epoch)

    whole = fitting._Loop._evaluated
    with monkeypatch.context() as patch:
        patch.setattr(fitting._Loop, "_evaluated", dies)
        with pytest.raises(KilledError):
            run(tmp_path)
    assert evaluated == 2
    assert _outcome(tmp_path, run(tmp_path)) == undisturbed


def test_the_log_tells_each_step_once(run: Run, tmp_path: Path):
    for step in (7, 15):
        with pytest.raises(KilledError):
            run(tmp_path, _killed_at(step))
    run(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if "loss" in line]
    assert steps == list(range(2, 25, 2))
    assert [line["step"] for line in lines if "accuracy_percent" in line] == [6, 12, 18, 24]
    assert list((tmp_path / "tensorboard").iterdir())


def test_a_finished_run_keeps_its_record_and_drops_its_checkpoint(run: Run, tmp_path: Path):
    first = run(tmp_path, epochs=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["finished.json", "log.jsonl", "tensorboard", first.checkpoint]
    )
    assert run(tmp_path, _killed_at(0), epochs=1) == first


@pytest.mark.parametrize("damage", ["delete", "replace"])
def test_a_finished_run_whose_weights_are_gone_is_trained_again(
    run: Run, damage: str, tmp_path: Path
):
    weights = tmp_path / run(tmp_path, epochs=1).checkpoint
    whole = weights.read_bytes()
    if damage == "delete":
        weights.unlink()
    else:
        weights.write_bytes(whole[:-4] + bytes(4))
    run(tmp_path, epochs=1)
    assert weights.read_bytes() == whole


def test_other_settings_start_over(run: Run, undisturbed: tuple[object, bytes], tmp_path: Path):
    with pytest.raises(KilledError):
        run(tmp_path, _killed_at(13), epochs=3)
    assert _outcome(tmp_path, run(tmp_path)) == undisturbed


def test_a_damaged_checkpoint_is_told(run: Run, tmp_path: Path):
    with pytest.raises(KilledError):
        run(tmp_path, _killed_at(13))
    (checkpoint,) = (tmp_path / "checkpoint").iterdir()
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=checkpoint.name):
        run(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(run: Run, tmp_path: Path):
    (tmp_path / "checkpoint").write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="checkpoint"):
        run(tmp_path, epochs=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["train", "cream", "retrain"])
def test_kill_minus_nine_at_any_moment(kind: str, tmp_path: Path):
    command = [sys.executable, str(SCRIPT), kind]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])}
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
