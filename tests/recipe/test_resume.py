"""Stages skip what is done, go on with what was killed, and lose nothing when inputs change."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from pipeline.errors import StageError, UsageError
from pipeline.recipe.recipe import Recipe, read_recipe
from pipeline.recipe.resume import Stage, StageContext, prepare_run, run_stage
from pipeline.work.progress import silent


class Number(BaseModel):
    value: int


def quiet(title: str) -> Any:
    return silent


@pytest.fixture
def recipe() -> Recipe:
    return read_recipe("demo")


def epochs(recipe: Recipe) -> dict[str, Any]:
    return {"epochs": recipe.train.epochs}


class Counting:
    """A stage's work that counts how often it is done."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, context: StageContext) -> Number:
        self.calls += 1
        return Number(value=context.recipe.train.epochs)


def with_epochs(recipe: Recipe, number: int) -> Recipe:
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": number})})


def test_a_finished_stage_is_skipped(workdir: Path, recipe: Recipe) -> None:
    work = Counting()
    stage = Stage("train", (), epochs, work)
    run = prepare_run(recipe)
    assert run_stage(stage, recipe, run, quiet).status == "done"
    assert run_stage(stage, recipe, run, quiet).status == "skipped"
    assert work.calls == 1


def test_other_inputs_start_it_anew_and_the_old_folder_is_kept(
    workdir: Path, recipe: Recipe
) -> None:
    work = Counting()
    stage = Stage("train", (), epochs, work)
    run = prepare_run(recipe)
    run_stage(stage, recipe, run, quiet)
    (run / "train" / "visits.jsonl").write_text("measured")
    run_stage(stage, with_epochs(recipe, 77), run, quiet)
    assert work.calls == 2
    assert (run / "superseded" / "train-1" / "visits.jsonl").read_text() == "measured"
    assert not (run / "train" / "visits.jsonl").exists()
    run_stage(stage, with_epochs(recipe, 78), run, quiet)
    assert (run / "superseded" / "train-2").is_dir()


def test_settings_it_does_not_depend_on_do_not_matter(workdir: Path, recipe: Recipe) -> None:
    work = Counting()
    stage = Stage("train", (), epochs, work)
    run = prepare_run(recipe)
    run_stage(stage, recipe, run, quiet)
    assert run_stage(stage, recipe.model_copy(update={"seed": 9}), run, quiet).status == "skipped"


def test_a_killed_stage_goes_on_in_its_folder(workdir: Path, recipe: Recipe) -> None:
    def work(context: StageContext) -> Number:
        half = context.folder / "half.txt"
        if not half.exists():
            half.write_text("kept")
            raise KeyboardInterrupt
        return Number(value=len(half.read_text()))

    stage = Stage("train", (), epochs, work)
    run = prepare_run(recipe)
    with pytest.raises(KeyboardInterrupt):
        run_stage(stage, recipe, run, quiet)
    assert run_stage(stage, recipe, run, quiet).status == "done"
    assert not (run / "superseded").exists()


@pytest.mark.parametrize("damage", ["record.json", "extra.bin", "manifest.json"])
def test_a_finished_stage_with_a_missing_or_changed_file_is_made_again(
    workdir: Path, recipe: Recipe, damage: str
) -> None:
    work = Counting()

    def writing(context: StageContext) -> Number:
        (context.folder / "extra.bin").write_bytes(b"weights")
        return work(context)

    stage = Stage("train", (), epochs, writing)
    run = prepare_run(recipe)
    run_stage(stage, recipe, run, quiet)
    (run / "train" / damage).write_text("{")
    assert run_stage(stage, recipe, run, quiet).status == "done"
    assert work.calls == 2


def test_a_stage_whose_file_outside_is_gone_is_made_again(workdir: Path, recipe: Recipe) -> None:
    table = workdir / "table.jsonl"
    work = Counting()

    def measuring(context: StageContext) -> Number:
        table.write_text("entries")
        return work(context)

    stage = Stage("profile", (), epochs, measuring, lambda recipe: [table])
    run = prepare_run(recipe)
    run_stage(stage, recipe, run, quiet)
    table.unlink()
    assert run_stage(stage, recipe, run, quiet).status == "done"
    assert table.exists()


def test_a_changed_record_makes_what_reads_it_run_again(workdir: Path, recipe: Recipe) -> None:
    first, second = Counting(), Counting()
    train = Stage("train", (), epochs, first)
    search = Stage("search", ("train",), lambda recipe: {}, second)
    run = prepare_run(recipe)
    run_stage(train, recipe, run, quiet)
    run_stage(search, recipe, run, quiet)
    changed = with_epochs(recipe, 5)
    run_stage(train, changed, run, quiet)
    assert run_stage(search, changed, run, quiet).status == "done"
    assert second.calls == 2


def test_a_stage_without_its_input_says_what_to_run(workdir: Path, recipe: Recipe) -> None:
    search = Stage("search", ("train",), lambda recipe: {}, Counting())
    with pytest.raises(StageError, match="needs the record of train") as caught:
        run_stage(search, recipe, prepare_run(recipe), quiet)
    assert caught.value.hint is not None
    assert "run_pipeline.py train --recipe demo" in caught.value.hint


def test_a_run_keeps_its_resolved_recipe(workdir: Path, recipe: Recipe) -> None:
    run = prepare_run(recipe, "mine")
    assert run == Path("runs/mine")
    assert read_recipe(str(run / "recipe.yaml")) == recipe


def test_of_several_processes_the_first_keeps_the_record(
    workdir: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, work = prepare_run(recipe), Counting()
    stage = Stage("train", (), epochs, work, by_many=True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert run_stage(stage, recipe, run, quiet).status == "helped"
    assert work.calls == 1
    assert not (run / "train").exists()
    monkeypatch.setenv("RANK", "0")
    assert run_stage(stage, recipe, run, quiet).status == "done"
    monkeypatch.setenv("RANK", "1")
    assert run_stage(stage, recipe, run, quiet).status == "skipped"
    assert work.calls == 2


def test_a_stage_for_one_process_refuses_several(
    workdir: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    run, work = prepare_run(recipe), Counting()
    with pytest.raises(UsageError, match=r"stage profile .* in 2 processes") as caught:
        run_stage(Stage("profile", (), epochs, work), recipe, run, quiet)
    assert "verb train" in (caught.value.hint or "")
    assert work.calls == 0
