"""Where things lie that any run can make again: downloads, exported operators, built engines."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "CREAM_PIPELINE_CACHE"


def cache_dir() -> Path:
    """The folder: what the environment variable names, else the user's own cache."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    # An engine's own environment need not have it where the variable is set.
    import platformdirs

    return Path(platformdirs.user_cache_dir("cream-pipeline"))
