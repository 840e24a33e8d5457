"""Controls settle on the most wanted option that is within the limits as measured."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.device.target import Target
from pipeline.errors import ExportError
from pipeline.measure.campaign import Campaign
from pipeline.measure.protocol import TimingProtocol
from pipeline.network.timm_networks import TimmNetwork
from pipeline.records.candidates import Limits
from pipeline.records.trial import Entrant
from pipeline.space.architecture import Architecture
from pipeline.trials import field
from pipeline.trials.field import Ladder, Option, Stand, climbed, merged
from tests.report.made_up_measuring import stats

HERE, OTHER = Target.parse("host/onnxruntime-fp32-b1-t1"), Target.parse("host/openvino-fp32-b1-t1")
SIZES = (128, 96, 64, 32)


def option(name: str, size: int, macs: float | None = None) -> Option:
    macs = macs if macs is not None else 1e6 * (size / 32) ** 2
    return Option(TimmNetwork(name, size, 10), int(macs), 1_000_000)


def ladder(name: str, sizes: tuple[int, ...] = SIZES) -> Ladder:
    return Ladder("off the shelf", [option(name, size) for size in sizes])


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """A machine on which networks take what it is told, and who was measured in each round."""

    def made(
        ms: Callable[[str, str], float | None],
        targets: tuple[Target, ...] = (HERE,),
        unexportable: tuple[str, ...] = (),
    ) -> tuple[Stand, list[list[str]]]:
        rounds: list[list[str]] = []

        def run_campaigns(courses: Any, *_: Any, **__: Any) -> list[Campaign]:
            rounds.append(list(courses[0].subjects))
            found = []
            for course in courses:
                times = {key: ms(key, course.target.name) for key in course.subjects}
                found.append(
                    Campaign(
                        stats={
                            key: stats(it, rng=np.random.default_rng(0))
                            for key, it in times.items()
                            if it is not None
                        },
                        visits={},
                        failed={key: "refused" for key, it in times.items() if it is None},
                        precision={},
                        control=None,
                        steadiness=None,
                        measured=0,
                        reused=0,
                        opening_s={},
                        notes={},
                        transfers={},
                    )
                )
            return found

        def file(of: Option, target: Target) -> Path:
            if of.key in unexportable:
                raise ExportError(f"{of.key} does not export")
            return tmp_path

        monkeypatch.setattr(field, "run_campaigns", run_campaigns)
        monkeypatch.setattr(field, "_file", file)
        monkeypatch.setattr(field, "export_all", lambda *_, **__: [tmp_path])
        return Stand(targets, TimingProtocol(), tmp_path, 0), rounds

    return made


def limit(ms: float, *targets: Target, **others: float) -> Limits:
    return Limits(latency_ms=dict.fromkeys([it.name for it in targets or (HERE,)], ms), **others)


def by_size(key: str, target: str) -> float:
    """2 ms at 32 pixels, and as many times that as there are more of them."""
    size = int(key.rpartition("@")[2].partition("c")[0])
    return 2.0 * (size / 32) ** 2


@pytest.mark.parametrize(
    ("most_ms", "size", "rounds"), [(99, 128, 1), (31, 96, 2), (8, 64, 2), (2, 32, 2)]
)
def test_it_takes_the_largest_size_within(
    machine: Callable[..., Any], most_ms: float, size: int, rounds: int
) -> None:
    """Sizes that MACs rule out, once one was measured, are not measured."""
    stand, measured = machine(by_size)
    (found,) = climbed([ladder("net")], limit(most_ms), stand)
    assert (found.timm, found.resolution, found.reason) == ("net", size, "")
    assert found.measured_ms[HERE.name].typical == by_size(f"net@{size}c10", "")
    assert len(measured) == rounds


def test_one_that_never_is_within_says_so(machine: Callable[..., Any]) -> None:
    stand, _ = machine(by_size)
    (found,) = climbed([ladder("net")], limit(1.5), stand)
    assert (found.timm, found.resolution, found.measured_ms) == ("net", None, {})
    assert "are over the limit of 1.5 ms" in found.reason


def test_macs_and_parameters_are_limits_too(machine: Callable[..., Any]) -> None:
    stand, measured = machine(by_size)
    (found,) = climbed([ladder("net")], limit(99, macs=5e6), stand)
    assert found.resolution == 64
    assert measured == [["net@64c10"]]
    (none,) = climbed([ladder("net")], limit(99, params=1e5), stand)
    assert "1 M parameters are over the limit of 0.1 M" in none.reason
    assert len(measured) == 1


def test_every_target_decides(machine: Callable[..., Any]) -> None:
    def ms(key: str, target: str) -> float:
        return by_size(key, target) * (3 if target == OTHER.name else 1)

    stand, _ = machine(ms, (HERE, OTHER))
    (found,) = climbed([ladder("net")], limit(30, HERE, OTHER), stand)
    assert found.resolution == 64
    assert set(found.measured_ms) == {HERE.name, OTHER.name}


def test_what_an_engine_or_the_exporter_refuses_is_passed_over(machine: Callable[..., Any]) -> None:
    def ms(key: str, target: str) -> float | None:
        return None if key == "net@96c10" else 1.0

    stand, _ = machine(ms, unexportable=("net@128c10",))
    (found,) = climbed([ladder("net")], limit(5), stand)
    assert found.resolution == 64
    (none,) = climbed([ladder("net", (128,))], limit(5), stand)
    assert none.reason == "net@128c10: net@128c10 does not export"


def test_ladders_climb_together(machine: Callable[..., Any]) -> None:
    stand, measured = machine(by_size)
    found = climbed([ladder("one"), ladder("two"), ladder("late", (64, 32))], limit(8), stand)
    assert [it.resolution for it in found] == [64, 64, 64]
    assert measured == [["one@128c10", "two@128c10", "late@64c10"], ["one@64c10", "two@64c10"]]


def test_a_ladder_without_options_is_told(machine: Callable[..., Any]) -> None:
    stand, _ = machine(by_size)
    (found,) = climbed([Ladder("random", [])], limit(8), stand)
    assert found.reason == "it has no option"


def test_one_network_stands_for_all_it_is() -> None:
    network = Architecture(space="cream", resolution=32, num_classes=10, stages=(("mb4_3x3",),) * 5)
    entrants = [
        Entrant(kinds=("candidate",), architecture=network, resolution=32),
        Entrant(kinds=("off the shelf",), timm="net", reason="over"),
        Entrant(kinds=("largest",), architecture=network, resolution=32),
        Entrant(kinds=("off the shelf",), timm="net", reason="over"),
    ]
    found = merged(entrants)
    assert [it.kinds for it in found] == [
        ("candidate", "largest"),
        ("off the shelf",),
        ("off the shelf",),
    ]
