"""Nothing measured is lost: kills, full disks, damaged lines, two writers."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.device.machine_state import MachineState
from pipeline.errors import StorageError, TableError
from pipeline.measure.journal import Header, Journal, field_differences, read_journal, set_aside
from pipeline.measure.statistics import Visit
from tests.checkout import ROOT

CONDITIONS: dict[str, Any] = {
    "target": "onnxruntime-fp32-b1-t1",
    "protocol": {"runs": 8, "burst_ms": 2.0},
    "cpu_flags": ["avx2"],
}


def a_visit(sweep: int, key: str = "a", **kept: Any) -> Visit:
    return Visit(
        sweep=sweep,
        key=key,
        samples_ms=(0.123456, 1e-06, 1 / 3),
        control_before_ms=(1.0,),
        control_after_ms=(2.0,),
        at="2026-01-01T00:00:00.000+00:00",
        precision="fp32",
        **kept,
    )


STATE = MachineState(load_1min=0.25, frequency_mhz=2999.998, temperature_c=None)
VISITS = [
    a_visit(0),
    a_visit(0, "b", state=STATE, interruptions=3),
    a_visit(1, "é ü", state=MachineState(), interruptions=0),
    a_visit(1),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a journal with four visits."""
    file = tmp_path / "tables" / "visits.jsonl"
    with Journal(file, CONDITIONS) as journal:
        for visit in VISITS:
            journal.append(visit)
    return file


def test_what_was_appended_is_read(path: Path) -> None:
    header, visits = read_journal(path)
    assert header == {"schema_version": 2, **CONDITIONS}
    assert visits == VISITS


def test_what_the_machine_did_is_kept(path: Path) -> None:
    kept = [(visit.state, visit.interruptions) for visit in read_journal(path)[1]]
    assert kept == [(None, None), (STATE, 3), (MachineState(), 0), (None, None)]


def test_a_journal_goes_on_where_it_ended(path: Path) -> None:
    before = path.read_bytes()
    with Journal(path, CONDITIONS) as journal:
        assert journal.visits == VISITS
        assert journal.done == {(0, "a"), (0, "b"), (1, "é ü"), (1, "a")}
        assert path.read_bytes() == before
        journal.append(a_visit(2))
        assert (2, "a") in journal.done
    assert read_journal(path)[1] == [*VISITS, a_visit(2)]
    assert path.read_bytes().startswith(before)


def test_every_visit_is_on_the_disk_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def sync(file: int) -> None:
        synced.append(os.fstat(file).st_size)

    monkeypatch.setattr(os, "fsync", sync)
    with Journal(tmp_path / "j", CONDITIONS) as journal:
        for number, visit in enumerate(VISITS, start=2):
            journal.append(visit)
            assert len(synced) == number
            assert synced[-1] == (tmp_path / "j").stat().st_size


def test_a_journal_cut_at_any_byte_keeps_the_whole_visits_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)  # a thousand of them take seconds
    whole = path.read_bytes()
    ends = line_ends(whole)
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = max(0, sum(end <= cut for end in ends) - 1)
        with Journal(path, CONDITIONS) as journal:
            assert journal.visits == VISITS[:kept], cut
            assert path.read_bytes() == whole[: ends[kept]], cut
            journal.append(VISITS[-1])
        assert path.read_bytes().startswith(whole[: ends[kept]])
        if cut % 16 == 0:
            assert read_journal(path)[1] == [*VISITS[:kept], VISITS[-1]], cut


def test_reading_a_cut_journal_is_an_error_with_a_way_out(path: Path) -> None:
    whole = path.read_bytes()
    ends = line_ends(whole)
    for cut in [*range(0, len(whole), 11), *(end - 1 for end in ends)]:
        path.write_bytes(whole[:cut])
        if cut in ends:
            continue
        with pytest.raises(TableError) as caught:
            read_journal(path)
        assert str(path) in caught.value.message
        assert caught.value.hint
        if cut > ends[0]:
            number = 1 + sum(end < cut for end in ends)
            assert f":{number}: the line is cut" in caught.value.message
            assert "same profile command" in caught.value.hint
    assert path.read_bytes() == whole[:-1]  # reading repairs nothing


