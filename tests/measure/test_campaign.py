"""Campaigns that are interrupted, extended, given models that an engine refuses, and refused.

Those that are about engines run for real; those about machines run on a simulated one.
"""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline.device.fingerprint import Environment, environment
from pipeline.device.target import Target
from pipeline.errors import (
    CrashedError,
    MeasurementError,
    TableError,
    UnavailableError,
    UnsteadyError,
)
from pipeline.export.cache import cached_operator
from pipeline.files.cache_folder import CACHE_VARIABLE
from pipeline.files.record import plain
from pipeline.measure import bench, engines
from pipeline.measure.bench import CONTROL, Course
from pipeline.measure.campaign import (
    Campaign,
    conditions,
    differing_conditions,
    environment_of,
    run_campaign,
    run_campaigns,
)
from pipeline.measure.journal import Journal, read_journal
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import reduce_all
from pipeline.space.operator_spec import parse_key
from tests.checkout import ROOT
from tests.measure import tiny
from tests.measure.simulated import SUBJECTS, ChangingLevels, SimulatedProcess, steady
from tests.measure.tiny import TARGET

QUICK = tiny.QUICK.model_copy(update={"warm_runs": 0, "warmup_ms": 0.0})
USUAL = TimingProtocol(sweep_interval_s=0, warmup_ms=1)
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


Simulate = Callable[[Callable[[float], float]], None]


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch) -> Simulate:
    """Measures on a simulated machine: a steady one, or one as slow as asked."""

    def use(slowness: Callable[[float], float]) -> None:
        def start(target: Target) -> SimulatedProcess:
            return SimulatedProcess(target, slowness)

        monkeypatch.setattr(bench, "MeasuringProcess", start)

    use(steady)
    return use


def run_simulated(
    journal: Path,
    subjects: Mapping[str, Path] | None = None,
    protocol: TimingProtocol = USUAL,
    **changes: Any,
) -> Campaign:
    chosen = {key: Path(key) for key in SUBJECTS} if subjects is None else subjects
    return run_campaign(chosen, Path(CONTROL), TARGET, protocol, journal, **changes)


# Engines, for real.


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
    assert [at[:2] for at in seen] == [(0, 1), (0, 1), *((done, 6) for done in range(1, 7))]
    assert {note for _, _, note in seen[2:]} == set(KEYS)


def test_what_the_machine_did_at_each_visit_is_kept(
    models: dict[str, Path], tmp_path: Path
) -> None:
    found = run(models, tmp_path / "j")
    visits = read_journal(tmp_path / "j")[1]
    assert found.visits == {key: [v for v in visits if v.key == key] for key in KEYS}
    for visit in visits:
        assert visit.state is not None
        assert visit.state.load_1min is not None
        assert visit.state.load_1min >= 0
        assert visit.interruptions is not None
        assert visit.interruptions >= 0
    interrupted = sum(bool(visit.interruptions) for visit in visits)
    assert found.steadiness.interrupted_percent == pytest.approx(100 * interrupted / len(visits))


def test_an_interrupted_campaign_repeats_nothing_and_loses_nothing(
    models: dict[str, Path], tmp_path: Path
) -> None:
    after = 3

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

    with pytest.raises(CrashedError, match=rf"died \(signal 9\) at open {KEYS[1]}"):
        run(models, tmp_path / "j", progress=kill)
    found = run(models, tmp_path / "j", skip_refused=True, progress=kill)
    assert list(found.stats) == [KEYS[0]]
    assert re.search(rf"died \(signal 9\) at open {KEYS[1]}", found.failed[KEYS[1]])


class Killer:
    """Kills the measuring process before each of some visits."""

    def __init__(self, *visits: int) -> None:
        self.visits = set(visits)
        self.killed: list[int] = []

    def __call__(self, done: int, total: int, note: str = "") -> None:
        if done in self.visits and not note.startswith("opening"):
            self.visits.remove(done)
            self.killed.append(measuring_process())
            os.kill(self.killed[-1], signal.SIGKILL)


def copies(models: dict[str, Path], names: str) -> dict[str, Path]:
    return {f"{key} {name}": model for key, model in models.items() for name in names}


def run_all(
    subjects: dict[str, Path], models: dict[str, Path], journal: Path, killer: Killer
) -> Campaign:
    control = models[KEYS[0]]
    return run(subjects, journal, control=control, skip_refused=True, progress=killer)


