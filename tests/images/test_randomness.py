"""Random numbers depend on their place, and on nothing else."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.images.randomness import generator_for, seed_for

places = st.lists(st.integers(0, 10**6) | st.text(max_size=5), min_size=1, max_size=4).map(tuple)


@given(places, places)
def test_a_seed_is_a_matter_of_the_place(one: tuple[int | str, ...], other: tuple[int | str, ...]):
    assert (seed_for(*one) == seed_for(*other)) == (one == other)
    assert 0 <= seed_for(*one) < 2**63


def test_what_was_drawn_before_does_not_matter():
    first = torch.rand(4, generator=generator_for(0, "crop", 3))
    torch.rand(100)
    torch.rand(7, generator=generator_for(0, "crop", 2))
    assert torch.equal(first, torch.rand(4, generator=generator_for(0, "crop", 3)))
    assert not torch.equal(first, torch.rand(4, generator=generator_for(1, "crop", 3)))
