"""Each section says which commands make its numbers again, and the method how to repeat the run."""

from __future__ import annotations

import pytest

from pipeline.report import ReportInputs
from pipeline.report.page import sections
from pipeline.report.summary import summarise
from tests.report.reading import Element, plain

STAGES = {
    "alternatives": ["trial", "retrain"],
    "front": ["search", "verify"],
    "prediction": ["profile", "verify", "benchmark"],
    "model": ["search", "profile", "benchmark"],
    "latency": ["benchmark"],
    "benchmark": ["benchmark"],
    "accuracy": ["train", "retrain", "export"],
    "parity": ["export"],
    "search": ["search", "verify"],
}


def test_sections_name_the_stages_that_make_their_numbers(inputs: ReportInputs) -> None:
    told = {
        section.anchor: [command.split()[2] for command in section.commands]
        for section in sections(inputs, summarise(inputs))
        if section.commands
    }
    assert told == STAGES


@pytest.mark.parametrize("anchor", STAGES)
def test_the_commands_can_be_copied(page: Element, anchor: str) -> None:
    code = page.by_id(anchor).all("pre")[-1].all("code")[0]
    assert code.words.strip().splitlines() == [
        f"python run_pipeline.py {stage} --recipe made-up" for stage in STAGES[anchor]
    ]


def test_the_very_run_is_repeated_from_its_own_recipe(page: Element) -> None:
    codes = [plain(code.words) for code in page.by_id("method").all("code")]
    again = "python run_pipeline.py run --recipe runs/made-up/recipe.yaml --run made-up"
    assert again in codes
