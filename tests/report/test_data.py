"""The report on the images: classes by split, what was skipped, and warnings beside accuracy."""

from pipeline.report.blocks import Table, Text
from pipeline.report.inputs import ReportInputs
from pipeline.report.sections import accuracy, method
from pipeline.report.summary import summarise
from tests.report import made_up

SKIPPED = {"train/Bag/1.jpg": "is empty", "train/Coat/<b>.jpg": "image file is truncated"}
TRAIN = (10, 20, 30, 40, 50, 60, 70, 80, 90, 100)


def inputs() -> ReportInputs:
    full = made_up.inputs()
    changes = {
        "images_by_class": {"train": TRAIN, "matching-validation": (0,) * 10, "test": (5,) * 10},
        "num_skipped": 250,
        "skipped": SKIPPED,
    }
    dataset = full.retrain.dataset.model_copy(update=changes)
    return full.model_copy(update={"retrain": full.retrain.model_copy(update={"dataset": dataset})})


def tables() -> dict[str, Table]:
    section = method.section(inputs(), summarise(inputs()))
    return {block.caption: block for block in section.blocks if isinstance(block, Table)}


def test_images_of_each_class_and_split() -> None:
    table = tables()["Images of each class."]
    assert [column.title for column in table.columns] == ["Class", "train", "test"]
    assert [cell.text for cell in table.rows[0]] == ["T-shirt", "10", "5"]
    assert [cell.order for cell in table.totals] == [None, sum(TRAIN), 50]


def test_skipped_files_are_listed_and_the_rest_counted() -> None:
    caption = "Skipped: files that cannot be read. The first 2 of 250."
    rows = tables()[caption].rows
    assert {file.text: why.text for file, why in rows} == SKIPPED


def test_warnings_stand_before_the_accuracies() -> None:
    section = accuracy.section(inputs(), summarise(inputs()))
    first, second = section.blocks[:2]
    assert isinstance(first, Text)
    assert isinstance(second, Text)
    assert first.tone == second.tone == "warn"
    assert first.text.startswith("Skipped 250 unreadable images: train/Bag/1.jpg (is empty)")
    assert "100 training images of Ankle boot, 10 of T-shirt (10 to 1)" in second.text


def test_a_data_set_without_flaws_has_no_warnings() -> None:
    full = made_up.inputs()
    section = accuracy.section(full, summarise(full))
    assert not isinstance(section.blocks[0], Text)
