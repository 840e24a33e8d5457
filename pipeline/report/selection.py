"""The search, and which of its best candidates did not survive being measured."""

from __future__ import annotations

from pipeline.records import SearchRecord, VerifiedCandidate, VerifyRecord
from pipeline.report.blocks import (
    Block,
    Cell,
    Heading,
    Row,
    Section,
    Table,
    Text,
    Tone,
    columns,
    pairs_table,
)
from pipeline.report.curves import search_curve
from pipeline.report.formatting import (
    count,
    duration,
    integer,
    milliseconds,
    notation,
    percent,
    plural,
    plus_minus,
    signed_percent,
)
from pipeline.report.inputs import ReportInputs
from pipeline.report.missing import missing
from pipeline.report.summary import Summary, winner_index


def section(inputs: ReportInputs, summary: Summary) -> Section:
    """Progress by generation, what was reachable, and the drop-outs of verification."""
    blocks: list[Block] = []
    if inputs.search is None:
        blocks.append(missing(inputs, "search"))
    else:
        blocks += _search(inputs.search)
    blocks.append(Heading("Verification: candidates that were built and timed"))
    if inputs.verify is None:
        blocks.append(missing(inputs, "verify"))
    else:
        blocks += _verification(inputs, inputs.verify, summary)
    return Section("search", "Search and verification", "Search", tuple(blocks))


def _search(search: SearchRecord) -> list[Block]:
    tone: Tone = "" if search.success else "bad"
    facts = _facts(search)
    blocks: list[Block] = [Text(search.message, tone)]
    if search.best_by_generation:
        blocks.append(Row((search_curve(search.best_by_generation), facts)))
    else:
        blocks.append(facts)
    return blocks


def _facts(search: SearchRecord) -> Table:
    feasible = sum(candidate.violation <= 0 for candidate in search.evaluated)
    reachable = [
        (f"reachable {_cost_name(name, search.target)}", _range(name, *ends))
        for name, ends in search.reachable.items()
    ]
    rows = [
        ("networks scored", integer(len(search.evaluated))),
        ("… within every limit, predicted", integer(feasible)),
        ("… on the front", integer(len(search.front))),
        ("generations", integer(len(search.best_by_generation))),
        *reachable,
        ("seed", str(search.seed)),
        ("time", duration(search.seconds)),
    ]
    return pairs_table("The search in numbers.", rows)


def _cost_name(key: str, searched: str) -> str:
    kind, _, target = key.partition("/")
    name = {"macs": "MACs", "params": "parameters", "latency_ms": "latency"}.get(kind, kind)
    return name if target in ("", searched) else f"{name} on {target}"


def _range(key: str, low: float, high: float) -> str:
    show = milliseconds if key.startswith("latency_ms") else count
    return f"{show(low)} to {show(high)}"


def _verification(inputs: ReportInputs, verify: VerifyRecord, summary: Summary) -> list[Block]:
    target = summary.target or next(iter(verify.limits.latency_ms), None)
    winner = winner_index(inputs)
    dropped = [c for c in verify.candidates if c.verdict == "over"]
    words = f"{plural(len(verify.candidates), 'candidate')} of the search measured on the device"
    if not verify.candidates:
        words = "No candidate was measured"
    elif dropped:
        words += f"; {len(dropped)} dropped, being over a limit as measured"
    else:
        words += "; all are within the limits"
    blocks: list[Block] = [Text(f"{words}.")]
    if winner is None:
        blocks.append(Text("None of them won: no candidate is within the limits, measured.", "bad"))
    if verify.candidates:
        blocks.append(_table(verify, target, winner))
    return blocks


def _table(verify: VerifyRecord, target: str | None, winner: int | None) -> Table:
    titles = columns("#Rank", "Verdict", "#Top-1", "#Predicted", "#Measured", "#Error", "#Room",
                     "#MACs", "~Why", "Network")  # fmt: skip
    limit = verify.limits.latency_ms.get(target) if target else None
    rows = tuple(
        _row(index, candidate, target, limit, is_winner=index == winner)
        for index, candidate in enumerate(verify.candidates)
    )
    where = f"; latencies on {target}" if target else ""
    caption = f"Verified candidates, most accurate with shared weights first{where}."
    return Table(caption, titles, rows, frozenset() if winner is None else frozenset({winner}))


def _row(
    index: int,
    verified: VerifiedCandidate,
    target: str | None,
    limit: float | None,
    *,
    is_winner: bool,
) -> tuple[Cell, ...]:
    candidate = verified.candidate
    prediction = candidate.latency_ms.get(target) if target else None
    measured = verified.measured_ms.get(target) if target else None
    error = 100 * (prediction.typical / measured.typical - 1) if prediction and measured else None
    room = 100 * (1 - measured.typical / limit) if measured and limit else None
    accuracy = candidate.accuracy_percent
    none = Cell("–")
    return (
        Cell(str(index + 1), index),
        _verdict(verified, is_winner=is_winner),
        none if accuracy is None else Cell(percent(accuracy), accuracy),
        Cell(plus_minus(prediction.typical, prediction.std, "ms"), prediction.typical)
        if prediction
        else none,
        Cell(plus_minus(measured.typical, measured.std, "ms"), measured.typical)
        if measured
        else none,
        none if error is None else Cell(signed_percent(error), error),
        none if room is None else Cell(signed_percent(room), room),
        Cell(count(candidate.macs), candidate.macs),
        Cell(verified.reason or ("most accurate within the limits" if is_winner else "")),
        Cell(notation(candidate.architecture), code=True),
    )


def _verdict(verified: VerifiedCandidate, *, is_winner: bool) -> Cell:
    if verified.verdict == "over":
        return Cell("✕ over, chosen" if is_winner else "✕ dropped", tone="bad")
    return Cell("✓ chosen" if is_winner else "✓ within", tone="good")
