"""Verification: the best candidates are built and timed before money is spent on training them.

A prediction chooses, a measurement decides. Candidates are taken in the order of their accuracy;
the first that is within every limit as measured wins, the others stay in the record with the
limit they broke.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.architecture_file import published
from pipeline.campaign import CONTROL_NETWORK, Campaign, run_campaign
from pipeline.device import Target
from pipeline.errors import InfeasibleError
from pipeline.export_cache import export_all
from pipeline.fingerprint import environment
from pipeline.latency_stats import LatencyStats
from pipeline.measure import TimingProtocol
from pipeline.progress import Progress, silent
from pipeline.records import Candidate, Limits, SearchRecord, VerifiedCandidate, VerifyRecord

MAX_ROUNDS = 4


def verify(
    search: SearchRecord,
    *,
    top_k: int,
    protocol: TimingProtocol,
    folder: Path,
    seed: int = 0,
    export_progress: Progress = silent,
    progress: Progress = silent,
) -> VerifyRecord:
    """Measures the most accurate candidates of a search.

    Args:
        search: What the search found.
        top_k: Candidates a round; further rounds follow while none is within the limits.
        protocol: How they are timed.
        folder: Where the visits are kept.
        seed: Decides the order of visits.
        export_progress: Told while candidates are exported.
        progress: Told after each visit.

    Raises:
        InfeasibleError: The search found nothing, or every candidate measured is over a limit;
            says how far the nearest one is.
        UnavailableError: The target cannot be measured here.
        StorageError: A file cannot be written; what was measured is kept.
    """
    start = time.monotonic()
    if not search.ranking:
        raise InfeasibleError(
            f"there is no candidate to verify: {search.message}", hint="loosen a limit"
        )
    target = Target.parse(search.target)
    control = export_all([published(CONTROL_NETWORK)], batch=target.batch)[0]
    ranked = [search.evaluated[index] for index in search.ranking]
    verified: list[VerifiedCandidate] = []
    for round_number in range(MAX_ROUNDS):
        chosen = ranked[: top_k * (round_number + 1)]
        campaign = _time(chosen, control, target, protocol, folder, seed, export_progress, progress)
        verified = [
            _verdict(candidate, campaign.stats[candidate.architecture.short], search)
            for candidate in chosen
        ]
        within = [index for index, item in enumerate(verified) if item.verdict == "within"]
        if within:
            return VerifyRecord(
                limits=search.limits,
                candidates=tuple(verified),
                winner=within[0],
                control=campaign.control,
                steadiness=campaign.steadiness,
                seconds=time.monotonic() - start,
                environment=environment(),
            )
        if len(chosen) == len(ranked):
            break
    raise InfeasibleError(_how_far(verified, search.limits, target))


def _time(
    candidates: Sequence[Candidate],
    control: Path,
    target: Target,
    protocol: TimingProtocol,
    folder: Path,
    seed: int,
    export_progress: Progress,
    progress: Progress,
) -> Campaign:
    architectures = [candidate.architecture for candidate in candidates]
    models = export_all(architectures, batch=target.batch, progress=export_progress)
    subjects = {a.short: model for a, model in zip(architectures, models, strict=True)}
    journal = folder / "visits.jsonl"
    return run_campaign(subjects, control, target, protocol, journal, seed=seed, progress=progress)


def _verdict(candidate: Candidate, stats: LatencyStats, search: SearchRecord) -> VerifiedCandidate:
    limit_ms = search.limits.latency_ms.get(search.target)
    over = limit_ms is not None and stats.typical > limit_ms
    return VerifiedCandidate(
        candidate=candidate,
        measured_ms={search.target: stats},
        verdict="over" if over else "within",
        reason=_reason(stats.typical, limit_ms, search.target) if over and limit_ms else "",
    )


def _reason(measured_ms: float, limit_ms: float, target: str) -> str:
    excess = 100 * (measured_ms / limit_ms - 1)
    return f"{measured_ms:.4g} ms on {target} is {excess:.1f} % over the limit of {limit_ms:.4g} ms"


def _how_far(verified: Sequence[VerifiedCandidate], limits: Limits, target: Target) -> str:
    nearest = min(verified, key=lambda item: item.measured_ms[target.name].typical)
    return (
        f"none of {len(verified)} candidates is within {limits.latency_ms[target.name]:.4g} ms on "
        f"{target.name} as measured; the nearest: {nearest.reason}"
    )
