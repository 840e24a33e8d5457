"""What `profile` tells: a latency table was measured."""

from __future__ import annotations

from pipeline.device.fingerprint import Environment
from pipeline.files.record import Record
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import LatencyStats
from pipeline.measure.steadiness import Steadiness
from pipeline.records.calibration import Calibration
from pipeline.records.input_sizes import InputSizes


class ProfileRecord(Record):
    """A latency table was measured, or gone on with, on one target.

    Attributes:
        set_aside: Where a table went that was there before and made under other conditions.
        also: Other input sizes and targets of the same run.
        sizes: All input sizes of the run; None in records of before.
    """

    target: str
    table: str
    set_aside: str | None = None
    space: str
    resolution: int
    num_classes: int
    protocol: TimingProtocol
    operators: int
    visits_measured: int
    visits_reused: int
    control: LatencyStats
    steadiness: Steadiness
    calibration: Calibration
    reference_latency_ms: float
    reference_name: str
    seconds: float
    environment: Environment
    also: tuple[ProfileRecord, ...] = ()
    sizes: InputSizes | None = None