def line_ends(content: bytes) -> list[int]:
    return [index + 1 for index, byte in enumerate(content) if byte == ord("\n")]


def test_a_changed_byte_before_the_last_line_names_the_line(path: Path) -> None:
    whole = path.read_bytes()
    last = line_ends(whole)[-2]
    for place in range(last - 1):
        line = 1 + whole[:place].count(b"\n")
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(TableError, match=rf":{line}: the line is damaged") as caught:
            read_journal(path)
        assert caught.value.hint
    # Measuring on does not help either, and leaves the file for whoever looks into it.
    with pytest.raises(TableError, match=":4: the line is damaged"):
        Journal(path, CONDITIONS)
    assert path.read_bytes() == damaged


def test_a_damaged_last_line_is_measured_again(path: Path) -> None:
    """As a crash of the machine may leave it: the right length, other content."""
    path.write_bytes(path.read_bytes()[:-3] + b"?}\n")
    with pytest.raises(TableError, match=":5: the line is cut"):
        read_journal(path)
    with Journal(path, CONDITIONS) as journal:
        assert journal.visits == VISITS[:-1]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"{}\n{}\n", id="other JSON"),
        pytest.param(b"hello\nthere\n", id="text"),
        pytest.param(b"hello\n", id="a line"),
        pytest.param(b"hello", id="a word"),
        pytest.param(b"\x00\xff\n\x00\n", id="bytes"),
        pytest.param(b"[" * 100_000 + b"\n[]\n", id="deeply nested"),
        pytest.param(b"1" * 5_000 + b"\n1\n", id="a long number"),
        pytest.param(b'{"crc":"1","line":null}\n\n', id="a wrong checksum"),
        pytest.param(b'{"crc":"%08x","line":[]}\n' % zlib.crc32(b"[]"), id="a list"),
    ],
)
def test_a_file_that_is_no_journal_is_refused_and_left_alone(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "j"
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"j:1: the line is damaged"):
        read_journal(path)
    with pytest.raises(TableError, match=r"j:1: the line is damaged"):
        Journal(path, CONDITIONS)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"visit": {"sweep": 1}}, ":2: the line holds no visit"),
        ({"header": {"schema_version": 2}}, ":2: the line holds no visit"),
    ],
)
def test_a_sound_line_that_is_no_visit_is_named(
    tmp_path: Path, line: dict[str, Any], told: str
) -> None:
    path = tmp_path / "j"
    Journal(path, CONDITIONS).__exit__(None, None, None)
    path.write_bytes(path.read_bytes() + sealed(line))
    with pytest.raises(TableError, match=told):
        read_journal(path)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"visit": VISITS[0].model_dump()}, "the first line is no header"),
        ({"header": {"schema_version": 0}}, "schema version 0, expected 2 or, to be upgraded, 1"),
        ({"header": {"schema_version": 3}}, "schema version 3, expected 2"),
        ({"header": {"schema_version": 99}}, "schema version 99, expected 2"),
        ({"header": {"schema_version": "2"}}, "schema version '2', expected 2"),
        ({"header": {"schema_version": [1]}}, r"schema version \[1\], expected 2"),
        ({"header": {}}, "schema version None, expected 2"),
    ],
)
def test_a_sound_line_that_is_no_header_is_named(
    tmp_path: Path, line: dict[str, Any], told: str
) -> None:
    path = tmp_path / "j"
    path.write_bytes(sealed(line))
    before = path.read_bytes()
    with pytest.raises(TableError, match=told):
        read_journal(path)
    with pytest.raises(TableError, match=told):
        Journal(path, CONDITIONS)
    assert path.read_bytes() == before


def sealed(content: dict[str, Any]) -> bytes:
    """A line as documented: the checksum is over the content as compact JSON."""
    body = json.dumps(content, separators=(",", ":"))
    return b'{"crc":"%08x","line":%s}\n' % (zlib.crc32(body.encode()), body.encode())


