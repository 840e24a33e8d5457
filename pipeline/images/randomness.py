"""Random numbers that depend on what they are for, and on nothing drawn before.

A run that was killed and goes on must draw the same numbers as one that was not. So there is no
generator that lives through a run: each use seeds its own from the seed and its place in the run.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

_SEED_BYTES = 8


def seed_for(*place: int | str) -> int:
    """A seed for one use.

    Args:
        place: What the numbers are for, e.g. `(seed, "crop", epoch, step)`.

    Returns:
        An integer from 0 to 2⁶³ − 1; different places give unrelated seeds.
    """
    digest = hashlib.blake2b(repr(place).encode(), digest_size=_SEED_BYTES).digest()
    return int.from_bytes(digest, "big") >> 1


def generator_for(*place: int | str) -> torch.Generator:
    """A generator seeded for one use; see `seed_for`."""
    return torch.Generator().manual_seed(seed_for(*place))


@contextmanager
def seeded_globals(seed: int) -> Iterator[None]:
    """Within it libraries that draw from global generators draw the same for the same seed.

    Outside, Python's, numpy's and torch's generators are as they were.
    """
    python, array = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            random.seed(seed)
            np.random.seed(seed % 2**32)
            torch.manual_seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(array)
