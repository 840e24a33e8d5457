"""Profiling: every distinct operator of a space, and whole networks, measured on a target.

Operators and calibration networks are subjects of one campaign, in the same sweeps, so that the
fit sees both under the same weather. Operators' times come from two methods: each alone, which
every runtime can do, and, where the runtime tells the times of its nodes, in context. The one that
predicts unseen networks better is kept.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from pipeline.device import runtimes
from pipeline.device.fingerprint import environment
from pipeline.device.target import Target
from pipeline.export.cache import export_all
from pipeline.latency.calibration import (
    MIN_NETWORKS,
    Measured,
    OperatorTimes,
    calibrate,
    require_networks,
)
from pipeline.latency.in_context import in_context_ms, layers_key, measure_in_context
from pipeline.latency.model import save_calibration
from pipeline.latency.sampling import design_networks
from pipeline.latency.table import network_key
from pipeline.latency.table_files import table_to_write
from pipeline.measure.campaign import (
    CONTROL_NETWORK,
    Campaign,
    conditions,
    differing_conditions,
    run_campaign,
)
from pipeline.measure.journal import read_journal, set_aside
from pipeline.measure.measuring_process import check_measurable
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import Visit, by_key, split_half_percent
from pipeline.records.calibration import Calibration, Method
from pipeline.records.profile import ProfileRecord
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import published
from pipeline.space.operator_spec import OperatorSpec
from pipeline.space.search_space import SearchSpace
from pipeline.work.progress import Progress, silent

REFERENCE = "cream-14"
# Between two visits of one campaign; more is an interruption, which costs nobody anything.
_LONGEST_GAP_S = 30.0


def profile(
    space: SearchSpace,
    target: Target,
    *,
    resolution: int,
    num_classes: int,
    protocol: TimingProtocol,
    calibration_networks: int = 24,
    held_out: Sequence[Architecture] = (),
    seed: int = 0,
    export_progress: Progress = silent,
    progress: Progress = silent,
) -> ProfileRecord:
    """Measures, or goes on measuring, a target's latency table for a space.

    Args:
        space: The space, possibly narrowed.
        target: What to measure; must be on this machine.
        resolution: Input side in pixels.
        num_classes: Outputs of the classifier.
        protocol: How each subject is timed.
        calibration_networks: Whole networks to calibrate on.
        held_out: Networks to measure in the same sweeps without calibrating on them.
        seed: Decides the calibration networks and the order of visits.
        export_progress: Told while subjects are exported.
        progress: Told after each visit.

    Raises:
        UnavailableError: The target cannot be measured here.
        MeasurementError: An engine refuses an operator, or the measuring process died.
        UnsteadyError: The machine does not hold still.
        TableError: The table on disk is damaged. One that was made under other conditions is
            set aside under another name, and measuring begins anew.
        StorageError: A file cannot be written; what was measured is kept.
    """
    start = time.monotonic()
    check_measurable(target)
    operators = space.distinct_operators(resolution, num_classes)
    designed = design_networks(
        space, resolution, num_classes, max(calibration_networks, MIN_NETWORKS), seed=seed
    )
    networks = [network for network in designed if network not in held_out]
    require_networks(len(networks))
    reference = published(REFERENCE, resolution=resolution, num_classes=num_classes)
    whole = list(dict.fromkeys([*networks, reference, *held_out]))
    control, *folders = export_all(
        [published(CONTROL_NETWORK), *operators, *whole],
        batch=target.batch,
        file=runtimes.model_file(target),
        progress=export_progress,
    )
    keys = [*(spec.key for spec in operators), *(network_key(network) for network in whole)]
    subjects = dict(zip(keys, folders, strict=True))
    path = table_to_write(target)
    aside = set_aside(path, conditions(target, protocol), differing_conditions)
    campaign = run_campaign(subjects, control, target, protocol, path, seed=seed, progress=progress)
    if runtimes.tells_layer_times(target.runtime):
        models = {network: subjects[network_key(network)] for network in networks}
        latency_ms = {n: campaign.stats[network_key(n)].typical for n in networks}
        measure_in_context(
            models, latency_ms, control, target, protocol, path, seed=seed, progress=progress
        )
    calibration = calibrate(
        space,
        resolution,
        num_classes,
        _operator_times(campaign, operators, networks, path),
        _measured(campaign, operators, networks, path),
    )
    save_calibration(path, target, calibration)
    return _record(
        campaign, calibration, reference, target, path, protocol, len(operators),
        set_aside=None if aside is None else str(aside),
        seconds=time.monotonic() - start,
    )  # fmt: skip


def _operator_times(
    campaign: Campaign,
    operators: Sequence[OperatorSpec],
    networks: Sequence[Architecture],
    path: Path,
) -> dict[Method, OperatorTimes]:
    alone = {spec.key: campaign.stats[spec.key].typical for spec in operators}
    times: dict[Method, OperatorTimes] = {"isolated": OperatorTimes(alone)}
    layers = by_key(read_journal(path)[1])
    inside = in_context_ms(layers, networks, alone)
    if inside is not None:
        without = [
            in_context_ms(layers, [n for n in networks if n != left_out], alone)
            for left_out in networks
        ]
        times["in_context"] = OperatorTimes(inside, [w for w in without if w is not None])
    return times


def _measured(
    campaign: Campaign,
    operators: Sequence[OperatorSpec],
    networks: Sequence[Architecture],
    path: Path,
) -> Measured:
    keys = [network_key(network) for network in networks]
    visits = {key: campaign.visits[key] for key in keys}
    last = max(visit.at for group in visits.values() for visit in group)
    ours = {*keys, *map(layers_key, networks), *(spec.key for spec in operators)}
    opening_s = sum(took_s for key, took_s in campaign.opening_s.items() if key in ours)
    return Measured(
        architectures=networks,
        latency_ms=np.array([campaign.stats[key].typical for key in keys]),
        split_half_percent=split_half_percent(visits),
        date=last[:10],
        cost_s=opening_s + visiting_s(read_journal(path)[1], ours),
    )


def visiting_s(visits: Iterable[Visit], keys: set[str]) -> float:
    """Seconds that visiting some subjects took, each from the visit before it.

    Args:
        visits: A journal's, in the order they were made.
        keys: The subjects.
    """
    total_s, before = 0.0, None
    for visit in visits:
        at = datetime.datetime.fromisoformat(visit.at)
        if before is not None and visit.key in keys:
            gap_s = (at - before).total_seconds()
            total_s += gap_s if 0 <= gap_s <= _LONGEST_GAP_S else 0.0
        before = at
    return total_s


def _record(
    campaign: Campaign,
    calibration: Calibration,
    reference: Architecture,
    target: Target,
    path: Path,
    protocol: TimingProtocol,
    operators: int,
    *,
    set_aside: str | None,
    seconds: float,
) -> ProfileRecord:
    return ProfileRecord(
        target=target.name,
        table=str(path),
        set_aside=set_aside,
        space=calibration.space,
        resolution=calibration.resolution,
        num_classes=calibration.num_classes,
        protocol=protocol,
        operators=operators,
        visits_measured=campaign.measured,
        visits_reused=campaign.reused,
        control=campaign.control,
        steadiness=campaign.steadiness,
        calibration=calibration,
        reference_latency_ms=campaign.stats[network_key(reference)].typical,
        reference_name=reference.label,
        seconds=seconds,
        environment=environment(),
    )
