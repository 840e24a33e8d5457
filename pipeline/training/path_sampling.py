"""Paths of the hypernetwork drawn at random, within a window of MACs."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.cost import macs_batch, macs_range
from pipeline.encoding import Rows, decode
from pipeline.errors import InfeasibleError
from pipeline.space import Architecture, SearchSpace
from pipeline.training.randomness import generator_for

# Drawn at a time, and how often. A window that fewer than one path in ten thousand meets leaves
# most of the hypernetwork untrained and is better told than sat out.
_DRAWS = 64
_TRIES = 512

MacsWindow = tuple[float | None, float | None]


@dataclass(frozen=True)
class PathSampler:
    """Draws single paths: a uniform depth for each stage, then uniform operators.

    Attributes:
        space: The space, possibly narrowed.
        resolution: Input side in pixels.
        num_classes: Outputs of the classifier.
        macs_window: Fewest and most MACs of a path; None where there is no limit.
        seed: Of the draws.
    """

    space: SearchSpace
    resolution: int
    num_classes: int
    macs_window: MacsWindow
    seed: int

    def draw(self, *place: int | str) -> Architecture:
        """The path for one place in a run, e.g. `(epoch, step)`; always the same one.

        Paths outside the window are drawn again, never returned.

        Raises:
            InfeasibleError: No path within the window was found.
        """
        generator = generator_for(self.seed, "path", *place)
        for _ in range(_TRIES):
            rows = self._rows(generator)
            macs = macs_batch(self.space, rows, self.num_classes)
            low, high = self.macs_window
            inside = (macs >= (low or 0.0)) & (macs <= (high or float("inf")))
            if inside.any():
                return decode(self.space, rows[int(inside.argmax())], self.num_classes)
        raise self._infeasible()

    def _rows(self, generator: torch.Generator) -> Rows:
        stages, depth = len(self.space.stages), self.space.max_depth
        shape = (_DRAWS, stages, depth)
        codes = torch.randint(1, len(self.space.operators) + 1, shape, generator=generator)
        depths = torch.randint(1, depth + 1, (_DRAWS, stages, 1), generator=generator)
        codes[torch.arange(depth).expand(shape) >= depths] = 0
        resolutions = torch.full((_DRAWS, 1), self.resolution)
        return torch.cat([resolutions, codes.flatten(1)], dim=1).to(torch.int16).numpy()

    def _infeasible(self) -> InfeasibleError:
        low, high = self.macs_window
        smallest, largest = macs_range(self.space, self.resolution, self.num_classes)
        return InfeasibleError(
            f"none of {_DRAWS * _TRIES} random paths has between {(low or 0) / 1e6:g} M and "
            f"{(high or float('inf')) / 1e6:g} M MACs; space {self.space.name} with max_depth "
            f"{self.space.max_depth} at {self.resolution} pixels reaches from "
            f"{smallest / 1e6:.2f} M to {largest / 1e6:.2f} M",
            hint="widen the window, or change the resolution or max_depth",
        )
