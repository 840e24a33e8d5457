"""Verification: every candidate that was built and timed, round by round, and why some dropped."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.records.candidates import LatencyPrediction, Limits
from pipeline.records.verify import VerifiedCandidate, VerifyRecord
from pipeline.report.blocks import Block, Cell, Row, Table, Text, columns
from pipeline.report.cells import (
    accuracy_cell,
    error_cell,
    latency_cell,
    measured_cell,
    number_cell,
)
from pipeline.report.formatting import count, limit_ms, notation, plural, signed_percent
from pipeline.report.inputs import ReportInputs
from pipeline.report.summary import Summary, winner_index

_LATENCIES = ("#~Predicted when chosen", "#Measured", "#Error", "#Room")
_SIDE_BY_SIDE = ("#~Predicted when chosen", "#Measured", "#Room")


def verification_blocks(
    inputs: ReportInputs, verify: VerifyRecord, summary: Summary
) -> Iterator[Block]:
    """What verification came to in words, then candidate by candidate."""
    winner = winner_index(inputs)
    yield Text(_words(verify))
    yield from (Text(words, "warn") for words in unmeasured_words(verify))
    if winner is None:
        yield Text("None of them won: no candidate is within the limits, measured.", "bad")
    if not verify.candidates:
        return
    targets = _targets(verify, summary)
    if len(targets) == 1:
        yield _table(verify, targets, winner)
        return
    yield _table(verify, (), winner)
    # Side by side, for all columns of several targets in one table are too many to read.
    yield Row(tuple(_latency_table(verify, target, winner) for target in targets))


def unmeasured_words(verify: VerifyRecord) -> Iterator[str]:
    """Each target with a limit that could not be measured, and why."""
    for target, reason in verify.unmeasured.items():
        yield (
            f"{target} could not be measured here: {reason.rstrip('.')}. There the prediction"
            " decides."
        )


def _words(verify: VerifyRecord) -> str:
    if not verify.candidates:
        return "No candidate was measured."
    dropped = sum(candidate.verdict == "over" for candidate in verify.candidates)
    words = f"{plural(len(verify.candidates), 'candidate')} of the search measured on the device"
    rounds = max(candidate.round for candidate in verify.candidates)
    if rounds > 1:
        words += f" in {rounds} rounds"
    if dropped:
        words += f"; {dropped} dropped, being over a limit as measured."
    else:
        words += "; all are within the limits."
    if rounds > 1:
        words += (
            " After each round predictions were updated with what had been measured, and the next"
            " candidates chosen by those."
        )
    return words


def _targets(verify: VerifyRecord, summary: Summary) -> tuple[str, ...]:
    """Where candidates were measured, the searched target first."""
    measured = {target: 0 for verified in verify.candidates for target in verified.measured_ms}
    first = [summary.target] if summary.target in measured else []
    return tuple(dict.fromkeys((*first, *measured)))


def _table(verify: VerifyRecord, targets: tuple[str, ...], winner: int | None) -> Table:
    with_rounds = any(candidate.round > 1 for candidate in verify.candidates)
    rows = tuple(
        _row(index, verified, targets, verify.limits, index == winner, with_rounds)
        for index, verified in enumerate(verify.candidates)
    )
    titles = columns("#Rank", *(["#Round"] if with_rounds else []), "Verdict", "#Top-1",
                     *(_LATENCIES * len(targets)), "#MACs", "~Why", "Network")  # fmt: skip
    order = "in the order they were chosen" if with_rounds else "most accurate first"
    where = f"; latencies on {targets[0]}" if targets else ""
    caption = f"Verified candidates, {order}; top-1 with shared weights{where}."
    return Table(caption, titles, rows, _marked(winner))


def _latency_table(verify: VerifyRecord, target: str, winner: int | None) -> Table:
    limit = verify.limits.latency_ms.get(target)
    rows = tuple(
        (Cell(str(index + 1), index), guess, measured, room)
        for index, verified in enumerate(verify.candidates)
        for guess, measured, _, room in (_latency_cells(verified, target, limit),)
    )
    bound = "no limit" if limit is None else f"limit {limit_ms(limit)}"
    caption = f"The same on {target}, {bound}."
    return Table(caption, columns("#Rank", *_SIDE_BY_SIDE), rows, _marked(winner))


def _marked(winner: int | None) -> frozenset[int]:
    return frozenset() if winner is None else frozenset({winner})


def _row(
    index: int,
    verified: VerifiedCandidate,
    targets: tuple[str, ...],
    limits: Limits,
    is_winner: bool,
    with_rounds: bool,
) -> tuple[Cell, ...]:
    candidate = verified.candidate
    latencies = [
        cell
        for target in targets
        for cell in _latency_cells(verified, target, limits.latency_ms.get(target))
    ]
    return (
        Cell(str(index + 1), index),
        *([Cell(str(verified.round), verified.round)] if with_rounds else []),
        _verdict(verified, is_winner=is_winner),
        accuracy_cell(candidate),
        *latencies,
        Cell(count(candidate.macs), candidate.macs),
        Cell(verified.reason or ("most accurate within the limits" if is_winner else "")),
        Cell(notation(candidate.architecture), code=True),
    )


def expected(verified: VerifiedCandidate, target: str) -> LatencyPrediction | None:
    """What was predicted when a candidate was chosen, by the search where nothing else is told."""
    return verified.expected_ms.get(target) or verified.candidate.latency_ms.get(target)


def _latency_cells(
    verified: VerifiedCandidate, target: str, limit: float | None
) -> tuple[Cell, Cell, Cell, Cell]:
    guess, stats = expected(verified, target), verified.measured_ms.get(target)
    room = 100 * (1 - stats.typical / limit) if stats and limit else None
    return (
        latency_cell(guess),
        measured_cell(verified, target),
        error_cell(guess, stats),
        number_cell(room, signed_percent),
    )


def _verdict(verified: VerifiedCandidate, *, is_winner: bool) -> Cell:
    if verified.verdict == "over":
        return Cell("✕ over, chosen" if is_winner else "✕ dropped", tone="bad")
    return Cell("✓ chosen" if is_winner else "✓ within", tone="good")
