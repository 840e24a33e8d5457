"""Every network of a space, for tests that check against an enumeration."""

import itertools

import numpy as np

from pipeline.space.encoding import Rows
from pipeline.space.search_space import SearchSpace


def every_row(space: SearchSpace, *sizes: int) -> Rows:
    """The whole space at these input sizes; shape (networks, 1 + slots)."""
    codes = range(1, len(space.operators) + 1)
    stages = [
        (*stage, *(0,) * (space.max_depth - depth))
        for depth in range(1, space.max_depth + 1)
        for stage in itertools.product(codes, repeat=depth)
    ]
    networks = itertools.product(stages, repeat=len(space.stages))
    codes_of = np.array([list(itertools.chain(*each)) for each in networks], dtype=np.int16)
    return np.concatenate(
        [np.column_stack([np.full(len(codes_of), size, np.int16), codes_of]) for size in sizes]
    )
