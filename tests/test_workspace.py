"""Where things are looked for, and where they are written."""

from pathlib import Path

import pytest

from pipeline import workspace
from pipeline.device import Target, host_slug

SETTING = "onnxruntime-fp32-b1-t1"


@pytest.fixture
def shipped(workdir, tmp_path, monkeypatch) -> Path:
    """A folder of shipped data other than the package's own."""
    folder = tmp_path / "shipped"
    monkeypatch.setattr(workspace, "_SHIPPED", (folder,))
    return folder


def put(root: Path, *names: str) -> list[Path]:
    paths = [root / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


def test_the_cache_is_where_the_variable_says(workdir, tmp_path, monkeypatch):
    assert workspace.cache_dir() == tmp_path / "cache"
    monkeypatch.delenv(workspace.CACHE_VARIABLE)
    assert workspace.cache_dir().name == "cream-pipeline"


def test_runs_lie_in_the_working_directory():
    assert workspace.run_dir("demo") == Path("runs/demo")


def test_tables_are_written_under_the_machines_own_name(shipped):
    here = workspace.table_to_write(Target.parse(f"host/{SETTING}"))
    assert here == Path("latency_tables") / host_slug() / f"{SETTING}.jsonl"
    there = workspace.table_to_write(Target.parse("orin/tensorrt-fp16-b1"))
    assert there == Path("latency_tables/orin/tensorrt-fp16-b1.jsonl")


def test_a_table_here_comes_before_a_shipped_one(shipped):
    target = Target.parse("orin/tensorrt-fp16-b1")
    name = "latency_tables/orin/tensorrt-fp16-b1.jsonl"
    assert workspace.table_to_read(target) == Path(name)
    (theirs,) = put(shipped, name)
    assert workspace.table_to_read(target) == theirs
    put(Path(), name)
    assert workspace.table_to_read(target) == Path(name)


def test_targets_with_tables_are_listed_once_and_this_machine_is_host(shipped):
    mine = f"latency_tables/{host_slug()}/{SETTING}.jsonl"
    put(Path(), mine, "latency_tables/orin/tensorrt-fp16-b1.jsonl")
    put(shipped, mine, "latency_tables/rtx4090/tensorrt-fp16-b1.jsonl")
    names = [target.name for target in workspace.all_targets_with_tables()]
    assert sorted(names) == sorted(
        [f"host/{SETTING}", "orin/tensorrt-fp16-b1", "rtx4090/tensorrt-fp16-b1"]
    )


def test_a_file_among_the_tables_that_is_none_hides_no_table(shipped):
    put(
        Path(),
        "latency_tables/orin/tensorrt-fp16-b1.jsonl",
        "latency_tables/orin/tensorrt-fp16-b1.model.json",
        "latency_tables/README.md",
    )
    names = [target.name for target in workspace.all_targets_with_tables()]
    assert names == ["orin/tensorrt-fp16-b1"]


def test_no_tables_are_no_targets(shipped):
    assert workspace.all_targets_with_tables() == []


def test_profiles_here_come_before_shipped_ones(shipped):
    put(Path(), "profiles/orin.yaml")
    theirs = put(shipped, "profiles/orin.yaml", "profiles/host.yaml")
    assert workspace.profile_files() == {"orin": Path("profiles/orin.yaml"), "host": theirs[1]}
