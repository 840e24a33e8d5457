"""The check of a machine with a GPU: what it says where there is none, and when parts go wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import benchmarks.gpu_check.__main__ as gpu_check
from benchmarks.gpu_check import process, suites, targets
from benchmarks.gpu_check.parts import Part, Teller, all_parts, chosen_parts
from pipeline.device.gpu_state import GpuState
from pipeline.device.machine_state import MachineState
from pipeline.measure.statistics import Visit
from tests.checkout import ROOT

FEW = (
    "environment,conformance:tensorrt,parity:tensorrt-fp16-b1,training:tests,exports,"
    "latency:tensorrt-fp16-b1"
)
TELLS = """
import json, os, pathlib, sys
path = pathlib.Path(os.environ["GPU_CHECK_RESULT"])
path.write_text(json.dumps({"verdict": "ok", "reason": "well", "details": {"speed_ms": 1.5}}))
"""
STARTS_OTHERS = """
import os, pathlib, subprocess, sys, time
code = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
for number in range(2):
    path = f"{sys.argv[1]}/{number}"
    subprocess.Popen([sys.executable, "-c", code, path], start_new_session=bool(number))
while not all(os.path.exists(f"{sys.argv[1]}/{number}") for number in range(2)):
    time.sleep(0.01)
print("all are there", flush=True)
pathlib.Path(os.environ["GPU_CHECK_RESULT"]).write_text('{"doing": "waiting", "details": {}}')
"""


def part(name: str, code: str, *arguments: str, uses_gpu: bool = True) -> Part:
    command = (sys.executable, "-c", code, *arguments)
    return Part(name, f"the part {name}", 300.0, command, uses_gpu)


def by_name(report):
    return {told["name"]: told for told in report["parts"]}


def running(word: str) -> list[str]:
    """Command lines with a word that are in use; a process that has ended has none."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line:
            found.append(line)
    return found


@pytest.mark.slow
def test_a_machine_without_a_gpu_says_of_each_part_why_not(tmp_path):
    ran = _check("--parts", FEW, "--json", "--into", str(tmp_path))
    _says_why_not(ran, tmp_path, FEW.split(","))


@pytest.mark.slow
def test_a_machine_without_a_gpu_says_it_of_all_parts(tmp_path):
    ran = _check("--quick", "--json", "--into", str(tmp_path))
    _says_why_not(ran, tmp_path, [one.name for one in all_parts()])


def _check(*options: str) -> subprocess.CompletedProcess[str]:
    # Where there is a GPU it is hidden: all of the check takes many minutes there.
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_check", *options],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def _says_why_not(ran, folder: Path, names: list[str]) -> None:
    assert ran.returncode == 1, ran.stderr
    report = json.loads(ran.stdout)
    assert report == json.loads((folder / "gpu-check.json").read_text())
    assert report["schema_version"] == 1
    assert report["complete"]
    assert not report["ok"]
    assert "nothing has run on a GPU" in report["summary"]
    told = by_name(report)
    assert list(told) == names
    assert {one["verdict"] for one in told.values()} == {"cannot run"}, ran.stderr
    assert all(len(one["reason"].split()) > 3 for one in told.values())
    environment = told["environment"]["details"]
    assert environment["torch"]["finds_a_gpu"] is False
    assert "onnxruntime" in {row["runtime"] for row in environment["runtimes"]}
    page = (folder / "gpu-check.md").read_text()
    assert all(f"| {name} | cannot run |" in page for name in names)


def test_parts_that_go_wrong_are_recorded_and_the_others_run(tmp_path):
    parts = [
        part("crash", "import os; os.abort()"),
        part("error", "raise ValueError('no such thing')"),
        part("silent", "print('nothing to say')"),
        Part("absent", "no such program", 9, (str(tmp_path / "no-program"),)),
        part("broken words", TELLS.replace("json.dumps", "str")),
        part("liar", TELLS + "os.abort()"),
        part("good", TELLS),
    ]
    told = by_name(gpu_check.check(parts, tmp_path))
    verdicts = {name: one["verdict"] for name, one in told.items()}
    assert verdicts == dict.fromkeys(verdicts, "failed") | {"good": "ok"}
    assert told["crash"]["reason"] == "ended by SIGABRT"
    assert told["error"]["exit_code"] == 1
    assert told["error"]["last_lines"][-1] == "ValueError: no such thing"
    assert told["silent"]["reason"] == "ended without saying how it went"
    assert "could not be started" in told["absent"]["reason"]
    assert told["liar"]["reason"] == "ended by SIGABRT"
    assert told["good"]["details"] == {"speed_ms": 1.5}
    report = json.loads((tmp_path / "gpu-check.json").read_text())
    assert not report["ok"]
    assert report["summary"].startswith("1 ok; 6 failed (crash, error")
    assert "ValueError: no such thing" in (tmp_path / "gpu-check.md").read_text()