def test_an_empty_or_missing_journal_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        read_journal(tmp_path / "none")
    (tmp_path / "empty").touch()
    with pytest.raises(TableError, match="is empty"):
        read_journal(tmp_path / "empty")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"target": "x"}, "target was 'onnxruntime-fp32-b1-t1', is 'x'"),
        ({"protocol": {"runs": 9, "burst_ms": 2.0}}, "protocol.runs was 8, is 9"),
        ({"cpu_flags": ["avx2", "sve"]}, r"cpu_flags was \['avx2'\], is \['avx2', 'sve'\]"),
        ({"governor": "performance"}, "governor was None, is 'performance'"),
    ],
)
def test_other_conditions_are_refused_and_the_difference_named(
    path: Path, change: dict[str, Any], told: str
) -> None:
    before = path.read_bytes()
    with pytest.raises(TableError, match="was measured under other conditions") as caught:
        Journal(path, {**CONDITIONS, **change})
    assert caught.match(told)
    assert ";" not in caught.value.message
    assert caught.value.hint
    assert path.read_bytes() == before


def test_the_same_conditions_in_another_shape_are_the_same(path: Path) -> None:
    """JSON knows neither tuples nor an order of keys."""
    given = {**dict(reversed(CONDITIONS.items())), "cpu_flags": ("avx2",)}
    with Journal(path, given) as journal:
        assert journal.visits == VISITS


def test_who_opens_a_journal_can_say_what_matters(path: Path) -> None:
    asked: list[tuple[Header, Header]] = []

    def only_the_target(found: Header, given: Header) -> list[str]:
        asked.append((found, given))
        return [] if found["target"] == given["target"] else ["another target"]

    given = {**CONDITIONS, "cpu_flags": ("sve",)}
    with Journal(path, given, differences=only_the_target) as journal:
        assert journal.visits == VISITS
        journal.append(a_visit(9))
    with pytest.raises(TableError, match="under other conditions: another target"):
        Journal(path, {**given, "target": "x"}, differences=only_the_target)
    found = {"schema_version": 2, **CONDITIONS}
    assert asked[0] == (found, {**found, "cpu_flags": ["sve"]})
    assert read_journal(path) == (found, [*VISITS, a_visit(9)])  # the header stays the first one


def test_a_new_journal_is_compared_with_nothing(tmp_path: Path) -> None:
    def never(found: Header, given: Header) -> list[str]:
        raise AssertionError

    with Journal(tmp_path / "j", CONDITIONS, differences=never) as journal:
        assert journal.visits == []


VALUES = st.recursive(
    st.none() | st.integers(0, 2) | st.sampled_from(["x", "y"]),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
HEADERS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@given(HEADERS, HEADERS)
def test_headers_differ_in_a_field_or_are_the_same(found: Header, given_: Header) -> None:
    told = field_differences(found, given_)
    assert field_differences(found, found) == []
    assert len(told) == len(field_differences(given_, found)) == len(set(told))
    if not told:
        assert flat(found) == flat(given_)
    for sentence in told:
        field = sentence.split(" was ")[0]
        here, there = at(found, field), at(given_, field)
        assert sentence == f"{field} was {here!r}, is {there!r}"
        assert here != there


def at(header: Header, field: str) -> Any:
    value: Any = header
    for name in field.split("."):
        value = value.get(name)
    return value


def flat(header: Header, before: str = "") -> dict[str, Any]:
    """Fields by their dotted names, those that say nothing left out."""
    fields: dict[str, Any] = {}
    for key, value in header.items():
        if isinstance(value, dict):
            fields.update(flat(value, f"{before}{key}."))
        elif value is not None:
            fields[f"{before}{key}"] = value
    return fields


# Journals made under other conditions are set aside.


def beside(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(CONDITIONS, id="the same"),
        pytest.param({**CONDITIONS, "cpu_flags": ("avx2",)}, id="in another shape"),
    ],
)
def test_a_journal_of_these_conditions_stays(path: Path, given: Header) -> None:
    before = beside(path)
    assert set_aside(path, given, field_differences) is None
    assert beside(path) == before


