"""Python code in a process of its own: what is imported, loaded or missing there stays there."""

import os
import subprocess
import sys
from pathlib import Path

from tests.checkout import ROOT


def said(code: str, *arguments: str, **variables: str) -> str:
    """What code writes to standard output; it must end well and write nothing else.

    Args:
        code: Python.
        arguments: Its `sys.argv`, from the second one on.
        variables: Environment variables besides this process's own.
    """
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def beside(folder: Path) -> dict[str, str]:
    """Variables with which a folder's packages and libraries are found before others."""
    return {
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "LD_LIBRARY_PATH": str(folder),
    }
