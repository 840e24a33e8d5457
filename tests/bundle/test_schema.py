"""The published schema of model.json is the one of today's record, and a bundle satisfies it."""

from __future__ import annotations

import json

from jsonschema import Draft202012Validator

from pipeline.bundle.schema import bundle_schema
from tests.bundle.conftest import Made
from tests.checkout import ROOT

PUBLISHED = ROOT / "docs" / "schemas" / "bundle.schema.json"


def test_it_is_the_schema_of_today_s_record() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == bundle_schema(), (
        "the record has other fields than docs/schemas says; write it again: make schemas"
    )


def test_a_bundle_satisfies_it_and_another_document_does_not(bundle: Made) -> None:
    schema = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    card = json.loads((bundle.folder / "model.json").read_text(encoding="utf-8"))
    assert list(validator.iter_errors(card)) == []
    card["macs"] = "many"
    card["files"][0]["speed"] = 1
    where = {error.json_path for error in validator.iter_errors(card)}
    assert where == {"$.macs", "$.files[0]"}
