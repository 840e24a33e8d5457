"""The parts of `make gpu-check` that run networks on targets: exports, parity, latency."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu_check.outputs import FEEDS, UNAVAILABLE
from benchmarks.gpu_check.parts import TARGETS, Teller
from pipeline.device import runtimes
from pipeline.device.target import Target, usable_cores
from pipeline.errors import MeasurementError, UnavailableError
from pipeline.measure import engines
from pipeline.measure.statistics import Visit
from pipeline.space.architecture import Architecture
from pipeline.space.encoding import Floats
from pipeline.space.search_space import SearchSpace, get_space

SPACE, RESOLUTION, CLASSES = "cream", 64, 1000
MAX_DEPTH, OPERATORS = 2, ("mb4_3x3", "mb6_5x5")
"""The smallest and a middling operator: few engines to build, latencies that differ."""
REFERENCE_TARGET = "host/onnxruntime-fp32-b1-t1"
MOST_DIFFERENCE = {"fp32": 2e-4, "fp16": 1e-2, "bf16": 8e-2}
"""Of the largest output. On a CPU fp32 stays below 1e-5 and fp16 is at 2e-3; TF32, of as many
digits as fp16, is to be found out.
"""
LEAST_CORRELATION = {"int8": 0.9}
"""Random weights are unkind to int8: it reaches 0.96 on a CPU."""
_EXPORTERS = 8


def why_not(runtime: str) -> str | None:
    """Why a runtime cannot run here; None where it can."""
    if runtime not in runtimes.names():
        return f"this version has no runtime {runtime}"
    return engines.unavailable(runtime)


def _can_run(target: Target, teller: Teller) -> bool:
    reason = why_not(target.runtime)
    if reason is None and runtimes.find(target.runtime).reads(target.precision) is None:
        reason = f"the {target.runtime} runtime has no {target.precision}"
    if reason:
        teller.verdict("cannot run", reason)
    return reason is None


def networks(*, quick: bool) -> tuple[SearchSpace, list[Architecture], int]:
    """The narrowed space, networks that nobody calibrates on, and how many are calibrated on."""
    from pipeline.latency.sampling import sample_networks

    space = get_space(SPACE).narrowed(max_depth=MAX_DEPTH, operators=OPERATORS)
    count, calibrate_on = (10, 10) if quick else (20, 16)
    return space, sample_networks(space, RESOLUTION, CLASSES, count, seed=1), calibrate_on


def exports(which: str, teller: Teller) -> None:
    """Exports what the latency parts measure, on many cores, which profiling would do on two."""
    del which
    targets = [Target.parse(f"host/{setting}") for setting in TARGETS]
    runnable = [one for one in targets if not why_not(one.runtime)]
    files = [runtimes.find(one.runtime).reads(one.precision) for one in runnable]
    wanted = [file for file in dict.fromkeys(files) if file is not None]
    if not wanted:
        teller.verdict("cannot run", "no GPU runtime can run here, so none needs models")
        return
    from pipeline.export.cache import export_all
    from pipeline.latency.profiling import REFERENCE
    from pipeline.latency.sampling import design_networks
    from pipeline.measure.campaign import CONTROL_NETWORK
    from pipeline.space.architecture_file import published

    space, held_out, calibrate_on = networks(quick=teller.quick)
    designed = design_networks(space, RESOLUTION, CLASSES, calibrate_on, seed=0)
    reference = published(REFERENCE, resolution=RESOLUTION, num_classes=CLASSES)
    operators = space.distinct_operators(RESOLUTION, CLASSES)
    jobs = [published(CONTROL_NETWORK), reference, *operators, *designed, *held_out]
    rows: list[dict[str, Any]] = []
    for file in wanted:
        start = time.monotonic()
        export_all(
            jobs,
            batch=1,
            file=file,
            workers=max(1, min(_EXPORTERS, usable_cores() - 1)),
            progress=teller.progress(f"exporting {file}"),
        )
        rows.append({"file": file, "models": len(jobs), "seconds": time.monotonic() - start})
        teller.found(exports=rows)
    teller.verdict("ok", f"{len(jobs)} models, each as {', '.join(wanted)}")


def latency(setting: str, teller: Teller) -> None:
    """Measures a small table as `profile` does, and sets what it predicts against the measured."""
    target = Target.parse(f"host/{setting}")
    if not _can_run(target, teller):
        return
    from benchmarks.latency_accuracy.methods import Truth, line
    from pipeline.latency.model import LatencyModel
    from pipeline.latency.profiling import REFERENCE, profile
    from pipeline.latency.table import network_key
    from pipeline.latency.table_files import table_to_write
    from pipeline.measure.journal import read_journal
    from pipeline.measure.protocol import TimingProtocol
    from pipeline.measure.statistics import by_key
    from pipeline.space.architecture_file import published
    from pipeline.space.encoding import encode

    space, held_out, calibrate_on = networks(quick=teller.quick)
    sweeps = 6 if teller.quick else 12
    # How noisy it was is told below; being refused for noise would tell less.
    protocol = TimingProtocol(
        sweeps=sweeps, min_sweeps=min(6, sweeps), unsteady_percent=50.0, sweep_interval_s=0.2
    )
    teller.found(
        space=f"{SPACE}, depth at most {MAX_DEPTH}, {' '.join(OPERATORS)}, {RESOLUTION} px",
        networks_held_out=len(held_out),
        networks_calibrated_on=calibrate_on,
    )
    with _in_folder(teller):
        path = table_to_write(target)
        for old in (path, path.with_suffix(".model.json")):
            old.unlink(missing_ok=True)
        teller.found(table=str(path.resolve()))
        record = profile(
            space,
            target,
            resolution=RESOLUTION,
            num_classes=CLASSES,
            protocol=protocol,
            calibration_networks=calibrate_on,
            held_out=held_out,
            export_progress=teller.progress("exporting"),
            progress=teller.progress("measuring"),
        )
        teller.found(
            seconds=record.seconds,
            operators=record.operators,
            method=record.calibration.method,
            cream_14_ms=record.reference_latency_ms,
            steadiness=record.steadiness.model_dump(mode="json"),
            stated=record.calibration.honesty.model_dump(mode="json"),
        )
        teller.doing("setting predicted against measured")
        model = LatencyModel.read(target)
        made = read_journal(path)[1]
    visits = by_key(made)
    reference = published(REFERENCE, resolution=RESOLUTION, num_classes=CLASSES)
    teller.found(
        meanwhile=meanwhile(made), cream_14=host_and_device(visits[network_key(reference)])
    )
    truth = Truth.of(held_out, visits)
    predicted_ms, std_ms = model.predict_batch(space, encode(space, held_out), CLASSES)
    flops_ms = line(record.calibration, held_out)
    told = truth.judged(predicted_ms, std_ms, flops_ms, record.calibration.honesty.cost_s)
    teller.found(
        predicted_against_measured=told.model_dump(mode="json"),
        held_out=[
            {"network": network.short, "measured_ms": measured, "predicted_ms": predicted}
            for network, measured, predicted in zip(
                held_out, truth.latency_ms.tolist(), predicted_ms.tolist(), strict=True
            )
        ],
    )
    teller.verdict(
        "ok",
        f"{told.networks} unseen networks: MAPE {told.mape_percent:.2f} % (MACs alone "
        f"{told.flops_mape_percent:.2f} %), within 5 % {told.within_5_percent:.0f} %, within 10 % "
        f"{told.within_10_percent:.0f} %, tau {told.kendall_tau:.3f} (MACs alone "
        f"{told.flops_kendall_tau:.3f}), noise of the truth {told.split_half_percent:.2f} %; "
        f"cream-14 takes {record.reference_latency_ms:.3f} ms",
    )


def meanwhile(visits: Sequence[Visit]) -> dict[str, Any]:
    """What the GPU did at the end of each visit: extremes, and how often its clock was held down.

    Empty where nothing was read of it.
    """
    states = [visit.state.gpu for visit in visits if visit.state and visit.state.gpu]
    told: dict[str, Any] = {}
    for field in ("clock_sm_mhz", "clock_memory_mhz", "temperature_c", "power_w"):
        figures = [figure for state in states if (figure := getattr(state, field)) is not None]
        if figures:
            told[field] = {"least": min(figures), "most": max(figures)}
    reasons = Counter(reason for state in states for reason in state.slowdown_reasons or ())
    return told | {"visits": len(states), "slowdown_reasons": dict(reasons)} if states else {}


def host_and_device(visits: Sequence[Visit]) -> dict[str, float]:
    """The fastest run of a subject as the host saw it, and by the device's own clock."""
    kinds = {"host_ms": "samples_ms", "device_ms": "device_ms", "enqueue_ms": "enqueue_ms"}
    runs = {
        name: [run for visit in visits for run in getattr(visit, field)]
        for name, field in kinds.items()
    }
    return {name: min(taken) for name, taken in runs.items() if taken}


