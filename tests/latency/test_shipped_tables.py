"""The tables that ship: complete, honest, and refused where they do not hold."""

import functools
import json
import subprocess
import zlib
from pathlib import Path

import pytest

from pipeline.device.fingerprint import environment
from pipeline.device.target import Target
from pipeline.errors import TableError
from pipeline.latency.model import LatencyModel, model_path
from pipeline.latency.table import NETWORK
from pipeline.measure.conditions import differences_that_matter
from pipeline.space.encoding import encode
from pipeline.space.search_space import get_space
from tests.checkout import ROOT

RESOLUTIONS = {"onnxruntime-fp32-b1-t1": {224, 160, 96, 64, 32}, "openvino-fp32-b1-t1": {224}}
CLASSES = 1000
MOST_MAPE_PERCENT = {224: 2.0, 160: 2.5, 96: 3.5, 64: 4.5, 32: 6.0}


def tracked_tables() -> list[Path]:
    """Tables in git: others in the folder were measured by whoever works in this checkout."""
    if not (ROOT / ".git").exists():
        return []
    listed = subprocess.run(
        ["git", "ls-files", "-z", "latency_tables/*/*.jsonl"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]


TABLES = tracked_tables()


def target_of(path: Path) -> Target:
    return Target.parse(f"{path.parent.name}/{path.stem}")


@functools.cache
def model_of(shipped: Path) -> LatencyModel:
    """On whatever machine; read once."""
    return LatencyModel.read(target_of(shipped), allow_foreign=True)


@pytest.fixture(params=TABLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def shipped(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table that ships, read from the top of the project."""
    monkeypatch.chdir(ROOT)
    path: Path = request.param
    return path


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_there_are_tables_for_both_runtimes() -> None:
    assert {path.stem for path in TABLES} == set(RESOLUTIONS)


def test_a_table_says_how_it_was_measured_and_how_wrong_it_is(shipped: Path) -> None:
    model = model_of(shipped)
    table = model.table
    assert table.environment is not None
    assert target_of(shipped).runtime in table.environment.packages
    # Whoever works in this checkout may have gone on measuring with other classes.
    ours = {key: c for key, c in model.calibrations.items() if key[2] == CLASSES}
    assert {key[:2] for key in ours} >= {
        ("cream", resolution) for resolution in RESOLUTIONS[shipped.stem]
    }
    for (space, resolution, num_classes), calibration in ours.items():
        told = calibration.honesty
        assert told.mape_percent <= MOST_MAPE_PERCENT[resolution]
        assert told.mape_percent <= 0.75 * told.flops_mape_percent
        assert told.networks >= 20
        table.require(get_space(space).distinct_operators(resolution, num_classes))


def test_it_predicts_what_it_measured(shipped: Path) -> None:
    """The calibration networks themselves, within what it says of networks it has not seen."""
    model = model_of(shipped)
    for (name, _, num_classes), calibration in model.calibrations.items():
        space = get_space(name)
        rows = encode(space, [network.architecture for network in calibration.networks])
        predicted_ms, _ = model.predict_batch(space, rows, num_classes)
        for network, latency_ms in zip(calibration.networks, predicted_ms, strict=True):
            measured_ms = model.table.network_ms(network.architecture)
            assert measured_ms is not None
            error = abs(latency_ms / model.scale / measured_ms.typical - 1)
            assert 100 * error <= calibration.honesty.max_percent + 1


def test_it_is_refused_where_machine_or_software_differ(shipped: Path) -> None:
    target = target_of(shipped)
    measured_in = model_of(shipped).table.environment
    assert measured_in is not None
    differing = differences_that_matter(measured_in, environment(), target.runtime)
    if differing:
        with pytest.raises(TableError) as refused:
            LatencyModel.read(target)
        assert differing[0] in refused.value.message
    else:
        assert LatencyModel.read(target).foreign == ()


def test_one_with_a_doctored_fingerprint_is_refused(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even with a right checksum: the machine at hand decides, not the file."""
    first, rest = shipped.read_bytes().split(b"\n", 1)
    header = json.loads(first)["line"]
    header["header"]["environment"]["cpu"] = "Another CPU @ 9 GHz"
    body = json.dumps(header, separators=(",", ":"))
    sealed = f'{{"crc":"{zlib.crc32(body.encode()):08x}","line":{body}}}\n'.encode()
    copy = tmp_path / shipped.relative_to(ROOT)
    copy.parent.mkdir(parents=True)
    copy.write_bytes(sealed + rest)
    model_path(copy).write_bytes(model_path(shipped).read_bytes())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TableError, match=r"cpu was 'Another CPU @ 9 GHz', is "):
        LatencyModel.read(target_of(shipped))


def test_whole_networks_are_in_the_table(shipped: Path) -> None:
    entries = model_of(shipped).table.entries
    assert sum(key.startswith(NETWORK) for key in entries) >= 20
