"""The input sizes of a run, and what they were chosen from."""

from __future__ import annotations

from pipeline.files.record import Record


class InputSizes(Record):
    """Input sizes that are searched together.

    Attributes:
        resolutions: In pixels; the first is the one at which limits are multiples of a reference.
        image_side: Shorter side of the images in pixels, the median, that they were chosen from;
            None where the recipe names them.
        images: How many of the training images it is the median of.
    """

    resolutions: tuple[int, ...]
    image_side: float | None = None
    images: int = 0

    @property
    def origin(self) -> str:
        """What they were chosen from, in words."""
        if self.image_side is None:
            return "as the recipe says"
        return (
            f"chosen from the images, whose shorter side is {self.image_side:g} pixels "
            f"(median of {self.images})"
        )
