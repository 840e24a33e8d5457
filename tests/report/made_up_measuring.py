"""How a made-up machine measured and profiled; numbers plausible in size, measured nowhere."""

from __future__ import annotations

import numpy as np

from pipeline.device.fingerprint import Environment
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import LatencyStats, runs_needed
from pipeline.measure.steadiness import Steadiness
from pipeline.records.calibration import Calibration, CalibrationNetwork, Honesty, MethodError
from pipeline.records.profile import ProfileRecord
from pipeline.space.architecture import Architecture
from pipeline.space.cost import architecture_cost, operator_macs
from pipeline.space.search_space import get_space

TARGET = "host/onnxruntime-fp32-b1-t1"
RESOLUTION = 64
NO_SPELL = {"spells": 0, "disturbed_percent": 0, "longest_spell_s": 0}


def environment() -> Environment:
    return Environment(
        device="made-up-cpu-2c",
        cpu="Made-up CPU @ 2.0 GHz",
        cpu_flags=("avx2", "avx512f", "avx512_vnni"),
        cores=2,
        memory_gib=7.8,
        governor=None,
        os="Linux 6.0",
        python="3.11.9",
        packages={"torch": "2.14.1", "timm": "1.0.31", "onnx": "1.23.0", "onnxruntime": "1.32.0"},
    )


def random_architecture(rng: np.random.Generator, depth: int = 3) -> Architecture:
    operators = get_space("cream").operators
    stages = tuple(
        tuple(str(rng.choice(operators)) for _ in range(rng.integers(1, depth + 1)))
        for _ in range(5)
    )
    return Architecture(space="cream", resolution=RESOLUTION, num_classes=10, stages=stages)


def true_latency_ms(architecture: Architecture) -> float:
    return 0.08 + 0.012 * architecture.depth + architecture_cost(architecture).macs / 9e7


def percentiles(typical: float, n: int) -> dict[str, float | None]:
    """Those that so many runs support, each with its bound."""
    factors = {"median": (50, 1.03), "p90": (90, 1.16), "p95": (95, 1.3), "p99": (99, 1.7)}
    found: dict[str, float | None] = {}
    for name, (percent, factor) in factors.items():
        supported = n >= runs_needed(percent)
        found[name] = factor * typical if supported else None
        found[f"{name}_bound"] = 1.05 * factor * typical if supported else None
    return found


def stats(typical: float, n: int = 96, *, rng: np.random.Generator) -> LatencyStats:
    return LatencyStats(
        typical=typical,
        std=0.006 * typical,
        mean=1.08 * typical,
        min=typical,
        **percentiles(typical, n),
        cov=0.05 + 0.05 * float(rng.random()),
        n=n,
    )


def steadiness(**changed: object) -> Steadiness:
    figures = {
        "stopped": "agreed",
        "sweeps": 11,
        "disagreement_percent": 0.43,
        "spells": 3,
        "disturbed_percent": 4.2,
        "longest_spell_s": 7.5,
        "interrupted_percent": 12.5,
    }
    return Steadiness.model_validate({**figures, **changed})


def profile_record(rng: np.random.Generator) -> ProfileRecord:
    networks = []
    for place, depth in enumerate((1, 2, 2, 3, 3, 4, 4, 5, 6, 6)):
        architecture = random_architecture(rng, depth)
        # What counting MACs cannot know, and the table does.
        measured = true_latency_ms(architecture) * (1.07 if place % 3 else 0.94)
        measured *= 1 + 0.008 * float(rng.standard_normal())
        networks.append(
            CalibrationNetwork(
                architecture=architecture,
                macs=architecture_cost(architecture).macs,
                operator_sum_ms=0.9 * measured,
                measured_ms=measured,
                predicted_ms=measured * (1 + 0.016 * float(rng.standard_normal())),
                predicted_std_ms=0.014 * measured,
            )
        )
    return ProfileRecord(
        target=TARGET,
        table="latency_tables/made-up-cpu-2c/onnxruntime-fp32-b1-t1.jsonl",
        space="cream",
        resolution=RESOLUTION,
        num_classes=10,
        protocol=TimingProtocol(),
        operators=63,
        visits_measured=876,
        visits_reused=0,
        control=stats(0.26, 4000, rng=rng),
        steadiness=steadiness(),
        calibration=calibration(tuple(networks)),
        reference_latency_ms=0.264,
        reference_name="cream-14",
        seconds=143.2,
        environment=environment(),
    )


def calibration(networks: tuple[CalibrationNetwork, ...]) -> Calibration:
    operators_ms = {
        spec.key: 0.01 + operator_macs(spec) / 8e7
        for spec in get_space("cream").distinct_operators(RESOLUTION, 10)
    }
    return Calibration(
        space="cream",
        resolution=RESOLUTION,
        num_classes=10,
        max_depth=6,
        method="isolated",
        methods=(
            MethodError(method="isolated", mape_percent=1.23, max_percent=2.0),
            MethodError(method="in_context", mape_percent=2.31, max_percent=5.2),
        ),
        operators_ms=operators_ms,
        in_context_ms={
            key: ms * (0.93 + 0.02 * (place % 5))
            for place, (key, ms) in enumerate(operators_ms.items())
        },
        offset_ms=0.0131,
        per_block_ms=0.0042,
        misfit=0.012,
        honesty=Honesty(
            networks=len(networks),
            mape_percent=1.23,
            within_5_percent=100.0,
            within_10_percent=100.0,
            max_percent=2.0,
            bias_percent=-0.38,
            kendall_tau=0.956,
            pair10_percent=83.3,
            coverage_percent=70.0,
            split_half_percent=0.62,
            flops_mape_percent=7.17,
            flops_kendall_tau=0.911,
            date="2031-02-03",
            cost_s=143.2,
        ),
        networks=networks,
    )