def test_a_part_over_its_time_is_ended_with_all_it_started(tmp_path, monkeypatch):
    told_in = tmp_path / "report/parts/slow.json"

    def hours_pass_once_all_are_there() -> float:
        return time.monotonic() + 9999 * told_in.exists()

    clock = SimpleNamespace(monotonic=hours_pass_once_all_are_there, sleep=time.sleep)
    monkeypatch.setattr(process, "time", clock)
    mark = str(tmp_path / "started")
    Path(mark).mkdir()
    slow = part("slow", STARTS_OTHERS + "time.sleep(60)", mark)
    told = by_name(gpu_check.check([slow, part("good", TELLS)], tmp_path / "report"))
    assert told["slow"]["verdict"] == "failed"
    assert told["slow"]["over_time"]
    assert told["slow"]["reason"].endswith("s and was ended, at: waiting")
    assert told["slow"]["last_lines"] == ["all are there"]
    assert told["good"]["verdict"] == "ok"
    assert running(mark) == []


def test_what_a_part_leaves_behind_is_ended(tmp_path):
    mark = str(tmp_path / "started")
    Path(mark).mkdir()
    gpu_check.check([part("leaves some", STARTS_OTHERS, mark)], tmp_path / "report")
    assert running(mark) == []


def test_the_time_of_all_parts_is_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_check, "LEAST_S", 0.5)
    parts = [part("slow", "import time; time.sleep(60)"), part("late", TELLS)]
    report = gpu_check.check(parts, tmp_path, budget_s=1.5)
    told = by_name(report)
    assert [one["verdict"] for one in report["parts"]] == ["not run", "not run"]
    assert "time of the whole check was spent" in told["slow"]["reason"]
    assert "--parts late" in told["late"]["reason"]
    assert not report["ok"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_ended_in_the_middle_it_leaves_what_it_had(tmp_path, number):
    mark = str(tmp_path / "started")
    Path(mark).mkdir()
    (tmp_path / "slow.py").write_text(
        "from benchmarks.gpu_check.process import end_with_parent\nend_with_parent()\n"
        f"{STARTS_OTHERS}\ntime.sleep(60)\n"
    )
    code = (
        "import signal, sys\n"
        # Where tests run in the background, interrupts are ignored from birth.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import benchmarks.gpu_check.__main__ as gpu_check\n"
        f"good = gpu_check.Part('good', '', 30, (sys.executable, '-c', {TELLS!r}))\n"
        f"command = (sys.executable, {str(tmp_path / 'slow.py')!r}, {mark!r})\n"
        "slow = gpu_check.Part('slow', '', 60, command)\n"
        "gpu_check.all_parts = lambda quick: [good, slow]\n"
        f"sys.exit(gpu_check.main(['--into', {str(tmp_path / 'report')!r}]))"
    )
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while not (tmp_path / "report/parts/slow.json").exists() and time.monotonic() < end:
        time.sleep(0.05)
    child.send_signal(number)
    code = child.wait(30)
    report = json.loads((tmp_path / "report/gpu-check.json").read_text())
    told = by_name(report)
    assert told["good"]["verdict"] == "ok"
    assert not report["complete"]
    assert "has not ended" in (tmp_path / "report/gpu-check.md").read_text()
    if number == signal.SIGKILL:
        assert told["slow"]["verdict"] == "running"
    else:
        assert code == 130
        assert told["slow"]["reason"] == "interrupted, at: waiting"
    end = time.monotonic() + 15
    while running(mark) and time.monotonic() < end:
        time.sleep(0.1)
    assert running(mark) == []


def test_all_is_ok_where_what_can_run_is_and_something_ran_on_a_gpu(tmp_path):
    cannot = TELLS.replace('"ok"', '"cannot run"')
    parts = [part("good", TELLS), part("cannot", cannot), part("packages", TELLS, uses_gpu=False)]
    report = gpu_check.check(parts, tmp_path / "all")
    assert report["ok"]
    assert report["summary"] == "2 ok; 1 cannot run here"
    report = gpu_check.check(parts[1:], tmp_path / "none")
    assert not report["ok"]
    assert report["summary"].startswith("nothing has run on a GPU; 1 ok")


def test_parts_are_chosen_by_name_or_kind():
    parts = all_parts()
    names = [one.name for one in parts]
    assert len(set(names)) == len(names)
    chosen = chosen_parts(parts, "environment, parity,latency:tensorrt-fp16-b1")
    kinds = [one.name.partition(":")[0] for one in chosen]
    everything = [one.name.partition(":")[0] for one in parts]
    assert kinds == ["environment", *["parity"] * everything.count("parity"), "latency"]
    with pytest.raises(ValueError, match="no part speed; there are environment, conformance"):
        chosen_parts(parts, "speed,parity")
    with pytest.raises(ValueError, match="no part"):
        chosen_parts(parts, ",")


def test_the_check_itself_needs_the_standard_library_only():
    code = (
        "import sys, benchmarks.gpu_check.__main__\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert set(ran.stdout.split()) - {"__main__"} <= sys.stdlib_module_names | {"benchmarks"}


def test_a_suite_is_that_of_its_runtime_alone():
    owners = {
        "test_openvino.py": "openvino",
        "test_tensorrt.py": "tensorrt",
        "test_tensorrt_errors.py": "tensorrt",
        "test_tensorrt_rtx.py": "tensorrt_rtx",
        "test_onnxruntime_tensorrt.py": "onnxruntime_tensorrt",
        "test_blocks.py": None,
        "test_tensorrts.py": None,
    }
    assert {name: suites.owner(Path(name)) for name in owners} == owners


def test_what_the_gpu_did_meanwhile_is_told():
    states = [
        GpuState(clock_sm_mhz=1980, power_w=301.5, slowdown_reasons=()),
        GpuState(clock_sm_mhz=1410, power_w=699.0, slowdown_reasons=("power limit",)),
        GpuState(),
        None,
    ]
    visits = [
        Visit(
            sweep=sweep,
            key="net",
            samples_ms=(2.0 + sweep, 3.0),
            control_before_ms=(1.0,),
            control_after_ms=(1.0,),
            at="2026-01-01T00:00:00Z",
            precision="fp16",
            state=MachineState(gpu=state),
            device_ms=(1.5, 1.25) if sweep else (),
        )
        for sweep, state in enumerate(states)
    ]
    assert targets.meanwhile(visits) == {
        "clock_sm_mhz": {"least": 1410, "most": 1980},
        "power_w": {"least": 301.5, "most": 699.0},
        "visits": 3,
        "slowdown_reasons": {"power limit": 1},
    }
    assert targets.meanwhile(visits[3:]) == {}
    assert targets.host_and_device(visits) == {"host_ms": 2.0, "device_ms": 1.25}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "verdict", "told"),
    [
        ("fp32", "ok", "largest difference 0.00e+00"),
        ("int8", "ok", "correlation between images 0.9"),
        ("bf16", "cannot run", "has no bf16"),
    ],
)
def test_parity_of_a_whole_network_on_a_cpu(bench_dir, precision, verdict, told):
    path = bench_dir / "parts" / "one.json"
    targets.parity(f"onnxruntime-{precision}-b1-t1", Teller(path, quick=True))
    found = json.loads(path.read_text())
    assert found["verdict"] == verdict, found
    assert told in found["reason"]


