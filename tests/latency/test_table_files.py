"""Where tables are looked for, and where they are written."""

from pathlib import Path

from pipeline.device.target import Target, host_slug
from pipeline.latency.table_files import all_targets_with_tables, table_to_read, table_to_write
from tests.files.put import put

SETTING = "onnxruntime-fp32-b1-t1"


def test_tables_are_written_under_the_machines_own_name(shipped):
    here = table_to_write(Target.parse(f"host/{SETTING}"))
    assert here == Path("latency_tables") / host_slug() / f"{SETTING}.jsonl"
    there = table_to_write(Target.parse("orin/tensorrt-fp16-b1"))
    assert there == Path("latency_tables/orin/tensorrt-fp16-b1.jsonl")


def test_a_table_here_comes_before_a_shipped_one(shipped):
    target = Target.parse("orin/tensorrt-fp16-b1")
    name = "latency_tables/orin/tensorrt-fp16-b1.jsonl"
    assert table_to_read(target) == Path(name)
    (theirs,) = put(shipped, name)
    assert table_to_read(target) == theirs
    put(Path(), name)
    assert table_to_read(target) == Path(name)


def test_targets_with_tables_are_listed_once_and_this_machine_is_host(shipped):
    mine = f"latency_tables/{host_slug()}/{SETTING}.jsonl"
    put(Path(), mine, "latency_tables/orin/tensorrt-fp16-b1.jsonl")
    put(shipped, mine, "latency_tables/rtx4090/tensorrt-fp16-b1.jsonl")
    names = [target.name for target in all_targets_with_tables()]
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
    names = [target.name for target in all_targets_with_tables()]
    assert names == ["orin/tensorrt-fp16-b1"]


def test_no_tables_are_no_targets(shipped):
    assert all_targets_with_tables() == []
