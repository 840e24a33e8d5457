"""A profile small enough to be killed many times; `test_killed_profile.py` runs it in a process."""

from pipeline.device.target import Target
from pipeline.latency.profiling import profile
from pipeline.space.search_space import get_space
from tests.measure.tiny import QUICK

# Both numbers of sweeps alike, so that every run makes the same visits.
PROTOCOL = QUICK.model_copy(
    update={"sweeps": 60, "min_sweeps": 60, "warm_runs": 0, "warmup_ms": 0.0, "control_runs": 1}
)


def main() -> None:
    profile(
        get_space("cream").narrowed(max_depth=2, operators=["mb4_3x3", "mb6_3x3"]),
        Target.parse("host/onnxruntime-fp32-b1-t1"),
        resolution=32,
        num_classes=10,
        protocol=PROTOCOL,
        calibration_networks=8,
    )


if __name__ == "__main__":
    main()
