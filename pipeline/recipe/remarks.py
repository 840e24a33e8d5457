"""What the stages that make scores say of them."""

from __future__ import annotations

from pipeline.recipe.resume import StageContext
from pipeline.records.dataset import DatasetRecord
from pipeline.records.score_remarks import score_remarks
from pipeline.records.scores import ScoreSpread


def told_remarks(
    context: StageContext, spread: ScoreSpread | None, data: DatasetRecord
) -> tuple[str, ...]:
    """Tells what should be known before a hypernetwork's scores are believed, and returns it.

    Args:
        context: Who is told; its recipe says on how many images a search scores.
        spread: Of the scores; None where nothing is known of them.
        data: The images.
    """
    if spread is None:
        return ()
    images = context.recipe.score.images
    remarks = tuple(score_remarks(spread, images, data.num_search_validation))
    context.tell_all(remarks)
    return remarks
