"""A simulated machine whose true latencies are known; its time passes only as it runs or sleeps."""

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pipeline.device.burst import Burst, BurstPlan, time_burst
from pipeline.device.machine_state import MachineState
from pipeline.device.target import Target
from pipeline.errors import MeasurementError
from pipeline.measure.bench import CONTROL
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.schedule import measure
from pipeline.measure.statistics import Visit

TRUTH_MS = {CONTROL: 0.8, "small": 0.05, "middle": 0.4, "large": 1.5, "huge": 5.0}
SUBJECTS = [key for key in TRUTH_MS if key != CONTROL]
QUICK = TimingProtocol(
    sweeps=3, warm_runs=1, runs=2, burst_ms=0, warmup_ms=1, control_runs=2, sweep_interval_s=0
)
_EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def steady(at_s: float) -> float:
    """A machine that does nothing else."""
    return 1.0


class SimulatedBench:
    """A machine on which time passes only while a subject runs, and while it sleeps.

    Args:
        slowness: How many times longer a run takes that starts at a time in seconds.
        cold_ms: How long a subject runs before it reaches its latency; ten times longer till then.

    Attributes:
        at_s: What time it is, in seconds.
        calls: What was asked of it: (time, `warm`, `burst` or `sleep`, subject or seconds).
    """

    def __init__(self, slowness: Callable[[float], float] = steady, cold_ms: float = 0.0) -> None:
        self.at_s = 0.0
        self.calls: list[tuple[float, str, str | float]] = []
        self._slowness = slowness
        self._cold_ms = dict.fromkeys(TRUTH_MS, cold_ms)

    def clock(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.calls.append((self.at_s, "sleep", seconds))
        self.at_s += seconds

    def now(self) -> str:
        return time_of(self.at_s)

    def precision(self, key: str) -> str:
        return f"precision of {key}"

    def control(self, key: str) -> str:
        return CONTROL

    def warm(self, key: str, duration_ms: float) -> None:
        self.calls.append((self.at_s, "warm", key))
        end_s = self.at_s + duration_ms / 1e3
        while self.at_s < end_s:
            self._run(key)

    def burst(self, key: str, plan: BurstPlan) -> Burst:
        self.calls.append((self.at_s, "burst", key))
        samples_ms = time_burst(lambda: self._run(key), self.clock, plan)
        return Burst(samples_ms, MachineState(load_1min=self.at_s), len(self.calls))

    def called(self, what: str) -> list[str | float]:
        """Subjects of all warm-ups or bursts in order, or the seconds of all sleeps."""
        return [argument for _, kind, argument in self.calls if kind == what]

    def _run(self, key: str) -> None:
        took_ms = TRUTH_MS[key] * self._slowness(self.at_s)
        if self._cold_ms[key] > 0:
            took_ms *= 10
            self._cold_ms[key] -= took_ms
        self.at_s += took_ms / 1e3


class SimulatedProcess(SimulatedBench):
    """Stands in for a `MeasuringProcess`; folders of models need not exist."""

    is_alive = True

    def __init__(self, target: Target, slowness: Callable[[float], float] = steady) -> None:
        super().__init__(slowness)
        self.target = target

    def __enter__(self) -> "SimulatedProcess":
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def notes(self, key: str) -> tuple[str, ...]:
        return ()

    def transfer_time(self, key: str, runs: int) -> None:
        return None

    def open(self, key: str, model: Path) -> None:
        if model.name == "refused":
            raise MeasurementError(f"{model} is refused")


class Spells:
    """Slow spells: twice as slow for a random third of the time, and now and then a hiccup.

    Args:
        seed: Decides when.
        mean_slow_s: Mean length of a slow spell in seconds; fast ones are twice as long.
    """

    def __init__(self, seed: int, mean_slow_s: float) -> None:
        self._random = np.random.default_rng(seed)
        self._mean_s = {False: 2 * mean_slow_s, True: mean_slow_s}
        self._slow = False
        self._until_s = self._length_s()

    def __call__(self, at_s: float) -> float:
        while at_s >= self._until_s:
            self._slow = not self._slow
            self._until_s += self._length_s()
        hiccup = 3.0 if self._random.random() < 0.02 else 1.0
        jitter = 1 + abs(self._random.normal(0, 0.005))
        return float((2.0 if self._slow else 1.0) * hiccup * jitter)

    def _length_s(self) -> float:
        return float(self._random.exponential(self._mean_s[self._slow]))


class ChangingLevels:
    """A machine that never holds still: its level is drawn anew every so often.

    Args:
        seed: Decides the levels.
        worst: The slowest level; all between it and 1 are equally likely.
        mean_s: Mean seconds between changes.
    """

    def __init__(self, seed: int, worst: float, mean_s: float) -> None:
        self._random = np.random.default_rng(seed)
        self._worst = worst
        self._mean_s = mean_s
        self._until_s = -1.0
        self._level = 1.0

    def __call__(self, at_s: float) -> float:
        while at_s >= self._until_s:
            self._level = float(self._random.uniform(1, self._worst))
            self._until_s = max(self._until_s, 0.0) + float(self._random.exponential(self._mean_s))
        return self._level


def visits_of(
    bench: SimulatedBench,
    protocol: TimingProtocol = QUICK,
    *,
    seed: int = 0,
    known: Sequence[Visit] = (),
) -> list[Visit]:
    """All visits that a campaign on a simulated machine makes."""
    return list(
        measure(
            bench,
            SUBJECTS,
            protocol,
            seed=seed,
            known=known,
            now=bench.now,
            clock=bench.clock,
            sleep=bench.sleep,
        )
    )


def a_visit(
    samples_ms: Sequence[float],
    before_ms: Sequence[float] = (1.0,),
    after_ms: Sequence[float] = (1.0,),
    *,
    key: str = "subject",
    sweep: int = 0,
    at_s: float = 0.0,
    interruptions: int | None = None,
) -> Visit:
    """A made-up visit."""
    return Visit(
        sweep=sweep,
        key=key,
        samples_ms=tuple(samples_ms),
        control_before_ms=tuple(before_ms),
        control_after_ms=tuple(after_ms),
        at=time_of(at_s),
        precision="fp32",
        interruptions=interruptions,
    )


def time_of(at_s: float) -> str:
    """A time of the simulated machine as visits hold it."""
    return (_EPOCH + datetime.timedelta(seconds=at_s)).isoformat(timespec="microseconds")
