"""A part's process: begun apart, watched, and ended with everything that it started.

Standard library only, so that a check of a machine whose packages are broken can still say so.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MARK = "GPU_CHECK_MARK"
"""Environment variable that everything a part starts inherits, so that all of it is found again.

Measuring processes begin a session of their own, and what lost its parent has another one: neither
groups nor parents would tell.
"""
LAST_LINES = 15
_POLL_S = 0.05
_ENDING_S = 10.0


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        exit_code: What it said itself; None where a signal ended it.
        signal: Name of the signal that ended it; None where none did.
        over_time: Whether it was ended for taking too long.
        seconds: How long it ran.
        last_lines: The last that it printed.
    """

    exit_code: int | None
    signal: str | None
    over_time: bool
    seconds: float
    last_lines: tuple[str, ...]

    @property
    def words(self) -> str:
        """It in one line."""
        if self.over_time:
            return f"took longer than {self.seconds:.0f} s and was ended"
        return (
            f"ended by {self.signal}" if self.signal else f"ended with exit code {self.exit_code}"
        )


def run_limited(
    command: Sequence[str], *, limit_s: float, log: Path, variables: Mapping[str, str], mark: str
) -> Ended:
    """Runs a command to its end, or to its limit.

    However this returns or raises, nothing that the command started is left.

    Args:
        command: The program and its arguments.
        limit_s: Seconds it may take.
        log: File for all that it prints.
        variables: Its environment variables.
        mark: Tells its processes from those of other parts.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    over_time = False
    with log.open("wb") as printed:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            env={**variables, MARK: mark},
            start_new_session=True,
        )
        try:
            while child.poll() is None and not over_time:
                over_time = time.monotonic() - start > limit_s
                time.sleep(_POLL_S)
        finally:
            # The whole of what it started: also where it ended by itself and left something.
            end_marked(mark)
            if child.poll() is None:
                child.kill()
            child.wait()
    code = child.returncode
    return Ended(
        exit_code=code if code >= 0 else None,
        signal=_signal_name(-code) if code < 0 and not over_time else None,
        over_time=over_time,
        seconds=round(time.monotonic() - start, 2),
        last_lines=last_lines(log),
    )


def last_lines(log: Path) -> tuple[str, ...]:
    """The end of a log."""
    with contextlib.suppress(OSError):
        text = log.read_bytes()[-20_000:].decode(errors="replace").replace("\r", "\n")
        return tuple(line[:500] for line in text.splitlines() if line.strip())[-LAST_LINES:]
    return ()


def end_marked(mark: str) -> None:
    """Ends every process with that mark but this one; sees to it that none is left."""
    end = time.monotonic() + _ENDING_S
    while (found := _marked(mark)) and time.monotonic() < end:
        for number in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(number, signal.SIGKILL)
        time.sleep(_POLL_S)


def end_with_parent() -> None:
    """Called in a part: should the check itself be killed, the part ends with all it started."""
    parent, mark = os.getppid(), os.environ.get(MARK, "")

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        if mark:
            end_marked(mark)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _marked(mark: str) -> list[int]:
    """Numbers of the processes with that mark, this one left out. Linux tells; others have none."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            # Ended meanwhile, or of another user.
            continue
        if wanted in variables and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
