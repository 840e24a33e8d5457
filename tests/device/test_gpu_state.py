"""What is read of a GPU through NVML: by the real pynvml, from a made-up driver's library."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.device.gpu_choice import VISIBLE
from pipeline.device.gpu_state import GpuReader, GpuState, reasons_of
from pipeline.device.machine_state import MachineState
from pipeline.files.record import checked, plain
from tests.checkout import ROOT
from tests.device.runtimes.stubs import compiled

# Two cards, told apart by their clocks. An answer of `FAIL_<function>` takes the place of success.
LIBRARY = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int told(const char *name) {
  char variable[99];
  snprintf(variable, sizeof variable, "FAIL_%s", name);
  const char *code = getenv(variable);
  return code ? atoi(code) : 0;
}
#define CARD(handle) ((int)(long)(handle) - 1)
int nvmlInitWithFlags(unsigned flags) { return told("init"); }
int nvmlInit_v2(void) { return told("init"); }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return code == 9 ? "Driver Not Loaded" : "Some Error"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = told("none") ? 0 : 2; return told("count"); }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
  *handle = (void *)(long)(index + 1);
  return told("handle");
}
int nvmlDeviceGetUUID(void *handle, char *text, unsigned length) {
  int card = CARD(handle);
  snprintf(text, length, "GPU-%d%d%d%d-aaaa", card, card, card, card);
  return told("uuid");
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
  *handle = (void *)7L;
  return strncmp(uuid, "MIG-1", 5) ? 6 : 0;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *part, void **handle) {
  *handle = (void *)2L;
  return part == (void *)7L ? 0 : 2;
}
int nvmlDeviceGetClockInfo(void *handle, unsigned type, unsigned *mhz) {
  *mhz = (type == 1 ? 1980 : 2619) + CARD(handle);
  return told(type == 1 ? "sm" : "memory");
}
int nvmlDeviceGetTemperature(void *handle, unsigned sensor, unsigned *c) {
  *c = 41;
  return told("temperature");
}
int nvmlDeviceGetPowerUsage(void *handle, unsigned *mw) { *mw = 123456; return told("power"); }
int nvmlDeviceGetCurrentClocksThrottleReasons(void *handle, unsigned long long *bits) {
  *bits = 0x8;
  return told("reasons");
}
#ifndef BEFORE_535
int nvmlDeviceGetCurrentClocksEventReasons(void *handle, unsigned long long *bits) {
  *bits = 0x24;
  return told("reasons");
}
#endif
"""
READ = """
import dataclasses, json, os, sys, time
from pipeline.device.gpu_choice import VISIBLE
from pipeline.device.gpu_state import GpuReader
before = dict(os.environ)
for line in sys.stdin:
    os.environ.clear()
    os.environ.update(before | json.loads(line))
    reader = GpuReader.open()
    state = reader.read()
    took_s = []
    for _ in range(50):
        start = time.perf_counter()
        reader.read()
        took_s.append(time.perf_counter() - start)
    why = reader.why
    reader.close()
    assert reader.read() is None
    reader.close()
    kept = state and dataclasses.asdict(state)
    print(json.dumps({"why": why, "state": kept, "ms": 1e3 * min(took_s)}), flush=True)
"""


def built(folder: Path, *options: str) -> Path:
    source = f"{''.join(f'#define {option}' for option in options)}\n{LIBRARY}"
    return compiled(source, folder / "libnvidia-ml.so.1").parent


