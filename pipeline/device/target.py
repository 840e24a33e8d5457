"""Devices and targets: what is measured, and on which machine this is.

A target is (device, runtime, precision, batch, threads); its name is
`<device>/<runtime>-<precision>-b<batch>[-t<threads>]`, e.g. `host/onnxruntime-fp32-b1-t1`. `host`
is an alias for the slug of the machine at hand.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast, get_args

from pipeline.device.machine_state import system_file
from pipeline.errors import UsageError

HOST = "host"
Precision = Literal["fp32", "fp16", "bf16", "int8"]
_TARGET = re.compile(
    r"(?P<device>[a-z0-9][a-z0-9.-]*)/(?P<runtime>[a-z][a-z0-9_]*)"
    r"-(?P<precision>fp32|fp16|bf16|int8)-b(?P<batch>[1-9]\d*)(?:-t(?P<threads>[1-9]\d*))?"
)


@dataclass(frozen=True)
class Target:
    """Where and how a model runs.

    Attributes:
        device: A device's name, or `host`.
        runtime: Inference runtime; words joined by `_`.
        precision: Numeric precision of the model as run.
        batch: Images a call.
        threads: CPU threads; None where the runtime has no such thing.
    """

    device: str
    runtime: str
    precision: Precision
    batch: int = 1
    threads: int | None = None

    def __post_init__(self) -> None:
        """Refuses what has no name of a target's form.

        Raises:
            UsageError: Says what is wrong.
        """
        if self.precision not in get_args(Precision):
            raise UsageError(
                f"precision {self.precision!r} given, expected {', '.join(get_args(Precision))}"
            )
        if self.batch < 1 or (self.threads is not None and self.threads < 1):
            raise UsageError(
                f"batch {self.batch} and threads {self.threads} given, expected 1 or more of each"
            )

    @classmethod
    def parse(cls, name: str) -> Target:
        """Reads a target's name.

        Raises:
            UsageError: It is not of the form in the module's docstring.
        """
        match = _TARGET.fullmatch(name)
        if match is None:
            raise UsageError(
                f"target {name!r} is not DEVICE/RUNTIME-PRECISION-bBATCH[-tTHREADS]",
                hint="for example host/onnxruntime-fp32-b1-t1",
            )
        device, runtime, precision, batch, threads = match.groups()
        return cls(
            device,
            runtime,
            cast(Precision, precision),
            int(batch),
            None if threads is None else int(threads),
        )

    @staticmethod
    def is_name(text: str) -> bool:
        """Whether a text has the form of a target's name."""
        return _TARGET.fullmatch(text) is not None

    @property
    def name(self) -> str:
        """The whole name, device included."""
        return f"{self.device}/{self.setting}"

    @property
    def setting(self) -> str:
        """The name without the device; the stem of the table's file name."""
        threads = f"-t{self.threads}" if self.threads else ""
        return f"{self.runtime}-{self.precision}-b{self.batch}{threads}"

    @property
    def device_slug(self) -> str:
        """The device's own name: `host` resolved."""
        return host_slug() if self.device == HOST else self.device

    @property
    def is_here(self) -> bool:
        """Whether the target's device is the machine at hand."""
        return self.device_slug == host_slug()


@lru_cache(maxsize=1)
def host_slug() -> str:
    """This machine's own name in tables: its CPU and cores, e.g. `intel-xeon-processor-2c`."""
    words = re.sub(r"\((?:r|tm)\)|@.*|\bcpu\b|\b\d+-core\b", " ", cpu_model().lower())
    slug = re.sub(r"[^a-z0-9]+", "-", words).strip("-") or platform.machine()
    return f"{slug}-{usable_cores()}c"


def cpu_model() -> str:
    """The CPU's model name as the system reports it."""
    return cpu_field("model name") or cpu_field("Model") or platform.processor() or "unknown"


def usable_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_field(name: str, root: Path = Path("/")) -> str | None:
    """A field of the first CPU in `/proc/cpuinfo`; None where the system does not tell it."""
    text = system_file(root / "proc/cpuinfo") or ""
    match = re.search(rf"^{name}[ \t]*:[ \t]*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else None
