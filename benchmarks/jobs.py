"""Questions that take minutes each, answered one a core; every answer is kept as it is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import BaseModel, ConfigDict

from pipeline.device.target import usable_cores
from pipeline.files.json_lines import JsonLines
from pipeline.work.progress import Progress
from pipeline.work.workers import pool_of


class Entry(BaseModel):
    """A question or an answer, as a journal keeps it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Question = TypeVar("Question", bound=Entry)
Answer = TypeVar("Answer", bound=Entry)


def answered(
    questions: Sequence[Question],
    work: Callable[[Question, Path], Answer],
    kind: type[Answer],
    journal: Path,
    progress: Progress,
) -> list[Answer]:
    """Answers what the journal does not hold yet.

    Args:
        questions: What to answer.
        work: Answers one question, in a process of its own with one thread, in a scratch folder.
        kind: Of the answers, which have a field `question`.
        journal: A line an answer; a last line that was cut is dropped.
        progress: Told after each answer.

    Returns:
        An answer for each question, in their order.
    """
    lines = JsonLines(journal)
    known = {_key(answer): answer for answer in map(kind.model_validate, lines.known)}
    # Numbered among all questions: one that was stopped finds its scratch folder again.
    missing = {i: q for i, q in enumerate(questions) if q.model_dump_json() not in known}
    done = len(questions) - len(missing)
    # Two trainings side by side see more images a second than one on two cores.
    with pool_of(usable_cores(), partial(torch.set_num_threads, 1)) as pool:
        running = [
            pool.submit(work, question, journal.parent / "scratch" / f"{number}")
            for number, question in missing.items()
        ]
        for future in as_completed(running):
            answer = future.result()
            lines.append(answer.model_dump(mode="json"))
            known[_key(answer)] = answer
            done += 1
            progress(done, len(questions))
    return [known[question.model_dump_json()] for question in questions]


def _key(answer: Entry) -> str:
    question: Entry = answer.question  # type: ignore[attr-defined]
    return question.model_dump_json()
