"""The measuring process as its parent sees it: holds the sessions, so that a crash stays in it.

The parent schedules; the child (`pipeline.device.child`) is pinned, opens models, times bursts and
answers one JSON line for each JSON line it reads. Different targets have different
children, so runtimes that cannot share a process can still be interleaved. A child may run in a
Python environment of its own, which the device's profile names (`pipeline.measure.engines`).
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import errors
from pipeline.device import runtimes
from pipeline.device.burst import Burst, BurstPlan
from pipeline.device.machine_state import MachineState
from pipeline.device.target import Target, host_slug
from pipeline.errors import CrashedError, MeasurementError
from pipeline.files.cache_folder import CACHE_VARIABLE, cache_dir
from pipeline.files.record import checked
from pipeline.measure.engines import command, import_path, interpreter, unavailable

_ANSWER_TIMEOUT_S = 600.0
_CHILD = "from pipeline.device.child import main; main()"


def check_measurable(target: Target) -> None:
    """Refuses a target that no process of this machine can measure.

    Raises:
        UnknownNameError: There is no such runtime.
        UnavailableError: The target is on another machine, or its runtime cannot run here.
    """
    if not target.is_here:
        raise errors.UnavailableError(
            f"target {target.name} is on {target.device_slug}; this machine is {host_slug()}",
            hint="run the same command on that device",
        )
    if reason := unavailable(target.runtime):
        raise errors.UnavailableError(
            f"target {target.name}: {reason}", hint="what can: python run_pipeline.py devices"
        )


class MeasuringProcess:
    """A child process that times models on one target; use it in a `with` block.

    Args:
        target: What the child measures.

    Raises:
        UnavailableError: See `check_measurable`.
    """

    def __init__(self, target: Target) -> None:
        check_measurable(target)
        self.target = target
        self._opened: dict[str, dict[str, Any]] = {}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the child)
        python = interpreter(target.runtime)
        self._child = subprocess.Popen(
            [*command(python, _CHILD), target.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={
                **os.environ,
                "PYTHONPATH": import_path(),
                CACHE_VARIABLE: str(cache_dir()),
            },
            # A ctrl-C is for the parent, which then ends the child in order.
            start_new_session=True,
        )

    def __enter__(self) -> MeasuringProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout, self._log):
            # What the child did not live to read is still in the pipe's buffer.
            with suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()

    @property
    def is_alive(self) -> bool:
        """Whether the child still runs."""
        return self._child.poll() is None

    def open(self, key: str, model: Path) -> None:
        """Builds and opens a model under `key`.

        Args:
            key: What the model is called from now on.
            model: Folder with `model.onnx`.

        Raises:
            UnavailableError: The machine does not have the target's precision.
            MeasurementError: The engine refuses it, or the child died (`CrashedError`).
        """
        self._opened[key] = self._ask({"do": "open", "key": key, "model": str(model.resolve())})

    def precision(self, key: str) -> str:
        """What the engine computes a model in; see `pipeline.measure.schedule.Bench`."""
        return str(self._opened[key]["precision"])

    def notes(self, key: str) -> tuple[str, ...]:
        """What a reader of a model's times must know; see `runtimes.DeviceTimedSession`."""
        return tuple(self._opened[key]["notes"])

    def transfer_time(self, key: str, runs: int) -> runtimes.TransferTime | None:
        """Times the copies to the device and back; None where there is none to copy to."""
        answer = self._ask({"do": "transfer", "key": key, "runs": runs})
        told = answer["transfer"]
        return runtimes.TransferTime(*told) if told else None

    def warm(self, key: str, duration_ms: float) -> None:
        """Runs untimed for a while; see `pipeline.measure.schedule.Bench`."""
        self._ask({"do": "warm", "key": key, "duration_ms": duration_ms})

    def burst(self, key: str, plan: BurstPlan) -> Burst:
        """Times a burst; see `pipeline.measure.schedule.Bench`."""
        answer = self._ask({"do": "burst", "key": key, "plan": plan._asdict()})
        state = checked(MachineState, answer["state"])
        return Burst(
            answer["samples_ms"],
            state,
            answer["interruptions"],
            answer["device_ms"],
            answer["enqueue_ms"],
        )

    def answers(self, key: str, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """What an opened classifier answers.

        Args:
            key: What it was opened as.
            images: Shape (n, 3, side, side), n at least 1; the last call is filled up.

        Returns:
            Logits of shape (n, classes).

        Raises:
            MeasurementError: It does not take them, or the child died.
        """
        with tempfile.TemporaryDirectory() as folder:
            given, into = Path(folder) / "images.npy", Path(folder) / "logits.npy"
            np.save(given, images)
            self._ask({"do": "answers", "key": key, "images": str(given), "into": str(into)})
            found: NDArray[np.float32] = np.load(into)
        return found

    def layer_times(
        self, key: str, model: Path, *, warm_runs: int, runs: int
    ) -> runtimes.LayerTimes:
        """Profiles a network; see `pipeline.device.runtimes.ProfilingRuntime`.

        It need not be opened: profiling loads it anew.

        Args:
            key: What messages call it.
            model: Folder with `model.onnx` of a network; an operator on its own has no blocks.
            warm_runs: Runs first, which do not count.
            runs: Profiled runs.

        Raises:
            UnavailableError: The runtime does not tell.
            MeasurementError: The model names no blocks, or the child died.
        """
        if not runtimes.tells_layer_times(self.target.runtime):
            that_do = filter(runtimes.tells_layer_times, runtimes.names())
            raise errors.UnavailableError(
                f"target {self.target.name}: the {self.target.runtime} runtime does not tell the "
                "times of layers",
                hint=f"runtimes that do: {', '.join(that_do)}",
            )
        request = {
            "do": "layer_times",
            "key": key,
            "model": str(model.resolve()),
            "warm_runs": warm_runs,
            "runs": runs,
        }
        told = self._ask(request)
        engine_ms = {name: tuple(times_ms) for name, times_ms in told["engine_ms"].items()}
        return runtimes.LayerTimes(told["total_ms"], told["by_place_ms"], engine_ms)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
            self._child.stdin.flush()
            ready, _, _ = select.select([self._child.stdout], [], [], _ANSWER_TIMEOUT_S)
            line = self._child.stdout.readline() if ready else None
        except BrokenPipeError:
            line = b""
        if line is None:
            self._child.kill()
            raise CrashedError(
                f"target {self.target.name}: no answer within {_ANSWER_TIMEOUT_S:.0f} s "
                f"to {request['do']} {request['key']}"
            )
        if not line.endswith(b"\n"):
            raise CrashedError(self._obituary(request))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            told = answer["error"]
            kind = getattr(errors, told["type"], MeasurementError)
            raise kind(told["message"], hint=told["hint"])
        return answer

    def _obituary(self, request: dict[str, Any]) -> str:
        code = self._child.wait()
        self._log.seek(0)
        last = self._log.read().decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
        cause = f"signal {-code}" if code < 0 else f"exit code {code}"
        return (
            f"target {self.target.name}: the measuring process died ({cause}) at "
            f"{request['do']} {request['key']}; its last words: {last[0]}"
        )
