"""The search of a recipe: its request, its hypernetwork's scores, and what they are set beside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.files.whole import read_record
from pipeline.recipe.data import open_data, opening
from pipeline.recipe.recipe import Recipe
from pipeline.recipe.remarks import told_remarks
from pipeline.recipe.request import (
    path_limits,
    published_candidates,
    read_models,
    read_problem,
    resolve_limits,
)
from pipeline.recipe.resume import RECORD, StageContext
from pipeline.recipe.sizes import left_out_words, remarks_on_sizes, sizes_of, untrainable
from pipeline.records.candidates import Candidate
from pipeline.records.profile import ProfileRecord
from pipeline.records.search import SearchRecord
from pipeline.records.train import TrainRecord
from pipeline.space.encoding import encode
from pipeline.work.progress import silent

if TYPE_CHECKING:
    from pipeline.search.explanation import Explanation
    from pipeline.search.problem import Problem
    from pipeline.search.score_journal import ScoreJournal
    from pipeline.search.scoring import Score


def run_search(context: StageContext) -> SearchRecord:
    """Searches as the recipe says, going on with the scores that are in the stage's folder."""
    from pipeline.search.score_journal import ScoreJournal
    from pipeline.search.searching import search
    from pipeline.training.scoring.score_workers import open_scorer

    recipe, data = context.recipe, open_data(context.recipe, progress=context.progress)
    models = read_models(recipe)
    profiled = read_record(context.record_path("profile"), ProfileRecord)
    trained = read_record(context.record_path("train"), TrainRecord)
    limits = resolve_limits(recipe.limits, recipe, sizes_of(recipe, profiled, data), profiled)
    problem = read_problem(recipe, models, limits, trained.resolutions, data.num_classes)
    checkpoint = context.run / "train" / trained.checkpoint
    scores = ScoreJournal(context.folder / "scores.jsonl")
    with open_scorer(
        checkpoint, opening(recipe), recipe.score, resolutions=trained.resolutions
    ) as score:
        found = search(
            problem,
            settings=recipe.search,
            score=score,
            num_images=min(recipe.score.images, data.record.num_search_validation),
            seed=recipe.seed,
            cache=scores.known,
            keep=scores.append,
            board=[path.architecture for path in trained.board],
            progress=context.progress("searching"),
        )
        shown = _with_scores(published_candidates(problem, models), problem, scores, score)
    return found.model_copy(
        update={
            "remarks": told_remarks(context, found.scores, data.record),
            "published": tuple(shown),
            "foreign": tuple(
                f"{name}: {difference}"
                for name, model in models.items()
                for difference in model.foreign
            ),
            "table_scale": {name: model.scale for name, model in models.items()},
        }
    )


def _with_scores(
    candidates: list[Candidate], problem: Problem, scores: ScoreJournal, score: Score
) -> list[Candidate]:
    """Scores the candidates that the hypernetwork holds."""
    from pipeline.search.scoring import Scoring

    held = [it.architecture for it in candidates if it.architecture.is_held_by(problem.space)]
    if not held:
        return candidates
    scoring = Scoring(problem, score, scores.known, scores.append, silent, budget=len(held))
    rows = encode(problem.space, held)
    scoring.quality_of(rows)
    found = dict(zip(held, map(scoring.score_of, rows), strict=True))
    return [
        candidate.model_copy(
            update={"accuracy_percent": it.accuracy_percent, "log_loss_nats": it.log_loss_nats}
            if (it := found.get(candidate.architecture))
            else {}
        )
        for candidate in candidates
    ]


def explain_request(recipe: Recipe, run: Path) -> Explanation:
    """What the recipe's limits leave of its space; needs latency tables only.

    Args:
        recipe: The recipe.
        run: Its run's folder, where profiling says what a multiple of the reference is.

    Raises:
        UsageError: A limit makes no sense, or has another unit than was meant.
        TableError: A target has no table for this space, input size and number of classes.
    """
    from pipeline.search.explaining import explain

    path = run / "profile" / RECORD
    profiled = read_record(path, ProfileRecord) if path.exists() else None
    data = open_data(recipe)
    sizes = sizes_of(recipe, profiled, data)
    limits = resolve_limits(recipe.limits, recipe, sizes, profiled)
    models = read_models(recipe)
    found = explain(read_problem(recipe, models, limits, sizes.resolutions, data.num_classes))
    told = [*remarks_on_sizes(recipe, sizes)]
    if told:
        limits_of_paths = path_limits(recipe, models[recipe.target], sizes, profiled)
        left_out = untrainable(recipe, sizes, limits_of_paths, data.num_classes)
        told += left_out_words(left_out)
    return found.model_copy(update={"sizes": tuple(told)})
