"""One choice of a card, for all that ask for one: by number, by name, or none."""

import pytest

from pipeline.device.gpu_choice import VISIBLE, GpuChoice, count_along_the_bus

UUIDS = {
    0: "GPU-11111111-aaaa-bbbb-cccc-000000000000",
    1: "GPU-22222222-aaaa-bbbb-cccc-000000000000",
}


def chosen(visible: str | None, uuids: dict[int, str]) -> int | None:
    variables = {} if visible is None else {VISIBLE: visible}
    return GpuChoice.of(variables).among(list(uuids), uuids.__getitem__)


@pytest.mark.parametrize(
    ("visible", "number"),
    [
        (None, 0),
        ("0", 0),
        ("1", 1),
        (" 1 ,0", 1),
        ("01", 1),
        (UUIDS[1], 1),
        ("GPU-2222", 1),
        ("GPU-", 0),
        ("", None),
        ("-1", None),
        ("2", None),
        ("²", None),
        ("GPU-9", None),
        ("22222222", None),
        ("NoDevFiles", None),
        ("MIG-5c3b0d2e-0000-0000-0000-000000000000", None),
    ],
)
def test_the_card_is_the_first_visible_one(visible: str | None, number: int | None) -> None:
    assert chosen(visible, UUIDS) == number


@pytest.mark.parametrize("visible", [None, "1", "GPU-2", "MIG-5c3b"])
def test_the_only_card_keeps_its_number(visible: str | None) -> None:
    """Instances are of it, whatever they are called."""
    assert chosen(visible, {1: UUIDS[1]}) == 1


def test_without_cards_there_is_none_to_choose() -> None:
    assert chosen(None, {}) is chosen("0", {}) is chosen("MIG-5c3b", {}) is None


def test_names_are_asked_for_only_where_one_is_wanted() -> None:
    def untold(number: int) -> str:
        raise AssertionError(number)

    assert GpuChoice.of({VISIBLE: "1"}).among([0, 1], untold) == 1


def test_cuda_is_told_to_count_as_the_driver_does() -> None:
    """Otherwise its first card is the fastest one."""
    variables = {"CUDA_DEVICE_ORDER": "FASTEST_FIRST", VISIBLE: "1"}
    count_along_the_bus(variables)
    assert variables == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", VISIBLE: "1"}
