"""Progress where there is no terminal: a line now and then, with the time left."""

import time

import pytest

from pipeline.cli.console import progress_bars


def test_progress_says_how_long_the_rest_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """At the pace of this run: what an earlier one had done already does not count."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with progress_bars() as progress:
        advance = progress("training")
        advance(400, 1000, "epoch 1/2")
        now += 60
        advance(500, 1000, "epoch 1/2, loss 0.300")
        now += 3
        advance(510, 1000)
        now += 240
        advance(1000, 1000)
    assert capsys.readouterr().err.splitlines() == [
        "training: 400/1000  epoch 1/2",
        "training: 500/1000  epoch 1/2, loss 0.300  0:05:00 left",
        "training: 1000/1000",
    ]
