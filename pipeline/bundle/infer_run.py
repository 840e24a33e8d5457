"""Runs a bundle's own `infer.py` as a device would: a program of its own in the bundle's folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pipeline.errors import ExportError

_TIMEOUT_S = 600.0


def classes_told(folder: Path, image: str) -> str:
    """What it prints of an image.

    Raises:
        ExportError: It fails; the message is its own.
    """
    return _told(folder, image)


def selftest_told(folder: Path) -> str:
    """What its self-test prints.

    Raises:
        ExportError: The bundle does not pass; the message says where.
    """
    return _told(folder, "--selftest")


def _told(folder: Path, *arguments: str) -> str:
    # Isolated: nothing of this package, its environment variables or working directory is seen.
    command = [sys.executable, "-I", "-B", "infer.py", *arguments]
    try:
        ran = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ExportError(f"infer.py {' '.join(arguments)} took over {_TIMEOUT_S:g} s") from None
    if ran.returncode:
        told = "; ".join((ran.stderr or ran.stdout).strip().splitlines())
        raise ExportError(
            f"the bundle does not pass infer.py {' '.join(arguments)}: {told}",
            hint="export the network again; a bundle that fails here would fail on the device",
        )
    return ran.stdout