def test_a_journal_of_other_conditions_makes_place_and_is_kept(path: Path) -> None:
    (path.parent / "visits.model.json").write_text("its model")
    (path.parent / "other.jsonl").write_text("another journal")
    before = path.read_bytes()
    given = {**CONDITIONS, "target": "x"}
    aside = set_aside(path, given, field_differences)
    assert aside is not None
    assert aside.name.startswith("visits.before-")
    assert read_journal(aside) == ({"schema_version": 2, **CONDITIONS}, VISITS)
    model = aside.with_suffix(".model.json")
    assert beside(path) == {
        aside.name: before,
        model.name: b"its model",
        "other.jsonl": b"another journal",
    }
    with Journal(path, given) as journal:
        assert journal.visits == []
    assert set_aside(path, given, field_differences) is None
    # Another is set aside without touching the first.
    set_aside(path, CONDITIONS, field_differences)
    assert read_journal(aside)[1] == VISITS


@pytest.mark.parametrize("content", [None, b"", b'{"crc":"12', b"hello"])
def test_where_there_is_no_journal_nothing_is_set_aside(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "j").write_bytes(content)
    before = beside(tmp_path / "j")
    assert set_aside(tmp_path / "j", CONDITIONS, field_differences) is None
    assert beside(tmp_path / "j") == before


def test_a_damaged_journal_is_not_set_aside(path: Path) -> None:
    path.write_bytes(b"x" + path.read_bytes())
    before = beside(path)
    with pytest.raises(TableError, match=":1: the line is damaged"):
        set_aside(path, {**CONDITIONS, "target": "x"}, field_differences)
    assert beside(path) == before


# Journals of the version before, as it wrote them.

FACTS = {
    "cpu": "Some CPU @ 2.6GHz",
    "cpu_flags": ["avx2", "avx512f"],
    "cores": 2,
    "packages": {"torch": "2.13.0", "onnxscript": "0.6.1", "onnxruntime": "1.26.0"},
}
SETTINGS = {
    "device": "some-cpu-2c",
    "target": "onnxruntime-fp32-b1-t1",
    "protocol": {"warm_runs": 3, "runs": 8, "burst_ms": 2.0},
    "control": "cream-43",
}
ENVIRONMENT = {
    "device": "some-cpu-2c",
    **FACTS,
    "memory_gib": None,
    "governor": None,
    "os": "not kept",
    "python": "not kept",
}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A journal of version 1 with two visits."""
    file = tmp_path / "old.jsonl"
    lines = [{"header": {"schema_version": 1, **SETTINGS, **FACTS}}]
    for visit in (a_visit(0), a_visit(0, "b")):
        fields = visit.model_dump()
        del fields["state"], fields["interruptions"]
        lines.append({"visit": fields})
    file.write_bytes(b"".join(map(sealed, lines)))
    return file


def test_a_journal_of_version_1_is_read_as_one_of_today(old: Path) -> None:
    before = old.read_bytes()
    header, visits = read_journal(old)
    assert header == {"schema_version": 2, **SETTINGS, "environment": ENVIRONMENT}
    assert visits == [a_visit(0), a_visit(0, "b")]
    assert {(visit.state, visit.interruptions) for visit in visits} == {(None, None)}
    assert old.read_bytes() == before  # reading writes nothing


def test_a_journal_of_version_1_goes_on(old: Path) -> None:
    before = old.read_bytes()
    given = {**SETTINGS, "environment": ENVIRONMENT}
    new = a_visit(1, state=STATE, interruptions=1)
    for number in range(2):
        with Journal(old, given) as journal:
            assert len(journal.visits) == 2 + number
            journal.append(new.model_copy(update={"sweep": 1 + number}))
    header, visits = read_journal(old)
    assert header == {"schema_version": 2, **given}
    assert visits[:2] == [a_visit(0), a_visit(0, "b")]
    assert visits[2:] == [new, new.model_copy(update={"sweep": 2})]
    assert old.read_bytes().startswith(before)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"target": "x"}, "target was 'onnxruntime-fp32-b1-t1', is 'x'"),
        (
            {"environment": {**ENVIRONMENT, "cpu": "Other"}},
            "environment.cpu was 'Some CPU @ 2.6GHz', is 'Other'",
        ),
    ],
)
def test_a_journal_of_version_1_is_refused_under_other_conditions(
    old: Path, change: dict[str, Any], told: str
) -> None:
    before = old.read_bytes()
    with pytest.raises(TableError, match="under other conditions") as caught:
        Journal(old, {**SETTINGS, "environment": ENVIRONMENT, **change})
    assert told in caught.value.message
    assert old.read_bytes() == before


def test_a_cut_journal_of_version_1_goes_on_too(old: Path) -> None:
    old.write_bytes(old.read_bytes()[:-5])
    with Journal(old, {**SETTINGS, "environment": ENVIRONMENT}) as journal:
        assert journal.visits == [a_visit(0)]


def test_what_version_1_did_not_keep_is_not_made_up(tmp_path: Path) -> None:
    """Made-up tables of the version before held less; no machine is invented for them."""
    path = tmp_path / "j"
    path.write_bytes(sealed({"header": {"schema_version": 1, "device": "x", "target": "y"}}))
    header, _ = read_journal(path)
    assert set(header["environment"]) == {"device", "memory_gib", "governor", "os", "python"}


@pytest.mark.parametrize("failing", ["write", "fsync"])
def test_a_full_disk_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    before = path.read_bytes()
    write = os.write

    def full(file: int, data: bytes = b"") -> int:
        if failing == "write" and len(data) > 20:
            return write(file, data[:20])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Journal(path, CONDITIONS) as journal:
        with monkeypatch.context() as patched:
            patched.setattr(os, failing, full)
            with pytest.raises(StorageError, match=r"visits\.jsonl: No space left") as caught:
                journal.append(a_visit(9))
        assert caught.value.hint
        assert path.read_bytes() == before
        assert journal.visits == VISITS
        journal.append(a_visit(9))  # there is space again
    assert read_journal(path)[1] == [*VISITS, a_visit(9)]


def test_short_writes_are_gone_on_with(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
    with Journal(path, CONDITIONS) as journal:
        journal.append(a_visit(9))
    assert read_journal(path)[1] == [*VISITS, a_visit(9)]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        Journal(tmp_path / "file" / "j", CONDITIONS)
    with pytest.raises(StorageError, match="directory"):
        Journal(tmp_path, CONDITIONS)


# Two processes at once. Each says `waiting` when it has to wait, and appends as many visits under
# its own key as its second argument says, in rounds of five.
WRITER = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from pipeline.measure.journal import Journal
    from pipeline.measure.statistics import Visit

    path, count, key = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    for start in range(0, count, 5):
        with Journal(path, {"target": "x"}, lambda: print("waiting", flush=True)) as journal:
            for sweep in range(start, start + 5):
                journal.append(
                    Visit(sweep=sweep, key=key, samples_ms=(1.0,), control_before_ms=(1.0,),
                          control_after_ms=(1.0,), at=str(len(journal.visits)), precision="fp32")
                )
                time.sleep(0.002)
            print("appended", flush=True)
            if key == "holder":
                time.sleep(600)
    """
)


