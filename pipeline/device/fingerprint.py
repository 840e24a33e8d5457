"""The fingerprint of a machine: what a measurement was made with.

Whether a difference makes latencies measured there worthless here is judged elsewhere, so that a
device needs no rule of its own.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import ClassVar, NamedTuple

from pipeline.device.gpu import Gpu, visible_gpu
from pipeline.device.machine_state import system_file
from pipeline.device.target import cpu_field, cpu_model, host_slug, usable_cores

_ROOT = Path("/")
_UNTOLD = "not told by the system"
NO_GPU = "none that could be seen"


@dataclass(frozen=True)
class Environment:
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

    __pydantic_config__: ClassVar = {"extra": "forbid"}

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
            "GPU": self.gpu.summary if self.gpu else NO_GPU,
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
