"""Where this checkout is and what lies in it, for tests of what is beside the package."""

import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def project_files() -> list[Path]:
    """Files of the checkout that git tracks or would track; none where it is no checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


@functools.cache
def text_files() -> tuple[tuple[Path, str], ...]:
    """Paths below the checkout, and what stands in them."""
    found = []
    for path in project_files():
        try:
            found.append((path.relative_to(ROOT), path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue
    return tuple(found)
