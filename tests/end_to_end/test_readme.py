"""Every command of the README runs, in the order it stands there, on a recipe made small."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.end_to_end.test_resume import RECIPE

# What would take minutes is put on a small scale; verbs and options stay as they are.
SMALLER = {
    "--recipe demo": "--recipe tiny.yaml",
    "--resolution 224": "--resolution 32 --sweeps 3",
    "latency_of_cream_14=1.0": "latency_of_cream_14=4.0",
    "runs/demo": "runs/tiny",
}


def commands() -> list[str]:
    """The `python run_pipeline.py …` lines of the README's console blocks."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    ours = [line for line in lines if line.startswith("python run_pipeline.py")]
    # What is behind a pipe is a program of the user's.
    return [line.partition("  #")[0].partition(" | ")[0] for line in ours]


def test_the_readme_shows_every_use() -> None:
    verbs = {line.split()[2] for line in commands()}
    assert {"devices", "profile", "predict", "run", "search", "retrain", "export"} <= verbs
    assert {"verify", "benchmark", "report", "compare"} <= verbs


# A machine that does not hold still is refused, and told how a recipe may consent.
REFUSED, CONSENT = "sweeps apart in time disagree", "protocol.unsteady_percent"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_command_runs(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    for line in commands():
        for long, short in SMALLER.items():
            line = line.replace(long, short)
        done = run(line, tmp_path)
        if REFUSED in done.stderr and "--recipe" not in line:
            assert (done.returncode, CONSENT in done.stderr) == (1, True), done.stderr
            if " profile --target" not in line:
                continue
            (tmp_path / "latency_tables").rename(tmp_path / "refused")
            done = run("python run_pipeline.py profile --recipe tiny.yaml", tmp_path)
        # A table of three sweeps is no table to rely on, and may well be found stale.
        told = done.returncode == 1 and "stale" in done.stdout if "--check" in line else False
        assert done.returncode == 0 or told, f"{line}\n{done.stderr}"
        assert done.stdout.strip(), line


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    _, _, *arguments = shlex.split(line)
    return subprocess.run(
        [sys.executable, str(ROOT / "run_pipeline.py"), *arguments],
        cwd=folder,
        env={**os.environ, "CREAM_PIPELINE_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
