"""Shared by all tests: an empty place to work in, and random architectures."""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pipeline.files import workspace
from pipeline.files.cache_folder import CACHE_VARIABLE
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import RESOLUTIONS, get_space, space_names
from tests.skips import pytest_terminal_summary as pytest_terminal_summary


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--report", help="the page that tests/report/test_browser.py looks at")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """A folder's tests run in one process, with the exports, bundles and networks they share."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFolder(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid.partition("::")[0].rpartition("/")[0]

    return ByFolder(config, log)


def pytest_collection_finish() -> None:
    """What was imported and collected stays: the garbage collector need not look at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, with an empty cache beside it."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    # Tables measured in this checkout would be found as shipped ones.
    monkeypatch.setattr(workspace, "_SHIPPED", ())
    monkeypatch.setenv("CREAM_PIPELINE_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def shipped(workdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of shipped data other than the package's own."""
    folder = tmp_path / "shipped"
    monkeypatch.setattr(workspace, "_SHIPPED", (folder,))
    return folder


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: the same bits, and no threads that wait for each other."""
    # Most tests need no torch.
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache of exported models for all tests that measure: exporting is what takes long."""
    run = tmp_path_factory.getbasetemp()
    # Of several processes each has a folder of its own within that of the run.
    folder = (run.parent if "PYTEST_XDIST_WORKER" in os.environ else run) / "exports"
    folder.mkdir(exist_ok=True)
    # Few tests measure.
    from pipeline.space.architecture_file import published
    from tests.measure.tiny import networks

    def control_or(name: str, **changes: int) -> Architecture:
        return published(name, **changes) if changes else networks()[0]

    with pytest.MonkeyPatch.context() as patched:
        # Further processes would load PyTorch once more, and the cores are busy with tests.
        patched.setattr("pipeline.export.cache.usable_cores", lambda: 1)
        # What tells how fast the machine is may be any network: one that is exported anyway.
        for user in ("latency.checking", "latency.profiling", "trials.benchmark"):
            patched.setattr(f"pipeline.{user}.published", control_or)
        patched.setattr("pipeline.trials.verification.published", control_or)
        yield folder


@pytest.fixture
def bench_dir(workdir: Path, exports: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`workdir` with the shared cache of exports."""
    monkeypatch.setenv(CACHE_VARIABLE, str(exports))
    return workdir


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
