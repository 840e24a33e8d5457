"""What a search found in sentences, for the page, the Markdown and the terminal alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist

from pipeline.records.candidates import Candidate, Limits
from pipeline.records.search import (
    ExactSearch,
    ResolutionResult,
    SearchRecord,
    SurrogateFit,
    TargetWinner,
)
from pipeline.report.blocks import Text
from pipeline.report.formatting import NBSP, integer, nats, percent, plural, with_unit

_NOTHING = 1e-9
"""A difference below this, in points, is the rounding of sums and none."""


def points(value: float) -> str:
    """A difference of two percentages, e.g. `0.12 points`."""
    if _NOTHING < value < 0.005:
        return f"less than 0.01{NBSP}points"
    return f"{value:.2f}{NBSP}points".replace("-", "−")


def correlation(value: float) -> str:
    """A rank correlation, e.g. `−0.05`."""
    return f"{value:.2f}".replace("-", "−")


def exact_texts(exact: ExactSearch) -> Iterator[Text]:
    """What is proved, how far the surrogate it is proved of can be trusted, and its regret."""
    yield Text(proof_words(exact))
    yield Text(surrogate_words(exact))
    useless = useless_surrogates(exact)
    if useless:
        yield Text(useless, "warn")
    yield Text(regret_words(exact))


def proof_words(exact: ExactSearch) -> str:
    """What is proved of the surrogate within the limits: its best network, and its front."""
    best = percent(exact.best.surrogate_percent, 2)
    gap = exact.bound_percent - exact.best.surrogate_percent
    if gap <= _NOTHING:
        proved = f"the surrogate's best has {best}, and no network has more: proved."
    else:
        proved = (
            f"the surrogate's best has {best}, and no network has more than"
            f" {percent(exact.bound_percent, 2)}: proved, with a gap of {points(gap)} left open."
        )
    return f"Within the limits {proved} {_front_words(exact)}"


def _front_words(exact: ExactSearch) -> str:
    kept = len(exact.front)
    thinned = f" ({integer(kept)} of them kept)" if kept < exact.front_points else ""
    number = f"Its front has {plural(exact.front_points, 'network')}{thinned}"
    if exact.front_gap_percent <= _NOTHING:
        return f"{number}, and no other lies above it: proved."
    return f"{number}; no unknown one lies more than {points(exact.front_gap_percent)} above it."


def surrogate_words(exact: ExactSearch) -> str:
    """How far the surrogate can be trusted; a proof holds for it and not for the scores."""
    fits = list(exact.surrogates.values())
    if not fits:
        return ""
    several = f" of {len(fits)} input sizes" if len(fits) > 1 else ""
    return (
        "The surrogate is a sum over blocks, fitted to the scores of"
        f" {plural(sum(fit.samples for fit in fits), 'network')}{several}. On networks left out of"
        f" the fit it errs by {_span(fits, _error)} points, a guess that knows only the others'"
        f" mean by {_span(fits, _mean_error)} (root mean square); rank correlation (Kendall's τ)"
        f" {_span(fits, _tau)}. What is proved is proved of the surrogate."
    )


def useless_surrogates(exact: ExactSearch) -> str:
    """Where a surrogate is no better than the mean, and its proofs say nothing; else empty."""
    sizes = [
        str(resolution)
        for resolution, fit in sorted(exact.surrogates.items())
        if fit.error_percent >= fit.mean_error_percent
    ]
    if not sizes:
        return ""
    return (
        f"At {' and '.join(sizes)} pixels the surrogate is no better than a guess of the mean:"
        " what is proved of it says little about accuracy there."
    )


def _error(fit: SurrogateFit) -> float:
    return fit.error_percent


def _mean_error(fit: SurrogateFit) -> float:
    return fit.mean_error_percent


def _tau(fit: SurrogateFit) -> float:
    return fit.kendall_tau


def _span(fits: Sequence[SurrogateFit], figure: Callable[[SurrogateFit], float]) -> str:
    low, high = (correlation(pick(map(figure, fits))) for pick in (min, max))
    return low if low == high else f"{low} to {high}"


def regret_words(exact: ExactSearch) -> str:
    """What the best network by score gives away, as the surrogate sees it."""
    if exact.chosen_regret_percent <= _NOTHING:
        return "The best network by score is also the surrogate's best."
    return (
        "As the surrogate sees it, the best network by score gives away"
        f" {points(exact.chosen_regret_percent)} against its best."
    )


def luck_words(search: SearchRecord) -> str:
    """What of the best score is luck, and what is expected of the chosen network; else empty."""
    luck = search.luck
    if luck is None or search.scale is None:
        return ""
    best, chosen = (search.evaluated[index] for index in (luck.best, search.ranking[0]))
    if best.log_loss_nats is None or chosen.log_loss_nats is None or chosen.expected_nats is None:
        return ""
    of_luck = f"{nats(luck.nats)} ± {nats(luck.std_nats)}{NBSP}nats ({points(luck.percent)})"
    words = (
        f"The best of {plural(len(search.ranking), 'score')}, a log-loss of"
        f" {nats(best.log_loss_nats)}{NBSP}nats, owes {of_luck} to luck, by what the others tell of"
        " such a network."
    )
    if chosen != best:
        words += f" Another one is chosen, with a score of {nats(chosen.log_loss_nats)}."
    return (
        f"{words} Expected of the chosen one on other images: {nats(chosen.expected_nats)} ±"
        f" {nats(chosen.expected_std_nats or 0.0)}{NBSP}nats."
    )


def nearest_words(nearest: Candidate) -> str:
    """Which architecture is nearest to the limits, and how far off."""
    return (
        f"The nearest, {nearest.architecture.short}, misses its worst limit by"
        f" {percent(100 * nearest.violation, 2)}."
    )


def best_single(search: SearchRecord) -> ResolutionResult | None:
    """The input size whose own front dominates most; None where one size was searched."""
    return max(search.resolutions, key=lambda result: result.hypervolume, default=None)


def best_single_words(search: SearchRecord) -> str:
    """What searching the best single input size alone would have lost; empty where it was one."""
    single = best_single(search)
    if single is None:
        return ""
    words = f"The best single input size is {single.resolution} pixels: its own front dominates"
    words += f" {percent(100 * single.hypervolume)}"
    if search.hypervolume:
        words += f", that of all sizes together {percent(100 * search.hypervolume[-1])}"
    if single.most_lost_percent <= _NOTHING:
        return f"{words}. Searching it alone would have lost nothing."
    return (
        f"{words}. Searching it alone would have lost up to {points(single.most_lost_percent)} of"
        " accuracy, at the latency where the other sizes help most."
    )


def sharing_words(search: SearchRecord) -> str:
    """What one network for all targets costs each of them; empty where that was not asked."""
    costs = [
        f"{points(winner.shared_lost_percent)} on {winner.target}"
        for winner in search.per_target
        if winner.shared_lost_percent is not None
    ]
    if not costs:
        return ""
    return f"One network for all targets instead of one for each costs {', '.join(costs)}."


def shared_lost(winner: TargetWinner) -> str:
    """The same for one target, in a table."""
    lost = winner.shared_lost_percent
    return "–" if lost is None else points(lost)


def margin_words(search: SearchRecord) -> str:
    """The margin that latency limits keep for uncertainty; empty where they keep none."""
    confidence = search.limits.confidence
    if confidence <= 0.5 or not search.limits.latency_ms:
        return ""
    deviations = margin_deviations(search.limits)
    words = (
        f"Latency limits are to hold with {100 * confidence:g}{NBSP}% confidence: a network counts"
        f" as within one if its prediction and {deviations:.2f} times its standard uncertainty are"
    )
    margins = [
        f"{with_unit(deviations * std, 'ms', 2)} on {target}"
        for target in search.limits.latency_ms
        if (std := _typical_std(search, target)) is not None
    ]
    return f"{words}; on the front that margin is typically {', '.join(margins) or 'unknown'}."


def margin_deviations(limits: Limits) -> float:
    """The margin of latency limits, in standard uncertainties; 0 where they keep none."""
    return NormalDist().inv_cdf(limits.confidence)


def _typical_std(search: SearchRecord, target: str) -> float | None:
    predictions = [search.evaluated[index].latency_ms.get(target) for index in search.front]
    known = [prediction.std for prediction in predictions if prediction]
    return statistics.median(known) if known else None
