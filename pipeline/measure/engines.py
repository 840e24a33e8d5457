"""Which Python runs an engine, what is installed there, and why it cannot run.

Some engines cannot live together: TensorRT 11 and ONNX Runtime's TensorRT provider need different
libraries, and `onnxruntime-gpu` takes the place of `onnxruntime`. So a device's profile may name an
interpreter for a runtime, whose environment holds numpy, pydantic and the engine; the package's own
files are lent to it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.device import runtimes
from pipeline.device.fingerprint import RUNTIMES, Environment, environment
from pipeline.device.target import HOST, host_slug
from pipeline.errors import UnavailableError
from pipeline.files.workspace import profile_files
from pipeline.files.yaml_file import read_yaml
from pipeline.measure.device_profile import DeviceProfile

_ASK = """
import json, sys
from pipeline.device import fingerprint, runtimes
engine = runtimes.find(sys.argv[1])
told = {
    "version": engine.version(),
    "unavailable": engine.unavailable(),
    "packages": fingerprint.package_versions(),
}
print(json.dumps(told))
"""
_ASK_TIMEOUT_S = 60.0
# What `-P` does, which Python has since 3.11.
_NOT_FROM_HERE = "import sys; sys.path[:] = [place for place in sys.path if place]\n"


def interpreter(runtime: str) -> str:
    """The Python that runs a runtime's measuring process on this machine.

    Raises:
        UnavailableError: The profile names one that is not there.
        ConfigError: The profile does not read.
    """
    named = _named(runtime)
    if named is None:
        return sys.executable
    path = Path(named).expanduser()
    if not path.is_file():
        raise UnavailableError(
            f"the {runtime} runtime: the device's profile names the Python {named}, which is not "
            "there",
            hint=f"make it: python -m venv {path.parent.parent}",
        )
    return str(path.absolute())


def version(runtime: str) -> str | None:
    """The engine's version where it runs; None where it is not installed.

    Raises:
        UnknownNameError: There is no such runtime.
    """
    if _named(runtime) is None:
        return runtimes.find(runtime).version()
    told = _asked(runtime)
    return None if isinstance(told, str) else told["version"]


def unavailable(runtime: str) -> str | None:
    """Why a runtime cannot run on this machine, or None.

    Raises:
        UnknownNameError: There is no such runtime.
    """
    engine = runtimes.find(runtime)
    if _named(runtime) is None:
        return engine.unavailable()
    told = _asked(runtime)
    return told if isinstance(told, str) else told["unavailable"]


def engine_environment(runtime: str) -> Environment:
    """This machine, with the software that a runtime's measuring process has."""
    here = environment()
    if _named(runtime) is None:
        return here
    told = _asked(runtime)
    if isinstance(told, str):
        return here
    # The exporter is this process's, whatever the engine's environment holds of the same name.
    needs = (*RUNTIMES[runtime].packages, "numpy")
    kept = {name: found for name, found in here.packages.items() if name not in needs}
    theirs = {name: found for name, found in told["packages"].items() if name in needs}
    return replace(here, packages={**kept, **theirs})


def command(python: str, code: str) -> list[str]:
    """Runs code, importing nothing from the working directory, which may hold another `pipeline`.

    Args:
        python: Its interpreter.
        code: What it runs; what is behind it on the command line is in `sys.argv[1:]`.
    """
    return [python, "-c", f"{_NOT_FROM_HERE}{code}"]


def import_path() -> str:
    """The `PYTHONPATH` with which a child finds this very package, wherever it was started."""
    here = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    return f"{here}{os.pathsep}{inherited}" if inherited else here


def _named(runtime: str) -> str | None:
    """What this machine's profile names; `host` is the profile of any machine at hand."""
    for name in (host_slug(), HOST):
        path = profile_files().get(name)
        named = read_yaml(path, DeviceProfile).python.get(runtime) if path else None
        if named:
            return named
    return None


def _asked(runtime: str) -> dict[str, Any] | str:
    """What a runtime's own environment says of it, or why it does not."""
    try:
        return _ask(interpreter(runtime), runtime)
    except UnavailableError as error:
        return error.message


@lru_cache(maxsize=32)
def _ask(python: str, runtime: str) -> dict[str, Any] | str:
    try:
        ran = subprocess.run(
            [*command(python, _ASK), runtime],
            env={**os.environ, "PYTHONPATH": import_path()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ASK_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{python} does not answer: {error}"
    if ran.returncode != 0:
        last = ran.stderr.strip().splitlines()[-1:] or [f"exit code {ran.returncode}"]
        return f"{python} cannot run it: {last[0]}"
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return told
