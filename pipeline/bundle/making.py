"""Makes a bundle: computes what is new in it, describes it, and tries it before it is there."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.bundle.answers import Logits, answers
from pipeline.bundle.card import CARD, Bundle, Tolerance
from pipeline.bundle.describing import Made, bundled, describe
from pipeline.bundle.folder import check_names_no_place, new_folder
from pipeline.bundle.infer_run import SELFTEST, infer_told
from pipeline.bundle.readme import render_readme
from pipeline.bundle.timm_form import timm_form, write_timm_weights
from pipeline.bundle.tolerance import tolerance
from pipeline.bundle.vectors import IMAGES, write_vectors
from pipeline.device.model_files import FP32, KINDS
from pipeline.errors import ExportError, StageError
from pipeline.export.classifier import BY_THE_STANDARD
from pipeline.export.parity import check_parity, measure_parity
from pipeline.files.whole import (
    digest_of,
    digest_of_file,
    storage_errors,
    write_atomic,
    write_record,
)
from pipeline.images.image_data import ImageData, Split
from pipeline.network.network import build_network, load_checkpoint
from pipeline.records.export import ExportedModel
from pipeline.records.retrain import RetrainRecord
from pipeline.report import ReportInputs, summarise
from pipeline.work.progress import Progress, silent

README, INFER = "README.md", "infer.py"
# More images than are kept, so that a tolerance is not the luck of eight.
_JUDGING_IMAGES = 64
_STEPS = 6


def make_bundle(
    inputs: ReportInputs, run: Path, data: ImageData, into: Path, progress: Progress = silent
) -> Bundle:
    """Makes a bundle of a run's exported network; it appears whole or not at all.

    Args:
        inputs: The run's records, of export and retraining at least.
        run: The run's folder.
        data: The images it was trained on.
        into: The folder to make; a bundle that is there already is replaced.
        progress: Told after each step.

    Returns:
        The card.

    Raises:
        UsageError: There is something else than a bundle at `into`.
        StageError: The network was not exported from a recipe, or by an earlier version.
        ExportError: Files and weights are not of one network, the bundle fails its self-test, or
            it would name a place of this machine.
        DataError: An image cannot be read.
        StorageError: A file cannot be read or written.
    """
    if inputs.export is None or inputs.retrain is None:
        raise StageError(f"{run}: is not exported", hint=inputs.command("export"))
    (exported,), trained = inputs.export.models, inputs.retrain
    data = data.at(exported.architecture.resolution)
    with new_folder(into) as folder:
        _copy_files(exported, run / "export" / Path(exported.onnx).parent, folder)
        progress(1, _STEPS, "model files")
        made = _compute(exported, trained, run, folder, data)
        progress(2, _STEPS, "weights, tolerances, test vectors")
        _copy(Path(__file__).with_name(INFER), folder / INFER)
        # The self-test that the model card shows counts the model card.
        write_atomic(folder / README, "")
        card = _sealed(describe(inputs, summarise(inputs), exported, trained, made), folder)
        progress(3, _STEPS, "description")
        example = infer_told(folder, made.vectors.images[0].file)
        readme = render_readme(card, example=example, selftest=infer_told(folder, SELFTEST))
        write_atomic(folder / README, readme)
        card = _sealed(card, folder)
        progress(4, _STEPS, "model card")
        infer_told(folder, SELFTEST)
        progress(5, _STEPS, "self-test")
        check_names_no_place(folder, [data.record.name.removeprefix("wds/")])
    progress(_STEPS, _STEPS, "done")
    return card


def _compute(
    exported: ExportedModel, trained: RetrainRecord, run: Path, folder: Path, data: ImageData
) -> Made:
    how, kept = data.record.preprocessing, _inputs(data, "test", IMAGES)
    judging = np.concatenate([kept, _inputs(data, "search-validation", _JUDGING_IMAGES)])
    logits: dict[str, Logits] = {}
    tolerances: dict[str, Tolerance] = {}
    for file in bundled(exported):
        path, precision = folder / file.file, KINDS[file.file].precision
        said = answers(path, judging, BY_THE_STANDARD)
        logits[file.file] = said[: len(kept)]
        tolerances[file.file] = tolerance(path, judging, said, how, precision=precision)
    form = timm_form(exported.architecture)
    network = build_network(exported.architecture, seed=0)
    load_checkpoint(network, run / "retrain" / trained.checkpoint)
    # The weights were read anew: they must still be those the files were made of.
    parity = measure_parity(network, folder / FP32, data.sample("test", IMAGES), data.record.name)
    check_parity(parity, f"the weights in {trained.checkpoint} and {FP32}")
    if not isinstance(form, str):
        write_timm_weights(network, form, folder)
    originals = data.originals("test", IMAGES)
    height, width = originals[0].pixels.shape[:2]
    return Made(
        tolerances=tolerances,
        vectors=write_vectors(folder, originals, kept, logits, data.record.class_names, how),
        timm=form,
        native_size=(width, height) if how.grayscale_to_rgb else None,
    )


def _inputs(data: ImageData, split: Split, n: int) -> NDArray[np.float32]:
    found: NDArray[np.float32] = data.sample(split, n).cpu().contiguous().numpy()
    return found


def _copy_files(exported: ExportedModel, source: Path, folder: Path) -> None:
    for file in bundled(exported):
        _copy(source / file.file, folder / file.file)
        found = digest_of_file(folder / file.file)
        if found != file.sha256:
            raise ExportError(
                f"{source / file.file}: SHA-256 is {found}; its record says {file.sha256}",
                hint="export it again",
            )


def _copy(source: Path, copy: Path) -> None:
    with storage_errors(source):
        shutil.copyfile(source, copy)


def _sealed(card: Bundle, folder: Path) -> Bundle:
    """Writes the card with the digests of all other files, and its own."""
    names = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    digests = {name: digest_of_file(folder / name) for name in names if name != CARD}
    card = card.model_copy(update={"sha256": digests})
    digest = digest_of(card.model_dump(mode="json", exclude={"digest"}))
    card = card.model_copy(update={"digest": digest})
    write_record(folder / CARD, card)
    return card
