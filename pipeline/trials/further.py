"""Further trials: who is tried next, by what the first of them told of all candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.device.target import usable_cores
from pipeline.images.randomness import seed_for
from pipeline.records.candidates import Candidate, Limits
from pipeline.records.trial import Entrant, FusionRecord
from pipeline.space.architecture import Architecture
from pipeline.training.scoring.network_score import NetworkScore, paired_errors_nats
from pipeline.trials.field import Ladder, Option, Stand, climbed
from pipeline.trials.fusion import Fused, fuse
from pipeline.trials.known import inputs_of, untrained_scores
from pipeline.trials.trial import Training
from pipeline.work.progress import Progress, silent

_POOL = 48
_LEAST_TRIALS = 4
_TRIED_TO_MEASURE = 6


@dataclass
class Further:
    """Chooses networks by Thompson sampling while a budget lasts.

    Each draws log-losses for all candidates as they may be, and takes the best of the draw that is
    within the limits as measured (Thompson, 1933).

    Attributes:
        candidates: Scored networks within the limits as predicted, the best first.
        training: How they would be trained.
        limits: They are to be within.
        stand: Where they are measured.
        budget: How many are tried at most.
        folder: Keeps what is found out of untrained weights.
        progress: Told about that.
        record: What the last fit came to; None before the first.
    """

    candidates: Sequence[Candidate]
    training: Training
    limits: Limits
    stand: Stand
    budget: int
    folder: Path
    progress: Progress = silent
    record: FusionRecord | None = field(default=None, init=False)

    def __call__(
        self, entrants: Sequence[Entrant], scores: Mapping[int, NetworkScore]
    ) -> list[Entrant]:
        """Those to try next; none where the budget is used, or too little was tried.

        Args:
            entrants: All so far.
            scores: Of the same rung, by place among them.
        """
        left = self.budget - (self.record.chosen if self.record else 0)
        tried = {
            network: place
            for place, it in enumerate(entrants)
            if place in scores
            and (network := it.architecture) is not None
            and network.space == self.training.space.name
        }
        if left <= 0 or len(tried) < _LEAST_TRIALS:
            return []
        pool = list(dict.fromkeys([*tried, *(it.architecture for it in self.candidates[:_POOL])]))
        fused = self._fused(pool, tried, scores)
        count = min(left, usable_cores())
        known = {it.architecture: it for it in self.candidates}
        open_places = [place for place, it in enumerate(pool) if it not in tried and it in known]
        done = len(entrants)
        ladders = []
        for number in range(count):
            seed = seed_for(self.training.seed, "thompson", done, number)
            drawn = fused.drawn(np.random.default_rng(seed))
            best = sorted(open_places, key=lambda place: drawn[place])[:_TRIED_TO_MEASURE]
            ladders.append(Ladder("further", [Option.of(pool[place]) for place in best]))
            open_places = [place for place in open_places if place not in best[:1]]
        found = [it for it in climbed(ladders, self.limits, self.stand) if not it.reason]
        found = list({it.architecture: it for it in found}.values())
        chosen = (self.record.chosen if self.record else 0) + len(found)
        self.record = FusionRecord(
            inputs=fused.inputs,
            error_nats=fused.error_nats,
            mean_error_nats=fused.mean_error_nats,
            trials=len(tried),
            chosen=chosen,
        )
        return found

    def _fused(
        self,
        pool: Sequence[Architecture],
        tried: Mapping[Architecture, int],
        scores: Mapping[int, NetworkScore],
    ) -> Fused:
        untrained = untrained_scores(
            pool, self.training, self.folder / "untrained.jsonl", self.progress
        )
        known = {it.architecture: it for it in self.candidates}
        of = [scores[place] for place in tried.values()]
        errors = paired_errors_nats(of)
        return fuse(
            inputs_of(pool, known, untrained),
            [pool.index(it) for it in tried],
            [it.log_loss_nats for it in of],
            0.0 if errors is None else float(np.sqrt(np.mean(errors**2))),
        )
