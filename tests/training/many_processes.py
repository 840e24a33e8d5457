"""One of several processes that train together; started by torchrun, for tests.

Usage: many_processes.py FOLDER frozen|moving|retrain. Writes `FOLDER/rank-N.json`.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

import torch
from torch import nn

from pipeline.images.datasets import open_dataset
from pipeline.network.supernet import Supernet
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import get_space
from pipeline.training import fitting
from pipeline.training.hypernetwork import hypernetwork
from pipeline.training.hypernetwork.cream import Cream
from pipeline.training.hypernetwork.path_sampling import PathLimits
from pipeline.training.retraining.retraining import retrain
from pipeline.training.settings import (
    MatchingSettings,
    RetrainSettings,
    TeachingSettings,
    TrainSettings,
)
from pipeline.work.progress import silent

SETTINGS = TrainSettings(
    method="cream",
    epochs=2,
    batch_size=32,
    growth_share=0.1,
    ema_decay=0.9,
    teaching=TeachingSettings(
        board_size=3, start_share=0.1, matching=MatchingSettings(images=32, probes=4, every=4)
    ),
)


def freeze_batch_norm(module: nn.Module, *, keep: bool) -> None:
    """For good: neither a training loop nor an evaluation thaws it."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()
            part.train = lambda mode=True, part=part: part


def main(folder: Path, statistics: str) -> None:
    torch.set_num_threads(1)
    fitting._ROUND = 4
    if statistics == "retrain":
        write(folder, retrained(folder))
        return
    if statistics == "frozen":
        hypernetwork.keep_statistics = freeze_batch_norm
    told: dict[str, object] = {"paths": [], "teachers": [], "boards": []}
    watch(told)
    record = hypernetwork.train_hypernetwork(
        get_space("cream").narrowed(max_depth=1, operators=["mb4_3x3", "mb6_5x5"]),
        open_dataset("digits", resolution=32, seed=0, max_train=256, matching_images=32),
        SETTINGS,
        limits=PathLimits(),
        folder=folder,
        seed=0,
        progress=silent,
    )
    told |= {"processes": record.processes, "board": record.model_dump(mode="json")["board"]}
    write(folder, told)


def retrained(folder: Path) -> dict[str, object]:
    """One network on its own, with everything that each process draws or keeps for itself."""
    stages = (("mb4_3x3",), ("mb6_5x5",), ("mb4_3x3",), ("mb4_3x3",), ("mb6_5x5",))
    record = retrain(
        Architecture(space="cream", resolution=32, num_classes=10, stages=stages),
        open_dataset("digits", resolution=32, seed=0, max_train=128),
        RetrainSettings(epochs=2, batch_size=32, ema_decay=0.9, random_erasing=0.5, mixup=0.2),
        supernet=None,
        folder=folder,
        seed=0,
        progress=silent,
    )
    return record.model_dump(mode="json", exclude={"environment", "seconds", "epochs"})


def write(folder: Path, told: dict[str, object]) -> None:
    rank = os.environ.get("RANK", "0")
    (folder / f"rank-{rank}.json").write_text(json.dumps(told))


def watch(told: dict[str, list[object]]) -> None:
    """Notes what each round decides, and the weights the run ends with."""
    begin, end, run = Cream.begin_round, Cream.end_round, fitting.Fit.run

    def begins(self: Cream, at: int, steps: int) -> None:
        begin(self, at, steps)
        told["paths"] += [self.paths.path_at(step).short for step in range(at, at + steps)]
        chosen = self._teacher_at.items()
        told["teachers"] += [[step, t.architecture.short, float(t.weight)] for step, t in chosen]

    def ends(self: Cream) -> object:
        figures = end(self)
        told["boards"].append(dict(self.state().values))
        return figures

    def runs(self: fitting.Fit) -> object:
        done = run(self)
        told["weights"] = digest(self.model)
        told["moved"] = moved(self.model)
        told["matching"] = self.learner.matching.network.linear.weight.flatten().tolist()
        return done

    Cream.begin_round, Cream.end_round, fitting.Fit.run = begins, ends, runs


def digest(model: nn.Module) -> str:
    found = hashlib.sha256()
    for parameter in model.parameters():
        found.update(parameter.detach().contiguous().numpy().tobytes())
    return found.hexdigest()


def moved(model: Supernet) -> list[float]:
    """What training added to the weights of a few layers."""
    start = Supernet(model.space, model.num_classes, seed=0)
    chosen = ("conv_stem.conv.weight", "tail.classifier.weight", "blocks.0.0.conv_dw.weight")
    return torch.cat(
        [
            (model.get_parameter(name) - start.get_parameter(name)).detach().flatten()
            for name in chosen
        ]
    ).tolist()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