def test_a_process_killed_in_the_middle_is_recorded_and_the_rest_measured(
    models: dict[str, Path], tmp_path: Path
) -> None:
    killer = Killer(2)  # in the first sweep, of three
    subjects = copies(models, "ab")
    found = run_all(subjects, models, tmp_path / "j", killer)
    assert len(killer.killed) == 1
    ((lost, reason),) = found.failed.items()
    assert lost in subjects
    assert re.search(rf"the measuring process died \(signal 9\) at burst (control|{lost})", reason)
    assert set(found.stats) == set(subjects) - {lost}
    for visits in found.visits.values():
        assert sorted(visit.sweep for visit in visits) == [0, 1, 2]


def test_who_wants_every_subject_is_told_after_the_rest_was_measured(
    models: dict[str, Path], tmp_path: Path
) -> None:
    """And the same call measures what is missing."""
    killer = Killer(1)
    with pytest.raises(CrashedError, match=r"died \(signal 9\)") as caught:
        run(models, tmp_path / "j", progress=killer)
    assert "what was measured is kept" in (caught.value.hint or "")
    assert len(read_journal(tmp_path / "j")[1]) >= 3
    found = run(models, tmp_path / "j")
    assert list(found.stats) == list(KEYS)
    assert found.reused >= 3


def test_a_target_whose_processes_keep_dying_is_given_up(
    models: dict[str, Path], tmp_path: Path
) -> None:
    subjects = copies(models, "abcd")
    killer = Killer(1, 2, 3, 4)
    with pytest.raises(CrashedError, match="the 3 before it died too"):
        run_all(subjects, models, tmp_path / "j", killer)
    assert len(killer.killed) == 4
    assert set(found_keys(tmp_path / "j")) < set(subjects)


def found_keys(journal: Path) -> list[str]:
    return [visit.key for visit in read_journal(journal)[1]]


def measuring_process() -> int:
    (found,) = measuring_processes()
    return found


def measuring_processes() -> list[int]:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [
        int(pid)
        for pid in children
        if b"pipeline.device.child" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def test_a_target_on_another_machine_measures_nothing(
    models: dict[str, Path], tmp_path: Path
) -> None:
    foreign = Target.parse("another-board/onnxruntime-fp32-b1-t1")
    with pytest.raises(UnavailableError, match="another-board"):
        run(models, tmp_path / "j", target=foreign)


# What visits in one journal must have in common.


def test_conditions_are_what_decides_latency() -> None:
    here = conditions(TARGET, QUICK)
    assert here == json.loads(json.dumps(here))
    assert here["target"] == "onnxruntime-fp32-b1-t1"
    assert here["device"] == TARGET.device_slug
    assert environment_of(here) == environment()
    assert set(here["protocol"]) == set(QUICK.of_a_visit())
    two_threads = conditions(Target.parse("host/onnxruntime-fp32-b1-t2"), QUICK)
    assert two_threads != here


def test_when_a_campaign_ends_is_no_condition(tmp_path: Path, simulate: Simulate) -> None:
    changes = {
        "sweeps": 12,
        "min_sweeps": 12,
        "agree_percent": 0.1,
        "unsteady_percent": 9.0,
        "budget_s": 9.0,
        "sweep_interval_s": 1e-6,
    }
    run_simulated(tmp_path / "j")
    for name, value in changes.items():
        changed = USUAL.model_copy(update={name: value})
        assert conditions(TARGET, changed) == conditions(TARGET, USUAL)
        assert run_simulated(tmp_path / "j", protocol=changed).reused > 0


KNOWN = Environment(
    device=TARGET.device_slug,
    cpu="Some CPU",
    cpu_flags=("avx2", "avx512f"),
    cores=2,
    memory_gib=8.0,
    governor="performance",
    os="Linux 6.1",
    python="3.11.1",
    packages={"onnxruntime": "1.26.0", "torch": "2.13.0", "onnxscript": "0.6", "openvino": "2026"},
    huge_pages="madvise",
)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, simulate: Simulate) -> Callable[..., None]:
    """Makes this machine another one: `KNOWN` with these changes."""

    def become(**changes: Any) -> None:
        monkeypatch.setattr(engines, "environment", lambda: replace(KNOWN, **changes))

    become()
    return become


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cpu": "Other CPU"}, "cpu was 'Some CPU', is 'Other CPU'"),
        ({"cpu_flags": ("avx2",)}, "cpu_flags was 'avx2 avx512f', is 'avx2'"),
        ({"cores": 4}, "cores was 2, is 4"),
        ({"governor": "powersave"}, "governor was 'performance', is 'powersave'"),
        (
            {"packages": {**KNOWN.packages, "onnxruntime": "1.27.0"}},
            "onnxruntime was 1.26.0, is 1.27.0",
        ),
        ({"packages": {**KNOWN.packages, "torch": "2.14.0"}}, "torch was 2.13.0, is 2.14.0"),
    ],
)
def test_visits_of_another_machine_or_engine_are_not_added_to(
    tmp_path: Path, machine: Callable[..., None], changes: dict[str, Any], told: str
) -> None:
    path = tmp_path / "j"
    run_simulated(path)
    before = path.read_bytes()
    machine(**changes)
    with pytest.raises(TableError, match="was measured under other conditions: ") as caught:
        run_simulated(path)
    assert caught.value.message.endswith(f"under other conditions: {told}")
    assert path.read_bytes() == before
    machine()
    assert run_simulated(path).measured == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"os": "Linux 6.2"},
        {"memory_gib": 16.0},
        {"python": "3.12.0"},
        {"governor": None},
        {"huge_pages": None, "virtual_machine": True},
        {"packages": {**KNOWN.packages, "openvino": "2027", "timm": "1.0"}},
    ],
)
def test_what_latency_does_not_depend_on_may_change(
    tmp_path: Path, machine: Callable[..., None], changes: dict[str, Any]
) -> None:
    path = tmp_path / "j"
    first = run_simulated(path)
    header = read_journal(path)[0]
    machine(**changes)
    more = run_simulated(path, protocol=USUAL.model_copy(update={"min_sweeps": 10}))
    assert (more.reused, more.measured) == (first.measured, len(SUBJECTS))
    assert read_journal(path)[0] == header  # it tells of the first campaign
    assert environment_of(header) == KNOWN


