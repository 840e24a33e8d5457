"""Runs compared, on made-up records: what is told, what is a regression, what is noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.comparing.runs import MODEL, ComparedRun, RunComparison, compare_runs
from pipeline.comparing.runs_shown import show_runs
from pipeline.comparing.showing import render_markdown
from pipeline.report.inputs import STAGES
from tests.comparing.made_up_runs import (
    OTHER_TARGET,
    a_run,
    campaign,
    with_architecture,
    with_changed,
    with_inputs,
)
from tests.report.made_up import LIMIT_MS
from tests.report.made_up_measuring import TARGET

UNCHANGED = "no change beyond noise"


def regressions(found: RunComparison) -> list[str]:
    return [it.words for it in found.findings if it.is_regression]


def setting(target: str) -> str:
    return target.partition("/")[2]


def with_limit(run: ComparedRun, factor: float) -> ComparedRun:
    """The same run under a latency limit that is this multiple of what was measured."""
    inputs = run.inputs
    stats = inputs.benchmark.results[0].latency_ms
    limits = inputs.verify.limits.model_copy(
        update={"latency_ms": {TARGET: factor * stats.typical}}
    )
    return with_changed(run, "verify", limits=limits)


def test_runs_that_differ_by_noise_alone_are_said_to() -> None:
    for seed in range(8):
        found = compare_runs(a_run("one", seed), a_run("two", seed + 100))
        assert (found.verdict, found.findings, found.regressions) == (UNCHANGED, (), 0)
        assert found.settings == ()
        assert found.gaps == ()


def test_a_machine_that_moved_is_no_change_of_the_model() -> None:
    for seed in range(8):
        moved = a_run("two", seed + 100, machine=1.3, other_machine=0.9)
        assert compare_runs(a_run("one", seed), moved).regressions == 0


def test_a_slower_model_is_a_regression_on_every_target() -> None:
    found = compare_runs(a_run("one", 1), a_run("two", 2, model=1.2))
    assert found.regressions == 2
    for words, target in zip(regressions(found), (TARGET, OTHER_TARGET), strict=True):
        assert words.startswith(f"{MODEL} is slower on {setting(target)}: ")
    assert found.verdict == "2 changes, 2 regressions"
    back = compare_runs(a_run("two", 2, model=1.2), a_run("one", 1))
    assert (back.regressions, len(back.findings)) == (0, 2)


def test_each_target_is_judged_beside_its_own_control_network() -> None:
    # Another engine's whole target is slower: its control network says so, the first one's not.
    found = compare_runs(a_run("one", 1), a_run("two", 2, other_machine=1.2))
    changes = {record.first.target.partition("/")[2]: record for record in found.latency.targets}
    other = changes[setting(OTHER_TARGET)]
    assert other.control.percent == pytest.approx(20, abs=4)
    assert other.subjects[0].relative.percent == pytest.approx(0, abs=4)
    assert found.verdict == UNCHANGED


def test_what_a_reference_seems_to_have_moved_by_is_no_change() -> None:
    """It is the same network on both sides, so whatever it shows is noise of that size."""
    one, two = a_run("one", 1), a_run("two", 2, model=1.06)
    assert compare_runs(one, two).regressions == 2
    record = two.inputs.benchmark
    results = list(record.results)
    place = next(i for i, it in enumerate(results) if it.is_reference)
    stats = results[place].latency_ms
    minima = tuple(1.1 * value for value in stats.sweep_minima_ms)
    slower = stats.model_copy(update={"typical": min(minima), "sweep_minima_ms": minima})
    results[place] = results[place].model_copy(update={"latency_ms": slower})
    found = compare_runs(one, with_changed(two, "benchmark", results=tuple(results)))
    assert [words for words in regressions(found) if setting(TARGET) in words] == []
    assert any("seems to have changed" in words for words in found.notes)


def test_a_change_shows_through_a_busy_machine_and_noise_does_not() -> None:
    """Every other visit is slower by half; a block more makes 9 %."""
    before = [a_run("one", seed, disturbed=0.5) for seed in range(8)]
    again = [a_run("two", 100 + seed, disturbed=0.5) for seed in range(8)]
    larger = [a_run("two", 100 + seed, model=1.09, disturbed=0.5) for seed in range(8)]
    same = [compare_runs(*runs) for runs in zip(before, again, strict=True)]
    assert {found.verdict for found in same} == {UNCHANGED}
    slowed = [compare_runs(*runs) for runs in zip(before, larger, strict=True)]
    assert np.mean([found.regressions > 0 for found in slowed]) >= 0.75


@pytest.mark.parametrize("of", ["main", "other"])
def test_a_machine_that_did_not_hold_still_is_told(of: str) -> None:
    two = a_run("two", 2)
    record = two.inputs.benchmark
    unsteady = record.steadiness.model_copy(update={"disagreement_percent": 47.8})
    others = {
        name: timing.model_copy(update={"steadiness": unsteady})
        for name, timing in record.others.items()
    }
    moved = {"steadiness": unsteady} if of == "main" else {"others": others}
    found = compare_runs(a_run("one", 1), with_changed(two, "benchmark", **moved))
    (words,) = (note for note in found.notes if "did not hold still" in note)
    assert words.startswith("When B was benchmarked")
    assert "disagree by 47.8 %" in words


def test_the_models_of_two_runs_are_compared_whatever_they_are_called() -> None:
    two = a_run("two", 2, model=1.2)
    record = two.inputs.benchmark
    renamed = tuple(
        it if it.is_reference else it.model_copy(update={"name": "other-cream"})
        for it in record.results
    )
    found = compare_runs(a_run("one", 1), with_changed(two, "benchmark", results=renamed))
    assert found.regressions == 2


def test_another_network_is_named_and_is_no_regression_by_itself() -> None:
    one = a_run("one", 1)
    chosen = one.inputs.benchmark.results[0].architecture  # type: ignore[union-attr]
    deeper = (*chosen.stages[:2], (*chosen.stages[2], "mb6_5x5"), *chosen.stages[3:])
    larger = chosen.model_copy(update={"stages": deeper})
    found = compare_runs(one, with_architecture(a_run("two", 2), larger))
    words = [it.words for it in found.findings]
    assert "architecture, stage 3: one more block MB6 5×5" in words
    assert any(it.startswith("MACs ") for it in words)
    assert any(it.startswith("parameters ") for it in words)
    assert found.regressions == 0
    assert found.verdict == f"{len(words)} changes, no regression"


def test_a_larger_file_is_told_and_is_no_regression() -> None:
    two = a_run("two", 2)
    (model,) = two.inputs.export.models
    first, *rest = model.files
    grown = first.model_copy(update={"size_bytes": 2 * first.size_bytes, "sha256": "9" * 64})
    models = (model.model_copy(update={"files": (grown, *rest)}),)
    found = compare_runs(a_run("one", 1), with_changed(two, "export", models=models))
    assert [it.words.split(" (")[0] for it in found.findings] == [
        "file model.onnx 10.8\N{NO-BREAK SPACE}MB → 21.6\N{NO-BREAK SPACE}MB"
    ]
    assert found.regressions == 0


def test_a_limit_no_longer_met_is_a_regression_unless_it_is_noise() -> None:
    one = with_limit(a_run("one", 1), 1.005)
    noise = with_limit(a_run("two", 2), 0.999)
    narrowly = compare_runs(one, noise)
    assert (narrowly.verdict, narrowly.regressions) == (UNCHANGED, 0)
    assert any("by less than campaigns differ" in words for words in narrowly.notes)
    slower = with_limit(a_run("two", 2, model=1.2), 0.9)
    found = compare_runs(one, slower)
    assert any(words.startswith("a limit is no longer met: ") for words in regressions(found))
    back = compare_runs(slower, one)
    assert any("is met that was not" in it.words for it in back.findings)
    assert back.regressions == 0


def test_a_limit_that_was_tightened_and_is_missed_is_a_regression() -> None:
    one = with_limit(a_run("one", 1), 1.05)
    asked = {**one.inputs.recipe, "limits": {"latency_ms": 0.9 * LIMIT_MS}}
    found = compare_runs(one, with_inputs(with_limit(a_run("two", 2), 0.9), recipe=asked))
    assert len(regressions(found)) == 1
    assert "no longer met" in regressions(found)[0]
    assert "limits.latency_ms" in {it.name for it in found.settings}


def test_a_less_accurate_model_is_a_regression() -> None:
    two = with_changed(a_run("two", 2), "retrain", test_accuracy_percent=90.0)
    found = compare_runs(a_run("one", 1), with_inputs(two, export=None))
    (words,) = regressions(found)
    assert words.startswith("the network is less accurate on test: 92.41")
    assert any("Another seed" in note for note in found.notes)


def test_what_else_differs_is_listed() -> None:
    one, two = a_run("one", 1), a_run("two", 2)
    record = two.inputs.benchmark
    packages = {**record.environment.packages, "onnxruntime": "1.33.0"}
    newer = replace(record.environment, packages=packages)
    two = with_changed(two, "benchmark", environment=newer)
    found = compare_runs(one, with_inputs(two, recipe={**two.inputs.recipe, "seed": 7}))
    told = {it.name: (it.of, it.first, it.second, it.stages) for it in found.settings}
    assert told == {
        "seed": ("recipe", None, 7, ()),
        "packages.onnxruntime": ("machine and software", "1.32.0", "1.33.0", ("benchmark",)),
    }
    assert [it.decided_by for it in found.latency.targets] == ["raw", "raw and relative"]


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ({"benchmark": None}, "benchmark --recipe runs/two/recipe.yaml --run two"),
        ({"benchmark": None, "retrain": None, "export": None}, "run --recipe runs/two/recipe.yaml"),
    ],
)
def test_what_is_missing_is_told_with_the_command_that_makes_it(
    missing: dict[str, Any], command: str
) -> None:
    two = with_inputs(a_run("two", 2), **missing)
    found = compare_runs(a_run("one", 1), two)
    (gap,) = found.gaps
    assert gap.stages == tuple(
        name for name in ("retrain", "export", "benchmark") if name in missing
    )
    assert command in gap.command
    assert found.latency is None
    assert found.verdict.endswith("in what could be compared")
    assert bool(found.accuracies) == ("retrain" not in missing)


def test_runs_with_nothing_in_them_can_be_compared() -> None:
    run = with_inputs(a_run("one", 1), **dict.fromkeys(STAGES))
    found = compare_runs(run, run)
    assert len(found.gaps) == 2
    assert found.limits == ()
    assert found.verdict == f"{UNCHANGED}, in what could be compared"


def test_the_record_survives_json() -> None:
    found = compare_runs(a_run("one", 1), a_run("two", 2, model=1.2))
    assert RunComparison.model_validate_json(found.model_dump_json()) == found


def test_markdown_says_what_the_terminal_says() -> None:
    found = compare_runs(a_run("one", 1), a_run("two", 2, model=1.2))
    text = render_markdown("one → two", show_runs(found))
    lines = text.splitlines()
    assert lines[0] == "## one → two"
    assert "Verdict: 2 changes, 2 regressions" in lines
    assert sum(line.startswith("- regression: the model is slower on") for line in lines) == 2
    tables = [line for line in lines if line.startswith("| --- |")]
    assert len(tables) == 5  # the model, two targets, accuracy, limits
    widths = {line.count(" | ") for line in lines if line.startswith(("| the model ", "| subject"))}
    assert widths == {6}


def test_a_benchmark_of_one_campaign_differs_from_itself_in_nothing() -> None:
    same = campaign(3)
    run = with_inputs(a_run("one", 1), benchmark=same)
    found = compare_runs(run, run)
    percents = [it.raw.percent for record in found.latency.targets for it in record.subjects]
    assert set(percents) == {0.0}
