"""The models of two runs: the network, what it costs, and the files it leaves in."""

from __future__ import annotations

from pipeline.comparing.architectures import architecture_differences
from pipeline.files.record import Record
from pipeline.records.export import ExportedFile
from pipeline.report import ReportInputs, summarise
from pipeline.space.architecture import Architecture


class FileComparison(Record):
    """One exported file, on both sides; sizes are None where a side lacks it.

    Attributes:
        same: Whether the two are one file, byte for byte.
    """

    file: str
    precision: str
    first_bytes: int | None
    second_bytes: int | None
    same: bool

    @property
    def change_percent(self) -> float | None:
        """By how much the second is larger."""
        return change_percent(self.first_bytes, self.second_bytes)


class ModelComparison(Record):
    """What the two runs chose; None where a run has chosen nothing yet.

    Attributes:
        differences: In what the networks differ, in the paper's notation.
        first_macs: Multiply-accumulates for one image.
        first_params: Learnable parameters.
        files: What the exported models consist of.
    """

    first: Architecture | None
    second: Architecture | None
    differences: tuple[str, ...]
    first_macs: int | None
    second_macs: int | None
    first_params: int | None
    second_params: int | None
    files: tuple[FileComparison, ...] = ()

    @property
    def same_files(self) -> bool:
        """Whether the exported models are one, byte for byte."""
        return bool(self.files) and all(file.same for file in self.files)


def compare_models(first: ReportInputs, second: ReportInputs) -> ModelComparison:
    """Compares what two runs chose and exported."""
    one, other = summarise(first), summarise(second)
    return ModelComparison(
        first=one.architecture,
        second=other.architecture,
        differences=architecture_differences(one.architecture, other.architecture)
        if one.architecture and other.architecture
        else (),
        first_macs=one.macs,
        second_macs=other.macs,
        first_params=one.params,
        second_params=other.params,
        files=_compare_files(_files(first), _files(second)),
    )


def change_percent(first: float | None, second: float | None) -> float | None:
    """By how much the second is larger; None where one is not known or the first is nothing."""
    return 100 * (second / first - 1) if first and second is not None else None


def _files(inputs: ReportInputs) -> dict[str, ExportedFile] | None:
    if inputs.export is None or not inputs.export.models:
        return None
    return {file.file: file for file in inputs.export.models[0].files}


def _compare_files(
    first: dict[str, ExportedFile] | None, second: dict[str, ExportedFile] | None
) -> tuple[FileComparison, ...]:
    if first is None or second is None:
        return ()
    found = []
    for name, file in {**second, **first}.items():
        one, other = first.get(name), second.get(name)
        found.append(
            FileComparison(
                file=name,
                precision=file.precision,
                first_bytes=one.size_bytes if one else None,
                second_bytes=other.size_bytes if other else None,
                same=bool(one and other and one.sha256 == other.sha256),
            )
        )
    return tuple(found)
