"""Training on a GPU: what only a GPU can show."""

from pathlib import Path

import pytest
import torch

from pipeline.images.datasets import open_dataset
from pipeline.network.supernet import load_supernet
from pipeline.space.search_space import SearchSpace
from pipeline.training import fitting
from pipeline.training.hypernetwork.hypernetwork import train_hypernetwork
from pipeline.training.hypernetwork.path_sampling import PathLimits, PathSampler
from pipeline.training.scoring.evaluation import HypernetworkScorer
from pipeline.training.settings import (
    MatchingSettings,
    ScoreSettings,
    TeachingSettings,
    TrainSettings,
)
from pipeline.work.progress import silent

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here"),
]

SETTINGS = TrainSettings(
    method="cream",
    epochs=12,
    batch_size=32,
    growth_share=0.2,
    ema_decay=0.9,
    teaching=TeachingSettings(
        board_size=3, start_share=0.1, matching=MatchingSettings(images=64, probes=4, every=7)
    ),
)


def _train(space: SearchSpace, folder: Path, settings: TrainSettings = SETTINGS):
    data = open_dataset("digits", resolution=32, seed=0, matching_images=64)
    return train_hypernetwork(
        space.narrowed(max_depth=1),
        data,
        settings,
        limits=PathLimits(),
        folder=folder,
        seed=0,
        progress=silent,
    )


@pytest.mark.parametrize("method", ["single-path", "cream", "sandwich"])
def test_it_learns_in_reduced_precision(method: str, space: SearchSpace, tmp_path: Path):
    record = _train(space, tmp_path, SETTINGS.model_copy(update={"method": method}))
    assert record.compute.endswith(("bfloat16", "float16"))
    data = open_dataset("digits", resolution=32, seed=0)
    score = HypernetworkScorer(
        load_supernet(tmp_path / record.checkpoint), data, ScoreSettings(images=143)
    )
    narrow = space.narrowed(max_depth=1)
    paths = [PathSampler(narrow, 10, seed=5).draw(32, number) for number in range(3)]
    assert min(score.scores(paths)) > 60


def test_no_step_waits_for_the_gpu(
    space: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Steps in which the matching network learns, one in many, may."""
    step = fitting._Loop._step

    def watched(self: fitting._Loop, at: int, batch: object) -> torch.Tensor:
        is_due = (at + 1) % 7 == 0
        torch.cuda.set_sync_debug_mode("default" if is_due else "error")
        try:
            return step(self, at, batch)  # type: ignore[arg-type]
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(fitting._Loop, "_step", watched)
    assert _train(space, tmp_path, SETTINGS.model_copy(update={"epochs": 2})).board


def test_blocks_can_be_compiled(space: SearchSpace, tmp_path: Path):
    record = _train(space, tmp_path, SETTINGS.model_copy(update={"epochs": 1, "compile": True}))
    assert record.epochs
