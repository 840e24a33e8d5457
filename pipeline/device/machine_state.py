"""What the machine is doing right now: readings cheap enough to take at every measured visit.

They explain a slow visit afterwards (another program ran, the clock was low, the chip was hot);
nothing is corrected by them. The readings are Linux's; what a system does not tell is None.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from pipeline.device.gpu_state import GpuState

_ROOT = Path("/")
_PACKAGE_ZONE = "x86_pkg_temp"
_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")


@dataclass(frozen=True)
class MachineState:
    """One reading.

    Attributes:
        load_1min: Programs running or waiting to, averaged over the last minute.
        frequency_mhz: The core's clock. In most virtual machines a nominal figure that stands
            still whatever the clock does.
        temperature_c: The CPU's temperature; None in most virtual machines.
        gpu: The GPU that is measured; None where none is, and in older records.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    load_1min: float | None = None
    frequency_mhz: float | None = None
    temperature_c: float | None = None
    gpu: GpuState | None = None


class MachineReader:
    """Reads the state of this machine; finds out once where its figures are.

    Args:
        core: Number of the core whose clock is read, as the system counts.
        root: The folder that holds `proc` and `sys`.
    """

    def __init__(self, core: int, root: Path = _ROOT) -> None:
        self._core = core
        self._load = root / "proc/loadavg"
        self._cpuinfo = root / "proc/cpuinfo"
        clock = root / f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq"
        self._clock = clock if clock.exists() else None
        self._thermometer = next(_thermometers(root / "sys/class"), None)

    def read(self) -> MachineState:
        """Takes a reading, in well under 0.3 ms."""
        load = _number(self._load)
        thousandths_c = _number(self._thermometer)
        return MachineState(
            load_1min=load,
            frequency_mhz=self._frequency_mhz(),
            temperature_c=None if thousandths_c is None else thousandths_c / 1000,
        )

    def _frequency_mhz(self) -> float | None:
        if self._clock is None:
            return _cpuinfo_mhz(self._cpuinfo, self._core)
        khz = _number(self._clock)
        return None if khz is None else khz / 1000


class ContextSwitches(NamedTuple):
    """How often the system took this process off a core, since it started.

    Attributes:
        voluntary: It waited for something.
        involuntary: Something else ran in its place.
    """

    voluntary: int
    involuntary: int


def context_switches() -> ContextSwitches:
    """Counts so far of this process, all its threads together."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return ContextSwitches(usage.ru_nvcsw, usage.ru_nivcsw)


def system_file(path: Path) -> str | None:
    """What a file of `/proc` or `/sys` says, stripped; None where this system has no such file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        # Absent, not for this user, or (sensors) there but without an answer right now.
        return None


def _number(path: Path | None) -> float | None:
    words = (system_file(path) or "").split() if path else []
    try:
        return float(words[0]) if words else None
    except ValueError:
        return None


def _cpuinfo_mhz(path: Path, core: int) -> float | None:
    """A core's `cpu MHz`; reads no further than that, since the system makes the file up as read.

    With hundreds of cores the whole file would take milliseconds.
    """
    found = -1
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.startswith("processor"):
                    found = int(value)
                elif found == core and name.startswith("cpu MHz"):
                    return float(value)
    except (OSError, ValueError):
        return None
    return None


def _thermometers(classes: Path) -> Iterator[Path]:
    """Files with the CPU's temperature in thousandths of a degree, the best first."""
    zones = {
        zone / "temp": (system_file(zone / "type") or "").lower()
        for zone in sorted(classes.glob("thermal/thermal_zone*"))
    }
    yield from (path for path, kind in zones.items() if kind == _PACKAGE_ZONE)
    yield from (path for path, kind in zones.items() if "cpu" in kind)
    for sensor in sorted(classes.glob("hwmon/hwmon*")):
        if system_file(sensor / "name") in _CPU_SENSORS:
            yield from sorted(sensor.glob("temp1_input"))