def parity(setting: str, teller: Teller) -> None:
    """Runs a whole network on a target and sets its outputs against ONNX Runtime's on the CPU."""
    target = Target.parse(f"host/{setting}")
    if not _can_run(target, teller):
        return
    from benchmarks.gpu_check.network import write_network
    from pipeline.space.architecture_file import published

    network = published("cream-14", resolution=RESOLUTION, num_classes=CLASSES)
    teller.doing("exporting cream-14")
    on_cpu = Target.parse(REFERENCE_TARGET)
    file = runtimes.model_file(target)
    model = write_network(network, teller.folder / "models" / file, file)
    expected, _ = _outputs(on_cpu, model, teller)
    found, told = _outputs(target, model, teller)
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    correlation = _correlation_between_images(found, expected)
    same_class = float((found.argmax(-1) == expected.argmax(-1)).mean())
    teller.found(
        network=f"cream-14, {RESOLUTION} px, {FEEDS} random images",
        largest_difference_relative=difference,
        correlation_between_images=correlation,
        same_class_share=same_class,
        **told,
    )
    words = (
        f"largest difference {difference:.2e} of the largest output, correlation between images "
        f"{correlation:.5f}, same class {100 * same_class:.0f} %, computed in "
        f"{told['precision_as_built']}"
    )
    # Not a number is within no limit.
    close = difference <= MOST_DIFFERENCE.get(target.precision, np.inf)
    alike = correlation >= LEAST_CORRELATION.get(target.precision, -1.0)
    teller.verdict("ok" if close and alike else "failed", words)


