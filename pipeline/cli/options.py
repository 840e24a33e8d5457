"""Options that several verbs of the command line share."""

from __future__ import annotations

from typing import Annotated

import typer

HOST_TARGET = "host/onnxruntime-fp32-b1-t1"

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
RecipeName = Annotated[
    str, typer.Option("--recipe", help="A recipe that ships (demo, fashion-mnist, …) or a file.")
]
MaybeRecipe = Annotated[
    str | None, typer.Option("--recipe", help="Run this stage of a recipe, in its run folder.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. retrain.epochs=3."),
]
RunName = Annotated[
    str | None, typer.Option("--run", help="Name of the run folder; the recipe's if left out.")
]
Arch = Annotated[
    str,
    typer.Option(
        "--arch",
        help="A published model (cream-287), a JSON or JSON-lines file, or SPACE@RES:OPERATORS.",
    ),
]
TargetName = Annotated[
    str, typer.Option("--target", help="DEVICE/RUNTIME-PRECISION-bBATCH[-tTHREADS].")
]
AllowForeign = Annotated[
    bool,
    typer.Option(
        "--allow-foreign",
        help="Use tables of other machines or software; every later record says so.",
    ),
]
