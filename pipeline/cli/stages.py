"""What the verbs of the command line do with stages, exports and benchmarks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.console import note, print_json, print_line, print_table, progress_bars
from pipeline.errors import StageError
from pipeline.files.whole import read_record, write_atomic
from pipeline.files.workspace import run_dir
from pipeline.recipe.recipe import read_recipe
from pipeline.recipe.report_stage import report_inputs
from pipeline.recipe.resume import RECORD, StageOutcome, prepare_run, run_stage
from pipeline.recipe.search_stage import explain_request
from pipeline.recipe.stages import find_stage, stages

if TYPE_CHECKING:
    from pipeline.report import ReportFormat, Summary


def run_recipe(
    recipe_name: str, overrides: Sequence[str], run_name: str | None, *, as_json: bool
) -> None:
    """Runs all stages of a recipe and prints what came out."""
    recipe = read_recipe(recipe_name, overrides)
    run = prepare_run(recipe, run_name)
    outcomes: list[StageOutcome] = []
    for stage in stages():
        with progress_bars() as progress:
            outcomes.append(run_stage(stage, recipe, run, progress, note))
        note(f"{stage.name}: {outcomes[-1].status} ({outcomes[-1].seconds:.1f} s)")
    from pipeline.report import summarise

    summary = summarise(report_inputs(recipe, run))
    files = _report_files(run)
    if as_json:
        print_json(
            {
                "run": str(run),
                "stages": [vars(outcome) for outcome in outcomes],
                "summary": summary.model_dump(mode="json"),
                "report": files,
            }
        )
        return
    _print_summary(summary)
    print_line(f"report: {files['html']}")


def run_one(
    stage_name: str,
    recipe_name: str,
    overrides: Sequence[str],
    run_name: str | None,
    *,
    as_json: bool,
) -> None:
    """Runs one stage of a recipe and prints its record."""
    _run_one(stage_name, recipe_name, overrides, run_name, as_json=as_json)


def run_search(
    recipe_name: str, overrides: Sequence[str], run_name: str | None, *, as_json: bool
) -> bool:
    """Searches and prints what was found.

    Returns:
        Whether there is an architecture within the limits.
    """
    from pipeline.records.search import SearchRecord

    path = _run_one("search", recipe_name, overrides, run_name, as_json=as_json)
    found = read_record(path, SearchRecord)
    if not as_json:
        from pipeline.cli.search_shown import print_search

        print_search(found)
    return found.success


def explain_limits(
    recipe_name: str, overrides: Sequence[str], run_name: str | None, *, as_json: bool
) -> bool:
    """Prints what a recipe's limits leave of its space.

    Returns:
        Whether they leave anything.
    """
    recipe = read_recipe(recipe_name, overrides)
    found = explain_request(recipe, run_dir(run_name or recipe.name))
    if as_json:
        print_json(found)
    else:
        from pipeline.cli.search_shown import print_explanation

        print_explanation(found)
    return found.feasible


def _run_one(
    stage_name: str,
    recipe_name: str,
    overrides: Sequence[str],
    run_name: str | None,
    *,
    as_json: bool,
) -> Path:
    recipe = read_recipe(recipe_name, overrides)
    run = prepare_run(recipe, run_name)
    stage = find_stage(stage_name)
    with progress_bars() as progress:
        outcome = run_stage(stage, recipe, run, progress, note)
    path = run / stage_name / RECORD
    if outcome.status == "helped":
        return path
    if as_json:
        import json

        record = json.loads(path.read_text(encoding="utf-8"))
        print_json({"stage": stage_name, "status": outcome.status, "record": record})
    else:
        print_line(f"{stage_name}: {outcome.status} ({outcome.seconds:.1f} s); record: {path}")
    return path


def write_run_report(
    recipe_name: str, overrides: Sequence[str], run_name: str | None, *, as_json: bool
) -> None:
    """Writes the report of a run from the records that are there."""
    from pipeline.report import write_report

    recipe = read_recipe(recipe_name, overrides)
    run = prepare_run(recipe, run_name)
    files = write_report(report_inputs(recipe, run), run / "report")
    if as_json:
        print_json({"report": files.model_dump(mode="json")})
        return
    print_line(f"report: {files.html}")


def export_run_report(
    recipe_name: str,
    overrides: Sequence[str],
    run_name: str | None,
    form: ReportFormat,
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """Prints a run's report in one format, or writes it to a file of the user's choice.

    Raises:
        StageError: There is no such run.
        StorageError: The file cannot be written.
    """
    from pipeline.report import render_report

    recipe = read_recipe(recipe_name, overrides)
    run = run_dir(run_name or recipe.name)
    if not run.is_dir():
        raise StageError(
            f"there is no run to report on: {run} is not there",
            hint=f"python run_pipeline.py run --recipe {recipe_name}",
        )
    content = render_report(report_inputs(recipe, run), form)
    if out is None:
        sys.stdout.write(content)
        return
    write_atomic(out, content)
    if as_json:
        print_json({"report": {form: str(out)}})
    else:
        print_line(f"report: {out}")


def _report_files(run: Path) -> dict[str, str]:
    from pipeline.report import ReportFiles

    files = read_record(run / "report" / RECORD, ReportFiles)
    return {name: str(path) for name, path in files.model_dump(mode="json").items()}


def _print_summary(summary: Summary) -> None:
    """Prints what came out, a line a figure."""

    def shown(value: float | None, form: str) -> str:
        return "-" if value is None else form.format(value)

    parity = summary.parity
    rows = [
        ["latency limit", shown(summary.limit_ms, "{:.4g} ms")],
        [
            "predicted",
            f"{summary.predicted_ms.typical:.4g} ± {summary.predicted_ms.std:.2g} ms"
            if summary.predicted_ms
            else "-",
        ],
        [
            "measured",
            shown(summary.measured_ms, "{:.4g}") + shown(summary.measured_std_ms, " ± {:.2g} ms"),
        ],
        ["MACs", shown(summary.macs and summary.macs / 1e6, "{:.2f} M")],
        ["parameters", shown(summary.params and summary.params / 1e6, "{:.3f} M")],
        [
            "accuracy, search-validation",
            shown(summary.search_validation_accuracy_percent, "{:.2f} %"),
        ],
        ["accuracy, test", shown(summary.test_accuracy_percent, "{:.2f} %")],
        [
            "parity with torch",
            f"max abs {parity.max_abs:.2g}, max rel {parity.max_rel:.2g}, "
            f"top-1 agreement {100 * parity.top1_agreement:.1f} % on {parity.images} images"
            if parity
            else "-",
        ],
        *([f"file: {file.role}", file.path] for file in summary.files),
    ]
    print_table(summary.name or "result", ["what", "value"], rows)
    print_line(summary.sentence)
