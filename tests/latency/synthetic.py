"""Synthetic tables: made-up times that follow from operators' sizes. Nothing here was measured."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.cost import operator_macs
from pipeline.device import Target
from pipeline.journal import Journal
from pipeline.latency.calibration import Observation, calibrate, choose_networks, observe
from pipeline.latency.table import network_key
from pipeline.measure import Visit
from pipeline.operator_spec import OperatorSpec
from pipeline.records import Calibration
from pipeline.space import Architecture, SearchSpace
from pipeline.workspace import table_to_write

TARGET = Target.parse("synthetic/onnxruntime-fp32-b1-t1")
SCALE, OFFSET_MS, PER_BLOCK_MS = 1.1, 0.3, 0.07


def operator_ms(spec: OperatorSpec) -> float:
    """Grows with MACs, and with the kernel beyond what MACs say."""
    return 0.01 + operator_macs(spec) / 4e6 + 0.002 * spec.kernel**2


def operator_sum_ms(architecture: Architecture) -> float:
    return sum(operator_ms(placed.spec) for placed in architecture.operators())


def network_ms(architecture: Architecture) -> float:
    """Exactly what a calibration can express."""
    return SCALE * operator_sum_ms(architecture) + OFFSET_MS + PER_BLOCK_MS * architecture.depth


def times_of(
    specs: Iterable[OperatorSpec], networks: Iterable[Architecture] = ()
) -> dict[str, float]:
    """Times by key, as a table holds them."""
    return {
        **{spec.key: operator_ms(spec) for spec in specs},
        **{network_key(network): network_ms(network) for network in networks},
    }


def write_table(
    times_ms: Mapping[str, float],
    target: Target = TARGET,
    *,
    sweeps: int = 3,
    header: Mapping[str, str] | None = None,
) -> Path:
    """Writes visits to the target's place in the working directory."""
    path = table_to_write(target)
    conditions = {"device": target.device_slug, "target": target.setting, **(header or {})}
    with Journal(path, conditions) as journal:
        for sweep in range(sweeps):
            for key, time_ms in times_ms.items():
                journal.append(
                    Visit(
                        sweep=sweep,
                        key=key,
                        samples_ms=(time_ms, 2 * time_ms),
                        control_before_ms=(1.0, 1.5),
                        control_after_ms=(1.25, 1.0),
                        at="2026-01-01T00:00:00.000+00:00",
                        precision="fp32",
                    )
                )
    return path


def observations(
    space: SearchSpace, resolution: int, num_classes: int, count: int = 10
) -> list[Observation]:
    networks = choose_networks(space, resolution, num_classes, count, seed=0)
    return [
        observe(network, space, operator_sum_ms(network), network_ms(network))
        for network in networks
    ]


def calibration(
    space: SearchSpace, resolution: int, num_classes: int, count: int = 10
) -> Calibration:
    return calibrate(
        space, resolution, num_classes, observations(space, resolution, num_classes, count)
    )
