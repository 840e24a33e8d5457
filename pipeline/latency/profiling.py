"""Profiling: every distinct operator of a space, and whole networks, measured on a target.

Operators and calibration networks are subjects of one campaign, in the same sweeps, so that the
fit sees both under the same weather.
"""

from __future__ import annotations

import time
from pathlib import Path

from pipeline.architecture_file import published
from pipeline.campaign import CONTROL_NETWORK, Campaign, run_campaign
from pipeline.device import Target, environment
from pipeline.export_cache import export_all
from pipeline.latency.calibration import (
    MIN_NETWORKS,
    Observation,
    calibrate,
    choose_networks,
    observe,
    require_networks,
)
from pipeline.latency.model import save_calibration
from pipeline.latency.table import network_key
from pipeline.measure import TimingProtocol
from pipeline.progress import Progress, silent
from pipeline.records import Calibration, ProfileRecord
from pipeline.space import Architecture, SearchSpace
from pipeline.workspace import table_to_write

REFERENCE = "cream-14"


def profile(
    space: SearchSpace,
    target: Target,
    *,
    resolution: int,
    num_classes: int,
    protocol: TimingProtocol,
    calibration_networks: int = 10,
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
        seed: Decides the calibration networks and the order of visits.
        export_progress: Told while subjects are exported.
        progress: Told after each visit.

    Raises:
        UnavailableError: The target cannot be measured here.
        MeasurementError: An engine refuses an operator, or the measuring process died.
        TableError: The table on disk was made under other conditions.
        StorageError: A file cannot be written; what was measured is kept.
    """
    start = time.monotonic()
    operators = space.distinct_operators(resolution, num_classes)
    networks = choose_networks(
        space, resolution, num_classes, max(calibration_networks, MIN_NETWORKS), seed=seed
    )
    require_networks(len(networks))
    reference = published(REFERENCE, resolution=resolution, num_classes=num_classes)
    networks = list(dict.fromkeys([*networks, reference]))
    control = published(CONTROL_NETWORK)
    folders = export_all(
        [control, *operators, *networks], batch=target.batch, progress=export_progress
    )
    keys = [*(spec.key for spec in operators), *(network_key(n) for n in networks)]
    path = table_to_write(target)
    campaign = run_campaign(
        dict(zip(keys, folders[1:], strict=True)),
        folders[0],
        target,
        protocol,
        path,
        seed=seed,
        progress=progress,
    )
    calibration = calibrate(
        space, resolution, num_classes, _observations(space, networks, campaign)
    )
    save_calibration(path, target, calibration)
    return _record(
        campaign, calibration, reference, target, path, protocol, len(operators),
        seconds=time.monotonic() - start,
    )  # fmt: skip


def _observations(
    space: SearchSpace, networks: list[Architecture], campaign: Campaign
) -> list[Observation]:
    def operator_sum_ms(network: Architecture) -> float:
        return sum(campaign.stats[placed.spec.key].typical for placed in network.operators())

    return [
        observe(
            network, space, operator_sum_ms(network), campaign.stats[network_key(network)].typical
        )
        for network in networks
        if network.space == space.name and _inside(space, network)
    ]


def _inside(space: SearchSpace, network: Architecture) -> bool:
    """Whether a narrowed space holds the network: only its own networks calibrate it."""
    return all(
        len(stage) <= space.max_depth and set(stage) <= set(space.operators)
        for stage in network.stages
    )


def _record(
    campaign: Campaign,
    calibration: Calibration,
    reference: Architecture,
    target: Target,
    path: Path,
    protocol: TimingProtocol,
    operators: int,
    *,
    seconds: float,
) -> ProfileRecord:
    return ProfileRecord(
        target=target.name,
        table=str(path),
        space=calibration.space,
        resolution=calibration.resolution,
        num_classes=calibration.num_classes,
        protocol=protocol,
        operators=operators,
        visits_measured=campaign.measured,
        visits_reused=campaign.reused,
        control=campaign.control,
        calibration=calibration,
        reference_latency_ms=campaign.stats[network_key(reference)].typical,
        reference_name=reference.label,
        seconds=seconds,
        environment=environment(),
    )
