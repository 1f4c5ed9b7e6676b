"""The femurs of a cohort: made ready once, and registered with the average, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import RegistrationError, SurfaceError
from ..core.progress import Progress
from ..core.side import check_side
from ..core.surface import Surface
from ..mesh.shape_model import ShapeModel
from ..registration import RegistrationSettings, register
from ..registration.template import prepare

_LOOK_S = 0.2  # between two looks whether the user cancelled; chosen by hand


@dataclass(frozen=True)
class Subject:
    """One femur of a cohort.

    Attributes
    ----------
    name : str
        Its name in messages.
    surface : Surface
        RAS mm; may be open where the shaft was cut.
    side : {"left", "right"}
        Of the body.
    person : str
        Whose it is. All femurs of a person together count as one. By default the femur's own name.
    """

    name: str
    surface: Surface
    side: str
    person: str = ""

    def __post_init__(self) -> None:
        if not self.person:
            object.__setattr__(self, "person", self.name)


class ReadyFemur(NamedTuple):
    """A femur that was repaired and closed, its cut ends marked; and what was repaired."""

    subject: Subject
    warnings: tuple[str, ...]


class RegisteredFemur(NamedTuple):
    """The average's n vertices on a femur, right-sided, shape (n, 3), mm; which it covers; and warnings."""

    points: np.ndarray
    covered: np.ndarray
    warnings: tuple[str, ...]


class Outcomes(NamedTuple):
    """What came of some femurs, in their order; None and a reason, by its name, where one failed."""

    found: list[Any]
    failed: dict[str, str]


class _Failure(NamedTuple):
    reason: str


def ready_femurs(subjects: Sequence[Subject], executor: Executor | None, progress: Progress) -> Outcomes:
    """Repair and close surfaces and look for their cut ends, once for all rounds.

    Parameters
    ----------
    subjects : sequence of Subject
        As they were read.
    executor : concurrent.futures.Executor or None
        Does it, several at a time; None does one after the other here.
    progress : Progress
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    Outcomes
        Of `ReadyFemur`.
    """
    return _each(_ready, subjects, [subject.name for subject in subjects], executor, progress, "Making ready")


def register_femurs(
    femurs: Sequence[ReadyFemur],
    average: Surface,
    shape_model: ShapeModel | None,
    check_side: bool,
    executor: Executor | None,
    progress: Progress,
    text: str,
) -> Outcomes:
    """Register femurs with an average; the outcome does not depend on the number of workers.

    Parameters
    ----------
    femurs : sequence of ReadyFemur
        From `ready_femurs`.
    average : Surface
        With ``cut_end``.
    shape_model : ShapeModel or None
        On its mesh.
    check_side : bool
        Whether a femur of the other side fails.
    executor : concurrent.futures.Executor or None
        As for `ready_femurs`.
    progress : Progress
        Likewise.
    text : str
        Precedes the names of the femurs in its texts.

    Returns
    -------
    Outcomes
        Of `RegisteredFemur`.
    """
    work = partial(_registered, average=average, shape_model=shape_model, check_side=check_side)
    return _each(work, femurs, [femur.subject.name for femur in femurs], executor, progress, text)


def _ready(subject: Subject) -> ReadyFemur:
    check_side(subject.side)
    prepared = prepare(subject.surface)
    return ReadyFemur(replace(subject, surface=prepared.closed), prepared.warnings)


def _registered(
    femur: ReadyFemur, average: Surface, shape_model: ShapeModel | None, check_side: bool
) -> RegisteredFemur:
    subject, settings = femur.subject, RegistrationSettings(check_side=check_side)
    found = register(subject.surface, average, subject.side, shape_model=shape_model, settings=settings)
    right = found.deformed.mirrored() if subject.side == "left" else found.deformed
    return RegisteredFemur(right.points, found.covered, (*femur.warnings, *found.warnings))


def _each(
    work: Callable[[Any], Any],
    tasks: Sequence[Any],
    names: Sequence[str],
    executor: Executor | None,
    progress: Progress,
    text: str,
) -> Outcomes:
    """Do a work on each task; a femur that fails stops no other."""
    safely = partial(_or_reason, work)
    if executor is None:
        results = []
        for done, (task, name) in enumerate(zip(tasks, names)):
            progress.report(done / len(tasks), f"{text}: {name}")
            results.append(safely(task))
    else:
        futures = [executor.submit(safely, task) for task in tasks]
        try:
            _wait_for(futures, names, progress, text)
            results = [_result_of(future, name) for future, name in zip(futures, names)]
        finally:
            for future in futures:
                future.cancel()
    failed = {name: one.reason for name, one in zip(names, results) if isinstance(one, _Failure)}
    return Outcomes([None if isinstance(one, _Failure) else one for one in results], failed)


def _or_reason(work: Callable[[Any], Any], task: Any) -> Any:
    try:
        return work(task)
    except (RegistrationError, SurfaceError) as error:
        return _Failure(str(error))


def _wait_for(futures: Sequence[Future], names: Sequence[str], progress: Progress, text: str) -> None:
    """Report each that is done, and look now and then whether the user cancelled."""
    name_of, pending = dict(zip(futures, names)), set(futures)
    progress.report(0.0, f"{text}: {names[0]}")
    while pending:
        done, pending = wait(pending, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
        if progress.cancelled():
            progress.report(0.0, text)
        for count, future in enumerate(sorted(done, key=lambda one: names.index(name_of[one])), start=1):
            share = 1.0 - (len(pending) + len(done) - count) / len(futures)
            progress.report(share, f"{text}: {name_of[future]}")


def _result_of(future: Future, name: str) -> Any:
    try:
        return future.result()
    except (BrokenExecutor, MemoryError) as error:
        raise RegistrationError(
            f"{name}: the process that worked on it ended; most likely its memory was not enough. Let fewer "
            "workers run at once (--workers)."
        ) from error
