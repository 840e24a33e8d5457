"""The parts of `make gpu-check` that run tests, and training steps, on the GPU."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from benchmarks.gpu_check.parts import ROOT, RUNTIMES, Teller
from benchmarks.gpu_check.targets import why_not
from pipeline.device import runtimes

_FIRST = 240
"""Characters of a failure's first line."""
_MARK = "mark.gpu"
_RUNTIME_TESTS = "device/runtimes"
RESOLUTION = 224


def conformance(runtime: str, teller: Teller) -> None:
    """Runs the suite that decides whether a runtime is one."""
    files = [path for path in _test_files(_RUNTIME_TESTS) if owner(path) == runtime]
    reason = why_not(runtime)
    if reason is None and runtimes.find(runtime).unavailable():
        reason = "the runtime has a Python of its own, and the tests run in this one"
    teller.found(files=[str(path.relative_to(ROOT)) for path in files])
    if reason or not files:
        teller.verdict("cannot run", reason or f"tests/{_RUNTIME_TESTS} has no tests of {runtime}")
        return
    run_tests(files, ["-m", "not slow"], teller)


def owner(path: Path) -> str | None:
    """The runtime that a test file is named for, the longest name that fits; None for others."""
    stem = path.stem.removeprefix("test_")
    known = {*RUNTIMES, *runtimes.names()}
    fitting = [name for name in known if f"{stem}_".startswith(f"{name}_")]
    return max(fitting, key=len, default=None)


def _test_files(folder: str = "") -> list[Path]:
    return sorted((ROOT / "tests" / folder).rglob("test_*.py"))


def training(what: str, teller: Teller) -> None:
    """Trains on the GPU: its tests, or the steps of `benchmarks.training_step`."""
    teller.doing("importing torch")
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda or "no CUDA"
        teller.verdict("cannot run", f"torch {torch.__version__} ({built}) finds no GPU here")
    elif what == "steps":
        _steps(teller)
    else:
        files = [path for path in _test_files() if owner(path) not in RUNTIMES]
        marked = [path for path in files if _MARK in path.read_text(encoding="utf-8")]
        run_tests(marked, ["-m", "gpu"], teller)


def _steps(teller: Teller) -> None:
    from benchmarks.training_step import VARIANTS, time_on_gpu
    from pipeline.training.compute import compute_here

    compute = compute_here()
    steps = 40 if teller.quick else 200
    rows: list[dict[str, Any]] = []
    # Compiling takes minutes: what needs none first.
    for compiled in (False, True):
        for variant in VARIANTS[1:]:
            mode = "compiled" if compiled else "eager"
            teller.doing(f"{steps} steps, {variant}, {mode}, {RESOLUTION} px")
            start = time.monotonic()
            images_per_s, peak_mib = time_on_gpu(variant, RESOLUTION, compute, steps, compiled)
            rows.append(
                {
                    "method": variant,
                    "mode": mode,
                    "images_per_s": images_per_s,
                    "peak_memory_mib": peak_mib,
                    "seconds": time.monotonic() - start,
                }
            )
            teller.found(device=compute.name, resolution=RESOLUTION, steps=steps, training=rows)
    teller.verdict("ok", f"{steps} steps each on {compute.name}")


def run_tests(files: Sequence[Path], options: Sequence[str], teller: Teller) -> None:
    """Runs pytest in a process of its own and tells what came of each file."""
    names = [str(path.relative_to(ROOT)) for path in files]
    teller.doing(f"pytest {' '.join(names)}")
    junit = teller.folder / "parts" / f"{teller.stem}.xml"
    junit.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "pytest", *names, *options, "-v", "-p", "no:cacheprovider",
        f"--junitxml={junit.resolve()}", "--timeout=120",
    ]  # fmt: skip
    ran = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
    if not junit.is_file():
        teller.found(pytest_ended_with=ran.returncode)
        how = f"signal {-ran.returncode}" if ran.returncode < 0 else f"exit code {ran.returncode}"
        teller.verdict("failed", f"pytest left no report ({how}); its log says how far it came")
        raise SystemExit(1)
    found = counted(junit)
    teller.found(pytest_ended_with=ran.returncode, **found)
    total = {key: sum(row[key] for row in found["suites"]) for key in _COUNTS}
    words = ", ".join(f"{count} {key}" for key, count in total.items() if count)
    if total["failed"] or ran.returncode not in (0, 5):
        first = found["failures"][0]["message"] if found["failures"] else ""
        teller.verdict("failed", f"{words or 'no test ran'}. {first}".strip())
    elif not total["passed"]:
        reasons = [row["reason"] for row in found["skips"]]
        teller.verdict("cannot run", "; ".join(reasons) or "no test was chosen")
    else:
        teller.verdict("ok", words)


_COUNTS = ("passed", "failed", "skipped")


def counted(junit: Path) -> dict[str, Any]:
    """What pytest's own report says: counts by suite, failures, and why tests were skipped."""
    suites: dict[str, dict[str, Any]] = {}
    failures: list[dict[str, str]] = []
    skips: dict[str, int] = {}
    for case in ElementTree.parse(junit).iter("testcase"):
        # Not the file: what a suite inherits is told to be in its base class's.
        suite = case.get("classname") or "?"
        row = suites.setdefault(suite, {"suite": suite, "passed": 0, "failed": 0, "skipped": 0})
        wrong = [*case.findall("failure"), *case.findall("error")]
        skipped = case.find("skipped")
        if wrong:
            row["failed"] += 1
            failures.append({"test": str(case.get("name")), "message": _first_line(wrong[0])})
        elif skipped is not None:
            row["skipped"] += 1
            reason = _first_line(skipped)
            skips[reason] = skips.get(reason, 0) + 1
        else:
            row["passed"] += 1
    return {
        "suites": list(suites.values()),
        "failures": failures,
        "skips": [{"tests": count, "reason": reason} for reason, count in skips.items()],
    }


def _first_line(element: ElementTree.Element) -> str:
    text = element.get("message") or element.text or ""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:_FIRST]
