"""Processes of one machine share its cores when they read images."""

import pytest

from pipeline.images import workers
from pipeline.images.workers import reading_workers


@pytest.mark.parametrize(
    ("cores", "processes", "expected"), [(8, None, 8), (8, "2", 4), (8, "3", 2), (2, "4", 1)]
)
def test_processes_share_the_cores(
    cores: int, processes: str | None, expected: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(workers, "usable_cores", lambda: cores)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if processes is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert reading_workers() == expected
