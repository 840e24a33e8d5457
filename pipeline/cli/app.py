"""The command line: one function a verb, which parses, calls, and renders."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline import __version__
from pipeline.cli.ending import exit_code
from pipeline.cli.options import (
    HOST_TARGET,
    AllowForeign,
    Arch,
    Json,
    MaybeRecipe,
    Overrides,
    RecipeName,
    RunName,
    TargetName,
)
from pipeline.cli.stage_verbs import add_stage_verbs, one_stage
from pipeline.cli.standard_output import own_standard_output
from pipeline.errors import UsageError

app = typer.Typer(
    name="run_pipeline.py",
    help="From a device and a budget to a measured, exported model.",
    epilog="Start here: python run_pipeline.py run --recipe demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From a device and a budget to a measured, exported model."""


@app.command(epilog="Example: python run_pipeline.py run --recipe demo --set retrain.epochs=3")
def run(
    recipe: RecipeName,
    overrides: Overrides = None,
    run: RunName = None,
    allow_foreign: AllowForeign = False,
    json: Json = False,
) -> None:
    """Run the whole pipeline of a recipe, resuming what is done."""
    from pipeline.cli.stages import run_recipe

    run_recipe(recipe, _with_foreign(overrides, allow_foreign), run, as_json=json)


@app.command(epilog="Example: python run_pipeline.py devices")
def devices(json: Json = False) -> None:
    """List what can run here, and why the rest cannot."""
    from pipeline.cli.listings import list_devices

    list_devices(as_json=json)


@app.command(epilog="Example: python run_pipeline.py spaces --resolution 160")
def spaces(
    resolution: Annotated[int, typer.Option(help="Input side in pixels.")] = 224,
    json: Json = False,
) -> None:
    """List the search spaces: operators, depths, sizes, MACs from smallest to largest."""
    from pipeline.cli.listings import list_spaces

    list_spaces(resolution, as_json=json)


