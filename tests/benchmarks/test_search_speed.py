"""The study of search speed: what it tells."""

import json

import pytest

import benchmarks.search_speed.__main__ as search_speed
from tests.benchmarks.command_line import call


@pytest.mark.slow
def test_speeds_are_one_json_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_speed, "POPULATIONS", (100, 200))
    told = call(
        search_speed.main, "--json", "--rows", "1000", "--generations", "3", "--repeats", "1"
    )
    assert told.exit_code == 0
    found = json.loads(told.stdout)
    assert set(found["per_s"]) == {*search_speed.FLOORS_PER_S, "evolution_200", "search_100"}
    assert min(found["per_s"].values()) > 0
    assert len(found["targets"]["costs_three_targets"]) == 3
    (proof,) = found["exact"]
    assert 0 <= proof["bound_above_best_nats"] < 1
    assert proof["front_points"] > 10
    assert found["exact_s"] == proof["seconds"]
