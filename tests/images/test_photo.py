"""Image files of every kind become 8-bit RGB, or are refused with the reason."""

import io
import re
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DataError
from pipeline.images.photo import (
    photo_preprocessing,
    read_photo,
    reduced_side,
    reduced_size,
    to_reduced,
    to_rgb,
    to_varied_pixels,
    unreadable,
)

SIDE = 16
RAMP = np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE)
NO_IMAGE = "is no image in a format that is read"


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def read(content: bytes) -> np.ndarray:
    """The pixels, of a file that the check lets through as well."""
    assert unreadable(content) is None
    image = read_photo(io.BytesIO(content), "it", to_rgb)
    assert image.mode == "RGB"
    return np.asarray(image)


def color() -> Image.Image:
    random = np.random.default_rng(0)
    return Image.fromarray(random.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8))


def gray() -> Image.Image:
    return Image.fromarray(RAMP)


@pytest.mark.parametrize("kind", ["png", "bmp", "tiff", "ppm", "webp"])
def test_color_is_what_was_saved(kind: str):
    options = {"lossless": True} if kind == "webp" else {}
    assert np.array_equal(read(saved(color(), kind, **options)), np.asarray(color()))


@pytest.mark.parametrize("kind", ["png", "gif", "bmp", "tiff", "ppm"])
def test_gray_is_repeated(kind: str):
    assert np.array_equal(read(saved(gray(), kind)), np.repeat(RAMP[..., None], 3, axis=2))


def test_black_and_white_become_0_and_255():
    pixels = read(saved(gray().point(lambda v: 255 * (v > 99)).convert("1"), "png"))
    assert np.array_equal(pixels[..., 1], np.where(RAMP > 99, 255, 0))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_are_laid_over_white(mode: str):
    image = Image.new(mode, (4, 1), (60, 60, 60, 255) if mode == "RGBA" else (60, 255))
    for place, alpha in enumerate((0, 51, 204)):
        image.putpixel((place, 0), (60, 60, 60, alpha) if mode == "RGBA" else (60, alpha))
    assert read(saved(image, "png"))[0, :, 1].tolist() == [255, 216, 99, 60]


def test_transparency_in_a_palette():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    pixels = read(saved(image, "png", transparency=bytes([0, 255])))
    assert pixels.tolist() == [[[255, 255, 255], [200, 100, 50]]]


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bits_are_scaled_and_not_cut_off(kind: str):
    image = Image.fromarray(RAMP.astype(np.uint16) * 257)
    assert np.array_equal(read(saved(image, kind))[..., 0], RAMP)


def test_big_endian_sixteen_bits():
    image = Image.fromarray((RAMP.astype(np.uint16) * 257).astype(">u2"))
    assert image.mode == "I;16B"
    assert np.array_equal(read(saved(image, "tiff"))[..., 2], RAMP)


def test_cmyk():
    ink = Image.new("CMYK", (SIDE, SIDE), (0, 255, 255, 0))
    content = saved(ink, "jpeg", quality=100)
    assert b"Adobe" in content
    assert np.allclose(read(content), (255, 0, 0), atol=3)


