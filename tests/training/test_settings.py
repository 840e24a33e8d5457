"""What a recipe may say about training, and what the methods of retraining stand for."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.training.settings import RetrainSettings


def test_the_papers_method_is_that_of_the_paper():
    """RMSProp, 0.064 at 1024 images, 500 epochs, 3 of warm-up."""
    paper = RetrainSettings.model_validate({"method": "paper"})
    assert paper.optimizer == "rmsproptf"
    assert (paper.epochs, paper.batch_size, paper.learning_rate) == (500, 1024, 0.064)
    assert paper.warmup_share * paper.epochs == pytest.approx(3)
    assert (paper.weight_decay, paper.dropout, paper.ema_decay) == (1e-5, 0.2, 0.9999)
    assert (paper.rand_augment, paper.random_erasing) == ("rand-m9-mstd0.5", 0.2)


@pytest.mark.parametrize("batch_size", [128, 256, 2048])
def test_its_learning_rate_follows_the_batch(batch_size: int):
    paper = RetrainSettings.model_validate({"method": "paper", "batch_size": batch_size})
    assert paper.learning_rate == pytest.approx(0.064 * batch_size / 1024)


def test_what_is_given_stands_before_the_method():
    given: dict[str, Any] = {"method": "paper", "epochs": 30, "learning_rate": 0.5, "dropout": 0}
    paper = RetrainSettings.model_validate(given)
    assert (paper.epochs, paper.learning_rate, paper.dropout) == (30, 0.5, 0)
    assert RetrainSettings.model_validate(paper.model_dump()) == paper


def test_the_short_method_needs_its_epochs():
    with pytest.raises(ValidationError, match="epochs"):
        RetrainSettings.model_validate({})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"method": "papers"}, "'short' or 'paper'"),
        ({"optimizer": "adam"}, "'adamw'"),
        ({"accumulate": 3}, "does not divide into accumulate = 3"),
        ({"batch_size": 30, "mixup": 0.2, "accumulate": 2}, "pairs to mix"),
        ({"rand_augment": "m9"}, "pattern"),
        ({"teacher": {"source": "hypernetwork", "weights": "w.pth"}}, "its own weights"),
        ({"teacher": {"weight": 1.5}}, "less than or equal to 1"),
        ({"method": "paper", "batch_size": "many"}, "batch_size"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], words: str):
    with pytest.raises(ValidationError, match=words):
        RetrainSettings.model_validate({"epochs": 1, **given})
