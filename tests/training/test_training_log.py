"""The log of a training: one line a step, none told twice."""

import json
from pathlib import Path

import pytest

from pipeline.errors import StorageError
from pipeline.training.training_log import TrainingLog


def _steps(folder: Path) -> list[int]:
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def test_a_run_that_goes_on_drops_what_came_after_its_checkpoint(tmp_path: Path):
    with TrainingLog(tmp_path, 0) as log:
        for step in (2, 4, 6):
            log.tell(step, {"loss": 1.0 / step})
    path = tmp_path / "log.jsonl"
    path.write_text(path.read_text() + '{"step": 8, "lo')  # killed while it was writing
    with TrainingLog(tmp_path, 4) as log:
        log.tell(6, {"loss": 0.5})
    assert _steps(tmp_path) == [2, 4, 6]
    assert json.loads(path.read_text().splitlines()[-1])["loss"] == 0.5


def test_a_run_that_starts_anew_starts_a_new_log(tmp_path: Path):
    for _ in range(2):
        with TrainingLog(tmp_path, 0) as log:
            log.tell(1, {"loss": 2.0})
    assert _steps(tmp_path) == [1]


def test_tensorboard_is_given_the_same(tmp_path: Path):
    with TrainingLog(tmp_path, 0) as log:
        log.tell(1, {"loss": 2.0, "images_per_second": 100.0})
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"images_per_second" in events.read_bytes()


def test_other_processes_write_nothing(tmp_path: Path):
    with TrainingLog(None, 0) as log:
        log.tell(1, {"loss": 2.0})
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        TrainingLog(tmp_path / "file" / "log", 0)
