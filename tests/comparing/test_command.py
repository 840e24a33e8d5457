"""`compare` as a user meets it: tables and runs, for people, as Markdown and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.comparing.runs import MODEL, RunComparison
from pipeline.comparing.targets import TargetsComparison
from pipeline.files.whole import write_record
from pipeline.recipe.recipe import read_recipe
from pipeline.recipe.resume import prepare_run
from pipeline.report.inputs import STAGES
from tests.cli.calling import call
from tests.comparing.made_up_runs import a_run
from tests.comparing.simulated import UNCHANGED, verdicts, write_table
from tests.report.made_up_measuring import TARGET


def compared(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, RunComparison]:
    """Exit code and record of a comparison that is to fail on a regression."""
    capsys.readouterr()
    code = call("compare", *arguments, "--fail-on", "regression", "--json")
    return code, RunComparison.model_validate(json.loads(capsys.readouterr().out))


@pytest.mark.usefixtures("workdir")
def test_runs_by_name_and_by_folder(capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed, factor in (("before", 1, 1.0), ("again", 2, 1.0), ("slowed", 3, 1.2)):
        inputs = a_run(name, seed, model=factor).inputs
        folder = prepare_run(read_recipe("demo"), name)
        for stage in STAGES:
            if record := getattr(inputs, stage):
                write_record(folder / stage / "record.json", record)
    code, same = compared(capsys, "runs/before", "again")
    assert (code, same.verdict, same.findings, same.gaps) == (0, UNCHANGED, (), ())
    code, slower = compared(capsys, "before", "slowed")
    assert code == 1
    regression, _ = (it.words for it in slower.findings if it.is_regression)
    assert regression.startswith(f"{MODEL} is slower on {TARGET.partition('/')[2]}: ")
    code, faster = compared(capsys, "slowed", "before")
    assert (code, faster.regressions, len(faster.findings)) == (0, 0, 2)
    assert call("compare", "before", "slowed") == 0
    shown = capsys.readouterr().out
    for expected in (
        "regression: the model is slower",
        "Latency: what B takes",
        "Accuracy: B less",
    ):
        assert expected in shown


@pytest.mark.usefixtures("workdir")
class TestCommandLine:
    def tables(self) -> tuple[str, str]:
        levels = {"a": 0.1, "b": 0.2, "net:[x]": 1.0}
        first = write_table(Path("a.jsonl"), 1, levels_ms=levels)
        second = write_table(
            Path("b.jsonl"), 2, levels_ms={**levels, "new": 1.0}, changed={"a": 1.3}
        )
        return str(first), str(second)

    def test_json_is_the_record(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert call("compare", *self.tables(), "--json") == 0
        told = json.loads(capsys.readouterr().out)
        found = TargetsComparison.model_validate(told)
        (record,) = found.targets
        assert found.slower == 1
        assert verdicts(record) == {"a": "slower", "b": UNCHANGED, "net:[x]": UNCHANGED}
        assert (record.slower, record.faster, record.unchanged) == (1, 0, 2)
        assert record.only_in_second == ("new",)

    def test_people_see_the_same(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert call("compare", *self.tables()) == 0
        out = capsys.readouterr().out
        for words in (
            "net:[x]",
            "slower",
            "only in B: new",
            "control network:",
            "1 slower, 0 faster",
        ):
            assert words in out
        assert out.index("│ a ") < out.index("│ b ")

    def test_it_fails_on_a_regression_where_something_is_slower_and_it_was_asked_to(self) -> None:
        first, second = self.tables()
        assert call("compare", first, second, "--fail-on", "regression") == 1
        assert call("compare", second, first, "--fail-on", "regression") == 0
        assert call("compare", first, second) == 0

    def test_markdown_is_the_same_table(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert call("compare", *self.tables(), "--format", "md") == 0
        lines = capsys.readouterr().out.splitlines()
        rows = [line for line in lines if line.startswith("| ")]
        subjects = [row.split(" | ")[0] for row in rows[2:]]
        assert subjects[0] == "| a"  # the one that is slower
        assert sorted(subjects) == ["| a", "| b", "| net:\\[x\\]"]
        assert all(row.count(" | ") == 6 for row in rows)

    def test_one_form_at_a_time(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert call("compare", *self.tables(), "--json", "--format", "md") == 2
        assert "both be printed" in capsys.readouterr().out

    def test_there_is_nothing_else_to_fail_on(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert call("compare", "a.jsonl", "b.jsonl", "--fail-on", "slower") == 2
        assert "regression" in capsys.readouterr().err
