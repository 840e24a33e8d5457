"""Verification: the best candidates are built and timed before money is spent on training them.

A prediction chooses, a measurement decides. In rounds, the most accurate candidates are timed on
every target that has a limit; what was seen updates the predictions of all others, and those now
expected within the limits are next. It ends when as many as are wanted are within as measured, and
nobody more accurate is expected to be. Whoever is over a limit stays in the record with the limit
it broke.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from scipy.special import ndtri

from pipeline.device.fingerprint import environment
from pipeline.device.runtimes import model_file
from pipeline.device.target import Target
from pipeline.errors import InfeasibleError, UnavailableError, UnknownNameError
from pipeline.export.cache import export_all
from pipeline.latency.model import LatencyModel
from pipeline.measure.campaign import CONTROL_NETWORK, Campaign, run_campaign
from pipeline.measure.measuring_process import MeasuringProcess
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import LatencyStats
from pipeline.measure.steadiness import Steadiness, steadiness
from pipeline.records.candidates import Candidate, LatencyPrediction
from pipeline.records.search import SearchRecord
from pipeline.records.verify import VerifiedCandidate, VerifyRecord
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import published
from pipeline.work.progress import Progress, silent

MAX_ROUNDS = 4


def verify(
    search: SearchRecord,
    *,
    models: Mapping[str, LatencyModel],
    top_k: int,
    wanted: int = 1,
    protocol: TimingProtocol,
    folder: Path,
    seed: int = 0,
    export_progress: Progress = silent,
    progress: Progress = silent,
) -> VerifyRecord:
    """Measures the most accurate candidates of a search until those wanted are within the limits.

    Targets are measured one after another, never at once: the searched one, then every other with
    a limit. Where one of the others cannot be measured here, predictions decide, with the limits'
    confidence.

    Args:
        search: What the search found.
        models: Predicts latency, by target; where a target has none, what was seen on it updates
            nothing and the search's predictions stay.
        top_k: Candidates a round, at least.
        wanted: How many are to be within; the winner is the best of them.
        protocol: How they are timed.
        folder: Where the visits are kept, a journal a target.
        seed: Decides the order of visits.
        export_progress: Told while candidates are exported.
        progress: Told after each visit.

    Raises:
        InfeasibleError: The search found nothing, or every candidate measured is over a limit;
            says how far the nearest one is.
        UnavailableError: The searched target cannot be measured here.
        MeasurementError: A candidate is refused, or a target cannot be measured steadily.
        TableError: A model lacks what it needs to predict a candidate, or a journal is of other
            conditions.
        StorageError: A file cannot be written; what was measured is kept.
    """
    start = time.monotonic()
    if not search.ranking:
        raise InfeasibleError(
            f"there is no candidate to verify: {search.message}", hint="loosen a limit"
        )
    bench = _Bench(protocol, folder, seed, export_progress, progress)
    selection = _Selection(search, models, wanted, unmeasured=_unmeasured(search))
    for number in range(1, MAX_ROUNDS + 1):
        candidates = selection.choose(max(top_k, wanted), number)
        if not candidates:
            break
        selection.measure(candidates, bench)
    winner = selection.winner
    if winner is None:
        raise InfeasibleError(
            selection.how_far(), hint="loosen a limit, or verify more candidates (verify.top_k)"
        )
    return VerifyRecord(
        limits=search.limits,
        candidates=tuple(selection.verified(chosen) for chosen in selection.chosen.values()),
        winner=list(selection.chosen).index(winner),
        control={name: rounds[-1].control for name, rounds in selection.campaigns.items()},
        steadiness={name: _steadiness(rounds) for name, rounds in selection.campaigns.items()},
        unmeasured=selection.unmeasured,
        seconds=time.monotonic() - start,
        environment=environment(),
    )


def _targets(search: SearchRecord) -> list[str]:
    """The searched target first, then every other with a limit."""
    return list(dict.fromkeys([search.target, *search.limits.latency_ms]))


def _unmeasured(search: SearchRecord) -> dict[str, str]:
    """Why targets cannot be measured here.

    It is found out before anything is exported for them, or written into a journal that a target
    of this machine with the same setting would have.

    Raises:
        UnavailableError: The searched target is one of them.
    """
    found = {}
    for name in _targets(search):
        try:
            with MeasuringProcess(Target.parse(name)):
                pass
        except (UnavailableError, UnknownNameError) as error:
            if name == search.target:
                raise
            found[name] = error.message
    return found


@dataclass(frozen=True)
class _Bench:
    """Where and how candidates are timed; the fields are arguments of `verify`."""

    protocol: TimingProtocol
    folder: Path
    seed: int
    export_progress: Progress
    progress: Progress

    def time(self, target: Target, architectures: Sequence[Architecture]) -> Campaign:
        """Times the networks of a round on one target, going on with the visits that are there.

        Those of earlier rounds are left alone: whoever goes on after an interruption must find of
        each round what was found, or would choose others.
        """
        control, *models = export_all(
            [published(CONTROL_NETWORK), *architectures],
            batch=target.batch,
            file=model_file(target),
            progress=self.export_progress,
        )
        return run_campaign(
            {one.short: model for one, model in zip(architectures, models, strict=True)},
            control,
            target,
            self.protocol,
            self.folder / f"visits-{target.setting}.jsonl",
            seed=self.seed,
            progress=self.progress,
        )


class _Chosen(NamedTuple):
    candidate: Candidate
    round: int
    expected_ms: dict[str, LatencyPrediction]


class _Excess(NamedTuple):
    """A latency against its limit: how far over it is, relative to it, and that in words."""

    relative: float
    reason: str


@dataclass
class _Selection:
    """Who is measured next, and who has won so far.

    Attributes:
        search: What the search found.
        models: As they were before anything was seen.
        wanted: How many are to be within the limits.
        unmeasured: Why a target cannot be measured here.
        chosen: Who was measured, by place in the ranking, in the order they were chosen.
        campaigns: What was measured, by target, round by round.
        updated: Models that have seen what was measured.
    """

    search: SearchRecord
    models: Mapping[str, LatencyModel]
    wanted: int
    unmeasured: dict[str, str]
    chosen: dict[int, _Chosen] = field(default_factory=dict)
    campaigns: dict[str, list[Campaign]] = field(default_factory=dict)
    updated: dict[str, LatencyModel] = field(default_factory=dict)

    def choose(self, top_k: int, number: int) -> list[Candidate]:
        """Chooses the candidates of a round; none where none is worth measuring."""
        unseen = [place for place in self._above(self._last_wanted) if place not in self.chosen]
        if number == 1:
            places = unseen[:top_k]
        else:
            places = list(islice(filter(self._is_expected_within, unseen), top_k))
        if not places and self.winner is None:
            # Nobody is expected within: then the nearest, rather than giving up on predictions.
            places = sorted(unseen, key=self._expected_excess)[:top_k]
        for place in places:
            candidate = self._ranked(place)
            self.chosen[place] = _Chosen(candidate, number, self._expected_ms(candidate))
        return [self.chosen[place].candidate for place in places]

    def measure(self, candidates: Sequence[Candidate], bench: _Bench) -> None:
        """Times the candidates of a round, target by target, and updates the models by it."""
        architectures = [candidate.architecture for candidate in candidates]
        for name in _targets(self.search):
            if name in self.unmeasured:
                continue
            try:
                found = bench.time(Target.parse(name), architectures)
            except UnavailableError as error:
                # Some engines tell only when a model is opened, e.g. of its precision.
                if name == self.search.target:
                    raise
                self.unmeasured[name] = error.message
                continue
            self.campaigns.setdefault(name, []).append(found)
            if name in self.models:
                before = self.updated.get(name, self.models[name])
                seen = [found.stats[one.short] for one in architectures]
                self.updated[name] = before.updated(architectures, seen)

    @property
    def winner(self) -> int | None:
        """Place in the ranking of the most accurate within every limit; None where there is none.

        The ranking decides between candidates of equal accuracy.
        """
        return next(iter(self._within), None)

    @property
    def _within(self) -> list[int]:
        """Places in the ranking of those within every limit, the best first."""
        return sorted(p for p, chosen in self.chosen.items() if not self._broken(chosen))

    @property
    def _last_wanted(self) -> int | None:
        """Place of the last of the best within that are wanted; None where more are needed."""
        within = self._within
        return within[self.wanted - 1] if len(within) >= self.wanted else None

    def verified(self, chosen: _Chosen) -> VerifiedCandidate:
        """What became of a candidate."""
        broken = self._broken(chosen)
        return VerifiedCandidate(
            candidate=chosen.candidate,
            expected_ms=chosen.expected_ms,
            measured_ms=self._measured_ms(chosen.candidate),
            round=chosen.round,
            verdict="over" if broken else "within",
            reason="; ".join(excess.reason for excess in broken),
        )

    def how_far(self) -> str:
        """Says of candidates that are all over a limit how far the nearest is."""
        nearest = min(
            (self._broken(chosen) for chosen in self.chosen.values()),
            key=lambda broken: max(excess.relative for excess in broken),
        )
        limits = [
            f"{ms:.4g} ms on {name}" + (" (predicted)" if name in self.unmeasured else "")
            for name, ms in self.search.limits.latency_ms.items()
        ]
        return (
            f"none of {len(self.chosen)} candidates is within {' and '.join(limits)} as measured; "
            f"the nearest: {'; '.join(excess.reason for excess in nearest)}"
        )

    def _ranked(self, place: int) -> Candidate:
        return self.search.evaluated[self.search.ranking[place]]

    def _above(self, place: int | None) -> Iterable[int]:
        """Places in the ranking that are better than one; all where it is None."""
        return range(len(self.search.ranking) if place is None else place)

    def _measured_ms(self, candidate: Candidate) -> dict[str, LatencyStats]:
        """What a candidate took, by target."""
        short = candidate.architecture.short
        return {
            name: found.stats[short]
            for name, rounds in self.campaigns.items()
            for found in rounds
            if short in found.stats
        }

    def _expected_ms(self, candidate: Candidate) -> dict[str, LatencyPrediction]:
        """The search's predictions, or what the models say that have seen measurements since."""
        found = {}
        for name in _targets(self.search):
            if name in self.updated:
                found[name] = self.updated[name].predict(candidate.architecture)
            elif name in candidate.latency_ms:
                found[name] = candidate.latency_ms[name]
        return found

    def _broken(self, chosen: _Chosen) -> list[_Excess]:
        """The limits on latency that one who was measured breaks."""
        measured_ms = self._measured_ms(chosen.candidate)
        found = []
        for name, limit_ms in self.search.limits.latency_ms.items():
            if name in measured_ms:
                latency_ms, how = measured_ms[name].typical, "on"
            else:
                latency_ms, how = self._sure_ms(chosen.expected_ms, name), "predicted on"
            if latency_ms > limit_ms:
                found.append(_excess(latency_ms, limit_ms, f"{how} {name}"))
        return found

    def _is_expected_within(self, place: int) -> bool:
        return self._expected_excess(place) <= 0

    def _expected_excess(self, place: int) -> float:
        """How far over its worst limit a candidate is expected now, relative to the limit."""
        expected_ms = self._expected_ms(self._ranked(place))
        worst = 0.0
        for name, limit_ms in self.search.limits.latency_ms.items():
            decides = name in self.unmeasured
            latency_ms = self._sure_ms(expected_ms, name) if decides else expected_ms[name].typical
            worst = max(worst, latency_ms / limit_ms - 1)
        return worst

    def _sure_ms(self, expected_ms: Mapping[str, LatencyPrediction], name: str) -> float:
        """What a latency is not above as predicted, with the limits' confidence."""
        prediction = expected_ms[name]
        return prediction.typical + float(ndtri(self.search.limits.confidence)) * prediction.std


def _steadiness(rounds: Sequence[Campaign]) -> Steadiness:
    """How still the machine held over all rounds; it ended for the reason that the last one did."""
    groups = {key: visits for found in rounds for key, visits in found.visits.items()}
    visits = sorted((v for group in groups.values() for v in group), key=lambda visit: visit.at)
    last = rounds[-1].steadiness
    assert last is not None  # where nothing is measured, the campaign raises
    return steadiness(visits, groups, last.stopped)


def _excess(latency_ms: float, limit_ms: float, where: str) -> _Excess:
    relative = latency_ms / limit_ms - 1
    return _Excess(
        relative,
        f"{latency_ms:.4g} ms {where} is {100 * relative:.1f} % over the limit of "
        f"{limit_ms:.4g} ms",
    )