def test_cmyk_without_adobes_mark_is_taken_for_inverted_as_well():
    # Adobe's programs store ink inverted; files without their mark are theirs nearly always.
    marked = saved(Image.new("CMYK", (SIDE, SIDE), (0, 255, 255, 0)), "jpeg", quality=100)
    plain = re.sub(rb"\xff\xee\x00\x0eAdobe.{7}", b"", marked, flags=re.DOTALL)
    assert len(plain) == len(marked) - 16
    assert np.allclose(read(plain), (255, 0, 0), atol=3)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(1, (0, 0)), (2, (0, -1)), (3, (-1, -1)), (4, (-1, 0)),
     (5, (0, 0)), (6, (0, -1)), (7, (-1, -1)), (8, (-1, 0))],
)  # fmt: skip
def test_exif_orientation_is_applied(kind: str, orientation: int, corner: tuple[int, int]):
    image = Image.new("RGB", (48, 32), "black")
    image.paste("white", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = read(saved(image, kind, exif=exif))
    assert pixels.shape == ((48, 32, 3) if orientation > 4 else (32, 48, 3))
    down, right = (slice(0, 12) if at == 0 else slice(-12, None) for at in corner)
    assert pixels[down, right].min() > 200
    assert pixels.mean() < 60


def test_of_an_animation_it_is_the_first_frame():
    frames = [Image.new("RGB", (SIDE, SIDE), name) for name in ("red", "blue", "lime")]
    content = saved(frames[0], "gif", save_all=True, append_images=frames[1:])
    assert read(content).reshape(-1, 3).tolist() == [[255, 0, 0]] * SIDE**2


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda: b"", "is empty"),
        (lambda: b"no image at all", NO_IMAGE),
        (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", NO_IMAGE),
        (lambda: cut(saved(color().resize((600, 600)), "jpeg")), "truncated"),
        (lambda: cut(saved(color().resize((600, 600)), "jpeg", progressive=True)), "truncated"),
        (lambda: cut(saved(color().resize((600, 600)), "png")), "truncated"),
        (lambda: cut(saved(color(), "bmp")), "truncated"),
        (lambda: saved(Image.fromarray(RAMP.astype(np.float32)), "tiff"), "floating-point pixels"),
        (lambda: saved(Image.fromarray(RAMP.astype(np.int32)), "tiff"), "32-bit integer pixels"),
        # Pillow warns of the one and refuses the other.
        (lambda: saved(Image.new("1", (700, 700)), "png"), "has more than 400000 pixels"),
        (lambda: saved(Image.new("1", (900, 900)), "png"), "has more than 400000 pixels"),
    ],
)
def test_what_cannot_be_read_is_told_why(
    content: Callable[[], bytes], reason: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400_000)
    file = content()
    told = unreadable(file)
    assert told is not None
    assert reason in told
    assert "0x" not in told
    if file:
        with pytest.raises(DataError, match=re.escape(reason)) as caught:
            read_photo(io.BytesIO(file), "photo.jpg", to_rgb)
        assert caught.value.message.startswith("photo.jpg: cannot be read as an image: ")


def check_and_reading_agree(content: bytes) -> bool:
    try:
        read_photo(io.BytesIO(content), "it", to_rgb)
    except DataError:
        return unreadable(content) is not None
    return unreadable(content) is None


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif", "bmp", "tiff"])
def test_check_and_reading_agree_on_files_cut_anywhere(kind: str):
    whole = saved(color().resize((64, 64)), kind)
    for length in range(1, len(whole), max(1, len(whole) // 40)):
        assert check_and_reading_agree(whole[:length]), length


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_check_and_reading_agree_on_damaged_files(kind: str):
    whole = saved(color().resize((64, 64)), kind)
    random = np.random.default_rng(0)
    for _ in range(40):
        content = bytearray(whole)
        # Behind the header: a size that is damaged makes huge images, which take their time.
        for place in random.integers(len(content) // 3, len(content), 3):
            content[place] = random.integers(256)
        assert check_and_reading_agree(bytes(content))


def test_crops_stay_inside_the_image_and_mirror_half_of_them():
    ramp = np.broadcast_to(np.arange(60, dtype=np.uint8)[None, :, None] * 4, (40, 60, 3))
    image = Image.fromarray(ramp.copy())
    falling = 0
    for seed in range(200):
        pixels = to_varied_pixels(image, 32, seed)
        assert pixels.shape == (32, 32, 3)
        falling += int(pixels[0, 0, 0]) > int(pixels[0, -1, 0])
    assert 70 < falling < 130


@pytest.mark.parametrize(("resolution", "side"), [(32, 128), (64, 128), (65, 256), (224, 512)])
def test_images_are_reduced_to_twice_the_input_or_more(resolution: int, side: int):
    assert reduced_side(resolution) == side


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_large_images_are_reduced_before_they_are_cropped(kind: str):
    photo = color().resize((700, 520), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    content = saved(photo, kind, exif=exif)
    reduced = read_photo(io.BytesIO(content), "it", partial(to_reduced, side=128))
    assert reduced.size == reduced_size((520, 700), 128) == (128, 172)
    crops = (
        to_varied_pixels(image, 32, seed=3).astype(int)
        for image in (reduced, read_photo(io.BytesIO(content), "it", to_rgb))
    )
    assert np.abs(np.subtract(*crops)).max() < 16


def test_small_images_stay_as_they_are():
    content = saved(color().resize((400, 128)), "jpeg")
    reduced = read_photo(io.BytesIO(content), "it", partial(to_reduced, side=128))
    assert np.array_equal(np.asarray(reduced), read(content))


def test_the_record_says_what_a_deployment_has_to_do():
    how = photo_preprocessing(32)
    assert (how.exif_transpose, how.resize, how.antialias, how.pad) == (True, "bicubic", True, 0)
