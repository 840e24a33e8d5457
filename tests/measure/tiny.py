"""A space so small that tests profile, verify and benchmark it for real."""

from pipeline.device.target import Target
from pipeline.latency.calibration import MIN_NETWORKS
from pipeline.latency.sampling import design_networks
from pipeline.measure.protocol import TimingProtocol
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import get_space

TARGET = Target.parse("host/onnxruntime-fp32-b1-t1")
RESOLUTION, CLASSES = 32, 10
# Of plain convolutions: their networks have half the nodes to export.
SPACE = get_space("cream-table3-released").narrowed(max_depth=1, operators=["conv_1x1", "conv_5x5"])
# So few runs never agree; on a busy machine tests are none the wiser for being refused.
QUICK = TimingProtocol(
    sweeps=3,
    unsteady_percent=1e6,
    sweep_interval_s=0,
    warm_runs=1,
    runs=2,
    burst_ms=0.0,
    warmup_ms=1.0,
    control_runs=2,
)


def networks() -> list[Architecture]:
    """Those that profiling calibrates on, so that tests share their exports."""
    return design_networks(SPACE, RESOLUTION, CLASSES, MIN_NETWORKS, seed=0)
