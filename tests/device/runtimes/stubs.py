"""Shared libraries made on the spot, that answer what a test wants."""

import shutil
import subprocess
from pathlib import Path

import pytest


def compiled(source: str, library: Path) -> Path:
    """A library of C source, under the file's own name."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    library.parent.mkdir(parents=True, exist_ok=True)
    ran = subprocess.run(
        [compiler, "-shared", "-fPIC", f"-Wl,-soname,{library.name}", "-xc", "-", "-o", library],
        input=source,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return library
