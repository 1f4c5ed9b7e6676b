"""Map the scans of a study: every case that is not up to date, on an executor; one failure stops no other."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, as_completed
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import CorticalBoneMappingError
from ...core.progress import Progress
from ..study_file.scans import Case
from .case import DONE, FAILED, UNWRITABLE, Outcome, is_up_to_date, run_case
from .ledger import clear_temporary_folders, only_run, read_record, remove_result, write_record
from .overview import Overview
from .review import tie_reviews

Work = Callable[[Case, Path], Outcome]

_WRITE_EVERY_S = 5.0  # between two writings of the tables; chosen by hand
_LOOK_TOGETHER = 100  # cases between two reports; chosen by hand
_DIED = (
    "Its worker process ended twice, without a message: the system may have stopped it for want of memory. "
    "Let fewer workers run at once (--workers), and see the log of this case for how far it came."
)
_NOT_BEGUN = (
    "No worker could begin with it ({}: {}). Do scheduler and workers have this program and what it needs in "
    "the same versions, and do they see the same folders?"
)


@dataclass(frozen=True)
class MappingSummary:
    """What a mapping run did.

    Attributes
    ----------
    cases : int
        Of the study.
    mapped, kept, failed : int
        Mapped now; found up to date; failed.
    seconds : float
        That the run took.
    failures : tuple of (str, str)
        Name of a case and its reason.
    """

    cases: int
    mapped: int
    kept: int
    failed: int
    seconds: float
    failures: tuple[tuple[str, str], ...]


def map_scans(
    cases: Sequence[Case],
    results: Path,
    executor: Executor,
    progress: Progress | None = None,
    work: Work = run_case,
) -> MappingSummary:
    """Map every case that is not up to date.

    Parameters
    ----------
    cases : sequence of Case
        From `cases_to_map`.
    results : Path
        Folder of results; is made if it is not there.
    executor : concurrent.futures.Executor
        Does the work. A case in whose scan a worker dies is tried once more, alone, after all others.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.
    work : callable
        What is done with each.

    Returns
    -------
    MappingSummary

    Raises
    ------
    CorticalBoneMappingError
        If another run works in the folder, or writing to it fails.
    """
    progress = progress or Progress()
    begun = time.perf_counter()
    with only_run(results):
        clear_temporary_folders(results)
        tie_reviews(results)
        overview = Overview(cases, results)
        waiting = []
        for number, case in enumerate(cases):
            if number % _LOOK_TOGETHER == 0:
                progress.report(0.0, f"Looking for results: case {number + 1} of {len(cases)}")
            if is_up_to_date(case, results):
                overview.note(case, Outcome(DONE, is_new=False))
            else:
                waiting.append(case)
        kept, mapped = len(cases) - len(waiting), 0
        try:
            clock = _Clock(len(cases), kept)
            if waiting:  # the first outcome may take its time
                progress.report(kept / len(cases), f"Mapping {len(waiting)} of {len(cases)} cases")
            for case, outcome in _outcomes(waiting, results, executor, work):
                if outcome.status == UNWRITABLE:
                    raise CorticalBoneMappingError(outcome.reason)
                overview.note(case, outcome)
                kept += outcome.status == DONE and not outcome.is_new
                mapped += outcome.status == DONE and outcome.is_new
                if clock.is_time_to_write():
                    overview.write()
                progress.report(*clock.count_one(overview.count()[FAILED]))
        except BaseException:
            with contextlib.suppress(OSError):  # the disk may be full, which is the error to report
                overview.write_all()
            raise
        overview.write_all()
    failures = [(name, row["reason"]) for name, row in overview.rows.items() if row["status"] == FAILED]
    seconds = time.perf_counter() - begun
    return MappingSummary(len(cases), mapped, kept, len(failures), seconds, tuple(failures))


def _outcomes(
    cases: Sequence[Case], results: Path, executor: Executor, work: Work
) -> Iterator[tuple[Case, Outcome]]:
    """Yield every case with its outcome, as they come."""
    died = []
    for case, outcome in _attempts(cases, results, executor, work):
        if isinstance(outcome, Outcome):
            yield case, outcome
        else:
            died.append(case)
    for case in died:
        for _, outcome in _attempts([case], results, executor, work):
            yield case, outcome if isinstance(outcome, Outcome) else _dead(case, results, outcome)


def _attempts(
    cases: Sequence[Case], results: Path, executor: Executor, work: Work
) -> Iterator[tuple[Case, Outcome | BaseException]]:
    """Yield each case's outcome, or how its worker failed, since `work` itself raises nothing.

    The hips of one scan are done by one worker, one after the other: it reads the scan once.
    """
    scans: dict[tuple[Path, str | None], list[Case]] = {}
    for case in cases:
        scans.setdefault((case.ct, case.series), []).append(case)
    doing = {executor.submit(_one_after_the_other, work, each, results): each for each in scans.values()}
    for future in as_completed(doing):
        together, failed = doing.pop(future), future.exception()
        yield from zip(together, [failed] * len(together) if failed else future.result())


def _one_after_the_other(work: Work, cases: Sequence[Case], results: Path) -> list[Outcome]:
    return [work(case, results) for case in cases]


def _dead(case: Case, results: Path, error: BaseException) -> Outcome:
    is_death = (
        isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker"
    )  # the latter is Dask's
    reason = _DIED if is_death else _NOT_BEGUN.format(type(error).__name__, error)
    remove_result(results, case)
    write_record(results, case, read_record(results, case) | {"status": FAILED, "reason": reason})
    return Outcome(FAILED, reason)


class _Clock:
    """Progress of a run, and the time left."""

    def __init__(self, total: int, kept: int) -> None:
        self._total, self._kept, self._done = total, kept, kept
        self._begun = self._written = time.perf_counter()

    def count_one(self, failed: int) -> tuple[float, str]:
        """Count one more case; return the fraction done and the text."""
        self._done += 1
        each = (time.perf_counter() - self._begun) / (self._done - self._kept)
        left = duration(each * (self._total - self._done))
        text = f"Case {self._done} of {self._total} done" + (f", {failed} failed" if failed else "")
        return self._done / self._total, text + (f", {left} left" if self._done < self._total else "")

    def is_time_to_write(self) -> bool:
        """Return whether the tables are old enough to be written again."""
        is_time = time.perf_counter() - self._written > _WRITE_EVERY_S
        self._written = time.perf_counter() if is_time else self._written
        return is_time


def duration(seconds: float) -> str:
    """Write a time as a person would: ``40 s``, ``12 min``, ``3 h 20 min``."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
