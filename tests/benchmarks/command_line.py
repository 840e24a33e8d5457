"""Studies as their command lines run them."""

from collections.abc import Callable

import typer
from typer.testing import CliRunner, Result


def call(main: Callable[..., None], *options: str) -> Result:
    """What a study says, and its exit code."""
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, list(options))
