"""The measuring process, for real: a child with ONNX Runtime on one tiny operator."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.device import runtimes
from pipeline.device.burst import BurstPlan
from pipeline.device.runtimes import REST
from pipeline.device.target import Target
from pipeline.errors import MeasurementError, UnavailableError, UnknownNameError
from pipeline.export.cache import cached_network, cached_operator
from pipeline.files.cache_folder import CACHE_VARIABLE
from pipeline.measure.measuring_process import MeasuringProcess
from pipeline.space.operator_spec import parse_key
from tests.checkout import ROOT
from tests.measure import tiny
from tests.measure.tiny import TARGET


@pytest.fixture(scope="module")
def model(exports: Path) -> Path:
    """Folder of an operator that takes microseconds."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CACHE_VARIABLE, str(exports))
        return cached_operator(parse_key("cn_k1_s1_i8_o8_r8"), batch=1)


@pytest.fixture
def process(model: Path) -> Iterator[MeasuringProcess]:
    with MeasuringProcess(TARGET) as started:
        started.open("tiny", model)
        yield started


def cut(model: Path, into: Path) -> Path:
    into.mkdir()
    (into / "model.onnx").write_bytes((model / "model.onnx").read_bytes()[:-100])
    return into


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def is_known(pid: int) -> bool:
    """Whether the system still has an entry for a process, as for one nobody collected."""
    return Path(f"/proc/{pid}").exists()


def wait_until_ended(pid: int) -> None:
    end = time.monotonic() + 60
    while is_running(pid):
        assert time.monotonic() < end, "the process goes on"
        time.sleep(0.01)


def test_a_burst_is_timed_in_the_child_by_the_protocol(process: MeasuringProcess) -> None:
    assert process.precision("tiny") == "fp32"
    process.warm("tiny", 1.0)
    least = process.burst("tiny", BurstPlan(2, 5, 0, 40))
    assert len(least.samples_ms) == 5
    assert all(sample > 0 for sample in least.samples_ms)
    most = process.burst("tiny", BurstPlan(0, 5, 1e9, 50))
    assert len(most.samples_ms) == 50


def test_a_burst_tells_what_the_machine_did(process: MeasuringProcess) -> None:
    first = process.burst("tiny", BurstPlan(0, 1, 0, 1))
    assert first.state is not None
    assert first.state.load_1min is not None
    assert first.state.load_1min >= 0


def test_who_is_kept_from_its_core_counts_it(process: MeasuringProcess) -> None:
    """Another process on the same core takes turns with the child; half a second has many."""
    core = os.sched_getaffinity(process._child.pid)
    code = f"import os\nos.sched_setaffinity(0, {core})\nprint(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as rival:
        assert rival.stdout is not None
        rival.stdout.readline()
        disturbed = process.burst("tiny", BurstPlan(0, 1, 500, 10**9))
        rival.kill()
    assert disturbed.interruptions is not None
    assert disturbed.interruptions > 3


def test_a_warm_up_lasts_as_long_as_asked(process: MeasuringProcess) -> None:
    start = time.monotonic()
    process.warm("tiny", 40.0)
    assert time.monotonic() - start >= 0.04


def test_the_child_stays_on_as_many_cores_as_the_target_has_threads(
    process: MeasuringProcess,
) -> None:
    cores = os.sched_getaffinity(process._child.pid)
    assert len(cores) == 1
    assert cores <= os.sched_getaffinity(0)


def test_a_model_that_is_refused_is_named_and_does_not_end_the_process(
    process: MeasuringProcess, model: Path, tmp_path: Path
) -> None:
    with pytest.raises(MeasurementError, match=r"cut/model\.onnx: ONNX Runtime refuses it"):
        process.open("cut", cut(model, tmp_path / "cut"))
    with pytest.raises(MeasurementError, match=r"none/model\.onnx does not exist"):
        process.open("none", tmp_path / "none")
    process.open("tiny again", model)
    for key in ("tiny", "tiny again"):
        burst = process.burst(key, BurstPlan(0, 1, 0, 1))
        assert len(burst.samples_ms) == 1


def test_a_killed_child_is_an_error_that_says_so(process: MeasuringProcess) -> None:
    os.kill(process._child.pid, signal.SIGKILL)
    for _ in range(2):  # the first may still be written into the pipe
        with pytest.raises(MeasurementError, match=r"died \(signal 9\) at burst tiny") as caught:
            process.burst("tiny", BurstPlan(0, 1, 0, 1))
        assert TARGET.name in caught.value.message


