"""Any number of images in calls of a fixed size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def full_batches(count: int, batch: int) -> NDArray[np.intp]:
    """Which images go into each call; a call that would not be full repeats the last image.

    Args:
        count: Images, at least 1; the outputs beyond so many are cut off.
        batch: Images a call.

    Returns:
        Indices of images, shape (calls, batch).
    """
    order = np.arange(-(-count // batch) * batch)
    return np.minimum(order, count - 1).reshape(-1, batch)
