"""What an earlier version wrote is read, gone on with and compared: files kept from before.

`kept/before-rooms.tar.xz` holds a whole run, its latency table and its bundle's card, as the last
version wrote them in which the package had no rooms; networks' weights were left out: too large.
"""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from pipeline.bundle.card import Bundle
from pipeline.bundle.folder import is_bundle
from pipeline.device.target import Target, host_slug
from pipeline.files.whole import read_record
from pipeline.latency.model import LatencyModel, ModelFile
from pipeline.latency.table import LatencyTable
from pipeline.measure.campaign import differing_conditions
from pipeline.measure.journal import Journal, read_journal
from pipeline.recipe.resume import Inputs, Manifest
from pipeline.records.benchmark import BenchmarkRecord
from pipeline.records.export import ExportRecord
from pipeline.records.profile import ProfileRecord
from pipeline.records.retrain import RetrainRecord
from pipeline.records.search import SearchRecord
from pipeline.records.train import TrainRecord
from pipeline.records.verify import VerifyRecord
from tests.cli.calling import call

KEPT = Path(__file__).parent / "kept" / "before-rooms.tar.xz"
RUN = Path("runs/tiny")
# Hypernetworks are trained otherwise now, and trials come before the winner's training.
CHANGED = ("train", "retrain")
STAGES = ("profile", "train", "search", "verify", "retrain", "export", "benchmark", "report")
RECORDS: dict[str, type[BaseModel]] = {
    "profile/record.json": ProfileRecord,
    "train/record.json": TrainRecord,
    "search/record.json": SearchRecord,
    "verify/record.json": VerifyRecord,
    "retrain/record.json": RetrainRecord,
    "export/record.json": ExportRecord,
    "benchmark/record.json": BenchmarkRecord,
    **{f"{stage}/inputs.json": Inputs for stage in STAGES},
    **{f"{stage}/manifest.json": Manifest for stage in STAGES},
}


@pytest.fixture
def kept(workdir: Path) -> Path:
    """The kept files as those of a run on this machine, with nothing said of files left out."""
    with tarfile.open(KEPT) as archive:
        archive.extractall(workdir, filter="data")
    (tables,) = Path("latency_tables").iterdir()
    tables.rename(tables.with_name(host_slug()))
    for path in RUN.glob("*/manifest.json"):
        manifest = read_record(path, Manifest)
        there = {name: it for name, it in manifest.files.items() if (path.parent / name).exists()}
        path.write_text(manifest.model_copy(update={"files": there}).model_dump_json())
    return workdir


def kept_text(name: str) -> str:
    with tarfile.open(KEPT) as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read().decode()


def table() -> Path:
    (found,) = Path("latency_tables").glob("*/*.jsonl")
    return found


def without_what_is_new(told: Any, kept: Any) -> Any:
    """What is told now without keys that the version before did not have."""
    if isinstance(told, dict) and isinstance(kept, dict):
        return {key: without_what_is_new(told[key], kept[key]) for key in told if key in kept}
    if isinstance(told, list) and isinstance(kept, list) and len(told) == len(kept):
        return [without_what_is_new(*pair) for pair in zip(told, kept, strict=True)]
    return told


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_reads_back_byte_for_byte(name: str) -> None:
    text = kept_text(f"{RUN}/{name}")
    record = RECORDS[name].model_validate_json(text)
    # Fields that it did not have yet have a default.
    assert record.model_dump_json(indent=2, exclude_unset=True) + "\n" == text


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("stage", [stage for stage in STAGES[:-1] if stage not in CHANGED])
def test_a_stage_is_not_made_anew(stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    # Without trials as many are verified as before.
    assert call(stage, "--recipe", "tiny.yaml", "--set", "trial.candidates=0", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["stage"], told["status"]) == (stage, "skipped")


@pytest.mark.usefixtures("kept")
def test_the_report_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("report", "--recipe", "tiny.yaml", "--format", "json") == 0
    kept = json.loads((RUN / "report" / "report.json").read_text(encoding="utf-8"))
    train = kept["inputs"]["recipe"]["train"]
    del train["growth_share"]
    # What follows from the number of steps now.
    for key in ("probes", "every", "learning_rate"):
        del train["teaching"]["matching"][key]
    assert without_what_is_new(json.loads(capsys.readouterr().out), kept) == kept


@pytest.mark.usefixtures("kept")
def test_two_runs_compare(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("compare", str(RUN), str(RUN), "--json") == 0
    assert json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("kept")
def test_measuring_goes_on_in_the_table() -> None:
    path = table()
    header, visits = read_journal(path)
    content = path.read_bytes()
    assert len(visits) > 100
    with Journal(path, header, differences=differing_conditions) as journal:
        assert journal.visits == visits
        journal.append(visits[-1])
    # A visit that is written again is the same line.
    assert path.read_bytes() == content + content.splitlines(keepends=True)[-1]


@pytest.mark.usefixtures("kept")
def test_the_table_and_its_model_predict() -> None:
    path, target = table(), Target.parse("host/onnxruntime-fp32-b1-t1")
    record = read_record(RUN / "verify" / "record.json", VerifyRecord)
    winner = record.candidates[record.winner].candidate
    model = LatencyModel.read(target, allow_foreign=True)
    predicted = model.predict(winner.architecture)
    assert predicted.typical == pytest.approx(winner.latency_ms[target.name].typical, rel=1e-6)
    assert LatencyTable.read(target).path == path
    text = path.with_name(f"{target.setting}.model.json").read_text(encoding="utf-8")
    assert ModelFile.model_validate_json(text).model_dump_json(indent=2) + "\n" == text


@pytest.mark.usefixtures("kept")
def test_a_bundle_is_read_and_may_be_replaced() -> None:
    text = Path("bundle/model.json").read_text(encoding="utf-8")
    card = Bundle.model_validate_json(text)
    assert card.name == "tiny-cream"
    assert is_bundle(Path("bundle"))
