"""Scores: asked for once, kept as soon as they are there, found again."""

import json

import numpy as np
import pytest

from pipeline.errors import StorageError
from pipeline.search.score_journal import ScoreJournal
from pipeline.search.scoring import Scored, Scoring
from tests.search.toys import make_toy


def scoring(toy, **changes):
    told = []
    arguments = {
        "score": toy.score,
        "cache": {},
        "keep": lambda architecture, scored: told.append((architecture.short, scored)),
        "progress": lambda done, total, note="": None,
        "budget": 100,
        **changes,
    }
    return Scoring(toy.problem(), **arguments), told


def some_rows(toy, count, seed=0):
    rows = toy.variation.random(4 * count, np.random.default_rng(seed))
    return np.unique(rows, axis=0)[np.random.default_rng(seed).permutation(count)]


def test_rows_are_scored_once_and_remembered_in_the_order_of_asking():
    toy = make_toy(3, 3)
    scores, told = scoring(toy)
    rows = some_rows(toy, 9)
    first = scores.accuracies(rows[[0, 1, 2, 1, 0]])
    assert first.tolist() == toy.accuracies(rows[[0, 1, 2, 1, 0]]).tolist()
    assert scores.accuracies(rows[[8, 2, 5]]).tolist() == toy.accuracies(rows[[8, 2, 5]]).tolist()
    assert toy.calls == [3, 2]
    assert scores.rows.tolist() == rows[[0, 1, 2, 8, 5]].tolist()
    assert scores.scores.tolist() == toy.accuracies(rows[[0, 1, 2, 8, 5]]).tolist()
    assert [name for name, _ in told] == toy.scored
    assert len(set(toy.scored)) == 5


def test_what_is_known_is_not_asked_and_its_seconds_count():
    toy = make_toy(3, 3)
    rows = some_rows(toy, 6)
    cache = {toy.decode(row).short: Scored(0.0, 2.5) for row in rows[:4]}
    scores, told = scoring(toy, cache=cache)
    assert scores.accuracies(rows)[:4].tolist() == [0.0] * 4
    assert toy.calls == [2]
    assert len(told) == 2
    assert scores.seconds == pytest.approx(10.0 + sum(scored.seconds for _, scored in told))
    assert [c.accuracy_percent for c in scores.candidates()] == scores.scores.tolist()


def test_a_score_that_fails_leaves_what_was_scored_with_who_keeps_it():
    toy = make_toy(3, 3)
    rows, kept = some_rows(toy, 6), []

    def keep(architecture, scored):
        if len(kept) == 4:
            raise KeyboardInterrupt
        kept.append(architecture.short)

    scores, _ = scoring(toy, keep=keep)
    with pytest.raises(KeyboardInterrupt):
        scores.accuracies(rows)
    assert kept == toy.scored[:4]


def test_progress_is_told_with_the_best_so_far():
    toy, told = make_toy(3, 3), []
    scores, _ = scoring(toy, progress=lambda *args: told.append(args))
    scores.accuracies(some_rows(toy, 7))
    assert [done for done, _, _ in told] == list(range(1, 8))
    assert {total for _, total, _ in told} == {100}
    best = [float(note.removeprefix("best ").removesuffix(" %")) for _, _, note in told]
    assert best == sorted(best)
    assert best[-1] == pytest.approx(scores.scores.max(), abs=0.005)


# On disk.


def test_a_journal_is_read_as_it_was_written(tmp_path):
    toy, path = make_toy(2, 2), tmp_path / "scores.jsonl"
    journal, expected = ScoreJournal(path), {}
    assert journal.known == {}
    for index, row in enumerate(some_rows(toy, 5)):
        architecture, scored = toy.decode(row), Scored(50.0 + index / 3, index / 7)
        journal.append(architecture, scored)
        expected[architecture.short] = scored
    assert ScoreJournal(path).known == expected


def test_a_line_that_was_cut_is_dropped_and_the_next_one_is_whole(tmp_path):
    toy, path = make_toy(2, 2), tmp_path / "scores.jsonl"
    rows = some_rows(toy, 3)
    journal = ScoreJournal(path)
    for row in rows[:2]:
        journal.append(toy.decode(row), Scored(50.0, 1.0))
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    again = ScoreJournal(path)
    assert list(again.known) == [toy.decode(rows[0]).short]
    again.append(toy.decode(rows[2]), Scored(60.0, 1.0))
    assert set(ScoreJournal(path).known) == {toy.decode(row).short for row in rows[[0, 2]]}


@pytest.mark.parametrize(
    "line", ["{", "[]", "3", '{"architecture": "a"}', '{"architecture": "a", "seconds": 1}']
)
def test_a_damaged_journal_says_what_to_do(tmp_path, line):
    path = tmp_path / "scores.jsonl"
    good = json.dumps({"architecture": "a", "accuracy_percent": 1.0, "seconds": 1.0})
    path.write_text(f"{good}\n{line}\n{good}\n")
    with pytest.raises(StorageError, match="damaged") as caught:
        ScoreJournal(path)
    assert "remove the file" in caught.value.hint
