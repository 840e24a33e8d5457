"""The part of `make gpu-check` that says what the machine is and what it has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from importlib import metadata
from typing import Any

from benchmarks.gpu_check.parts import Teller

_PACKAGES = re.compile(r"nvidia|cuda|cudnn|tensorrt|torch|onnx|openvino|triton|timm|numpy|cream")
_ASK_S = 60.0
_RUNTIME = """
import json, sys
from pipeline.measure import engines
name = sys.argv[1]
told = {"version": engines.version(name), "why_not": engines.unavailable(name)}
print(json.dumps(told | {"python": engines.interpreter(name)}))
"""
_TORCH = """
import json, torch
told = {"version": torch.__version__, "built_for_cuda": torch.version.cuda}
told["finds_a_gpu"] = torch.cuda.is_available()
if told["finds_a_gpu"]:
    told["gpu"] = torch.cuda.get_device_name(0)
    told["capability"] = ".".join(map(str, torch.cuda.get_device_capability(0)))
    told["built_for"] = torch.cuda.get_arch_list()
print(json.dumps(told))
"""


def environment(which: str, teller: Teller) -> None:
    """Tells of driver, GPU, packages, runtimes and torch, whatever is missing."""
    del which
    teller.doing("asking nvidia-smi")
    teller.found(nvidia_smi=_nvidia_smi(), packages=_packages())
    teller.doing("reading the fingerprint")
    from pipeline.device.fingerprint import environment as fingerprint
    from pipeline.device.gpu_state import GpuReader

    here = fingerprint()
    teller.found(fingerprint=asdict(here), gpu=here.gpu and here.gpu.summary)
    reader = GpuReader.open()
    state = reader.read()
    teller.found(gpu_state=asdict(state) if state else reader.why)
    reader.close()
    _runtimes(teller)
    teller.doing("asking torch")
    torch = _asked(_TORCH)
    teller.found(torch=torch)
    if here.gpu is None and torch.get("finds_a_gpu") is not True:
        why = reader.why if state is None else "nvidia-smi tells of none"
        teller.verdict("cannot run", f"no NVIDIA GPU that could be seen: {why}")
    else:
        teller.verdict("ok", here.gpu.summary if here.gpu else "torch finds a GPU, nvidia-smi none")


def _runtimes(teller: Teller) -> None:
    from pipeline.device import runtimes

    rows: list[dict[str, Any]] = []
    for name in runtimes.names():
        teller.doing(f"asking the runtime {name}")
        told = _asked(_RUNTIME, name)
        rows.append({"runtime": name, "version": None, "why_not": None} | told)
        teller.found(runtimes=rows)


def _asked(code: str, *arguments: str) -> dict[str, Any]:
    """What a process of its own tells: an engine may crash even when asked whether it is there."""
    try:
        ran = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ASK_S,
            check=False,
        )
        told = json.loads(ran.stdout.splitlines()[-1]) if ran.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError, IndexError) as error:
        return {"why_not": f"asking failed: {error}"}
    if isinstance(told, dict):
        return told
    last = ran.stderr.strip().splitlines()[-1:] or ["no output"]
    return {"why_not": f"asking ended with {ran.returncode}: {last[0]}"}


def _nvidia_smi() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return "there is no nvidia-smi"
    try:
        ran = subprocess.run(
            [program], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=_ASK_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"nvidia-smi does not answer: {error}"
    return f"{ran.stdout}{ran.stderr}".strip()


def _packages() -> dict[str, str]:
    found = {
        str(one.metadata["Name"]): one.version
        for one in metadata.distributions()
        if _PACKAGES.search(str(one.metadata["Name"]).lower())
    }
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))
