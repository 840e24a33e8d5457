"""Who takes part in the trials: candidates within the limits as measured, and controls.

A control is a ladder of options, the one most wanted first: a network of timm at ever smaller input
sizes, networks of ever fewer MACs. In rounds the first option of every ladder that may be within
the limits is measured; the first that is within takes part. A ladder without one is told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.device.runtimes import model_file
from pipeline.device.target import Target
from pipeline.errors import ExportError
from pipeline.export.cache import cached_network, cached_timm, export_all
from pipeline.measure.bench import Course
from pipeline.measure.campaign import CONTROL_NETWORK, run_campaigns
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import LatencyStats
from pipeline.network.timm_networks import TimmNetwork, count_timm
from pipeline.records.candidates import Limits
from pipeline.records.trial import Entrant, Kind
from pipeline.records.verify import VerifyRecord
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import published
from pipeline.space.cost import architecture_cost
from pipeline.work.progress import Progress, silent

MAX_ROUNDS = 6


@dataclass(frozen=True)
class Option:
    """A network that a ladder may settle on."""

    network: Architecture | TimmNetwork
    macs: int
    params: int

    @classmethod
    def of(cls, network: Architecture | TimmNetwork) -> Option:
        """Counts what it costs.

        Raises:
            UnknownNameError: timm has no such network.
        """
        if isinstance(network, TimmNetwork):
            return cls(network, *count_timm(network))
        cost = architecture_cost(network)
        return cls(network, cost.macs, cost.params)

    @property
    def key(self) -> str:
        """What it is called while it is measured."""
        if isinstance(self.network, Architecture):
            return self.network.short
        return self.network.label


@dataclass
class Ladder:
    """A control before it is known which of its options takes part.

    Attributes:
        kind: Why it takes part.
        options: Those left, the most wanted first.
        reason: Why those before them do not.
        found: The one that does, with its times.
    """

    kind: Kind
    options: list[Option]
    reason: str = "it has no option"
    found: tuple[Option, dict[str, LatencyStats]] | None = None
    first: Option | None = field(init=False)

    def __post_init__(self) -> None:
        self.first = self.options[0] if self.options else None

    @property
    def head(self) -> Option | None:
        """What is measured next; None where it has settled, or nothing is left."""
        return self.options[0] if self.options and not self.found else None

    def keep_counted(self, limits: Limits) -> None:
        """Drops options that cost more than limits on MACs and parameters allow."""
        for option in list(self.options):
            over = [
                f"{count / 1e6:.3g} M {name} are over the limit of {most / 1e6:.3g} M"
                for name, count, most in (
                    ("MACs", option.macs, limits.macs),
                    ("parameters", option.params, limits.params),
                )
                if most is not None and count > most
            ]
            if limits.macs_min is not None and option.macs < limits.macs_min:
                over.append(f"{option.macs / 1e6:.3g} M MACs are below {limits.macs_min / 1e6:.3g}")
            if over:
                self.options.remove(option)
                self.reason = f"{option.key}: {'; '.join(over)}"

    def drop(self, reason: str, most: float = math.inf) -> None:
        """Drops the head, and what costs more of its MACs and so cannot be within either."""
        head = self.options.pop(0)
        self.reason = f"{head.key}: {reason}"
        while self.options and self.options[0].macs > most * head.macs:
            self.options.pop(0)

    def entrant(self) -> Entrant:
        """It, or why there is none."""
        option, measured = self.found or (self.first, {})
        if option is None:
            return Entrant(kinds=(self.kind,), reason=self.reason)
        return entrant_of(self.kind, option, measured, "" if self.found else self.reason)


def entrant_of(
    kind: Kind, option: Option, measured_ms: Mapping[str, LatencyStats], reason: str = ""
) -> Entrant:
    """A network as a record knows it, before it was tried."""
    network = option.network
    ours = isinstance(network, Architecture)
    return Entrant(
        kinds=(kind,),
        architecture=network if ours else None,
        timm=None if ours else network.name,
        resolution=None if reason else network.resolution,
        macs=None if reason else option.macs,
        params=None if reason else option.params,
        measured_ms=dict(measured_ms),
        reason=reason,
    )


@dataclass(frozen=True)
class Stand:
    """Where and how controls are timed; the fields are arguments of `verify`."""

    targets: Sequence[Target]
    protocol: TimingProtocol
    folder: Path
    seed: int
    export_progress: Progress = silent
    progress: Progress = silent


def candidates_within(verified: VerifyRecord, most: int) -> list[Entrant]:
    """The verified candidates that are within the limits, the best first."""
    within = [it for it in verified.candidates if it.verdict == "within"]
    within.sort(key=lambda it: -(it.candidate.quality or 0.0))
    return [
        entrant_of("candidate", Option.of(it.candidate.architecture), it.measured_ms)
        for it in within[:most]
    ]


def climbed(ladders: Sequence[Ladder], limits: Limits, stand: Stand) -> list[Entrant]:
    """Measures ladders until each has settled, or nothing of it is left.

    Args:
        ladders: They are used up.
        limits: Those on latency are judged by what is measured, on targets that are measured.
        stand: Where; a call that was interrupted goes on with the visits that are there.

    Returns:
        One a ladder.

    Raises:
        UnavailableError: The first target cannot be measured here.
        MeasurementError: The machine does not hold still, or a measuring process died.
        StorageError: A file cannot be written; what was measured is kept.
    """
    for ladder in ladders:
        ladder.keep_counted(limits)
    for _ in range(MAX_ROUNDS):
        heads = [ladder for ladder in ladders if ladder.head]
        if not heads:
            break
        _measure(heads, limits, stand)
    for ladder in ladders:
        if ladder.head:
            ladder.reason = f"{ladder.reason}; after {MAX_ROUNDS} rounds none was within"
    return [ladder.entrant() for ladder in ladders]


def merged(entrants: Sequence[Entrant]) -> list[Entrant]:
    """One entry a network; what stands for several things says so."""
    found: dict[object, Entrant] = {}
    for number, it in enumerate(entrants):
        network = it.architecture.short if it.architecture else (it.timm, it.resolution)
        key = (number,) if it.reason else network
        if key in found:
            kinds = dict.fromkeys([*found[key].kinds, *it.kinds])
            found[key] = found[key].model_copy(update={"kinds": tuple(kinds)})
        else:
            found[key] = it
    return list(found.values())


def _measure(ladders: Sequence[Ladder], limits: Limits, stand: Stand) -> None:
    """Measures the heads of ladders, and settles or drops them."""
    courses = []
    for number, target in enumerate(stand.targets):
        subjects = dict(_exported(ladders, target, stand.export_progress, is_first=not number))
        if not subjects:
            return
        (control,) = export_all(
            [published(CONTROL_NETWORK)], batch=target.batch, file=model_file(target)
        )
        journal = stand.folder / f"visits-{target.setting}.jsonl"
        courses.append(Course(target, subjects, control, journal))
    campaigns = run_campaigns(
        courses, stand.protocol, seed=stand.seed, skip_refused=True, progress=stand.progress
    )
    for ladder in ladders:
        head = ladder.head
        if head is None:
            continue
        measured: dict[str, LatencyStats] = {}
        worst, reason = 0.0, ""
        for target, found in zip(stand.targets, campaigns, strict=True):
            stats = found.stats.get(head.key)
            if stats is None:
                worst, reason = float("nan"), found.failed.get(head.key, "could not be measured")
                break
            measured[target.name] = stats
            limit_ms = limits.latency_ms.get(target.name)
            if limit_ms and stats.typical / limit_ms > max(worst, 1.0):
                worst = stats.typical / limit_ms
                reason = (
                    f"{stats.typical:.4g} ms on {target.name} are over the limit of "
                    f"{limit_ms:.4g} ms"
                )
        if not reason:
            ladder.found = head, measured
        else:
            # Latency falls slower than MACs do: what has more than this share of them is over too.
            ladder.drop(reason, most=1 / worst if worst > 1 else math.inf)


def _exported(
    ladders: Sequence[Ladder], target: Target, progress: Progress, *, is_first: bool
) -> Iterator[tuple[str, Path]]:
    """The heads as files; on the first target those that do not export are dropped."""
    for done, ladder in enumerate(ladders, start=1):
        while head := ladder.head:
            try:
                yield head.key, _file(head, target)
                break
            except ExportError as error:
                if not is_first:
                    raise
                ladder.drop(error.message)
        progress(done, len(ladders), ladder.head.key if ladder.head else "")


def _file(option: Option, target: Target) -> Path:
    file = model_file(target)
    if isinstance(option.network, Architecture):
        return cached_network(option.network, batch=target.batch, file=file)
    return cached_timm(option.network, batch=target.batch, file=file)
