"""The GPU of a machine, as the driver's own `nvidia-smi` tells of it.

The program is asked rather than a library: it is there wherever the driver is, and a driver that
crashes or hangs takes no more than a child process with it. Fields that this card or this driver
does not tell (`[N/A]`, `[Requested functionality has been deprecated]`) are None.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from pipeline.device.gpu_choice import GpuChoice

_TIMEOUT_S = 10.0
"""Without persistence mode the driver first wakes every card of the machine: seconds."""


@dataclass(frozen=True)
class Gpu:
    """A GPU and the settings its speed depends on.

    Attributes:
        name: What the driver calls it.
        driver: The driver's version.
        memory_mib: Its memory.
        clock_sm_mhz: The clock of its processors at the time of asking.
        clock_sm_max_mhz: The fastest that clock can be.
        clock_sm_application_mhz: What that clock is set to under load, where that can be set.
        clock_memory_mhz: The clock of its memory at the time of asking.
        clock_memory_max_mhz: The fastest that clock can be.
        clock_memory_application_mhz: What that clock is set to under load, where that can be set.
        power_limit_w: The power at which it slows down.
        persistence_mode: Whether the driver keeps it awake between programs.
        mig_mode: Whether it is cut into instances; None also for cards that cannot be.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    name: str
    driver: str | None = None
    memory_mib: int | None = None
    clock_sm_mhz: int | None = None
    clock_sm_max_mhz: int | None = None
    clock_sm_application_mhz: int | None = None
    clock_memory_mhz: int | None = None
    clock_memory_max_mhz: int | None = None
    clock_memory_application_mhz: int | None = None
    power_limit_w: float | None = None
    persistence_mode: bool | None = None
    mig_mode: bool | None = None

    @property
    def summary(self) -> str:
        """It in one line, without what changes from moment to moment."""
        facts = {
            "{} MiB": self.memory_mib,
            "driver {}": self.driver,
            "at most {} MHz": self.clock_sm_max_mhz,
            "memory at most {} MHz": self.clock_memory_max_mhz,
            "{:g} W": self.power_limit_w,
            "cut into instances (MIG)": self.mig_mode or None,
        }
        told = [words.format(fact) for words, fact in facts.items() if fact is not None]
        return ", ".join([self.name, *told])


_BASIC_QUERY = {
    "index": "index",
    "uuid": "uuid",
    "name": "name",
    "driver": "driver_version",
    "memory_mib": "memory.total",
}
_QUERY = {
    **_BASIC_QUERY,
    "clock_sm_mhz": "clocks.current.sm",
    "clock_sm_max_mhz": "clocks.max.sm",
    # The driver has one setting for graphics and processors, under the older name.
    "clock_sm_application_mhz": "clocks.applications.graphics",
    "clock_memory_mhz": "clocks.current.memory",
    "clock_memory_max_mhz": "clocks.max.memory",
    "clock_memory_application_mhz": "clocks.applications.memory",
    "power_limit_w": "power.limit",
    "persistence_mode": "persistence_mode",
    "mig_mode": "mig.mode.current",
}
"""Our field: nvidia-smi's."""


def visible_gpu(variables: Mapping[str, str] = os.environ) -> Gpu | None:
    """The GPU that a measuring process started now would use; see `GpuChoice`.

    Args:
        variables: The process's environment variables: where programs are (`PATH`), and which
            cards are hidden (`CUDA_VISIBLE_DEVICES`).

    Returns:
        The card; None if there is none to see, or its driver does not answer in order.
    """
    program = shutil.which("nvidia-smi", path=variables.get("PATH", os.defpath))
    if program is None:
        return None
    try:
        # A driver that does not know one of the fields refuses the question as a whole.
        cards = _ask(program, _QUERY) or _ask(program, _BASIC_QUERY)
    except (OSError, subprocess.TimeoutExpired):
        return None
    by_number = {int(card["index"]): card for card in cards}
    number = GpuChoice.of(variables).among(list(by_number), lambda it: by_number[it]["uuid"])
    card = None if number is None else by_number[number]
    return _gpu(card) if card and _text(card["name"]) else None


def _ask(program: str, query: Mapping[str, str]) -> list[dict[str, str]]:
    """What is told of each card by our field names; nothing where the answer is out of order."""
    ran = subprocess.run(
        [program, f"--query-gpu={','.join(query.values())}", "--format=csv,noheader,nounits"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=_TIMEOUT_S,
        check=False,
    )
    if ran.returncode != 0:
        return []
    rows = [[word.strip() for word in line.split(",")] for line in ran.stdout.splitlines()]
    cards = [dict(zip(query, row)) for row in rows if len(row) == len(query)]
    return [card for card in cards if card["index"].isdecimal()]


def _gpu(card: Mapping[str, str]) -> Gpu:
    told = {field: card.get(field, "") for field in (it.name for it in fields(Gpu))}
    read: dict[str, Any] = {field: _whole(text) for field, text in told.items()}
    read |= {field: _text(told[field]) for field in ("name", "driver")}
    read |= {field: _switch(told[field]) for field in ("persistence_mode", "mig_mode")}
    read["power_limit_w"] = _decimal(told["power_limit_w"])
    return Gpu(**read)


def _text(told: str) -> str | None:
    return None if not told or told.startswith("[") or told == "N/A" else told


def _whole(told: str) -> int | None:
    return int(told) if re.fullmatch(r"[0-9]{1,12}", told) else None


def _decimal(told: str) -> float | None:
    return float(told) if re.fullmatch(r"[0-9]{1,12}(\.[0-9]+)?", told) else None


def _switch(told: str) -> bool | None:
    return {"Enabled": True, "Disabled": False}.get(told)
