"""The top of the page: verdict, key figures, limits; and parity."""

from __future__ import annotations

from pipeline.records.export import Parity
from pipeline.report.blocks import (
    Block,
    Card,
    Cards,
    Cell,
    Section,
    Table,
    Text,
    Tone,
    Verdict,
    columns,
)
from pipeline.report.cells import latency_cell, number_cell
from pipeline.report.foreign import foreign_words
from pipeline.report.formatting import (
    count,
    file_size,
    integer,
    latency_words,
    limit_count,
    limit_ms,
    milliseconds,
    percent,
    plus_minus,
    signed_percent,
    tiny,
)
from pipeline.report.inputs import ReportInputs, StageName
from pipeline.report.limits import LimitCheck, answers_wrongly, benchmark_of, limit_name
from pipeline.report.missing import missing
from pipeline.report.sections.timing import unsteady_words
from pipeline.report.sections.verified import unmeasured_words
from pipeline.report.summary import Summary, chosen_architecture, won

_BADGES: dict[str, tuple[Tone, str]] = {
    "met": ("good", "✓ Limits met"),
    "not met": ("bad", "✕ Limits not met"),
    "infeasible": ("bad", "✕ Not possible"),
    "not measured": ("warn", "? Not measured yet"),
    "no limits": ("muted", "No limits"),
}


def verdict_section(inputs: ReportInputs, summary: Summary) -> Section:
    """The answer in one line, and what qualifies it."""
    tone, badge = _BADGES[summary.verdict]
    if summary.verdict == "not measured" and summary.measured_in_part:
        badge = "? Not all limits measured"
    blocks: list[Block] = [Verdict(tone, badge, summary.sentence)]
    blocks += [Text(words, "warn") for words in _reservations(inputs, summary)]
    if summary.verdict == "not measured":
        stages: tuple[StageName, ...] = ("search", "verify", "benchmark")
        blocks += [missing(inputs, s) for s in stages if getattr(inputs, s) is None][:1]
    if summary.verdict == "infeasible":
        blocks.append(missing(inputs, "search"))
    return Section("verdict", "Does the model meet the limits?", "Verdict", tuple(blocks))


def _reservations(inputs: ReportInputs, summary: Summary) -> list[str]:
    words = [foreign_words(summary.foreign)] if summary.foreign else []
    words += unsteady_words(inputs)
    words += unmeasured_words(inputs.verify) if inputs.verify else ()
    for check in summary.limits:
        if check.close and check.value_std is not None:
            words.append(
                f"The margin on {check.target} is smaller than twice the uncertainty of the"
                " measurement: another measurement may decide the other way."
            )
        chosen, target = summary.architecture, check.target
        benchmarked = benchmark_of(inputs, chosen, target) if chosen and target else None
        if benchmarked and answers_wrongly(benchmarked):
            words.append(f"{target} is given no latency: {benchmarked.error}.")
        if check.measured_by == "verify" and inputs.benchmark is not None:
            words.append(
                f"The benchmark holds no result of the chosen network on {check.target}; the"
                " latency is that of its verification."
            )
    winner = won(inputs)
    if winner is not None and chosen_architecture(inputs) != winner:
        what = "the trials" if inputs.trial else "verification"
        words.append(
            f"The network shown is not the one that won {what}: records of different runs are"
            f" mixed. Run all stages again: {inputs.command('run')}"
        )
    return words


def key_figures_section(inputs: ReportInputs, summary: Summary) -> Section:
    """Key figures, and each limit with what was predicted and measured."""
    cards = tuple(_cards(inputs, summary))
    blocks: list[Block] = [Cards(cards)] if cards else [missing(inputs, "search")]
    if summary.limits:
        blocks.append(_limits_table(inputs, summary))
    return Section("figures", "Key figures", "Figures", tuple(blocks))


def _cards(inputs: ReportInputs, summary: Summary) -> list[Card]:
    cards = [_latency_card(summary)] if summary.target and summary.architecture else []
    if summary.test_accuracy_percent is not None:
        value = plus_minus(summary.test_accuracy_percent, summary.test_accuracy_std_percent, "%")
        cards.append(Card("Accuracy on test", value, _beside_test(summary)))
    elif summary.shared_weights_accuracy_percent is not None:
        value = percent(summary.shared_weights_accuracy_percent)
        cards.append(Card("Accuracy, shared weights", value, "on search-validation, not retrained"))
    if summary.macs is not None:
        cards.append(_count_card(summary, "macs", "Multiply-accumulates", summary.macs))
    if summary.params is not None:
        cards.append(_count_card(summary, "params", "Parameters", summary.params))
    cards += _prediction_card(summary)
    if summary.parity:
        cards.append(_parity_card(summary.parity))
    if inputs.export and inputs.export.models:
        model = inputs.export.models[0]
        batch = "batch dynamic" if model.batch is None else f"batch {model.batch}"
        note = f"ONNX opset {model.opset}, {model.precision}, {batch}"
        cards.append(Card("Exported file", file_size(model.size_bytes), note))
    return cards


def _latency_card(summary: Summary) -> Card:
    label = "Latency, measured"
    if summary.measured_ms is None:
        guess = summary.predicted_ms
        value = latency_words(guess) if guess else "not measured"
        return Card("Latency, predicted" if guess else label, value, summary.target or "", "warn")
    check = summary.main_check
    note = summary.target or ""
    tone: Tone = ""
    if check and check.margin_percent is not None and summary.limit_ms is not None:
        room = check.margin_percent
        where = f"{percent(abs(room))} {'under' if room >= 0 else 'over'}"
        note = f"{where} the limit of {limit_ms(summary.limit_ms)}"
        tone = "good" if check.verdict == "met" else "bad"
    return Card(label, plus_minus(summary.measured_ms, summary.measured_std_ms, "ms"), note, tone)


