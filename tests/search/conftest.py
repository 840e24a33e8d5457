"""Search problems to try things on."""

from collections.abc import Callable

import pytest

from tests.search.toys import Toy, make_toy


@pytest.fixture(scope="session")
def toy() -> Callable[..., Toy]:
    """Makes a problem on the narrowed cream space: `toy(max_depth, operators, seed=…, sizes=…)`."""
    return make_toy
