"""Training on a GPU: what only a GPU can show."""

from pathlib import Path

import pytest
import torch

from pipeline.images.datasets import open_dataset
from pipeline.network.supernet import load_supernet
from pipeline.training import fitting
from pipeline.training.hypernetwork.path_sampling import PathSampler
from pipeline.training.scoring.evaluation import HypernetworkScorer
from pipeline.training.settings import ScoreSettings
from tests.training.tiny import CREAM, NARROW, train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here"),
]

SETTINGS = CREAM.model_copy(update={"epochs": 12, "batch_size": 32})


@pytest.mark.parametrize("method", ["single-path", "cream", "sandwich"])
def test_it_learns_in_reduced_precision(method: str, tmp_path: Path):
    settings = SETTINGS.model_copy(update={"method": method})
    record = train(tmp_path, settings=settings, images=None)
    assert record.compute.endswith(("bfloat16", "float16"))
    data = open_dataset("digits", resolution=32, seed=0)
    score = HypernetworkScorer(
        load_supernet(tmp_path / record.checkpoint), data, ScoreSettings(images=143)
    )
    paths = [PathSampler(NARROW, 10, seed=5).draw(32, number) for number in range(3)]
    assert min(it.accuracy_percent for it in score.scores(paths)) > 60


def test_no_step_waits_for_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Steps in which the matching network learns, one in many, may."""
    step = fitting._Loop._step

    def watched(self: fitting._Loop, at: int, batch: object) -> torch.Tensor:
        is_due = (at + 1) % 2 == 0
        torch.cuda.set_sync_debug_mode("default" if is_due else "error")
        try:
            return step(self, at, batch)  # type: ignore[arg-type]
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(fitting._Loop, "_step", watched)
    settings = SETTINGS.model_copy(update={"epochs": 2})
    assert train(tmp_path, settings=settings, images=None).board


def test_blocks_can_be_compiled(tmp_path: Path):
    settings = SETTINGS.model_copy(update={"epochs": 1, "compile": True})
    assert train(tmp_path, settings=settings, images=None).epochs
