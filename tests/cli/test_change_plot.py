"""Changes drawn with letters: what is drawn, and that it is drawn where it belongs."""

from __future__ import annotations

import re

import pytest

from pipeline.cli.change_plot import accuracy_plot, latency_plot
from pipeline.comparing.runs import RunComparison, compare_runs
from tests.comparing.made_up_runs import a_run


@pytest.fixture(scope="module")
def slower() -> RunComparison:
    return compare_runs(a_run("one", 1), a_run("two", 2, model=1.2))


def rows(drawing: str) -> dict[str, str]:
    """What is drawn beside each label."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", drawing)
    labelled = (line.partition("┤") for line in plain.splitlines() if "┤" in line)
    return {label.strip(): drawn for label, _, drawn in labelled if label.strip()}


def test_each_change_is_drawn_on_its_side_of_no_change(slower: RunComparison) -> None:
    assert slower.latency is not None
    plot = latency_plot(slower.latency, 100)
    drawn = rows(plot.drawing)
    assert {"the model, onnxruntime-fp32", "the model, onnxruntime-int8"} <= set(drawn)
    assert {"cream-14, onnxruntime-fp32", "control network, onnxruntime-fp32"} <= set(drawn)
    control = drawn["control network, onnxruntime-fp32"].index("o")
    for target in ("fp32", "int8"):
        assert drawn[f"the model, onnxruntime-{target}"].index("o") > control + 20
    assert "x relative to the control network" in plot.legend[0]


@pytest.mark.parametrize("width", [80, 120])
def test_it_is_as_wide_as_asked(slower: RunComparison, width: int) -> None:
    assert slower.latency is not None
    plain = re.sub(r"\x1b\[[0-9;]*m", "", latency_plot(slower.latency, width).drawing)
    assert max(map(len, plain.splitlines())) == width


def test_what_there_is_no_room_for_is_counted(slower: RunComparison) -> None:
    assert slower.latency is not None
    many = slower.latency.model_copy(update={"targets": slower.latency.targets * 4})
    plot = latency_plot(many, 100)
    assert re.fullmatch(r"\d+ more with smaller changes are not drawn", plot.legend[1])
    # What changed beyond noise goes first.
    assert set(rows(plot.drawing)) == {"the model, onnxruntime-fp32", "the model, onnxruntime-int8"}


def test_accuracies_have_a_row_each(slower: RunComparison) -> None:
    drawn = rows(accuracy_plot(slower.accuracies, 100).drawing)
    assert set(drawn) == {f"{it.what}, {it.split}" for it in slower.accuracies}
    assert all("o" in row for row in drawn.values())
