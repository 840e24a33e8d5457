"""WebDatasets: whole shards are held out, and streams give each process its share."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.errors import DataError
from pipeline.images import workers
from pipeline.images.epoch import Epoch
from tests.images.made import assert_same, assert_steps_agree, opened

EPOCH = Epoch(8, seed=1, number=2)


def test_whole_shards_are_held_out(shards: Path):
    plain, matched = (opened(f"wds/{shards}", matching_images=n).record for n in (0, 11))
    assert (plain.num_train, plain.num_search_validation, plain.num_test) == (50, 10, 20)
    assert (matched.num_train, matched.num_matching_validation) == (30, 20)
    assert "3 of 6 train shards held out" in matched.source
    with pytest.raises(DataError, match="6 train shards are too few") as caught:
        opened(f"wds/{shards}", matching_images=41)
    assert "lower matching_images" in (caught.value.hint or "")


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("cores", [1, 3])
def test_a_step_of_a_stream_is_the_same_from_any_start_in_any_parts(
    shards: Path, cores: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(workers, "usable_cores", lambda: cores)
    data = opened(f"wds/{shards}")
    assert_steps_agree(data, replace(EPOCH, start=1), 2, [32, 64, 64, 32, 64, 32])
    assert list(data.train_batches(replace(EPOCH, start=6))) == []


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_processes_of_a_machine_give_what_one_with_their_share_of_its_cores_gives(
    shards: Path, monkeypatch: pytest.MonkeyPatch
):
    data = opened(f"wds/{shards}")
    monkeypatch.setattr(workers, "usable_cores", lambda: 2)
    alone = list(data.train_batches(EPOCH))
    monkeypatch.setattr(workers, "usable_cores", lambda: 5)
    assert not torch.equal(next(iter(data.train_batches(EPOCH)))[0], alone[0][0])
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert_same(data.train_batches(EPOCH), alone)


def test_a_process_group_does_not_divide_a_stream(shards: Path, monkeypatch: pytest.MonkeyPatch):
    data = opened(f"wds/{shards}")
    alone, test = list(data.train_batches(EPOCH)), list(data.batches("test", 16))
    for name, answer in (("is_initialized", True), ("get_world_size", 2), ("get_rank", 1)):
        monkeypatch.setattr(torch.distributed, name, lambda answer=answer: answer)
    assert_same(data.train_batches(EPOCH), alone)
    assert_same(data.batches("test", 16), test)


def test_webdatasets_that_cannot_be_used(shards: Path):
    (shards / "train-003.tar").rename(shards / "elsewhere.tar")
    with pytest.raises(DataError, match=r"shards are missing: train-003\.tar"):
        opened(f"wds/{shards}")
    (shards / "_info.json").write_text("{}")
    with pytest.raises(DataError, match=r"_info\.json") as caught:
        opened(f"wds/{shards}")
    assert "class_names" in (caught.value.hint or "")
