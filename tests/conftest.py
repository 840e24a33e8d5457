"""Shared by all tests: an empty place to work in, and random architectures."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pipeline.space import RESOLUTIONS, Architecture, get_space, space_names


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, with an empty cache beside it."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CREAM_PIPELINE_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture(scope="session")
def architectures() -> Callable[..., SearchStrategy[Architecture]]:
    """Makes a strategy: architectures of all spaces, or of the one named."""

    @st.composite
    def draw_one(draw: st.DrawFn, space: str | None = None) -> Architecture:
        chosen = get_space(draw(st.sampled_from(space_names())) if space is None else space)
        stage = st.lists(
            st.sampled_from(chosen.operators), min_size=1, max_size=chosen.max_depth
        ).map(tuple)
        count = len(chosen.stages)
        return Architecture(
            space=chosen.name,
            resolution=draw(st.sampled_from(RESOLUTIONS)),
            num_classes=draw(st.integers(1, 2000)),
            stages=tuple(draw(st.lists(stage, min_size=count, max_size=count))),
            name=draw(st.none() | st.text(min_size=1, max_size=8)),
        )

    return draw_one