def _beside_test(summary: Summary) -> str:
    held_out = summary.search_validation_accuracy_percent
    return "" if held_out is None else f"{percent(held_out)} on search-validation"


def _count_card(summary: Summary, quantity: str, label: str, value: int) -> Card:
    check = next((c for c in summary.limits if c.quantity == quantity), None)
    if check is None:
        return Card(label, count(value), "no limit")
    tone: Tone = "good" if check.verdict == "met" else "bad"
    return Card(label, count(value), f"limit {limit_count(check.limit)}", tone)


def _prediction_card(summary: Summary) -> list[Card]:
    if summary.predicted_ms is None or summary.measured_ms is None:
        return []
    error = 100 * (summary.predicted_ms.typical / summary.measured_ms - 1)
    predicted = f"predicted {latency_words(summary.predicted_ms)}"
    return [Card("Error of the prediction", signed_percent(error), predicted)]


def _parity_card(parity: Parity) -> Card:
    agreement = percent(100 * parity.top1_agreement, 1 if parity.top1_agreement < 1 else 0)
    note = f"same top class on {agreement} of {integer(parity.images)} images"
    return Card("Largest difference of a logit", tiny(parity.max_abs), note, _parity_tone(parity))


def _parity_tone(parity: Parity) -> Tone:
    return "good" if parity.top1_agreement == 1 and parity.max_rel < 1e-3 else "warn"


def _limits_table(inputs: ReportInputs, summary: Summary) -> Table:
    titles = columns("Limit", "Verdict", "#Measured", "#Asked for", "#Room", "#Predicted",
                     "#When verified")  # fmt: skip
    rows = tuple(_limit_row(check, summary.target) for check in summary.limits)
    where = f"; latency on {summary.target}" if summary.target else ""
    caption = f"Limits and what the chosen network takes{where}{_origin(inputs)}."
    return Table(caption, titles, rows)


def _origin(inputs: ReportInputs) -> str:
    """How a limit that travels between machines came to its milliseconds."""
    limits = inputs.recipe.get("limits")
    factor = limits.get("latency_of_cream_14") if isinstance(limits, dict) else None
    if not isinstance(factor, int | float) or not inputs.profile:
        return ""
    profile = inputs.profile
    return (
        f"; the latency limit is {factor:g} × the {milliseconds(profile.reference_latency_ms)} of"
        f" {profile.reference_name} there"
    )


def _limit_row(check: LimitCheck, main_target: str | None) -> tuple[Cell, ...]:
    is_latency = check.quantity == "latency"
    show = limit_ms if is_latency else limit_count
    name = limit_name(check.quantity, check.target)
    bound = "at least " if check.quantity == "macs_min" else "at most "

    def shown(value: float) -> str:
        return plus_minus(value, check.value_std, "ms") if is_latency else count(value)

    return (
        Cell("latency" if is_latency and check.target == main_target else name),
        _verdict_cell(check),
        number_cell(check.value, shown),
        Cell(bound + show(check.limit), check.limit),
        number_cell(check.margin_percent, signed_percent),
        latency_cell(check.predicted),
        latency_cell(check.verified_ms),
    )


def _verdict_cell(check: LimitCheck) -> Cell:
    if check.verdict == "not measured":
        return Cell("? not measured", tone="warn")
    if check.verdict == "not met":
        return Cell("✕ not met", tone="bad")
    return Cell("✓ met, narrowly" if check.close else "✓ met", tone="good")


def parity_section(inputs: ReportInputs, summary: Summary) -> Section:
    """How far exported files are from the networks they were made of."""
    blocks: list[Block]
    if inputs.export is None:
        blocks = [missing(inputs, "export")]
    else:
        titles = columns("Model", "Precision", "#Images", "#Largest difference", "#… relative",
                         "#Same top class", "Weights")  # fmt: skip
        rows = tuple(
            (
                Cell(model.name),
                Cell(model.precision),
                Cell(integer(model.parity.images), model.parity.images),
                Cell(tiny(model.parity.max_abs), model.parity.max_abs),
                Cell(tiny(model.parity.max_rel), model.parity.max_rel),
                Cell(percent(100 * model.parity.top1_agreement), model.parity.top1_agreement),
                Cell(model.weights),
            )
            for model in inputs.export.models
        )
        caption = "Outputs of the exported file against those of the network in PyTorch."
        blocks = [Text(_parity_words(summary)), Table(caption, titles, rows)]
    return Section("parity", "Is the exported file the trained network?", "Parity", tuple(blocks))


def _parity_words(summary: Summary) -> str:
    parity = summary.parity
    if parity is None:
        return "The export record holds no model."
    same = parity.top1_agreement == 1
    classes = (
        "every image gets the same top class"
        if same
        else (
            f"{percent(100 * (1 - parity.top1_agreement), 2)} of the images get another top class"
        )
    )
    return (
        f"On {integer(parity.images)} images ({parity.data}) {classes}; no logit differs by more"
        f" than {tiny(parity.max_abs)}, or {tiny(parity.max_rel)} of its image's largest logit."
    )
