"""What the command line does with latency tables: measure, check, write, predict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.cli.console import note, print_json, print_line, print_table, progress_bars
from pipeline.device.target import Target
from pipeline.measure.protocol import TimingProtocol
from pipeline.records.calibration import Calibration, DriftCheck
from pipeline.records.profile import ProfileRecord
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import get_space


def profile_target(
    target_name: str,
    space_name: str,
    resolutions: Sequence[int],
    num_classes: int,
    calibration_networks: int,
    sweeps: int,
    *,
    as_json: bool,
) -> None:
    """Measures a table outside any recipe and prints how well it predicts."""
    from pipeline.latency.profiling import profile

    target, space = Target.parse(target_name), get_space(space_name)
    records = []
    with progress_bars() as progress:
        for resolution in dict.fromkeys(resolutions):
            record = profile(
                space,
                target,
                resolution=resolution,
                num_classes=num_classes,
                protocol=TimingProtocol(sweeps=sweeps),
                calibration_networks=calibration_networks,
                export_progress=progress(f"exporting for {resolution} px"),
                progress=progress(f"measuring at {resolution} px"),
            )
            records.append(record)
    if as_json:
        print_json({"profiles": [record.model_dump(mode="json") for record in records]})
        return
    for record in records:
        _tell_profile(record)
    _tell_honesty([record.calibration for record in records])


def check_table(target_name: str, *, as_json: bool) -> bool:
    """Measures a few entries of a table again and prints whether it holds.

    Returns:
        Whether it may be used further: it is not stale.
    """
    from pipeline.latency.checking import check

    with progress_bars() as progress:
        found = check(
            Target.parse(target_name),
            export_progress=progress("exporting"),
            progress=progress("measuring again"),
        )
    if as_json:
        print_json(found)
    else:
        rows = [[key, f"{change:+.2f}"] for key, change in found.change_percent.items()]
        print_table(f"{found.target}: now against the table", ["entry", "change %"], rows)
        print_line(f"{_verdict(found)} ({found.seconds:.0f} s)")
    return found.verdict != "stale"


def export_latency_table(target_name: str, form: str, out: Path | None, *, as_json: bool) -> None:
    """Writes a target's table to a flat file and prints where."""
    from pipeline.latency.table_export import export_table

    path, rows = export_table(Target.parse(target_name), form, out)
    if as_json:
        print_json({"file": str(path), "format": form, "rows": rows})
    else:
        print_line(f"{path}: {rows} rows")


def print_predictions(
    architectures: Sequence[Architecture],
    target_names: Sequence[str] | None,
    allow_foreign: bool,
    *,
    as_json: bool,
) -> None:
    """Predicts architectures and prints what each costs, and how far off predictions are."""
    from pipeline.latency.prediction import predict_architectures

    found = predict_architectures(architectures, target_names, allow_foreign=allow_foreign)
    for text in found.notes:
        note(text)
    if as_json:
        print_json({"architectures": found.architectures, "targets": found.targets})
        return
    targets = list(found.targets)
    rows = [
        [
            p["name"] or p["short"],
            f"{p['macs'] / 1e6:.2f}",
            f"{p['params'] / 1e6:.3f}",
            *(_show_latency(p["latency_ms"].get(name)) for name in targets),
        ]
        for p in found.architectures
    ]
    columns = ["architecture", "MMACs", "params M", *(f"{name} ms" for name in targets)]
    print_table("Predictions", columns, rows)
    if not targets:
        note("no latency table fits; measure one: python run_pipeline.py profile")
    for name, about in found.targets.items():
        for text in about["foreign"]:
            note(f"{name} is foreign here: {text}")
    _tell_honesty([c for calibrations in found.calibrations.values() for c in calibrations])


def _show_latency(latency: dict[str, float] | None) -> str:
    return f"{latency['typical']:.4g} ± {latency['std']:.2g}" if latency else "-"


def _tell_profile(record: ProfileRecord) -> None:
    held = record.steadiness
    if record.set_aside:
        note(f"a table made under other conditions was set aside: {record.set_aside}")
    print_line(
        f"{record.table}: {record.operators} operators at {record.resolution} px, "
        f"{record.visits_measured} visits measured, {record.visits_reused} reused, "
        f"{record.seconds:.0f} s; stopped after {held.sweeps} sweeps ({held.stopped}), which "
        f"disagree by {held.disagreement_percent:.2f} %"
    )


def _tell_honesty(calibrations: Sequence[Calibration]) -> None:
    """How wrong predictions are, on networks that were left out of the fit."""
    columns = [
        "space",
        "px",
        "method",
        "networks",
        "MAPE %",
        "max %",
        "within 5 %",
        "within 10 %",
        "bias %",
        "tau",
        "pair10 %",
        "in 80 % interval",
        "truth split-half",
        "MACs alone: MAPE",
    ]
    if calibrations:
        title = "How far predictions are off, on networks left out of the fit"
        print_table(title, columns, [_honesty_row(c) for c in calibrations])


def _honesty_row(calibration: Calibration) -> list[str]:
    told: Any = calibration.honesty
    pairs = "-" if told.pair10_percent is None else f"{told.pair10_percent:.1f}"
    return [
        calibration.space,
        str(calibration.resolution),
        calibration.method.replace("_", " "),
        str(told.networks),
        f"{told.mape_percent:.2f}",
        f"{told.max_percent:.1f}",
        f"{told.within_5_percent:.0f}",
        f"{told.within_10_percent:.0f}",
        f"{told.bias_percent:+.2f}",
        f"{told.kendall_tau:.3f}",
        pairs,
        f"{told.coverage_percent:.0f} %",
        f"{told.split_half_percent:.2f} %",
        f"{told.flops_mape_percent:.2f} %",
    ]


def _verdict(found: DriftCheck) -> str:
    apart = f"changes are {found.spread_percent:.1f} % apart"
    if found.verdict == "fresh":
        return f"fresh: {apart}, and no more than noise in all"
    if found.verdict == "scaled":
        return f"scaled by {100 * (found.scale - 1):+.2f} %: {apart}; predictions follow"
    return f"stale: {apart}; move the table away and measure anew"
