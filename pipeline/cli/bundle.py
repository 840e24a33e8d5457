"""What `export --bundle` does: the export stage of a recipe, then the folder for the device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.cli.console import note, print_json, print_line, progress_bars
from pipeline.recipe.recipe import read_recipe
from pipeline.recipe.report_stage import report_inputs
from pipeline.recipe.resume import prepare_run, run_stage
from pipeline.recipe.stages import find_stage


def export_bundle(
    recipe_name: str, overrides: Sequence[str], run_name: str | None, into: Path, *, as_json: bool
) -> None:
    """Exports a recipe's winner unless that is done, and makes its bundle.

    Raises:
        UsageError: There is something else than a bundle at `into`.
        PipelineError: Whatever exporting and `pipeline.bundle.making.make_bundle` raise.
    """
    from pipeline.bundle.folder import check_free, is_bundle

    check_free(into)
    replaced = is_bundle(into)
    recipe = read_recipe(recipe_name, overrides)
    run = prepare_run(recipe, run_name)
    with progress_bars() as progress:
        outcome = run_stage(find_stage("export"), recipe, run, progress)
        note(f"export: {outcome.status} ({outcome.seconds:.1f} s)")
        from pipeline.bundle.making import make_bundle
        from pipeline.recipe.data import open_data

        card = make_bundle(
            report_inputs(recipe, run), run, open_data(recipe), into, progress("making the bundle")
        )
    files = sorted(str(into / name) for name in (*card.sha256, "model.json"))
    if as_json:
        print_json(
            {
                "export": outcome.status,
                "bundle": str(into),
                "replaced": replaced,
                "files": files,
                "self_test": "passed",
            }
        )
        return
    print_line(
        f"bundle: {into}, {'in place of an earlier one' if replaced else 'new'}; self-test passed"
    )
    for file in files:
        print_line(f"  {file}")
