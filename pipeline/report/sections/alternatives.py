"""What else could have been taken: everything that was tried beside the chosen network."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.records.trial import Entrant, TrialRecord
from pipeline.report.alternative_words import alternative_words
from pipeline.report.blocks import (
    Block,
    Cell,
    Column,
    Figure,
    LegendItem,
    Section,
    Table,
    Text,
    columns,
)
from pipeline.report.cells import NONE, latency_cell, number_cell
from pipeline.report.formatting import count, nats, notation, plural, plus_minus
from pipeline.report.inputs import ReportInputs
from pipeline.report.missing import missing
from pipeline.report.pictures.markers import MIDDLE, star
from pipeline.report.pictures.trials import NARROW, WIDE, Tried, draw
from pipeline.report.sampling import sampling_std_percent
from pipeline.report.summary import Summary


def section(inputs: ReportInputs, summary: Summary) -> Section:
    """The answer, and every network of the trials with what it reached and why it was dropped."""
    trial = inputs.trial
    blocks: list[Block] = []
    if trial is None:
        blocks.append(missing(inputs, "trial"))
    elif trial.winner is None:
        blocks.append(
            Text("No networks were trained beside each other (trial.candidates is 0).", "muted")
        )
    else:
        blocks += _blocks(inputs, trial, summary)
    return Section("alternatives", "What else you could have taken", "Alternatives", tuple(blocks))


def _blocks(inputs: ReportInputs, trial: TrialRecord, summary: Summary) -> Iterator[Block]:
    words = alternative_words(inputs)
    if words:
        yield Text(words)
    yield from (Text(remark, "warn") for remark in map(_sentence, trial.remarks))
    yield Text(_course(trial))
    networks = list(_tried(inputs, trial, summary))
    label = (
        f"Scatter plot of {plural(len(networks), 'network')}: accuracy after each rung of the "
        "trials against measured latency. Numbers in the table."
    )
    limit = summary.limit_ms
    wide, narrow = (draw(frame, networks, limit, label) for frame in (WIDE, NARROW))
    yield Figure(
        title="Accuracy against latency, as trained and as measured",
        wide=wide,
        narrow=narrow,
        table=_table(inputs, trial, summary),
        legend=tuple(_legend(networks, limit)),
        caption="A line joins what one network reached after each rung, and after its whole "
        "training where it had one. Only marks of the same rung are to be compared.",
        full=True,
        more=(_log_losses(trial),),
        shows_table=True,
    )


def _sentence(remark: str) -> str:
    return f"{remark[0].upper()}{remark[1:]}."


def _course(trial: TrialRecord) -> str:
    tried = sum(bool(it.rungs) for it in trial.entrants)
    after = ", ".join(f"{share * trial.epochs:.2g}" for share in trial.rungs)
    words = (
        f"{plural(tried, 'network')} within the limits as measured were trained by one recipe, "
        f"and judged on search-validation after {after} of {plural(trial.epochs, 'epoch')}"
    )
    if len(trial.rungs) > 1:
        words += (
            "; after each but the last the best third of the search space's and the best "
            "off-the-shelf network went on"
        )
    return f"{words}. Of networks that cannot be told apart the fastest is taken."


def _tried(inputs: ReportInputs, trial: TrialRecord, summary: Summary) -> Iterator[Tried]:
    for place, it in enumerate(trial.entrants):
        measured = it.measured_ms.get(summary.target or "")
        if it.rungs and measured:
            yield Tried(
                _name(it),
                measured.typical,
                [rung.accuracy_percent for rung in it.rungs],
                _final_percent(inputs, trial, place),
                "benchmarked" if it.is_off_the_shelf else "within",
                place == trial.winner,
            )


def _final_percent(inputs: ReportInputs, trial: TrialRecord, place: int) -> float | None:
    """Accuracy on search-validation after a whole training."""
    retrained, entrant = inputs.retrain, trial.entrants[place]
    if retrained is None or retrained.architecture != _winner(trial).architecture:
        return None
    if entrant is _winner(trial):
        return retrained.accuracy_percent
    control = retrained.off_the_shelf
    return control.accuracy_percent if control and place == trial.off_the_shelf else None


def _winner(trial: TrialRecord) -> Entrant:
    assert trial.winner is not None
    return trial.entrants[trial.winner]


def _legend(networks: list[Tried], limit: float | None) -> Iterator[LegendItem]:
    if any(it.css == "within" for it in networks):
        yield LegendItem("within", "of the search space")
    if any(it.css == "benchmarked" for it in networks):
        yield LegendItem("benchmarked", "off the shelf")
    yield LegendItem("winner", "chosen, as far as it was trained")
    if any(it.final_percent is not None and not it.is_winner for it in networks):
        words = "off the shelf, after its whole training"
        yield LegendItem("published", words, star(*MIDDLE, "published"))
    if limit is not None:
        yield LegendItem("limit", "limit")


def _table(inputs: ReportInputs, trial: TrialRecord, summary: Summary) -> Table:
    titles = [*columns("~Network", "~Takes part as", "#MACs", "#~Measured latency")]
    titles += [_after(trial, share) for share in trial.rungs]
    titles += columns("#~Trained to the end, test", "~Remark")
    rows = tuple(_row(inputs, trial, summary, place) for place in range(len(trial.entrants)))
    marked = frozenset({trial.winner} if trial.winner is not None else ())
    return Table(_CAPTION, tuple(titles), rows, marked)


_CAPTION = "Networks of the trials, and how accurate they are on search-validation."


def _after(trial: TrialRecord, share: float) -> Column:
    return Column(f"After {share * trial.epochs:.2g} epochs", numeric=True, wraps=True)


def _name(entrant: Entrant) -> str:
    """In words that lines can be broken between."""
    network = entrant.architecture
    if network is None:
        return entrant.label
    return f"{network.name or notation(network)} at {network.resolution} px"


def _log_losses(trial: TrialRecord) -> Table:
    """What decides, to the digits that it does."""
    titles = (*columns("~Network"), *(_after(trial, share) for share in trial.rungs))
    rows = tuple(
        (
            Cell(_name(it)),
            *(
                Cell(
                    nats(rung.log_loss_nats)
                    + ("" if rung.error_nats is None else f" ± {nats(rung.error_nats)}"),
                    rung.log_loss_nats,
                )
                for rung in it.rungs
            ),
            *(NONE for _ in trial.rungs[len(it.rungs) :]),
        )
        for it in trial.entrants
        if it.rungs
    )
    caption = "Log-losses of the trials: in nats, on search-validation; ± is that of comparisons."
    return Table(caption, titles, rows)


def _row(
    inputs: ReportInputs, trial: TrialRecord, summary: Summary, place: int
) -> tuple[Cell, ...]:
    it = trial.entrants[place]
    cells = [
        Cell(_name(it)),
        Cell(", ".join(it.kinds)),
        number_cell(it.macs, count),
        latency_cell(it.measured_ms.get(summary.target or "")),
    ]
    for number in range(len(trial.rungs)):
        if number >= len(it.rungs):
            cells.append(NONE)
            continue
        rung = it.rungs[number]
        std = sampling_std_percent(rung.accuracy_percent, rung.images)
        cells.append(Cell(plus_minus(rung.accuracy_percent, std, "%"), rung.accuracy_percent))
    return (*cells, _final_cell(inputs, trial, place), Cell(_remark(trial, place)))


def _final_cell(inputs: ReportInputs, trial: TrialRecord, place: int) -> Cell:
    retrained = inputs.retrain
    if retrained is None or _final_percent(inputs, trial, place) is None:
        return NONE
    control = retrained.off_the_shelf
    accuracy = (
        control.test_accuracy_percent
        if control and place == trial.off_the_shelf
        else retrained.test_accuracy_percent
    )
    std = sampling_std_percent(accuracy, retrained.dataset.num_test)
    return Cell(plus_minus(accuracy, std, "%"), accuracy)


def _remark(trial: TrialRecord, place: int) -> str:
    it = trial.entrants[place]
    if it.reason:
        return f"took no part: {it.reason}"
    words = ["chosen"] if place == trial.winner else []
    if it.rungs and not it.rungs[-1].kept:
        words.append(f"dropped after {it.rungs[-1].share * trial.epochs:.2g} epochs")
    if it.warm_start:
        words.append("began with the hypernetwork's weights")
    return "; ".join(words)
