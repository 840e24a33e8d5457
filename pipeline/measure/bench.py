"""The measuring processes of one or several targets as one bench, whose subjects interleave.

A process that dies is a recorded failure of the subject it ran; another takes its place, and the
rest is measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.device.burst import Burst, BurstPlan
from pipeline.device.runtimes import TransferTime
from pipeline.device.target import Target
from pipeline.errors import CrashedError, MeasurementError, PipelineError, UnavailableError
from pipeline.measure.measuring_process import MeasuringProcess
from pipeline.work.progress import Progress

CONTROL = "control"
_MOST_DEATHS = 3
"""Of a target's processes in one campaign; with more, what is left of the target is given up."""
_TRANSFERS = 30


@dataclass(frozen=True)
class Course:
    """What is measured on one target.

    Attributes:
        target: Where the subjects run.
        subjects: Folder of each model, by its name.
        control: Folder of the control network.
        journal: Where each visit is kept.
    """

    target: Target
    subjects: Mapping[str, Path]
    control: Path
    journal: Path


class Place(NamedTuple):
    """A subject among those of all courses: which course, and its name there."""

    course: int
    name: str

    @property
    def key(self) -> str:
        """It in one word; `pipeline.measure.schedule` calls subjects by such."""
        return f"{self.course}:{self.name}"


def places_of(index: int, course: Course) -> list[Place]:
    """The subjects of one of several courses."""
    return [Place(index, name) for name in course.subjects]


class MeasuringBench:
    """A process a target; use it in a `with` block. See `pipeline.measure.schedule.Bench`.

    Args:
        courses: What is measured.
        skip_refused: Whether a model or a target that cannot be measured is told in `failed`; else
            it is an error.

    Attributes:
        places: Subjects and control networks, by their keys.
        failed: Why a subject cannot be measured, by its place.
        opening_s: Seconds it took to open each subject.
        notes: What a reader of a subject's times must know.
    """

    def __init__(self, courses: Sequence[Course], *, skip_refused: bool) -> None:
        self.failed: dict[Place, PipelineError] = {}
        self.opening_s: dict[Place, float] = {}
        self.notes: dict[Place, tuple[str, ...]] = {}
        self.places = {
            place.key: place
            for index in range(len(courses))
            for place in (Place(index, CONTROL), *places_of(index, courses[index]))
        }
        self._courses = courses
        self._skip_refused = skip_refused
        self._processes: dict[int, MeasuringProcess] = {}
        self._deaths = [0] * len(courses)
        self._stack = ExitStack()

    def __enter__(self) -> MeasuringBench:
        with ExitStack() as stack:
            stack.push(self._close)
            for index in range(len(self._courses)):
                try:
                    self._start(index)
                except (UnavailableError, MeasurementError) as error:
                    self._refuse(self._places(index), error)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def kept(self) -> list[Place]:
        """The subjects that can be measured."""
        places = (place for index in range(len(self._courses)) for place in self._places(index))
        return [place for place in places if place not in self.failed]

    def open_all(self, seed: int, progress: Progress) -> None:
        """Opens every model.

        In random order: models that are opened first are about half a percent slower (their memory
        lies elsewhere), which would tell networks from those they are compared with.

        Args:
            seed: Decides the order.
            progress: Told before each.

        Raises:
            UnavailableError: The machine does not have a target's precision.
            MeasurementError: A model is refused, or a process died.
        """
        places = self.kept
        order = np.random.default_rng(seed).permutation(len(places))
        for number, place in enumerate((places[index] for index in order), start=1):
            progress(0, 1, f"opening {number} of {len(places)}")
            if place in self.failed:
                continue  # with its whole target, meanwhile
            start = time.monotonic()
            try:
                self._open(place)
            except CrashedError as error:
                if not self._skip_refused:
                    raise
                self.revive(place.key, error)
            except (UnavailableError, MeasurementError) as error:
                self._refuse([place], error)
            self.opening_s[place] = time.monotonic() - start

    def control(self, key: str) -> str:
        """The control network of a subject's target."""
        return Place(self.places[key].course, CONTROL).key

    def precision(self, key: str) -> str:
        """What the engine computes a subject in."""
        process, name = self._at(key)
        return process.precision(name)

    def warm(self, key: str, duration_ms: float) -> None:
        """Runs a subject untimed for that long."""
        process, name = self._at(key)
        process.warm(name, duration_ms)

    def burst(self, key: str, plan: BurstPlan) -> Burst:
        """Runs a subject, timed."""
        process, name = self._at(key)
        return process.burst(name, plan)

    def revive(self, key: str, error: CrashedError) -> frozenset[str]:
        """Starts another process in the place of one that died; see `Bench` in the schedule."""
        place = self.places[key]
        before = set(self.failed)
        if place.name != CONTROL:
            self.failed[place] = error
        self._deaths[place.course] += 1
        self._end(place.course)
        try:
            if self._deaths[place.course] > _MOST_DEATHS:
                raise CrashedError(f"{error.message}; the {_MOST_DEATHS} before it died too")
            self._start(place.course)
            for subject in self._places(place.course):
                if subject in self.opening_s and subject not in self.failed:
                    self._open(subject)
        except (UnavailableError, MeasurementError) as last:
            self._end(place.course)
            for subject in self._places(place.course):
                self.failed.setdefault(subject, last)
        return frozenset(subject.key for subject in set(self.failed) - before)

    def transfer_times(self) -> dict[Place, TransferTime]:
        """Times the copies to devices and back of each subject that runs on one."""
        found = {}
        for place in self.kept:
            try:
                times = self._processes[place.course].transfer_time(place.name, _TRANSFERS)
            except CrashedError as error:
                self.revive(place.key, error)
                continue
            if times is not None:
                found[place] = times
        return found

    def _places(self, index: int) -> list[Place]:
        return places_of(index, self._courses[index])

    def _at(self, key: str) -> tuple[MeasuringProcess, str]:
        """The process that holds a subject, and the subject's name there."""
        place = self.places[key]
        return self._processes[place.course], place.name

    def _start(self, index: int) -> None:
        course = self._courses[index]
        process = MeasuringProcess(course.target)
        self._processes[index] = process.__enter__()
        process.open(CONTROL, course.control)

    def _open(self, place: Place) -> None:
        course, process = self._courses[place.course], self._processes[place.course]
        process.open(place.name, course.subjects[place.name])
        self.notes[place] = process.notes(place.name)

    def _refuse(self, places: Iterable[Place], error: PipelineError) -> None:
        if not self._skip_refused:
            raise error
        self.failed.update(dict.fromkeys(places, error))

    def _end(self, index: int) -> None:
        process = self._processes.pop(index, None)
        if process is not None:
            process.__exit__()

    def _close(self, *error: object) -> None:
        for index in list(self._processes):
            self._end(index)
