"""Readings of load, clock and temperature, from made-up trees of system files and from this one."""

import os
import time
from pathlib import Path

import pytest

from pipeline.device.machine_state import MachineReader, MachineState, context_switches, system_file
from pipeline.files.record import checked, plain

CPUINFO = """\
processor\t: 0
model name\t: Some CPU
cpu MHz\t\t: 2600.125

processor\t: 1
model name\t: Some CPU
cpu MHz\t\t: 3100.5

processor\t: 10
model name\t: Some CPU
cpu MHz\t\t: 800.000
"""
CLOCK = "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq"


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def zones(*kinds_and_temperatures: tuple[str, str]) -> dict[str, str]:
    files = {}
    for number, (kind, temperature) in enumerate(kinds_and_temperatures):
        files[f"sys/class/thermal/thermal_zone{number}/type"] = f"{kind}\n"
        files[f"sys/class/thermal/thermal_zone{number}/temp"] = f"{temperature}\n"
    return files


def sensor(name: str, temperature: str, number: int = 0) -> dict[str, str]:
    folder = f"sys/class/hwmon/hwmon{number}"
    return {f"{folder}/name": f"{name}\n", f"{folder}/temp1_input": f"{temperature}\n"}


def test_a_system_that_tells_nothing(tmp_path):
    assert MachineReader(0, tmp_path).read() == MachineState()


def test_everything_is_read_anew_each_time(tmp_path):
    files = {"proc/loadavg": "0.50 0.40 0.30 1/99 1234\n", CLOCK: "2400000\n"}
    reader = MachineReader(1, tree(tmp_path, {**files, **zones(("x86_pkg_temp", "41000"))}))
    assert reader.read() == MachineState(load_1min=0.5, frequency_mhz=2400.0, temperature_c=41.0)
    files = {"proc/loadavg": "1.75 0.40 0.30 2/99 1234\n", CLOCK: "1800000\n"}
    tree(tmp_path, {**files, **zones(("x86_pkg_temp", "78500"))})
    assert reader.read() == MachineState(load_1min=1.75, frequency_mhz=1800.0, temperature_c=78.5)


@pytest.mark.parametrize(("core", "mhz"), [(0, 2600.125), (1, 3100.5), (10, 800.0), (2, None)])
def test_the_clock_of_a_core_from_the_list_of_all(core, mhz, tmp_path):
    reader = MachineReader(core, tree(tmp_path, {"proc/cpuinfo": CPUINFO}))
    assert reader.read().frequency_mhz == mhz


def test_the_core_s_own_file_goes_before_the_list(tmp_path):
    root = tree(tmp_path, {"proc/cpuinfo": CPUINFO, CLOCK: "2400000\n"})
    assert MachineReader(1, root).read().frequency_mhz == 2400.0
    assert MachineReader(0, root).read().frequency_mhz == 2600.125


@pytest.mark.parametrize(
    "files",
    [
        {"proc/cpuinfo": "processor : x\ncpu MHz : 1"},
        {"proc/cpuinfo": "processor : 1\ncpu MHz : fast"},
        {"proc/cpuinfo": "processor : 1\nBogoMIPS : 108.00"},
        {"proc/cpuinfo": ""},
        {CLOCK: "<unknown>\n"},
        {CLOCK: ""},
        {"proc/loadavg": "much\n"},
        {"proc/loadavg": "\n"},
        zones(("x86_pkg_temp", "")),
        zones(("x86_pkg_temp", "hot")),
    ],
)
def test_what_does_not_read_is_none(files, tmp_path):
    assert MachineReader(1, tree(tmp_path, files)).read() == MachineState()


@pytest.mark.parametrize(
    ("files", "celsius"),
    [
        (zones(("acpitz", "27800"), ("cpu-thermal", "51000"), ("x86_pkg_temp", "60000")), 60.0),
        (zones(("acpitz", "27800"), ("CPU-therm", "51000"), ("GPU-therm", "40000")), 51.0),
        (zones(("acpitz", "27800"), ("iwlwifi_1", "40000")), None),
        (sensor("k10temp", "55125"), 55.125),
        ({**sensor("nvme", "30000"), **sensor("coretemp", "49000", number=1)}, 49.0),
        (sensor("nvme", "30000"), None),
        ({**zones(("acpitz", "27800")), **sensor("k10temp", "55000")}, 55.0),
        ({**zones(("x86_pkg_temp", "60000")), **sensor("coretemp", "49000")}, 60.0),
        (zones(("cpu-thermal", "-4500")), -4.5),
    ],
)
def test_the_thermometer_is_the_cpu_s(files, celsius, tmp_path):
    assert MachineReader(0, tree(tmp_path, files)).read().temperature_c == celsius


def test_a_sensor_that_goes_away_is_none(tmp_path):
    reader = MachineReader(0, tree(tmp_path, zones(("x86_pkg_temp", "60000"))))
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").unlink()
    assert reader.read().temperature_c is None


def test_this_machine_answers():
    state = MachineReader(max(os.sched_getaffinity(0))).read()
    assert checked(MachineState, plain(state)) == state
    assert state.load_1min is not None
    assert state.load_1min >= 0


@pytest.mark.slow
def test_a_reading_is_fast():
    reader = MachineReader(max(os.sched_getaffinity(0)))
    took_s = []
    for _ in range(50):
        start = time.perf_counter()
        reader.read()
        took_s.append(time.perf_counter() - start)
    # 0.1 ms, and ten times that for a machine that is busy or has many cores.
    assert min(took_s) < 1e-3


def test_context_switches_are_counted():
    before = context_switches()
    for _ in range(3):
        time.sleep(0.001)
    after = context_switches()
    assert after.voluntary >= before.voluntary + 3
    assert after.involuntary >= before.involuntary
    assert before == (before.voluntary, before.involuntary)


def test_a_system_file_is_stripped_and_one_that_is_not_there_is_none(tmp_path):
    tree(tmp_path, {"file": "  powersave\n"})
    (tmp_path / "bytes").write_bytes(b"\xff1\n")
    assert system_file(tmp_path / "file") == "powersave"
    assert system_file(tmp_path / "bytes") == "�1"
    assert system_file(tmp_path / "absent") is None
    assert system_file(tmp_path) is None