@app.command(
    epilog="Example: python run_pipeline.py profile --target host/onnxruntime-fp32-b1-t1 "
    "--space cream --resolution 224"
)
def profile(
    target: TargetName = HOST_TARGET,
    space: Annotated[str, typer.Option(help="Search space whose operators are measured.")] = (
        "cream"
    ),
    resolution: Annotated[
        list[int] | None,
        typer.Option(help="Input side in pixels; may repeat.", show_default="224"),
    ] = None,
    num_classes: Annotated[int, typer.Option(min=1, help="Outputs of the classifier.")] = 1000,
    calibration_networks: Annotated[
        int, typer.Option(min=8, help="Whole networks to calibrate predictions on.")
    ] = 24,
    sweeps: Annotated[int, typer.Option(min=3, help="Visits to each operator, at most.")] = 15,
    check: Annotated[
        bool, typer.Option("--check", help="Measure a few entries again: does the table hold?")
    ] = False,
    export: Annotated[
        str | None,
        typer.Option(metavar="csv|parquet", help="Measure nothing; write the table that is there."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write with --export.")] = None,
    recipe: MaybeRecipe = None,
    overrides: Overrides = None,
    run: RunName = None,
    json: Json = False,
) -> None:
    """Measure a latency table, go on measuring it, check it (--check), or write it (--export)."""
    from pipeline.cli.tables import check_table, export_latency_table, profile_target

    _check_out(out, "--export", export, "csv")
    if bool(recipe) + bool(export) + check > 1:
        raise UsageError(
            "--recipe, --export and --check exclude each other: a recipe names its own target",
            hint=f"profile --target {target} --check",
        )
    if export:
        export_latency_table(target, export, out, as_json=json)
    elif check:
        if not check_table(target, as_json=json):
            raise typer.Exit(1)
    elif recipe:
        one_stage("profile", recipe, overrides, run, json)
    else:
        profile_target(
            target, space, resolution or [224], num_classes, calibration_networks, sweeps,
            as_json=json,
        )  # fmt: skip


@app.command(epilog="Example: python run_pipeline.py predict --arch cream-287 --json")
def predict(
    arch: Arch,
    target: Annotated[
        list[str] | None,
        typer.Option(help="Use this target's table; all that fit if left out. May repeat."),
    ] = None,
    allow_foreign: AllowForeign = False,
    json: Json = False,
) -> None:
    """Predict latency, MACs and parameters of one or many architectures."""
    from pipeline.cli.tables import print_predictions
    from pipeline.space.architecture_file import read_architectures

    print_predictions(read_architectures(arch), target, allow_foreign, as_json=json)


@app.command(epilog="Example: python run_pipeline.py train --recipe demo")
def train(
    recipe: RecipeName,
    overrides: Overrides = None,
    run: RunName = None,
    allow_foreign: AllowForeign = False,
    json: Json = False,
) -> None:
    """Train the hypernetwork of a recipe, within its limits.

    On several GPUs: torchrun --nproc-per-node 4 run_pipeline.py train --recipe NAME. Watch it in
    runs/NAME/train/log.jsonl or with tensorboard --logdir runs. Stopped, it goes on where it was.
    """
    one_stage("train", recipe, _with_foreign(overrides, allow_foreign), run, json)


@app.command(epilog="Example: python run_pipeline.py search --recipe demo --set limits.macs=10e6")
def search(
    recipe: RecipeName,
    explain: Annotated[
        bool,
        typer.Option(help="Say what the limits leave of the space, from latency tables, and stop."),
    ] = False,
    per_target: Annotated[
        bool,
        typer.Option(help="Find each target's own winner too: what one network for all costs."),
    ] = False,
    overrides: Overrides = None,
    run: RunName = None,
    allow_foreign: AllowForeign = False,
    json: Json = False,
) -> None:
    """Search the most accurate architectures within the limits.

    Ends with code 1 where no architecture is within them, and names the nearest.
    """
    from pipeline.cli.stages import explain_limits, run_search

    given = _with_foreign(overrides, allow_foreign)
    if per_target:
        given.append("search.per_target=true")
    ends = explain_limits if explain else run_search
    if not ends(recipe, given, run, as_json=json):
        raise typer.Exit(1)


add_stage_verbs(app)


@app.command(
    epilog="Example: python run_pipeline.py export --arch cream-43 "
    "--checkpoint official.pth.tar --out exported"
)
def export(
    arch: Annotated[
        str | None,
        typer.Option(help="What to export: a published model, a JSON or JSON-lines file."),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Weights; random (seeded) ones if left out.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("exported"),
    batch: Annotated[int | None, typer.Option(min=1, help="Fix the batch; else dynamic.")] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(help="fp16: write that beside fp32. A recipe names its own, int8 too."),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="With --recipe: make this folder, which a device runs by itself."),
    ] = None,
    recipe: MaybeRecipe = None,
    overrides: Overrides = None,
    run: RunName = None,
    json: Json = False,
) -> None:
    """Export to ONNX with a parity record: any architecture, or a recipe's winner.

    A bundle for a device: python run_pipeline.py export --recipe demo --bundle exported/demo
    """
    if bundle and not recipe:
        raise UsageError(
            "--bundle needs --recipe: a bundle has trained weights, labels and accuracies",
            hint=f"export --recipe demo --bundle {bundle}",
        )
    if recipe and bundle:
        from pipeline.cli.bundle import export_bundle

        export_bundle(recipe, overrides or [], run, bundle, as_json=json)
    elif recipe:
        one_stage("export", recipe, overrides, run, json)
    elif arch:
        from pipeline.cli.models import export_architectures
        from pipeline.space.architecture_file import read_architectures

        architectures = read_architectures(arch)
        export_architectures(architectures, checkpoint, out, batch, precision or (), as_json=json)
    else:
        raise UsageError("export needs --arch or --recipe", hint="--arch cream-43 --out exported")


@app.command(
    epilog="Example: python run_pipeline.py benchmark --arch cream-14 "
    "--target host/onnxruntime-fp32-b1-t1 --target host/openvino-fp32-b1-t1"
)
def benchmark(
    arch: Annotated[
        str | None,
        typer.Option(help="What to time: a published model, a JSON or JSON-lines file."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="DEVICE/RUNTIME-PRECISION-bBATCH[-tTHREADS]; may repeat: targets are interleaved.",
            show_default=HOST_TARGET,
        ),
    ] = None,
    sweeps: Annotated[int, typer.Option(min=3, help="Visits to each model.")] = 12,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs a visit, at least.")] = 16,
    recipe: MaybeRecipe = None,
    overrides: Overrides = None,
    run: RunName = None,
    json: Json = False,
) -> None:
    """Time models on targets, interleaved: any architectures, or a recipe's exported winner."""
    if recipe:
        one_stage("benchmark", recipe, overrides, run, json)
    elif arch:
        from pipeline.cli.models import benchmark_architectures
        from pipeline.space.architecture_file import read_architectures

        architectures = read_architectures(arch)
        benchmark_architectures(architectures, target or [HOST_TARGET], sweeps, runs, as_json=json)
    else:
        raise UsageError("benchmark needs --arch or --recipe", hint="--arch cream-14")


@app.command(epilog="Example: python run_pipeline.py compare runs/before runs/after")
def compare(
    first: Annotated[
        str, typer.Argument(metavar="A", help="A target, a table, a benchmark's record or a run.")
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one of the same kind.")],
    fail_on: Annotated[
        Literal["regression"] | None,
        typer.Option(
            metavar="regression",
            help="End with code 1 if B is slower or less accurate than A beyond noise, or no "
            "longer meets a limit.",
        ),
    ] = None,
    form: Annotated[
        Literal["md", "json"] | None,
        typer.Option(
            "--format", help="Print this instead of tables; md fits a pull-request comment."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Tell what changed from A to B beyond noise: model, latency, accuracy, limits."""
    from pipeline.cli.compare import compare_two

    if json and form == "md":
        raise UsageError("--json and --format md would both be printed", hint="leave one out")
    regressions = compare_two(first, second, form="json" if json else form)
    if regressions and fail_on == "regression":
        raise typer.Exit(1)


@app.command(
    epilog="Example: python run_pipeline.py report --recipe demo --format md "
    "| gh pr comment --body-file -"
)
def report(
    recipe: RecipeName,
    form: Annotated[
        Literal["html", "md", "json"] | None,
        typer.Option(
            "--format",
            help="Print this one instead of writing all three; md fits a pull-request comment.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write with --format.")] = None,
    overrides: Overrides = None,
    run: RunName = None,
    json: Json = False,
) -> None:
    """Write the report of a run from the records that are there: HTML, Markdown, JSON."""
    from pipeline.cli.stages import export_run_report, write_run_report

    _check_out(out, "--format", form, "html")
    if json and form and not out:
        raise UsageError(
            f"--json and --format {form} would both be printed",
            hint=f"--format {form} --out report.{form} --json",
        )
    if form:
        export_run_report(recipe, overrides or [], run, form, out, as_json=json)
    else:
        write_run_report(recipe, overrides or [], run, as_json=json)


def _with_foreign(overrides: list[str] | None, allow_foreign: bool) -> list[str]:
    return [*(overrides or []), *(["allow_foreign=true"] if allow_foreign else [])]


def _check_out(out: Path | None, option: str, form: str | None, example: str) -> None:
    if out and not form:
        raise UsageError(
            f"--out names the file of {option}", hint=f"{option} {example} --out {out}"
        )


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits with its code."""
    given = sys.argv[1:] if arguments is None else arguments
    with own_standard_output():
        code = exit_code(app, given)
    sys.exit(code)
