"""What the GPU is doing right now: readings cheap enough to take at every measured visit.

They explain a slow visit afterwards (a low clock, a hot chip, a power limit); nothing is corrected
by them. NVML, the driver's own library, is asked through `pynvml`: `nvidia-smi`, which
`pipeline.device.gpu` asks once, takes tens of milliseconds. Other programs on the card are not
counted: the driver's list of them is slow to get, and within a container its process numbers are
others.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

from pipeline.device.gpu_choice import VISIBLE, GpuChoice

SLOWDOWN_REASONS: Mapping[int, str] = {
    0x001: "idle",
    0x002: "application clocks",
    0x004: "power limit",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "thermal, by software",
    0x040: "thermal, by hardware",
    0x080: "power brake",
    0x100: "display clocks",
}
"""What the bits of NVML's clocks event reasons mean; a bit that is not here is told by number."""


@dataclass(frozen=True)
class GpuState:
    """One reading; None is what the card or its driver does not tell.

    Attributes:
        clock_sm_mhz: The clock of its processors.
        clock_memory_mhz: The clock of its memory.
        temperature_c: The chip's temperature.
        power_w: What it draws; of newer cards the average over the last second.
        slowdown_reasons: Why its clock is below the highest; empty where it is not.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    clock_sm_mhz: int | None = None
    clock_memory_mhz: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    slowdown_reasons: tuple[str, ...] | None = None


class GpuReader:
    """Reads the GPU that this process uses; made by `open`.

    Attributes:
        why: Why nothing can be read; None where something can.
    """

    def __init__(self, nvml: ModuleType | None, handle: object, why: str | None) -> None:
        self.why = why
        self._nvml: Any = nvml
        self._handle = handle
        # Before driver 535 the question about the clock has an older name.
        self._reasons = "nvmlDeviceGetCurrentClocksEventReasons"
        if why is None and self._tells("nvmlDeviceGetCurrentClocksEventReasons") is None:
            self._reasons = "nvmlDeviceGetCurrentClocksThrottleReasons"

    @classmethod
    def open(cls, variables: Mapping[str, str] = os.environ) -> GpuReader:
        """Finds the GPU; see `GpuChoice`.

        Never raises: a machine without a GPU has a reader too, that reads None.

        Args:
            variables: The process's environment variables (`CUDA_VISIBLE_DEVICES`).
        """
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            return cls(None, None, "pynvml is not installed: pip install nvidia-ml-py")
        try:
            nvml.nvmlInit()
        except (nvml.NVMLError, OSError) as error:
            return cls(None, None, f"the NVIDIA driver's library does not answer: {error}")
        choice = GpuChoice.of(variables)
        try:
            handle = _chosen(nvml, choice)
        except (nvml.NVMLError, ValueError) as error:
            _shut_down(nvml)
            given = "" if choice.visible is None else f" ({VISIBLE}={choice.visible})"
            return cls(None, None, f"NVML finds no GPU that this process may use{given}: {error}")
        return cls(nvml, handle, None)

    def read(self) -> GpuState | None:
        """Takes a reading, in well under a millisecond; None where nothing can be read."""
        if self.why is not None:
            return None
        nvml = self._nvml
        milliwatts = self._tells("nvmlDeviceGetPowerUsage")
        reasons = self._tells(self._reasons)
        return GpuState(
            clock_sm_mhz=self._tells("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
            clock_memory_mhz=self._tells("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM),
            temperature_c=self._tells("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
            power_w=None if milliwatts is None else milliwatts / 1000,
            slowdown_reasons=None if reasons is None else reasons_of(reasons),
        )

    def close(self) -> None:
        """Lets go of the driver's library; a closed reader reads None."""
        if self.why is None:
            self.why = "the reader is closed"
            _shut_down(self._nvml)

    def _tells(self, question: str, *arguments: object) -> int | None:
        """One figure; None where this card, or this driver, has none."""
        ask: Callable[..., int] | None = getattr(self._nvml, question, None)
        if ask is None:
            return None
        try:
            return int(ask(self._handle, *arguments))
        except self._nvml.NVMLError:
            return None


def reasons_of(bits: int) -> tuple[str, ...]:
    """Words for NVML's bits."""
    alone = [1 << place for place in range(bits.bit_length()) if bits >> place & 1]
    return tuple(SLOWDOWN_REASONS.get(bit, f"unknown ({bit:#x})") for bit in alone)


def _chosen(nvml: Any, choice: GpuChoice) -> object:
    """NVML's handle of the card.

    Raises:
        ValueError: None is of that number or name.
        NVMLError: The driver refuses.
    """
    if choice.is_instance:
        # Clocks and temperature are of the whole card.
        part = nvml.nvmlDeviceGetHandleByUUID(choice.wanted.encode())
        return nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part)
    count = nvml.nvmlDeviceGetCount()
    handle_of = nvml.nvmlDeviceGetHandleByIndex
    number = choice.among(range(count), lambda it: _text(nvml.nvmlDeviceGetUUID(handle_of(it))))
    if number is None:
        raise ValueError(f"there are {count}, and none is {choice.wanted!r}")
    return handle_of(number)


def _text(told: str | bytes) -> str:
    """Old releases of pynvml tell bytes."""
    return told.decode(errors="replace") if isinstance(told, bytes) else told


def _shut_down(nvml: Any) -> None:
    with contextlib.suppress(nvml.NVMLError):
        nvml.nvmlShutdown()
