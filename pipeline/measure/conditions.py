"""The conditions of a measurement: whether what was measured with them still holds.

`WHAT_MATTERS` says for each field of the fingerprint whether a difference makes latencies measured
there worthless here, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Literal, NamedTuple

from pipeline.device.fingerprint import EXPORTER, NO_GPU, RUNTIMES, Environment, Needs
from pipeline.device.gpu import Gpu


class Rule(NamedTuple):
    """Whether a field of the fingerprint matters for latency.

    Attributes:
        matters: `always`; `where known`: if both sides know it; `to its runtimes`: to those that
            use it (`RUNTIMES`); `never`.
        why: The reason.
    """

    matters: Literal["always", "where known", "to its runtimes", "never"]
    why: str


WHAT_MATTERS: Mapping[str, Rule] = {
    "device": Rule("never", "made from the CPU and its cores, which are compared themselves"),
    "cpu": Rule("always", "another CPU is another device"),
    "cpu_flags": Rule("always", "the engine picks its kernels by them"),
    "cores": Rule("always", "threads, and how much else the machine can do meanwhile"),
    "memory_gib": Rule("never", "networks take a small part of it"),
    "governor": Rule("where known", "it decides the clock"),
    "os": Rule("never", "the kernel is hardly entered while a network runs"),
    "python": Rule("never", "it only starts the engine's call"),
    "packages": Rule("to its runtimes", "the engine is the runtime, the exporter made the graph"),
    "frequency_max_mhz": Rule("where known", "latency goes with the clock, and this bounds it"),
    "huge_pages": Rule("where known", "worth 1-6 % of latency"),
    "virtual_machine": Rule("where known", "a hypervisor makes memory access slower"),
    "gpu": Rule("to its runtimes", "the device itself for those, unused by the others"),
    "gpu.name": Rule("always", "another GPU is another device"),
    "gpu.driver": Rule("where known", "it compiles and launches kernels"),
    "gpu.memory_mib": Rule("never", "networks take a small part of it"),
    "gpu.clock_sm_mhz": Rule("never", "changes from moment to moment"),
    "gpu.clock_sm_max_mhz": Rule("where known", "latency goes with the clock, and this bounds it"),
    "gpu.clock_sm_application_mhz": Rule("where known", "the clock under load"),
    "gpu.clock_memory_mhz": Rule("never", "changes from moment to moment"),
    "gpu.clock_memory_max_mhz": Rule("where known", "most operators wait for memory"),
    "gpu.clock_memory_application_mhz": Rule("where known", "the clock under load"),
    "gpu.power_limit_w": Rule("where known", "where it is reached, clocks fall"),
    "gpu.persistence_mode": Rule("never", "only how long the first call takes"),
    "gpu.mig_mode": Rule("where known", "an instance is a part of a GPU"),
}


def differences_that_matter(measured: Environment, here: Environment, runtime: str) -> list[str]:
    """Why latencies measured there do not hold here.

    Args:
        measured: What they were measured with.
        here: What they would be used with.
        runtime: The runtime they are of. One that `RUNTIMES` does not list is taken to be a
            distribution of that name that uses the GPU.

    Returns:
        A sentence a difference, such as `onnxruntime was 1.31.0, is 1.32.0`; none if they hold.
    """
    needs = RUNTIMES.get(runtime) or Needs((runtime.replace("_", "-"),), gpu=True)
    told = _differing(measured, here)
    told += [
        f"{name} was {was or 'not installed'}, is {now or 'not installed'}"
        for name in dict.fromkeys((*needs.packages, *EXPORTER))
        if (was := measured.packages.get(name)) != (now := here.packages.get(name))
    ]
    if needs.gpu:
        told += _gpu_differences(measured.gpu, here.gpu)
    return told


def _gpu_differences(measured: Gpu | None, here: Gpu | None) -> list[str]:
    if measured and here:
        return _differing(measured, here, "gpu.")
    names = [repr(gpu.name) if gpu else NO_GPU for gpu in (measured, here)]
    return [f"gpu was {names[0]}, is {names[1]}"] if measured or here else []


def _differing(measured: Environment | Gpu, here: Environment | Gpu, prefix: str = "") -> list[str]:
    """Fields that differ and matter by themselves, whatever the runtime."""
    told = []
    for name in (it.name for it in fields(measured)):
        was, now = getattr(measured, name), getattr(here, name)
        matters = WHAT_MATTERS[prefix + name].matters
        if was == now or matters not in ("always", "where known"):
            continue
        if matters == "always" or (was is not None and now is not None):
            told.append(f"{prefix}{name} was {_shown(was)}, is {_shown(now)}")
    return told


def _shown(value: object) -> str:
    return repr(" ".join(value) if isinstance(value, tuple) else value)