def test_the_engine_that_matters_is_that_of_the_target() -> None:
    target = Target.parse("host/openvino-fp32-b1-t1")
    newer = {**KNOWN.packages, "openvino": "2027", "onnxruntime": "1.27.0"}
    found, given = (
        {**conditions(target, QUICK), "environment": plain(one)}
        for one in (KNOWN, replace(KNOWN, packages=newer))
    )
    assert differing_conditions(found, given) == ["openvino was 2026, is 2027"]


def test_all_differences_are_told_at_once(tmp_path: Path, machine: Callable[..., None]) -> None:
    run_simulated(tmp_path / "j")
    machine(cpu="Other CPU", cores=4)
    with pytest.raises(TableError) as caught:
        run_simulated(tmp_path / "j", protocol=USUAL.model_copy(update={"runs": 9}))
    told = caught.value.message.partition("other conditions: ")[2].split("; ")
    assert told == [
        "protocol.runs was 8, is 9",
        "cpu was 'Some CPU', is 'Other CPU'",
        "cores was 2, is 4",
    ]


@pytest.mark.parametrize("kept", [None, {}, {"cpu": "Some CPU"}, "a fast one"])
def test_a_journal_that_does_not_say_what_machine_it_is_of_is_not_added_to(
    tmp_path: Path, simulate: Simulate, kept: object
) -> None:
    path = tmp_path / "j"
    header = conditions(TARGET, USUAL)
    del header["environment"]
    if kept is not None:
        header["environment"] = kept
    Journal(path, header).__exit__(None, None, None)
    before = path.read_bytes()
    with pytest.raises(TableError, match="environment was 'missing', is 'given'") as caught:
        run_simulated(path)
    assert caught.value.hint
    assert path.read_bytes() == before


