"""The table of an exported model's files."""

from pipeline.device.model_files import KINDS
from pipeline.report import ReportInputs
from pipeline.report.blocks import Table
from pipeline.report.sections.accuracy import section
from pipeline.report.sections.exported import files_table
from pipeline.report.summary import summarise
from tests.report import made_up


def tables(inputs: ReportInputs) -> list[Table]:
    blocks = section(inputs, summarise(inputs)).blocks
    return [block for block in blocks if isinstance(block, Table)]


def spaced(words: str) -> str:
    """With plain spaces where there are narrow or fixed ones."""
    return " ".join(words.split())


def test_each_file_has_a_row_with_its_accuracy() -> None:
    inputs = made_up.inputs()
    table = files_table(inputs.export.models[0])
    assert table in tables(inputs)
    assert [row[0].text for row in table.rows] == list(KINDS)
    rows = {row[0].text: [spaced(cell.text) for cell in row[1:]] for row in table.rows}
    assert rows["model.int8.onnx"][0] == "int8"
    assert rows["model.int8.onnx"][2:] == ["3.12 MB", "92.35 %", "91.98 %", "98.42 %"]
    assert rows["model.pt2"][3:] == ["not measured"] * 3
    assert "on 6 000 images of search-validation" in spaced(table.caption)
    assert "256 training images" in table.caption


def test_records_without_files_have_no_such_table() -> None:
    inputs = made_up.inputs()
    model = inputs.export.models[0].model_copy(update={"files": ()})
    older = inputs.export.model_copy(update={"models": (model,)})
    assert len(tables(inputs.model_copy(update={"export": older}))) == len(tables(inputs)) - 1
