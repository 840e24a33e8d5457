"""The verbs of stages that are asked for nothing but their recipe."""

from __future__ import annotations

import typer

from pipeline.cli.options import Json, Overrides, RecipeName, RunName


def add_stage_verbs(app: typer.Typer) -> None:
    """Adds those between search and export, in their order."""
    _add(app, "verify", "Build and time the best candidates; drop those over a limit.")
    _add(
        app,
        "trial",
        "Train candidates, and what you could take instead, for a while; drop the worst.\n\n"
        "Networks of timm stand beside at the largest input size within the limits. Stopped, it "
        "goes on where it was; the winner's whole training goes on from here.",
    )
    _add(
        app,
        "retrain",
        "Train the winner to the end, and the best network of timm beside it.\n\n"
        "On several GPUs: torchrun --nproc-per-node 4 run_pipeline.py retrain --recipe NAME. Watch "
        "it in runs/NAME/retrain/log.jsonl or with tensorboard --logdir runs. Stopped, it goes on "
        "where it was.",
    )


def one_stage(
    stage: str, recipe: str, overrides: list[str] | None, run: str | None, as_json: bool
) -> None:
    """Runs one stage of a recipe and prints its record."""
    from pipeline.cli.stages import run_one

    run_one(stage, recipe, overrides or [], run, as_json=as_json)


def _add(app: typer.Typer, name: str, words: str) -> None:
    """Adds one."""

    @app.command(name, help=words, epilog=f"Example: python run_pipeline.py {name} --recipe demo")
    def verb(
        recipe: RecipeName, overrides: Overrides = None, run: RunName = None, json: Json = False
    ) -> None:
        one_stage(name, recipe, overrides, run, json)