def test_a_journal_of_the_version_before_is_gone_on_with(
    tmp_path: Path, machine: Callable[..., None]
) -> None:
    """It kept the machine's facts beside the target, and of packages only those that matter."""
    path = tmp_path / "j"
    first = run_simulated(path)
    lines = path.read_bytes().splitlines(keepends=True)
    here = conditions(TARGET, USUAL)
    facts = here.pop("environment")
    matter = ("torch", "onnxscript", "onnxruntime")
    old = {
        "schema_version": 1,
        **here,
        "cpu": facts["cpu"],
        "cpu_flags": facts["cpu_flags"],
        "cores": facts["cores"],
        "packages": {name: facts["packages"][name] for name in matter},
    }
    (tmp_path / "k").write_bytes(b"")
    with Journal(tmp_path / "k", {"schema_version": 1, **old}):
        pass
    path.write_bytes(b"".join([(tmp_path / "k").read_bytes(), *lines[1:]]))
    assert b'"schema_version":1' in path.read_bytes()
    again = run_simulated(path)
    assert (again.measured, again.stats) == (0, first.stats)
    more = run_simulated(path, protocol=USUAL.model_copy(update={"min_sweeps": 10}))
    assert more.measured == len(SUBJECTS)
    machine(cpu="Other CPU")
    with pytest.raises(TableError, match="conditions: cpu was 'Some CPU', is 'Other CPU'"):
        run_simulated(path)


# Machines that hold still, and others.


def test_a_steady_machine_is_measured_no_longer_than_it_takes(
    tmp_path: Path, simulate: Simulate
) -> None:
    found = run_simulated(tmp_path / "j")
    assert found.steadiness.stopped == "agreed"
    assert found.steadiness.sweeps == USUAL.min_sweeps
    assert (found.steadiness.spells, found.steadiness.disturbed_percent) == (0, 0.0)
    assert found.steadiness.disagreement_percent == pytest.approx(0, abs=1e-3)
    assert found.stats == reduce_all(found.visits)


# Levels up to so much slower, changing so often (a sweep takes 0.15 s), and what is refused.
RESTLESS = [
    pytest.param(0, 3.0, 0.02, 3.0, id="up to a third as fast, within a sweep"),
    pytest.param(2, 3.0, 0.5, 3.0, id="up to a third as fast, for several sweeps"),
    pytest.param(0, 2.0, 0.15, 3.0, id="up to half as fast, from sweep to sweep"),
    pytest.param(1, 1.1, 0.15, 0.5, id="up to a tenth slower, where half a percent is asked"),
]


@pytest.mark.parametrize(("seed", "worst", "mean_s", "unsteady_percent"), RESTLESS)
def test_a_machine_that_never_holds_still_is_refused_and_what_it_measured_is_kept(
    tmp_path: Path,
    simulate: Simulate,
    seed: int,
    worst: float,
    mean_s: float,
    unsteady_percent: float,
) -> None:
    path = tmp_path / "j"
    simulate(ChangingLevels(seed, worst, mean_s))
    never = {"agree_percent": 0.0}
    strict = USUAL.model_copy(update={"unsteady_percent": unsteady_percent, **never})
    with pytest.raises(UnsteadyError) as caught:
        run_simulated(path, protocol=strict)
    kept = path.read_bytes()
    assert len(read_journal(path)[1]) == strict.sweeps * len(SUBJECTS)
    # Not by asking again: all sweeps were made.
    with pytest.raises(UnsteadyError) as again:
        run_simulated(path, protocol=strict)
    assert again.value.message == caught.value.message
    assert path.read_bytes() == kept
    # Who allows more gets what was measured.
    found = run_simulated(path, protocol=strict.model_copy(update={"unsteady_percent": 99.0}))
    assert found.measured == 0
    assert found.steadiness.stopped == "sweeps"
    told = caught.value.message
    assert f"this machine cannot measure {TARGET.name} now" in told
    assert f"{found.steadiness.disagreement_percent:.1f} % ({unsteady_percent:g} % allowed)" in told
    assert f"after {strict.sweeps} sweeps, with {found.steadiness.spells} slow spells" in told
    assert str(path) in (caught.value.hint or "")


def test_a_passing_disturbance_is_not_refused(tmp_path: Path, simulate: Simulate) -> None:
    simulate(lambda at_s: 3.0 if 0.2 < at_s < 0.6 else 1.0)
    found = run_simulated(tmp_path / "j")
    assert found.steadiness.stopped == "agreed"
    assert found.steadiness.spells == 1
    assert 0 < found.steadiness.disturbed_percent < 50


