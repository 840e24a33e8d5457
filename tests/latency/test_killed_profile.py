"""`kill -9`, fifty times during one profile: nothing is lost, nothing measured twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from pipeline.device.target import host_slug
from pipeline.measure.journal import read_journal
from tests.checkout import ROOT

KILLS = 50
TABLE = Path("latency_tables") / host_slug() / "onnxruntime-fp32-b1-t1.jsonl"
MODEL = TABLE.with_name("onnxruntime-fp32-b1-t1.model.json")


def start(folder: Path, cache: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.latency.killed_profile"],
        cwd=folder,
        env={**os.environ, "CREAM_PIPELINE_CACHE": str(cache), "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def kill_soon_after_it_writes(process: subprocess.Popen[bytes], table: Path, wait_s: float) -> bool:
    """Returns whether it had to be killed: a process that is through is not."""
    before = size(table)
    while size(table) == before and process.poll() is None:
        time.sleep(0.001)
    time.sleep(wait_s)
    running = process.poll() is None
    if running:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return running


def shape_of(value: object) -> object:
    """What a JSON value holds, without its numbers; some figures are null where none qualified."""
    if isinstance(value, dict):
        return {key: shape_of(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape_of(item) for item in value]
    return "number" if value is None or isinstance(value, float) else type(value).__name__


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_profile_killed_fifty_times_equals_one_that_was_not(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for folder in (undisturbed, killed):
        folder.mkdir()
    process = start(undisturbed, cache)
    _, err = process.communicate()
    assert process.returncode == 0, err.decode()

    moment = random.Random(0)
    kills = 0
    while kills < KILLS:
        process = start(killed, cache)
        kills += kill_soon_after_it_writes(process, killed / TABLE, moment.uniform(0, 0.03))
        assert process.returncode == -signal.SIGKILL, "it was through before all kills were made"
    process = start(killed, cache)
    _, err = process.communicate()
    assert process.returncode == 0, err.decode()

    made = {}
    for folder in (undisturbed, killed):
        header, visits = read_journal(folder / TABLE)
        times = Counter((visit.sweep, visit.key) for visit in visits)
        assert set(times.values()) == {1}
        made[folder] = (header, set(times))
    assert made[undisturbed] == made[killed]
    models = [json.loads((folder / MODEL).read_text()) for folder in (undisturbed, killed)]
    for model in models:
        # Which method predicts better is decided by the measured numbers.
        for calibration in model["calibrations"]:
            assert calibration.pop("method") in {"isolated", "in_context"}
    assert shape_of(models[0]) == shape_of(models[1])
