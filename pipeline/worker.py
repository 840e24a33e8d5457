"""The measuring process: holds the sessions and times bursts, so that a crash stays in it.

The parent (`MeasuringProcess`) schedules; the child (`python -m pipeline.worker`) is pinned, opens
models and answers one JSON line for each JSON line it reads. Different targets have different
children, so runtimes that cannot share a process can still be interleaved.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from pipeline import errors, runtimes
from pipeline.device import Target, host_slug
from pipeline.errors import MeasurementError, PipelineError
from pipeline.machine_state import MachineReader, MachineState, context_switches
from pipeline.measure import Burst, time_burst

_ANSWER_TIMEOUT_S = 600.0


class MeasuringProcess:
    """A child process that times models on one target; use it in a `with` block.

    Args:
        target: What the child measures.

    Raises:
        UnavailableError: The target is on another machine, or its runtime cannot run here.
    """

    def __init__(self, target: Target) -> None:
        if not target.is_here:
            raise errors.UnavailableError(
                f"target {target.name} is on {target.device_slug}; this machine is {host_slug()}",
                hint="run the same command on that device",
            )
        reason = runtimes.find(target.runtime).unavailable()
        if reason:
            raise errors.UnavailableError(f"target {target.name}: {reason}")
        self.target = target
        self._precision: dict[str, str] = {}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the child)
        self._child = subprocess.Popen(
            # -P: not from the working directory, which may hold another `pipeline`.
            [sys.executable, "-P", "-m", "pipeline.worker", target.model_dump_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": _import_path()},
            # A ctrl-C is for the parent, which then ends the child in order.
            start_new_session=True,
        )

    def __enter__(self) -> MeasuringProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
            MeasurementError: The engine refuses it, or the child died.
        """
        answer = self._ask({"do": "open", "key": key, "model": str(model.resolve())})
        self._precision[key] = str(answer["precision"])

    def precision(self, key: str) -> str:
        """What the engine computes a model in; see `pipeline.measure.Bench`."""
        return self._precision[key]

    def warm(self, key: str, duration_ms: float) -> None:
        """Runs untimed for a while; see `pipeline.measure.Bench`."""
        self._ask({"do": "warm", "key": key, "duration_ms": duration_ms})

    def burst(
        self, key: str, *, warm_runs: int, runs: int, burst_ms: float, max_runs: int
    ) -> Burst:
        """Times a burst; see `pipeline.measure.Bench`."""
        request = {
            "do": "burst",
            "key": key,
            "warm_runs": warm_runs,
            "runs": runs,
            "burst_ms": burst_ms,
            "max_runs": max_runs,
        }
        answer = self._ask(request)
        state = MachineState.model_validate(answer["state"])
        return Burst(answer["samples_ms"], state, answer["interruptions"])

    def layer_times(self, key: str, model: Path, *, warm_runs: int, runs: int) -> dict[str, float]:
        """Profiles a network; see `pipeline.runtimes.ProfilingRuntime`.

        It need not be opened: profiling loads it anew.

        Args:
            key: What messages call it.
            model: Folder with `model.onnx` of a network; an operator on its own has no blocks.
            warm_runs: Runs first, which do not count.
            runs: Profiled runs.

        Returns:
            Milliseconds of each block by its place, in network order, and of the rest under
            `runtimes.REST`; they add up to a profiled run, which is slower than a plain one.

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
        by_place_ms: dict[str, float] = self._ask(request)["by_place_ms"]
        return by_place_ms

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
            raise MeasurementError(
                f"target {self.target.name}: no answer within {_ANSWER_TIMEOUT_S:.0f} s "
                f"to {request['do']} {request['key']}"
            )
        if not line.endswith(b"\n"):
            raise MeasurementError(self._obituary(request))
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


def _import_path() -> str:
    """The child must find this very package, wherever the parent was started."""
    here = str(Path(__file__).resolve().parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    return f"{here}{os.pathsep}{inherited}" if inherited else here


class _Child:
    def __init__(self, target: Target, stack: ExitStack) -> None:
        self._target = target
        self._runtime = runtimes.find(target.runtime)
        self._stack = stack
        self._built = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self._sessions: dict[str, runtimes.Session] = {}
        self._machine = MachineReader(_last_core())

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        key = request["key"]
        if request["do"] == "open":
            return {"precision": self._open(key, Path(request["model"]))}
        if request["do"] == "layer_times":
            return {"by_place_ms": self._layer_times(request)}
        session = self._sessions[key]
        if request["do"] == "warm":
            end = time.perf_counter() + request["duration_ms"] / 1e3
            session.run_bound()
            while time.perf_counter() < end:
                session.run_bound()
            return {}
        return self._burst(session, request)

    def _burst(self, session: runtimes.Session, request: dict[str, Any]) -> dict[str, Any]:
        before = context_switches().involuntary
        samples_ms = time_burst(
            session.run_bound,
            time.perf_counter,
            warm_runs=request["warm_runs"],
            runs=request["runs"],
            burst_ms=request["burst_ms"],
            max_runs=request["max_runs"],
        )
        return {
            "samples_ms": samples_ms,
            "interruptions": context_switches().involuntary - before,
            "state": self._machine.read().model_dump(),
        }

    def _layer_times(self, request: dict[str, Any]) -> dict[str, float]:
        assert isinstance(self._runtime, runtimes.ProfilingRuntime)  # asked before
        artifact = self._runtime.build(Path(request["model"]), self._target, self._built / "layers")
        found = self._runtime.layer_times(
            artifact, self._target, warm_runs=request["warm_runs"], runs=request["runs"]
        )
        return found.by_place_ms

    def _open(self, key: str, model: Path) -> str:
        into = self._built / str(len(self._sessions))
        artifact = self._runtime.build(model, self._target, into)
        session = self._stack.enter_context(self._runtime.open(artifact, self._target))
        session.bind(runtimes.random_feed(session.inputs()))
        session.run_bound()  # some models load and then do not run
        self._sessions[key] = session
        return session.precision_as_built


def _pin(target: Target) -> None:
    """Keeps the child on the last cores it may use; the first is where the system is busiest."""
    if target.threads and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, set(cores[-target.threads :]))


def _last_core() -> int:
    """The core this process runs on, the last of several."""
    if hasattr(os, "sched_getaffinity"):
        return max(os.sched_getaffinity(0))
    return (os.cpu_count() or 1) - 1


def _serve(target: Target, requests: IO[bytes], answers: IO[bytes]) -> None:
    with ExitStack() as stack:
        child = _Child(target, stack)
        for line in requests:
            try:
                answer = child.answer(json.loads(line))
            except PipelineError as error:
                told = {
                    "type": type(error).__name__,
                    "message": error.message,
                    "hint": error.hint,
                }
                answer = {"error": told}
            answers.write(json.dumps(answer).encode() + b"\n")
            answers.flush()


def _main() -> None:
    target = Target.model_validate_json(sys.argv[1])
    # Engines write to standard output; answers keep their own way out.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _pin(target)
    _serve(target, sys.stdin.buffer, answers)


if __name__ == "__main__":
    _main()
