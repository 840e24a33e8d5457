"""Which path, and which input size, each step of a hypernetwork's training takes.

In the first part of the training only the operators are drawn that the others grow from; see
`pipeline.training.hypernetwork.growth`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from pipeline.images.randomness import seed_for
from pipeline.space.architecture import Architecture
from pipeline.training.hypernetwork.growth import beginnings
from pipeline.training.hypernetwork.path_sampling import PathSampler


@dataclass(frozen=True)
class Paths:
    """The paths of a run, by step.

    Attributes:
        sampler: Draws them once operators have grown.
        resolutions: Input sizes; each step draws one.
        grown_at: The first step after growth; 0 where nothing grows.
    """

    sampler: PathSampler
    resolutions: tuple[int, ...]
    grown_at: int

    def resolution_at(self, at: int) -> int:
        """Input size of a step."""
        drawn = seed_for(self.sampler.seed, "resolution", at) % len(self.resolutions)
        return self.resolutions[drawn]

    def path_at(self, at: int) -> Architecture:
        """The random path of a step.

        Raises:
            InfeasibleError: No path lies within the limits.
        """
        return self.sampler_at(at).path(at, self.resolution_at(at))

    def monitored(self, at: int, count: int) -> list[Architecture]:
        """A few fixed paths of the first input size, of the operators trained by step `at`."""
        sampler, resolution = self.sampler_at(at), self.resolutions[0]
        return [sampler.draw(resolution, "monitored", number) for number in range(count)]

    def check(self) -> None:
        """Draws a path of every size, before anything is trained.

        Raises:
            InfeasibleError: No path lies within the limits.
        """
        for resolution in self.resolutions:
            for sampler in (self.sampler, self.sampler_at(0)):
                sampler.path(0, resolution)

    def sampler_at(self, at: int) -> PathSampler:
        """Draws the paths of that part of the training."""
        return self.sampler if at >= self.grown_at else _before_growth(self.sampler)


@lru_cache(maxsize=4)
def _before_growth(sampler: PathSampler) -> PathSampler:
    """Draws among the operators that others grow from.

    They are the smallest, and grow into paths above the limits' lower end, so that does not hold;
    and being there to grow from, they are drawn alike.
    """
    space = sampler.space
    operators = dict.fromkeys(beginnings(space).values())
    return replace(
        sampler,
        space=space.narrowed(operators=list(operators)),
        limits=replace(sampler.limits, macs_min=None),
        operator_prior=(),
    )