def _correlation_between_images(found: Floats, expected: Floats) -> float:
    """Of what differs from image to image: all images have much in common, which proves nothing."""
    differing = [(outputs - outputs.mean(axis=0)).ravel() for outputs in (found, expected)]
    return float(np.corrcoef(*differing)[0, 1])


def _outputs(target: Target, folder: Path, teller: Teller) -> tuple[Floats, dict[str, Any]]:
    """Outputs of some random images, and what else the target's own process tells."""
    teller.doing(f"building and running it on {target.setting}")
    into = teller.folder / "outputs" / target.setting
    shutil.rmtree(into, ignore_errors=True)
    command = [engines.interpreter(target.runtime), "-m", "benchmarks.gpu_check.outputs"]
    ran = subprocess.run(
        [*command, str(folder), target.name, str(into)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    sys.stderr.write(ran.stderr)
    if ran.returncode != 0:
        last = ran.stderr.strip().splitlines()[-1:] or ["no output"]
        code = ran.returncode
        if code == UNAVAILABLE:
            raise UnavailableError(last[0])
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise MeasurementError(f"{target.setting}: {how}: {last[0]}")
    told: dict[str, Any] = json.loads((into / "told.json").read_text(encoding="utf-8"))
    return np.load(into / "outputs.npy"), told


@contextlib.contextmanager
def _in_folder(teller: Teller) -> Iterator[None]:
    """Tables are written to the working directory: the check's own, not the user's."""
    folder = (teller.folder / "work").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    profiles = Path("profiles").resolve()
    if profiles.is_dir() and not (folder / "profiles").exists():
        # They may name a Python for a runtime.
        (folder / "profiles").symlink_to(profiles)
    with contextlib.chdir(folder):
        yield
