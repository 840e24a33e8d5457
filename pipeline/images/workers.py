"""How many processes may read images at once."""

from __future__ import annotations

import os

from pipeline.device.target import usable_cores


def reading_workers() -> int:
    """A worker a core, of the cores that are this process's share.

    `torchrun` says how many processes it started on this machine: all of them read at once.
    """
    return max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
