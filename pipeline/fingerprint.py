"""The fingerprint of a machine: what a measurement was made with, and whether that is still so.

`WHAT_MATTERS` says for each field whether a difference makes latencies measured there worthless
here, and why.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from pipeline.device import cpu_field, cpu_model, host_slug, usable_cores
from pipeline.gpu import Gpu, visible_gpu
from pipeline.machine_state import system_file

_ROOT = Path("/")
_UNTOLD = "not told by the system"
_NO_GPU = "none that could be seen"


class Environment(BaseModel):
    """The machine and the software a measurement was made with.

    Fields with a default are absent from the oldest records.

    Attributes:
        device: Slug of the machine.
        cpu: CPU model as the system reports it.
        cpu_flags: Instruction-set extensions that decide which kernels run.
        cores: Cores this process may use.
        memory_gib: Main memory; None where it was not kept.
        governor: Frequency governor; None where the system does not say.
        os: Operating system and kernel.
        python: Python's version.
        packages: Versions of the libraries that decide latency or accuracy.
        frequency_max_mhz: The fastest clock the system's policy lets the CPU have; None where it
            does not say.
        huge_pages: Whether memory comes in huge pages: the kernel's mode, and glibc's setting if
            there is one (`madvise, glibc.malloc.hugetlb=1`); None where the system does not say.
        virtual_machine: Whether the system runs under a hypervisor; None where it does not say.
        gpu: The GPU that programs use; None if there is none to see.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str
    cpu: str
    cpu_flags: tuple[str, ...]
    cores: int
    memory_gib: float | None
    governor: str | None
    os: str
    python: str
    packages: dict[str, str]
    frequency_max_mhz: float | None = None
    huge_pages: str | None = None
    virtual_machine: bool | None = None
    gpu: Gpu | None = None

    @property
    def settings(self) -> dict[str, str]:
        """How the machine is set up and its GPU, for people: what it is, in words."""
        fastest, virtual = self.frequency_max_mhz, self.virtual_machine
        return {
            "frequency governor": self.governor or _UNTOLD,
            "fastest clock allowed": _UNTOLD if fastest is None else f"{fastest:g} MHz",
            "huge pages": self.huge_pages or _UNTOLD,
            "virtual machine": _UNTOLD if virtual is None else "yes" if virtual else "no",
            "GPU": self.gpu.summary if self.gpu else _NO_GPU,
        }


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


class Needs(NamedTuple):
    """What a runtime's latency depends on besides the CPU.

    Attributes:
        packages: Distributions that are, or carry, the engine.
        gpu: Whether it runs on the GPU.
    """

    packages: tuple[str, ...]
    gpu: bool


_ORT = ("onnxruntime", "onnxruntime-gpu")
"""Both install one module; where both are, either may be the one that is loaded."""
_CUDNN = ("nvidia-cudnn-cu12", "nvidia-cudnn-cu13")
_CUDA_CALLS = ("pycuda", "cuda-python", "cuda-bindings")
_TENSORRT = (
    "tensorrt",
    "tensorrt-cu12",
    "tensorrt-cu13",
    "tensorrt-cu12-bindings",
    "tensorrt-cu13-bindings",
)
_TENSORRT_RTX = (
    "tensorrt-rtx-cu12-bindings",
    "tensorrt-rtx-cu13-bindings",
    # Carries the library that both of its runtimes load.
    "onnxruntime-ep-nv-tensorrt-rtx-cu13",
)

