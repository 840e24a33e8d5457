"""A device as `profiles/*.yaml` describes it: its targets, and how to hold its clocks still."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from pipeline.device.target import Target


class DeviceProfile(BaseModel):
    """A device and the targets on it worth measuring.

    Attributes:
        name: The device's name in targets.
        description: What it is, for people.
        clock_policy: How to hold its clocks still while measuring.
        targets: Settings (`onnxruntime-fp32-b1-t1`), without the device.
        python: Python interpreters of runtimes that need an environment of their own, by runtime;
            relative paths are relative to the working directory, `~` is the home directory. Such an
            environment needs numpy, pydantic and the engine.
        commands: What to type on the device, where it is called `host`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1]
    name: str
    description: str
    clock_policy: str
    targets: tuple[str, ...]
    python: dict[str, str] = {}
    commands: tuple[str, ...] = ()

    @field_validator("targets")
    @classmethod
    def _readable(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        for setting in targets:
            Target.parse(f"any/{setting}")
        return targets
