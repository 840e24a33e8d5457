"""Which path, and which input size, each step of a hypernetwork's training takes."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.images.randomness import seed_for
from pipeline.space.architecture import Architecture
from pipeline.training.hypernetwork.path_sampling import PathSampler


@dataclass(frozen=True)
class Paths:
    """The paths of a run, by step.

    Attributes:
        sampler: Draws them.
        resolutions: Input sizes; each step draws one.
    """

    sampler: PathSampler
    resolutions: tuple[int, ...]

    def resolution_at(self, at: int) -> int:
        """Input size of a step."""
        drawn = seed_for(self.sampler.seed, "resolution", at) % len(self.resolutions)
        return self.resolutions[drawn]

    def path_at(self, at: int) -> Architecture:
        """The random path of a step.

        Raises:
            InfeasibleError: No path lies within the limits.
        """
        return self.sampler.path(at, self.resolution_at(at))

    def monitored(self, count: int) -> list[Architecture]:
        """A few fixed paths of the first input size."""
        resolution = self.resolutions[0]
        return [self.sampler.draw(resolution, "monitored", number) for number in range(count)]

    def check(self) -> None:
        """Draws a path of every size, before anything is trained.

        Raises:
            InfeasibleError: No path lies within the limits.
        """
        for resolution in self.resolutions:
            self.sampler.path(0, resolution)
