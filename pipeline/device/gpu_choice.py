"""Which card of a machine a process uses: the first one that CUDA lets it see.

`nvidia-smi` and NVML count cards along the bus, CUDA from the fastest on unless it is told
otherwise: so measuring processes are told (`count_along_the_bus`), and one number is one card.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import NamedTuple

VISIBLE = "CUDA_VISIBLE_DEVICES"
_ORDER = "CUDA_DEVICE_ORDER"


class GpuChoice(NamedTuple):
    """What a process's environment variables say of the card it uses.

    Attributes:
        visible: `CUDA_VISIBLE_DEVICES`; None where it is not set, and all cards can be seen.
        wanted: What it names first: a card's number, the beginning of its UUID (`GPU-…`), or an
            instance's UUID (`MIG-…`).
    """

    visible: str | None
    wanted: str

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> GpuChoice:
        """Reads environment variables."""
        visible = variables.get(VISIBLE)
        return cls(visible, "0" if visible is None else visible.split(",")[0].strip())

    @property
    def is_instance(self) -> bool:
        """Whether it is a part of a card, whose name does not say of which."""
        return self.wanted.startswith("MIG-")

    def among(self, numbers: Sequence[int], uuid_of: Callable[[int], str]) -> int | None:
        """The number of the card; None where no card is meant, or it cannot be told which.

        Args:
            numbers: Of the machine's cards along the bus, in order.
            uuid_of: A card's UUID by its number; asked only where one is wanted.
        """
        if self.visible is None:
            return numbers[0] if numbers else None
        if self.is_instance:
            return numbers[0] if len(numbers) == 1 else None
        for number in numbers:
            if self.wanted.isdecimal() and int(self.wanted) == number:
                return number
            # CUDA takes the beginning of a name for the name.
            if self.wanted.startswith("GPU-") and uuid_of(number).startswith(self.wanted):
                return number
        return None


def count_along_the_bus(variables: MutableMapping[str, str] = os.environ) -> None:
    """Makes CUDA count cards as `nvidia-smi` does, in this process, before it starts there."""
    variables[_ORDER] = "PCI_BUS_ID"
