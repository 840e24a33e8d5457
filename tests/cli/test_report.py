"""The verb `report`: all files in the run's folder, or one format for a pipe or a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli import app as cli
from pipeline.files.whole import write_record
from pipeline.report import ReportInputs
from pipeline.report.writing import ReportDocument
from tests.report import made_up

Report = Callable[..., tuple[int, str, str]]
RUN = Path("runs") / "demo"


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Report:
    """Runs the verb beside a run of the demo that holds its search, verification and benchmark."""
    monkeypatch.chdir(tmp_path)
    inputs = made_up.inputs()
    for stage in ("search", "verify", "benchmark"):
        write_record(RUN / stage / "record.json", getattr(inputs, stage))

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            cli.main(["report", "--recipe", "demo", *arguments])
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return call


def test_all_three_are_written_and_the_page_is_named(report: Report) -> None:
    code, out, _ = report()
    assert code == 0
    assert out == "report: runs/demo/report/report.html\n"
    assert {path.name for path in (RUN / "report").iterdir()} == {
        "report.html", "report.md", "report.json",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("form", "begins"), [("md", "# demo: deployment"), ("html", "<!DOCTYPE html>"), ("json", "{")]
)
def test_one_format_is_printed_whole_and_nothing_is_written(
    report: Report, form: str, begins: str
) -> None:
    code, out, _ = report("--format", form)
    assert code == 0
    assert out.startswith(begins)
    assert not (RUN / "report").exists()
    report()
    name = {"md": "report.md", "html": "report.html", "json": "report.json"}[form]
    assert (RUN / "report" / name).read_text(encoding="utf-8") == out


def test_what_is_printed_as_json_reads_back(report: Report) -> None:
    _, out, _ = report("--format", "json")
    document = ReportDocument.model_validate_json(out)
    assert isinstance(document.inputs, ReportInputs)
    assert document.inputs.search == made_up.inputs().search


def test_one_format_goes_to_a_file_on_request(report: Report) -> None:
    _, printed, _ = report("--format", "md")
    assert report("--format", "md", "--out", "here/a.md")[:2] == (0, "report: here/a.md\n")
    assert Path("here/a.md").read_text(encoding="utf-8") == printed
    code, out, _ = report("--format", "md", "--out", "b.md", "--json")
    assert (code, json.loads(out)) == (0, {"report": {"md": "b.md"}})
    assert Path("b.md").read_text(encoding="utf-8") == printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--out", "a.md"), "--out names the file of --format"),
        (("--format", "md", "--json"), "would both be printed"),
        (("--format", "pdf"), "'pdf' is not one of"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(
    report: Report, arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = report(*arguments)
    assert code == 2
    assert words in out + err
    assert not Path("a.md").exists()


def test_a_run_that_is_not_there_is_no_empty_report(report: Report) -> None:
    code, out, err = report("--run", "other", "--format", "md")
    assert (code, out) == (1, "")
    assert "runs/other is not there" in err
    assert "run --recipe demo" in err