def test_a_campaign_whose_time_is_up_says_so_and_goes_on_when_asked_again(
    tmp_path: Path, simulate: Simulate
) -> None:
    hurried = USUAL.model_copy(update={"budget_s": 1e-6})
    first = run_simulated(tmp_path / "j", protocol=hurried)
    assert (first.steadiness.stopped, first.steadiness.sweeps) == ("budget", 3)
    then = run_simulated(tmp_path / "j")
    assert (then.steadiness.stopped, then.steadiness.sweeps) == ("agreed", USUAL.min_sweeps)
    assert (then.reused, then.measured) == (3 * len(SUBJECTS), 6 * len(SUBJECTS))


@pytest.mark.parametrize("after", [1, 4, 11, 12, 35, 37, 50])
def test_an_interrupted_campaign_ends_where_it_would_have(
    tmp_path: Path, simulate: Simulate, after: int
) -> None:
    """Also between the sweeps with which it may end, and within one of them."""

    def interrupt(done: int, total: int, note: str = "") -> None:
        if done == after:
            raise KeyboardInterrupt

    fourteen = USUAL.model_copy(update={"min_sweeps": 14})
    run_simulated(tmp_path / "undisturbed", protocol=fourteen)
    with pytest.raises(KeyboardInterrupt):
        run_simulated(tmp_path / "j", protocol=fourteen, progress=interrupt)
    found = run_simulated(tmp_path / "j", protocol=fourteen)
    assert found.reused == after
    assert found.steadiness.stopped == "agreed"
    one, other = (
        [(visit.sweep, visit.key) for visit in read_journal(tmp_path / name)[1]]
        for name in ("j", "undisturbed")
    )
    assert one == other


def test_progress_ends_at_its_total_and_never_passes_it(tmp_path: Path, simulate: Simulate) -> None:
    path = tmp_path / "j"
    one = {SUBJECTS[0]: Path(SUBJECTS[0])}
    unlike: list[tuple[dict[str, Path] | None, TimingProtocol]] = [
        (one, USUAL.model_copy(update={"min_sweeps": 12})),
        (None, USUAL),  # the first is ahead of the others
        (None, USUAL.model_copy(update={"min_sweeps": 13})),
    ]
    for subjects, protocol in unlike:
        seen: list[tuple[int, int]] = []
        run_simulated(path, subjects, protocol, progress=lambda *at: seen.append(at[:2]))  # noqa: B023
        assert all(done <= total for done, total in seen)
        assert seen[-1][0] == seen[-1][1]
    assert len(read_journal(path)[1]) == 13 * len(SUBJECTS)


# Several targets.

OTHER = Target.parse("host/openvino-fp32-b1-t1")


def test_subjects_of_several_targets_are_interleaved(tmp_path: Path, simulate: Simulate) -> None:
    """Each target's visits lie in its own journal, beside its own control network."""
    subjects = {key: Path(key) for key in SUBJECTS}
    courses = [
        Course(target, subjects, Path(CONTROL), tmp_path / target.setting)
        for target in (TARGET, OTHER)
    ]
    found = run_campaigns(courses, USUAL)
    journals = [read_journal(course.journal) for course in courses]
    assert [header["target"] for header, _ in journals] == [TARGET.setting, OTHER.setting]
    for campaign, (_, visits) in zip(found, journals, strict=True):
        assert list(campaign.stats) == SUBJECTS
        assert {visit.key for visit in visits} == set(SUBJECTS)
        assert campaign.stats["small"].typical == pytest.approx(0.05)
    order = sorted(
        (visit.at, number) for number, (_, group) in enumerate(journals) for visit in group
    )
    switches = sum(one[1] != other[1] for one, other in pairwise(order))
    assert switches > len(order) / 4
    assert run_campaigns(courses, USUAL) == [
        replace(campaign, measured=0, reused=campaign.measured, opening_s={}, notes={})
        for campaign in found
    ]


def test_a_target_that_is_not_here_does_not_keep_the_others(
    models: dict[str, Path], tmp_path: Path
) -> None:
    elsewhere = Target.parse("another-board/onnxruntime-fp32-b1-t1")
    courses = [
        Course(target, models, models[KEYS[0]], tmp_path / target.device)
        for target in (elsewhere, TARGET)
    ]
    away, here = run_campaigns(courses, QUICK, skip_refused=True)
    assert away.stats == {}
    assert set(away.failed) == set(KEYS)
    assert "is on another-board" in away.failed[KEYS[0]]
    assert list(here.stats) == list(KEYS)
    with pytest.raises(UnavailableError, match="is on another-board"):
        run_campaigns(courses, QUICK)


