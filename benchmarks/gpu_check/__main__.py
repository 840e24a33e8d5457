"""What works on a machine with a GPU, in one command and one file.

    python -m benchmarks.gpu_check
    python -m benchmarks.gpu_check --parts environment,conformance,parity --budget-s 540
    python -m benchmarks.gpu_check --parts latency --quick --json

Each part runs in a process of its own, with a time limit; one that crashes, hangs or raises is
recorded, and the others still run. `gpu-check.json` and `gpu-check.md` are written anew after
every part. This process needs the standard library only. `docs/gpu-check.md` says how to read it.

Exit code 0: something ran on a GPU, and all that can run is ok. 1: a part failed, did not get its
turn, or nothing could run on a GPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.parts import (
    RESULT,
    ROOT,
    Part,
    all_parts,
    chosen_parts,
    write_json,
    write_text,
)
from benchmarks.gpu_check.process import Ended, run_limited
from benchmarks.gpu_check.report import markdown

SCHEMA_VERSION = 1
BUDGET_S = 1200.0
LEAST_S = 5.0
"""With less time than this left no part is begun."""


def check(
    parts: Sequence[Part], into: Path, *, budget_s: float = BUDGET_S, quick: bool = False
) -> dict[str, Any]:
    """Runs parts one after another.

    Args:
        parts: What to run.
        into: Folder for the report, and for what the parts print and leave.
        budget_s: Seconds for all of them together.
        quick: Told in the report.

    Returns:
        The report, as it is in `gpu-check.json`.
    """
    start = time.monotonic()
    into.mkdir(parents=True, exist_ok=True)
    told = [_waiting(part) for part in parts]
    report: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": f"{platform.node()}, {platform.platform()}, Python {platform.python_version()}",
        "quick": quick,
        "budget_s": budget_s,
        "seconds": 0.0,
        "complete": False,
        "ok": False,
        "summary": "",
        "parts": told,
    }

    def write() -> None:
        report["seconds"] = round(time.monotonic() - start, 1)
        report["ok"], report["summary"] = _judged(parts, told)
        write_json(into / "gpu-check.json", report)
        write_text(into / "gpu-check.md", markdown(report))

    for place, part in enumerate(parts):
        left_s = budget_s - (time.monotonic() - start)
        if left_s < LEAST_S:
            told[place] |= {
                "verdict": "not run",
                "reason": f"no time was left of {budget_s:g} s; `--parts {part.name}` runs it",
            }
        else:
            told[place] |= {"verdict": "running", "reason": "the check ended meanwhile"}
            write()
            _say(f"[{place + 1}/{len(parts)}] {part.name}: {part.title} …")
            try:
                told[place] |= run_part(part, into, limit_s=min(part.limit_s, left_s))
            except KeyboardInterrupt:
                so_far = read_told(result_of(part, into))
                told[place] |= {
                    "verdict": "not run",
                    "reason": f"interrupted, at: {so_far.get('doing')}",
                    "details": so_far.get("details", {}),
                }
                write()
                raise
        write()
        _say(f"    {told[place]['verdict']}{_after_colon(told[place]['reason'])}")
    report["complete"] = True
    write()
    return report


def run_part(part: Part, into: Path, *, limit_s: float) -> dict[str, Any]:
    """Runs one part and says how it went."""
    result, log = result_of(part, into), result_of(part, into).with_suffix(".log")
    result.parent.mkdir(parents=True, exist_ok=True)
    for old in (result, log):
        old.unlink(missing_ok=True)
    inherited = os.environ.get("PYTHONPATH")
    variables = {
        **os.environ,
        RESULT: str(result.resolve()),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{inherited}" if inherited else str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
    }
    try:
        ended = run_limited(
            part.command, limit_s=limit_s, log=log, variables=variables,
            mark=f"{os.getpid()}-{result.stem}-{time.time_ns()}",
        )  # fmt: skip
    except OSError as error:
        return {"verdict": "failed", "reason": f"could not be started: {error}"}
    told = read_told(result)
    verdict, reason = _verdict(ended, told)
    if ended.over_time and limit_s < part.limit_s:
        verdict = "not run"
        reason = f"the time of the whole check was spent, after {reason.removeprefix('took ')}"
    return {
        "verdict": verdict,
        "reason": reason,
        "doing": told.get("doing"),
        "seconds": ended.seconds,
        "exit_code": ended.exit_code,
        "signal": ended.signal,
        "over_time": ended.over_time,
        "last_lines": list(ended.last_lines) if verdict == "failed" else [],
        "details": told.get("details", {}),
        "log": str(log),
    }


def _verdict(ended: Ended, told: dict[str, Any]) -> tuple[str, str]:
    """What a part says of itself counts only if it also ended well."""
    if ended.exit_code == 0 and not ended.over_time and told.get("verdict"):
        return told["verdict"], told.get("reason", "")
    if ended.exit_code is not None and told.get("verdict") == "failed":
        return "failed", told["reason"]
    words = ended.words
    if ended.exit_code == 0 and not ended.over_time:
        words = "ended without saying how it went"
    doing = f", at: {told['doing']}" if told.get("doing") else ""
    return "failed", f"{words}{doing}"


def result_of(part: Part, into: Path) -> Path:
    """The file that a part tells in."""
    return into / "parts" / f"{part.name.replace(':', '-')}.json"


def read_told(result: Path) -> dict[str, Any]:
    """What a part has told so far."""
    try:
        told = json.loads(result.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # A part that died before its first word has told nothing.
        return {}
    return told if isinstance(told, dict) else {}


def _waiting(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "title": part.title,
        "limit_s": part.limit_s,
        "verdict": "waiting",
        "reason": "its turn has not come",
        "seconds": None,
        "details": {},
        "last_lines": [],
    }


def _judged(parts: Sequence[Part], told: Sequence[dict[str, Any]]) -> tuple[bool, str]:
    """Whether all that can run is ok, and the sentence that says so."""
    names: dict[str, list[str]] = {}
    for one in told:
        names.setdefault(one["verdict"], []).append(one["name"])
    on_gpu = any(
        part.uses_gpu and one["verdict"] == "ok" for part, one in zip(parts, told, strict=True)
    )
    wrong = [
        verdict for verdict in ("failed", "not run", "running", "waiting") if names.get(verdict)
    ]
    words = [f"{len(names.get('ok', []))} ok"]
    words += [f"{len(names[verdict])} {verdict} ({', '.join(names[verdict])})" for verdict in wrong]
    if names.get("cannot run"):
        words.append(f"{len(names['cannot run'])} cannot run here")
    if not on_gpu:
        words.insert(0, "nothing has run on a GPU")
    return on_gpu and not wrong, "; ".join(words)


def _after_colon(reason: str) -> str:
    return f": {reason}" if reason else ""


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """A request to end is heard as a ctrl-C, so that the part under way is ended too."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the check as the command line says."""
    parser = argparse.ArgumentParser(description="What works on a machine with a GPU.")
    parser.add_argument("--parts", help="names or kinds, with commas; all where left out")
    parser.add_argument("--quick", action="store_true", help="fewer networks, sweeps and steps")
    parser.add_argument("--budget-s", type=float, default=BUDGET_S, help="seconds for everything")
    parser.add_argument("--into", type=Path, default=Path("runs/gpu-check"), help="folder")
    parser.add_argument("--list", action="store_true", help="names of the parts, and end")
    parser.add_argument("--json", action="store_true", help="the report as one JSON object")
    given = parser.parse_args(arguments)
    try:
        parts = chosen_parts(all_parts(quick=given.quick), given.parts)
    except ValueError as error:
        parser.error(str(error))
    if given.list:
        sys.stdout.write("".join(f"{part.name:36s} {part.title}\n" for part in parts))
        return 0
    with _ended_in_order():
        try:
            report = check(parts, given.into, budget_s=given.budget_s, quick=given.quick)
        except KeyboardInterrupt:
            _say(f"interrupted; {given.into / 'gpu-check.json'} has what was found so far")
            return 130
    if given.json:
        sys.stdout.write(json.dumps(report, default=str) + "\n")
    _say(f"{report['summary']}\n{given.into / 'gpu-check.md'}")
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
