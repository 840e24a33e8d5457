"""Several processes that train together, with the variables that torchrun would set; for tests.

Usage: WORLD_SIZE=N many_processes.py FOLDER hypernetwork|frozen|network. Each process writes
`FOLDER/rank-N.json`.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.network.supernet import Supernet
from pipeline.training import fitting
from pipeline.training.hypernetwork import hypernetwork
from pipeline.training.hypernetwork.cream import Cream
from pipeline.training.learner import TrainingStep
from tests.training.tiny import CREAM, RETRAIN, retrain_network, train

# With everything that each process draws or keeps for itself.
NETWORK = RETRAIN.model_copy(
    update={"epochs": 2, "ema_decay": 0.9, "random_erasing": 0.5, "mixup": 0.2}
)


def freeze_batch_norm(module: nn.Module, *, keep: bool) -> None:
    """For good: neither a training loop nor an evaluation thaws it."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()
            part.train = lambda mode=True, part=part: part


def main(folder: Path, trained: str) -> None:
    torch.set_num_threads(1)
    fitting._ROUND, hypernetwork._MONITORED_PATHS = 2, 1
    if trained == "network":
        record = retrain_network(folder, settings=NETWORK)
        write(folder, record.model_dump(mode="json", exclude={"environment", "seconds", "epochs"}))
        return
    if trained == "frozen":
        hypernetwork.keep_statistics = freeze_batch_norm
    told: dict[str, object] = {"paths": [], "teachers": [], "boards": []}
    watch(told)
    record = train(folder, settings=CREAM.model_copy(update={"epochs": 2}))
    told |= {"processes": record.processes, "board": record.model_dump(mode="json")["board"]}
    write(folder, told)


def write(folder: Path, told: dict[str, object]) -> None:
    (folder / f"rank-{os.environ['RANK']}.json").write_text(json.dumps(told))


def watch(told: dict[str, list[object]]) -> None:
    """Notes what each round decides, and the weights the run ends with."""
    learn, end, run = Cream._learn, Cream.end_round, fitting.Fit.run

    def learns(self: Cream, images: Tensor, labels: Tensor, step: TrainingStep) -> Tensor:
        told["paths"].append(self.paths.path_at(step.at).short)
        return learn(self, images, labels, step)

    def ends(self: Cream) -> object:
        told["teachers"] += [[it.teacher.short, float(it.weight)] for it in self._lessons]
        figures = end(self)
        told["boards"].append(dict(self.state().values))
        return figures

    def runs(self: fitting.Fit) -> object:
        done = run(self)
        told["weights"] = digest(self.model)
        told["moved"] = moved(self.model)
        told["matching"] = self.learner.matching.network.linear.weight.flatten().tolist()
        return done

    Cream._learn, Cream.end_round, fitting.Fit.run = learns, ends, runs


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


def train_together(folder: Path, trained: str) -> bool:
    """Forks a process a rank, so that PyTorch is loaded once; whether all ended well."""
    children = []
    for rank in range(int(os.environ["WORLD_SIZE"])):
        children.append(os.fork())
        if children[-1] == 0:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": "0"}
            main(folder, trained)
            return True
    endings = [os.waitpid(child, 0)[1] for child in children]
    return not any(endings)


if __name__ == "__main__":
    sys.exit(not train_together(Path(sys.argv[1]), sys.argv[2]))