def test_processes_of_two_targets_live_side_by_side_and_one_may_die(
    models: dict[str, Path], tmp_path: Path
) -> None:
    two = replace(TARGET, batch=1, threads=2)
    subjects = {f"{key} {copy}": model for key, model in models.items() for copy in "ab"}
    courses = [
        Course(target, subjects, models[KEYS[0]], tmp_path / target.setting)
        for target in (TARGET, two)
    ]

    def kill(done: int, total: int, note: str = "") -> None:
        if done == 3 and len(victims) == 0:
            victims.append(measuring_processes()[0])
            os.kill(victims[0], signal.SIGKILL)

    victims: list[int] = []
    first, second = run_campaigns(courses, QUICK, skip_refused=True, progress=kill)
    failed = {**first.failed, **second.failed}
    assert len(failed) == 1
    assert len(first.stats) + len(second.stats) == 2 * len(subjects) - 1


# Two at once.

PROFILER = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from pipeline.device.target import Target
    from pipeline.measure import bench, campaign
    from tests.measure.simulated import QUICK, SimulatedProcess

    journal, hold_at, rounds, *keys = sys.argv[1:]
    bench.MeasuringProcess = SimulatedProcess

    def say(done, total, note=""):
        if note.startswith("waiting"):
            print("waiting", flush=True)
        if done == int(hold_at):
            print("holding", flush=True)
            time.sleep(600)

    sys.stdin.readline()
    measured = 0
    for sweeps in range(3, 3 + int(rounds)):
        protocol = QUICK.model_copy(update={"sweeps": sweeps, "min_sweeps": sweeps})
        found = campaign.run_campaign(
            {key: Path(key) for key in keys}, Path("control"),
            Target.parse("host/onnxruntime-fp32-b1-t1"), protocol, Path(journal), progress=say,
        )
        assert found.steadiness.sweeps >= sweeps
        measured += found.measured
        time.sleep(0.01)
    print("measured", measured, flush=True)
    """
)


def start_profiler(
    journal: Path, keys: list[str], *, rounds: int = 1, hold_at: int = -1
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROFILER, str(journal), str(hold_at), str(rounds), *keys],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def start_measuring(profiler: subprocess.Popen[str]) -> None:
    assert profiler.stdin is not None
    profiler.stdin.write("go\n")
    profiler.stdin.flush()


def test_two_profilers_at_once_lose_nothing_and_make_nothing_twice(tmp_path: Path) -> None:
    """Their subjects overlap, and each goes on sweep by sweep where the other left off."""
    path, rounds = tmp_path / "j", 12
    profilers = [start_profiler(path, keys, rounds=rounds) for keys in (SUBJECTS[:3], SUBJECTS[1:])]
    for profiler in profilers:
        start_measuring(profiler)
    said = [profiler.communicate(timeout=120)[0] for profiler in profilers]
    assert [profiler.returncode for profiler in profilers] == [0, 0]
    visits = read_journal(path)[1]
    made = [(visit.sweep, visit.key) for visit in visits]
    wanted = [(sweep, key) for sweep in range(rounds + 2) for key in SUBJECTS]
    assert sorted(made) == sorted(wanted)
    measured = [int(words.split()[-1]) for words in said]
    assert sum(measured) == len(wanted)
    assert min(measured) > 0


def test_who_waits_for_a_profiler_that_is_killed_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "j"
    first = start_profiler(path, SUBJECTS, hold_at=5)
    second = start_profiler(path, SUBJECTS)
    assert first.stdout is not None
    assert second.stdout is not None
    start_measuring(first)
    assert first.stdout.readline() == "holding\n"
    start_measuring(second)
    assert second.stdout.readline() == "waiting\n"
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    assert second.communicate(timeout=60)[0] == f"measured {3 * len(SUBJECTS) - 5}\n"
    made = [(visit.sweep, visit.key) for visit in read_journal(path)[1]]
    assert sorted(made) == sorted((sweep, key) for sweep in range(3) for key in SUBJECTS)
