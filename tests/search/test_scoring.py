"""Scores: asked for once, kept as soon as they are there, found again."""

import json

import numpy as np
import pytest

from pipeline.errors import StorageError
from pipeline.search.score_journal import ScoreJournal
from pipeline.search.scoring import Scored, Scoring
from pipeline.training.scoring.network_score import NetworkScore
from tests.search.toys import certain, make_toy


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
    first = scores.quality_of(rows[[0, 1, 2, 1, 0]])
    assert first.tolist() == toy.quality(rows[[0, 1, 2, 1, 0]]).tolist()
    assert scores.quality_of(rows[[8, 2, 5]]).tolist() == toy.quality(rows[[8, 2, 5]]).tolist()
    assert toy.calls == [3, 2]
    assert scores.rows.tolist() == rows[[0, 1, 2, 8, 5]].tolist()
    assert scores.quality.tolist() == toy.quality(rows[[0, 1, 2, 8, 5]]).tolist()
    expected = toy.accuracies(rows[[0, 1, 2, 8, 5]]).tolist()
    assert [it.accuracy_percent for it in scores.scores] == expected
    assert scores.score_of(rows[8]) == scores.scores[3]
    assert [name for name, _ in told] == toy.scored
    assert len(set(toy.scored)) == 5


def test_what_is_known_is_not_asked_and_its_seconds_count():
    toy = make_toy(3, 3)
    rows = some_rows(toy, 6)
    cache = {toy.decode(row).short: Scored(certain(100.0), 2.5) for row in rows[:4]}
    scores, told = scoring(toy, cache=cache)
    assert scores.quality_of(rows)[:4].tolist() == [0.0] * 4
    assert toy.calls == [2]
    assert len(told) == 2
    assert scores.seconds == pytest.approx(10.0 + sum(scored.seconds for _, scored in told))


def test_a_score_that_fails_leaves_what_was_scored_with_who_keeps_it():
    toy = make_toy(3, 3)
    rows, kept = some_rows(toy, 6), []

    def keep(architecture, scored):
        if len(kept) == 4:
            raise KeyboardInterrupt
        kept.append(architecture.short)

    scores, _ = scoring(toy, keep=keep)
    with pytest.raises(KeyboardInterrupt):
        scores.quality_of(rows)
    assert kept == toy.scored[:4]


def test_progress_is_told_with_the_best_so_far():
    toy, told = make_toy(3, 3), []
    scores, _ = scoring(toy, progress=lambda *args: told.append(args))
    scores.quality_of(some_rows(toy, 7))
    assert [done for done, _, _ in told] == list(range(1, 8))
    assert {total for _, total, _ in told} == {100}
    notes = [note.removeprefix("best log-loss ").removesuffix(" %") for _, _, note in told]
    best = [float(note.partition(", ")[0]) for note in notes]
    assert best == sorted(best, reverse=True)
    assert best[-1] == pytest.approx(-scores.quality.max(), abs=5e-5)
    accuracy = max(score.accuracy_percent for score in scores.scores)
    assert notes[-1] == f"{best[-1]:.4f}, {accuracy:.2f}"


# On disk.


def test_a_journal_is_read_as_it_was_written(tmp_path):
    toy, path = make_toy(2, 2), tmp_path / "scores.jsonl"
    journal, expected = ScoreJournal(path), {}
    assert journal.known == {}
    for index, row in enumerate(some_rows(toy, 5)):
        score = NetworkScore(3, (1 / 3, index / 7), 50.0 + index / 3)
        architecture, scored = toy.decode(row), Scored(score, index / 7)
        journal.append(architecture, scored)
        expected[architecture.short] = scored
    assert ScoreJournal(path).known == expected


def test_a_line_that_was_cut_is_dropped_and_the_next_one_is_whole(tmp_path):
    toy, path = make_toy(2, 2), tmp_path / "scores.jsonl"
    rows = some_rows(toy, 3)
    journal = ScoreJournal(path)
    for row in rows[:2]:
        journal.append(toy.decode(row), Scored(certain(50.0), 1.0))
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    again = ScoreJournal(path)
    assert list(again.known) == [toy.decode(rows[0]).short]
    again.append(toy.decode(rows[2]), Scored(certain(60.0), 1.0))
    assert set(ScoreJournal(path).known) == {toy.decode(row).short for row in rows[[0, 2]]}


def test_lines_without_a_log_loss_are_passed_over(tmp_path):
    """Scores that counted hits alone are made again, and those beside them are not."""
    path = tmp_path / "scores.jsonl"
    path.write_text('{"architecture": "a", "accuracy_percent": 54.0, "seconds": 1.1}\n')
    toy, journal = make_toy(2, 2), ScoreJournal(path)
    architecture = toy.decode(some_rows(toy, 1)[0])
    assert journal.known == {}
    journal.append(architecture, Scored(certain(50.0), 1.0))
    assert ScoreJournal(path).known == {architecture.short: Scored(certain(50.0), 1.0)}


@pytest.mark.parametrize(
    "line", ["{", "[]", "3", '{"architecture": "a"}', '{"architecture": "a", "seconds": 1}']
)
def test_a_damaged_journal_says_what_to_do(tmp_path, line):
    path = tmp_path / "scores.jsonl"
    good = json.dumps(
        {
            "architecture": "a",
            "images": 2,
            "log_losses": [1.0, 2.0],
            "accuracy_percent": 1.0,
            "seconds": 1.0,
        }
    )
    path.write_text(f"{good}\n{line}\n{good}\n")
    with pytest.raises(StorageError, match="damaged") as caught:
        ScoreJournal(path)
    assert "remove the file" in caught.value.hint
