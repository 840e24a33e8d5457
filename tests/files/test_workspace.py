"""Where things are looked for, and where they are written."""

from pathlib import Path

from pipeline.files import workspace
from pipeline.files.cache_folder import CACHE_VARIABLE, cache_dir
from tests.files.put import put


def test_the_cache_is_where_the_variable_says(workdir, tmp_path, monkeypatch):
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv(CACHE_VARIABLE)
    assert cache_dir().name == "cream-pipeline"


def test_runs_lie_in_the_working_directory():
    assert workspace.run_dir("demo") == Path("runs/demo")


def test_profiles_here_come_before_shipped_ones(shipped):
    put(Path(), "profiles/orin.yaml")
    theirs = put(shipped, "profiles/orin.yaml", "profiles/host.yaml")
    assert workspace.profile_files() == {"orin": Path("profiles/orin.yaml"), "host": theirs[1]}
