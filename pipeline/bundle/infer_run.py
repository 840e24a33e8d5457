"""Runs a bundle's own `infer.py` as a device would: a program of its own in the bundle's folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pipeline.errors import ExportError

SELFTEST = "--selftest"
_TIMEOUT_S = 600.0


def infer_told(folder: Path, argument: str) -> str:
    """What it prints.

    Args:
        folder: The bundle.
        argument: An image, or `SELFTEST`.

    Raises:
        ExportError: It fails, or the bundle does not pass; the message is its own and says where.
    """
    # Isolated: nothing of this package, its environment variables or working directory is seen.
    command = [sys.executable, "-I", "-B", "infer.py", argument]
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
        raise ExportError(f"infer.py {argument} took over {_TIMEOUT_S:g} s") from None
    if ran.returncode:
        told = "; ".join((ran.stderr or ran.stdout).strip().splitlines())
        raise ExportError(
            f"the bundle does not pass infer.py {argument}: {told}",
            hint="export the network again; a bundle that fails here would fail on the device",
        )
    return ran.stdout