RUNTIMES: Mapping[str, Needs] = {
    "onnxruntime": Needs(_ORT, gpu=False),
    "onnxruntime_cuda": Needs((*_ORT, *_CUDNN), gpu=True),
    "onnxruntime_tensorrt": Needs((*_ORT, *_TENSORRT), gpu=True),
    "onnxruntime_tensorrt_rtx": Needs((*_ORT, *_TENSORRT_RTX), gpu=True),
    "openvino": Needs(("openvino",), gpu=False),
    "tensorrt": Needs((*_TENSORRT, *_CUDA_CALLS), gpu=True),
    "tensorrt_rtx": Needs((*_TENSORRT_RTX, *_CUDA_CALLS), gpu=True),
    "torch": Needs(("torch",), gpu=False),
    "torch_compile": Needs(("torch",), gpu=False),
    "torch_cuda": Needs(("torch", *_CUDNN), gpu=True),
}
EXPORTER = ("torch", "onnxscript")
"""These write the graph that is measured, so they matter to every runtime."""
_OTHER_PACKAGES = ("torchvision", "timm", "onnx", "numpy")
_PACKAGES = dict.fromkeys(
    [*EXPORTER, *_OTHER_PACKAGES, *(name for needs in RUNTIMES.values() for name in needs.packages)]
)
_LATENCY_FLAGS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_bf16",
    "amx_int8",
    "avx_vnni",
    "asimd",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
)


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Reads the machine at hand, once a process."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    flags = cpu_flags()
    return Environment(
        device=host_slug(),
        cpu=cpu_model(),
        cpu_flags=tuple(flag for flag in _LATENCY_FLAGS if flag in flags),
        cores=usable_cores(),
        memory_gib=round(pages / 2**30, 1),
        governor=system_file(_cpufreq(_ROOT) / "scaling_governor"),
        os=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages=package_versions(),
        frequency_max_mhz=frequency_max_mhz(),
        huge_pages=huge_pages(),
        virtual_machine=virtual_machine(),
        gpu=visible_gpu(),
    )


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
    names = [repr(gpu.name) if gpu else _NO_GPU for gpu in (measured, here)]
    return [f"gpu was {names[0]}, is {names[1]}"] if measured or here else []


def _differing(measured: BaseModel, here: BaseModel, prefix: str = "") -> list[str]:
    """Fields that differ and matter by themselves, whatever the runtime."""
    told = []
    for name in type(measured).model_fields:
        was, now = getattr(measured, name), getattr(here, name)
        matters = WHAT_MATTERS[prefix + name].matters
        if was == now or matters not in ("always", "where known"):
            continue
        if matters == "always" or (was is not None and now is not None):
            told.append(f"{prefix}{name} was {_shown(was)}, is {_shown(now)}")
    return told


def _shown(value: object) -> str:
    return repr(" ".join(value) if isinstance(value, tuple) else value)


def cpu_flags(root: Path = _ROOT) -> frozenset[str]:
    """Names of the CPU's features; `root` is the folder that holds `proc`."""
    return frozenset((cpu_field("flags", root) or cpu_field("Features", root) or "").split())


def virtual_machine(root: Path = _ROOT) -> bool | None:
    """Whether there is a hypervisor; None where CPUs do not tell: only x86 has a flag for it."""
    flags = cpu_field("flags", root)
    return None if flags is None else "hypervisor" in flags.split()


def frequency_max_mhz(root: Path = _ROOT) -> float | None:
    """The fastest clock that the system's policy lets the first core have."""
    policy = system_file(_cpufreq(root) / "scaling_max_freq")
    return int(policy) / 1000 if policy and policy.isdecimal() else None


def huge_pages(root: Path = _ROOT, variables: Mapping[str, str] = os.environ) -> str | None:
    """How memory comes in huge pages; see `Environment.huge_pages`.

    Args:
        root: The folder that holds `sys`.
        variables: The process's environment variables, where glibc's settings are.
    """
    kernel = system_file(root / "sys/kernel/mm/transparent_hugepage/enabled") or ""
    mode = re.search(r"\[(\w+)\]", kernel)
    tunables = variables.get("GLIBC_TUNABLES", "").split(":")
    glibc = [tunable for tunable in tunables if tunable.startswith("glibc.malloc.hugetlb=")]
    return ", ".join([*([mode[1]] if mode else []), *glibc[-1:]]) or None


def package_versions() -> dict[str, str]:
    """Versions of the installed ones of the libraries that decide latency or accuracy."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpufreq(root: Path) -> Path:
    return root / "sys/devices/system/cpu/cpu0/cpufreq"
