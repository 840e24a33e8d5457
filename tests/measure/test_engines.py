"""Engines that have a Python environment of their own, as the device's profile names it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline.device import runtimes
from pipeline.device.burst import BurstPlan
from pipeline.device.fingerprint import environment
from pipeline.device.target import HOST, Target
from pipeline.errors import UnavailableError
from pipeline.export.cache import cached_operator
from pipeline.measure import engines
from pipeline.measure.campaign import conditions
from pipeline.measure.device_profile import DeviceProfile
from pipeline.measure.measuring_process import MeasuringProcess
from pipeline.measure.protocol import TimingProtocol
from pipeline.space.operator_spec import parse_key
from tests.measure.test_measuring_process import is_running

TARGET = Target.parse("host/onnxruntime-fp32-b1-t1")

Name = Callable[[str], None]


@pytest.fixture
def name_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Name:
    """Works in a folder whose profile of this machine names an interpreter for ONNX Runtime."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profiles").mkdir()

    def name(python: str) -> None:
        profile = DeviceProfile(
            schema_version=1,
            name=HOST,
            description="this machine",
            clock_policy="none",
            targets=(TARGET.setting,),
            python={"onnxruntime": python},
        )
        text = yaml.safe_dump(profile.model_dump(mode="json"))
        (tmp_path / "profiles" / "host.yaml").write_text(text)

    return name


def a_python(folder: Path, body: str) -> str:
    """An executable file that behaves like some Python."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "python"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    return str(script)


def another_environment(folder: Path) -> str:
    """This Python, with another distribution of the engine beside the one it has."""
    told = folder / "site" / "onnxruntime_gpu-9.9.9.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 9.9.9\n")
    return a_python(
        folder / "bin",
        f'export PYTHONPATH="$PYTHONPATH:{folder}/site" ITS_OWN=yes\nexec {sys.executable} "$@"',
    )


def test_without_a_name_it_is_this_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert engines.interpreter("onnxruntime") == sys.executable
    assert engines.unavailable("onnxruntime") is None
    assert engines.version("onnxruntime") == runtimes.find("onnxruntime").version()
    assert engines.engine_environment("onnxruntime") == environment()


def test_the_named_python_runs_the_measuring_process(
    name_python: Name, tmp_path: Path, exports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_python(another_environment(tmp_path / "own"))
    assert engines.unavailable("onnxruntime") is None
    with MeasuringProcess(TARGET) as process:
        process.open("tiny", cached_operator(parse_key("cn_k1_s1_i8_o8_r8"), batch=1))
        assert is_running(process._child.pid)
        variables = Path(f"/proc/{process._child.pid}/environ").read_bytes().split(b"\0")
        assert b"ITS_OWN=yes" in variables
        burst = process.burst("tiny", BurstPlan(0, 3, 0, 3))
    assert len(burst.samples_ms) == 3


def test_what_is_installed_there_is_what_a_table_was_measured_with(
    name_python: Name, tmp_path: Path
) -> None:
    name_python(another_environment(tmp_path / "own"))
    there = engines.engine_environment("onnxruntime")
    assert there.packages["onnxruntime-gpu"] == "9.9.9"
    assert there.packages["torch"] == environment().packages["torch"]
    header = conditions(TARGET, TimingProtocol())
    assert header["environment"]["packages"]["onnxruntime-gpu"] == "9.9.9"
    assert "onnxruntime-gpu" not in engines.engine_environment("openvino").packages


def test_a_python_that_is_not_there_is_told(name_python: Name) -> None:
    name_python("venvs/ort/bin/python")
    reason = engines.unavailable("onnxruntime")
    assert reason
    assert "names the Python venvs/ort/bin/python, which is not there" in reason
    with pytest.raises(UnavailableError, match="venvs/ort/bin/python"):
        MeasuringProcess(TARGET)
    with pytest.raises(UnavailableError, match="which is not there") as caught:
        engines.interpreter("onnxruntime")
    assert caught.value.hint == "make it: python -m venv venvs/ort"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("echo no numpy here >&2; exit 3", "cannot run it: no numpy here"),
        ("exit 3", "cannot run it: exit code 3"),
        (f'exec {sys.executable} -S -s "$@"', "No module named"),
    ],
)
def test_a_python_that_cannot_run_it_says_why(
    name_python: Name, tmp_path: Path, body: str, told: str
) -> None:
    name_python(a_python(tmp_path / "bin", body))
    assert told in (engines.unavailable("onnxruntime") or "")
    assert engines.version("onnxruntime") is None


def test_the_child_needs_little_more_than_the_engine() -> None:
    """Its environment need not hold what the pipeline as a whole does."""
    import subprocess

    code = (
        "import sys\n"
        "import pipeline.device.child\n"
        "heavy = {'torch', 'scipy', 'yaml', 'rich', 'onnx', 'platformdirs', 'timm'}\n"
        "sys.exit(str(sorted(heavy & set(sys.modules)) or 0) if heavy & set(sys.modules) else 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