def test_a_child_that_crashes_leaves_its_last_words(process: MeasuringProcess) -> None:
    with pytest.raises(MeasurementError, match=r"died \(exit code 1\) at burst x.*KeyError: 'x'"):
        process.burst("x", BurstPlan(0, 1, 0, 1))


def test_the_child_is_gone_and_collected_afterwards(model: Path) -> None:
    with MeasuringProcess(TARGET) as process:
        process.open("tiny", model)
        pid = process._child.pid
        assert is_running(pid)
    assert not is_known(pid)


def test_the_child_is_gone_after_an_error_too() -> None:
    with pytest.raises(MeasurementError) as caught, MeasuringProcess(TARGET) as process:
        process.open("none", Path("none"))
    assert "none" in caught.value.message
    assert not is_known(process._child.pid)


def test_the_child_ends_when_its_parent_is_killed(model: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from pipeline.device.target import Target\n"
        "from pipeline.measure.measuring_process import MeasuringProcess\n"
        f"with MeasuringProcess(Target.parse({TARGET.name!r})) as process:\n"
        "    process.open('tiny', Path(sys.argv[1]))\n"
        "    print(process._child.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(model)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_running(pid)
    parent.kill()
    parent.communicate(timeout=60)
    wait_until_ended(pid)


def test_the_child_is_of_this_package_wherever_it_is_started(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of a folder that happens to have the package's name."""
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with MeasuringProcess(TARGET) as process:
        process.open("tiny", model)


def test_a_target_on_another_machine_is_refused() -> None:
    with pytest.raises(UnavailableError, match="is on another-board; this machine is") as caught:
        MeasuringProcess(Target.parse("another-board/onnxruntime-fp32-b1-t1"))
    assert TARGET.device_slug in caught.value.message
    assert "on that device" in (caught.value.hint or "")


def test_an_unknown_runtime_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown runtime 'onnxruntim'") as caught:
        MeasuringProcess(Target.parse("host/onnxruntim-fp32-b1-t1"))
    assert caught.value.hint == "did you mean 'onnxruntime'?"


def test_an_error_in_the_child_arrives_with_its_type_and_hint(model: Path) -> None:
    target = Target.parse("host/onnxruntime-bf16-b1-t1")
    with (
        MeasuringProcess(target) as process,
        pytest.raises(UnavailableError, match="bf16 was asked") as caught,
    ):
        process.open("tiny", model)
    assert caught.value.hint == "use host/onnxruntime-fp32-b1-t1"


def test_the_times_of_layers_come_from_the_child(process: MeasuringProcess, exports: Path) -> None:
    """The networks need not be opened, and one does not hide another."""
    stages = (("conv_1x1", "conv_5x5"), *tiny.networks()[0].stages[1:])
    networks = [tiny.networks()[0], tiny.networks()[0].model_copy(update={"stages": stages})]
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CACHE_VARIABLE, str(exports))
        models = [cached_network(network, batch=1) for network in networks]
    assert runtimes.tells_layer_times(process.target.runtime)
    for network, model in zip(networks, models, strict=True):
        told = process.layer_times(network.short, model, warm_runs=2, runs=4)
        by_place_ms = told.by_place_ms
        assert sum(by_place_ms.values()) == pytest.approx(told.total_ms)
        assert list(by_place_ms) == [*(place.place for place in network.operators()), REST]
        assert all(time_ms > 0 for time_ms in by_place_ms.values())
    process.burst("tiny", BurstPlan(0, 1, 0, 1))


def test_the_times_of_layers_need_a_network(process: MeasuringProcess, model: Path) -> None:
    with pytest.raises(MeasurementError, match=r"no node is named after a block"):
        process.layer_times("tiny", model, warm_runs=0, runs=1)


def test_a_runtime_that_tells_no_times_of_layers_is_named(
    process: MeasuringProcess, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent knows without asking the child."""
    engine = type("Plain", (), {})()
    monkeypatch.setattr(runtimes, "find", lambda name: engine)
    assert not runtimes.tells_layer_times(process.target.runtime)
    with pytest.raises(UnavailableError, match=r"the onnxruntime runtime does not tell"):
        process.layer_times("tiny", model, warm_runs=0, runs=1)
