"""What a recipe may say about the search."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Strategy = Literal["evolution", "exact", "board"]


class SearchSettings(BaseModel):
    """How long to search, and how.

    Attributes:
        strategy: `evolution`: by the hypernetwork's scores; a sum over blocks, fitted on them,
            seeds it with its exact front and chooses among the children. `exact`: half of the
            candidates fit the sum, the other half are its exact front. `board`: the prioritized
            paths of a hypernetwork that was trained with the method `cream`, as in the paper.
        candidates: Most architectures that are scored; with several winners, for each of them.
        seconds: Most seconds of scoring; the generation that exceeds them is the last.
        population: Architectures scored in a generation, and most that survive it.
        surrogate_share: Share of the candidates that the sum is first fitted on, a population at
            least, before the evolution starts; 0: it goes without the sum.
        patience: Generations without a better front after which the evolution stops.
        mutation_probability: Chance of each choice of a child to be drawn anew, beside the one
            that always is.
        per_target: Whether each target's own winner is searched for too, to tell what one network
            for all of them costs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: Strategy = "evolution"
    candidates: int = Field(default=500, ge=2)
    seconds: float | None = Field(default=None, gt=0)
    population: int = Field(default=20, ge=2)
    surrogate_share: float = Field(default=0.05, ge=0, le=0.9)
    patience: int = Field(default=10, ge=1)
    mutation_probability: float = Field(default=0.02, ge=0, le=1)
    per_target: bool = False

    @property
    def samples(self) -> int:
        """Architectures of all depths that are scored before an evolution starts."""
        return min(
            self.candidates, max(self.population, round(self.surrogate_share * self.candidates))
        )
