"""A search's scores on disk, so that one that was killed asks for none twice."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from pipeline.files.json_lines import JsonLines
from pipeline.search.scoring import Scored
from pipeline.space.architecture import Architecture
from pipeline.training.scoring.network_score import NetworkScore

_HITS_ALONE = {"architecture", "accuracy_percent", "seconds"}
"""What a line holds that was written when hits were all that was counted."""


class ScoreJournal:
    """Scores as they are made, one synced JSON line each; a line that was cut is dropped.

    Lines that hold no log-loss are passed over: those scores are made again.

    Args:
        path: The file; made by the first score.

    Attributes:
        known: Scores that were there already, by `Architecture.short`.

    Raises:
        StorageError: The file cannot be read, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._lines = JsonLines(path)
        self.known: dict[str, Scored] = {}
        try:
            for kept in self._lines.known:
                if set(kept) != _HITS_ALONE:
                    score = NetworkScore.from_json(kept)
                    self.known[str(kept["architecture"])] = Scored(score, float(kept["seconds"]))
        except (ValueError, KeyError, TypeError):
            raise self._lines.damaged() from None

    def append(self, architecture: Architecture, scored: Scored) -> None:
        """Adds a score."""
        score, seconds = asdict(scored.score), scored.seconds
        self._lines.append({"architecture": architecture.short, **score, "seconds": seconds})
