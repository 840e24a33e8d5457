"""One bundle for all tests that only look at one, and copies of it for those that spoil it."""

from __future__ import annotations

import platform
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.bundle import infer
from pipeline.bundle.card import Bundle
from pipeline.bundle.making import make_bundle
from pipeline.network.network import Network
from pipeline.recipe.data import open_data
from pipeline.recipe.recipe import Recipe
from pipeline.report import ReportInputs
from tests.bundle import made

# Part of every name of this machine while the bundle is made; found nowhere by chance.
MARK = "qzxplace"


@pytest.fixture(autouse=True, scope="session")
def _one_thread(one_thread: None) -> None:
    """For all tests here."""


class Made(NamedTuple):
    """A run, and the bundle made of it."""

    recipe: Recipe
    network: Network
    run: Path
    inputs: ReportInputs
    folder: Path
    card: Bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Made:
    place = tmp_path_factory.mktemp(MARK)
    recipe, run = made.recipe(), place / "runs" / made.NAME
    folder = place / "for-the-device"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for variable in ("HOME", "USER", "LOGNAME", "HOSTNAME"):
            patch.setenv(variable, f"/{MARK}/{variable}")
        patch.setattr(socket, "gethostname", lambda: MARK)
        patch.setattr(platform, "node", lambda: MARK)
        network = made.trained(recipe, made.architecture(), epochs=3)
        inputs = made.exported_run(run, recipe, network)
        card = make_bundle(inputs, run, open_data(recipe), folder)
    return Made(recipe, network, run, inputs, folder, card)


@pytest.fixture
def spoilt(bundle: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to change, which `infer.main` takes for its own folder."""
    copy = Path(shutil.copytree(bundle.folder, tmp_path / "copy"))
    monkeypatch.setattr(infer, "HERE", copy)
    return copy


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `infer.py` with arguments; gives its exit status, what it prints, and its errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["infer.py", *arguments])
        try:
            code = infer.main()
        except SystemExit as left:
            code = int(left.code or 0)
        return code, *capsys.readouterr()

    return run
