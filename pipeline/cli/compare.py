"""What the command line does with two measurements or two runs: tell what changed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pipeline.cli.change_plot import accuracy_plot, latency_plot
from pipeline.cli.console import print_drawing, print_json, print_line, print_table, terminal_width
from pipeline.cli.terminal_plot import TerminalPlot
from pipeline.comparing.measurements_shown import show_targets
from pipeline.comparing.runs import ComparedRun, RunComparison, compare_runs
from pipeline.comparing.runs_shown import show_runs
from pipeline.comparing.showing import Grid, Listing, Shown, render_markdown
from pipeline.comparing.sides import read_measured
from pipeline.comparing.targets import TargetsComparison, compare_measured
from pipeline.files.workspace import run_dir
from pipeline.recipe.recipe import read_recipe
from pipeline.recipe.report_stage import report_inputs

Form = Literal["md", "json"] | None
_RECIPE = "recipe.yaml"
_WIDEST = 120


def compare_two(first: str, second: str, *, form: Form) -> int:
    """Compares two measurements, or two runs, and prints what changed.

    Args:
        first: A target, a table, a benchmark's record or a run.
        second: Another one of the same kind.
        form: Markdown, or the record as JSON; None for tables and plots in a terminal.

    Returns:
        How many regressions there are.
    """
    runs = [_read_run(given) for given in (first, second)]
    if runs[0] and runs[1]:
        return _print_runs(compare_runs(runs[0], runs[1]), form)
    return _print_measured(compare_measured(read_measured(first), read_measured(second)), form)


def _read_run(given: str) -> ComparedRun | None:
    """The run that is meant; None where it is something else."""
    folders = (Path(given), run_dir(given))
    folder = next((folder for folder in folders if (folder / _RECIPE).is_file()), None)
    if folder is None:
        return None
    inputs = report_inputs(read_recipe(str(folder / _RECIPE)), folder)
    return ComparedRun(given, folder, inputs)


def _print_runs(found: RunComparison, form: Form) -> int:
    if form == "json":
        print_json(found)
    elif form == "md":
        title = f"{found.first} → {found.second}: {found.verdict}"
        sys.stdout.write(render_markdown(title, show_runs(found)))
    else:
        _print(show_runs(found))
        if found.latency and found.latency.targets:
            _plot(latency_plot(found.latency, _plot_width()))
        if found.accuracies:
            _plot(accuracy_plot(found.accuracies, _plot_width()))
    return found.regressions


def _print_measured(found: TargetsComparison, form: Form) -> int:
    if form == "json":
        print_json(found)
    elif form == "md":
        sys.stdout.write(render_markdown("What changed", show_targets(found)))
    else:
        _print(show_targets(found))
        _plot(latency_plot(found, _plot_width()))
    return found.slower


def _print(blocks: Iterable[Shown]) -> None:
    for block in blocks:
        if isinstance(block, Grid):
            print_table(block.title, block.columns, block.rows)
        elif isinstance(block, Listing):
            _print_points(block.points)
        else:
            print_line(block)


def _print_points(points: Sequence[str]) -> None:
    for point in points:
        print_line(f"  • {point}")


def _plot_width() -> int:
    return min(terminal_width(), _WIDEST)


def _plot(plot: TerminalPlot) -> None:
    print_line(plot.title)
    print_drawing(plot.drawing)
    for words in plot.legend:
        print_line(words)
