"""Campaigns that are interrupted, extended, and given models that an engine refuses; for real."""

import json
import os
import signal
from pathlib import Path

import pytest

from pipeline.campaign import Campaign, conditions, run_campaign
from pipeline.device import Target, environment
from pipeline.errors import MeasurementError, TableError, UnavailableError
from pipeline.export_cache import cached_operator
from pipeline.journal import read_journal
from pipeline.measure import TimingProtocol
from pipeline.operator_spec import parse_key
from pipeline.workspace import CACHE_VARIABLE

TARGET = Target.parse("host/onnxruntime-fp32-b1-t1")
QUICK = TimingProtocol(sweeps=3, warm_runs=0, runs=2, burst_ms=0, warmup_ms=0, control_runs=2)
KEYS = ("cn_k1_s1_i8_o8_r8", "cn_k1_s1_i8_o16_r8")


@pytest.fixture(scope="module")
def models(exports: Path) -> dict[str, Path]:
    """Two operators that take microseconds."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CACHE_VARIABLE, str(exports))
        return {key: cached_operator(parse_key(key), batch=1) for key in KEYS}


@pytest.fixture
def broken(models: dict[str, Path], tmp_path: Path) -> Path:
    """A folder with a model that was cut."""
    (tmp_path / "broken").mkdir()
    whole = (models[KEYS[0]] / "model.onnx").read_bytes()
    (tmp_path / "broken" / "model.onnx").write_bytes(whole[:-100])
    return tmp_path / "broken"


def run(subjects: dict[str, Path], journal: Path, **changes: object) -> Campaign:
    control = next(iter(subjects.values()))
    settings = {"control": control, "target": TARGET, "protocol": QUICK, **changes}
    return run_campaign(subjects, journal_path=journal, **settings)


def test_every_subject_is_visited_in_every_sweep(models: dict[str, Path], tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    found = run(models, tmp_path / "j", progress=lambda *at: seen.append(at))
    assert list(found.stats) == list(KEYS)
    for key in KEYS:
        assert sorted(visit.sweep for visit in found.visits[key]) == [0, 1, 2]
        assert found.stats[key].n == 6
        assert 0 < found.stats[key].min <= found.stats[key].typical * 3
        assert found.precision[key] == "fp32"
    assert (found.measured, found.reused, found.failed) == (6, 0, {})
    assert found.control.n == 12
    assert [at[:2] for at in seen] == [(0, 6), (0, 6), *((done, 6) for done in range(1, 7))]
    assert {note for _, _, note in seen[2:]} == set(KEYS)


@pytest.mark.parametrize("after", [1, 2, 5])
def test_an_interrupted_campaign_repeats_nothing_and_loses_nothing(
    models: dict[str, Path], tmp_path: Path, after: int
) -> None:
    def interrupt(done: int, total: int, note: str = "") -> None:
        if done == after:
            raise KeyboardInterrupt

    path = tmp_path / "j"
    with pytest.raises(KeyboardInterrupt):
        run(models, path, progress=interrupt)
    before = path.read_bytes()
    assert len(read_journal(path)[1]) == after
    found = run(models, path)
    assert path.read_bytes().startswith(before)
    visits = read_journal(path)[1]
    made = [(visit.sweep, visit.key) for visit in visits]
    assert sorted(made) == sorted((sweep, key) for sweep in range(3) for key in KEYS)
    assert (found.measured, found.reused) == (6 - after, after)
    # The order is that of a campaign nobody disturbed.
    undisturbed = run(models, tmp_path / "other")
    assert undisturbed.measured == 6
    assert made == [(v.sweep, v.key) for v in read_journal(tmp_path / "other")[1]]


def test_what_was_measured_is_told_again_without_measuring(
    models: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "j"
    first = run(models, path)
    before = path.read_bytes()
    # Where nothing is left to measure, nothing is opened: the models need not even be there.
    again = run(dict.fromkeys(KEYS, tmp_path / "gone"), path)
    assert path.read_bytes() == before
    assert (again.measured, again.reused) == (0, 6)
    assert (again.stats, again.visits) == (first.stats, first.visits)
    assert again.precision == dict.fromkeys(KEYS, "fp32")
    assert again.control == first.control


def test_more_sweeps_go_on_in_the_same_journal(models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "j"
    run(models, path)
    more = run(models, path, protocol=QUICK.model_copy(update={"sweeps": 5}))
    assert (more.measured, more.reused) == (4, 6)
    assert [visit.sweep for visit in more.visits[KEYS[0]]] == [0, 1, 2, 3, 4]


def test_a_subject_that_comes_later_is_measured_alone(
    models: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "j"
    run({KEYS[0]: models[KEYS[0]]}, path)
    both = run(models, path)
    assert (both.measured, both.reused) == (3, 3)
    only = run({KEYS[1]: models[KEYS[1]]}, path)
    assert list(only.stats) == [KEYS[1]]
    assert (only.measured, only.reused) == (0, 3)


def test_another_protocol_needs_another_journal(models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "j"
    run(models, path)
    before = path.read_bytes()
    with pytest.raises(TableError, match=r"other conditions: protocol\.runs was 2, is 3"):
        run(models, path, protocol=QUICK.model_copy(update={"runs": 3}))
    assert path.read_bytes() == before


def test_a_refused_model_ends_the_campaign(
    models: dict[str, Path], broken: Path, tmp_path: Path
) -> None:
    with pytest.raises(MeasurementError, match=r"broken/model\.onnx: ONNX Runtime refuses it"):
        run({**models, "broken": broken}, tmp_path / "j")


def test_a_refused_model_is_reported_where_others_go_on(
    models: dict[str, Path], broken: Path, tmp_path: Path
) -> None:
    path = tmp_path / "j"
    found = run({**models, "broken": broken}, path, skip_refused=True)
    assert list(found.failed) == ["broken"]
    assert "ONNX Runtime refuses it" in found.failed["broken"]
    assert set(found.stats) == set(found.visits) == set(found.precision) == set(KEYS)
    assert (found.measured, found.reused) == (6, 0)
    again = run({**models, "broken": broken}, path, skip_refused=True)
    assert again.failed == found.failed
    assert again.stats == found.stats
    assert (again.measured, again.reused) == (0, 6)


def test_where_every_model_is_refused_the_reason_is_told(
    models: dict[str, Path], broken: Path, tmp_path: Path
) -> None:
    with pytest.raises(MeasurementError, match=r"broken/model\.onnx: ONNX Runtime refuses it"):
        run({"broken": broken}, tmp_path / "j", control=models[KEYS[0]], skip_refused=True)


def test_a_model_that_takes_the_process_with_it_is_named(
    models: dict[str, Path], tmp_path: Path
) -> None:
    def kill(done: int, total: int, note: str = "") -> None:
        if note == "opening 2 of 2":
            os.kill(measuring_process(), signal.SIGKILL)

    for skip_refused in (False, True):
        with pytest.raises(MeasurementError, match=rf"died \(signal 9\) at open {KEYS[1]}"):
            run(models, tmp_path / "j", skip_refused=skip_refused, progress=kill)


def measuring_process() -> int:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    (found,) = [
        int(pid)
        for pid in children
        if b"pipeline.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return found


def test_a_target_on_another_machine_measures_nothing(
    models: dict[str, Path], tmp_path: Path
) -> None:
    foreign = Target.parse("another-board/onnxruntime-fp32-b1-t1")
    with pytest.raises(UnavailableError, match="another-board"):
        run(models, tmp_path / "j", target=foreign)


def test_conditions_are_what_decides_latency() -> None:
    here = conditions(TARGET, QUICK)
    assert here == json.loads(json.dumps(here))
    assert here["target"] == "onnxruntime-fp32-b1-t1"
    assert here["device"] == TARGET.device_slug
    assert here["packages"]["onnxruntime"] == environment().packages["onnxruntime"]
    assert "sweeps" not in here["protocol"]
    assert here == conditions(TARGET, QUICK.model_copy(update={"sweeps": 12}))
    two_threads = conditions(Target.parse("host/onnxruntime-fp32-b1-t2"), QUICK)
    assert two_threads != here
