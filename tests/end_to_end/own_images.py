"""A folder of images as a user may bring it: two textures, odd formats, broken files."""

from pathlib import Path

import numpy as np
from PIL import Image

UPRIGHT, LEVEL = "rayures d’été", "横 縞"
CLASSES = (UPRIGHT, LEVEL)
TRAIN_IMAGES, VAL_IMAGES = 40, 8
# In the order that they are found in.
SKIPPED = {
    f"train/{UPRIGHT}/no image.JPG": "is no image in a format that is read",
    f"val/{LEVEL}/truncated.jpg": "truncated",
}


def make_images(root: Path) -> Path:
    """Stripes that stand upright or lie level, 40 a class to train on and 8 to test.

    Among the 40 there is one each of gray, CMYK, 16 bits, transparency, a palette and an upper-case
    suffix. Besides, two files cannot be read, and some are no images.
    """
    random = np.random.default_rng(0)
    for split, count in (("train", TRAIN_IMAGES), ("val", VAL_IMAGES)):
        for name in CLASSES:
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                image = _stripes(random, upright=name == UPRIGHT)
                _save(image, folder, number if split == "train" else count)
                if split == "val":
                    (folder / f"{count}.jpg").rename(folder / f"{number}.jpg")
            (folder / ".DS_Store").write_bytes(b"Bud1")
    (root / "train" / UPRIGHT / "no image.JPG").write_text("not found")
    (root / "train" / LEVEL / "Thumbs.db").write_bytes(b"")
    (root / "train" / LEVEL / "from a phone.heic").write_bytes(b"ftypheic")
    whole = (root / "val" / LEVEL / "0.jpg").read_bytes()
    (root / "val" / LEVEL / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    return root


def _stripes(random: np.random.Generator, *, upright: bool) -> Image.Image:
    side = int(random.integers(40, 64))
    wave = 128 + 80 * np.sin(np.arange(side) * random.uniform(0.6, 1.2) + random.uniform(0, 6))
    pixels = np.broadcast_to(wave[None, :, None] if upright else wave[:, None, None], (side,) * 3)
    pixels = pixels[..., :3] * random.uniform(0.6, 1, 3) + random.normal(0, 12, (side, side, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _save(image: Image.Image, folder: Path, number: int) -> None:
    if number == 0:
        image.convert("L").save(folder / "gray.png")
    elif number == 1:
        image.convert("CMYK").save(folder / "ink.jpg")
    elif number == 2:
        gray = np.asarray(image.convert("L")).astype(np.uint16)
        Image.fromarray(gray * 257).save(folder / "16 bits.png")
    elif number == 3:
        image.convert("RGBA").save(folder / "clear.png")
    elif number == 4:
        image.convert("P").save(folder / "palette.png", transparency=0)
    elif number == 5:
        image.save(folder / "LOUD.PNG")
    else:
        image.save(folder / f"{number}.jpg", quality=90)
