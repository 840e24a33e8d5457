"""The measuring child: opens models and times bursts, in a process of its own.

It may run in a Python environment that holds little more than the engine, so it needs numpy and
nothing else.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from pipeline.device import runtimes
from pipeline.device.burst import BurstPlan, time_burst
from pipeline.device.fingerprint import RUNTIMES
from pipeline.device.full_batches import full_batches
from pipeline.device.gpu_choice import count_along_the_bus
from pipeline.device.gpu_state import GpuReader
from pipeline.device.machine_state import MachineReader, MachineState, context_switches
from pipeline.device.target import Target
from pipeline.errors import PipelineError


class _Child:
    def __init__(self, target: Target, stack: ExitStack) -> None:
        self._target = target
        self._runtime = runtimes.find(target.runtime)
        self._stack = stack
        self._built = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self._sessions: dict[str, runtimes.Session] = {}
        self._machine = MachineReader(_last_core())
        on_gpu = target.runtime in RUNTIMES and RUNTIMES[target.runtime].gpu
        self._gpu = stack.enter_context(closing(GpuReader.open())) if on_gpu else None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        key = request["key"]
        if request["do"] == "open":
            return self._open(key, Path(request["model"]))
        if request["do"] == "layer_times":
            return self._layer_times(request)
        session = self._sessions[key]
        if request["do"] == "warm":
            end = time.perf_counter() + request["duration_ms"] / 1e3
            session.run_bound()
            while time.perf_counter() < end:
                session.run_bound()
            return {}
        if request["do"] == "transfer":
            if not isinstance(session, runtimes.DeviceTimedSession):
                return {"transfer": None}
            return {"transfer": session.transfer_time(request["runs"])}
        if request["do"] == "answers":
            return self._answers(session, Path(request["images"]), Path(request["into"]))
        return self._burst(session, request)

    def _answers(self, session: runtimes.Session, given: Path, into: Path) -> dict[str, Any]:
        images = np.load(given)
        ((name, (shape, _)),) = session.inputs().items()
        logits = []
        for part in full_batches(len(images), shape[0]):
            (found,) = session.run({name: images[part]}).values()
            logits.append(np.asarray(found, np.float32))
        np.save(into, np.concatenate(logits)[: len(images)])
        return {}

    def _burst(self, session: runtimes.Session, request: dict[str, Any]) -> dict[str, Any]:
        before = context_switches().involuntary
        on_device: list[runtimes.DeviceTime] = []

        def read_device() -> None:
            if isinstance(session, runtimes.DeviceTimedSession):
                on_device.append(session.device_time())

        samples_ms = time_burst(
            session.run_bound,
            time.perf_counter,
            BurstPlan(**request["plan"]),
            after=read_device,
        )
        return {
            "samples_ms": samples_ms,
            "device_ms": [run.compute_ms for run in on_device],
            "enqueue_ms": [run.enqueue_ms for run in on_device],
            "interruptions": context_switches().involuntary - before,
            "state": asdict(self._state()),
        }

    def _state(self) -> MachineState:
        state = self._machine.read()
        return replace(state, gpu=self._gpu.read()) if self._gpu else state

    def _layer_times(self, request: dict[str, Any]) -> dict[str, Any]:
        assert isinstance(self._runtime, runtimes.ProfilingRuntime)  # asked before
        artifact = self._runtime.build(Path(request["model"]), self._target, self._built / "layers")
        found = self._runtime.layer_times(
            artifact, self._target, warm_runs=request["warm_runs"], runs=request["runs"]
        )
        return asdict(found)

    def _open(self, key: str, model: Path) -> dict[str, Any]:
        into = self._built / str(len(self._sessions))
        artifact = self._runtime.build(model, self._target, into)
        session = self._stack.enter_context(self._runtime.open(artifact, self._target))
        session.bind(runtimes.random_feed(session.inputs()))
        session.run_bound()  # some models load and then do not run
        self._sessions[key] = session
        notes = session.notes if isinstance(session, runtimes.DeviceTimedSession) else ()
        return {"precision": session.precision_as_built, "notes": notes}


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


def main() -> None:
    """Answers requests, a line of JSON each, until there are no more; see the parent."""
    target = Target.parse(sys.argv[1])
    # Engines write to standard output; answers keep their own way out.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _pin(target)
    count_along_the_bus()
    _serve(target, sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
