"""Opens a data set by name or path: digits, Fashion-MNIST, a folder, Hugging Face, a WebDataset."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import DataError, UnknownNameError
from pipeline.images.found import split_images
from pipeline.images.gray_sets import GRAY_SETS
from pipeline.images.hugging_face import find_in_hugging_face
from pipeline.images.image_data import ImageData
from pipeline.images.image_folder import find_in_folder
from pipeline.images.splits import Splitting
from pipeline.images.webdataset import open_webdataset
from pipeline.space.search_space import check_resolution
from pipeline.work.progress import ProgressFactory, unwatched

_HUGGING_FACE = "hfds/"
_WEBDATASET = "wds/"


def open_dataset(
    name_or_path: str,
    *,
    resolution: int,
    seed: int,
    max_train: int | None = None,
    matching_images: int = 0,
    progress: ProgressFactory = unwatched,
) -> ImageData:
    """Opens a data set in four disjoint splits.

    Args:
        name_or_path: `fashion-mnist`, `digits` (scikit-learn's, bundled), a folder of images in
            one folder a class, or a timm name such as `hfds/NAME` or `wds/FOLDER`.
        resolution: Side of the network's input in pixels.
        seed: Decides which images are held out of train.
        max_train: Train on so many images only; the other splits stay as they are.
        matching_images: Hold so many images out of train as `matching-validation`, the same share
            of every class; of a WebDataset as many whole shards as it takes. The other splits stay
            as they are.
        progress: Told about images that are read through to check them, and about those that are
            decoded to be kept once training asks for them.

    Raises:
        DataError: Images are missing, empty or damaged; the message says where, the hint what to
            do.
        UnknownNameError: Neither a known name nor a path.
    """
    check_resolution(resolution)
    splitting = Splitting(seed=seed, matching_images=matching_images, max_train=max_train)
    if name_or_path in GRAY_SETS:
        return GRAY_SETS[name_or_path]().split(resolution, splitting)
    if name_or_path.startswith(_WEBDATASET):
        folder = Path(name_or_path.removeprefix(_WEBDATASET))
        return open_webdataset(folder, resolution, splitting)
    if name_or_path.startswith(_HUGGING_FACE):
        found = find_in_hugging_face(name_or_path)
    elif (path := Path(name_or_path)).exists():
        found = find_in_folder(path, progress)
    elif "/" in name_or_path or path.suffix:
        raise DataError(
            f"{name_or_path}: there is no such folder of images",
            hint="expected train/CLASS/image.jpg … and val/CLASS/image.jpg … in it",
        )
    else:
        known = (*GRAY_SETS, "hfds/NAME", "wds/FOLDER", "a folder of images")
        raise UnknownNameError.of("data set", name_or_path, known)
    return split_images(found, name_or_path, resolution, splitting, progress)
