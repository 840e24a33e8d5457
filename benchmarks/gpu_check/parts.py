"""The parts of `make gpu-check`, and the process that one of them runs in.

    python -m benchmarks.gpu_check.parts latency:tensorrt-fp16-b1

A part tells what it finds in a file as it goes, so that one that crashes or is ended has said how
far it came. This file needs the standard library only; what a part needs is imported when it runs.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.gpu_check.process import end_with_parent

ROOT = Path(__file__).resolve().parents[2]
RESULT = "GPU_CHECK_RESULT"
"""Environment variable: the file that a part tells in."""

Verdict = Literal["ok", "failed", "cannot run", "not run", "running", "waiting"]
RUNTIMES = (
    "tensorrt",
    "torch_cuda",
    "onnxruntime_cuda",
    "onnxruntime_tensorrt",
    "tensorrt_rtx",
    "onnxruntime_tensorrt_rtx",
)
TARGETS = (
    "tensorrt-fp16-b1",
    "tensorrt-fp32-b1",
    "torch_cuda-fp32-b1",
    "onnxruntime_cuda-fp32-b1",
    "tensorrt-int8-b1",
    "onnxruntime_tensorrt-fp16-b1",
    "tensorrt_rtx-fp16-b1",
    "onnxruntime_tensorrt_rtx-fp16-b1",
)
_TELL_EVERY_S = 0.5


@dataclass(frozen=True)
class Part:
    """A piece of the check that runs, and fails, by itself.

    Attributes:
        name: What `--parts` calls it; the word before the colon chooses all of its kind.
        title: What it does.
        limit_s: Seconds it may take.
        command: What is run.
        uses_gpu: Whether, where it is ok, something has run on a GPU.
    """

    name: str
    title: str
    limit_s: float
    command: tuple[str, ...]
    uses_gpu: bool = True


def all_parts(*, quick: bool = False) -> list[Part]:
    """The parts in the order they run: what tells most in least time first."""
    return [
        _part("environment", "driver, GPU, packages, runtimes", 90, quick, uses_gpu=False),
        *(
            _part(f"conformance:{name}", f"conformance suite of {name}", 300, quick)
            for name in RUNTIMES
        ),
        *(
            _part(f"parity:{setting}", f"whole networks on {setting} against the CPU", 120, quick)
            for setting in TARGETS
        ),
        _part("training:tests", "all other tests that are marked gpu", 240, quick),
        _part("exports", "models that latency needs", 300, quick, uses_gpu=False),
        *(
            _part(f"latency:{setting}", f"a table of {setting}, and what it predicts", 300, quick)
            for setting in TARGETS
        ),
        _part("training:steps", "what training steps cost", 300, quick),
    ]


def chosen_parts(parts: Sequence[Part], names: str | None) -> list[Part]:
    """Those that `--parts` names, in the order they run.

    Raises:
        ValueError: A name is of no part.
    """
    if names is None:
        return list(parts)
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    chosen = [part for part in parts if {part.name, part.name.partition(":")[0]} & wanted]
    unknown = wanted - {part.name for part in parts} - {p.name.partition(":")[0] for p in parts}
    if unknown or not wanted:
        known = ", ".join(dict.fromkeys(part.name.partition(":")[0] for part in parts))
        raise ValueError(
            f"--parts {names}: no part {', '.join(sorted(unknown))}; there are {known}"
        )
    return chosen


def _part(name: str, title: str, limit_s: float, quick: bool, *, uses_gpu: bool = True) -> Part:
    options = ("--quick",) if quick else ()
    command = (sys.executable, "-m", "benchmarks.gpu_check.parts", name, *options)
    return Part(name, title, limit_s, command, uses_gpu)


class Teller:
    """Where a part tells what it finds.

    Args:
        path: The file.
        quick: Whether less is done, for a first look.
    """

    def __init__(self, path: Path, *, quick: bool) -> None:
        self.quick = quick
        self._path = path
        self._told: dict[str, Any] = {"details": {}}
        self._written_at = -1.0

    @property
    def folder(self) -> Path:
        """Folder for what the part leaves behind."""
        return self._path.parent.parent

    @property
    def stem(self) -> str:
        """The part's name as files have it."""
        return self._path.stem

    def doing(self, step: str) -> None:
        """What is under way: the last words of a part that crashes."""
        self._told["doing"] = step
        self._write()

    def progress(self, what: str) -> Callable[..., None]:
        """A `pipeline.work.progress.Progress` of a piece of work; written now and then."""

        def told(done: int, total: int, note: str = "") -> None:
            self._told["doing"] = f"{what}: {done} of {total} {note}".strip()
            if time.monotonic() - self._written_at > _TELL_EVERY_S:
                self._write()

        return told

    def found(self, **details: Any) -> None:
        """Keeps what was found, at once."""
        self._told["details"].update(details)
        self._write()

    def verdict(self, verdict: Verdict, reason: str = "") -> None:
        """How it went."""
        self._told |= {"verdict": verdict, "reason": reason}
        self._write()

    def _write(self) -> None:
        write_json(self._path, self._told)
        self._written_at = time.monotonic()


def write_json(path: Path, content: object) -> None:
    """Replaces a file in one step: whoever reads it finds the old one or the new one."""
    write_text(path, json.dumps(_plain(content), indent=1, default=str) + "\n")


def _plain(content: object) -> object:
    """What JSON has no number for, as a word."""
    if isinstance(content, float) and not math.isfinite(content):
        return str(content)
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    return [_plain(value) for value in content] if isinstance(content, list) else content


def write_text(path: Path, text: str) -> None:
    """Replaces a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


_KINDS = {
    "environment": "environment",
    "conformance": "suites",
    "training": "suites",
    "exports": "targets",
    "latency": "targets",
    "parity": "targets",
}
"""The module of each kind; its function of that name takes what follows the colon."""


def main(arguments: Sequence[str]) -> int:
    """Runs one part, in this process."""
    name, *options = arguments
    end_with_parent()
    kind, _, which = name.partition(":")
    teller = Teller(Path(os.environ[RESULT]), quick="--quick" in options)
    teller.doing("starting")
    module = f"benchmarks.gpu_check.{_KINDS[kind]}"
    try:
        getattr(importlib.import_module(module), kind)(which, teller)
    except Exception as error:  # noqa: BLE001  (whatever it is, it is what the part has found)
        traceback.print_exc()
        if type(error).__name__ == "UnavailableError":
            # Some engines tell only when they build, e.g. of their precisions.
            teller.verdict("cannot run", str(error)[:600])
            return 0
        hint = getattr(error, "hint", None)
        teller.found(error=f"{type(error).__name__}: {error}", hint=hint)
        teller.verdict("failed", f"{type(error).__name__}: {error}"[:600])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
