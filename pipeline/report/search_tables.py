"""Tables of a search: its figures, what is nearest, each input size, each target."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.records.candidates import Candidate, Limits
from pipeline.records.search import ResolutionResult, SearchRecord, SurrogateFit, TargetWinner
from pipeline.report.blocks import Cell, Table, columns, pairs_table
from pipeline.report.cells import NONE, expected_cell, number_cell, predicted_cell
from pipeline.report.formatting import (
    count,
    duration,
    integer,
    limit_count,
    limit_ms,
    milliseconds,
    nats,
    notation,
    percent,
    signed_percent,
)
from pipeline.report.search_words import (
    best_single,
    correlation,
    margin_deviations,
    points,
    shared_lost,
)

STRATEGIES = {
    "evolution": "evolution",
    "exact": "the surrogate's exact front, scored",
    "board": "the prioritized board of training",
}


def facts_table(search: SearchRecord) -> Table:
    """The search in numbers."""
    feasible = sum(candidate.violation <= 0 for candidate in search.evaluated)
    rows = [
        ("candidates chosen by", STRATEGIES[search.strategy]),
        ("networks scored", integer(len(search.evaluated))),
        ("… each on images", integer(search.num_images)),
        ("… within every limit, predicted", integer(feasible)),
        ("… on the front", integer(len(search.front))),
        ("generations", integer(len(search.hypervolume))),
        *_score_facts(search),
        *_exact_facts(search),
        *_margin_facts(search.limits),
        *(
            (
                f"reachable {cost_name(key, search.target)}",
                f"{cost_words(key, low)} to {cost_words(key, high)}",
            )
            for key, (low, high) in search.reachable.items()
        ),
        *(
            (f"predictions scaled on {target}", signed_percent(100 * (scale - 1), 2))
            for target, scale in search.table_scale.items()
            if scale != 1
        ),
        ("seed", str(search.seed)),
        ("time", duration(search.seconds)),
    ]
    return pairs_table("The search in numbers.", rows)


def _score_facts(search: SearchRecord) -> Iterator[tuple[str, str]]:
    scores = search.scores
    if scores is None or search.scale is None:
        return
    yield "log-losses differ by, nats (standard deviation)", nats(scores.std_nats)
    yield "… of which their errors make", nats(scores.error_nats)
    reliability = scores.reliability_at(scores.images)
    yield "… and networks, of their variance", percent(100 * reliability, 0)
    yield "… told as accuracy, 0.01 nats", points(search.scale.percent_per_nat / 100)


def _exact_facts(search: SearchRecord) -> Iterator[tuple[str, str]]:
    exact = search.exact
    if exact is None:
        return
    yield "surrogate's best", percent(exact.best.surrogate_percent, 2)
    yield "… no network has more than", percent(exact.bound_percent, 2)
    yield "… given away by the best by score", points(exact.chosen_regret_percent)
    yield "surrogate's front", integer(exact.front_points)
    yield "… unknown networks above it by at most", points(exact.front_gap_percent)
    yield "time of fit and proof", duration(exact.seconds)


def _margin_facts(limits: Limits) -> Iterator[tuple[str, str]]:
    if limits.confidence > 0.5 and limits.latency_ms:
        yield "latency limits hold with confidence", percent(100 * limits.confidence)
        yield "… a margin, in standard uncertainties, of", f"{margin_deviations(limits):.2f}"


def cost_name(key: str, searched: str = "") -> str:
    """What a cost of a search is called, its target only where it is not the searched one."""
    kind, _, target = key.partition("/")
    name = {"macs": "MACs", "params": "parameters", "latency_ms": "latency"}.get(kind, kind)
    return name if target in ("", searched) else f"{name} on {target}"


def cost_words(key: str, value: float) -> str:
    """A cost in its unit."""
    return milliseconds(value) if key.startswith("latency_ms/") else count(value)


def nearest_table(limits: Limits, nearest: Candidate) -> Table:
    """What the nearest architecture has, against each limit."""
    rows = tuple(_nearest_rows(limits, nearest))
    margin = " with their margin" if limits.confidence > 0.5 else ""
    return Table(
        f"The nearest architecture against each limit; latencies as predicted{margin}.",
        columns("Limit", "#Asked for", "#It has", "#Misses by"),
        rows,
    )


def _nearest_rows(limits: Limits, nearest: Candidate) -> Iterator[tuple[Cell, ...]]:
    counts = (
        ("MACs, at most", limits.macs, nearest.macs),
        ("MACs, at least", limits.macs_min, nearest.macs),
        ("parameters, at most", limits.params, nearest.params),
    )
    for name, limit, value in counts:
        if limit is not None:
            asked, has = Cell(limit_count(limit), limit), Cell(count(value), value)
            excess = limit - value if name.endswith("at least") else value - limit
            yield Cell(name), asked, has, _missed(excess / limit)
    for target, limit in limits.latency_ms.items():
        guess = nearest.latency_ms.get(target)
        if guess:
            slowest = guess.typical + margin_deviations(limits) * guess.std
            yield (
                Cell(f"latency on {target}, at most"),
                Cell(limit_ms(limit), limit),
                predicted_cell(nearest, target),
                _missed(slowest / limit - 1),
            )


def _missed(excess: float) -> Cell:
    if excess <= 0:
        return Cell("✓ within", tone="good")
    return Cell(f"✕ {percent(100 * excess, 2)}", excess, tone="bad")


def sizes_table(search: SearchRecord) -> Table:
    """Every input size, the best single one marked."""
    rows = tuple(_size_row(search, result) for result in search.resolutions)
    single = best_single(search)
    marked = {place for place, result in enumerate(search.resolutions) if result is single}
    return Table(
        f"Input sizes, searched together; latency on {search.target}. Dominated: hypervolume of a"
        " size's own front. Loses at most: by how much that front is below the one of all sizes, at"
        " any latency. Surrogate: its error on networks left out of the fit, and that of their"
        " mean.",
        columns("#Input, px", "#Scored", "#Best top-1", "#… predicted",
                "#Dominated", "#~Loses at most", "#~Surrogate errs by", "#~Mean errs by",
                "#Kendall's τ"),
        rows,
        marked=frozenset(marked),
    )  # fmt: skip


def _size_row(search: SearchRecord, result: ResolutionResult) -> tuple[Cell, ...]:
    best = search.evaluated[result.best] if result.evaluated else None
    fit = search.exact.surrogates.get(result.resolution) if search.exact else None
    return (
        Cell(str(result.resolution), result.resolution),
        Cell(integer(result.evaluated), result.evaluated),
        expected_cell(search, best) if best else NONE,
        predicted_cell(best, search.target) if best else NONE,
        Cell(percent(100 * result.hypervolume, 2), result.hypervolume),
        Cell(points(result.most_lost_percent), result.most_lost_percent),
        *_fit_cells(fit),
    )


def _fit_cells(fit: SurrogateFit | None) -> tuple[Cell, Cell, Cell]:
    if fit is None:
        return NONE, NONE, NONE
    return (
        Cell(points(fit.error_percent), fit.error_percent),
        Cell(points(fit.mean_error_percent), fit.mean_error_percent),
        Cell(correlation(fit.kendall_tau), fit.kendall_tau),
    )


def targets_table(search: SearchRecord) -> Table:
    """The winner of each target searched for on its own, beside the shared one."""
    shared = search.evaluated[search.ranking[0]] if search.ranking else None
    return Table(
        "The best network of each target, within its latency limit alone (limits on MACs"
        " and parameters hold too), and what the network within all limits gives away there.",
        columns("On target", "#Its limit", "#~Own top-1", "#~… predicted there", "#~Shared top-1",
                "#~… predicted there", "#~Sharing costs", "Own network"),
        tuple(_target_row(search, winner, shared) for winner in search.per_target),
    )  # fmt: skip


def _target_row(
    search: SearchRecord, winner: TargetWinner, shared: Candidate | None
) -> tuple[Cell, ...]:
    limit = search.limits.latency_ms.get(winner.target)
    own = None if winner.best is None else search.evaluated[winner.best]
    return (
        Cell(winner.target, code=True),
        number_cell(limit, limit_ms),
        expected_cell(search, own) if own else Cell("none within", tone="bad"),
        predicted_cell(own, winner.target) if own else NONE,
        expected_cell(search, shared) if shared else Cell("none within", tone="bad"),
        predicted_cell(shared, winner.target) if shared else NONE,
        Cell(shared_lost(winner), winner.shared_lost_percent),
        Cell(notation(own.architecture), code=True) if own else NONE,
    )
