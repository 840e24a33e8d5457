"""The schema of a bundle's model.json: `python -m pipeline.bundle.schema FILE` writes it."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.bundle.card import Bundle
from pipeline.files.json_schema import schema_text
from pipeline.files.whole import write_atomic


def bundle_schema() -> str:
    """The JSON Schema of what model.json holds, as the content of a file."""
    return schema_text(Bundle, "bundle")


if __name__ == "__main__":
    write_atomic(Path(sys.argv[1]), bundle_schema())