def start_writer(path: Path, count: int, key: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(count), key],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_take_turns_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "j"
    writers = [start_writer(path, 30, key) for key in ("one", "two")]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    visits = read_journal(path)[1]
    assert len(visits) == 60
    assert {(v.sweep, v.key) for v in visits} == {
        (sweep, key) for sweep in range(30) for key in ("one", "two")
    }
    # Each saw all visits made before its own, and no other wrote while it held the journal.
    assert [visit.at for visit in visits] == [str(number) for number in range(60)]
    for turn in range(0, 60, 5):
        assert len({visit.key for visit in visits[turn : turn + 5]}) == 1


def test_who_comes_second_says_that_it_waits_and_sees_what_the_first_wrote(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path, {"target": "x"}) as journal:
        second = start_writer(path, 5, "second")
        assert second.stdout is not None
        assert second.stdout.readline() == "waiting\n"
        journal.append(a_visit(0))
        assert read_journal(path)[1] == [a_visit(0)]
    assert second.communicate(timeout=60)[0] == "appended\n"
    assert [visit.key for visit in read_journal(path)[1]] == ["a", *["second"] * 5]


def test_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "j"
    holder = start_writer(path, 5, "holder")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "appended\n"
    holder.send_signal(signal.SIGKILL)
    holder.communicate(timeout=60)
    waited: list[bool] = []
    with Journal(path, {"target": "x"}, lambda: waited.append(True)) as journal:
        assert len(journal.visits) == 5
    assert not waited