def test_what_is_no_number_is_a_word(tmp_path):
    teller = Teller(tmp_path / "parts" / "one.json", quick=True)
    teller.found(tau=float("nan"), rows=[{"ms": float("inf"), "mhz": 1.5}])
    text = (tmp_path / "parts" / "one.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["details"] == {
        "tau": "nan",
        "rows": [{"ms": "inf", "mhz": 1.5}],
    }


@pytest.mark.parametrize(
    ("chosen", "verdict", "reason"),
    [("in_one_line", "ok", "1 passed"), ("no_such_test", "cannot run", "no test was chosen")],
)
def test_pytest_runs_apart(tmp_path, chosen, verdict, reason):
    told = tmp_path / "parts" / "one.json"
    suites.run_tests([ROOT / "tests/device/test_gpu.py"], ["-k", chosen], Teller(told, quick=True))
    found = json.loads(told.read_text())
    assert (found["verdict"], found["reason"]) == (verdict, reason)
    assert (tmp_path / "parts" / "one.xml").is_file()


def test_what_pytest_reports_is_counted_by_suite(tmp_path):
    junit = tmp_path / "junit.xml"
    junit.write_text(
        '<testsuites><testsuite><testcase name="a" classname="x"/>'
        '<testcase name="b" classname="x"><failure message="AssertionError: 1&#10;assert"/>'
        '</testcase><testcase name="c" classname="y"><skipped message="no GPU"/></testcase>'
        '<testcase name="d" classname="y"><error message="">\n  E boom</error></testcase>'
        "</testsuite></testsuites>"
    )
    assert suites.counted(junit) == {
        "suites": [
            {"suite": "x", "passed": 1, "failed": 1, "skipped": 0},
            {"suite": "y", "passed": 0, "failed": 1, "skipped": 1},
        ],
        "failures": [
            {"test": "b", "message": "AssertionError: 1"},
            {"test": "d", "message": "E boom"},
        ],
        "skips": [{"tests": 1, "reason": "no GPU"}],
    }