class Driver:
    """A process that takes the driver's library from a folder, and reads the GPU when asked."""

    def __init__(self, folder: Path) -> None:
        pytest.importorskip("pynvml")
        kept = {k: v for k, v in os.environ.items() if k != VISIBLE}
        self._process = subprocess.Popen(
            [sys.executable, "-c", READ],
            cwd=ROOT,
            env={**kept, "LD_LIBRARY_PATH": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.communicate()
        assert self._process.returncode == 0

    def read(self, **variables: str):
        """A reading where these environment variables are set too."""
        self._process.stdin.write(json.dumps(variables) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory):
    with Driver(built(tmp_path_factory.mktemp("driver"))) as started:
        yield started


def state(card: int = 0, **changes: object):
    told = {
        "clock_sm_mhz": 1980 + card,
        "clock_memory_mhz": 2619 + card,
        "temperature_c": 41,
        "power_w": 123.456,
        "slowdown_reasons": ["power limit", "thermal, by software"],
    }
    return told | changes


def test_everything_is_read(driver):
    found = driver.read()
    assert found["why"] is None
    assert found["state"] == state()


@pytest.mark.slow
def test_a_reading_is_fast(driver):
    assert driver.read()["ms"] < 0.5


@pytest.mark.parametrize(
    ("fails", "code", "missing"),
    [
        ("sm", 3, "clock_sm_mhz"),
        ("memory", 3, "clock_memory_mhz"),
        ("temperature", 3, "temperature_c"),
        ("power", 4, "power_w"),
        ("reasons", 999, "slowdown_reasons"),
        ("sm", 15, "clock_sm_mhz"),
        ("sm", 12345, "clock_sm_mhz"),
    ],
)
def test_what_a_card_does_not_tell_is_none(driver, fails, code, missing):
    found = driver.read(**{f"FAIL_{fails}": str(code)})
    assert found["why"] is None
    assert found["state"] == state(**{missing: None})


def test_a_driver_before_535_is_asked_in_its_own_words(tmp_path):
    with Driver(built(tmp_path, "BEFORE_535")) as driver:
        found = driver.read()
    assert found["state"] == state(slowdown_reasons=["hardware slowdown"])


@pytest.mark.parametrize(
    ("visible", "card"),
    [("0", 0), (" 1 ,0", 1), ("GPU-1111-aaaa", 1), ("MIG-1234", 1)],
)
def test_the_card_is_the_first_visible_one(driver, visible, card):
    assert driver.read(CUDA_VISIBLE_DEVICES=visible)["state"] == state(card)


@pytest.mark.parametrize("visible", ["", "2", "GPU-9", "MIG-9"])
def test_a_hidden_card_is_not_read_and_that_is_told(driver, visible):
    found = driver.read(CUDA_VISIBLE_DEVICES=visible)
    assert found["state"] is None
    assert f"CUDA_VISIBLE_DEVICES={visible}" in found["why"]


@pytest.mark.parametrize(
    ("fails", "told"),
    [
        ({"FAIL_init": "9"}, "Driver Not Loaded"),
        ({"FAIL_init": "18"}, "does not answer"),
        ({"FAIL_count": "999"}, "finds no GPU"),
        ({"FAIL_none": "1"}, "there are 0"),
        ({"FAIL_handle": "15"}, "finds no GPU"),
        ({"FAIL_uuid": "4", "CUDA_VISIBLE_DEVICES": "GPU-1"}, "finds no GPU"),
    ],
)
def test_a_driver_out_of_order_is_told(driver, fails, told):
    found = driver.read(**fails)
    assert found["state"] is None
    assert told in found["why"]


@pytest.mark.parametrize("content", [b"", b"no library", b"\x7fELF"])
def test_a_library_that_does_not_load_is_told(tmp_path, content):
    (tmp_path / "libnvidia-ml.so.1").write_bytes(content)
    with Driver(tmp_path) as driver:
        found = driver.read()
    assert found["state"] is None
    assert "library does not answer" in found["why"]


def test_without_pynvml_that_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    reader = GpuReader.open()
    assert reader.read() is None
    assert reader.why == "pynvml is not installed: pip install nvidia-ml-py"
    reader.close()


def test_this_machine_answers_or_says_why():
    reader = GpuReader.open()
    assert (reader.read() is None) == (reader.why is not None)
    reader.close()


def test_bits_are_words():
    assert reasons_of(0) == ()
    assert reasons_of(0x1) == ("idle",)
    assert reasons_of(0x60) == ("thermal, by software", "thermal, by hardware")
    assert reasons_of(0x8000_0000_0000_0004) == ("power limit", "unknown (0x8000000000000000)")


def test_it_is_a_part_of_the_machine_s_state_that_older_records_lack():
    gpu = GpuState(clock_sm_mhz=1980, slowdown_reasons=("idle",))
    kept = MachineState(load_1min=0.5, gpu=gpu)
    assert checked(MachineState, plain(kept)) == kept
    assert checked(MachineState, {"load_1min": 0.5}).gpu is None
