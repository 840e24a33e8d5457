"""A bundle is there whole or not at all, and takes the place of a bundle only."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.bundle import making
from pipeline.bundle.folder import check_free, check_names_no_place, new_folder
from pipeline.errors import ExportError, StageError, StorageError, UsageError
from pipeline.recipe.data import open_data
from tests.bundle.conftest import Made
from tests.report.made_up import changed, without

MARKED = '{"format": "cream-pipeline-bundle", "schema_version": 7}'


def fill(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "file").write_text("new")
    (folder / "model.json").write_text(MARKED)


def test_it_appears_when_all_is_done(tmp_path: Path) -> None:
    into = tmp_path / "a" / "b"
    with new_folder(into) as folder:
        fill(folder)
        assert not into.exists()
    assert (into / "inner" / "file").read_text() == "new"
    assert [path.name for path in into.parent.iterdir()] == ["b"]
    assert into.stat().st_mode & 0o777 == 0o755


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail_half_way() -> None:
        with new_folder(tmp_path / "b") as folder:
            fill(folder)
            raise ExportError("half-way")

    with pytest.raises(ExportError, match="half-way"):
        fail_half_way()
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_bundle_that_was_there(tmp_path: Path) -> None:
    into = tmp_path / "b"
    with new_folder(into) as folder:
        fill(folder)
    with pytest.raises(KeyboardInterrupt), new_folder(into) as folder:
        raise KeyboardInterrupt
    assert (into / "inner" / "file").read_text() == "new"
    assert list(tmp_path.iterdir()) == [into]


def test_a_bundle_of_any_version_is_replaced(tmp_path: Path) -> None:
    into = tmp_path / "b"
    into.mkdir()
    (into / "model.json").write_text(MARKED)
    (into / "old").write_text("old")
    with new_folder(into) as folder:
        fill(folder)
    assert sorted(path.name for path in into.iterdir()) == ["inner", "model.json"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    into = tmp_path / "b"
    into.mkdir()
    with new_folder(into) as folder:
        fill(folder)
    assert (into / "model.json").exists()


@pytest.mark.parametrize("content", [None, "{}", '{"format": "another"}', "[", '["format"]'])
def test_another_folder_is_left_alone(tmp_path: Path, content: str | None) -> None:
    into = tmp_path / "mine"
    into.mkdir()
    (into / "precious").write_text("mine")
    if content is not None:
        (into / "model.json").write_text(content)
    with pytest.raises(UsageError, match="mine: is there and no bundle") as caught:
        check_free(into)
    assert caught.value.hint
    with pytest.raises(UsageError), new_folder(into):
        pass
    assert (into / "precious").read_text() == "mine"


def test_a_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="no bundle"):
        check_free(tmp_path / "file")


def test_a_folder_under_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="file"), new_folder(tmp_path / "file" / "b"):
        pass


def test_a_place_of_this_machine_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / "clean").write_bytes(b"\x00nothing\xff")
    check_names_no_place(folder, ["digits", "/data/mine"])
    for place in (tmp_path, Path.home(), "/data/mine"):
        (folder / "told").write_bytes(b"\xff\x00" + str(place).encode() + b"/x\x00")
        with pytest.raises(ExportError, match=r"^told would name "):
            check_names_no_place(folder, ["digits", "/data/mine"])


def test_a_bundle_that_fails_its_self_test_does_not_appear(
    bundle: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Path(making.__file__).with_name("infer.py").read_text(encoding="utf-8")
    broken = broken.replace("np.float32(255)", "np.float32(200)")
    (tmp_path / "infer.py").write_text(broken, encoding="utf-8")
    copied = making._copy

    def copy(source: Path, to: Path) -> None:
        copied(tmp_path / "infer.py" if source.name == "infer.py" else source, to)

    monkeypatch.setattr(making, "_copy", copy)
    monkeypatch.setattr(making, "_JUDGING_IMAGES", 8)
    into = tmp_path / "b"
    with pytest.raises(ExportError, match="preprocessing: FAILED"):
        making.make_bundle(bundle.inputs, bundle.run, open_data(bundle.recipe), into)
    assert [path.name for path in tmp_path.iterdir()] == ["infer.py"]


def test_files_that_are_not_those_of_the_record_are_refused(bundle: Made, tmp_path: Path) -> None:
    model = bundle.inputs.export.models[0]
    first, *others = model.files
    files = (first.model_copy(update={"sha256": "0" * 64}), *others)
    models = (model.model_copy(update={"files": files}),)
    inputs = changed(bundle.inputs, "export", models=models)
    with pytest.raises(ExportError, match="its record says 0000"):
        making.make_bundle(inputs, bundle.run, open_data(bundle.recipe), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_not_exported_is_told(bundle: Made, tmp_path: Path) -> None:
    inputs = without(bundle.inputs, "export")
    with pytest.raises(StageError) as caught:
        making.make_bundle(inputs, bundle.run, open_data(bundle.recipe), tmp_path / "b")
    assert "export --recipe small" in (caught.value.hint or "")
